import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { type Broker, type BrokerOptions, startBroker } from '@headrace/dev-broker';
import { eventually } from '@headrace/testing';
import { Admin } from '@platformatic/kafka';
import { Cluster } from '../../src/kafka/cluster.ts';
import type { GroupConsumerOptions } from '../../src/kafka/contract.ts';
import type { PartitionReader } from '../../src/kafka/partition-reader.ts';
import { responseMemory } from '../../src/kafka/receive-memory.ts';
import { createTopics, produce, Recorder } from './harness.ts';

const start = (options: BrokerOptions = {}): Promise<Broker> =>
  startBroker({
    nodes: 3,
    topics: [{ name: 't', partitions: 3 }],
    configs: { 'group.min.session.timeout.ms': 500 },
    ...options,
  });

const consume = (broker: Broker, options: Partial<GroupConsumerOptions> = {}): Recorder =>
  new Recorder(
    { bootstrapServers: broker.bootstrapServers.split(',') },
    { topics: ['t'], groupId: 'g', sessionTimeoutMilliseconds: 6_000, ...options },
    { requestTimeoutMilliseconds: 3_000 },
  ).start();

const send = (broker: Broker, from: number, to: number): Promise<void> =>
  produce(
    broker.bootstrapServers.split(',')[0]!,
    Array.from({ length: to - from }, (_, index) => ({
      topic: 't',
      partition: (from + index) % 3,
      value: String(from + index),
    })),
  );

/** Every number below `count` came, and within a partition the offsets only rise. */
function assertComplete(reader: Recorder, count: number): void {
  const values = new Set(reader.records.map(({ value }) => Number(value)));
  const missing = Array.from({ length: count }, (_, number) => number).filter((number) => !values.has(number));
  assert.deepEqual(missing, []);
  const last = new Map<number, number>();
  for (const { partition, offset } of reader.records) {
    assert.ok(offset > (last.get(partition) ?? -1), `offset ${offset} of partition ${partition} out of order`);
    last.set(partition, offset);
  }
}

test('leaders that move under load lose and double nothing', async () => {
  await using broker = await start();
  await using reader = consume(broker);
  let sent = 0;
  for (let round = 0; round < 12; round++) {
    await send(broker, sent, sent + 60);
    sent += 60;
    broker.control.electLeader('t', round % 3, 1 + (round % broker.nodes.length));
  }
  await eventually(() => reader.count >= sent, { what: () => `${reader.count} of ${sent}: ${reader.status?.message}` });
  assertComplete(reader, sent);
  assert.equal(reader.count, sent);
  assert.deepEqual(reader.lost, []);
});

test('a node that stops hands its partitions to others, and reading goes on', async () => {
  await using broker = await start();
  await using reader = consume(broker);
  await send(broker, 0, 90);
  await eventually(() => reader.count === 90);
  await broker.stopNode(3);
  await eventually(() => send(broker, 90, 180).then(() => true));
  await eventually(() => new Set(reader.records.map(({ value }) => value)).size === 180, { timeoutMs: 15_000 });
  await broker.startNode(3);
  const results = await reader.commit();
  assert.ok(results.every(({ kind }) => kind === 'committed'));
});

test('a coordinator that moves keeps the member, its partitions and its commits', async () => {
  await using broker = await start();
  await using reader = consume(broker);
  await send(broker, 0, 30);
  await eventually(() => reader.count === 30);
  for (const node of [1, 2, 3, 1]) {
    broker.control.moveCoordinator('group', 'g', node);
    const results = await reader.commit();
    assert.deepEqual(
      results.map(({ kind }) => kind),
      ['committed', 'committed', 'committed'],
    );
  }
  assert.deepEqual(reader.lost, []);
  await eventually(() => reader.status === undefined);
});

