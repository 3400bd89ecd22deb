/** Leaders and the coordinator move, on two brokers of Apache Kafka. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, needs, startKafka, temporaryFolder } from '@headrace/testing';
import { Admin } from '@platformatic/kafka';
import { Cluster } from '../../src/kafka/cluster.ts';
import { lookUpOffsets } from '../../src/kafka/offset-lookup.ts';
import { produce, Recorder } from './harness.ts';

const PARTITIONS = 4;

test('leaders and coordinator that move, and one that dies, lose and double nothing under load', {
  skip: needs('java', 'maven'),
  timeout: 170_000,
}, async (t) => {
  await using kafka = await startKafka({
    properties: { 'offsets.topic.replication.factor': 2, 'default.replication.factor': 2 },
  });
  const second = await kafka.addBroker();
  const bootstrapServers = [kafka.bootstrapServers, second.bootstrapServers];
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: bootstrapServers });
  const watcher = new Cluster({ bootstrapServers });
  t.after(async () => {
    watcher.close();
    await admin.close();
  });
  await admin.createTopics({ topics: ['t'], partitions: PARTITIONS, replicas: 2 });
  await using reader = new Recorder({ bootstrapServers }, { topics: ['t'], groupId: 'g' }).start();
  await eventually(() => reader.consumer.partitions.length === PARTITIONS, { timeoutMs: 30_000 });

  const leaders = async (): Promise<number[]> => {
    const { topics } = await watcher.refresh(['t']);
    return topics[0]!.partitions.map(({ leader }) => leader);
  };
  const electPreferred = (): Promise<unknown> =>
    kafka.javaTool('org.apache.kafka.tools.LeaderElectionCommand', [
      ...['--bootstrap-server', kafka.bootstrapServers, '--election-type', 'preferred', '--all-topic-partitions'],
    ]);
  const commits = (): Promise<unknown> =>
    eventually(async () => (await reader.commit()).every(({ kind }) => kind === 'committed'), { timeoutMs: 30_000 });

  let isSending = true;
  const sending = (async () => {
    while (isSending) {
      const messages = Array.from({ length: 20 }, (_, i) => ({ topic: 't', partition: i % PARTITIONS, value: 'v' }));
      // While a leader is away nothing can be written; what arrived twice is two records.
      await produce(kafka.bootstrapServers, messages).catch(() => {});
    }
  })();
  const goesOn = async (): Promise<void> => {
    const before = reader.count;
    await eventually(() => reader.count > before + 400, { timeoutMs: 60_000, what: () => `${reader.status?.message}` });
    await commits();
  };
  try {
    await goesOn();
    const folder = temporaryFolder('failover');
    t.after(() => rmSync(folder, { recursive: true }));
    // Half of the topic and the group's coordinator are the second broker's by preference.
    const file = join(folder, 'reassignment.json');
    const partitions = [
      { topic: '__consumer_offsets', partition: 0, replicas: [2, 1] },
      ...Array.from({ length: PARTITIONS }, (_, partition) => ({
        topic: 't',
        partition,
        replicas: partition % 2 === 0 ? [2, 1] : [1, 2],
      })),
    ];
    writeFileSync(file, JSON.stringify({ version: 1, partitions }));
    await kafka.javaTool('org.apache.kafka.tools.reassign.ReassignPartitionsCommand', [
      ...['--bootstrap-server', kafka.bootstrapServers, '--reassignment-json-file', file, '--execute'],
    ]);
    await electPreferred();
    await eventually(async () => (await leaders()).join() === '2,1,2,1', { timeoutMs: 20_000 });
    assert.equal(await watcher.coordinator('g'), 2);
    await goesOn();

    await second.kill();
    await eventually(async () => (await leaders()).join() === '1,1,1,1', { timeoutMs: 30_000 });
    assert.equal(await eventually(() => watcher.coordinator('g'), { timeoutMs: 20_000 }), 1);
    await goesOn();

    await second.restart();
    await eventually(
      async () => {
        await electPreferred().catch(() => {});
        return (await leaders()).join() === '2,1,2,1';
      },
      { timeoutMs: 40_000 },
    );
    await goesOn();
  } finally {
    isSending = false;
    await sending;
  }
  const queries = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 't', partition, timestamp: -1 }));
  await watcher.refresh(['t']);
  const ends = await lookUpOffsets(watcher, 'test', queries, 0);
  const total = ends.reduce((sum, { offset }) => sum + offset, 0);
  await eventually(() => reader.count >= total, { timeoutMs: 30_000, what: () => `${reader.count} of ${total}` });
  for (const { partition, offset: end } of ends) {
    const offsets = reader.records.filter((record) => record.partition === partition).map(({ offset }) => offset);
    assert.deepEqual(
      offsets,
      Array.from({ length: end }, (_, offset) => offset),
    );
  }
  assert.deepEqual(reader.lost, []);
  await eventually(() => reader.status === undefined, { timeoutMs: 20_000, what: () => `${reader.status?.message}` });
  console.log(`${total} records over four leaderships: each once, in order`);
});
