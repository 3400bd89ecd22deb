import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { needsData, sharedData } from '@headrace/testing';
import { RandomCutForest } from '../src/index.ts';
import { TREE } from '../src/layout.ts';
import { assertInvariants, testRandom } from './invariants.ts';

/** The score as its definition reads, with no list, no early stop and every box made anew from its points. */
function literalScore(forest: RandomCutForest, tree: number, x: number[]): number {
  const { state } = forest.internals;
  const { i32, f32, layout } = state;
  const mass = i32[state.treeAt(tree) + TREE.entries]!;
  const pointOf = (leaf: number): number[] => {
    const at = state.pointAt(i32[state.leavesAt(tree) + ~leaf * 2]!);
    return [...f32.subarray(at, at + layout.dimensions)];
  };
  const pointsBelow = (reference: number): number[][] =>
    reference < 0
      ? [pointOf(reference)]
      : [2, 3].flatMap((child) => pointsBelow(i32[state.nodesAt(tree) + reference * 4 + child]!));
  const walk = (reference: number, depth: number): { value: number; seen: boolean } => {
    if (reference < 0) {
      const y = pointOf(reference);
      const leafMass = i32[state.leavesAt(tree) + ~reference * 2 + 1]!;
      if (y.every((value, j) => value === x[j])) {
        return { value: (1 - leafMass / (2 * mass)) / (depth + Math.log2(leafMass + 1)), seen: true };
      }
      return { value: 1 / (depth + 1), seen: false };
    }
    const words = state.nodesAt(tree) + reference * 4;
    const child = x[i32[words + 1]!]! <= f32[words]! ? 2 : 3;
    const below = walk(i32[words + child]!, depth + 1);
    if (below.seen) return below;
    const points = pointsBelow(reference);
    let range = 0;
    let gap = 0;
    for (let j = 0; j < layout.dimensions; j++) {
      const low = Math.min(...points.map((point) => point[j]!));
      const high = Math.max(...points.map((point) => point[j]!));
      range += Math.fround(high - low);
      gap += Math.fround(Math.max(0, low - x[j]!)) + Math.fround(Math.max(0, x[j]! - high));
    }
    const separation = gap / (range + gap);
    return { value: separation / (depth + 1) + (1 - separation) * below.value, seen: false };
  };
  return walk(i32[state.treeAt(tree) + TREE.root]!, 0).value * Math.log2(mass + 1);
}

const gaussian = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

for (const engine of ['plain', 'auto'] as const) {
  for (const dimensions of [1, 3, 8, 10, 24]) {
    test(`${engine}: the score equals its definition on the same trees, D=${dimensions}`, () => {
      const random = testRandom(dimensions);
      const forest = new RandomCutForest({ dimensions, numberOfTrees: 7, sampleSize: 64, randomSeed: 5, engine });
      const row = (spread: number): number[] =>
        Array.from({ length: dimensions }, () => Math.fround(gaussian(random) * spread));
      const rows = Array.from({ length: 400 }, () => row(1));
      for (const record of rows) forest.update(record);
      for (let k = 0; k < 200; k++) {
        const x = k % 4 === 0 ? rows[399 - (k >> 2)]! : row(k % 4);
        let wanted = 0;
        for (let tree = 0; tree < 7; tree++) wanted += literalScore(forest, tree, x) / 7;
        assert.ok(Math.abs(forest.score(x) - wanted) <= 1e-12, `${forest.score(x)} is not ${wanted}`);
      }
    });
  }
}

