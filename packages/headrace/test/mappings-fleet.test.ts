import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import { eventually, needs } from '@headrace/testing';
import { Fleet, REPETITIONS_A_CRASH } from './support/fleet.ts';

test('engines share a topic, hand over without a repetition, and one takes over after a kill -9: nothing lost, order kept', {
  skip: needs('java', 'maven'),
  timeout: 170_000,
}, async () => {
  await using fleet = await Fleet.start();
  const { ledger } = fleet;
  const [first, second] = [fleet.startEngine(), fleet.startEngine()];
  await eventually(() => ledger.records > 500, { timeoutMs: 40_000, what: 'the first records' });
  const works = (engine: typeof first): Promise<unknown> =>
    eventually(() => fleet.partitionsOf(engine) > 0, { timeoutMs: 40_000, what: 'a share for each engine' });
  await Promise.all([works(first), works(second)]);

  // One goes in peace: what it has in flight is finished, nothing comes twice.
  second.kill('SIGTERM');
  const [code] = (await once(second, 'exit')) as [number | null];
  assert.equal(code, 0);
  const afterLeave = ledger.records;
  await eventually(() => ledger.records > afterLeave + 500, { timeoutMs: 40_000, what: 'records after a leave' });
  assert.equal(ledger.duplicates, 0, 'a leave repeats nothing');

  // One is killed while another is there.
  const third = fleet.startEngine();
  await works(third);
  const beforeJoin = ledger.records;
  await eventually(() => ledger.records > beforeJoin + 500, { timeoutMs: 40_000, what: 'records after a join' });
  assert.equal(ledger.duplicates, 0, 'a join repeats nothing');
  first.kill('SIGKILL');
  const killedAt = performance.now();
  const ends = await fleet.ends();
  // What comes after the kill is handled on every partition, those of the dead one included.
  await eventually(() => [...ends].every(([name, end]) => ledger.handled.get(name)?.has(end)), {
    timeoutMs: 30_000,
    what: () => `all partitions: ${[...ends].map(([name, end]) => `${name} ${ledger.handled.get(name)?.has(end)}`)}`,
  });
  const takeover = performance.now() - killedAt;
  await fleet.stopProducing();
  const records = await fleet.records();
  await eventually(() => ledger.records === records, {
    timeoutMs: 60_000,
    what: () => `${ledger.records} of ${records}`,
  });
  console.log(`${ledger.describe(records, REPETITIONS_A_CRASH)}, taken over after ${Math.round(takeover)} ms`);
  assert.equal(ledger.outOfOrder, 0);
  assert.ok(ledger.duplicates <= REPETITIONS_A_CRASH);
  assert.ok(takeover > 1000, 'the dead one had no partitions: nothing was taken over');
  // The session of 6 s, then a heartbeat until the other hears of its new partitions; a busy machine takes its time.
  assert.ok(takeover < 20_000, `${takeover} ms`);
});
