import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { RecordCursor } from '@headrace/kafka-records';
import { eventually, type Kafka, needs, startKafka } from '@headrace/testing';
import { Admin, Producer } from '@platformatic/kafka';
import { parseClientProperties } from '../../src/kafka/client-properties.ts';
import { createKafkaCluster, type ReadableCluster } from '../../src/kafka/index.ts';
import type { ReaderOptions } from '../../src/kafka/reader.ts';
import { createTopics, produce, Recorder } from './harness.ts';

const hasKcat = spawnSync('kcat', ['-V']).status === 0;
if (!hasKcat && process.env['CI'] === 'true') throw new Error('needs kcat; with CI=true this is a failure, not a skip');
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

/** First offset and end of every chunk, and the offsets of the records. */
function readWithoutGroup(cluster: ReadableCluster, options: ReaderOptions): { offsets: number[]; records: number[] } {
  const offsets: number[] = [];
  const records: number[] = [];
  const cursor = new RecordCursor();
  const reader = cluster.createReader(options, {
    onAssigned: () => {},
    onStatus: () => {},
    onSkipped: () => {},
    onRecords: () => {
      for (const partition of reader.partitions) {
        for (let chunk = partition.take(); chunk !== undefined; chunk = partition.take()) {
          offsets.push(chunk.firstOffset, chunk.nextOffset);
          for (cursor.reset(chunk); cursor.next(); ) records.push(cursor.offset);
          chunk.release();
        }
      }
    },
  });
  reader.start();
  return { offsets, records };
}

