import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, cp, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { needs, runInBrowser } from '@headrace/testing';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));
const packages = ['kafka-records', 'event-pattern', 'random-cut-forest', 'dev-broker', 'headrace'];

/** As a stranger's shell: the machine's own Node and npm, nothing of this checkout, nothing of npm's own run. */
const environment: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('npm_') && name !== 'NODE_OPTIONS'),
);
environment['PATH'] = (process.env['PATH'] ?? '')
  .split(delimiter)
  .filter(
    (folder) =>
      !folder.includes(join('node_modules', '.bin')) &&
      !folder.includes(join('node_modules', 'node', 'bin')) &&
      !folder.includes('node-gyp-bin'),
  )
  .join(delimiter);

describe('the packed package works for a stranger with plain npm install', { timeout: 480_000 }, () => {
  let folder: string;
  const headrace = async (...words: string[]) =>
    await run('npx', ['headrace', ...words], { cwd: folder, env: environment, maxBuffer: 64 * 1024 * 1024 });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headrace-packed-'));
    // Packing rewrites a package's manifest for a moment, so it is done on a copy: other tests run meanwhile.
    const copy = await mkdtemp(join(tmpdir(), 'headrace-checkout-'));
    for (const part of [
      'packages',
      'examples',
      'scripts',
      'LICENSE',
      'package.json',
      'tsconfig.json',
      'tsconfig.build.json',
    ]) {
      await cp(join(root, part), join(copy, part), {
        recursive: true,
        filter: (path) => !/[\\/](node_modules|dist|test)$/.test(path),
      });
    }
    await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
    for (const name of packages) {
      await run('npm', ['pack', '--pack-destination', folder], { cwd: join(copy, 'packages', name), env: environment });
    }
    await rm(copy, { recursive: true, force: true });
    const tarballs = (await readdir(folder)).filter((file) => file.endsWith('.tgz')).map((file) => `./${file}`);
    assert.equal(tarballs.length, packages.length);
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'stranger', private: true }));
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', ...tarballs], {
      cwd: folder,
      env: environment,
    });
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('holds plain JavaScript and types, and no sources that Node would have to strip', async () => {
    for (const name of packages) {
      const installed = join(folder, 'node_modules', ...(name === 'headrace' ? [name] : ['@headrace', name]));
      const files = await readdir(installed, { recursive: true });
      assert.ok(files.includes(join('dist', 'index.js')), `${name} has a front door`);
      assert.ok(files.includes(join('dist', 'index.d.ts')), `${name} has types`);
      assert.ok(files.includes('LICENSE'), `${name} has its licence`);
      assert.deepEqual(
        files.filter(
          (file) => /(?<!\.d)\.ts$/.test(file) && !file.includes('node_modules') && !file.startsWith('examples'),
        ),
        [],
      );
    }
  });

  it('runs in a browser: forest and patterns say there what they say here', { skip: needs('chromium') }, async () => {
    await copyFile(join(import.meta.dirname, 'support', 'browser-check.mjs'), join(folder, 'check.mjs'));
    const inBrowser = await runInBrowser(folder, '/check.mjs');
    const { default: check } = (await import(pathToFileURL(join(folder, 'check.mjs')).href)) as {
      default: () => Promise<Record<string, unknown>>;
    };
    const here = await check();
    assert.deepEqual({ ...(inBrowser as object), globals: [] }, { ...here, globals: [] });
    assert.equal(here['engine'], 'wasm');
    assert.equal(here['kernelsAgree'], true);
    assert.deepEqual((inBrowser as typeof here)['globals'], [], 'nothing of Node is there');
    assert.deepEqual(here['matches'], [true, false, true]);
  });

  it("teaches by --help with the machine's own Node first in PATH", async () => {
    const { stdout } = await headrace('--help');
    assert.match(stdout, /usage: headrace COMMAND/);
    assert.match(stdout, /demo/);
  });

  it('runs the demo to its end and stores every record', async () => {
    const { stdout } = await headrace('demo', '--json', '--records', '2000');
    const summary: unknown = JSON.parse(stdout);
    assert.ok(typeof summary === 'object' && summary !== null);
    assert.equal(Reflect.get(summary, 'recordsProduced'), 2000);
    assert.equal(Reflect.get(summary, 'recordsScored'), 2000);
    assert.equal(Reflect.get(summary, 'recordsLost'), 0);
  });
});
