import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually, type Kafka, needs, startKafka, temporaryFolder } from '@headrace/testing';
import { Cluster } from '../../src/kafka/cluster.ts';
import type { PartitionReader } from '../../src/kafka/partition-reader.ts';
import { produce, Recorder } from './harness.ts';

const PARTITIONS = 3;
const groupOf = (topic: string): string => `${topic}-group`;

describe('two brokers of Apache Kafka', { skip: needs('java', 'maven') }, () => {
  let kafka: Kafka;
  let second: Kafka;
  let cluster: Cluster;
  let folder: string;
  before(async () => {
    folder = temporaryFolder('reassignments');
    const selector = 'org.apache.kafka.common.replica.RackAwareReplicaSelector';
    kafka = await startKafka({ properties: { 'broker.rack': 'a', 'replica.selector.class': selector } });
    second = await kafka.addBroker({ properties: { 'broker.rack': 'b' } });
    cluster = new Cluster({ bootstrapServers: [kafka.bootstrapServers] });
  });
  after(async () => {
    cluster?.close();
    await kafka?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const javaTool = (className: string, ...args: string[]): Promise<unknown> =>
    kafka.javaTool(`org.apache.kafka.tools.${className}`, ['--bootstrap-server', kafka.bootstrapServers, ...args]);

  /** `replicas` as the tool wants them: `1:2` has the leader 1 and the follower 2. */
  async function createTopic(topic: string, replicas: string): Promise<void> {
    const assignment = new Array(PARTITIONS).fill(replicas).join();
    await javaTool('TopicCommand', '--create', '--topic', topic, '--replica-assignment', assignment);
  }

  /** Moves the topic's leaders and its group's coordinator: the coordinator leads the log of the group's offsets. */
  async function moveTo(nodeId: number, topic: string): Promise<void> {
    const file = join(folder, `${topic}-${nodeId}.json`);
    const partitions = [
      { topic: '__consumer_offsets', partition: 0, replicas: [nodeId] },
      ...Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition, replicas: [nodeId] })),
    ];
    writeFileSync(file, JSON.stringify({ version: 1, partitions }));
    await javaTool('reassign.ReassignPartitionsCommand', '--reassignment-json-file', file, '--execute');
    await eventually(async () => {
      await cluster.refresh([topic]);
      const leaders = Array.from({ length: PARTITIONS }, (_, partition) => cluster.leaderOf(topic, partition)?.nodeId);
      const coordinator = await cluster.coordinator(groupOf(topic)).catch(() => -1);
      return coordinator === nodeId && leaders.every((leader) => leader === nodeId);
    });
  }

  const send = (topic: string, from: number, to: number): Promise<void> =>
    produce(
      kafka.bootstrapServers,
      Array.from({ length: to - from }, (_, index) => ({
        topic,
        partition: (from + index) % PARTITIONS,
        value: String(from + index),
      })),
    );

  function assertEachOnce(reader: Recorder, count: number): void {
    const seen = reader.records.map(({ value }) => Number(value)).sort((one, other) => one - other);
    assert.deepEqual(
      seen,
      Array.from({ length: count }, (_, number) => number),
    );
  }

  for (const [groupProtocol, from, to] of [
    ['classic', 1, 2],
    ['consumer', 2, 1],
  ] as const) {
    test(`a coordinator and leaders that move keep the member, its partitions and its commits (${groupProtocol})`, async () => {
      const topic = `moved-${groupProtocol}`;
      await createTopic(topic, String(from));
      const consume = (): Recorder =>
        new Recorder(
          { bootstrapServers: [kafka.bootstrapServers] },
          { topics: [topic], groupId: groupOf(topic), sessionTimeoutMilliseconds: 10_000 },
          { groupProtocol, requestTimeoutMilliseconds: 5_000 },
        ).start();
      let sent = 300;
      await eventually(() => send(topic, 0, sent).then(() => true));
      {
        await using reader = consume();
        await eventually(() => reader.count === sent, { timeoutMs: 20_000 });
        await moveTo(to, topic);
        const results = await reader.commit();
        assert.deepEqual(
          results.map(({ kind }) => kind),
          ['committed', 'committed', 'committed'],
        );
        await send(topic, sent, sent + 300);
        sent += 300;
        await eventually(() => reader.count >= sent, { timeoutMs: 20_000 });
        assert.deepEqual(reader.lost, []);
        assertEachOnce(reader, sent);
        // Heartbeats too have found the coordinator: the member is still the group's only one.
        await eventually(() => reader.status === undefined);
        assert.equal(reader.assigned.length, PARTITIONS);
      }
      await using next = consume();
      await eventually(() => next.consumer.partitions.length === PARTITIONS, { timeoutMs: 20_000 });
      assert.deepEqual(
        next.consumer.partitions.map(({ startOffset }) => startOffset),
        new Array(PARTITIONS).fill(sent / PARTITIONS),
      );
    });
  }

  test('with a rack, a follower is read from, and the leader again when the follower is gone', async () => {
    const topic = 'racks';
    await createTopic(topic, '1:2');
    await eventually(() => send(topic, 0, 300).then(() => true));
    await using reader = new Recorder(
      { bootstrapServers: [kafka.bootstrapServers] },
      { topics: [topic], groupId: groupOf(topic), rackId: 'b' },
      { requestTimeoutMilliseconds: 5_000 },
    ).start();
    await eventually(() => reader.count === 300, { timeoutMs: 20_000 });
    await send(topic, 300, 600);
    await eventually(() => reader.count === 600, { timeoutMs: 20_000 });
    const replicas = (): number[] =>
      reader.consumer.partitions.map((partition) => {
        const { preferredReplica, preferredUntil } = partition as PartitionReader;
        return preferredUntil > performance.now() ? preferredReplica : -1;
      });
    assert.deepEqual(replicas(), [2, 2, 2]);
    await second.stop();
    await eventually(() => send(topic, 600, 900).then(() => true));
    await eventually(() => reader.count >= 900, { timeoutMs: 20_000 });
    assertEachOnce(reader, 900);
    assert.deepEqual(replicas(), [-1, -1, -1]);
  });
});
