import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { levelSnapshot } from './level-snapshot.ts';

/** Bytes of the files that go with the store. */
export interface FileSizes {
  /** Of the embedded DynamoDB. */
  readonly tableBytes: number;
  /** Of the SageMaker endpoints: models and what describes them. */
  readonly modelBytes: number;
  readonly logBytes: number;
}

const tables = 'dynamodb';
const models = 'sagemaker';
const logs = 'logs';

/** Puts tables, models and logs of a data directory into the backup `copy`. */
export function addFiles(copy: DatabaseSync, directory: string): FileSizes {
  copy.exec('CREATE TABLE files (path TEXT PRIMARY KEY, content BLOB NOT NULL)');
  const insert = copy.prepare('INSERT INTO files (path, content) VALUES (?, ?)');
  const add = (path: string, content: Buffer): number => {
    insert.run(path, content);
    return content.length;
  };
  return {
    tableBytes: addTables(join(directory, tables), add),
    // Models are written beside and renamed, logs are only appended to: each file is whole by itself.
    modelBytes: addFolder(directory, models, add),
    logBytes: addFolder(directory, logs, add),
  };
}

type Add = (path: string, content: Buffer) => number;

function addTables(folder: string, add: Add): number {
  if (!contents(folder).includes('CURRENT')) return 0;
  const snapshot = levelSnapshot(folder);
  try {
    return snapshot.files.reduce((sum, { name, read }) => sum + add(`${tables}/${name}`, read()), 0);
  } finally {
    snapshot.close();
  }
}

function addFolder(directory: string, path: string, add: Add): number {
  let bytes = 0;
  for (const entry of readEntries(join(directory, path))) {
    const inner = `${path}/${entry.name}`;
    if (entry.isDirectory()) bytes += addFolder(directory, inner, add);
    else if (entry.isFile() && !entry.name.endsWith('.part')) {
      const content = unlessGone(() => readFileSync(join(directory, inner)));
      if (content !== undefined) bytes += add(inner, content);
    }
  }
  return bytes;
}

const contents = (folder: string): string[] => unlessGone(() => readdirSync(folder)) ?? [];

const readEntries = (folder: string): ReturnType<typeof entriesOf> => unlessGone(() => entriesOf(folder)) ?? [];
const entriesOf = (folder: string) => readdirSync(folder, { withFileTypes: true });

/** Undefined for what is not there, or is removed just now: an old log, the model of a deleted endpoint. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}

/** Writes the files of a backup into a folder. A path that leads elsewhere is refused. */
export function restoreFiles(backup: DatabaseSync, directory: string): FileSizes {
  const sizes: Record<string, number> = {};
  const hasFiles = backup.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'files'").get();
  // A backup made before there were files in it.
  const rows = hasFiles === undefined ? [] : backup.prepare('SELECT path, content FROM files').iterate();
  for (const row of rows) {
    const [path, content] = [String(row['path']), row['content'] as Uint8Array];
    const [top = '', ...rest] = path.split('/');
    const isInside = rest.length > 0 && rest.every((name) => /^[^/\\\0]+$/.test(name) && name !== '.' && name !== '..');
    if (!isInside || ![tables, models, logs].includes(top)) throw new Error(`it names a file outside: ${path}`);
    const target = join(directory, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
    sizes[top] = (sizes[top] ?? 0) + content.length;
  }
  return { tableBytes: sizes[tables] ?? 0, modelBytes: sizes[models] ?? 0, logBytes: sizes[logs] ?? 0 };
}

/** Takes what {@link restoreFiles} wrote into its place; refuses to replace anything. */
export function moveFiles(from: string, directory: string): void {
  const tops = [tables, models, logs].filter((top) => existsSync(join(from, top)));
  const taken = tops.find((top) => existsSync(join(directory, top)));
  if (taken !== undefined) throw new Error(`${join(directory, taken)} is there already`);
  for (const top of tops) renameSync(join(from, top), join(directory, top));
}
