import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HeadraceError } from '../errors.ts';
import type { Folders, LaunchPlan } from './launch.ts';

/**
 * Runs a function's processes in namespaces of their own with bubblewrap (Linux): they see no other process; the machine's
 * files read-only, but neither the data directory nor the user's home; `/tmp` is the environment's own. What they fork
 * ends with them, whatever it does. The network stays the machine's: the Runtime API and the endpoint are there.
 */
export function sandboxed(plan: LaunchPlan, folders: Folders, hidden: readonly string[]): LaunchPlan {
  const args = ['--unshare-user', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--die-with-parent'];
  args.push('--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc');
  for (const folder of [homedir(), ...hidden]) if (folder !== '/' && existsSync(folder)) args.push('--tmpfs', folder);
  args.push('--bind', folders.temporary, '/tmp');
  // What lies below a hidden folder and is needed all the same.
  for (const needed of [...ownFolders(), ...plan.needs]) args.push('--ro-bind', needed, needed);
  if (folders.layers !== undefined) args.push('--ro-bind', folders.layers, folders.layers);
  args.push('--ro-bind', folders.task, folders.task, '--bind', folders.temporary, folders.temporary);
  args.push('--chdir', folders.task, '--', plan.command, ...plan.args);
  return {
    ...plan,
    command: 'bwrap',
    args,
    environment: { ...plan.environment, HOME: '/tmp', TMPDIR: '/tmp' },
    sandboxed: true,
  };
}

/** The bootstraps, the dependencies of Headrace (for the SDK), and the Node that runs them. */
function ownFolders(): string[] {
  const own = [dirname(process.execPath), fileURLToPath(new URL('./bootstrap', import.meta.url))];
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const modules = join(folder, 'node_modules');
    if (existsSync(modules)) own.push(modules);
  }
  return own;
}

/** Throws when the sandbox that was asked for cannot be had: running without it would be worse than not running. */
export function requireSandbox(): void {
  const probe = ['--unshare-user', '--unshare-pid', '--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc', 'true'];
  const result = spawnSync('bwrap', probe, { encoding: 'utf8', timeout: 10_000 });
  if (result.status === 0) return;
  const reason =
    result.error === undefined ? result.stderr.trim() : 'bwrap is not in PATH (Debian: apt-get install bubblewrap)';
  throw new HeadraceError('CONFIGURATION', `the sandbox for functions cannot be used: ${reason}`);
}
