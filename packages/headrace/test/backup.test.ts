import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import {
  CreateTableCommand,
  DynamoDBClient,
  PutItemCommand,
  paginateScan,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';
import { eventually, repositoryRoot, runCommand, temporaryFolder } from '@headrace/testing';
import { createDynamoDbApi } from '../src/dynamodb/api.ts';
import { createGateway } from '../src/gateway/server.ts';
import { backUp, restore } from '../src/store/backup.ts';
import { openStore } from '../src/store/store.ts';
import { accountId, call, region, role, startApi, zipOf } from './api-world.ts';

test('a backup taken while the engine runs makes a directory that goes on from there', async (t) => {
  const folder = temporaryFolder('backup');
  t.after(() => rmSync(folder, { recursive: true }));
  const [original, copy, file] = ['original', 'copy', 'file.backup'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const zip = await zipOf({ 'index.mjs': 'export const handler = 1;' });
  const make = (endpoint: string, FunctionName: string): ReturnType<typeof call> =>
    call(endpoint, 'POST', '/2015-03-31/functions', {
      FunctionName,
      Role: role,
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Code: { ZipFile: zip.toString('base64') },
    });
  await using world = await startApi({ dataDirectory: original });
  await make(world.endpoint, 'before');
  const mapping = await call(world.endpoint, 'POST', '/2015-03-31/event-source-mappings', {
    FunctionName: 'before',
    Topics: ['orders'],
    SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: ['127.0.0.1:9092'] } },
  });
  const summary = { functions: 1, mappings: 1, codePackages: 1, tableBytes: 0, modelBytes: 0, logBytes: 0 };
  assert.deepEqual(backUp(original, file), summary);
  await make(world.endpoint, 'after');
  assert.throws(() => backUp(original, file), { code: 'DATA_DIRECTORY', message: /exists: name a new file/ });

  assert.deepEqual(restore(file, copy), summary);
  assert.throws(() => restore(file, copy), { code: 'DATA_DIRECTORY', message: /holds a store already/ });
  await using again = await startApi({ dataDirectory: copy });
  const found = await call(again.endpoint, 'GET', '/2015-03-31/functions/before');
  const download = await fetch((found.body['Code'] as { Location: string }).Location);
  assert.deepEqual(Buffer.from(await download.arrayBuffer()), zip);
  assert.equal((await call(again.endpoint, 'GET', '/2015-03-31/functions/after')).status, 404);
  const path = `/2015-03-31/event-source-mappings/${mapping.body['UUID']}`;
  assert.equal((await call(again.endpoint, 'GET', path)).status, 200);
});

const launcher = join(repositoryRoot, 'packages', 'headrace', 'bin', 'headrace.js');

const tableSettings = {
  TableName: 'orders',
  AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'N' as const }],
  KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' as const }],
  BillingMode: 'PAY_PER_REQUEST' as const,
};