describe('what lies in a topic of Apache Kafka', { skip: needs('java', 'maven') }, () => {
  let kafka: Kafka;
  before(async () => {
    kafka = await startKafka();
  });
  after(() => kafka.stop());

  const read = (topic: string, options: object = {}): Recorder =>
    new Recorder(
      { bootstrapServers: [kafka.bootstrapServers] },
      { topics: [topic], ...options },
      {
        groupProtocol: 'classic',
      },
    ).start();

  for (const codec of codecs) {
    test(`${codec} as Java's producer writes it`, async () => {
      const topic = `java-${codec}`;
      await createTopics(kafka.bootstrapServers, [topic], 1);
      await kafka.javaTool('org.apache.kafka.tools.ProducerPerformance', [
        ...['--topic', topic, '--num-records', '20000', '--record-size', '100', '--throughput', '-1'],
        ...['--producer-props', `bootstrap.servers=${kafka.bootstrapServers}`, `compression.type=${codec}`],
        ...['linger.ms=20', 'batch.size=100000'],
      ]);
      await using reader = read(topic);
      await eventually(() => reader.count === 20_000);
      reader.records.forEach(({ offset, value }, index) => {
        assert.equal(offset, index);
        assert.match(value!, /^[A-Z]{100}$/);
      });
    });

    test(`${codec} as librdkafka writes it`, { skip: hasKcat ? false : 'needs kcat' }, async () => {
      const topic = `librdkafka-${codec}`;
      await createTopics(kafka.bootstrapServers, [topic], 1);
      const lines = Array.from({ length: 20_000 }, (_, index) => `key ${index}|value of record ${index}`);
      const result = spawnSync('kcat', ['-b', kafka.bootstrapServers, '-P', '-t', topic, '-K', '|', '-z', codec], {
        input: lines.join('\n'),
      });
      assert.equal(result.status, 0, String(result.stderr));
      await using reader = read(topic);
      await eventually(() => reader.count === 20_000);
      reader.records.forEach(({ key, value }, index) => {
        assert.deepEqual([key, value], [`key ${index}`, `value of record ${index}`]);
      });
    });
  }

  test('timestamps in nanoseconds, where a topic takes them, are read, looked up and passed over like others', async () => {
    const topic = 'nanoseconds';
    await createTopics(kafka.bootstrapServers, [topic], 1, [
      { name: 'message.timestamp.after.max.ms', value: String(2n ** 63n - 1n) },
      { name: 'retention.ms', value: '-1' },
    ]);
    const times = [1_763_779_200_000n, 1_763_779_200_000_000_001n, 1_763_779_200_000_000_777n];
    // One at a time: this producer cannot write the difference between the first two.
    for (const timestamp of times)
      await produce(kafka.bootstrapServers, [{ topic, partition: 0, value: String(timestamp), timestamp }]);
    await using all = read(topic);
    await using later = read(topic, { startingPosition: { kind: 'AT_TIMESTAMP', timestamp: 1_763_779_200_001 } });
    await eventually(() => all.count === 3 && later.count === 2);
    assert.deepEqual(
      all.records.map(({ value, timestamp }) => [value, timestamp]),
      times.map((timestamp) => [String(timestamp), Number(timestamp)]),
    );
    assert.deepEqual([all.status, later.status], [undefined, undefined]);
  });

  test('aborted transactions are not seen under READ_COMMITTED, and are under READ_UNCOMMITTED', async () => {
    const topic = 'transactions';
    await createTopics(kafka.bootstrapServers, [topic], 2);
    const producer = new Producer({
      clientId: 'test',
      bootstrapBrokers: [kafka.bootstrapServers],
      idempotent: true,
      transactionalId: 'test-transactions',
    });
    const expected: string[] = [];
    const all: string[] = [];
    try {
      for (let round = 0; round < 12; round++) {
        const transaction = await producer.beginTransaction();
        const values = Array.from({ length: 10 }, (_, index) => `${round}/${index}`);
        await transaction.send({
          messages: values.map((value, index) => ({ topic, partition: index % 2, value: Buffer.from(value) })),
        });
        all.push(...values);
        // Two aborted in a row, so that one answer holds several of one producer.
        if (round % 3 === 0) {
          await transaction.commit();
          expected.push(...values);
        } else await transaction.abort();
      }
    } finally {
      await producer.close();
    }
    await using committed = read(topic, { isolationLevel: 'READ_COMMITTED' });
    await using uncommitted = read(topic);
    await eventually(() => uncommitted.count === 120);
    await eventually(() => committed.count === 40);
    assert.deepEqual(committed.records.map(({ value }) => value).sort(), expected.sort());
    assert.deepEqual(uncommitted.records.map(({ value }) => value).sort(), all.sort());
    // The position goes over the last marker, so that nothing looks unread.
    await eventually(() => {
      const { partitions } = committed.consumer;
      return partitions.every(({ partition, highWatermark }) => {
        return committed.positions.get(`${topic}/${partition}`)!.offset === highWatermark;
      });
    });
  });

  test('READ_COMMITTED stops before a transaction that is open, and goes on when it ends', async () => {
    const topic = 'open';
    // As an operator says it for all that is read of a cluster.
    const properties = `bootstrap.servers=${kafka.bootstrapServers}\nisolation.level=read_committed`;
    const cluster = createKafkaCluster(parseClientProperties(properties).configuration);
    await createTopics(kafka.bootstrapServers, [topic], 1);
    const producer = new Producer({
      clientId: 'test',
      bootstrapBrokers: [kafka.bootstrapServers],
      idempotent: true,
      transactionalId: 'test-open',
    });
    try {
      await produce(kafka.bootstrapServers, [{ topic, value: 'before' }]);
      const transaction = await producer.beginTransaction();
      await transaction.send({ messages: [{ topic, partition: 0, value: Buffer.from('inside') }] });
      await produce(kafka.bootstrapServers, [{ topic, value: 'behind' }]);
      await using committed = read(topic, { isolationLevel: 'READ_COMMITTED' });
      await using uncommitted = read(topic);
      await eventually(() => uncommitted.count === 3);
      const { records } = readWithoutGroup(cluster, { topics: [topic], start: { kind: 'TRIM_HORIZON' } });
      await eventually(() => committed.count === 1 && records.length === 1);
      await transaction.commit();
      await eventually(() => committed.count === 3 && records.length === 3);
      assert.deepEqual(
        committed.records.map(({ value }) => value),
        ['before', 'inside', 'behind'],
      );
    } finally {
      await cluster.close();
      await producer.close();
    }
  });

  test("a LogAppendTime topic's records have the broker's time", async () => {
    const topic = 'append-time';
    await createTopics(kafka.bootstrapServers, [topic], 1, [
      { name: 'message.timestamp.type', value: 'LogAppendTime' },
    ]);
    const before = Date.now();
    await produce(kafka.bootstrapServers, [{ topic, value: 'v', timestamp: 1000n }]);
    await using reader = read(topic);
    await eventually(() => reader.count === 1);
    const { timestamp } = reader.records[0]!;
    assert.ok(timestamp >= before && timestamp <= Date.now(), String(timestamp));
  });

  test('holes that compaction left are passed over, and offsets stay as they were', async () => {
    const topic = 'compacted';
    await createTopics(kafka.bootstrapServers, [topic], 1, [
      { name: 'cleanup.policy', value: 'compact' },
      { name: 'segment.ms', value: '200' },
      { name: 'min.cleanable.dirty.ratio', value: '0.01' },
      { name: 'min.compaction.lag.ms', value: '0' },
    ]);
    const messages = Array.from({ length: 200 }, (_, index) => ({ topic, key: `key ${index % 5}`, value: `${index}` }));
    await produce(kafka.bootstrapServers, messages);
    await eventually(
      async () => {
        // The cleaner leaves the active segment alone: each new record rolls one.
        await produce(kafka.bootstrapServers, [{ topic, key: 'other', value: 'other' }]);
        await using reader = read(topic);
        await eventually(() => reader.records.at(-1)?.value === 'other');
        const kept = reader.records.filter(({ key }) => key !== 'other');
        assert.equal(kept.length, 5);
        assert.deepEqual(
          kept.map(({ offset, value }) => [offset, value]),
          [195, 196, 197, 198, 199].map((offset) => [offset, `${offset}`]),
        );
        return true;
      },
      { timeoutMs: 30_000, everyMs: 250 },
    );
  });

  test('a record of many megabytes is read, whatever the prefetch limits', async () => {
    const topic = 'huge';
    await createTopics(kafka.bootstrapServers, [topic], 1, [{ name: 'max.message.bytes', value: '10000000' }]);
    const huge = 'x'.repeat(8_000_000);
    await produce(kafka.bootstrapServers, [
      { topic, value: 'small' },
      { topic, value: huge },
      { topic, value: 'after' },
    ]);
    await using reader = read(topic, { maximumPartitionBytes: 10_000, maximumBufferedBytes: 20_000 });
    await eventually(() => reader.count === 3);
    assert.ok(reader.records[1]!.value === huge);
  });

  test('prefetch is bounded while nobody takes, and a full partition stops no other', async () => {
    const topic = 'bounded';
    await createTopics(kafka.bootstrapServers, [topic], 2);
    await using reader = read(topic, { maximumPartitionBytes: 100_000, maximumBufferedBytes: 150_000 });
    reader.isTaking = false;
    await eventually(() => reader.consumer.partitions.length === 2);
    // Batches of 10 KB: they come whole, so the last may go beyond the limit by as much.
    const fill = async (times: number): Promise<void> => {
      const batch = Array.from({ length: 10 }, () => ({ topic, partition: 0, value: 'x'.repeat(1000) }));
      for (let i = 0; i < times; i++) await produce(kafka.bootstrapServers, batch);
    };
    await fill(60);
    const [first, second] = [0, 1].map(
      (index) => reader.consumer.partitions.find(({ partition }) => partition === index)!,
    );
    await eventually(() => first!.bufferedBytes > 50_000);
    await produce(kafka.bootstrapServers, [{ topic, partition: 1, value: 'through' }]);
    await eventually(() => second!.bufferedBytes > 0);
    assert.ok(first!.bufferedBytes < 120_000, String(first!.bufferedBytes));
    // Nothing is fetched of it any more, and yet it is known how far it lies behind.
    await fill(10);
    await eventually(() => first!.highWatermark === 700, { what: () => `${first!.highWatermark}` });
    first!.pause();
    await fill(1);
    await eventually(() => first!.highWatermark === 710, { what: () => `${first!.highWatermark}` });
    first!.resume();
    assert.ok(first!.bufferedBytes < 120_000, String(first!.bufferedBytes));
    assert.ok(first!.oldestBufferedTimestamp > Date.now() - 60_000);
    reader.isTaking = true;
    reader.drain();
    await eventually(() => reader.count === 711);
  });

  test('a reader without a group reads from anywhere and leaves no trace', async () => {
    const topic = 'groupless';
    await createTopics(kafka.bootstrapServers, [topic], 1);
    await produce(
      kafka.bootstrapServers,
      Array.from({ length: 100 }, (_, index) => ({ topic, value: `${index}` })),
    );
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] });
    const cluster = createKafkaCluster({ bootstrapServers: [kafka.bootstrapServers] });
    try {
      const groups = (await admin.listGroups()).size;
      const { offsets } = readWithoutGroup(cluster, { topics: [topic], start: { kind: 'OFFSET', offset: 90 } });
      await eventually(() => offsets.at(-1) === 100);
      assert.equal(offsets[0], 90);
      assert.equal((await admin.listGroups()).size, groups);
    } finally {
      await cluster.close();
      await admin.close();
    }
  });
});
