import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { eventually, needs, temporaryFolder } from '@headrace/testing';
import { ProcessGuard } from '../../src/functions/process-guard.ts';
import { type VersionChanges, writeFiles } from './support.ts';

const folder = temporaryFolder('orphans');
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

/** Functions that never come back, and say by a file beside them that they run. */
const endless: Record<string, { files: Record<string, string>; changes: VersionChanges }> = {
  node: {
    files: {
      'index.mjs': `import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs';
        export const handler = () => { spawn('sleep', ['1000']); writeFileSync('runs', ''); for (;;); };`,
    },
    changes: {},
  },
  python: {
    files: {
      'app.py': `def handler(event, context):\n    open("runs", "w").close()\n    while True:\n        pass\n`,
    },
    changes: { runtime: 'python3.12', handler: 'app.handler' },
  },
  shell: {
    files: { bootstrap: `#!/bin/sh\nsleep 1000 &\ntouch runs\nwhile :; do :; done\n` },
    changes: { runtime: 'provided.al2023' },
  },
};

interface Running {
  readonly engine: ChildProcess;
  /** All processes below the engine, its own helpers included. */
  readonly processes: readonly number[];
}

async function start(name: string): Promise<Running> {
  const root = join(folder, name);
  const functions: Record<string, VersionChanges> = {};
  for (const [each, { files, changes }] of Object.entries(endless)) {
    const path = join(root, each);
    await writeFiles(path, files);
    functions[each] = { ...changes, code: { kind: 'folder', path } };
  }
  const engine = fork(join(import.meta.dirname, 'engine-to-kill.ts'), [join(root, 'data'), JSON.stringify(functions)]);
  after(() => engine.kill('SIGKILL'));
  await eventually(() => Object.keys(endless).every((each) => existsSync(join(root, each, 'runs'))));
  const processes = descendants(engine.pid!);
  // Three runtimes, two children of theirs, and what watches over them.
  assert.ok(processes.length >= 6, `${processes.length} processes`);
  return { engine, processes };
}

function table(): [pid: number, parent: number, state: string][] {
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid=,state='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/) as [string, string, string])
    .map(([pid, parent, state]) => [Number(pid), Number(parent), state]);
}

function descendants(root: number): number[] {
  const all = table();
  const found = [root];
  for (const parent of found) for (const [pid, of] of all) if (of === parent) found.push(pid);
  return found.slice(1);
}

const alive = (processes: readonly number[]): number[] =>
  table()
    .filter(([pid, , state]) => processes.includes(pid) && !state.startsWith('Z'))
    .map(([pid]) => pid);

test('functions in endless loops and their children end with an engine that is killed', {
  skip: needs('python'),
}, async () => {
  const { engine, processes } = await start('killed');
  engine.kill('SIGKILL');
  await once(engine, 'exit');
  await eventually(() => alive(processes).length === 0, { what: () => `still alive: ${alive(processes)}` });
});

test('an engine that stops leaves nobody behind either', { skip: needs('python') }, async () => {
  const { engine, processes } = await start('stopped');
  engine.kill('SIGTERM');
  await once(engine, 'exit');
  await eventually(() => alive(processes).length === 0, { what: () => `still alive: ${alive(processes)}` });
});

test('a guard that somebody ended is replaced, and the new one knows all groups', async () => {
  const guard = new ProcessGuard();
  const sleeper = (): ChildProcess => {
    const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
    after(() => child.kill('SIGKILL'));
    return child;
  };
  const [ended, first, second] = [sleeper(), sleeper(), sleeper()];
  const ours = [ended.pid!, first.pid!, second.pid!];
  const guards = (): number[] => alive(descendants(process.pid)).filter((pid) => !ours.includes(pid));
  guard.watch(ended.pid!);
  guard.watch(first.pid!);
  const [shell] = guards();
  process.kill(shell!, 'SIGKILL');
  await eventually(() => guards().length === 0);
  guard.unwatch(ended.pid!);
  await eventually(() => {
    // It hears of the old one's end a moment after the process table does.
    guard.watch(second.pid!);
    return guards().length === 1;
  });
  await guard.close();
  await eventually(() => first.signalCode === 'SIGKILL' && second.signalCode === 'SIGKILL');
  assert.equal(ended.signalCode, null, 'a group that has ended is left alone: its number may be another one now');
  assert.deepEqual(guards(), []);
});
