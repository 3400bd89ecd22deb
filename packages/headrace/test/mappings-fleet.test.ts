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

  // One goes in peace: what it has in flight is finished, nothing comes twice.
  second.kill('SIGTERM');
  const [code] = (await once(second, 'exit')) as [number | null];
  assert.equal(code, 0);
  const afterLeave = ledger.records;
  await eventually(() => ledger.records > afterLeave + 500, { timeoutMs: 40_000, what: 'records after a leave' });
  assert.equal(ledger.duplicates, 0, 'a leave repeats nothing');

  // One is killed while another is there.
  fleet.startEngine();
  const beforeJoin = ledger.records;
  await eventually(() => ledger.records > beforeJoin + 500, { timeoutMs: 40_000, what: 'records after a join' });
  assert.equal(ledger.duplicates, 0, 'a join repeats nothing');
  ledger.longestStall = 0;
  first.kill('SIGKILL');
  await fleet.stopProducing();
  const records = await fleet.records();
  await eventually(() => ledger.records === records, {
    timeoutMs: 60_000,
    what: () => `${ledger.records} of ${records}`,
  });
  console.log(ledger.describe(records, REPETITIONS_A_CRASH));
  assert.equal(ledger.outOfOrder, 0);
  assert.ok(ledger.duplicates <= REPETITIONS_A_CRASH);
  // Session timeout, then a heartbeat until the other hears of its new partitions.
  assert.ok(ledger.longestStall < 15_000);
});