test('a log that a new leader has shorter is noticed: what was read is reported, what takes its place is read', async () => {
  await using broker = await start({ topics: [{ name: 't', partitions: 1 }] });
  await using reader = consume(broker);
  const one = (from: number, to: number): Promise<void> =>
    produce(
      broker.bootstrapServers.split(',')[0]!,
      Array.from({ length: to - from }, (_, index) => ({ topic: 't', partition: 0, value: `${from + index}` })),
    );
  for (let round = 0; round < 10; round++) await one(round * 10, round * 10 + 10);
  await eventually(() => reader.count === 100);
  broker.control.truncate('t', 0, 60);
  await one(1000, 1070);
  await eventually(() => reader.records.some(({ value }) => value === '1069'));
  assert.equal(reader.lost.length, 1);
  assert.deepEqual(
    reader.skipped.map(({ from, to }) => [from, to]),
    [[60, 100]],
  );
  assert.match(reader.skipped[0]!.reason, /truncated/);
  const again = reader.records.filter(({ value }) => Number(value) >= 1000);
  assert.deepEqual(
    again.map(({ offset }) => offset),
    Array.from({ length: 70 }, (_, index) => 60 + index),
  );
});

test('trouble with finding the ends of a log is over once they are found', async () => {
  await using broker = await start({ topics: [{ name: 't', partitions: 1 }], nodes: 1 });
  await produce(broker.bootstrapServers, [{ topic: 't', partition: 0, value: 'v' }]);
  {
    await using first = consume(broker);
    await eventually(() => first.count === 1);
    first.onRevoking = () =>
      first.consumer.commit([{ topic: 't', partition: 0, offset: 900, leaderEpoch: -1, metadata: '' }]);
  }
  broker.faults.add({ api: 'ListOffsets', error: 'UNKNOWN_SERVER_ERROR', times: 6 });
  await using second = consume(broker);
  await eventually(() => second.status !== undefined);
  await eventually(() => second.count === 1);
  await eventually(() => second.status === undefined, { what: () => `still ${second.status}` });
});

test('a topic that is made anew is read from its beginning, and that is told', async () => {
  await using broker = await start({ topics: [{ name: 't', partitions: 1 }], nodes: 1 });
  await using reader = consume(broker);
  const values = (name: string, count: number) =>
    Array.from({ length: count }, (_, index) => ({ topic: 't', partition: 0, value: `${name} ${index}` }));
  await produce(broker.bootstrapServers, values('old', 30));
  await eventually(() => reader.count === 30);
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [broker.bootstrapServers] });
  await admin.deleteTopics({ topics: ['t'] });
  await admin.close();
  await createTopics(broker.bootstrapServers, ['t'], 1);
  await produce(broker.bootstrapServers, values('new', 100));
  await eventually(() => reader.count >= 130 && reader.records.at(-1)?.value === 'new 99');
  assert.deepEqual(
    reader.records.slice(30).map(({ value }) => value),
    values('new', 100).map(({ value }) => value),
  );
  assert.deepEqual(
    reader.skipped.map(({ from, to, reason }) => [from, to, reason]),
    [[0, 30, 'the topic was made anew']],
  );
  assert.equal(reader.lost.length, 1);
});

test('a member whose session ended is told at its next commit, and joins anew', async () => {
  await using broker = await start();
  await using reader = consume(broker, { sessionTimeoutMilliseconds: 6_000 });
  await eventually(() => reader.consumer.partitions.length === 3);
  const member = broker.control.group('g')!.members[0]!;
  const before = [...reader.consumer.partitions];
  assert.equal(broker.control.expireMember('g', member), true);
  assert.deepEqual(
    (await reader.commit()).map(({ kind }) => kind),
    ['fenced', 'fenced', 'fenced'],
  );
  await eventually(() => reader.lost.length === 3);
  assert.deepEqual(reader.lost.map(({ epoch }) => epoch).sort(), before.map(({ epoch }) => epoch).sort());
  await eventually(() => reader.consumer.partitions.length === 3);
  assert.ok(reader.consumer.partitions.every(({ epoch }) => before.every((old) => epoch > old.epoch)));
});

test('a member whose name is taken by another while it joins goes on without the name', async () => {
  await using broker = await start();
  const refused = broker.faults.add({ api: 'JoinGroup', error: 'FENCED_INSTANCE_ID', times: 1 });
  await using reader = new Recorder(
    { bootstrapServers: broker.bootstrapServers.split(',') },
    { topics: ['t'], groupId: 'g', restartIdentity: 'copied', sessionTimeoutMilliseconds: 6_000 },
    { groupProtocol: 'classic' },
  ).start();
  await eventually(() => reader.consumer.partitions.length === 3);
  assert.equal(refused.hits, 1);
  await eventually(() => reader.status === undefined);
});

