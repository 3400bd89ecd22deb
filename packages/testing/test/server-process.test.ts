import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { eventually, ServerProcess, temporaryFolder } from '../src/index.ts';

const isAlive = (processId: number): boolean => {
  try {
    process.kill(processId, 0);
    return true;
  } catch {
    return false;
  }
};

test('a server and its folder do not outlive the process that started it, even when that is killed', async () => {
  const source = JSON.stringify(join(import.meta.dirname, '..', 'src', 'index.ts'));
  const script = `import { ServerProcess, temporaryFolder } from ${source};
    const folder = temporaryFolder('orphan');
    const server = new ServerProcess('sleep', ['1000'], { logFile: folder + '/log', folder });
    console.log(JSON.stringify([server.processId, folder]));
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(owner.stdout), 'line')) as [string];
  const [processId, folder] = JSON.parse(line) as [number, string];
  assert.ok(isAlive(processId) && existsSync(folder));
  owner.kill('SIGKILL');
  await eventually(() => !isAlive(processId) && !existsSync(folder));
});

test('a server that ends before it is ready fails with what it printed', async () => {
  const folder = temporaryFolder('failing');
  const script = 'echo no such listener; exit 3';
  const server = new ServerProcess('sh', ['-c', script], { logFile: join(folder, 'log'), folder });
  await assert.rejects(
    server.ready(() => false, 10_000),
    /ended before it was ready:\nno such listener/,
  );
  await server.stop(folder);
  assert.ok(!existsSync(folder));
});
