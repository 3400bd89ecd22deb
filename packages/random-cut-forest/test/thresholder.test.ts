import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Thresholder, type ThresholderOptions } from '../src/thresholder.ts';

const make = (options: Partial<ThresholderOptions> = {}): Thresholder =>
  new Thresholder({
    timeDecay: 0.001,
    zFactor: 3,
    shingled: true,
    differencing: false,
    transformed: true,
    autoAdjust: false,
    absoluteThreshold: undefined,
    ...options,
  });

const feed = (thresholder: Thresholder, scores: readonly number[]): Thresholder => {
  let previous = 0;
  for (const score of scores) {
    thresholder.update(score, score, previous);
    previous = score;
  }
  return thresholder;
};
const constant = (score: number, count: number): number[] => new Array<number>(count).fill(score);

test('the first ten scores are held against 1.5, and graded by how far they pass the floor', () => {
  const thresholder = make();
  for (let k = 0; k < 10; k++) {
    const { bar } = thresholder;
    assert.equal(bar.threshold, 1.5);
    assert.equal(thresholder.grade(1.49, bar), 0);
    assert.equal(thresholder.grade(1.5, bar), 1);
    thresholder.update(0.5, 0.5, 0.5);
  }
  assert.equal(make({ absoluteThreshold: 2.5 }).bar.threshold, 2.5);
});

test('from ten to twenty scores the threshold moves from 1.5 to what the scores say, never below the floor', () => {
  const at = (count: number): number => feed(make({ shingled: false }), constant(0.9, count)).bar.threshold;
  assert.equal(at(10), 1.5);
  assert.ok(Math.abs(at(15) - 1.2) < 1e-9);
  assert.ok(Math.abs(at(20) - 0.9) < 1e-9);
  assert.equal(feed(make({ shingled: false }), constant(0.5, 30)).bar.threshold, 0.8);
});

test('the floor follows low scores when it adjusts itself, and not when the caller has set it', () => {
  const scores = constant(0.45, 30);
  assert.ok(Math.abs(feed(make({ shingled: false, autoAdjust: true }), scores).bar.threshold - 0.45) < 1e-9);
  assert.equal(feed(make({ shingled: false, autoAdjust: true, absoluteThreshold: 0.7 }), scores).bar.threshold, 0.7);
});

test('the factor shrinks with low scores of transformed values, not below 2', () => {
  const factor = (score: number, transformed: boolean): number =>
    feed(make({ transformed }), constant(score, 30)).bar.factor;
  assert.equal(factor(1, true), 3);
  assert.ok(Math.abs(factor(0.75, true) - 2.5) < 1e-9);
  assert.equal(factor(0.3, true), 2);
  assert.equal(factor(0.3, false), 3);
});

test('outliers raise the bar no further than a score of 2 does', () => {
  const noisy = Array.from({ length: 500 }, (_, k) => 0.7 + 0.1 * Math.sin(k));
  const withOutlier = (score: number): number => feed(make({ shingled: false }), [...noisy, score]).bar.threshold;
  assert.equal(withOutlier(8), withOutlier(2));
  assert.ok(withOutlier(2) > withOutlier(1));
});

test('grades go in steps of a sixteenth from 0 to 1', () => {
  const thresholder = feed(
    make({ shingled: false }),
    Array.from({ length: 500 }, (_, k) => 0.9 + 0.1 * Math.sin(k)),
  );
  const { bar } = thresholder;
  const grades = Array.from({ length: 200 }, (_, k) => thresholder.grade(bar.threshold - 0.1 + k * 0.005, bar));
  assert.ok(grades.every((grade) => Number.isInteger(grade * 16) && grade >= 0 && grade <= 1));
  assert.ok(grades.every((grade, k) => k === 0 || grade >= grades[k - 1]!));
  assert.equal(grades[0], 0);
  assert.equal(grades.at(-1), 1);
  assert.equal(thresholder.grade(bar.threshold, bar), 0);
});
