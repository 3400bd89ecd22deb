import assert from 'node:assert/strict';
import { createPartitions } from '../../src/protocol/messages/create-partitions.ts';
import { createTopics } from '../../src/protocol/messages/create-topics.ts';
import { deleteTopics } from '../../src/protocol/messages/delete-topics.ts';
import { describeCluster } from '../../src/protocol/messages/describe-cluster.ts';
import { describeConfigs } from '../../src/protocol/messages/describe-configs.ts';
import { describeLogDirs } from '../../src/protocol/messages/describe-log-dirs.ts';
import { describeTopicPartitions } from '../../src/protocol/messages/describe-topic-partitions.ts';
import { incrementalAlterConfigs } from '../../src/protocol/messages/incremental-alter-configs.ts';
import { metadata } from '../../src/protocol/messages/metadata.ts';
import type { RawClient } from '../raw-client.ts';
import type { Case } from './case.ts';
import { batchOf, connectTo, newTopic, produceTo } from './helpers.ts';

const TOPIC = 2;

const create = async (
  client: RawClient,
  name: string,
  options: { partitions?: number; factor?: number; configs?: Record<string, string>; validateOnly?: boolean } = {},
) => {
  const configs = Object.entries(options.configs ?? {}).map(([key, value]) => ({ name: key, value }));
  const { topics } = await client.send(createTopics, 7, {
    topics: [{ name, numPartitions: options.partitions ?? 1, replicationFactor: options.factor ?? 1, configs }],
    timeoutMs: 10_000,
    validateOnly: options.validateOnly ?? false,
  });
  return topics[0]!;
};

