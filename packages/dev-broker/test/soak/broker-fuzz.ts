// npm run soak -- broker-fuzz [SECONDS] [SEED]: the long form of the fuzz test.
import { fuzz } from '../fuzz.ts';

export const description = 'mutated requests against the development broker: [SECONDS] [SEED]';

export async function run(argv: readonly string[]): Promise<number> {
  const [seconds = 300, seed = Date.now() % 2 ** 31] = argv.map(Number);
  if (!(seconds > 0) || !Number.isInteger(seed)) {
    console.error('usage: npm run soak -- broker-fuzz [SECONDS] [SEED]');
    return 2;
  }
  console.log(`seed ${seed}`);
  const { sent, failures } = await fuzz({
    seed,
    durationMs: seconds * 1000,
    progress: (count, residentBytes) => console.log(`${count} requests, ${Math.round(residentBytes / 2 ** 20)} MB`),
  });
  console.log(`${sent} requests sent, ${failures.length} failures`);
  for (const failure of failures) console.error(failure);
  return failures.length === 0 ? 0 : 1;
}
