import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually, type Kafka, needs, startKafka, temporaryFolder } from '@headrace/testing';
import { Cluster } from '../../src/kafka/cluster.ts';
import { LATEST_OFFSET } from '../../src/kafka/metadata-requests.ts';
import { lookUpOffsets } from '../../src/kafka/offset-lookup.ts';
import type { PartitionReader } from '../../src/kafka/partition-reader.ts';
import { produce, Recorder } from './harness.ts';

const PARTITIONS = 3;
const indexes = Array.from({ length: PARTITIONS }, (_, partition) => partition);
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
    await eventually(() => ready(topic));
  }

  /**
   * The leaders that the metadata names answer as such. Before that the producer would try again, and write twice what
   * another leader had taken the first time.
   */
  async function ready(topic: string): Promise<boolean> {
    const queries = indexes.map((partition) => ({ topic, partition, timestamp: LATEST_OFFSET }));
    await cluster.refresh([topic]);
    await lookUpOffsets(cluster, 'test', queries, 0);
    return true;
  }

  /** Moves the topic's leaders and its group's coordinator: the coordinator leads the log of the group's offsets. */
  async function moveTo(nodeId: number, topic: string): Promise<void> {
    const file = join(folder, `${topic}-${nodeId}.json`);
    const partitions = [
      { topic: '__consumer_offsets', partition: 0, replicas: [nodeId] },
      ...indexes.map((partition) => ({ topic, partition, replicas: [nodeId] })),
    ];
    writeFileSync(file, JSON.stringify({ version: 1, partitions }));
    await javaTool('reassign.ReassignPartitionsCommand', '--reassignment-json-file', file, '--execute');
    await eventually(async () => {
      await ready(topic);
      const coordinator = await cluster.coordinator(groupOf(topic));
      return coordinator === nodeId && indexes.every((index) => cluster.leaderOf(topic, index)?.nodeId === nodeId);
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
      await send(topic, 0, sent);
      {
        await using reader = consume();
        await eventually(() => reader.count === sent, {
          timeoutMs: 20_000,
          what: () => `${reader.count} of ${sent} records: ${reader.status?.message}`,
        });
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
    await send(topic, 0, 300);
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
    await send(topic, 600, 900);
    await eventually(() => reader.count >= 900, { timeoutMs: 20_000 });
    assertEachOnce(reader, 900);
    assert.deepEqual(replicas(), [-1, -1, -1]);
  });
});
