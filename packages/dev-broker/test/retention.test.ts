import assert from 'node:assert/strict';
import test from 'node:test';
import { type RecordInput, writeBatch } from '@headrace/kafka-records';
import { ManualClock } from '@headrace/testing';
import { startBroker } from '../src/index.ts';
import { fetchFrom, produceTo } from './conformance/helpers.ts';
import { RawClient, readValues } from './raw-client.ts';

const HOUR = 3_600_000;

test('a compacted topic keeps the latest value of each key, under its offset', async () => {
  const clock = new ManualClock(Date.now());
  const configs = { 'cleanup.policy': 'compact', 'delete.retention.ms': HOUR };
  await using broker = await startBroker({ clock, topics: [{ name: 'state', configs }] });
  using client = await RawClient.connect(broker.bootstrapServers);
  const put = async (records: RecordInput[], compression: 'none' | 'zstd' = 'none') => {
    const stamped = records.map((record) => ({ ...record, timestamp: clock.now() }));
    const { errorCode } = await produceTo(client, 'state', writeBatch({ records: stamped, compression }));
    assert.equal(errorCode, 0);
  };
  await put(
    [
      { key: 'a', value: 'a1' },
      { key: 'b', value: 'b1' },
      { key: 'c', value: 'c1' },
    ],
    'zstd',
  );
  await put([{ key: 'a', value: 'a2' }]);
  await put([
    { key: 'b', value: null },
    { key: 'a', value: 'a3' },
  ]);
  assert.equal(broker.control.compact('state', 0), true);
  const read = async () =>
    readValues((await fetchFrom(client, 'state', 0)).records).map(({ offset, value }) => `${offset}${value}`);
  assert.deepEqual(await read(), ['2c1', '4', '5a3']);
  assert.equal((await fetchFrom(client, 'state', 0)).highWatermark, 6);
  // A reader in the middle of a hole goes on behind it.
  const [next] = readValues((await fetchFrom(client, 'state', 3)).records);
  assert.equal(next!.offset, 4);
  await clock.advance(HOUR);
  await put([{ key: 'd', value: 'd1' }]);
  broker.control.compact('state', 0);
  assert.deepEqual(await read(), ['2c1', '5a3', '6d1']);
  const keyless = await produceTo(client, 'state', writeBatch({ records: [{ value: 'x', timestamp: clock.now() }] }));
  assert.equal(keyless.errorCode, 87);
});

test('old records go by age and by bytes, and the start says so', async () => {
  const clock = new ManualClock(Date.now());
  const configs = { 'retention.bytes': 3 << 20, 'retention.ms': HOUR };
  await using broker = await startBroker({ clock, topics: [{ name: 'orders', configs }] });
  using client = await RawClient.connect(broker.bootstrapServers);
  const value = 'x'.repeat(500_000);
  for (let index = 0; index < 20; index++) {
    await produceTo(client, 'orders', writeBatch({ records: [{ value, timestamp: clock.now() }] }));
  }
  const [state] = broker.control.topic('orders')!;
  assert.ok(state!.startOffset > 0 && state!.size < 5 << 20, `${state!.startOffset} ${state!.size}`);
  assert.equal((await fetchFrom(client, 'orders', 0)).errorCode, 1);
  await clock.advance(2 * HOUR);
  const [later] = broker.control.topic('orders')!;
  assert.deepEqual([later!.startOffset, later!.endOffset, later!.size], [20, 20, 0]);
});

test('memory is bounded over all topics', async () => {
  await using broker = await startBroker({ retentionBytes: 4 << 20, topics: [{ name: 'a' }, { name: 'b' }] });
  using client = await RawClient.connect(broker.bootstrapServers);
  for (let index = 0; index < 40; index++) {
    const records = [{ value: 'x'.repeat(300_000), timestamp: Date.now() }];
    assert.equal((await produceTo(client, index % 2 ? 'a' : 'b', writeBatch({ records }))).errorCode, 0);
  }
  const sizes = ['a', 'b'].map((name) => broker.control.topic(name)![0]!.size);
  assert.ok(sizes[0]! + sizes[1]! <= 4 << 20, String(sizes));
});
