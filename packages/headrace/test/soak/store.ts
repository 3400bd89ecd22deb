// npm run soak -- store: a process that writes to a store, and then one that deploys through the API, is killed again and
// again. Nothing acknowledged may be lost, and nothing may be half made.
import { parseArgs } from 'node:util';
import { killDeployers } from '../support/api-kills.ts';
import { killWriters } from '../support/store-kills.ts';

export const description = 'kill -9 of processes that write to a store, by themselves and through the API';

export async function run(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: { kills: { type: 'string', default: '200' }, seed: { type: 'string' } },
  });
  const kills = Number(values.kills);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  if (!Number.isSafeInteger(kills) || kills < 1 || !Number.isSafeInteger(seed)) {
    console.error('--kills must be a whole number from 1 on, --seed a whole number');
    return 2;
  }
  console.log(`seed ${seed}, ${kills} kills`);
  const { writes } = await killWriters({ kills, seed });
  console.log(`${kills} kills, ${writes} acknowledged writes: none lost, none half made`);
  const { answers } = await killDeployers({ kills, seed });
  console.log(`${kills} kills, ${answers} answered requests of the API: all hold, nothing half made`);
  return 0;
}
