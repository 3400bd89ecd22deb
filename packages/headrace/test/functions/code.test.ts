import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { crc32, deflateRawSync } from 'node:zlib';
import { needs, temporaryFolder } from '@headrace/testing';
import { unpack } from '../../src/functions/zip.ts';
import { functionVersion, type VersionChanges, Workbench } from './support.ts';

const folder = temporaryFolder('code');
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

interface Entry {
  readonly name: string;
  readonly data?: string | Buffer;
  /** Unix mode with its type bits. */
  readonly mode?: number;
  /** The size that the archive claims. */
  readonly claimed?: number;
}

/** A zip file byte by byte: libraries refuse to write the hostile ones. */
function zip(entries: readonly Entry[]): string {
  const local: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const { name, data = '', mode = 0o100_644, claimed } of entries) {
    const raw = Buffer.from(data);
    const packed = deflateRawSync(raw);
    const bytes = Buffer.from(name);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(0x800, 2);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(crc32(raw), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(claimed ?? raw.length, 18);
    fields.writeUInt16LE(bytes.length, 22);
    const piece = Buffer.concat([Buffer.from('PK\x03\x04'), fields, bytes, packed]);
    local.push(piece);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE((mode << 16) >>> 0, 6);
    tail.writeUInt32LE(offset, 10);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x03', 'latin1'), fields, tail, bytes]));
    offset += piece.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  const path = join(folder, `${++count}.zip`);
  writeFileSync(path, Buffer.concat([...local, directory, Buffer.from('PK\x05\x06'), end]));
  return path;
}

const target = (): string => {
  const path = join(folder, `out${++count}`, 'inner');
  mkdirSync(path, { recursive: true });
  return path;
};

test('files, folders, modes and links come out as they went in', async () => {
  const out = target();
  const size = await unpack(
    zip([
      { name: 'a/', mode: 0o040_755 },
      { name: 'a/run.sh', data: '#!/bin/sh', mode: 0o104_755 },
      { name: 'b/c/plain.txt', data: 'text ü' },
      { name: 'b/link', data: 'c/plain.txt', mode: 0o120_777 },
      { name: 'b/c/up', data: '../../a/run.sh', mode: 0o120_777 },
    ]),
    out,
  );
  assert.equal(readFileSync(join(out, 'b/c/plain.txt'), 'utf8'), 'text ü');
  assert.equal(statSync(join(out, 'a/run.sh')).mode & 0o7777, 0o755, 'executable, not setuid');
  assert.equal(readlinkSync(join(out, 'b/link')), 'c/plain.txt');
  assert.equal(readFileSync(join(out, 'b/c/up'), 'utf8'), '#!/bin/sh');
  assert.equal(size, 9 + 7 + 11 + 14);
});

for (const [what, entries, message] of [
  ['a path upwards', [{ name: '../evil', data: 'x' }], /invalid relative path: \.\.\/evil/],
  ['a path upwards in the middle', [{ name: 'a/../../evil', data: 'x' }], /invalid relative path/],
  ['an absolute path', [{ name: '/tmp/evil', data: 'x' }], /absolute path: \/tmp\/evil/],
  ['a path with backslashes upwards', [{ name: '..\\evil', data: 'x' }], /invalid relative path/],
  ['an absolute link', [{ name: 'l', data: '/etc/passwd', mode: 0o120_777 }], /link l points outside/],
  ['a link upwards', [{ name: 'l', data: '../secret', mode: 0o120_777 }], /link l points outside/],
  [
    'a link that climbs in the middle',
    [{ name: 'a/l', data: '../b/../../x', mode: 0o120_777 }],
    /link a\/l points outside/,
  ],
  [
    'a file through a link of the same archive',
    [
      { name: 'l', data: 'd', mode: 0o120_777 },
      { name: 'd/x', data: '1' },
      { name: 'l/evil', data: 'x' },
    ],
    /l is both folder and link/,
  ],
  [
    'a link through a link',
    [
      { name: 'd/e/f', data: '1' },
      { name: 'l', data: 'd', mode: 0o120_777 },
      { name: 'l/m', data: '..', mode: 0o120_777 },
    ],
    /l is both folder and link|below the link/,
  ],
  [
    'a path of thirty thousand folders',
    [{ name: `${'a/'.repeat(30_000)}f`, data: 'x' }],
    /the name a\/a\/.*… is too long/,
  ],
  ['a name of a thousand characters', [{ name: 'a'.repeat(1_000), data: 'x' }], /ENAMETOOLONG|cannot be unpacked/],
  ['a link with a NUL', [{ name: 'l', data: 'a\0b', mode: 0o120_777 }], /link l points outside/],
  ['an endless link', [{ name: 'l', data: 'a/'.repeat(3_000), mode: 0o120_777 }], /link l is too long/],
  ['a block device', [{ name: 'sda', mode: 0o060_660 }], /sda is a device, pipe or socket/],
  ['a socket', [{ name: 's', mode: 0o140_777 }], /s is a device, pipe or socket/],
  [
    'a bomb of many pieces',
    Array.from({ length: 20 }, (_, n) => ({ name: `p${n}`, data: Buffer.alloc(60_000) })),
    /unpacked it is over 1000000 bytes \(at p16\)/,
  ],
  [
    'a bomb that writes one file again and again',
    Array.from({ length: 20 }, () => ({ name: 'p', data: Buffer.alloc(60_000) })),
    /unpacked it is over 1000000 bytes \(at p\)/,
  ],
  ['a device', [{ name: 'dev', mode: 0o020_666 }], /dev is a device, pipe or socket/],
  ['a named pipe', [{ name: 'fifo', mode: 0o010_666 }], /fifo is a device, pipe or socket/],
  [
    'a file that is also a folder',
    [
      { name: 'a', data: '1' },
      { name: 'a/b', data: '2' },
    ],
    /a is both file and folder/,
  ],
  ['more data than claimed', [{ name: 'a', data: 'x'.repeat(1000), claimed: 10 }], /a cannot be unpacked/],
  ['less data than claimed', [{ name: 'a', data: 'x', claimed: 1000 }], /a cannot be unpacked/],
  ['a bomb', [{ name: 'a', data: Buffer.alloc(2_000_000) }], /unpacked it is over 1000000 bytes \(at a\)/],
] as const) {
  test(`a hostile archive is refused: ${what}`, async () => {
    const out = target();
    await assert.rejects(unpack(zip(entries), out, 1_000_000), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'FUNCTION_CODE');
      assert.match(error.message, message);
      return true;
    });
    assert.deepEqual(readdirSync(join(out, '..')), ['inner'], 'nothing was written beside the folder');
  });
}

