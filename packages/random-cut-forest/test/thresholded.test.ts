import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThresholdedForest, type ThresholdedForestOptions } from '../src/index.ts';
import { testRandom } from './invariants.ts';

/** A noisy daily wave. */
const wave =
  (random: () => number) =>
  (t: number): number =>
    1000 + 300 * Math.sin((2 * Math.PI * t) / 48) + 20 * (random() + random() + random() - 1.5);

const make = (options: Partial<ThresholdedForestOptions> = {}): ThresholdedForest =>
  new ThresholdedForest({
    dimensions: 8,
    shingleSize: 8,
    randomSeed: 1,
    transform: 'NORMALIZE',
    autoAdjust: true,
    ...options,
  });

test('a spike is an alarm that names what was expected and which coordinate it was', () => {
  const value = wave(testRandom(1));
  const forest = make();
  for (let t = 0; t < 2000; t++) forest.process([value(t)]);
  const result = forest.process([4000], 77);
  assert.ok(result.grade > 0.5, `grade ${result.grade}`);
  assert.ok(result.score > result.threshold);
  assert.ok(result.confidence > 0.99);
  assert.equal(result.timestamp, 77);
  assert.ok(Math.abs(result.expected![0]! - value(2000)) < 150, `expected ${result.expected}`);
  const { high } = result.attribution!;
  assert.equal(high.indexOf(Math.max(...high)), 7);
});

test('one spike gives one run of alarms, though it stays in the shingle', () => {
  const value = wave(testRandom(2));
  const forest = make();
  for (let t = 0; t < 1500; t++) forest.process([value(t)]);
  assert.ok(forest.process([4000]).grade > 0);
  const after = Array.from({ length: 7 }, (_, k) => forest.process([value(1501 + k)]));
  assert.deepEqual(
    after.map(({ grade }) => grade),
    [0, 0, 0, 0, 0, 0, 0],
  );
  assert.ok(after.some(({ correction }) => correction === 'ANOMALY_IN_SHINGLE'));
});

test('an ordinary stream raises few alarms', () => {
  const value = wave(testRandom(3));
  const forest = make();
  let alarms = 0;
  for (let t = 0; t < 5000; t++) if (forest.process([value(t)]).grade > 0) alarms++;
  assert.ok(alarms <= 10, `${alarms} alarms`);
});

test('every transform scores a stream and finds the spike', () => {
  for (const transform of [
    'NONE',
    'WEIGHTED',
    'SUBTRACT_MA',
    'NORMALIZE',
    'DIFFERENCE',
    'NORMALIZE_DIFFERENCE',
  ] as const) {
    const value = wave(testRandom(4));
    const forest = make({ transform, weights: [2] });
    for (let t = 0; t < 1500; t++) forest.process([value(t)]);
    assert.ok(forest.process([6000]).grade > 0, transform);
  }
});

test('deviations near the expected value are ignored where the caller says so', () => {
  const run = (ignoreNearExpected: ThresholdedForestOptions['ignoreNearExpected']): string | undefined => {
    const value = wave(testRandom(5));
    const forest = make(ignoreNearExpected ? { ignoreNearExpected } : {});
    for (let t = 0; t < 1500; t++) forest.process([value(t)]);
    return forest.process([1900]).correction;
  };
  assert.equal(run(undefined), undefined);
  assert.equal(run({ amountAbove: 2000 }), 'FORECAST');
  assert.equal(run({ ratioAbove: 3 }), 'FORECAST');
  assert.equal(run({ amountBelow: 2000 }), undefined);
});

test('bad options and records are refused, and the forest goes on as before', () => {
  assert.throws(() => make({ zFactor: 1 }), { code: 'INVALID_OPTION', message: /zFactor/ });
  assert.throws(() => make({ weights: [1, 2] }), { code: 'INVALID_OPTION', message: /weights/ });
  assert.throws(() => make({ transform: 'LOG' as 'NONE' }), { code: 'INVALID_OPTION', message: /transform/ });
  assert.throws(() => make({ startNormalization: 0 }), { code: 'INVALID_OPTION', message: /startNormalization/ });
  const [a, b] = [make(), make()];
  const value = wave(testRandom(6));
  for (let t = 0; t < 300; t++) {
    const record = [value(t)];
    for (const bad of [[Number.NaN], [], [1, 2], [1e39]])
      assert.throws(() => a.process(bad), { code: 'INVALID_POINT' });
    assert.equal(a.process(record).score, b.process(record).score);
  }
});
