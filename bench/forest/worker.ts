// One shape in a process of its own: warms up, then runs a round for each line on standard input and answers with the
// nanoseconds of CPU time that its thread took and the sum of the scores. Reference.java speaks the same. CPU time is
// clock time on a quiet machine, and stays put on a busy one.
import { createInterface } from 'node:readline';
import { RandomCutForest } from '@headrace/random-cut-forest';
import { makeStream } from './stream.ts';

/** Nanoseconds of CPU time of this thread. */
function cpuTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}

const [base, shingleSize, warmUp, round, rounds, engine] = process.argv.slice(2);
const size = Number(round);
const rows = makeStream(Number(base), Number(warmUp) + size * Number(rounds));
const forest = new RandomCutForest({
  dimensions: Number(base) * Number(shingleSize),
  shingleSize: Number(shingleSize),
  internalShingling: true,
  numberOfTrees: 50,
  sampleSize: 256,
  timeDecay: 1 / 2560,
  randomSeed: 42,
  engine: engine as 'wasm' | 'plain',
});
/** Row t joined with those before it: what a frozen forest is given. */
const joined = Number(shingleSize);
const points = rows.map((_, t) => rows.slice(Math.max(0, t - joined + 1), t + 1).flatMap((row) => [...row]));
let at = 0;
for (; at < Number(warmUp); at++) forest.scoreAndUpdate(rows[at]!);
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const learn = line === 'learn';
  const started = cpuTime();
  let sum = 0;
  if (learn) for (let k = 0; k < size; k++, at++) sum += forest.scoreAndUpdate(rows[at]!);
  else sum = forest.scoreBatch(points.slice(at - size, at)).reduce((a, b) => a + b, 0);
  console.log(`${cpuTime() - started} ${sum}`);
}