test('what is no zip file is refused', async () => {
  const path = join(folder, 'text.zip');
  writeFileSync(path, 'no zip at all');
  await assert.rejects(unpack(path, target()), /text\.zip: not a zip file/);
});

test('an archive of too many entries is refused before anything is written', async () => {
  const path = zip([{ name: 'a', data: '1' }]);
  const bytes = readFileSync(path);
  // Zip64 is not needed for 65,535 entries; the limit lies above, so the count comes from a zip64 record.
  const end = bytes.length - 22;
  const record = Buffer.alloc(56);
  record.write('PK\x06\x06', 'latin1');
  record.writeBigUInt64LE(44n, 4);
  record.writeBigUInt64LE(1_000_000n, 24);
  record.writeBigUInt64LE(1_000_000n, 32);
  record.writeBigUInt64LE(BigInt(bytes.readUInt32LE(end + 12)), 40);
  record.writeBigUInt64LE(BigInt(bytes.readUInt32LE(end + 16)), 48);
  const locator = Buffer.alloc(20);
  locator.write('PK\x06\x07', 'latin1');
  locator.writeBigUInt64LE(BigInt(end), 8);
  locator.writeUInt32LE(1, 16);
  const tail = Buffer.from(bytes.subarray(end));
  tail.writeUInt16LE(0xffff, 8);
  tail.writeUInt16LE(0xffff, 10);
  writeFileSync(path, Buffer.concat([bytes.subarray(0, end), record, locator, tail]));
  await assert.rejects(unpack(path, target()), /1000000 entries; at most 200000/);
});

// Functions from archives.

const bench = await Workbench.start();

function addZip(name: string, entries: readonly Entry[], changes: VersionChanges = {}): void {
  const zipFile = zip(entries);
  const sha256 = createHash('sha256').update(readFileSync(zipFile)).digest('hex');
  bench.set(functionVersion(name, { code: { kind: 'zip', zipFile, sha256 }, ...changes }));
}

test('a function runs from a zip file', async () => {
  addZip('zipped', [
    {
      name: 'index.mjs',
      data: 'export const handler = async () => [process.cwd() === process.env.LAMBDA_TASK_ROOT, 7];',
    },
  ]);
  assert.deepEqual(await bench.result('zipped'), [true, 7]);
});

