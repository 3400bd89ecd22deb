import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { HeadraceError } from '../errors.ts';

/**
 * Lets one process use a data directory. The lock is an open transaction on a database of its own, so the operating
 * system takes it away with the process, however that ends; nothing stale can be left behind.
 */
export class DirectoryLock {
  /** Which lock this is: a copy of the directory, or the same on another machine, has another. */
  readonly place: string;
  readonly #database: DatabaseSync;

  constructor(directory: string) {
    const holderFile = join(directory, 'lock.pid');
    const file = join(directory, 'lock.sqlite');
    this.#database = new DatabaseSync(file);
    try {
      this.#database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
    } catch (cause) {
      this.#database.close();
      throw new HeadraceError(
        'DATA_DIRECTORY',
        `${directory} is in use by another process${describeHolder(holderFile)}`,
        { cause, details: { directory } },
      );
    }
    writeFileSync(holderFile, String(process.pid));
    this.place = `${hostname()}/${statSync(file, { bigint: true }).ino}`;
  }

  release(): void {
    this.#database.close();
  }
}

function describeHolder(file: string): string {
  try {
    return ` (${readFileSync(file, 'utf8')})`;
  } catch {
    return '';
  }
}
