import assert from 'node:assert/strict';
import test from 'node:test';
import { eventually, ManualClock } from '@headrace/testing';
import { Admin, Consumer, Producer, stringSerializers } from '@platformatic/kafka';
import { Kafka, logLevel } from 'kafkajs';
import { type Broker, startBroker } from '../src/index.ts';
import { metadata } from '../src/protocol/messages/metadata.ts';
import { produce as produceApi } from '../src/protocol/messages/produce.ts';
import { batchOf, fetchFrom, produceTo } from './conformance/helpers.ts';
import { ClosedError, encodeRequest, RawClient, readValues } from './raw-client.ts';

const clientOf = (broker: Broker) => ({
  clientId: 'test',
  bootstrapBrokers: broker.bootstrapServers.split(','),
  retries: 5,
  retryDelay: 20,
});
const produce = async (broker: Broker, count: number): Promise<void> => {
  const producer = new Producer({ ...clientOf(broker), serializers: stringSerializers });
  for (let index = 0; index < count; index++)
    await producer.send({ messages: [{ topic: 'orders', value: `${index}` }] });
  await producer.close();
};
const endOffsets = (broker: Broker): number =>
  broker.control.topic('orders')!.reduce((sum, { endOffset }) => sum + endOffset, 0);

test('an error is answered so often as was asked, and nothing of the request is done', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders' }] });
  const fault = broker.faults.add({ api: 'Produce', topic: 'orders', error: 'KAFKA_STORAGE_ERROR', times: 2 });
  const producer = new Producer({ ...clientOf(broker), retries: 0, serializers: stringSerializers });
  for (let attempt = 0; attempt < 2; attempt++) {
    await assert.rejects(producer.send({ messages: [{ topic: 'orders', value: 'lost' }] }));
  }
  assert.equal(fault.hits, 2);
  assert.equal(endOffsets(broker), 0);
  await producer.send({ messages: [{ topic: 'orders', value: 'kept' }] });
  await producer.close();
  assert.equal(endOffsets(broker), 1);
});

test('a cut before the request loses it, a cut after it only the answer', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders' }] });
  for (const [cut, expected] of [
    ['before', 0],
    ['after', 1],
  ] as const) {
    const producer = new Producer({ ...clientOf(broker), retries: 0, serializers: stringSerializers });
    broker.faults.add({ api: 'Produce', cut, times: 1 });
    await assert.rejects(producer.send({ messages: [{ topic: 'orders', value: cut }] }));
    await producer.close();
    assert.equal(endOffsets(broker), expected, cut);
  }
});

test('a delay holds a request back on the broker clock', async () => {
  const clock = new ManualClock(Date.now());
  await using broker = await startBroker({ clock, topics: [{ name: 'orders' }] });
  const producer = new Producer({ ...clientOf(broker), serializers: stringSerializers });
  const fault = broker.faults.add({ api: 'Produce', topic: 'orders', delayMs: 60_000, times: 1 });
  const sent = producer.send({ messages: [{ topic: 'orders', value: 'late' }] });
  while (fault.hits === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(endOffsets(broker), 0);
  await clock.advance(60_000);
  await sent;
  assert.equal(endOffsets(broker), 1);
  await producer.close();
});

test('a member is expired on purpose and joins again', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders', partitions: 2 }] });
  const consumer = new Consumer({
    ...clientOf(broker),
    groupId: 'readers',
    heartbeatInterval: 50,
    sessionTimeout: 6000,
  });
  const joined: string[] = [];
  consumer.on('consumer:group:join', ({ memberId }: { memberId: string }) => joined.push(memberId));
  const stream = await consumer.consume({ topics: ['orders'] });
  const [member] = broker.control.group('readers')!.members;
  assert.equal(broker.control.expireMember('readers', member!), true);
  while (joined.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.notEqual(joined[1], member);
  await stream.close();
  await consumer.close(true);
});

test('a session timeout passes when the clock says so', async () => {
  const clock = new ManualClock(Date.now());
  await using broker = await startBroker({ clock, topics: [{ name: 'orders' }] });
  const consumer = new Kafka({ brokers: [broker.bootstrapServers], logLevel: logLevel.NOTHING }).consumer({
    groupId: 'readers',
    sessionTimeout: 30_000,
    heartbeatInterval: 10_000,
  });
  await consumer.connect();
  await consumer.subscribe({ topics: ['orders'] });
  await consumer.run({ eachMessage: async () => undefined });
  while (broker.control.group('readers')?.state !== 'Stable') await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(29_000);
  assert.equal(broker.control.group('readers')!.members.length, 1);
  await clock.advance(1_001);
  assert.equal(broker.control.group('readers')!.members.length, 0);
  // Its long poll ends on the broker's clock too.
  let isClosed = false;
  const closed = consumer.disconnect().then(() => (isClosed = true));
  while (!isClosed) await clock.advance(10_000);
  await closed;
});

test('leaders move between nodes and clients follow', async () => {
  await using broker = await startBroker({ nodes: 3, topics: [{ name: 'orders', partitions: 3 }] });
  assert.deepEqual(new Set(broker.control.topic('orders')!.map(({ leader }) => leader)), new Set([1, 2, 3]));
  await produce(broker, 6);
  for (const { partition } of broker.control.topic('orders')!) broker.control.electLeader('orders', partition, 2);
  await produce(broker, 6);
  assert.equal(endOffsets(broker), 12);
  await broker.stopNode(2);
  const states = broker.control.topic('orders')!;
  assert.ok(states.every(({ leader, leaderEpoch }) => leader !== 2 && leaderEpoch === 2));
  await produce(broker, 6);
  assert.equal(endOffsets(broker), 18);
  const admin = new Admin(clientOf(broker));
  assert.equal((await admin.metadata({ topics: [] })).brokers.size, 2);
  await admin.close();
});

test('a truncated log is told to readers beyond its end', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders' }] });
  await produce(broker, 10);
  broker.control.truncate('orders', 0, 4);
  const [state] = broker.control.topic('orders')!;
  assert.equal(state!.endOffset, 4);
  assert.equal(state!.leaderEpoch, 1);
});