test('a bad zip file is InvalidZipFileException, and nothing half unpacked is left', async () => {
  addZip('bad', [
    { name: 'index.mjs', data: 'export const handler = 1;' },
    { name: '../evil', data: 'x' },
  ]);
  const outcome = await bench.invoke('bad');
  assert.deepEqual(outcome.kind === 'unavailable' && [outcome.status, outcome.type], [502, 'InvalidZipFileException']);
  assert.ok(!readdirSync(join(bench.directory, 'data/functions/code')).some((name) => name.includes('partial')));
});

test('layers are merged in order and found by CommonJS and ES modules', async () => {
  const layer = (version: number): { zipFile: string } => ({
    zipFile: zip([
      { name: 'nodejs/node_modules/shared/package.json', data: '{"main":"index.js"}' },
      { name: 'nodejs/node_modules/shared/index.js', data: `module.exports = 'shared ${version}';` },
      {
        name: `nodejs/node_modules/only${version}/index.js`,
        data: `module.exports = require('@aws-sdk/client-lambda').InvokeCommand.name;`,
      },
    ]),
  });
  const layers = [layer(1), layer(2)];
  addZip(
    'esm',
    [
      {
        name: 'index.mjs',
        data: `import shared from 'shared'; import one from 'only1'; import { InvokeCommand } from '@aws-sdk/client-lambda'; export const handler = async () => [shared, one, InvokeCommand.name];`,
      },
    ],
    { layers },
  );
  addZip(
    'cjs',
    [
      {
        name: 'index.js',
        data: `exports.handler = async () => [require('shared'), require('only2'), require('@aws-sdk/client-lambda').InvokeCommand.name];`,
      },
    ],
    { layers, runtime: 'nodejs22.x' },
  );
  assert.deepEqual(await bench.result('esm'), ['shared 2', 'InvokeCommand', 'InvokeCommand']);
  assert.deepEqual(await bench.result('cjs'), ['shared 2', 'InvokeCommand', 'InvokeCommand']);
});

test("the function's own SDK wins over the one that comes along", async () => {
  addZip('own', [
    { name: 'node_modules/@aws-sdk/client-lambda/index.js', data: `exports.own = true;` },
    { name: 'index.js', data: `exports.handler = async () => require('@aws-sdk/client-lambda').own;` },
  ]);
  assert.equal(await bench.result('own'), true);
});

test('an SDK client that does not come along is named with its install command', async () => {
  addZip('missing', [
    { name: 'index.mjs', data: `import '@aws-sdk/client-no-such-service'; export const handler = 1;` },
  ]);
  const failure = await bench.failure('missing');
  assert.match(failure.errorMessage, /npm install @aws-sdk\/client-no-such-service$/);
});

test('the dependencies of Headrace itself are no business of a function', async () => {
  addZip('nosy', [{ name: 'index.js', data: `exports.handler = async () => require('yauzl');` }]);
  const failure = await bench.failure('nosy');
  assert.match(failure.errorMessage, /Cannot find module 'yauzl'/);
});

test('a Python layer is importable', { skip: needs('python') }, async () => {
  const layers = [{ zipFile: zip([{ name: 'python/shared.py', data: 'value = 3' }]) }];
  addZip('pylayer', [{ name: 'app.py', data: 'import shared\ndef handler(e, c): return shared.value' }], {
    layers,
    runtime: 'python3.12',
    handler: 'app.handler',
  });
  assert.equal(await bench.result('pylayer'), 3);
});

test('a wrapper script of a layer starts the runtime', async () => {
  const layers = [
    { zipFile: zip([{ name: 'wrapper.sh', data: '#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n', mode: 0o100_755 }]) },
  ];
  addZip('wrapped', [{ name: 'index.mjs', data: `export const handler = async () => process.env.WRAPPED;` }], {
    layers,
    environment: { AWS_LAMBDA_EXEC_WRAPPER: '/opt/wrapper.sh' },
  });
  assert.equal(await bench.result('wrapped'), 'yes');
});

test('code and layers together may not be over 250 MB', async () => {
  const big = (name: string): Entry => ({ name, data: Buffer.alloc(140_000_000) });
  addZip('big', [{ name: 'index.mjs', data: 'export const handler = 1;' }, big('a')], {
    layers: [{ zipFile: zip([big('b')]) }],
  });
  const outcome = await bench.invoke('big');
  assert.match(outcome.kind === 'unavailable' ? outcome.message : '', /280000025 bytes unpacked; at most 262144000/);
  assert.ok(existsSync(bench.directory));
});