test('the score is the mean, over simulated insertions, of one over the depth at which the point comes to lie', () => {
  const random = testRandom(3);
  const base = new RandomCutForest({ dimensions: 3, numberOfTrees: 1, sampleSize: 33, outputAfter: 1, randomSeed: 1 });
  for (let t = 0; t < 32; t++) base.update([gaussian(random), gaussian(random), gaussian(random)]);
  const x = [1.5, -1, 0.4];
  const score = base.score(x) / Math.log2(33);
  const bytes = base.toBytes();
  let sum = 0;
  let squares = 0;
  const rounds = 4000;
  for (let round = 0; round < rounds; round++) {
    using forest = RandomCutForest.fromBytes(bytes);
    const { state } = forest.internals;
    const at = state.treeAt(0);
    for (let k = 0; k < 4; k++) state.i32[at + TREE.cuts + k] = Math.floor(random() * 2 ** 32);
    forest.update(x);
    const depthOf = (reference: number, depth: number): number => {
      if (reference < 0) {
        const point = state.pointAt(state.i32[state.leavesAt(0) + ~reference * 2]!);
        return state.f32[point] === x[0] ? depth : -1;
      }
      const words = state.nodesAt(0) + reference * 4;
      const left = depthOf(state.i32[words + 2]!, depth + 1);
      return left >= 0 ? left : depthOf(state.i32[words + 3]!, depth + 1);
    };
    // A cut-off at the node of depth e gives the point depth e + 1, which the score counts as 1 / (e + 1).
    const value = 1 / depthOf(state.i32[at + TREE.root]!, 0);
    sum += value;
    squares += value * value;
  }
  const mean = sum / rounds;
  const deviation = Math.sqrt((squares / rounds - mean * mean) / rounds);
  assert.ok(Math.abs(mean - score) < 4 * deviation, `${mean} ± ${deviation} is not ${score}`);
});

const example = 'rcf-paper/rcf-paper.csv';
test("on the reference's example data the scores are the reference's", { skip: needsData(example) }, () => {
  const rows = readFileSync(sharedData(example), 'utf8')
    .trim()
    .split('\n')
    .slice(0, 2000)
    .map((line) => line.split(',').map(Number));
  for (const randomSeed of [1, 2, 3, 4, 5]) {
    const forest = new RandomCutForest({ dimensions: 3, numberOfTrees: 100, randomSeed });
    const scores = rows.map((row) => forest.scoreAndUpdate(row));
    const mean = scores.slice(500).reduce((a, b) => a + b) / 1500;
    const top = Math.max(...scores);
    assert.equal(scores.indexOf(top), 293);
    assert.ok(Math.abs(mean - 0.773) < 0.006, `mean ${mean}`);
    assert.ok(Math.abs(top - 3.945) < 0.12, `top ${top}`);
  }
});

test('a constant stream scores 0.5, and any other value the maximum', () => {
  const forest = new RandomCutForest({ dimensions: 1, randomSeed: 1 });
  let score = 0;
  for (let t = 0; t < 1000; t++) score = forest.scoreAndUpdate([42]);
  assert.ok(Math.abs(score - 0.5) < 1e-12);
  assert.ok(Math.abs(forest.score([42.001]) - 8.0056) < 1e-3);
  assert.equal(forest.pointCount, 1);
});

test('scores are 0 until 64 records were learnt; with a shingle those that fill it count', () => {
  for (const shingleSize of [1, 8]) {
    const random = testRandom(1);
    const forest = new RandomCutForest({
      dimensions: shingleSize,
      shingleSize,
      internalShingling: true,
      randomSeed: 1,
    });
    const first = Array.from({ length: 100 }, () => forest.scoreAndUpdate([random()])).findIndex((score) => score > 0);
    assert.equal(first, 64);
  }
});

test('a univariate stream scores the same when its values are scaled and shifted', () => {
  const random = testRandom(8);
  const make = (): RandomCutForest =>
    new RandomCutForest({ dimensions: 4, shingleSize: 4, internalShingling: true, randomSeed: 77 });
  const [a, b] = [make(), make()];
  for (let t = 0; t < 1000; t++) {
    const value = Math.floor(gaussian(random) * 1000);
    const [one, other] = [a.scoreAndUpdate([value]), b.scoreAndUpdate([value * 64 + 4096])];
    assert.ok(Math.abs(one - other) < 0.02, `record ${t}: ${one} and ${other}`);
  }
});

test('the same seed and records give the same scores; another seed gives others', () => {
  const run = (randomSeed: number): number[] => {
    const random = testRandom(4);
    const forest = new RandomCutForest({ dimensions: 2, randomSeed });
    return Array.from({ length: 500 }, () => forest.scoreAndUpdate([random(), random()]));
  };
  assert.deepEqual(run(11), run(11));
  assert.notDeepEqual(run(11), run(12));
});

