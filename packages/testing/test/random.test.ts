import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../src/index.ts';

test('the same seed gives the same draws, another seed others', () => {
  const draws = (seed: number): number[] => {
    const random = new SeededRandom(seed);
    return Array.from({ length: 20 }, () => random.next());
  };
  assert.deepEqual(draws(7), draws(7));
  assert.notDeepEqual(draws(7), draws(8));
});

test('draws are spread evenly, whole numbers reach both ends, gaussians have mean 0 and deviation 1', () => {
  const random = new SeededRandom(1);
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 100_000; i += 1) counts[random.integer(0, 9)]! += 1;
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, `${counts}`);
  const values = Array.from({ length: 100_000 }, () => random.gaussian());
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  assert.ok(Math.abs(mean) < 0.02 && Math.abs(variance - 1) < 0.03, `mean ${mean}, variance ${variance}`);
});

test('a shuffle keeps every item', () => {
  const items = Array.from({ length: 50 }, (_, i) => i);
  const shuffled = new SeededRandom(3).shuffle(items);
  assert.notDeepEqual(shuffled, items);
  assert.deepEqual(
    shuffled.toSorted((a, b) => a - b),
    items,
  );
});
