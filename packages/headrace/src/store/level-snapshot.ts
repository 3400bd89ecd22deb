import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A file of a snapshot; `read` gives its bytes as they were, and only once. */
export interface SnapshotFile {
  readonly name: string;
  read(): Buffer;
}

/** How often a snapshot is tried while the database rearranges its files. */
const attempts = 200;

/**
 * The files of a LevelDB database as they are at one moment, also while another process writes to it. Tables (`.ldb`) never
 * change once written, and the manifest grows whenever one comes or goes: what was opened between two looks at an
 * unchanged manifest belongs together. Logs are only appended to, and LevelDB drops a torn end, as it does after a crash.
 * https://github.com/google/leveldb/blob/main/doc/impl.md
 *
 * Open files stay readable when a compaction removes them, so nothing has to be copied in a hurry. `close` when done.
 */
export function levelSnapshot(folder: string): { readonly files: readonly SnapshotFile[]; close(): void } {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const snapshot = tryLevelSnapshot(folder);
    if (snapshot !== undefined) return snapshot;
  }
  throw new Error(`${folder} changed all the time`);
}

function tryLevelSnapshot(folder: string): ReturnType<typeof levelSnapshot> | undefined {
  const opened: number[] = [];
  const close = (): void => {
    for (const file of opened.splice(0)) closeSync(file);
  };
  try {
    const current = readFileSync(join(folder, 'CURRENT'));
    const manifestName = current.toString('latin1').trim();
    const manifest = readFileSync(join(folder, manifestName));
    const names = readdirSync(folder).sort();
    const tables = names
      .filter((name) => /^\d+\.(ldb|sst)$/.test(name))
      .map((name) => {
        const file = openSync(join(folder, name), 'r');
        opened.push(file);
        return { name, read: () => readWhole(file) };
      });
    const logs = names
      .filter((name) => /^\d+\.log$/.test(name))
      .map((name) => kept(name, readFileSync(join(folder, name))));
    const isSame =
      statSync(join(folder, manifestName)).size === manifest.length &&
      readFileSync(join(folder, 'CURRENT')).equals(current);
    if (isSame) return { files: [...tables, ...logs, kept(manifestName, manifest), kept('CURRENT', current)], close };
  } catch (error) {
    close();
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
  close();
  return undefined;
}

const kept = (name: string, bytes: Buffer): SnapshotFile => ({ name, read: () => bytes });

function readWhole(file: number): Buffer {
  const bytes = Buffer.allocUnsafe(fstatSync(file).size);
  for (let offset = 0; offset < bytes.length; ) {
    const read = readSync(file, bytes, offset, bytes.length - offset, offset);
    if (read === 0) throw new Error('a table of the database was cut off');
    offset += read;
  }
  return bytes;
}
