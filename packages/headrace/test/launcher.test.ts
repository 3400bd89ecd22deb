import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const launcher = fileURLToPath(new URL('../bin/headrace.js', import.meta.url));

/** The machine's own Node, not the pinned one that npm puts first. */
const machineNode = (process.env['PATH'] ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))
  .map((folder) => join(folder, 'node'))
  .find(existsSync);
const machineVersion =
  machineNode === undefined ? '' : execFileSync(machineNode, ['--version'], { encoding: 'utf8' }).trim();
const [major = 0, minor = 0] = machineVersion.slice(1).split('.').map(Number);
const isOld = machineVersion !== '' && (major < 24 || (major === 24 && minor < 6));

/** A package with this launcher and an entry that tells which Node runs it. */
function layOut(t: { after(callback: () => void): void }, withPinned: boolean): string {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-launcher-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'dist', 'cli'), { recursive: true });
  cpSync(launcher, join(folder, 'bin', 'headrace.js'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(folder, 'dist', 'cli', 'main.js'),
    'console.log(process.version, ...process.argv.slice(2)); process.exitCode = 7; if (process.connected) process.disconnect();',
  );
  if (withPinned) {
    mkdirSync(join(folder, 'node_modules', 'node', 'bin'), { recursive: true });
    symlinkSync(process.execPath, join(folder, 'node_modules', 'node', 'bin', 'node'));
  }
  return join(folder, 'bin', 'headrace.js');
}

const start = (file: string, ...words: string[]): Promise<{ code: number | null; out: string; err: string }> =>
  new Promise((resolve) => {
    execFile(machineNode!, [file, ...words], (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });

describe('the launcher', { skip: isOld ? false : 'needs a machine whose own Node is older than 24.6' }, () => {
  it('says that Node is too old, and how to cure it, when there is no other', async (t) => {
    const { code, out, err } = await start(layOut(t, false), 'demo');
    assert.equal(code, 1);
    assert.equal(out, '');
    assert.match(err, new RegExp(`Node ${machineVersion.replaceAll('.', '\\.')} is too old`));
    assert.match(err, /Node 24\.6 or newer/);
    assert.match(err, /NODE_TOO_OLD: .*optional.*Node 24/);
  });

  it('takes the pinned Node, hands words and exit code on', async (t) => {
    const { code, out } = await start(layOut(t, true), 'demo', '--json');
    assert.equal(out.trim(), `${process.version} demo --json`);
    assert.equal(code, 7);
  });
});
