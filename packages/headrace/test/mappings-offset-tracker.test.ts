import assert from 'node:assert/strict';
import test from 'node:test';
import { SeededRandom, testSeed } from '@headrace/testing';
import { OffsetTracker } from '../src/mappings/offset-tracker.ts';

/** The same, said slowly: a set of settled offsets. */
class Model {
  readonly settled = new Set<number>();
  position: number;
  readonly start: number;

  constructor(start: number) {
    this.start = start;
    this.position = start;
  }

  get lowWaterMark(): number {
    let mark = this.start;
    while (mark < this.position && this.settled.has(mark)) mark++;
    return mark;
  }
}

test('the offset tracker agrees with a set of offsets, whatever completes in whatever order', () => {
  const seed = testSeed();
  const random = new SeededRandom(seed);
  for (let run = 0; run < 500; run++) {
    const start = random.integer(0, 50);
    const tracker = new OffsetTracker(start, run);
    const model = new Model(start);
    for (let step = 0; step < 60; step++) {
      if (random.chance(0.4)) {
        const to = model.position + random.integer(0, 12);
        tracker.advance(to);
        model.position = to;
      } else {
        const from = random.integer(Math.max(0, start - 3), model.position);
        const to = random.integer(from, model.position);
        assert.equal(tracker.settle(from, to), true);
        for (let offset = Math.max(from, start); offset < to; offset++) model.settled.add(offset);
      }
      const about = `seed ${seed}, run ${run}, step ${step}`;
      assert.equal(tracker.lowWaterMark, model.lowWaterMark, about);
      assert.equal(tracker.position, model.position, about);
      for (let offset = start; offset < model.position + 2; offset++)
        assert.equal(tracker.isSettled(offset), model.settled.has(offset), `${about}, offset ${offset}`);
    }
  }
});

test('settling an offset that was never handed out is a defect, because a commit could pass an unseen record', () => {
  const tracker = new OffsetTracker(10, 1);
  tracker.advance(20);
  assert.throws(() => tracker.settle(15, 21), RangeError);
  assert.equal(tracker.lowWaterMark, 10);
});

test('a closed tracker ignores late results, and a new assignment starts at what was committed', () => {
  const tracker = new OffsetTracker(10, 1);
  tracker.advance(20);
  tracker.settle(10, 12);
  tracker.close();
  assert.equal(tracker.settle(12, 20), false);
  assert.equal(tracker.lowWaterMark, 12);
  assert.equal(tracker.acknowledge(12), 0);
  const next = new OffsetTracker(12, 2);
  assert.equal(next.lowWaterMark, 12);
  assert.equal(next.isSettled(11), true);
  assert.equal(next.isSettled(12), false);
});

test('an acknowledged commit counts by how much it rose, gaps included, and never goes back', () => {
  const tracker = new OffsetTracker(5, 1);
  tracker.advance(100);
  assert.equal(tracker.acknowledge(25), 20);
  assert.equal(tracker.acknowledge(15), 0);
  assert.equal(tracker.committed, 25);
});
