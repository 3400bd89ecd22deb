import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

/** Another process uses the folder. */
export class DataDirectoryInUseError extends Error {
  override readonly name = 'DataDirectoryInUseError';
}

/** Lock files of this process: a stale one of an earlier process with the same id must not stand in the way. */
const inUse = new Set<string>();

/** @throws DataDirectoryInUseError while the process that wrote the lock lives */
export function lock(folder: string): void {
  const path = resolve(folder, 'lock');
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' });
    inUse.add(path);
    return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const owner = Number(readFileSync(path, 'utf8'));
  if (owner === process.pid ? inUse.has(path) : isAlive(owner)) {
    throw new DataDirectoryInUseError(`${folder} is in use by process ${owner}; stop it, or name another folder`);
  }
  writeFileSync(path, String(process.pid));
  inUse.add(path);
}

/** Lets another process use the folder. */
export function unlock(folder: string): void {
  const path = resolve(folder, 'lock');
  inUse.delete(path);
  rmSync(path, { force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
