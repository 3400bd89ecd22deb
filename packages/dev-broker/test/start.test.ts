import assert from 'node:assert/strict';
import test from 'node:test';
import { Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka';
import { startBroker } from '../src/index.ts';

test('what is produced is consumed, each partition in order', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders', partitions: 3 }] });
  const client = { clientId: 'test', bootstrapBrokers: [broker.bootstrapServers] };
  const producer = new Producer({ ...client, serializers: stringSerializers });
  const messages = Array.from({ length: 60 }, (_, index) => ({
    topic: 'orders',
    key: `k${index % 7}`,
    value: `${index}`,
  }));
  await producer.send({ messages });
  await producer.close();

  const consumer = new Consumer({ ...client, groupId: 'readers', deserializers: stringDeserializers });
  const stream = await consumer.consume({ topics: ['orders'], mode: 'earliest', autocommit: false });
  const byKey = new Map<string, number[]>();
  let count = 0;
  for await (const { key, value } of stream) {
    byKey.set(key, [...(byKey.get(key) ?? []), Number(value)]);
    if (++count === messages.length) break;
  }
  await consumer.close(true);
  for (const values of byKey.values())
    assert.deepEqual(
      values,
      [...values].sort((left, right) => left - right),
    );
});

test('an illegal option is refused by its name', async () => {
  await assert.rejects(startBroker({ port: 70_000 }), /port must be a whole number from 0 to 65535/);
  await assert.rejects(startBroker({ nodes: 0 }), /nodes must be/);
  await assert.rejects(startBroker({ configs: { 'auto.create.topics': true } }), /unknown broker setting/);
  await assert.rejects(startBroker({ topics: [{ name: 'no spaces' }] }), /contains one or more characters other than/);
});

test('a port that is taken is told, and nothing stays open', async () => {
  await using broker = await startBroker();
  await assert.rejects(startBroker({ port: broker.nodes[0]!.port }), /EADDRINUSE/);
});
