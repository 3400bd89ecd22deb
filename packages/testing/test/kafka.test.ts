import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka';
import { eventually, type Kafka, needs, startKafka } from '../src/index.ts';

const CREATE = 'org.apache.kafka.tools.TopicCommand';

describe('a real Apache Kafka', { skip: needs('java', 'maven', 'openssl') }, () => {
  let kafka: Kafka;
  before(async () => {
    kafka = await startKafka({ tls: true, properties: { 'num.partitions': 3 } });
  });
  after(() => kafka.stop());

  test('has the properties it was given, and Java tools to run against it', async () => {
    const at = ['--bootstrap-server', kafka.bootstrapServers];
    await kafka.javaTool(CREATE, [...at, '--create', '--topic', 'made-by-java']);
    const { stdout } = await kafka.javaTool(CREATE, [...at, '--describe', '--topic', 'made-by-java']);
    assert.match(stdout, /PartitionCount: 3/);
  });

  const clients = {
    plaintext: () => ({ bootstrapBrokers: [kafka.listeners.plaintext] }),
    'SASL_PLAINTEXT with PLAIN': () => ({
      bootstrapBrokers: [kafka.listeners.saslPlaintext],
      sasl: { mechanism: 'PLAIN' as const, username: 'alice', password: 'secret' },
    }),
    'SASL_SSL with SCRAM-SHA-512': () => ({
      bootstrapBrokers: [kafka.listeners.saslSsl],
      sasl: { mechanism: 'SCRAM-SHA-512' as const, username: 'alice', password: 'secret' },
      tls: { ca: kafka.certificates!.authority },
    }),
    'SSL with a client certificate': () => ({
      bootstrapBrokers: [kafka.listeners.ssl],
      tls: {
        ca: kafka.certificates!.authority,
        cert: kafka.certificates!.client.certificate,
        key: kafka.certificates!.client.key,
      },
    }),
  };
  for (const [listener, options] of Object.entries(clients)) {
    test(`answers over ${listener}`, async () => {
      const admin = new Admin({ clientId: 'test', timeout: 10_000, retries: 0, ...options() });
      await assert.doesNotReject(admin.listTopics());
      await admin.close();
    });
  }

  test('refuses a wrong password', async () => {
    const sasl = { mechanism: 'SCRAM-SHA-256' as const, username: 'alice', password: 'wrong' };
    const bootstrapBrokers = [kafka.listeners.saslPlaintext];
    const admin = new Admin({ clientId: 'test', bootstrapBrokers, sasl, timeout: 10_000, retries: 0 });
    await assert.rejects(admin.listTopics());
    await admin.close();
  });

  test('keeps its records through a crash and a restart', async () => {
    const options = { clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] };
    const admin = new Admin(options);
    await admin.createTopics({ topics: ['kept'], partitions: 1, replicas: 1 });
    const producer = new Producer({ ...options, serializers: stringSerializers });
    await producer.send({ messages: [{ topic: 'kept', value: 'before' }], acks: -1 });
    await producer.close();
    await admin.close();
    const { processId } = kafka;
    await kafka.kill('SIGKILL');
    await kafka.restart();
    assert.notEqual(kafka.processId, processId);
    const consumer = new Consumer({ ...options, groupId: 'reader', deserializers: stringDeserializers });
    const stream = await consumer.consume({ topics: ['kept'], mode: 'earliest', maxWaitTime: 200 });
    for await (const message of stream) {
      assert.equal(message.value, 'before');
      break;
    }
    await consumer.close(true);
  });
});

describe('a Kafka of two brokers', { skip: needs('java', 'maven') }, () => {
  test('moves the leadership of a partition when its leader dies', async () => {
    await using kafka = await startKafka();
    const second = await kafka.addBroker();
    assert.equal(second.nodeId, 2);
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] });
    const created = ['--create', '--topic', 'moving', '--replica-assignment', '2:1'];
    await kafka.javaTool(CREATE, ['--bootstrap-server', kafka.bootstrapServers, ...created]);
    const leader = async (): Promise<number | undefined> => {
      const { topics } = await admin.metadata({ topics: ['moving'], forceUpdate: true });
      return topics.get('moving')?.partitions[0]?.leader;
    };
    await eventually(async () => (await leader()) === 2);
    await second.kill();
    await eventually(async () => (await leader()) === 1, { timeoutMs: 20_000 });
    await admin.close();
  });
});

describe('a stopped Kafka', { skip: needs('java', 'maven') }, () => {
  test('leaves no process and no files', async () => {
    // Apart from what other tests keep there meanwhile.
    const { TMPDIR } = process.env;
    const folder = mkdtempSync(join(tmpdir(), 'headrace-stopped-'));
    process.env['TMPDIR'] = folder;
    const kafka = await startKafka().finally(() => {
      if (TMPDIR === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = TMPDIR;
    });
    assert.match(readdirSync(folder).join(), /^headrace-kafka-/);
    const { processId } = kafka;
    await kafka.stop();
    assert.deepEqual(readdirSync(folder), []);
    rmdirSync(folder);
    assert.throws(() => process.kill(processId, 0), { code: 'ESRCH' });
  });
});
