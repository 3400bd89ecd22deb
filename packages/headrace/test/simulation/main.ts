// npm run simulate -- --runs N [--seed S]: runs the engine's poller against a simulated world, N times.
import { parseArgs } from 'node:util';
import { membershipMutations } from './membership-mutations.ts';
import { mutations, plant } from './mutations.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000' },
    seed: { type: 'string' },
    mutation: { type: 'string' },
    membership: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`usage: npm run simulate -- [--membership] [--runs N] [--seed S] [--trace] [--json] [--mutation NAME]

Runs the poller, the offset tracker, the settlement and the supervisor against a simulated world: virtual clock, seeded
faults, crashes, rebalances. Seed S is the first; the runs take S, S+1, ... A failing seed fails again every time:
    npm run simulate -- --runs 1 --seed S --trace

--membership runs the consumer group instead: the membership by both protocols, revocation and commits, on a virtual
clock and a seeded network against the development broker's coordinator.

--mutation plants a bug in the engine first, to see that it is caught: ${mutations.map(({ name }) => name).join(', ')};
with --membership: ${membershipMutations.map(({ name }) => name).join(', ')}.`);
  process.exit(0);
}
const runs = Number(values.runs);
const first = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
if (!Number.isSafeInteger(runs) || runs < 1 || !Number.isSafeInteger(first)) {
  console.error('--runs must be a whole number from 1 on, --seed a whole number');
  process.exit(2);
}

// Planted before the engine is loaded.
if (values.mutation !== undefined) {
  if (values.membership) plant(values.mutation, membershipMutations, 'kafka');
  else plant(values.mutation);
}
const runSeed = values.membership
  ? (await import('./membership-world.ts')).runMembershipSeed
  : (await import('./world.ts')).runSeed;

const begin = performance.now();
let events = 0;
let repetitions = 0;
let done = 0;
let seed = first;

function fail(violation: Error): never {
  if (values.json)
    console.log(JSON.stringify({ seed, runs: done, kind: violation.name, violation: violation.message }));
  else {
    console.log(`\nseed ${seed} fails after ${done} runs: ${violation.stack}`);
    console.log(
      `again, in full: npm run simulate --${values.membership ? ' --membership' : ''} --runs 1 --seed ${seed} --trace`,
    );
  }
  process.exit(1);
}
// The engine catches what may happen; what it throws beyond that is its own defect.
process.on('uncaughtException', fail);

for (; seed < first + runs; seed++) {
  const result = await runSeed(seed);
  events += result.events;
  repetitions += 'duplicates' in result ? result.duplicates : result.losses;
  done++;
  if (values.trace) for (const line of result.trace) console.log(line);
  if (result.violation === undefined) continue;
  if (!values.json) {
    if (!values.trace) for (const line of result.trace.slice(-60)) console.log(line);
    console.log(JSON.stringify(result.scenario));
  }
  fail(result.violation);
}
const seconds = (performance.now() - begin) / 1000;
const what = values.membership ? 'losses' : 'duplicates';
if (values.json)
  console.log(JSON.stringify({ seed: first, runs, runsPerSecond: runs / seconds, events, [what]: repetitions }));
else
  console.log(
    `${runs} runs from seed ${first}: ${Math.round(runs / seconds)} runs/s, ${events} events, ${repetitions} ${
      values.membership ? 'partitions lost by those at fault' : 'repetitions'
    }, all promises kept`,
  );