test('a static member waits while another lives under its name, says so, and takes its place (KIP-848)', async () => {
  await using broker = await start({ configs: { 'group.consumer.heartbeat.interval.ms': 500 } });
  const member = (): Recorder =>
    new Recorder(
      { bootstrapServers: broker.bootstrapServers.split(',') },
      { topics: ['t'], groupId: 'g', groupInstanceId: 'one' },
      { groupProtocol: 'consumer' },
    ).start();
  const first = member();
  await eventually(() => first.consumer.partitions.length === 3);
  await using second = member();
  await eventually(() => second.status?.code === 'KAFKA_FENCED');
  assert.match(second.status!.message, /UNRELEASED_INSTANCE_ID/);
  assert.deepEqual([first.consumer.partitions.length, first.lost.length], [3, 0]);
  await first.close();
  await eventually(() => second.consumer.partitions.length === 3, { timeoutMs: 20_000 });
  await eventually(() => second.status === undefined);
});

test('a commit that waits while its partition goes and comes back is given up: it would rewind', async () => {
  await using broker = await start({ topics: [{ name: 't', partitions: 1 }], nodes: 1 });
  await using reader = consume(broker, { sessionTimeoutMilliseconds: 6_000 });
  await send(broker, 0, 30);
  await eventually(() => reader.positions.get('t/0')?.offset === 30);
  // It does not reach the coordinator for now: the commit of 30 is tried again and again.
  const fault = broker.faults.add({ api: 'OffsetCommit', cut: 'before' });
  const commit = reader.consumer.commit([{ topic: 't', partition: 0, offset: 30, leaderEpoch: -1, metadata: '' }]);
  await eventually(() => fault.hits > 0);
  const [member] = broker.control.group('g')!.members;
  assert.equal(broker.control.expireMember('g', member!), true);
  await eventually(() => reader.lost.length === 1 && reader.consumer.partitions.length === 1, { timeoutMs: 20_000 });
  fault.remove();
  assert.deepEqual(await commit, [{ kind: 'fenced', reason: 'NOT_ASSIGNED' }]);
  assert.equal(broker.control.group('g')!.offsets['t']?.[0], undefined);
});

test('a commit that waits while the log loses its records is given up: its offset means something else now', async () => {
  await using broker = await start({ topics: [{ name: 't', partitions: 1 }], nodes: 1 });
  await using reader = consume(broker);
  // A batch each: what is cut off begins at a batch.
  for (let sent = 0; sent < 30; sent += 10) await send(broker, sent, sent + 10);
  await eventually(() => reader.positions.get('t/0')?.offset === 30);
  const fault = broker.faults.add({ api: 'OffsetCommit', cut: 'before' });
  const commit = reader.commit();
  await eventually(() => fault.hits > 0);
  broker.control.truncate('t', 0, 20);
  await eventually(() => reader.lost.length === 1 && reader.consumer.partitions.length === 1, { timeoutMs: 20_000 });
  fault.remove();
  assert.deepEqual(await commit, [{ kind: 'fenced', reason: 'NOT_ASSIGNED' }]);
  assert.equal(broker.control.group('g')!.offsets['t']?.[0], undefined);
});

test('a broker that answers nothing any more does not hold up the end', async () => {
  await using broker = await start({ configs: { 'group.consumer.heartbeat.interval.ms': 500 } });
  // With the time that requests usually have: half a minute.
  const reader = new Recorder({ bootstrapServers: broker.bootstrapServers.split(',') }, { topics: ['t'] }).start();
  await send(broker, 0, 3);
  await eventually(() => reader.count === 3);
  reader.onRevoking = async () => {};
  const heartbeats = broker.faults.add({ api: 'ConsumerGroupHeartbeat', blackHole: true });
  await eventually(() => heartbeats.hits > 0);
  broker.faults.add({ blackHole: true });
  let isClosed = false;
  void reader.close().then(() => {
    isClosed = true;
  });
  await eventually(() => isClosed, { timeoutMs: 8_000 });
});

