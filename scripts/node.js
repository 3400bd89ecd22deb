// Finds the Node that runs TypeScript sources: the pinned one from the optional `node` dependency, else the machine's
// own when it is new enough. Plain JavaScript that works on Node 20, because an older Node is what starts it.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const isNewEnough = (version) => {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 6);
};

/** Path of a Node ≥ 24.6; ends the process with the cure when there is none. */
export function findNode() {
  const pinned = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(pinned)) {
    const probe = spawnSync(pinned, ['--version'], { encoding: 'utf8' });
    if (probe.status === 0 && isNewEnough(probe.stdout.trim())) return pinned;
  }
  if (isNewEnough(process.version)) return process.execPath;
  console.error(
    `Node ${process.version} is too old: the sources need Node 24.6 or newer. ` +
      'Run "npm ci" without --omit=optional to get the pinned one, or install Node 24 from your platform.',
  );
  process.exit(1);
}

/** Runs Node with these arguments in the foreground and ends with its exit status. */
export function runNode(args, env = process.env) {
  const node = findNode();
  const child = spawn(node, args, {
    stdio: 'inherit',
    env: { ...env, PATH: `${dirname(node)}:${env.PATH ?? ''}` },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)));
}
