// Records what clients really send, as the corpus of the fuzz test:
// node scripts/run.js packages/dev-broker/test/record-requests.ts
import { writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { Admin, Consumer, GroupProtocols, Producer, stringSerializers } from '@platformatic/kafka';
import { Kafka, logLevel } from 'kafkajs';
import { startBroker } from '../src/index.ts';
import { metadata } from '../src/protocol/messages/metadata.ts';
import { ShareMember } from './conformance/share-member.ts';
import { RawClient } from './raw-client.ts';

const TOPIC = 'recorded';
const PLAIN = 'plain';
const MADE = 'made';
/** Of one kind of request from one client so many are kept. */
const KEPT = 2;
const frames = new Map<string, Buffer[]>();

function note(frame: Buffer): void {
  const clientEnd = 14 + Math.max(0, frame.readInt16BE(12));
  const key = `${frame.readInt16BE(4)} ${frame.readInt16BE(6)} ${frame.toString('utf8', 14, clientEnd)}`;
  const known = frames.get(key) ?? [];
  if (known.length < KEPT) frames.set(key, [...known, frame]);
}

// The broker listens on another address and tells clients this one's: all that they send comes through here.
const proxy = createServer((client) => {
  const upstream = connect(port, '127.0.0.2');
  let received: Buffer = Buffer.alloc(0);
  client.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
      const end = 4 + received.readInt32BE(0);
      note(Buffer.from(received.subarray(0, end)));
      received = received.subarray(end);
    }
    upstream.write(chunk);
  });
  upstream.pipe(client);
  for (const [one, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
});
await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
const { port } = proxy.address() as { port: number };
await using broker = await startBroker({
  host: '127.0.0.2',
  port,
  advertisedHost: '127.0.0.1',
  // kafkajs reads no snappy.
  topics: [{ name: TOPIC }, { name: PLAIN }],
});
const servers = broker.bootstrapServers;

const options = { clientId: 'platformatic', bootstrapBrokers: [servers] };
const admin = new Admin(options);
await admin.createTopics({
  topics: [MADE],
  partitions: 2,
  replicas: 1,
  configs: [{ name: 'retention.ms', value: '9' }],
});
await admin.describeConfigs({ resources: [{ resourceType: 2, resourceName: MADE, configurationKeys: null as never }] });
await admin.createPartitions({ topics: [{ name: MADE, count: 3, assignments: null as never }] });
const producer = new Producer({ ...options, serializers: stringSerializers, idempotent: true });
for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
  await producer.send({ messages: [{ topic: TOPIC, key: 'k', value: 'v'.repeat(50) }], compression, acks: -1 });
}
for (const groupProtocol of [GroupProtocols.CLASSIC, GroupProtocols.CONSUMER]) {
  const groupId = `readers-${groupProtocol}`;
  const consumer = new Consumer({ ...options, groupId, groupProtocol, maxWaitTime: 50, heartbeatInterval: 50 });
  const stream = await consumer.consume({ topics: [TOPIC], mode: 'earliest', autocommit: false });
  let count = 0;
  for await (const message of stream) {
    if (++count < 5) continue;
    await message.commit();
    break;
  }
  await consumer.close(true);
}
await admin.listGroups();
await admin.describeGroups({ groups: ['readers-classic'] });
await admin.deleteTopics({ topics: [MADE] });
await producer.close();
await admin.close();

const kafka = new Kafka({ brokers: [servers], clientId: 'kafkajs', logLevel: logLevel.NOTHING });
const transactional = kafka.producer({ transactionalId: 't', maxInFlightRequests: 1, idempotent: true });
await transactional.connect();
const transaction = await transactional.transaction();
await transaction.send({ topic: PLAIN, messages: [{ key: 'k', value: 'v', headers: { h: 'x' } }] });
await transaction.sendOffsets({
  consumerGroupId: 'g',
  topics: [{ topic: PLAIN, partitions: [{ partition: 0, offset: '1' }] }],
});
await transaction.commit();
await transactional.disconnect();
const reader = kafka.consumer({ groupId: 'kafkajs', maxWaitTimeInMs: 50, heartbeatInterval: 50 });
await reader.connect();
await reader.subscribe({ topic: PLAIN, fromBeginning: true });
await new Promise<void>((resolve) => {
  void reader.run({ eachMessage: async () => resolve() });
});
await reader.disconnect();

using client = await RawClient.connect(servers);
const { topics } = await client.send(metadata, 12, { topics: [{ name: TOPIC }] });
const member = new ShareMember(client, 'workers', TOPIC, topics[0]!.topicId!);
await member.joined();
const poll = member.fetchSome();
const late = new Producer({ ...options, serializers: stringSerializers });
await late.send({ messages: [{ topic: TOPIC, value: 'shared' }] });
await late.close();
const { acquired } = await poll;
await member.acknowledge(acquired[0]![0]!, acquired[0]![1]!, [1]);

proxy.close();
const lines = [...frames.values()].flat().map((frame) => frame.toString('hex'));
const path = join(import.meta.dirname, 'fixtures', 'requests.txt');
writeFileSync(path, `${lines.join('\n')}\n`);
console.log(`${lines.length} requests of ${frames.size} kinds`);
process.exit(0);
