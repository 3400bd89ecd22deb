import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '@headrace/testing';
import { backUp, restore } from '../src/store/backup.ts';
import { call, role, startApi, zipOf } from './api-world.ts';

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
  assert.deepEqual(backUp(original, file), { functions: 1, mappings: 1, codePackages: 1 });
  await make(world.endpoint, 'after');
  assert.throws(() => backUp(original, file), { code: 'DATA_DIRECTORY', message: /exists: name a new file/ });

  assert.deepEqual(restore(file, copy), { functions: 1, mappings: 1, codePackages: 1 });
  assert.throws(() => restore(file, copy), { code: 'DATA_DIRECTORY', message: /holds a store already/ });
  await using again = await startApi({ dataDirectory: copy });
  const found = await call(again.endpoint, 'GET', '/2015-03-31/functions/before');
  const download = await fetch((found.body['Code'] as { Location: string }).Location);
  assert.deepEqual(Buffer.from(await download.arrayBuffer()), zip);
  assert.equal((await call(again.endpoint, 'GET', '/2015-03-31/functions/after')).status, 404);
  const path = `/2015-03-31/event-source-mappings/${mapping.body['UUID']}`;
  assert.equal((await call(again.endpoint, 'GET', path)).status, 200);
});

test('what is no backup is refused, and leaves no store', async (t) => {
  const folder = temporaryFolder('backup');
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'file');
  assert.throws(() => backUp(folder, file), { code: 'DATA_DIRECTORY', message: /holds no store/ });
  writeFileSync(file, 'this is not a database, and it is long enough to be looked at as one'.repeat(20));
  assert.throws(() => restore(file, join(folder, 'copy')), { code: 'DATA_DIRECTORY' });
  await using fresh = await startApi({ dataDirectory: join(folder, 'copy') });
  assert.deepEqual((await call(fresh.endpoint, 'GET', '/2015-03-31/functions')).body, { Functions: [] });
});
