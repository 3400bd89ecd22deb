import assert from 'node:assert/strict';
import test from 'node:test';
import { eventually, ManualClock } from '@headrace/testing';
import { Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka';
import { startBroker } from '../src/index.ts';
import { PartitionLog } from '../src/log/partition-log.ts';
import { addPartitionsToTxn } from '../src/protocol/messages/add-partitions-to-txn.ts';
import { heartbeat } from '../src/protocol/messages/heartbeat.ts';
import { initProducerId } from '../src/protocol/messages/init-producer-id.ts';
import { metadata } from '../src/protocol/messages/metadata.ts';
import { Writer } from '../src/protocol/writer.ts';
import { batchOf, fetchFrom, produceTo } from './conformance/helpers.ts';
import { ClassicMember, Member } from './conformance/members.ts';
import { ShareMember } from './conformance/share-member.ts';
import { ClosedError, RawClient } from './raw-client.ts';

test('what is produced is consumed, each partition in order', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders', partitions: 3 }] });
  const client = { clientId: 'test', bootstrapBrokers: [broker.bootstrapServers] };
  const producer = new Producer({ ...client, serializers: stringSerializers });
  const messages = Array.from({ length: 60 }, (_, index) => ({
    topic: 'orders',
    key: `k${index % 7}`,
    value: `${index}`,
  }));
  await producer.send({ messages });
  await producer.close();

  const consumer = new Consumer({ ...client, groupId: 'readers', deserializers: stringDeserializers });
  const stream = await consumer.consume({ topics: ['orders'], mode: 'earliest', autocommit: false });
  const byKey = new Map<string, number[]>();
  let count = 0;
  for await (const { key, value } of stream) {
    byKey.set(key, [...(byKey.get(key) ?? []), Number(value)]);
    if (++count === messages.length) break;
  }
  await consumer.close(true);
  for (const values of byKey.values())
    assert.deepEqual(
      values,
      [...values].sort((left, right) => left - right),
    );
});

test('a broker is ready at once (the benchmark has the figure)', async () => {
  const times: number[] = [];
  for (let start = 0; start < 5; start++) {
    const from = performance.now();
    await using broker = await startBroker({ topics: [{ name: 'orders', partitions: 4 }] });
    times.push(performance.now() - from);
    using client = await RawClient.connect(broker.bootstrapServers);
    assert.equal((await client.send(metadata, 12, { topics: [{ name: 'orders' }] })).topics[0]!.errorCode, 0);
  }
  // 50 ms on a quiet machine; this one may be busy, so only what no load explains fails.
  assert.ok(Math.min(...times) < 500, times.join());
});

test('a fetch hands out the bytes where they are stored', async () => {
  const log = new PartitionLog();
  for (let index = 0; index < 50; index++) log.append(batchOf(['x'.repeat(100_000)]), 0, 0);
  const { slices, bytes } = log.read(0, log.endOffset, Number.MAX_SAFE_INTEGER, true);
  assert.ok(bytes > 50 * 100_000 && slices.length > 1);
  const stored = new Set(log.segments.map((segment) => segment.bytes.buffer));
  for (const slice of slices) assert.ok(stored.has(slice.buffer));
  // And so does the answer: what is sent are these slices, in a frame written around them.
  const writer = new Writer();
  writer.int32(0);
  writer.byteString(slices, true);
  const parts = writer.parts();
  for (const slice of slices) assert.ok(parts.includes(slice));
});

test('after stop nothing is left that would keep a process alive', async () => {
  const clock = new ManualClock(Date.now());
  const broker = await startBroker({ clock, topics: [{ name: 'orders', partitions: 2 }] });
  const clients: RawClient[] = [];
  const connect = async (): Promise<RawClient> => {
    const client = await RawClient.connect(broker.bootstrapServers);
    clients.push(client);
    return client;
  };
  const client = await connect();
  const topicId = (await client.send(metadata, 12, { topics: [{ name: 'orders' }] })).topics[0]!.topicId!;
  const member = new Member(client, 'modern', 'orders', topicId);
  await member.follow();
  const classic = new ClassicMember(client, 'classic', 'orders');
  await classic.join();
  await classic.sync([0, 1]);
  const share = new ShareMember(client, 'share', 'orders', topicId);
  await share.joined();
  await share.fetch({ maxWaitMs: 0 });
  await produceTo(client, 'orders', batchOf(['a']));
  assert.deepEqual((await share.fetchSome()).acquired, [[0, 0, 1]]);
  const { producerId, producerEpoch } = await client.send(initProducerId, 4, {
    transactionalId: 't',
    transactionTimeoutMs: 60_000,
    producerId: -1,
    producerEpoch: -1,
  });
  const begun = await client.send(addPartitionsToTxn, 3, {
    v3AndBelowTransactionalId: 't',
    v3AndBelowProducerId: producerId!,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: [{ name: 'orders', partitions: [0] }],
  });
  assert.equal(begun.resultsByTopicV3AndBelow![0]!.resultsByPartition[0]!.partitionErrorCode, 0);
  broker.control.slow('orders', 1, 1000);
  broker.faults.add({ api: 'Heartbeat', delayMs: 1000 });
  const before = clock.pending;
  assert.ok(before >= 8, `${before} timers`);
  // Requests that wait: for records, for a slow partition, for another member, for a delay.
  const waiting: Promise<unknown>[] = [];
  for (const ask of [
    (other: RawClient) => fetchFrom(other, 'orders', 1, { maxWaitMs: 60_000 }),
    (other: RawClient) => produceTo(other, 'orders', batchOf(['b']), { partition: 1 }),
    (other: RawClient) => new ClassicMember(other, 'classic', 'orders').join(),
    (other: RawClient) => other.send(heartbeat, 4, { groupId: 'classic', memberId: classic.id, groupInstanceId: null }),
  ]) {
    waiting.push(assert.rejects(ask(await connect()), ClosedError));
  }
  // The delay's, the long poll's, the slow partition's and the rebalance's timers have come.
  await eventually(() => clock.pending >= before + waiting.length);
  await broker.stop();
  await Promise.all(waiting);
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(clock.pending, 0);
  for (const each of clients) each[Symbol.dispose]();
});

test('an illegal option is refused by its name', async () => {
  await assert.rejects(startBroker({ port: 70_000 }), /port must be a whole number from 0 to 65535/);
  await assert.rejects(startBroker({ nodes: 0 }), /nodes must be/);
  await assert.rejects(startBroker({ configs: { 'auto.create.topics': true } }), /unknown broker setting/);
  await assert.rejects(startBroker({ topics: [{ name: 'no spaces' }] }), /contains one or more characters other than/);
});

test('a port that is taken is told, and nothing stays open', async () => {
  await using broker = await startBroker();
  await assert.rejects(startBroker({ port: broker.nodes[0]!.port }), /EADDRINUSE/);
});
