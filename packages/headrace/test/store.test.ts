import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, { readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { eventually, repositoryRoot, temporaryFolder } from '@headrace/testing';
import { createGateway } from '../src/gateway/server.ts';
import { createSageMakerRuntime } from '../src/sagemaker-api/index.ts';
import { openStore } from '../src/store/store.ts';
import { call, role, startApi, zipOf } from './api-world.ts';
import { killDeployers } from './support/api-kills.ts';
import { killWriters } from './support/store-kills.ts';

interface Thing {
  readonly size: number;
}

test('what was written is there after the store is opened again', (t) => {
  const dataDirectory = temporaryFolder('store');
  t.after(() => rmSync(dataDirectory, { recursive: true }));
  const first = openStore({ dataDirectory });
  first.collection<Thing>('thing').put('a', { size: 1 });
  first.collection<Thing>('thing').put('b', { size: 2 });
  first.collection<Thing>('thing').delete('b');
  const { sha256 } = first.code.put(Buffer.from('code'));
  first.close();
  const second = openStore({ dataDirectory });
  assert.deepEqual([...second.collection<Thing>('thing').entries()], [['a', { size: 1 }]]);
  assert.equal(second.code.read(sha256).toString(), 'code');
  second.close();
});

test('a transaction that fails leaves nothing, neither on disk nor in memory', (t) => {
  const dataDirectory = temporaryFolder('store');
  t.after(() => rmSync(dataDirectory, { recursive: true }));
  const store = openStore({ dataDirectory });
  const things = store.collection<Thing>('thing');
  things.put('kept', { size: 1 });
  const fail = (): void => {
    things.put('kept', { size: 2 });
    things.put('new', { size: 3 });
    things.delete('kept');
    throw new Error('no');
  };
  assert.throws(() => store.transaction(fail, { principal: 'p', operation: 'o', requestId: 'r' }), /no/);
  assert.deepEqual([...things.entries()], [['kept', { size: 1 }]]);
  assert.deepEqual(store.audit({ limit: 10 }), []);
  store.close();
  const again = openStore({ dataDirectory });
  assert.deepEqual([...again.collection<Thing>('thing').entries()], [['kept', { size: 1 }]]);
  again.close();
});

test('transactions of one turn go to disk together, and one that fails takes nobody with it', async (t) => {
  const dataDirectory = temporaryFolder('store');
  t.after(() => rmSync(dataDirectory, { recursive: true }));
  const store = openStore({ dataDirectory });
  const things = store.collection<Thing>('thing');
  const reader = new DatabaseSync(join(dataDirectory, 'store.sqlite'), { readOnly: true });
  const count = reader.prepare("SELECT count(*) AS count FROM documents WHERE kind = 'thing'");
  const onDisk = (): number => count.get()!['count'] as number;
  store.groupedTransaction(() => things.put('a', { size: 1 }));
  assert.throws(
    () =>
      store.groupedTransaction(() => {
        things.put('a', { size: 2 });
        throw new Error('no');
      }),
    /no/,
  );
  store.groupedTransaction(() => things.put('b', { size: 1 }));
  assert.deepEqual([things.get('a')?.size, onDisk()], [1, 0]);
  await store.flushed();
  assert.equal(onDisk(), 2);
  store.groupedTransaction(() => things.put('c', { size: 1 }));
  // A write outside of a transaction is durable at once, with everything before it.
  things.put('d', { size: 1 });
  assert.equal(onDisk(), 4);
  reader.close();
  store.close();
});

test('nobody is told before the disk has it, and one wait for the disk serves many', async (t) => {
  const dataDirectory = temporaryFolder('store');
  t.after(() => rmSync(dataDirectory, { recursive: true }));
  const syncs: ((error: Error | null) => void)[] = [];
  t.mock.method(fs, 'fdatasync', (_file: number, done: (error: Error | null) => void) => syncs.push(done));
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  const store = openStore({ dataDirectory });
  const things = store.collection<Thing>('thing');
  const told: string[] = [];
  const write = (id: string): Promise<void> => {
    store.groupedTransaction(() => things.put(id, { size: 1 }));
    return store.flushed().then(
      () => void told.push(id),
      (error) => void told.push(`${id}: ${error.code}`),
    );
  };
  const isAt = (count: number): Promise<unknown> => eventually(() => syncs.length === count, { timeoutMs: 5_000 });
  const first = [write('a'), write('b')];
  await isAt(1);
  // While the disk is busy these gather.
  const second = [write('c'), write('d')];
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([told, syncs.length], [[], 1]);
  syncs[0]!(null);
  await Promise.all(first);
  await isAt(2);
  assert.deepEqual(told, ['a', 'b']);
  syncs[1]!(null);
  await Promise.all(second);
  assert.deepEqual(told, ['a', 'b', 'c', 'd']);
  // A disk that refused once is not trusted again.
  const third = write('e');
  await isAt(3);
  syncs[2]!(new Error('EIO'));
  await third;
  await write('f');
  assert.deepEqual(told.slice(4), ['e: STORE', 'f: STORE']);
  assert.equal(things.has('f'), false);
  assert.throws(() => things.put('g', { size: 1 }), { code: 'STORE' });
  store.close();
});

test('one process uses a directory, and the refusal names the other', (t) => {
  const dataDirectory = temporaryFolder('store');
  t.after(() => rmSync(dataDirectory, { recursive: true }));
  const store = openStore({ dataDirectory });
  assert.throws(() => openStore({ dataDirectory }), {
    code: 'DATA_DIRECTORY',
    message: new RegExp(`is in use by another process \\(${process.pid}\\)`),
  });
  store.close();
  openStore({ dataDirectory }).close();
});

test('a data directory that cannot be made is refused with the reason, and one below others is made with them', (t) => {
  const folder = temporaryFolder('store');
  t.after(() => rmSync(folder, { recursive: true }));
  symlinkSync(join(folder, 'not-mounted'), join(folder, 'disk'));
  writeFileSync(join(folder, 'file'), '');
  for (const [place, reason] of [
    ['disk/data', /disk\/data cannot be used: EEXIST.*disk'$/],
    ['file/data', /file\/data cannot be used: ENOTDIR/],
    ['file', /file cannot be used: EEXIST/],
  ] as const) {
    assert.throws(() => openStore({ dataDirectory: join(folder, place) }), { code: 'DATA_DIRECTORY', message: reason });
  }
  openStore({ dataDirectory: join(folder, 'below', 'others', 'data') }).close();
  assert.ok(readdirSync(join(folder, 'below', 'others', 'data')).includes('store.sqlite'));
});

test('a store of a newer build is refused and left as it is', (t) => {
  const dataDirectory = temporaryFolder('store');
  t.after(() => rmSync(dataDirectory, { recursive: true }));
  openStore({ dataDirectory }).close();
  const database = new DatabaseSync(join(dataDirectory, 'store.sqlite'));
  database.exec('PRAGMA user_version = 99');
  database.close();
  assert.throws(() => openStore({ dataDirectory }), { code: 'DATA_DIRECTORY', message: /use a newer build/ });
});

test('a store in memory leaves nothing behind', () => {
  const store = openStore({ dataDirectory: ':memory:' });
  store.code.put(Buffer.from('code'));
  const { directory } = store;
  store.close();
  assert.throws(() => readdirSync(directory), { code: 'ENOENT' });
});

test('an engine that keeps nothing says so at start', async () => {
  const launcher = join(repositoryRoot, 'packages', 'headrace', 'bin', 'headrace.js');
  const words = [launcher, 'start', '--port', '0', '--data-dir', ':memory:', '--bootstrap-servers', '127.0.0.1:1'];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  let complained = '';
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  child.stderr.on('data', (chunk) => {
    complained += chunk;
  });
  try {
    await eventually(() => printed.includes('is ready'), { timeoutMs: 60_000, what: () => complained });
    assert.match(complained, /:memory: keeps nothing: functions, mappings and tables end with this process/);
  } finally {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  }
});

test('a mutation leaves who, what, before and after, and no secret', async () => {
  await using world = await startApi();
  const ZipFile = (await zipOf({ 'index.mjs': '' })).toString('base64');
  const Environment = { Variables: { TOKEN: 'hunter2' } };
  const path = '/2015-03-31/functions';
  const common = { Role: role, Runtime: 'nodejs22.x', Handler: 'index.handler', Code: { ZipFile } };
  const made = await call(world.endpoint, 'POST', path, { FunctionName: 'audited', ...common, Environment });
  await call(world.endpoint, 'GET', `${path}/audited`);
  const changed = await call(world.endpoint, 'PUT', `${path}/audited/configuration`, { Timeout: 9 });
  const [update, creation, ...more] = world.store.audit({ limit: 10 });
  assert.equal(more.length, 0);
  assert.deepEqual(
    [creation!.operation, creation!.principal, creation!.requestId],
    ['lambda:CreateFunction', 'anonymous', made.headers.get('x-amzn-requestid')],
  );
  assert.equal(update!.requestId, changed.headers.get('x-amzn-requestid'));
  const change = update!.changes.find(({ id }) => id === 'audited:$LATEST')!;
  assert.deepEqual([change.before!['Timeout'], change.after!['Timeout']], [3, 9]);
  assert.equal('MemorySize' in change.after!, false);
  assert.doesNotMatch(JSON.stringify(world.store.audit({ limit: 10 })), /hunter2/);
});

test('what SageMaker keeps by itself is audited with the rest, and its secrets hidden', async () => {
  const store = openStore({ dataDirectory: ':memory:' });
  const sageMaker = createSageMakerRuntime({
    dataDirectory: undefined,
    audit: async ({ principal = 'anonymous', requestId }, operation, change) =>
      store.record({ principal, operation, requestId }, [change]),
  });
  const gateway = await createGateway({ apis: [sageMaker] });
  const send = (operation: string, body: object): ReturnType<typeof call> =>
    call(gateway.endpoint, 'POST', '/', body, { 'x-amz-target': `SageMaker.${operation}` });
  try {
    const Environment = { random_seed: '271828', HEADRACE_MODE: 'streaming' };
    const Image = '382416733822.dkr.ecr.us-east-1.amazonaws.com/randomcutforest:1';
    const container = { Image, Environment };
    const model = { ModelName: 'fraud', ExecutionRoleArn: role, PrimaryContainer: container };
    const made = await send('CreateModel', model);
    assert.equal(made.status, 200, JSON.stringify(made.body));
    await send('DescribeModel', { ModelName: 'fraud' });
    await send('DeleteModel', { ModelName: 'fraud' });
    await send('DeleteModel', { ModelName: 'fraud' });
    const [deletion, creation, ...more] = store.audit({ limit: 10 });
    assert.equal(more.length, 0);
    assert.deepEqual(
      [creation!.operation, creation!.requestId, creation!.changes[0]!.id, creation!.changes[0]!.before],
      ['CreateModel', made.headers.get('x-amzn-requestid'), 'fraud', undefined],
    );
    assert.deepEqual([deletion!.operation, deletion!.changes[0]!.after], ['DeleteModel', undefined]);
    assert.match(JSON.stringify(creation), /HEADRACE_MODE/);
    assert.doesNotMatch(JSON.stringify(store.audit({ limit: 10 })), /271828/);
  } finally {
    await gateway.close(0);
    await sageMaker.close();
    store.close();
  }
});

test('code is kept once, and goes when nothing names it any more', async (t) => {
  const dataDirectory = temporaryFolder('store');
  t.after(() => rmSync(dataDirectory, { recursive: true }));
  await using world = await startApi({ dataDirectory });
  const ZipFile = (await zipOf({ 'index.mjs': '' })).toString('base64');
  const make = (FunctionName: string): ReturnType<typeof call> =>
    call(world.endpoint, 'POST', '/2015-03-31/functions', {
      FunctionName,
      Role: role,
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Code: { ZipFile },
    });
  await make('one');
  await make('two');
  const { folder } = world.store.code;
  writeFileSync(join(folder, 'cut-off.part'), 'half');
  const age = (): void => {
    for (const name of readdirSync(folder)) utimesSync(join(folder, name), 0, 0);
  };
  age();
  assert.equal(world.api.collectCode(), 1);
  assert.equal(readdirSync(folder).length, 1);
  await call(world.endpoint, 'DELETE', '/2015-03-31/functions/one');
  age();
  assert.equal(world.api.collectCode(), 0);
  await call(world.endpoint, 'DELETE', '/2015-03-31/functions/two');
  assert.equal(world.api.collectCode(), 1);
  assert.deepEqual(readdirSync(folder), []);
});

test('kill -9 at any moment leaves whole things, and everything that was acknowledged', async (t) => {
  const { kills, writes } = await killWriters({ kills: 40, seed: 20_261_121 });
  t.diagnostic(`${kills} kills, ${writes} acknowledged writes, none lost (200 kills: npm run soak -- store)`);
});

test('kill -9 during deployments leaves whole functions, versions, aliases and mappings', async (t) => {
  const { kills, answers } = await killDeployers({ kills: 8, seed: 20_261_121 });
  t.diagnostic(`${kills} kills, ${answers} answered requests, all of them hold (more: npm run soak -- store)`);
});