test('a paused partition gives and takes nothing until it is resumed', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders' }] });
  broker.control.pause('orders', 0);
  let isDone = false;
  const produced = produce(broker, 1).then(() => (isDone = true));
  await broker.nodes[0];
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isDone, false);
  broker.control.resume('orders', 0);
  await produced;
  assert.equal(endOffsets(broker), 1);
});

test('a slow partition gives and takes late, the others do not', async () => {
  const clock = new ManualClock(Date.now());
  await using broker = await startBroker({ clock, topics: [{ name: 'orders', partitions: 2 }] });
  using slow = await RawClient.connect(broker.bootstrapServers);
  using fast = await RawClient.connect(broker.bootstrapServers);
  const read = async (client: RawClient, partition: number): Promise<number> =>
    readValues((await fetchFrom(client, 'orders', 0, { partition, maxWaitMs: 0 })).records).length;
  broker.control.slow('orders', 0, 30_000);
  let isWritten = false;
  const written = produceTo(slow, 'orders', batchOf(['a'])).then(() => (isWritten = true));
  assert.equal((await produceTo(fast, 'orders', batchOf(['b']), { partition: 1 })).errorCode, 0);
  assert.deepEqual([await read(fast, 1), isWritten], [1, false]);
  await clock.advance(30_000);
  await written;
  assert.equal(await read(fast, 0), 0);
  // A long poll that waits for it is answered when the record can be read.
  const polled = fetchFrom(slow, 'orders', 0, { maxWaitMs: 300_000 });
  await eventually(() => clock.pending > 1);
  await clock.advance(30_000);
  assert.equal(readValues((await polled).records).length, 1);
  const late = produceTo(slow, 'orders', batchOf(['c']));
  await eventually(() => broker.control.topic('orders')![0]!.endOffset === 1);
  broker.control.slow('orders', 0, 0);
  assert.equal((await late).baseOffset, 1);
  assert.equal(await read(fast, 0), 2);
});

test('a black hole takes a connection and leaves it open; others are served, and a client that gives up too', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders' }] });
  using swallowed = await RawClient.connect(broker.bootstrapServers);
  using other = await RawClient.connect(broker.bootstrapServers);
  const fault = broker.faults.add({ api: 'Produce', clientId: 'raw', blackHole: true, times: 1 });
  let isAnswered = false;
  const sent = produceTo(swallowed, 'orders', batchOf(['lost'])).finally(() => (isAnswered = true));
  const refused = assert.rejects(sent, ClosedError);
  await eventually(() => fault.hits === 1);
  // Not this connection, whatever it asks; every other one.
  swallowed.tell(metadata, 9, { topics: [] });
  assert.equal((await produceTo(other, 'orders', batchOf(['kept']))).errorCode, 0);
  assert.deepEqual(
    [isAnswered, swallowed.isClosed, broker.connections.length, endOffsets(broker)],
    [false, false, 2, 1],
  );
  broker.disconnect();
  await refused;

  const producer = new Producer({
    ...clientOf(broker),
    // So long that a busy machine answers what is not swallowed: a second try of that would be a second record.
    requestTimeout: 2000,
    retries: 3,
    serializers: stringSerializers,
  });
  broker.faults.add({ api: 'Produce', blackHole: true, times: 1 });
  await producer.send({ messages: [{ topic: 'orders', value: 'again' }] });
  assert.equal(endOffsets(broker), 2);
  await producer.close();
});

