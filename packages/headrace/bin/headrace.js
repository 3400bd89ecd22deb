#!/usr/bin/env node
// Starts Headrace on a Node that can run it. Plain JavaScript that works on Node 20: the machine's own Node may be old.
// Order: the pinned `node` package when it is installed, else this Node when it is new enough, else a clear message.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const packageFolder = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))));

// In a checkout the sources run as they are; a packed package holds plain JavaScript in dist/ and no src/.
const entry = ['src/cli/main.ts', 'dist/cli/main.js'].map((file) => join(packageFolder, file)).find(existsSync);

const isNewEnough = (version) => {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 6);
};

/** Looks for node_modules/node/bin/node here and in every folder above, as module resolution does. */
function findPinnedNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  for (let folder = packageFolder; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', 'node', 'bin', name);
    if (existsSync(candidate)) {
      if (realpathSync(candidate) === realpathSync(process.execPath)) return process.execPath;
      // The file may be there and not run: a platform without a published binary, a copy from another machine.
      const probe = spawnSync(candidate, ['--version'], { encoding: 'utf8' });
      if (probe.status === 0 && isNewEnough(probe.stdout.trim())) return candidate;
    }
    if (dirname(folder) === folder) return undefined;
  }
}

const node = findPinnedNode() ?? (isNewEnough(process.version) ? process.execPath : undefined);

if (node === undefined) {
  console.error(
    `headrace: Node ${process.version} is too old. Headrace needs Node 24.6 or newer.\n` +
      '  NODE_TOO_OLD: Install with optional dependencies, so that the pinned Node comes along, or install Node 24 and put it first in PATH.',
  );
  process.exitCode = 1;
} else if (node === process.execPath) {
  // Compiled code is kept between runs: it halves the time to the first record. Where it cannot be written, nothing is lost.
  nodeModule.enableCompileCache?.(
    join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'headrace', 'compiled'),
  );
  await import(pathToFileURL(entry).href);
} else {
  // The channel tells the child when this process is gone, whatever ended it.
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', entry, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`headrace: ${node} cannot be started: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    const numbers = { SIGHUP: 129, SIGINT: 130, SIGKILL: 137, SIGTERM: 143 };
    process.exit(code ?? numbers[signal] ?? 1);
  });
}
