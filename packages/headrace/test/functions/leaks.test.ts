import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, temporaryFolder } from '@headrace/testing';
import { Workbench } from './support.ts';

// The long form: HEADRACE_SOAK=1 npm test -- functions/leaks
const soak = process.env['HEADRACE_SOAK'] === '1';
const invocations = soak ? 10_000 : 2_000;
const crashes = soak ? 1_000 : 40;

/** Children of this process, zombies included. */
function children(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return new RegExp(`^PPid:\\t${process.pid}$`, 'm').test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      } catch {
        return false;
      }
    });
}

const descriptors = (): number => readdirSync('/proc/self/fd').length;

test(`after ${invocations} invocations and ${crashes} crashes no process, file handle, port, folder or memory is left`, {
  skip: process.platform === 'linux' ? false : 'needs /proc',
  timeout: 600_000,
}, async () => {
  const bench = await Workbench.start();
  await bench.add('f', {
    'index.mjs': `import { spawn } from 'node:child_process';
        export const handler = async (event) => { if (event === 'crash') { spawn('sleep', ['1000']); process.exit(1); } return event; };`,
  });
  const event = Buffer.from('"x"');
  const invoke = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) assert.equal((await bench.engine.invoke('f', event)).kind, 'success');
  };
  const crash = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) assert.equal((await bench.invoke('f', 'crash')).kind, 'function-error');
  };
  await invoke(200);
  await crash(4);
  await invoke(1);
  await eventually(() => children().length === 2);
  globalThis.gc?.();
  const before = { descriptors: descriptors(), heap: process.memoryUsage().heapUsed };
  await invoke(invocations);
  await crash(crashes);
  await invoke(1);
  await eventually(() => children().length === 2, { what: () => `the function and the guard, not ${children()}` });
  await eventually(() => descriptors() <= before.descriptors, {
    what: () => `${descriptors()} descriptors, before ${before.descriptors}`,
  });
  assert.equal(readdirSync(join(bench.directory, 'data/functions/tmp')).length, 1);
  assert.equal(process.getActiveResourcesInfo().filter((each) => each === 'TCPServerWrap').length, 1);
  globalThis.gc?.();
  const grown = (process.memoryUsage().heapUsed - before.heap) / 1_048_576;
  assert.ok(grown < 40, `the heap grew by ${grown} MiB`);
  await bench.engine.stop();
  await eventually(() => children().length === 0);
  await eventually(() => process.getActiveResourcesInfo().every((each) => !/TCPServerWrap|ProcessWrap/.test(each)));
  assert.ok(!readdirSync('/proc').some((pid) => sleeps(pid, bench.directory)), 'no forked child is left');
});

function sleeps(pid: string, directory: string): boolean {
  try {
    return (
      readFileSync(`/proc/${pid}/environ`, 'utf8').includes(directory) &&
      /State:\s+[^ZX]/.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
    );
  } catch {
    return false;
  }
}

test('an engine that stops while an environment is starting leaves no port and no folder', async () => {
  const servers = (): number => process.getActiveResourcesInfo().filter((each) => each === 'TCPServerWrap').length;
  const before = servers();
  // A stop at each of the first turns of the start: before its folder is made, before it listens, before its process.
  for (let turns = 0; turns < 12; turns++) {
    const bench = new Workbench(temporaryFolder('functions'), {});
    await bench.engine.start();
    await bench.add('f', { 'index.mjs': 'export const handler = async () => 1;' });
    const invoked = bench.engine.invoke('f', Buffer.from('{}'));
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    await bench.engine.stop();
    assert.notEqual((await invoked).kind, 'function-error');
    await eventually(() => servers() === before, { what: () => `${servers()} servers after ${turns} turns` });
    const folder = join(bench.directory, 'data/functions/tmp');
    await eventually(() => !existsSync(folder) || readdirSync(folder).length === 0, {
      what: () => `${folder} is empty`,
    });
    rmSync(bench.directory, { recursive: true, force: true });
  }
});
