import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { HeadraceError } from '../errors.ts';

/**
 * Lets one process use a data directory. The lock is an open transaction on a database of its own, so the operating
 * system takes it away with the process, however that ends; nothing stale can be left behind.
 */
export class DirectoryLock {
  readonly #database: DatabaseSync;

  constructor(directory: string) {
    const holderFile = join(directory, 'lock.pid');
    this.#database = new DatabaseSync(join(directory, 'lock.sqlite'));
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
