import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { eventually, temporaryFolder } from '@headrace/testing';
import { Producer, stringSerializers } from '@platformatic/kafka';
import { startEngine } from '../src/engine.ts';
import { createFolderFunction } from './support/folder-function.ts';

test('a mapping that is short of pollers has an environment started before it adds one', async () => {
  const folder = temporaryFolder('prewarming');
  writeFileSync(
    join(folder, 'index.mjs'),
    `export const handler = async (event) => { if (event.records) await new Promise((r) => setTimeout(r, 450)); };`,
  );
  const engine = await startEngine({ port: 0, dataDirectory: ':memory:', codeFolders: [folder], region: 'us-east-1' });
  after(async () => {
    await engine.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  await createFolderFunction(engine, 'slow', folder);
  engine.ensureTopic('orders', 2);
  assert.equal((await engine.functions.invoke('slow', Buffer.from('{}'))).kind, 'success');
  const response = await fetch(`${engine.endpoint}/2015-03-31/event-source-mappings`, {
    method: 'POST',
    body: JSON.stringify({
      FunctionName: 'slow',
      Topics: ['orders'],
      BatchSize: 1,
      StartingPosition: 'TRIM_HORIZON',
      SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: engine.bootstrapServers } },
    }),
  });
  assert.equal(response.status, 202);
  const { UUID } = (await response.json()) as { UUID: string };
  await eventually(() => engine.mappings.snapshot(UUID)?.partitions.length === 2, { timeoutMs: 30_000 });
  const producer = new Producer({
    clientId: 'test',
    bootstrapBrokers: [...engine.bootstrapServers],
    serializers: stringSerializers,
  });
  // One poller and two partitions: the second record waits for the first one's 450 ms, which is no second poller's worth.
  const messages = [0, 1].map((partition) => ({ topic: 'orders', partition, value: 'x' }));
  await producer.send({ messages });
  await producer.close();
  await eventually(() => engine.mappings.snapshot(UUID)?.counts.succeeded === 2, { timeoutMs: 30_000 });
  await eventually(() => engine.functions.snapshot().length === 2);
});
