import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Folder that keeps what is expensive to fetch or build (jars, Python environments) between test runs and between
 * checkouts: `$XDG_CACHE_HOME/headrace-testing`, by default `~/.cache/headrace-testing`. Safe to delete at any time.
 */
export function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'headrace-testing');
}

const isAlive = (processId: number): boolean => {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/** Takes the lock file, or returns false when a living process holds it; the lock of a dead one is removed. */
async function tryLock(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const holder = Number(await readFile(path, 'utf8').catch(() => ''));
  // An empty lock is one that is being written just now, unless its writer died in between.
  const age = await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );
  if (holder > 0 ? !isAlive(holder) : age > 10_000) await rm(path, { force: true });
  return false;
}

/**
 * Returns the folder of the cache entry `name`, building it when it is not there yet. `build` fills an empty folder,
 * which appears under its name only when complete: an interrupted build leaves nothing that looks finished. Test
 * files run in parallel processes; one builds, the others wait.
 */
export async function cached(name: string, build: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), name);
  const exists = (): Promise<boolean> =>
    stat(folder).then(
      () => true,
      () => false,
    );
  if (await exists()) return folder;
  await mkdir(cacheFolder(), { recursive: true });
  const lock = `${folder}.lock`;
  while (!(await tryLock(lock))) {
    await delay(100);
    if (await exists()) return folder;
  }
  try {
    if (await exists()) return folder;
    const building = `${folder}.building`;
    await rm(building, { recursive: true, force: true });
    await mkdir(building, { recursive: true });
    await build(building);
    await rename(building, folder);
    return folder;
  } finally {
    await rm(lock, { force: true });
  }
}