test('attribution adds up to the score, and names the coordinate and direction that stand out', () => {
  const random = testRandom(6);
  const forest = new RandomCutForest({ dimensions: 5, randomSeed: 2 });
  const rows = Array.from({ length: 1000 }, () => Array.from({ length: 5 }, () => Math.fround(gaussian(random))));
  for (const row of rows) forest.update(row);
  const sum = (values: Float64Array): number => values.reduce((a, b) => a + b);
  for (let k = 0; k < 100; k++) {
    const x = k % 2 === 0 ? rows[999 - k]! : rows[k]!.map((value) => value * 2);
    const { high, low } = forest.attribution(x);
    assert.ok(Math.abs(sum(high) + sum(low) - forest.score(x)) < 1e-9);
  }
  const { high, low } = forest.attribution([0, 0, 9, 0, -9]);
  const total = sum(high) + sum(low);
  assert.ok(high[2]! > 0.35 * total, `${high}`);
  assert.ok(low[4]! > 0.35 * total, `${low}`);
});

test('the forest forecasts a regular series and names the expected value of an outlier', () => {
  const forest = new RandomCutForest({ dimensions: 8, shingleSize: 8, internalShingling: true, randomSeed: 3 });
  const wave = (t: number): number => 100 * Math.sin((2 * Math.PI * t) / 20);
  for (let t = 0; t < 2000; t++) forest.update([wave(t)]);
  const forecast = forest.forecast(10);
  for (let k = 0; k < 10; k++) {
    assert.ok(Math.abs(forecast[k]! - wave(2000 + k)) < 15, `step ${k}: ${forecast[k]} for ${wave(2000 + k)}`);
  }
  const expected = forest.expected([1000]);
  assert.ok(Math.abs(expected[7]! - wave(2000)) < 15, `${expected}`);
  assert.deepEqual(
    [...expected.subarray(0, 7)],
    [...Array(7).keys()].map((k) => Math.fround(wave(1993 + k))),
  );
});

test('memory does not grow: after a million records all references add up', () => {
  const random = testRandom(10);
  const forest = new RandomCutForest({ dimensions: 2, sampleSize: 64, numberOfTrees: 10, randomSeed: 1 });
  let most = 0;
  for (let t = 0; t < 1_000_000; t++) {
    forest.update([random(), random()]);
    if (t === 100_000) most = forest.pointCount;
  }
  assertInvariants(forest);
  assert.ok(forest.pointCount < most * 1.15, `${most} points, then ${forest.pointCount}`);
});

for (const [what, record] of [
  ['NaN', [Number.NaN, 0]],
  ['an infinity', [0, Number.POSITIVE_INFINITY]],
  ['a number beyond 32-bit floats', [1e39, 0]],
  ['too few numbers', [1]],
  ['too many numbers', [1, 2, 3]],
  ['text', ['1', 2]],
  ['nothing', [undefined, 1]],
] as [string, number[]][]) {
  test(`${what} is refused and leaves the forest as it was`, () => {
    const forest = new RandomCutForest({ dimensions: 2, randomSeed: 1 });
    for (let t = 0; t < 100; t++) forest.update([t, -t]);
    const before = forest.toBytes();
    for (const call of ['score', 'update', 'scoreAndUpdate', 'attribution', 'expected'] as const) {
      assert.throws(() => forest[call](record), { code: 'INVALID_POINT' });
    }
    assert.deepEqual(forest.toBytes(), before);
  });
}

test('options out of range are refused with their name and range', () => {
  for (const [options, message] of [
    [{ dimensions: 0 }, /dimensions is 0; it must be a whole number from 1 to 10000/],
    [{ dimensions: 3, shingleSize: 2 }, /dimensions is 3; it must be a multiple of shingleSize \(2\)/],
    [{ dimensions: 1, numberOfTrees: 0 }, /numberOfTrees is 0/],
    [{ dimensions: 1, sampleSize: 0.5 }, /sampleSize is 0.5/],
    [{ dimensions: 1, timeDecay: -1 }, /timeDecay is -1; it must be a number from 0 to 1/],
    [{ dimensions: 1, randomSeed: 2 ** 32 }, /randomSeed/],
    [{ dimensions: 10000, sampleSize: 65536, numberOfTrees: 1000 }, /2 GB/],
  ] as const) {
    assert.throws(() => new RandomCutForest(options), { code: 'INVALID_OPTION', message });
  }
});
