import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { needs, repositoryRoot } from '@headrace/testing';
import { ZipFile } from 'yazl';
import { Workbench } from './support.ts';

const usable =
  spawnSync('bwrap', ['--unshare-user', '--unshare-pid', '--ro-bind', '/', '/', '--proc', '/proc', 'true']).status ===
  0;
// A container may forbid user namespaces, whatever is installed.
const skip = needs('bubblewrap') || (usable ? false : 'needs user namespaces');

test('in the sandbox a function sees its code, an empty /tmp and nothing of the engine', { skip }, async () => {
  const bench = await Workbench.start({ sandbox: true });
  writeFileSync(join(bench.directory, 'data/secret.txt'), 'secret');
  await bench.add('f', {
    'index.mjs': `import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
      const attempt = (work) => { try { return work(); } catch (error) { return error.code; } };
      let calls = 0;
      export const handler = async (path) => ({
        calls: ++calls,
        secret: attempt(() => readFileSync(path, 'utf8')),
        processes: readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).length,
        write: attempt(() => writeFileSync('own.txt', 'x')),
        etc: attempt(() => writeFileSync('/etc/headrace-was-here', 'x')),
        temporary: attempt(() => { writeFileSync('/tmp/mine', 'x'); return existsSync('/tmp/mine'); }),
        home: process.env.HOME,
      });`,
  });
  const secret = join(bench.directory, 'data/secret.txt');
  const seen = (await bench.result('f', secret)) as Record<string, unknown>;
  assert.deepEqual(
    { ...seen, processes: 0 },
    { calls: 1, secret: 'ENOENT', processes: 0, write: 'EROFS', etc: 'EROFS', temporary: true, home: '/tmp' },
  );
  assert.ok(Number(seen['processes']) <= 2, `${seen['processes']} processes`);
  assert.equal(((await bench.result('f', secret)) as { calls: number }).calls, 2);
});

test('crashes, time-outs, memory and the SDK are the same in the sandbox', { skip }, async () => {
  const bench = await Workbench.start({ sandbox: true });
  await bench.add(
    'f',
    {
      'index.mjs': `import { InvokeCommand } from '@aws-sdk/client-lambda';
      const held = [];
      export const handler = async (event) => {
        if (event === 'exit') process.exit(3);
        if (event === 'kill') { process.kill(process.pid, 'SIGKILL'); await new Promise((r) => setTimeout(r, 5000)); }
        if (event === 'hang') for (;;);
        if (event === 'grow') for (;;) { held.push(Buffer.alloc(8 << 20, 1)); await new Promise((r) => setTimeout(r, 5)); }
        return InvokeCommand.name;
      };`,
    },
    { timeoutSeconds: 3 },
  );
  assert.equal(await bench.result('f'), 'InvokeCommand');
  assert.match((await bench.failure('f', 'exit')).errorMessage, /exit status 3$/);
  assert.match((await bench.failure('f', 'kill')).errorMessage, /signal: killed$/);
  assert.equal((await bench.failure('f', 'grow')).reason, 'memory');
  assert.equal((await bench.failure('f', 'hang')).reason, 'timeout');
  assert.equal(await bench.result('f'), 'InvokeCommand');
});

/** A checkout that lies in the machine's `/tmp` is shown there: the runtime is in it. */
const isForeign = (name: string): boolean => name !== '' && !`${repositoryRoot}/`.startsWith(`/tmp/${name}/`);

test('Python runs in the sandbox', { skip: skip || needs('python') }, async () => {
  const bench = await Workbench.start({ sandbox: true });
  await bench.add(
    'p',
    {
      'app.py': 'import os\ndef handler(e, c): return [n for n in os.listdir("/tmp") if not n.startswith("headrace-")]',
    },
    { runtime: 'python3.12', handler: 'app.handler' },
  );
  assert.deepEqual(((await bench.result('p')) as string[]).filter(isForeign), []);
});

test('layers, wrappers, extensions and custom runtimes work in the sandbox', {
  skip: skip || needs('curl'),
}, async () => {
  const bench = await Workbench.start({ sandbox: true });
  const archive = new ZipFile();
  const layerFiles = {
    'shared.txt': 'from the layer',
    'wrapper.sh': '#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n',
    'extensions/watcher': `#!/bin/sh
id=$(curl -sS -D - -o /dev/null -X POST -H 'Lambda-Extension-Name: watcher' -d '{"events":["INVOKE"]}' "http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension/register" | tr -d '\\r' | sed -n 's/^Lambda-Extension-Identifier: //p')
while curl -sSf -H "Lambda-Extension-Identifier: $id" "http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension/event/next" > /dev/null; do :; done
`,
    bootstrap: `#!/bin/sh
while true; do
  id=$(curl -sS -D - -o /dev/null "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next" | tr -d '\\r' | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //p')
  [ -n "$id" ] || exit 1
  curl -sS -X POST "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response" -d "[$(ls /proc | grep -c '^[0-9]'), \\"$(ls /tmp | grep -v ^headrace- | tr '\\n' ' ')\\"]" > /dev/null
done
`,
  };
  for (const [name, text] of Object.entries(layerFiles))
    archive.addBuffer(Buffer.from(text), name, { mode: 0o100_755 });
  archive.end();
  const zipFile = join(bench.directory, 'layer.zip');
  await pipeline(archive.outputStream, createWriteStream(zipFile));
  await bench.add(
    'node',
    {
      'index.mjs': `import { readFileSync } from 'node:fs'; import { dirname, join } from 'node:path';
        const layer = process.env.PATH.split(':').at(-1);
        export const handler = async () => [process.env.WRAPPED, readFileSync(join(dirname(layer), 'shared.txt'), 'utf8')];`,
    },
    { layers: [{ zipFile }], environment: { AWS_LAMBDA_EXEC_WRAPPER: '/opt/wrapper.sh' } },
  );
  assert.deepEqual(await bench.result('node'), ['yes', 'from the layer']);
  await bench.add('custom', { 'own.txt': '' }, { runtime: 'provided.al2023', layers: [{ zipFile }] });
  const [processes, files] = (await bench.result('custom')) as [number, string];
  assert.ok(processes < 12, `${processes} processes`);
  assert.deepEqual(files.split(' ').filter(isForeign), []);
});