test('what is still being opened at the end is given up, not waited for', async () => {
  await using broker = await start({ nodes: 1 });
  broker.faults.add({ api: 'ApiVersions', blackHole: true });
  const cluster = new Cluster({ bootstrapServers: [broker.bootstrapServers] });
  const refreshed = cluster.refresh(['t']).then(
    () => 'answered',
    () => 'given up',
  );
  await eventually(() => broker.connections.length > 0);
  cluster.close();
  assert.equal(await Promise.race([refreshed, setTimeout(2_000, 'waited for', { ref: false })]), 'given up');
});

test('a partition that hangs holds back no other', async () => {
  await using broker = await start({ nodes: 1 });
  await using reader = consume(broker);
  await send(broker, 0, 30);
  await eventually(() => reader.count === 30);
  broker.control.pause('t', 0);
  const others = Array.from({ length: 40 }, (_, index) => ({ topic: 't', partition: 1 + (index % 2), value: 'x' }));
  for (let round = 0; round < 5; round++) {
    await produce(broker.bootstrapServers, others);
    await eventually(() => reader.count === 30 + 40 * (round + 1));
  }
  broker.control.resume('t', 0);
});

test('what the whole process holds stops fetching, but for the least that an empty partition needs', async (t) => {
  await using broker = await start({ nodes: 1, topics: [{ name: 't', partitions: 2 }] });
  // Others hold all that may be held: 512 MB, of which no byte is touched.
  const others = responseMemory.take(512 << 20);
  t.after(() => others.release());
  await using reader = new Recorder({ bootstrapServers: [broker.bootstrapServers] }, { topics: ['t'] }).start();
  reader.isTaking = false;
  await eventually(() => reader.consumer.partitions.length === 2);
  const batch = Array.from({ length: 10 }, () => ({ topic: 't', partition: 0, value: 'x'.repeat(1000) }));
  for (let i = 0; i < 60; i++) await produce(broker.bootstrapServers, batch);
  const [first, second] = [0, 1].map((index) => reader.consumer.partitions.find((each) => each.partition === index)!);
  await eventually(() => first!.bufferedBytes > 0);
  await produce(broker.bootstrapServers, [{ topic: 't', partition: 1, value: 'through' }]);
  await eventually(() => second!.bufferedBytes > 0);
  assert.ok(first!.bufferedBytes < 80_000, `${first!.bufferedBytes}`);
  // Slowly, but on it goes.
  reader.isTaking = true;
  reader.drain();
  await eventually(() => reader.count === 601, { what: () => `${reader.count}` });
});

test('with a rack, records come from the nearest replica', async () => {
  await using broker = await start({ racks: ['a', 'b', 'c'] });
  const bootstrapServers = broker.bootstrapServers.split(',');
  await using reader = new Recorder({ bootstrapServers, rackId: 'b' }, { topics: ['t'] }).start();
  await send(broker, 0, 30);
  await eventually(() => reader.count === 30);
  await send(broker, 30, 60);
  await eventually(() => reader.count === 60);
  assertComplete(reader, 60);
  // Node 2 leads one partition and was named by the leaders of the other two.
  const nearest = reader.consumer.partitions.map((partition) => (partition as PartitionReader).preferredReplica);
  assert.deepEqual(nearest.sort(), [-1, 2, 2]);
});

for (const seed of [1, 2, 3, 4]) {
  test(`wrong answers, delays and cut connections at random lose nothing (seed ${seed})`, async () => {
    const apis = ['Fetch', 'Metadata', 'OffsetCommit', 'OffsetFetch', 'FindCoordinator', 'Heartbeat', 'ListOffsets'];
    await using faulty = await start({ faults: { seed, rate: 0.15, apis } });
    await using reader = consume(faulty);
    // The producer's requests are hit as well, now and then as often as it tries: once more does no harm here.
    for (let sent = 0; sent < 600; sent += 60) await eventually(() => send(faulty, sent, sent + 60).then(() => true));
    await eventually(() => new Set(reader.records.map(({ value }) => value)).size === 600, {
      timeoutMs: 20_000,
      what: () => `${reader.count} records, ${reader.status?.message}`,
    });
    await eventually(async () => (await reader.commit()).every(({ kind }) => kind === 'committed'), {
      timeoutMs: 20_000,
    });
  });
}
