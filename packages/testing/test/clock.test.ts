import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../src/index.ts';

test('timers of a manual clock run in order of time, at their time, and only when it is moved', async () => {
  const clock = new ManualClock(1_000);
  const ran: [string, number][] = [];
  clock.setTimeout(() => ran.push(['late', clock.now()]), 50);
  clock.setTimeout(() => ran.push(['early', clock.now()]), 10);
  clock.clearTimeout(clock.setTimeout(() => ran.push(['cleared', clock.now()]), 20));
  assert.equal(clock.nextTimerAt, 1_010);
  await clock.advance(10);
  assert.deepEqual(ran, [['early', 1_010]]);
  await clock.advance(100);
  assert.deepEqual(ran[1], ['late', 1_050]);
  assert.equal(clock.now(), 1_110);
  assert.equal(clock.pending, 0);
});

test('a sleeper that sleeps again within one move is woken again', async () => {
  const clock = new ManualClock(0);
  const woken: number[] = [];
  const sleeper = (async () => {
    for (let i = 0; i < 3; i += 1) {
      await clock.sleep(10);
      woken.push(clock.now());
    }
  })();
  await clock.advance(35);
  await sleeper;
  assert.deepEqual(woken, [10, 20, 30]);
});
