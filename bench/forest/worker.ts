// One shape in a process of its own: warms up, says "ready", then runs a round for each line on standard input ("learn" or
// "score") and answers with the nanoseconds of CPU time that a point took its thread. Reference.java speaks the same.
// CPU time is clock time on a quiet machine, and stays put on a busy one; but Node's lags behind by up to a tick (4 ms),
// so rounds are long.
import { createInterface } from 'node:readline';
import { RandomCutForest } from '@headrace/random-cut-forest';
import { makeStream } from './stream.ts';

/** Nanoseconds of CPU time of this thread. */
function cpuTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}

const [base, shingleSize, rowCount, warmUp, round, engine] = process.argv.slice(2);
const size = Number(base);
const shingle = Number(shingleSize);
const rows = makeStream(size, Number(rowCount));
const forest = new RandomCutForest({
  dimensions: size * shingle,
  shingleSize: shingle,
  internalShingling: true,
  numberOfTrees: 50,
  sampleSize: 256,
  timeDecay: 1 / 2560,
  randomSeed: 42,
  engine: engine as 'wasm' | 'plain',
});
let at = 0;
let sum = 0;

/** Works on blocks of points for so many seconds of CPU time; nanoseconds a point. */
function work(block: () => number, seconds: number): number {
  const started = cpuTime();
  let points = 0;
  for (;;) {
    points += block();
    const taken = cpuTime() - started;
    if (taken >= seconds * 1e9) return taken / points;
  }
}

/** Scores and learns 500 records; the stream begins anew at its end, long after the forest has forgotten its start. */
function learn(): number {
  for (let k = 0; k < 500; k++, at++) sum += forest.scoreAndUpdate(rows[at % rows.length]!);
  return 500;
}

/** The last 10,000 records, each joined with those before it: what a frozen forest is given. */
function latestPoints(): number[][] {
  const latest = Array.from({ length: 10_000 + shingle - 1 }, (_, k) => [
    ...rows[(at - 10_000 - shingle + 1 + k + rows.length) % rows.length]!,
  ]);
  return latest.slice(shingle - 1).map((_, k) => latest.slice(k, k + shingle).flat());
}

/** Scores them in one batch. */
function scoreBatch(points: number[][]): number {
  sum += forest.scoreBatch(points)[0]!;
  return points.length;
}

work(learn, Number(warmUp));
if (engine === 'wasm') {
  const points = latestPoints();
  work(() => scoreBatch(points), Number(warmUp));
}
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'learn') console.log(work(learn, Number(round)));
  else {
    const points = latestPoints();
    console.log(work(() => scoreBatch(points), Number(round)));
  }
}
if (!(sum > 0)) throw new Error('nothing was scored');
