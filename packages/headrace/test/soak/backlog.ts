// npm run soak -- backlog: two gigabytes before a function that hangs. Memory stays flat; then they are worked off.
import { parseArgs } from 'node:util';
import { describeBacklog, workOffBacklog } from '../support/backlog.ts';

export const description = 'a backlog of 2 GB before a stuck function: flat memory, then all of it handled';

export async function run(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: { gigabytes: { type: 'string', default: '2' } } });
  const gigabytes = Number(values.gigabytes);
  if (!(gigabytes > 0 && gigabytes <= 100)) {
    console.error('--gigabytes must be a number above 0, up to 100');
    return 2;
  }
  const result = await workOffBacklog(gigabytes * 1e9, 600_000);
  console.log(describeBacklog(result));
  const isFlat = result.stuckBytes <= 200 * 2 ** 20 && result.workingBytes <= 250 * 2 ** 20;
  return isFlat && result.succeededWhileStuck === 0 && result.succeeded === result.records ? 0 : 1;
}
