import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { eventually, needs } from '@headrace/testing';
import { EventFile } from '../../src/functions/event-file.ts';
import { Workbench } from './support.ts';

const skip = process.platform === 'linux' ? false : 'needs the /dev/shm of Linux';
const sizes = [10, 16_383, 16_384, 150_000, 1_048_576, 1_048_577, 5_000_000];
/** A JSON text of that many bytes, no two the same. */
const eventOf = (bytes: number): Buffer => Buffer.from(`"${randomBytes(bytes).toString('hex').slice(2, bytes)}"`);
const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

const node = {
  'index.mjs': `import { createHash } from 'node:crypto';
    export const handler = async (event) => {
      if (event === 'crash') process.exit(1);
      return { length: event.length, digest: createHash('sha256').update(event).digest('hex') };
    };`,
};
const python = {
  'index.py': `import hashlib, os
def handler(event, context):
    if event == 'crash':
        os._exit(1)
    return {'length': len(event), 'digest': hashlib.sha256(event.encode()).hexdigest()}
`,
};

const runtimes = {
  Node: { files: node, runtime: 'nodejs24.x', skip: skip as string | false },
  Python: { files: python, runtime: 'python3.11', skip: skip || needs('python') },
};

for (const [name, { files, runtime, skip }] of Object.entries(runtimes)) {
  test(`${name}: events of every size arrive whole, in any order, also after a crash`, { skip }, async () => {
    const bench = await Workbench.start();
    await bench.add('f', files, { runtime });
    const check = async (bytes: number): Promise<void> => {
      const event = eventOf(bytes);
      const outcome = await bench.engine.invoke('f', event);
      assert.equal(outcome.kind, 'success', `${bytes} bytes`);
      const text = JSON.parse(event.toString()) as string;
      assert.deepEqual(JSON.parse((outcome as { payload: Buffer }).payload.toString()), {
        length: text.length,
        digest: digest(text),
      });
    };
    // What a longer one left behind it must not show.
    for (const bytes of [...sizes, ...sizes.toReversed()]) await check(bytes);
    assert.equal((await bench.invoke('f', 'crash')).kind, 'function-error');
    for (const bytes of sizes) await check(bytes);
  });
}

test('the memory has no name, the function can only read it, and what it starts has nothing of it', {
  skip,
}, async () => {
  const before = readdirSync('/dev/shm');
  const bench = await Workbench.start();
  await bench.add('f', {
    'index.mjs': `import { execFileSync } from 'node:child_process';
      import { fstatSync, writeSync } from 'node:fs';
      const attempt = (work) => { try { return work(); } catch (error) { return error.code; } };
      export const handler = async () => ({
        size: attempt(() => fstatSync(4).size),
        write: attempt(() => writeSync(4, 'x', 0)),
        inherited: execFileSync('sh', ['-c', 'ls -l /proc/self/fd']).toString().includes('/dev/shm'),
      });`,
  });
  const outcome = await bench.engine.invoke('f', eventOf(100_000));
  assert.deepEqual(JSON.parse((outcome as { payload: Buffer }).payload.toString()), {
    size: 100_000,
    write: 'EBADF',
    inherited: false,
  });
  // Other test files make such files meanwhile: theirs too have a name for a moment only.
  const left = (): string[] =>
    readdirSync('/dev/shm').filter((name) => name.startsWith('headrace-') && !before.includes(name));
  await eventually(() => left().length === 0, { what: () => `${left()}` });
});

test('behind a wrapper that does not pass the memory on, events come over the socket', { skip }, async () => {
  const bench = await Workbench.start();
  const version = await bench.add('f', { ...node, wrapper: '#!/bin/sh\nexec "$@" 4<&-\n' });
  const wrapper = join((version.code as { path: string }).path, 'wrapper');
  chmodSync(wrapper, 0o755);
  bench.set({ ...version, environment: { AWS_LAMBDA_EXEC_WRAPPER: wrapper } });
  const outcome = await bench.engine.invoke('f', eventOf(200_000));
  assert.equal(JSON.parse((outcome as { payload: Buffer }).payload.toString()).length, 199_998);
});

test('where its memory is full or closed, an event is not written', { skip }, () => {
  const file = EventFile.open()!;
  after(() => file.closeReadDescriptor());
  assert.equal(file.write(Buffer.alloc(16_383)), false, 'smaller than is worth it');
  assert.equal(file.write(Buffer.alloc(16_384)), true);
  assert.equal(file.write(Buffer.alloc(1_048_577)), false, 'larger than an environment may hold');
  assert.equal(file.write(Buffer.alloc(1_048_576)), true);
  file.close();
  assert.equal(file.write(Buffer.alloc(16_384)), false, 'closed');
});
