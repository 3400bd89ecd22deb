import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBroker } from '@headrace/dev-broker';
import { eventually, needs, startKafka } from '@headrace/testing';
import { Admin } from '@platformatic/kafka';
import { createTopics, produce, Recorder } from './harness.ts';

interface Server {
  readonly bootstrapServers: string;
  stop(): Promise<void>;
}

const servers: [name: string, skip: string | false, start: () => Promise<Server>][] = [
  ['Apache Kafka', needs('java', 'maven'), () => startKafka()],
  ['the development broker', false, () => startBroker()],
];
const cases = servers.flatMap((server) =>
  (['classic', 'auto'] as const).map((protocol) => [...server, protocol] as const),
);

for (const [server, skip, start, groupProtocol] of cases) {
  describe(`a group consumer on ${server}, ${groupProtocol} protocol`, { skip }, () => {
    let kafka: Server;
    before(async () => {
      kafka = await start();
    });
    after(() => kafka.stop());

    const consume = (topic: string, groupId: string, options: object = {}): Recorder =>
      new Recorder(
        { bootstrapServers: [kafka.bootstrapServers] },
        { topics: [topic], groupId, sessionTimeoutMilliseconds: 6_000, ...options },
        {
          groupProtocol,
        },
      ).start();

    test('reads every record once and in order, and goes on where the last one committed', async () => {
      const topic = `all-${groupProtocol}`;
      await createTopics(kafka.bootstrapServers, [topic], 3);
      const send = (from: number, to: number): Promise<void> =>
        produce(
          kafka.bootstrapServers,
          Array.from({ length: to - from }, (_, index) => {
            const number = from + index;
            return { topic, partition: number % 3, key: `key ${number}`, value: `value ${number}` };
          }),
        );
      await send(0, 3000);
      {
        await using first = consume(topic, `${topic}-group`);
        await eventually(() => first.count >= 3000);
        for (const partition of [0, 1, 2]) {
          const records = first.records.filter((record) => record.partition === partition);
          assert.equal(records.length, 1000);
          records.forEach(({ offset, key, value }, index) => {
            const number = index * 3 + partition;
            assert.deepEqual([offset, key, value], [index, `key ${number}`, `value ${number}`]);
          });
        }
        const results = await first.commit(undefined, 'attempts=2');
        assert.deepEqual(
          results.map((result) => result.kind),
          ['committed', 'committed', 'committed'],
        );
      }
      await send(3000, 3300);
      await using second = consume(topic, `${topic}-group`);
      await eventually(() => second.count >= 300);
      assert.deepEqual(
        second.assigned.map((partition) => partition.startOffset),
        [1000, 1000, 1000],
      );
      assert.equal(new Set(second.records.map((record) => record.value)).size, 300);
      assert.equal(second.records[0]!.offset, 1000);
    });

    test('the metadata of a commit comes back with the partition', async () => {
      const topic = `metadata-${groupProtocol}`;
      await createTopics(kafka.bootstrapServers, [topic], 1);
      await produce(kafka.bootstrapServers, [{ topic, value: 'v' }]);
      {
        await using first = consume(topic, `${topic}-group`);
        await eventually(() => first.count === 1);
        first.onRevoking = () => first.commit(undefined, 'attempts=2 ü');
      }
      await using second = consume(topic, `${topic}-group`);
      await eventually(() => second.assigned.length === 1);
      assert.equal(second.assigned[0]!.committedMetadata, 'attempts=2 ü');
    });

    test('a partition moves to a new member only after the old one has finished, and nothing is lost or doubled', async () => {
      const topic = `moving-${groupProtocol}`;
      await createTopics(kafka.bootstrapServers, [topic], 6);
      const groupId = `${topic}-group`;
      await using first = consume(topic, groupId);
      await eventually(() => first.consumer.partitions.length === 6);
      let sent = 0;
      let isSending = true;
      const sending = (async () => {
        while (isSending) {
          await produce(
            kafka.bootstrapServers,
            Array.from({ length: 60 }, (_, index) => ({ topic, partition: index % 6, value: `${sent + index}` })),
          );
          sent += 60;
        }
      })();
      await using second = consume(topic, groupId);
      await eventually(() => second.consumer.partitions.length === 3 && first.consumer.partitions.length === 3, {
        timeoutMs: 30_000,
      });
      await eventually(() => second.count > 0);
      await first.close();
      await eventually(() => second.consumer.partitions.length === 6, { timeoutMs: 30_000 });
      isSending = false;
      await sending;
      await eventually(() => first.count + second.count >= sent);
      const times = new Array<number>(sent).fill(0);
      for (const { value } of [...first.records, ...second.records]) times[Number(value)]!++;
      assert.deepEqual(
        times.flatMap((count, number) => (count === 1 ? [] : [`${number} came ${count} times`])),
        [],
      );
      assert.deepEqual(first.lost, []);
    });

    test('LATEST is pinned when it is first taken, so what comes while nobody reads is not missed', async () => {
      const topic = `latest-${groupProtocol}`;
      await createTopics(kafka.bootstrapServers, [topic], 1);
      await produce(kafka.bootstrapServers, [{ topic, value: 'before' }]);
      const latest = { startingPosition: { kind: 'LATEST' } };
      {
        await using first = consume(topic, `${topic}-group`, latest);
        await eventually(() => first.assigned.length === 1);
        first.onRevoking = async () => {};
      }
      await produce(kafka.bootstrapServers, [{ topic, value: 'between' }]);
      await using second = consume(topic, `${topic}-group`, latest);
      await eventually(() => second.count === 1);
      assert.equal(second.records[0]!.value, 'between');
    });

    test('AT_TIMESTAMP begins at the first record at or after the time, and past the end at the end', async () => {
      const topic = `time-${groupProtocol}`;
      await createTopics(kafka.bootstrapServers, [topic], 2);
      const now = Date.now();
      const at = (age: number): bigint => BigInt(now - age);
      await produce(kafka.bootstrapServers, [{ topic, partition: 0, value: 'old', timestamp: at(60_000) }]);
      await produce(kafka.bootstrapServers, [{ topic, partition: 0, value: 'young', timestamp: at(1_000) }]);
      await produce(kafka.bootstrapServers, [{ topic, partition: 1, value: 'old', timestamp: at(60_000) }]);
      await using reader = consume(topic, `${topic}-group`, {
        startingPosition: { kind: 'AT_TIMESTAMP', timestamp: now - 30_000 },
      });
      await eventually(() => reader.count === 1 && reader.assigned.length === 2);
      assert.equal(reader.records[0]!.value, 'young');
      assert.deepEqual(reader.assigned.map(({ partition, startOffset }) => [partition, startOffset]).sort(), [
        [0, 1],
        [1, 1],
      ]);
    });

    test('a paused partition holds back no other, and goes on when it is resumed', async () => {
      const topic = `paused-${groupProtocol}`;
      await createTopics(kafka.bootstrapServers, [topic], 2);
      await using reader = consume(topic, `${topic}-group`);
      await eventually(() => reader.consumer.partitions.length === 2);
      const paused = reader.consumer.partitions.find(({ partition }) => partition === 0)!;
      paused.pause();
      const messages = Array.from({ length: 40 }, (_, index) => ({ topic, partition: index % 2, value: `${index}` }));
      // The request that is under way may still bring records of the partition once.
      await produce(kafka.bootstrapServers, messages);
      await eventually(() => reader.records.filter((record) => record.partition === 1).length === 20);
      await produce(kafka.bootstrapServers, messages);
      await eventually(() => reader.records.filter((record) => record.partition === 1).length === 40);
      assert.ok(reader.records.filter((record) => record.partition === 0).length <= 20);
      paused.resume();
      await eventually(() => reader.records.length === 80);
    });

    test('a commit of a partition that is not owned is fenced, and not made', async () => {
      const topic = `foreign-${groupProtocol}`;
      await createTopics(kafka.bootstrapServers, [topic], 1);
      await using reader = consume(topic, `${topic}-group`);
      await eventually(() => reader.consumer.partitions.length === 1);
      const commit = { topic, partition: 7, offset: 1, leaderEpoch: -1, metadata: '' };
      assert.deepEqual(await reader.consumer.commit([commit]), [{ kind: 'fenced', reason: 'NOT_ASSIGNED' }]);
    });

    for (const kind of ['TRIM_HORIZON', 'LATEST'] as const) {
      test(`a topic that is made anew while it is read is read from its beginning, though it is longer by then (${kind})`, async () => {
        const topic = `anew-${kind}-${groupProtocol}`;
        const values = (name: string, count: number) =>
          Array.from({ length: count }, (_, i) => ({ topic, partition: 0, value: `${name} ${i}` }));
        await createTopics(kafka.bootstrapServers, [topic], 1);
        await using reader = consume(topic, `${topic}-group`, { startingPosition: { kind } });
        await eventually(() => reader.consumer.partitions.length === 1);
        await produce(kafka.bootstrapServers, values('old', 5));
        await eventually(() => reader.count === 5);
        const admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] });
        try {
          await admin.deleteTopics({ topics: [topic] });
        } finally {
          await admin.close();
        }
        await createTopics(kafka.bootstrapServers, [topic], 1);
        await produce(kafka.bootstrapServers, values('new', 20));
        const seen = (): Set<string | null> => new Set(reader.records.map(({ value }) => value));
        await eventually(() => values('new', 20).every(({ value }) => seen().has(value)), {
          timeoutMs: 20_000,
          what: () => `${[...seen()]}`,
        });
      });
    }

    test('a topic that is made later is found, and its absence is told until then', async () => {
      const topic = `late-${groupProtocol}`;
      await using reader = consume(topic, `${topic}-group`);
      await eventually(() => reader.status?.code === 'KAFKA_TOPIC_MISSING');
      await createTopics(kafka.bootstrapServers, [topic], 1);
      await produce(kafka.bootstrapServers, [{ topic, value: 'v' }]);
      await eventually(() => reader.count === 1);
      await eventually(() => reader.status === undefined);
    });
  });
}
