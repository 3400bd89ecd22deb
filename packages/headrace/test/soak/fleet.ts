// npm run soak -- fleet: engines of a fleet are killed, stopped beyond their session and restarted, and so is the broker, at
// random moments under load. Nothing may be lost, and order must hold.
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { eventually, SeededRandom } from '@headrace/testing';
import { Fleet, REPETITIONS_A_CRASH } from '../support/fleet.ts';

export const description = 'kill -9 of engines and broker, and engines asleep beyond their session, under load';

const ENGINES = 2;
/** Beyond the session timeout of the fleet's Kafka. */
const ASLEEP_MILLISECONDS = 9000;

export async function run(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: { kills: { type: 'string', default: '50' }, seed: { type: 'string' } },
  });
  const kills = Number(values.kills);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  if (!Number.isSafeInteger(kills) || kills < 1 || !Number.isSafeInteger(seed)) {
    console.error('--kills must be a whole number from 1 on, --seed a whole number');
    return 2;
  }
  const random = new SeededRandom(seed);
  console.log(`seed ${seed}, ${kills} kills`);
  await using fleet = await Fleet.start();
  const { ledger } = fleet;
  for (let i = 0; i < ENGINES; i++) fleet.startEngine();
  await eventually(() => ledger.records > 100, { timeoutMs: 60_000, what: 'the first records' });
  let bound = 0;
  for (let kill = 1; kill <= kills; kill++) {
    await delay(random.integer(0, 3000));
    const victim = random.pick([...fleet.engines]);
    const what = kill % 10 === 5 ? 'broker' : kill % 10 === 0 ? 'sleep' : 'engine';
    const before = ledger.records;
    if (what === 'broker') {
      await fleet.kafka.kill('SIGKILL');
      await fleet.kafka.restart();
      bound += ENGINES * REPETITIONS_A_CRASH;
    } else if (what === 'sleep') {
      victim.kill('SIGSTOP');
      await delay(ASLEEP_MILLISECONDS);
      victim.kill('SIGCONT');
      bound += REPETITIONS_A_CRASH;
    } else {
      victim.kill('SIGKILL');
      await once(victim, 'exit');
      fleet.startEngine();
      bound += REPETITIONS_A_CRASH;
    }
    await eventually(() => ledger.records > before + 20, {
      timeoutMs: 60_000,
      what: `work goes on after kill ${kill}`,
    });
    console.log(`${kill}: ${what}; ${ledger.records} records, ${ledger.duplicates} repetitions`);
  }
  await fleet.stopProducing();
  const records = await fleet.records();
  await eventually(() => ledger.records === records, {
    timeoutMs: 90_000,
    what: () => ledger.describe(records, bound),
  });
  console.log(ledger.describe(records, bound));
  return ledger.outOfOrder === 0 && ledger.duplicates <= bound ? 0 : 1;
}