test('a dropped answer: the request is done, what follows on the connection is answered', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders' }] });
  using client = await RawClient.connect(broker.bootstrapServers);
  const fault = broker.faults.add({ api: 'Produce', topic: 'orders', drop: 'answer', times: 1 });
  const topicData = [{ name: 'orders', partitionData: [{ index: 0, records: batchOf(['there']) }] }];
  client.tell(produceApi, 9, { acks: -1, timeoutMs: 1000, transactionalId: null, topicData });
  const frame = await client.exchange(encodeRequest(metadata, 9, { topics: [] } as never, 77));
  assert.equal(frame.readInt32BE(0), 77);
  assert.deepEqual([fault.hits, endOffsets(broker)], [1, 1]);
});

test('a cut after N bytes sends exactly so many of the answer', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders' }] });
  const received = async (): Promise<Buffer> => {
    using client = await RawClient.connect(broker.bootstrapServers);
    const chunks: Buffer[] = [];
    client.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    client.tell(metadata, 9, { topics: [{ name: 'orders' }] });
    await client.closed();
    return Buffer.concat(chunks);
  };
  const cutAt = async (bytes: number): Promise<Buffer> => {
    const fault = broker.faults.add({ api: 'Metadata', cut: 'after', bytes });
    const part = await received();
    fault.remove();
    return part;
  };
  const whole = await cutAt(1_000_000);
  assert.equal(whole.length, 4 + whole.readInt32BE(0));
  for (const bytes of [0, 1, 3, 4, 11, whole.length - 1, whole.length]) {
    assert.deepEqual(await cutAt(bytes), whole.subarray(0, bytes), `${bytes} bytes`);
  }
  // Before: nothing at all, and nothing is done.
  const fault = broker.faults.add({ api: 'Metadata', cut: 'before' });
  assert.equal((await received()).length, 0);
  fault.remove();
  using client = await RawClient.connect(broker.bootstrapServers);
  assert.equal((await client.send(metadata, 9, { topics: [{ name: 'orders' }] })).topics[0]!.errorCode, 0);
});

test('a seeded plan repeats exactly, and records get through it', async () => {
  const runs: string[] = [];
  for (let run = 0; run < 2; run++) {
    const seen: string[] = [];
    await using broker = await startBroker({
      topics: [{ name: 'orders' }],
      faults: { seed: 42, rate: 0.3, kinds: ['cut', 'delay'], apis: ['Produce'], maximumDelayMs: 5 },
    });
    const producer = new Producer({ ...clientOf(broker), retries: 0, serializers: stringSerializers });
    for (let index = 0; index < 40; index++) {
      const result = await producer.send({ messages: [{ topic: 'orders', value: `${index}` }] }).then(
        () => 'sent',
        () => 'refused',
      );
      seen.push(result);
    }
    await producer.close();
    // A cut may come after the append: then the record is there, but nobody was told.
    const end = endOffsets(broker);
    assert.ok(end >= seen.filter((result) => result === 'sent').length && end < seen.length);
    runs.push(`${seen.join()} ${end}`);
  }
  assert.equal(runs[0], runs[1]);
  assert.match(runs[0]!, /refused/);
});

test('a rule that makes no sense is refused', async () => {
  await using broker = await startBroker();
  assert.throws(() => broker.faults.add({ api: 'Fetsch', delayMs: 1 }), /unknown API 'Fetsch'/);
  assert.throws(() => broker.faults.add({ partition: 1, delayMs: 1 }), /partition needs a topic/);
  assert.throws(() => broker.faults.add({ delayMs: -1 }), /delayMs must be 0 or more/);
  assert.throws(() => broker.faults.add({} as { delayMs: number }), /a fault is one of/);
  await assert.rejects(startBroker({ faults: { seed: 1, rate: 2 } }), /rate must be from 0 to 1/);
  await assert.rejects(async () => broker.stopNode(1), /is the last one/);
});
