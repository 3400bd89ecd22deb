import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { eventually, temporaryFolder } from '@headrace/testing';
import { Concurrency } from '../../src/functions/concurrency.ts';
import { type VersionChanges, Workbench } from './support.ts';

const sleeper = `let calls = 0; export const handler = async (ms) => { calls++; await new Promise((r) => setTimeout(r, ms)); return [process.pid, calls]; };`;

async function start(options: Parameters<typeof Workbench.start>[0], changes: VersionChanges = {}): Promise<Workbench> {
  const bench = await Workbench.start(options);
  await bench.add('f', { 'index.mjs': sleeper }, changes);
  return bench;
}

test('invocations at the same time run in environments of their own, later ones reuse them', async () => {
  const bench = await Workbench.start();
  // Three wait for each other: one that answered sooner would take another's invocation, too.
  await bench.add('f', {
    'index.mjs': `import { appendFileSync, readFileSync } from 'node:fs';
      let calls = 0;
      export const handler = async (file) => {
        calls++;
        appendFileSync(file, '.');
        while (readFileSync(file).length < 3) await new Promise((r) => setTimeout(r, 5));
        return [process.pid, calls];
      };`,
  });
  const together = async (meeting: string): Promise<[number, number][]> => {
    const file = join(bench.directory, meeting);
    return (await Promise.all([1, 2, 3].map(() => bench.result('f', file)))) as [number, number][];
  };
  const first = await together('first');
  assert.equal(new Set(first.map(([pid]) => pid)).size, 3);
  const second = await together('second');
  assert.deepEqual(new Set(second.map(([pid]) => pid)), new Set(first.map(([pid]) => pid)));
  assert.ok(second.every(([, calls]) => calls === 2));
});

test('an invocation that waits for a start takes an environment that becomes free sooner', async () => {
  const bench = await Workbench.start();
  await bench.add('slow', {
    'index.mjs': `import { existsSync, writeFileSync } from 'node:fs'; if (existsSync('started')) await new Promise((r) => setTimeout(r, 3000)); writeFileSync('started', ''); export const handler = async (ms) => { await new Promise((r) => setTimeout(r, ms)); return process.pid; };`,
  });
  const pid = await bench.result('slow', 0);
  const busy = bench.result('slow', 200);
  const started = performance.now();
  assert.equal(await bench.result('slow', 0), pid);
  assert.equal(await busy, pid);
  assert.ok(performance.now() - started < 2_000);
});

test('reserved concurrency throttles beyond it, whatever the version; 0 stops the function', async () => {
  const bench = await start({});
  bench.engine.setReservedConcurrency('f', 2);
  const running = [bench.invoke('f', 200), bench.invoke('f', 200)];
  const third = await bench.invoke('f', 0);
  assert.deepEqual(third, {
    kind: 'throttled',
    reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
    retryAfterMilliseconds: 1_000,
  });
  for (const outcome of await Promise.all(running)) assert.equal(outcome.kind, 'success');
  bench.engine.setReservedConcurrency('f', 0);
  assert.equal((await bench.invoke('f', 0)).kind, 'throttled');
  bench.engine.setReservedConcurrency('f', undefined);
  assert.equal((await bench.invoke('f', 0)).kind, 'success');
});

test('the account limit throttles functions without a reservation only', async () => {
  const bench = await start({ accountConcurrency: 3 });
  await bench.add('g', { 'index.mjs': sleeper });
  bench.engine.setReservedConcurrency('g', 2);
  const running = bench.invoke('f', 300);
  const second = await bench.invoke('f', 0);
  assert.deepEqual(second.kind === 'throttled' && second.reason, 'ConcurrentInvocationLimitExceeded');
  assert.equal((await bench.invoke('g', 0)).kind, 'success');
  assert.equal((await running).kind, 'success');
});

