/** What the engine and the broker draw by themselves, member ids and the jitter of pauses, comes from the seed too. */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import type { SeededRandom } from '@headrace/testing';

const systemRandom = Math.random;
const systemUuid = crypto.randomUUID;
let seeded: SeededRandom | undefined;

Math.random = () => (seeded === undefined ? systemRandom() : seeded.next());
crypto.randomUUID = (options) => {
  if (seeded === undefined) return systemUuid(options);
  const digits = seeded.bytes(16).toString('hex');
  const parts = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)];
  return parts.join('-') as ReturnType<typeof systemUuid>;
};
// Imports by name see it too.
syncBuiltinESMExports();

/** Runs with everything drawn from `random`; one run at a time. */
export async function withSeed<T>(random: SeededRandom, run: () => Promise<T>): Promise<T> {
  seeded = random;
  try {
    return await run();
  } finally {
    seeded = undefined;
  }
}
