import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ChaosProxy, eventually, type Kafka, needs, startKafka } from '@headrace/testing';
import { Admin, Consumer } from '@platformatic/kafka';
import type { GroupConsumerOptions } from '../../src/kafka/contract.ts';
import type { GroupProtocol } from '../../src/kafka/group-consumer.ts';
import { createTopics, produce, Recorder } from './harness.ts';

const numbers = (topic: string, from: number, to: number, partitions: number) =>
  Array.from({ length: to - from }, (_, index) => ({
    topic,
    partition: (from + index) % partitions,
    value: String(from + index),
  }));

/** Values that are missing or came more often than once. */
function faults(seen: readonly (string | null)[], count: number): string[] {
  const times = new Array<number>(count).fill(0);
  for (const value of seen) times[Number(value)]!++;
  return times.flatMap((time, number) => (time === 1 ? [] : [`${number} came ${time} times`]));
}

/** Of members by KIP-848; the others name theirs. */
const SESSION_MILLISECONDS = 3_000;

describe('a consumer in trouble, on Apache Kafka', { skip: needs('java', 'maven') }, () => {
  let kafka: Kafka;
  let proxy: ChaosProxy;
  before(async () => {
    proxy = await ChaosProxy.start();
    kafka = await startKafka({
      proxyPort: proxy.port,
      properties: { 'group.consumer.session.timeout.ms': SESSION_MILLISECONDS },
    });
    proxy.target = kafka.listeners.proxied;
  });
  after(async () => {
    await proxy.stop();
    await kafka.stop();
  });

  const consume = (
    topic: string,
    options: Partial<GroupConsumerOptions> = {},
    through: { proxied?: boolean; groupProtocol?: GroupProtocol } = {},
  ): Recorder =>
    new Recorder(
      { bootstrapServers: [through.proxied ? proxy.address : kafka.bootstrapServers] },
      { topics: [topic], groupId: `${topic}-group`, sessionTimeoutMilliseconds: 6_000, ...options },
      { groupProtocol: through.groupProtocol ?? 'classic', requestTimeoutMilliseconds: 5_000 },
    ).start();

  for (const groupProtocol of ['classic', 'consumer'] as const) {
    test(`connections that are cut all the time lose and double nothing (${groupProtocol})`, async () => {
      const topic = `cut-${groupProtocol}`;
      await createTopics(kafka.bootstrapServers, [topic], 3);
      await using reader = consume(topic, {}, { proxied: true, groupProtocol });
      await eventually(() => reader.consumer.partitions.length === 3);
      proxy.behaviour.cutAfterMs = [20, 200];
      proxy.cutAll();
      let sent = 0;
      while (sent < 3000) {
        await produce(kafka.bootstrapServers, numbers(topic, sent, sent + 100, 3));
        sent += 100;
      }
      await eventually(() => reader.count >= sent, { timeoutMs: 20_000 });
      proxy.behaviour.cutAfterMs = undefined;
      const results = await reader.commit();
      assert.deepEqual(
        results.map(({ kind }) => kind),
        ['committed', 'committed', 'committed'],
      );
      assert.deepEqual(
        faults(
          reader.records.map(({ value }) => value),
          sent,
        ),
        [],
      );
      assert.deepEqual(reader.lost, []);
      assert.ok(proxy.cut > 5, `only ${proxy.cut} connections were cut`);
    });

    test(`a member that the network swallowed loses its partitions, and comes back (${groupProtocol})`, async () => {
      const topic = `swallowed-${groupProtocol}`;
      await createTopics(kafka.bootstrapServers, [topic], 2);
      await produce(kafka.bootstrapServers, numbers(topic, 0, 10, 2));
      const options = { sessionTimeoutMilliseconds: 1_500 };
      await using reader = consume(topic, options, { proxied: true, groupProtocol });
      await eventually(() => reader.count === 10);
      proxy.behaviour.blackHole = true;
      await eventually(() => reader.lost.length === 2, { timeoutMs: 20_000 });
      assert.deepEqual(reader.consumer.partitions, []);
      assert.deepEqual(
        (await reader.commit(reader.lost)).map(({ kind }) => kind),
        ['fenced', 'fenced'],
      );
      await eventually(() => reader.status !== undefined);
      proxy.release();
      await eventually(() => reader.consumer.partitions.length === 2, { timeoutMs: 30_000 });
      await eventually(() => reader.status === undefined, { timeoutMs: 20_000 });
      // Nothing was committed before: the same records come again, with a higher epoch.
      await eventually(() => reader.count === 20);
      assert.ok(reader.assigned[2]!.epoch > reader.assigned[1]!.epoch);
    });
  }

  for (const groupProtocol of ['classic', 'consumer'] as const) {
    test(`a member that slept through its session has its commit refused, by the broker's code (${groupProtocol})`, async () => {
      const topic = `slept-${groupProtocol}`;
      await createTopics(kafka.bootstrapServers, [topic], 2);
      await produce(kafka.bootstrapServers, numbers(topic, 0, 10, 2));
      await using reader = consume(topic, { sessionTimeoutMilliseconds: 3_000 }, { groupProtocol });
      await eventually(() => reader.count === 10);
      // As a stopped process: no heartbeat, no timer, nothing is read. The commit is the first thing that it does then.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SESSION_MILLISECONDS + 1_500);
      const refused = await reader.commit();
      const reasons = refused.map((result) => (result.kind === 'fenced' ? result.reason : result.kind));
      // Heartbeats go over another connection: with KIP-848 the member may have joined anew under its id by then.
      const codes = groupProtocol === 'classic' ? ['UNKNOWN_MEMBER_ID'] : ['UNKNOWN_MEMBER_ID', 'STALE_MEMBER_EPOCH'];
      assert.equal(reasons.length, 2);
      for (const reason of reasons) assert.ok(codes.includes(reason), reason);
      await eventually(() => reader.lost.length === 2, { timeoutMs: 20_000 });
      // Nothing was committed: all of it comes again, and by the new assignment a commit counts.
      await eventually(() => reader.count === 20, { timeoutMs: 30_000 });
      assert.deepEqual(
        (await reader.commit()).map(({ kind }) => kind),
        ['committed', 'committed'],
      );
    });
  }

  test('a second process with the same instance id fences the first, which stops', async () => {
    const topic = 'static';
    await createTopics(kafka.bootstrapServers, [topic], 2);
    await using first = consume(topic, { groupInstanceId: 'one' });
    await eventually(() => first.consumer.partitions.length === 2);
    await using second = consume(topic, { groupInstanceId: 'one' });
    await eventually(() => second.consumer.partitions.length === 2);
    await eventually(() => first.status?.code === 'KAFKA_FENCED');
    assert.equal(first.lost.length, 2);
    assert.deepEqual(first.consumer.partitions, []);
  });

  test('a static member that restarts gets its partitions back without disturbing others', async () => {
    const topic = 'restart-static';
    await createTopics(kafka.bootstrapServers, [topic], 4);
    await using other = consume(topic, { groupInstanceId: 'other' });
    await eventually(() => other.consumer.partitions.length === 4);
    let mine: number[];
    {
      await using first = consume(topic, { groupInstanceId: 'mine' });
      await eventually(() => first.consumer.partitions.length === 2 && other.consumer.partitions.length === 2);
      mine = first.consumer.partitions.map(({ partition }) => partition).sort();
    }
    const revoked = other.revoked.length;
    await using again = consume(topic, { groupInstanceId: 'mine' });
    await eventually(() => again.consumer.partitions.length === 2);
    assert.deepEqual(again.consumer.partitions.map(({ partition }) => partition).sort(), mine);
    assert.equal(other.revoked.length, revoked);
    assert.deepEqual(other.lost, []);
  });

  test('a group that is eager already is joined eagerly, and records go to both members', async () => {
    const topic = 'eager';
    await createTopics(kafka.bootstrapServers, [topic], 4);
    // It knows round robin alone, and stops the world for each rebalance.
    const theirs = new Consumer({
      groupId: `${topic}-group`,
      clientId: 'test',
      bootstrapBrokers: [kafka.bootstrapServers],
      heartbeatInterval: 300,
      sessionTimeout: 6_000,
      rebalanceTimeout: 10_000,
    });
    const seen: string[] = [];
    try {
      const stream = await theirs.consume({
        topics: [topic],
        mode: 'committed',
        fallbackMode: 'earliest',
        autocommit: true,
      });
      stream.on('data', (message) => void seen.push(message.value!.toString()));
      await using ours = consume(topic);
      await eventually(() => ours.consumer.partitions.length === 2, { timeoutMs: 20_000 });
      await produce(kafka.bootstrapServers, numbers(topic, 0, 400, 4));
      // That client may read its own part twice; ours does not, and together nothing is missing.
      await eventually(
        () => ours.count >= 200 && new Set([...seen, ...ours.records.map(({ value }) => value!)]).size >= 400,
        { timeoutMs: 20_000 },
      );
      const values = ours.records.map(({ value }) => value!);
      assert.equal(new Set([...seen, ...values]).size, 400);
      assert.equal(new Set(values).size, 200);
      assert.equal(ours.count, 200);
    } finally {
      await theirs.close(true);
    }
  });

  test('records that expired before they were read are passed over, and reported', async () => {
    const topic = 'expired';
    await createTopics(kafka.bootstrapServers, [topic], 1);
    await produce(kafka.bootstrapServers, numbers(topic, 0, 100, 1));
    {
      await using first = consume(topic);
      await eventually(() => first.count === 100);
      first.onRevoking = () =>
        first.consumer.commit([{ topic, partition: 0, offset: 10, leaderEpoch: 0, metadata: '' }]);
    }
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] });
    try {
      await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 60n }] }] });
    } finally {
      await admin.close();
    }
    await using second = consume(topic);
    await eventually(() => second.count === 40, {
      what: () => `${second.count} ${second.status} ${JSON.stringify(second.skipped)} ${second.records[0]?.offset}`,
    });
    assert.equal(second.records[0]!.offset, 60);
    assert.deepEqual(
      second.skipped.map(({ from, to }) => [from, to]),
      [[10, 60]],
    );
    assert.match(second.skipped[0]!.reason, /expired/);
  });

  test('a commit beyond the end of the log is reset by the starting position, and reported', async () => {
    const topic = 'beyond';
    await createTopics(kafka.bootstrapServers, [topic], 1);
    await produce(kafka.bootstrapServers, numbers(topic, 0, 5, 1));
    {
      await using first = consume(topic);
      await eventually(() => first.count === 5);
      first.onRevoking = () =>
        first.consumer.commit([{ topic, partition: 0, offset: 900, leaderEpoch: -1, metadata: '' }]);
    }
    await using second = consume(topic);
    await eventually(() => second.count === 5);
    assert.equal(second.lost.length, 1);
    assert.ok(second.assigned[1]!.epoch > second.assigned[0]!.epoch);
    assert.deepEqual(
      second.skipped.map(({ from, to }) => [from, to]),
      [[0, 900]],
    );
  });

  test('partitions that are added later are read from their beginning, also with LATEST', async () => {
    const topic = 'grown';
    await createTopics(kafka.bootstrapServers, [topic], 1);
    await using reader = consume(topic, { startingPosition: { kind: 'LATEST' } });
    await eventually(() => reader.consumer.partitions.length === 1);
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] });
    try {
      await admin.createPartitions({ topics: [{ name: topic, count: 3, assignments: null }] });
    } finally {
      await admin.close();
    }
    await eventually(async () => {
      await produce(kafka.bootstrapServers, [{ topic, partition: 2, value: 'first' }]);
      return true;
    });
    await eventually(() => reader.consumer.partitions.length === 3, { timeoutMs: 20_000 });
    await eventually(() => reader.records.some(({ partition, offset }) => partition === 2 && offset === 0));
  });

  test('a listener that does not give up in time loses the partitions, and the group goes on', async () => {
    const topic = 'stubborn';
    await createTopics(kafka.bootstrapServers, [topic], 2);
    await using first = consume(topic, { rebalanceTimeoutMilliseconds: 2_000 });
    await eventually(() => first.consumer.partitions.length === 2);
    first.onRevoking = () => new Promise(() => {});
    await using second = consume(topic, { rebalanceTimeoutMilliseconds: 2_000 });
    await eventually(() => second.consumer.partitions.length === 1, { timeoutMs: 20_000 });
    assert.equal(first.lost.length, 1);
    first.onRevoking = async () => {};
  });

  test('a broker that crashes and comes back loses and doubles nothing', async () => {
    const topic = 'crash';
    await createTopics(kafka.bootstrapServers, [topic], 2);
    await using reader = consume(topic);
    await produce(kafka.bootstrapServers, numbers(topic, 0, 1000, 2));
    await eventually(() => reader.count === 1000);
    await kafka.kill();
    await eventually(() => reader.status !== undefined);
    await kafka.restart();
    // Nothing has to be written for it to be well again.
    await eventually(() => reader.status === undefined, { timeoutMs: 30_000, what: () => `still ${reader.status}` });
    await eventually(() => produce(kafka.bootstrapServers, numbers(topic, 1000, 1500, 2)).then(() => true), {
      timeoutMs: 30_000,
    });
    await eventually(() => reader.count >= 1500, { timeoutMs: 30_000 });
    const results = await reader.commit();
    assert.deepEqual(
      results.map(({ kind }) => kind),
      ['committed', 'committed'],
    );
    await eventually(() => reader.status === undefined, { what: () => `still ${reader.status}` });
    const values = new Set(reader.records.map(({ value }) => value));
    assert.equal(values.size, 1500);
  });
});