test('concurrency counts agree with a plain count under random changes', () => {
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const concurrency = new Concurrency(20);
  const running: [string, string][] = [];
  const reserved = new Map<string, number>([['a', 4]]);
  const provisioned = new Map<string, number>([
    ['a:1', 2],
    ['b:1', 3],
  ]);
  concurrency.reserve('a', 4);
  concurrency.provision('a', '1', 2);
  concurrency.provision('b', '1', 3);
  const of = (name: string, version?: string): number =>
    running.filter(([n, v]) => n === name && (version === undefined || v === version)).length;
  const onDemand = (name: string): number =>
    ['1', '2'].reduce((sum, v) => sum + Math.max(0, of(name, v) - (provisioned.get(`${name}:${v}`) ?? 0)), 0);
  for (let step = 0; step < 20_000; step++) {
    if (random(2) === 0 && running.length > 0) {
      const [gone] = running.splice(random(running.length), 1) as [[string, string]];
      concurrency.give(...gone);
      continue;
    }
    const name = 'abc'[random(3)]!;
    const version = String(1 + random(2));
    const free = of(name, version) < (provisioned.get(`${name}:${version}`) ?? 0);
    const room = name === 'a' ? onDemand('a') < reserved.get('a')! - 2 : onDemand('b') + onDemand('c') < 20 - 4 - 3;
    const left = concurrency.free(name, version);
    const reason = concurrency.take(name, version);
    assert.equal(left > 0, reason === undefined, `step ${step}: ${left} are free`);
    if (reason === undefined) assert.equal(concurrency.free(name, version), left - 1);
    assert.equal(reason === undefined, free || room, `step ${step}: ${name}:${version}`);
    if (reason === undefined) running.push([name, version]);
  }
});

test('provisioned environments are warm before the first invocation and stay', async () => {
  const bench = await start({ idleTimeoutMilliseconds: 1 }, { version: '1' });
  bench.engine.setProvisionedConcurrency('f', '1', 2);
  bench.engine.setProvisionedConcurrency('f', '1', 2);
  await eventually(() => bench.engine.snapshot().filter((each) => each.state === 'idle').length === 2);
  assert.equal(bench.engine.snapshot().length, 2);
  const pids = new Set(bench.engine.snapshot().map((each) => each.processId));
  const results = (await Promise.all([bench.result('f:1', 100), bench.result('f:1', 100)])) as [number, number][];
  assert.deepEqual(new Set(results.map(([pid]) => pid)), pids);
  await bench.add('other', { 'index.mjs': sleeper });
  await bench.result('other', 0);
  await eventually(() => bench.engine.snapshot().every((each) => each.functionName === 'f'));
  assert.equal(bench.engine.snapshot().length, 2, 'the idle time ends on-demand environments only');
  bench.engine.setProvisionedConcurrency('f', '1', 0);
  await eventually(() => bench.engine.snapshot().length === 0);
});

test('concurrency provisioned before the start is warm after it', async () => {
  const bench = new Workbench(temporaryFolder('functions'), {});
  after(() => rmSync(bench.directory, { recursive: true, force: true }));
  bench.engine.setProvisionedConcurrency('f', '1', 1);
  await bench.add('f', { 'index.mjs': sleeper }, { version: '1' });
  await bench.engine.start();
  after(() => bench.engine.stop());
  await eventually(() => bench.engine.snapshot().some((each) => each.state === 'idle'));
});

test('environments that were asked for in advance are started once, and the invocations find them', async () => {
  const bench = await start({ accountConcurrency: 4 });
  const environments = (): number[] => bench.engine.snapshot().map((each) => each.processId!);
  const running = bench.result('f', 1_500);
  await eventually(() => bench.engine.snapshot().some((each) => each.state === 'busy'));
  bench.engine.warm('f', 2);
  bench.engine.warm('f', 2);
  await eventually(() => bench.engine.snapshot().filter((each) => each.state === 'idle').length === 2);
  bench.engine.warm('f', 2);
  const before = environments();
  assert.equal(before.length, 3, 'the one that runs and two');
  const results = (await Promise.all([bench.result('f', 100), bench.result('f', 100)])) as [number, number][];
  assert.ok(results.every(([pid, calls]) => before.includes(pid) && calls === 1));
  bench.engine.warm('f', 100);
  await running;
  await eventually(() => bench.engine.snapshot().every((each) => each.state === 'idle'));
  assert.equal(bench.engine.snapshot().length, 4, 'no more than may run at the same time');
  bench.engine.warm('nobody', 1);
});

