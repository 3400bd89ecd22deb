import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { Admin, Producer, stringSerializers } from '@platformatic/kafka';
import { type Broker, startBroker } from '../src/index.ts';
import { addPartitionsToTxn } from '../src/protocol/messages/add-partitions-to-txn.ts';
import { endTxn } from '../src/protocol/messages/end-txn.ts';
import { initProducerId } from '../src/protocol/messages/init-producer-id.ts';
import { offsetCommit } from '../src/protocol/messages/offset-commit.ts';
import { batchOf, fetchFrom, produceTo } from './conformance/helpers.ts';
import { RawClient, readValues } from './raw-client.ts';

const folderOf = (context: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'dev-broker-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};
const connect = (broker: Broker): Promise<RawClient> => RawClient.connect(broker.bootstrapServers);
const topics = [{ name: 'orders' }];

test('topics, records, offsets, configs and producers survive a restart', async (context) => {
  const dataDir = folderOf(context);
  let id: string;
  {
    await using broker = await startBroker({ dataDir, topics });
    using client = await connect(broker);
    await produceTo(client, 'orders', batchOf(['a', 'b'], { producerId: 9, producerEpoch: 0, baseSequence: 0 }));
    await produceTo(client, 'orders', batchOf(['c'], { producerId: 9, producerEpoch: 0, baseSequence: 2 }));
    await client.send(offsetCommit, 8, {
      groupId: 'g',
      generationIdOrMemberEpoch: -1,
      memberId: '',
      topics: [
        {
          name: 'orders',
          partitions: [{ partitionIndex: 0, committedOffset: 2, committedLeaderEpoch: 0, committedMetadata: 'm' }],
        },
      ],
    });
    const admin = new Admin({ clientId: 'a', bootstrapBrokers: [broker.bootstrapServers] });
    await admin.createTopics({ topics: ['gone'], partitions: 1, replicas: 1 });
    await admin.deleteTopics({ topics: ['gone'] });
    id = (await admin.metadata({ topics: ['orders'] })).topics.get('orders')!.id;
    await admin.close();
  }
  await using broker = await startBroker({ dataDir, topics });
  using client = await connect(broker);
  const [state] = broker.control.topic('orders')!;
  assert.deepEqual([state!.startOffset, state!.endOffset, state!.leaderEpoch], [0, 3, 1]);
  assert.equal(broker.control.topic('gone'), undefined);
  assert.deepEqual(broker.control.group('g')!.offsets, { orders: { 0: { offset: 2, metadata: 'm' } } });
  assert.deepEqual(
    readValues((await fetchFrom(client, 'orders', 0)).records).map(({ value }) => value),
    ['a', 'b', 'c'],
  );
  const repeated = await produceTo(
    client,
    'orders',
    batchOf(['c'], { producerId: 9, producerEpoch: 0, baseSequence: 2 }),
  );
  assert.deepEqual([repeated.errorCode, repeated.baseOffset], [0, 2]);
  const admin = new Admin({ clientId: 'a', bootstrapBrokers: [broker.bootstrapServers] });
  assert.equal((await admin.metadata({ topics: ['orders'] })).topics.get('orders')!.id, id);
  await admin.close();
});

test('a torn last batch and a torn last line are cut off, what is before them stays', async (context) => {
  const dataDir = folderOf(context);
  {
    await using broker = await startBroker({ dataDir, topics });
    using client = await connect(broker);
    await produceTo(client, 'orders', batchOf(['a']));
    await produceTo(client, 'orders', batchOf(['b']));
  }
  const [log] = readdirSync(join(dataDir, 'logs'));
  const [file] = readdirSync(join(dataDir, 'logs', log!));
  const torn = batchOf(['never acknowledged']);
  torn.writeBigInt64BE(2n, 0);
  appendFileSync(join(dataDir, 'logs', log!, file!), torn.subarray(0, torn.length - 3));
  appendFileSync(join(dataDir, 'journal'), '00000000 {"type":"topic-deleted"');
  for (let start = 0; start < 2; start++) {
    await using broker = await startBroker({ dataDir });
    using client = await connect(broker);
    const { baseOffset } = await produceTo(client, 'orders', batchOf([`c${start}`]));
    assert.equal(baseOffset, 2 + start);
    const values = readValues((await fetchFrom(client, 'orders', 0)).records).map(({ value }) => value);
    assert.deepEqual(values, ['a', 'b', 'c0', 'c1'].slice(0, 3 + start));
  }
});

test('an open transaction stays open across a restart, and its end is seen', async (context) => {
  const dataDir = folderOf(context);
  let producer: { producerId: number; producerEpoch: number };
  {
    await using broker = await startBroker({ dataDir, topics });
    using client = await connect(broker);
    const made = await client.send(initProducerId, 4, {
      transactionalId: 't',
      transactionTimeoutMs: 60_000,
      producerId: -1,
      producerEpoch: -1,
    });
    producer = { producerId: made.producerId!, producerEpoch: made.producerEpoch };
    await client.send(addPartitionsToTxn, 3, {
      v3AndBelowTransactionalId: 't',
      v3AndBelowProducerId: producer.producerId,
      v3AndBelowProducerEpoch: producer.producerEpoch,
      v3AndBelowTopics: [{ name: 'orders', partitions: [0] }],
    });
    const sent = await produceTo(
      client,
      'orders',
      batchOf(['a'], { ...producer, baseSequence: 0, isTransactional: true }),
      { transactionalId: 't' },
    );
    assert.equal(sent.errorCode, 0);
  }
  await using broker = await startBroker({ dataDir });
  using client = await connect(broker);
  assert.equal(broker.control.topic('orders')![0]!.lastStableOffset, 0);
  assert.equal((await client.send(endTxn, 4, { transactionalId: 't', ...producer, committed: true })).errorCode, 0);
  assert.equal(broker.control.topic('orders')![0]!.lastStableOffset, 2);
});

test('records that were acknowledged survive kill -9', async (context) => {
  const dataDir = folderOf(context);
  const script = `
    import { startBroker } from ${JSON.stringify(import.meta.resolve('../src/index.ts'))};
    const broker = await startBroker({ dataDir: ${JSON.stringify(dataDir)}, topics: [{ name: 'orders', partitions: 2 }] });
    console.log(broker.bootstrapServers);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const bootstrap = await new Promise<string>((resolve) =>
    child.stdout.once('data', (data: Buffer) => resolve(String(data).trim())),
  );
  const producer = new Producer({
    clientId: 'p',
    bootstrapBrokers: [bootstrap],
    retries: 0,
    serializers: stringSerializers,
  });
  const acknowledged: string[] = [];
  let isKilled = false;
  while (!isKilled || acknowledged.length < 50) {
    const value = `v${acknowledged.length}`;
    try {
      await producer.send({ messages: [{ topic: 'orders', value, partition: acknowledged.length % 2 }] });
    } catch {
      // The broker is gone: what was not acknowledged may or may not be there.
      break;
    }
    acknowledged.push(value);
    if (acknowledged.length === 50) {
      isKilled = true;
      setImmediate(() => child.kill('SIGKILL'));
    }
  }
  await producer.close();
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
  await using broker = await startBroker({ dataDir });
  using client = await connect(broker);
  const found = new Set<string>();
  for (const partition of [0, 1]) {
    for (const { value } of readValues((await fetchFrom(client, 'orders', 0, { partition })).records)) found.add(value);
  }
  for (const value of acknowledged) assert.ok(found.has(value), value);
  assert.ok(acknowledged.length >= 50);
});

test('a moved start is kept, and old files go', async (context) => {
  const dataDir = folderOf(context);
  {
    await using broker = await startBroker({ dataDir, retentionBytes: 4 << 20, topics });
    using client = await connect(broker);
    for (let index = 0; index < 60; index++) await produceTo(client, 'orders', batchOf(['x'.repeat(900_000)]));
  }
  const [log] = readdirSync(join(dataDir, 'logs'));
  assert.ok(readdirSync(join(dataDir, 'logs', log!)).length <= 2);
  await using broker = await startBroker({ dataDir, retentionBytes: 4 << 20 });
  const [state] = broker.control.topic('orders')!;
  assert.equal(state!.endOffset, 60);
  assert.ok(state!.startOffset > 50);
});

test('a folder is used by one broker at a time', async (context) => {
  const dataDir = folderOf(context);
  const script = `
    import { startBroker } from ${JSON.stringify(import.meta.resolve('../src/index.ts'))};
    await startBroker({ dataDir: ${JSON.stringify(dataDir)} }).then((broker) => broker.stop(), (error) => console.log(error.message));`;
  await using _broker = await startBroker({ dataDir });
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const output = await new Promise<string>((resolve) =>
    child.stdout.once('data', (data: Buffer) => resolve(String(data))),
  );
  assert.match(output, /is in use by process \d+/);
  await assert.rejects(startBroker({ dataDir }), /is in use by process/);
});

test('a full disk refuses records and leaves everything as it was', {
  skip: process.platform === 'linux' ? false : 'needs /dev/full',
}, async (context) => {
  const dataDir = folderOf(context);
  {
    await using broker = await startBroker({ dataDir, topics });
    using client = await connect(broker);
    await produceTo(client, 'orders', batchOf(['a']));
  }
  const [log] = readdirSync(join(dataDir, 'logs'));
  const [file] = readdirSync(join(dataDir, 'logs', log!));
  const path = join(dataDir, 'logs', log!, file!);
  await using broker = await startBroker({ dataDir });
  using client = await connect(broker);
  // Every write to /dev/full fails as on a full disk.
  renameSync(path, `${path}.away`);
  symlinkSync('/dev/full', path);
  assert.equal((await produceTo(client, 'orders', batchOf(['b']))).errorCode, 56);
  assert.equal(broker.control.topic('orders')![0]!.endOffset, 1);
  assert.deepEqual(
    readValues((await fetchFrom(client, 'orders', 0)).records).map(({ value }) => value),
    ['a'],
  );
});
