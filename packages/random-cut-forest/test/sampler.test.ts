import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RandomCutForest } from '../src/index.ts';
import { testRandom } from './invariants.ts';

/** Ages, in records, of what each tree holds, when record t has the value t. */
function heldAges(forest: RandomCutForest): number[] {
  const { state } = forest.internals;
  const { layout } = state;
  return Array.from({ length: layout.trees * layout.samples }, (_, entry) => {
    const point = state.i32[(layout.sampledAt >> 2) + entry]!;
    return forest.totalUpdates - 1 - state.f32[state.pointAt(point)]!;
  });
}

test('without decay each record is held with equal frequency', () => {
  const forest = new RandomCutForest({
    dimensions: 1,
    numberOfTrees: 1000,
    sampleSize: 16,
    timeDecay: 0,
    randomSeed: 4,
  });
  const records = 1000;
  for (let t = 0; t < records; t++) forest.update([t]);
  const counts = new Float64Array(10);
  for (const age of heldAges(forest)) counts[Math.floor((age * 10) / records)]!++;
  const wanted = (1000 * 16) / 10;
  const statistic = counts.reduce((sum, count) => sum + (count - wanted) ** 2 / wanted, 0);
  assert.ok(statistic < 33.7, `chi-square ${statistic} at 9 degrees of freedom: ${counts}`);
});

/** The root a of ∫₀ᵃ (1-e^-z)/z dz = product, by bisection over the series. */
function solve(product: number): number {
  const ein = (a: number): number => {
    let sum = 0;
    let term = 1;
    for (let k = 1; k < 60; k++) {
      term *= -a / k;
      sum -= term / k;
    }
    return sum;
  };
  let [low, high] = [0, 5];
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2;
    if (ein(middle) < product) low = middle;
    else high = middle;
  }
  return low;
}

for (const product of [0.1, 1]) {
  test(`with λN = ${product} acceptance and ages are those of the law`, () => {
    const samples = 64;
    const trees = 200;
    const timeDecay = product / samples;
    const forest = new RandomCutForest({
      dimensions: 1,
      numberOfTrees: trees,
      sampleSize: samples,
      timeDecay,
      randomSeed: 21,
    });
    const { state, kernel } = forest.internals;
    let inserted = 0;
    const counted = Object.create(kernel) as typeof kernel;
    counted.insert = (s, tree, point) => {
      inserted++;
      return kernel.insert(s, tree, point);
    };
    Object.assign(Reflect.get(forest, 'samplers') as object, { kernel: counted });
    let t = 0;
    for (; t < 20 * samples * Math.max(1, 0.1 / product); t++) forest.update([t]);
    inserted = 0;
    const records = 6000;
    const counts = { young: 0, middle: 0, old: 0 };
    let looks = 0;
    for (let k = 0; k < records; k++, t++) {
      forest.update([t]);
      if (k % 100 !== 0) continue;
      looks++;
      for (const age of heldAges(forest)) {
        const life = age * timeDecay;
        if (life < 0.5) counts.young++;
        else if (life < 1.5) counts.middle++;
        else counts.old++;
      }
    }
    assert.ok(state.layout.trees === trees);
    const a = solve(product);
    const rate = inserted / (records * trees);
    const wanted = 1 - Math.exp(-a);
    assert.ok(Math.abs(rate - wanted) < 0.02 * wanted, `acceptance ${rate}, by the law ${wanted}`);
    const held = (from: number, to: number): number => {
      let sum = 0;
      for (let age = Math.ceil(from / timeDecay); age < to / timeDecay; age++)
        sum += 1 - Math.exp(-a * Math.exp(-timeDecay * age));
      return sum * trees * looks;
    };
    for (const [name, wantedCount] of [
      ['young', held(0, 0.5)],
      ['middle', held(0.5, 1.5)],
      ['old', held(1.5, 40)],
    ] as const) {
      assert.ok(Math.abs(counts[name] / wantedCount - 1) < 0.06, `${name}: ${counts[name]} for ${wantedCount}`);
    }
  });
}

test('a changed decay continues the weights without a jump', () => {
  const random = testRandom(2);
  const forest = new RandomCutForest({ dimensions: 1, numberOfTrees: 20, sampleSize: 64, randomSeed: 3 });
  for (let t = 0; t < 3000; t++) forest.update([t + random() / 2]);
  const mean = (): number => heldAges(forest).reduce((a, b) => a + b) / (20 * 64);
  const slow = mean();
  forest.timeDecay = 1 / 64;
  for (let t = 3000; t < 3600; t++) forest.update([t + random() / 2]);
  const fast = mean();
  assert.ok(slow > 300 && fast < 80, `mean ages ${slow} and ${fast}`);
  forest.timeDecay = 0;
  assert.equal(forest.timeDecay, 0);
  assert.throws(() => (forest.timeDecay = Number.NaN), { code: 'INVALID_OPTION' });
});