export const topicCases: Case[] = [
  {
    name: 'topics are created with defaults and refused with their own errors',
    run: async (target) => {
      using client = await connectTo(target);
      const name = target.name('made');
      const made = await create(client, name, { partitions: 3 });
      assert.deepEqual([made.errorCode, made.numPartitions, made.replicationFactor], [0, 3, 1]);
      assert.equal(made.configs!.find((config) => config.name === 'cleanup.policy')!.value, 'delete');
      assert.equal((await create(client, name)).errorCode, 36);
      assert.equal((await create(client, 'no spaces')).errorCode, 17);
      assert.equal((await create(client, 'x'.repeat(250))).errorCode, 17);
      assert.equal((await create(client, '..')).errorCode, 17);
      assert.equal((await create(client, target.name('none'), { partitions: 0 })).errorCode, 37);
      assert.equal((await create(client, target.name('copies'), { factor: 9 })).errorCode, 38);
      assert.equal((await create(client, target.name('bad'), { configs: { 'retention.ms': 'soon' } })).errorCode, 40);
      assert.equal((await create(client, target.name('bad'), { configs: { 'no.such.config': '1' } })).errorCode, 40);
      for (const [value, errorCode] of [
        ['9223372036854775807', 0],
        ['+007', 0],
        ['9223372036854775808', 40],
        ['7.0', 40],
        ['', 40],
      ] as const) {
        const configs = { 'message.timestamp.after.max.ms': value, 'flush.messages': value };
        assert.equal(
          (await create(client, target.name(`long${value.length}`), { configs })).errorCode,
          errorCode,
          value,
        );
      }
      const dotted = `${target.name('a.b')}.c`;
      assert.equal((await create(client, dotted)).errorCode, 0);
      assert.equal((await create(client, dotted.replaceAll('.', '_'))).errorCode, 17);
      const dry = target.name('dry');
      assert.equal((await create(client, dry, { validateOnly: true })).errorCode, 0);
      assert.equal((await client.send(metadata, 12, { topics: [{ name: dry }] })).topics[0]!.errorCode, 3);
    },
  },
  {
    name: 'a topic that is made anew has a new id',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const idOf = async () => (await client.send(metadata, 12, { topics: [{ name: topic }] })).topics[0]!;
      const first = (await idOf()).topicId!;
      const byId = await client.send(metadata, 12, { topics: [{ topicId: first, name: null }] });
      assert.equal(byId.topics[0]!.name, topic);
      const removed = await client.send(deleteTopics, 6, { topics: [{ name: topic }], timeoutMs: 10_000 });
      assert.equal(removed.responses[0]!.errorCode, 0);
      assert.equal(removed.responses[0]!.topicId, first);
      const deadline = Date.now() + 10_000;
      while ((await idOf()).errorCode !== 3) assert.ok(Date.now() < deadline);
      const gone = await client.send(metadata, 12, { topics: [{ topicId: first, name: null }] });
      assert.equal(gone.topics[0]!.errorCode, 100);
      let again = await create(client, topic);
      while (again.errorCode === 36 && Date.now() < deadline) again = await create(client, topic);
      assert.equal(again.errorCode, 0);
      assert.notEqual(again.topicId, first);
      const missing = await client.send(deleteTopics, 6, { topics: [{ name: target.name('gone') }], timeoutMs: 1000 });
      assert.equal(missing.responses[0]!.errorCode, 3);
    },
  },
  {
    name: 'partitions can be added, never taken away',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 2);
      const grow = async (count: number) =>
        (
          await client.send(createPartitions, 3, {
            topics: [{ name: topic, count, assignments: null }],
            timeoutMs: 10_000,
          })
        ).results[0]!.errorCode;
      assert.equal(await grow(2), 37);
      assert.equal(await grow(1), 37);
      assert.equal(await grow(4), 0);
      const deadline = Date.now() + 10_000;
      for (;;) {
        const { topics } = await client.send(metadata, 12, { topics: [{ name: topic }] });
        if (topics[0]!.partitions.length === 4) break;
        assert.ok(Date.now() < deadline);
      }
    },
  },
  {
    name: 'topic configs are described with their source, and changed all or nothing',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 1, { 'retention.ms': '1234567' });
      const describe = async (...configurationKeys: string[]) => {
        const { results } = await client.send(describeConfigs, 4, {
          resources: [{ resourceType: TOPIC, resourceName: topic, configurationKeys }],
        });
        assert.equal(results[0]!.errorCode, 0);
        return results[0]!.configs.map(({ name, value, configSource }) => [name, value, configSource]).sort();
      };
      assert.deepEqual(await describe('cleanup.policy', 'retention.ms'), [
        ['cleanup.policy', 'delete', 5],
        ['retention.ms', '1234567', 1],
      ]);
      const alter = async (...changes: [string, number, string | null][]) => {
        const configs = changes.map(([name, configOperation, value]) => ({ name, configOperation, value }));
        const { responses } = await client.send(incrementalAlterConfigs, 1, {
          resources: [{ resourceType: TOPIC, resourceName: topic, configs }],
        });
        return responses[0]!.errorCode;
      };
      assert.equal(await alter(['retention.ms', 0, '99'], ['segment.ms', 0, 'never']), 40);
      assert.equal(await alter(['no.such.config', 0, '99']), 40);
      assert.deepEqual(await describe('retention.ms'), [['retention.ms', '1234567', 1]]);
      assert.equal(await alter(['retention.ms', 1, null], ['cleanup.policy', 2, 'compact']), 0);
      const deadline = Date.now() + 10_000;
      for (;;) {
        const [policy, retention] = await describe('cleanup.policy', 'retention.ms');
        if (policy![1] === 'delete,compact' && retention![2] === 5) break;
        assert.ok(Date.now() < deadline, String(policy));
      }
    },
  },
  {
    name: 'the cluster, its log folders and a topic page by page are described',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 3);
      await produceTo(client, topic, batchOf(['a']));
      const cluster = await client.send(describeCluster, 1, { endpointType: 1 });
      assert.equal(cluster.errorCode, 0);
      assert.equal(cluster.brokers.length, 1);
      assert.ok(cluster.clusterId.length > 0);
      const folders = await client.send(describeLogDirs, 4, { topics: [{ topic, partitions: [0] }] });
      assert.ok(folders.results[0]!.topics[0]!.partitions[0]!.partitionSize > 0);
      const first = await client.send(describeTopicPartitions, 0, {
        topics: [{ name: topic }],
        responsePartitionLimit: 2,
        cursor: null,
      });
      assert.equal(first.topics[0]!.partitions.length, 2);
      assert.deepEqual(first.nextCursor, { topicName: topic, partitionIndex: 2 });
      const second = await client.send(describeTopicPartitions, 0, {
        topics: [{ name: topic }],
        responsePartitionLimit: 2,
        cursor: first.nextCursor!,
      });
      assert.deepEqual(
        second.topics[0]!.partitions.map(({ partitionIndex }) => partitionIndex),
        [2],
      );
    },
  },
];
