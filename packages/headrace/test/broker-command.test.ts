import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { repositoryRoot } from '@headrace/testing';
import { Admin } from '@platformatic/kafka';

const start = (...words: string[]) =>
  spawn(process.execPath, ['packages/headrace/bin/headrace.js', 'broker', ...words], {
    cwd: repositoryRoot,
    stdio: 'pipe',
  });

test('headrace broker says where it is, serves clients and stops at SIGTERM', async () => {
  const child = start('--port', '0', '--topic', 'orders:3', '--json');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { ready, bootstrapServers } = JSON.parse(line) as { ready: boolean; bootstrapServers: string };
  assert.equal(ready, true);
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [bootstrapServers] });
  assert.deepEqual(await admin.listTopics(), ['orders']);
  await admin.close();
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number | null];
  assert.equal(code, 0);
});

test('headrace broker refuses what it cannot do, by name', async () => {
  for (const [words, pattern] of [
    [['--topic', 'orders:none'], /--topic must name 1 to 10000 partitions/],
    [['--config', 'no.such=1', '--port', '0'], /unknown broker setting 'no.such'/],
    [['--sasl', 'alice'], /--sasl must be USER:PASSWORD/],
    [['--tls', '/nowhere/key.pem,/nowhere/cert.pem'], /nowhere/],
  ] as const) {
    const child = start(...words);
    let output = '';
    child.stderr.on('data', (data: Buffer) => (output += String(data)));
    const [code] = (await once(child, 'close')) as [number | null];
    assert.notEqual(code, 0);
    assert.match(output, pattern);
  }
});