test('tables, models and logs come with it, as they are while a writer fills a table', async (t) => {
  const folder = temporaryFolder('backup');
  t.after(() => rmSync(folder, { recursive: true }));
  const [original, copy, file] = ['original', 'copy', 'file'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  openStore({ dataDirectory: original }).close();
  for (const [path, text] of [
    ['sagemaker/models/fraud/a.model', 'a model'],
    ['sagemaker/models/fraud/b.model.1-1.part', 'half a model'],
    ['logs/%2Faws%2Flambda%2Ff/stream.log', '1\tline\n'],
  ] as const) {
    mkdirSync(dirname(join(original, path)), { recursive: true });
    writeFileSync(join(original, path), text);
  }
  await withTables(join(original, 'dynamodb'), async (client) => {
    await client.send(new CreateTableCommand(tableSettings));
    await waitUntilTableExists({ client, minDelay: 1, maxWaitTime: 10 }, { TableName: 'orders' });
    let written = 0;
    let isOver = false;
    // Large items, so that the database starts new files while it is copied.
    const filling = (async () => {
      const put = (id: number): Promise<unknown> =>
        client.send(new PutItemCommand({ TableName: 'orders', Item: item(id) }));
      while (!isOver) {
        await Promise.all([0, 1, 2, 3].map((lane) => put(written + lane)));
        written += 4;
      }
    })();
    for (let round = 0; round < 3; round += 1) {
      const wanted = written + 100;
      await eventually(() => written >= wanted, { timeoutMs: 30_000, everyMs: 2 });
      const answered = written;
      const target = `${copy}-${round}`;
      // In a process of its own, so that the writer goes on meanwhile.
      const words = [launcher, 'backup', `${file}-${round}`, '--data-dir', original, '--json'];
      const { stdout } = await runCommand(process.execPath, words);
      const { file: _file, dataDirectory: _directory, ...made } = JSON.parse(stdout);
      const after = written;
      assert.deepEqual([made.modelBytes, made.logBytes, made.tableBytes > 0], [7, 7, true]);
      assert.deepEqual(restore(`${file}-${round}`, target), made);
      const ids = await storedIds(join(target, 'dynamodb'));
      // Everything answered before it is there, and what came meanwhile without a hole; four are written at a time.
      const last = Math.max(...ids);
      for (let id = 0; id < last - 4; id += 1) assert.ok(ids.has(id), `round ${round}: ${id} of ${last} is missing`);
      assert.ok(answered <= ids.size && ids.size <= after + 4, `${ids.size} items, ${answered} before, ${after} after`);
      rmSync(target, { recursive: true });
    }
    isOver = true;
    await filling;
  });
  restore(`${file}-2`, copy);
  assert.equal(readFileSync(join(copy, 'sagemaker/models/fraud/a.model'), 'utf8'), 'a model');
  assert.deepEqual(readdirSync(join(copy, 'sagemaker/models/fraud')), ['a.model']);
  assert.equal(readFileSync(join(copy, 'logs/%2Faws%2Flambda%2Ff/stream.log'), 'utf8'), '1\tline\n');
});

const item = (id: number): { id: { N: string }; text: { S: string } } => ({
  id: { N: String(id) },
  text: { S: String(id).padStart(6, '0').repeat(5_000) },
});

async function storedIds(dataDirectory: string): Promise<Set<number>> {
  const ids = new Set<number>();
  await withTables(dataDirectory, async (client) => {
    for await (const { Items } of paginateScan({ client }, { TableName: 'orders' })) {
      for (const found of Items ?? []) {
        assert.deepEqual(found, item(Number(found['id']?.N)));
        ids.add(Number(found['id']?.N));
      }
    }
  });
  return ids;
}

async function withTables(dataDirectory: string, work: (client: DynamoDBClient) => Promise<void>): Promise<void> {
  const api = createDynamoDbApi({ dataDirectory, region, accountId });
  const gateway = await createGateway({ apis: [api] });
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const client = new DynamoDBClient({ region, endpoint: gateway.endpoint, credentials });
  try {
    await work(client);
  } finally {
    client.destroy();
    await gateway.close(0);
    await api.stop();
  }
}

test('a backup that names a file outside of its folders is refused, and nothing is left', (t) => {
  const folder = temporaryFolder('backup');
  t.after(() => rmSync(folder, { recursive: true }));
  openStore({ dataDirectory: join(folder, 'original') }).close();
  for (const path of ['logs/../../outside', 'dynamodb', '/etc/outside', 'code/outside', 'logs//outside']) {
    const file = join(folder, 'file');
    backUp(join(folder, 'original'), file);
    const database = new DatabaseSync(file);
    database.prepare('INSERT INTO files (path, content) VALUES (?, ?)').run(path, Buffer.from('x'));
    database.close();
    assert.throws(() => restore(file, join(folder, 'a', 'copy')), {
      code: 'DATA_DIRECTORY',
      message: /names a file outside/,
    });
    assert.deepEqual(readdirSync(join(folder, 'a')), ['copy']);
    assert.deepEqual(readdirSync(join(folder, 'a', 'copy')), ['code']);
    rmSync(file);
  }
});

test('what is no backup is refused, and leaves no store', async (t) => {
  const folder = temporaryFolder('backup');
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'file');
  assert.throws(() => backUp(folder, file), { code: 'DATA_DIRECTORY', message: /holds no store/ });
  writeFileSync(file, 'this is not a database, and it is long enough to be looked at as one'.repeat(20));
  assert.throws(() => restore(file, join(folder, 'copy')), { code: 'DATA_DIRECTORY' });
  assert.throws(() => restore(`${file}.2`, join(folder, 'copy')), { code: 'INPUT_UNREADABLE', message: /no backup/ });
  assert.ok(!existsSync(join(folder, 'copy')));
  await using fresh = await startApi({ dataDirectory: join(folder, 'copy') });
  assert.deepEqual((await call(fresh.endpoint, 'GET', '/2015-03-31/functions')).body, { Functions: [] });
});
