import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RandomCutForest } from '../src/index.ts';
import { TREE } from '../src/layout.ts';
import { assertInvariants, chiSquareTail, testRandom } from './invariants.ts';

const shapes: { name: string; row: (random: () => number, j: number) => number }[] = [
  { name: 'few different values', row: (random) => Math.floor(random() * 3) },
  { name: 'a constant coordinate', row: (random, j) => (j % 2 === 0 ? 7 : random()) },
  { name: 'very different sizes', row: (random, j) => (random() - 0.5) * 10 ** ((j % 5) * 8 - 16) },
  { name: 'plus and minus zero', row: (random) => (random() < 0.5 ? -0 : random() < 0.5 ? 0 : random() - 0.5) },
  { name: 'neighbouring floats', row: (random) => 1 + Math.floor(random() * 4) * 2 ** -23 },
  { name: 'the largest floats', row: (random) => (random() < 0.5 ? -1 : 1) * 2 ** 126 * (1 + random() * 0.99) },
];

for (const engine of ['plain', 'auto'] as const) {
  for (const sampleSize of [1, 2, 3, 64, 256]) {
    for (const dimensions of [1, 2, 24]) {
      test(`${engine}: every invariant holds after every update with N=${sampleSize}, D=${dimensions}`, () => {
        for (const { row } of shapes) {
          const random = testRandom(sampleSize * 100 + dimensions);
          const forest = new RandomCutForest({
            dimensions,
            sampleSize,
            numberOfTrees: 2,
            timeDecay: 0.5 / sampleSize,
            initialAcceptFraction: 0.5,
            outputAfter: 1,
            randomSeed: 9,
            engine,
          });
          const rows = sampleSize === 256 ? 700 : 300;
          for (let t = 0; t < rows; t++) {
            const record = Array.from({ length: dimensions }, (_, j) => row(random, j));
            const score = forest.scoreAndUpdate(record);
            assert.ok(score >= 0 && score <= Math.log2(sampleSize + 1) + 1e-9, `score ${score}`);
            if (sampleSize < 256 || t % 20 === 0) assertInvariants(forest);
          }
        }
      });
    }
  }
}

/** A tree as nested text, each leaf the name of its point. */
function shapeOf(forest: RandomCutForest, tree: number, names: Map<number, string>): string {
  const { state } = forest.internals;
  const walk = (reference: number): string => {
    if (reference < 0) {
      return names.get(state.f32[state.pointAt(state.i32[state.leavesAt(tree) + ~reference * 2]!)]!)!;
    }
    const words = state.nodesAt(tree) + reference * 4;
    return `(${walk(state.i32[words + 2]!)} ${walk(state.i32[words + 3]!)})`;
  };
  return walk(state.i32[state.treeAt(tree) + TREE.root]!);
}

/** Probability of each shape, from the definition: dimension by side length, cut uniform, recursively. */
function shapeProbabilities(points: { name: string; at: number[] }[]): Map<string, number> {
  if (points.length === 1) return new Map([[points[0]!.name, 1]]);
  const result = new Map<string, number>();
  const dimensions = points[0]!.at.length;
  let total = 0;
  for (let j = 0; j < dimensions; j++) {
    const values = points.map((point) => point.at[j]!);
    total += Math.max(...values) - Math.min(...values);
  }
  for (let j = 0; j < dimensions; j++) {
    const sorted = points.toSorted((a, b) => a.at[j]! - b.at[j]!);
    for (let k = 1; k < sorted.length; k++) {
      const weight = (sorted[k]!.at[j]! - sorted[k - 1]!.at[j]!) / total;
      if (weight === 0) continue;
      for (const [left, a] of shapeProbabilities(sorted.slice(0, k))) {
        for (const [right, b] of shapeProbabilities(sorted.slice(k))) {
          const shape = `(${left} ${right})`;
          result.set(shape, (result.get(shape) ?? 0) + weight * a * b);
        }
      }
    }
  }
  return result;
}

const four = [
  { name: 'a', at: [0, 0] },
  { name: 'b', at: [1, 3] },
  { name: 'c', at: [4, 1] },
  { name: 'd', at: [5, 2.5] },
];

for (const engine of ['plain', 'auto'] as const) {
  for (const { what, order, extra } of [
    { what: 'inserted in one order', order: [0, 1, 2, 3], extra: undefined },
    { what: 'inserted in another order', order: [3, 1, 0, 2], extra: undefined },
    { what: 'after a further point was inserted and deleted', order: [2, 0, 3, 1], extra: [2, -4] },
  ]) {
    test(`${engine}: tree shapes have the frequencies of the definition, ${what}`, () => {
      const names = new Map(four.map((point) => [point.at[0]!, point.name]));
      const counts = new Map<string, number>();
      const trees = 1000;
      const rounds = 100;
      for (let round = 0; round < rounds; round++) {
        using forest = new RandomCutForest({
          dimensions: 2,
          sampleSize: 8,
          numberOfTrees: trees,
          timeDecay: 0,
          randomSeed: round,
          engine,
        });
        const { state, kernel } = forest.internals;
        for (const k of order.slice(0, 2)) forest.update(four[k]!.at);
        if (extra) forest.update(extra);
        for (const k of order.slice(2)) forest.update(four[k]!.at);
        for (let tree = 0; tree < trees; tree++) {
          if (extra) kernel.remove(state, tree, 2);
          const shape = shapeOf(forest, tree, names);
          counts.set(shape, (counts.get(shape) ?? 0) + 1);
        }
      }
      let statistic = 0;
      const expected = shapeProbabilities(four);
      for (const [shape, probability] of expected) {
        const wanted = probability * trees * rounds;
        statistic += ((counts.get(shape) ?? 0) - wanted) ** 2 / wanted;
      }
      assert.deepEqual(
        [...counts.keys()].filter((shape) => !expected.has(shape)),
        [],
        'no impossible shape',
      );
      const tail = chiSquareTail(statistic, expected.size - 1);
      assert.ok(tail > 1e-4, `chi-square ${statistic} at ${expected.size - 1} degrees of freedom: p = ${tail}`);
    });
  }
}
