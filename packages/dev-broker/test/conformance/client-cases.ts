import assert from 'node:assert/strict';
import { Admin, Consumer, GroupProtocols, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka';
import { CompressionTypes, Kafka, logLevel } from 'kafkajs';
import type { Case, Target } from './case.ts';
import { connectTo, newTopic } from './helpers.ts';

const topicOf = async (target: Target, partitions = 1, configs: Record<string, string> = {}): Promise<string> => {
  using client = await connectTo(target);
  return await newTopic(client, target, partitions, configs);
};
const optionsOf = (target: Target) => ({ clientId: 'suite', bootstrapBrokers: [target.bootstrapServers] });
const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `v${index}`);

/** Reads `count` values with @platformatic/kafka. */
const readAll = async (
  target: Target,
  topic: string,
  count: number,
  groupProtocol: 'classic' | 'consumer',
): Promise<string[]> => {
  const consumer = new Consumer({
    ...optionsOf(target),
    groupId: target.name('readers'),
    groupProtocol: groupProtocol === 'consumer' ? GroupProtocols.CONSUMER : GroupProtocols.CLASSIC,
    maxWaitTime: 100,
    deserializers: stringDeserializers,
  });
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false });
  const values: string[] = [];
  for await (const message of stream) {
    values.push(message.value);
    if (values.length === count) {
      await message.commit();
      break;
    }
  }
  await consumer.close(true);
  return values.sort();
};

export const clientCases: Case[] = [
  {
    name: '@platformatic/kafka produces with every codec and consumes in a classic group',
    run: async (target) => {
      const topic = await topicOf(target, 3);
      const producer = new Producer({ ...optionsOf(target), serializers: stringSerializers, idempotent: true });
      for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
        const messages = numbers(20).map((value) => ({ topic, key: value, value: `${compression} ${value}` }));
        await producer.send({ messages, compression, acks: -1 });
      }
      await producer.close();
      const values = await readAll(target, topic, 100, 'classic');
      assert.equal(new Set(values).size, 100);
    },
  },
  {
    name: '@platformatic/kafka consumes in a group of the newer protocol',
    run: async (target) => {
      const topic = await topicOf(target, 2);
      const producer = new Producer({ ...optionsOf(target), serializers: stringSerializers });
      await producer.send({ messages: numbers(30).map((value) => ({ topic, key: value, value })) });
      await producer.close();
      assert.deepEqual(await readAll(target, topic, 30, 'consumer'), numbers(30).sort());
    },
  },
  {
    name: '@platformatic/kafka administers topics, configs and groups',
    run: async (target) => {
      const admin = new Admin(optionsOf(target));
      const topic = target.name('admin');
      await admin.createTopics({
        topics: [topic],
        partitions: 2,
        replicas: 1,
        configs: [{ name: 'retention.ms', value: '60000' }],
      });
      const deadline = Date.now() + 10_000;
      while (!(await admin.listTopics()).includes(topic)) assert.ok(Date.now() < deadline);
      const [described] = await admin.describeConfigs({
        resources: [{ resourceType: 2, resourceName: topic, configurationKeys: ['retention.ms'] }],
      });
      assert.equal(described!.configs[0]!.value, '60000');
      await admin.createPartitions({ topics: [{ name: topic, count: 3, assignments: null as never }] });
      await admin.deleteTopics({ topics: [topic] });
      await admin.close();
    },
  },
  {
    name: 'kafkajs produces, consumes, commits and resets',
    run: async (target) => {
      const topic = await topicOf(target, 2);
      const kafka = new Kafka({ brokers: [target.bootstrapServers], clientId: 'kafkajs', logLevel: logLevel.NOTHING });
      const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
      await producer.connect();
      await producer.send({
        topic,
        compression: CompressionTypes.GZIP,
        messages: numbers(20).map((value) => ({ key: value, value, headers: { h: 'x' } })),
      });
      await producer.disconnect();
      const groupId = target.name('kafkajs');
      const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      const values: string[] = [];
      await new Promise<void>((resolve, reject) => {
        const eachMessage = async ({
          message,
        }: {
          message: { value: Buffer | null; headers?: Record<string, unknown> };
        }) => {
          assert.equal(String(message.headers!['h']), 'x');
          if (values.push(String(message.value)) === 20) resolve();
        };
        consumer.run({ eachMessage }).catch(reject);
      });
      assert.deepEqual(values.sort(), numbers(20).sort());
      await consumer.disconnect();
      const admin = kafka.admin();
      await admin.connect();
      const sum = (offsets: Awaited<ReturnType<typeof admin.fetchOffsets>>): number =>
        offsets
          .flatMap(({ partitions }) => partitions)
          .reduce((total, { offset }) => total + Math.max(0, Number(offset)), 0);
      assert.equal(sum(await admin.fetchOffsets({ groupId, topics: [topic] })), 20);
      await admin.resetOffsets({ groupId, topic, earliest: true });
      assert.equal(sum(await admin.fetchOffsets({ groupId, topics: [topic], resolveOffsets: true })), 0);
      await admin.deleteGroups([groupId]);
      await admin.disconnect();
    },
  },
  {
    name: 'kafkajs writes transactions, readers see only what was committed',
    run: async (target) => {
      const topic = await topicOf(target);
      const kafka = new Kafka({ brokers: [target.bootstrapServers], clientId: 'kafkajs', logLevel: logLevel.NOTHING });
      const producer = kafka.producer({ transactionalId: target.name('kafkajs'), maxInFlightRequests: 1 });
      await producer.connect();
      for (const [value, isCommit] of [
        ['no', false],
        ['yes', true],
        ['never', false],
        ['also', true],
      ] as const) {
        const transaction = await producer.transaction();
        await transaction.send({ topic, messages: [{ value }] });
        await (isCommit ? transaction.commit() : transaction.abort());
      }
      await producer.disconnect();
      const consumer = kafka.consumer({
        groupId: target.name('kafkajs'),
        readUncommitted: false,
        maxWaitTimeInMs: 100,
      });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      const values: string[] = [];
      await new Promise<void>((resolve) => {
        void consumer.run({
          eachMessage: async ({ message }) => {
            if (values.push(String(message.value)) === 2) resolve();
          },
        });
      });
      await consumer.disconnect();
      assert.deepEqual(values, ['yes', 'also']);
    },
  },
];