test('what fails to start is not started in advance again and again', async () => {
  const bench = await Workbench.start();
  await bench.add('broken', {
    'index.mjs': `import { appendFileSync } from 'node:fs'; appendFileSync('starts', '.'); throw new Error('no');`,
  });
  bench.engine.warm('broken', 50);
  const starts = (): number => readFileSync(join(bench.directory, 'code/broken/first/starts'), 'utf8').length;
  await eventually(() => starts() > 0);
  await eventually(() => bench.engine.snapshot().length === 0);
  assert.ok(starts() < 20, `${starts()} starts`);
  assert.equal((await bench.failure('broken')).errorMessage, 'no');
});

test('a provisioned environment says so to the function', async () => {
  const bench = await Workbench.start();
  const source = `export const handler = async () => process.env.AWS_LAMBDA_INITIALIZATION_TYPE;`;
  await bench.add('p', { 'index.mjs': source }, { version: '3' });
  bench.engine.setProvisionedConcurrency('p', '3', 1);
  await eventually(() => bench.engine.snapshot().some((each) => each.state === 'idle'));
  assert.equal(await bench.result('p:3'), 'provisioned-concurrency');
});

test('new code takes over without losing an invocation or running on half of each', async () => {
  const bench = await Workbench.start();
  const code = (revision: number): Record<string, string> => ({
    'index.mjs': `import { part } from './part.mjs'; export const handler = async (ms) => { await new Promise((r) => setTimeout(r, ms)); return ['${revision}', part]; };`,
    'part.mjs': `export const part = '${revision}';`,
  });
  await bench.add('f', code(0), { revisionId: '0' });
  let newest = 0;
  let stopped = false;
  let invocations = 0;
  const callers = Array.from({ length: 3 }, async () => {
    while (!stopped) {
      const least = newest;
      const [revision, part] = (await bench.result('f', 3)) as [string, string];
      assert.equal(revision, part);
      assert.ok(Number(revision) >= least, `revision ${revision} ran after ${least} was in service`);
      invocations++;
    }
  });
  for (let revision = 1; revision <= 5; revision++) {
    const before = invocations;
    await eventually(() => invocations > before + 10);
    await bench.add('f', code(revision), { revisionId: String(revision) });
    bench.engine.refresh('f');
    newest = revision;
  }
  const before = invocations;
  await eventually(() => invocations > before + 10);
  stopped = true;
  await Promise.all(callers);
  await eventually(() => bench.engine.snapshot().length <= 3, { what: 'the environments of older code have ended' });
});

test('an invocation that runs when the code changes ends on the old code', async () => {
  const bench = await start({}, { revisionId: '1' });
  const running = bench.result('f', 400);
  await eventually(() => bench.engine.snapshot().some((each) => each.state === 'busy'));
  await bench.add('f', { 'index.mjs': `export const handler = async () => 'new';` }, { revisionId: '2' });
  bench.engine.refresh('f');
  assert.equal(await bench.result('f', 0), 'new');
  assert.equal(((await running) as unknown[]).length, 2);
});

test('a removed function is not found, and its environments end', async () => {
  const bench = await start({});
  await bench.result('f', 0);
  bench.delete('f');
  bench.engine.remove('f');
  assert.equal((await bench.invoke('f', 0)).kind, 'not-found');
  await eventually(() => bench.engine.snapshot().length === 0);
});

test('stop waits for what runs, as long as it is told', async () => {
  const bench = await start({});
  const running = bench.invoke('f', 200);
  await eventually(() => bench.engine.snapshot().some((each) => each.state === 'busy'));
  await bench.engine.stop({ timeoutMilliseconds: 5_000 });
  assert.equal((await running).kind, 'success');
  assert.equal((await bench.invoke('f', 0)).kind, 'unavailable');
});

test('stop ends what runs too long, and says so', async () => {
  const bench = await start({});
  const running = bench.invoke('f', 5_000);
  await eventually(() => bench.engine.snapshot().some((each) => each.state === 'busy'));
  await bench.engine.stop({ timeoutMilliseconds: 50 });
  assert.equal((await running).kind, 'unavailable');
});
