import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { syncFolder } from './sync-folder.ts';

/** Uploads younger than this are never collected: the function that will name them may not be written yet. */
const youngMilliseconds = 60_000;

/** Code packages by the SHA-256 of their bytes: `<hex>.zip`. The same package is kept once. */
export class CodeStore {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Keeps a package; it is on disk, whole, when this returns. */
  put(bytes: Uint8Array): { readonly sha256: string; readonly zipFile: string } {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const zipFile = this.path(sha256);
    try {
      if (statSync(zipFile).size === bytes.length) return { sha256, zipFile };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    // Written beside and renamed: a name that looks like a package always holds a whole one.
    const part = join(this.folder, `${randomUUID()}.part`);
    const file = openSync(part, 'wx');
    try {
      for (let offset = 0; offset < bytes.length; ) offset += writeSync(file, bytes, offset);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(part, zipFile);
    syncFolder(this.folder);
    return { sha256, zipFile };
  }

  path(sha256: string): string {
    return join(this.folder, `${sha256}.zip`);
  }

  read(sha256: string): Buffer {
    return readFileSync(this.path(sha256));
  }

  /** Removes packages that nothing names, and remains of uploads that were cut off. Returns how many. */
  collect(isReferenced: (sha256: string) => boolean, now: number = Date.now()): number {
    let removed = 0;
    for (const name of readdirSync(this.folder)) {
      const path = join(this.folder, name);
      if (/^[0-9a-f]{64}\.zip$/.test(name) ? isReferenced(name.slice(0, 64)) : !name.endsWith('.part')) continue;
      if (now - statSync(path).mtimeMs < youngMilliseconds) continue;
      rmSync(path, { force: true });
      removed += 1;
    }
    return removed;
  }
}
