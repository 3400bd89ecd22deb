import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { HeadraceError } from '../errors.ts';

/**
 * Makes a folder that an operator named, and what is missing above it.
 *
 * @throws HeadraceError DATA_DIRECTORY
 */
export function makeDataFolder(dataDirectory: string): void {
  try {
    make(resolve(dataDirectory));
  } catch (cause) {
    throw new HeadraceError('DATA_DIRECTORY', `${dataDirectory} cannot be used: ${(cause as Error).message}`, {
      cause,
      details: { dataDirectory },
    });
  }
}

/**
 * Node's `recursive` takes "not found" for a missing parent and tries for ever where the parent is there and holds
 * nothing: a link to a disk that is not mounted, /proc. Here each folder is tried once more only.
 */
function make(folder: string): void {
  try {
    makeOne(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(folder) === folder) throw error;
    make(dirname(folder));
    makeOne(folder);
  }
}

function makeOne(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A folder that is there is as good, also where it may not be written (EROFS, EACCES).
    if (code === 'ENOENT' || !statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}
