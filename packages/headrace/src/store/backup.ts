import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { HeadraceError } from '../errors.ts';
import { CodeStore } from './code.ts';

export interface BackupSummary {
  readonly functions: number;
  readonly mappings: number;
  readonly codePackages: number;
}

/**
 * Copies a data directory into one file, also while an engine uses it: the database as it is at one moment, and the
 * code that it names. Tables of the embedded DynamoDB and logs are not part of it. Throws HeadraceError
 * `DATA_DIRECTORY` when there is nothing to copy or `file` exists.
 */
export function backUp(dataDirectory: string, file: string): BackupSummary {
  const source = join(resolve(dataDirectory), 'store.sqlite');
  if (!existsSync(source)) throw new HeadraceError('DATA_DIRECTORY', `${dataDirectory} holds no store to back up`);
  const target = resolve(file);
  if (existsSync(target)) throw new HeadraceError('DATA_DIRECTORY', `${file} exists: name a new file`);
  const database = new DatabaseSync(source, { readOnly: true });
  try {
    database.exec('PRAGMA busy_timeout = 5000');
    // One reader's snapshot, written by SQLite as a database of its own.
    database.prepare('VACUUM INTO ?').run(target);
  } finally {
    database.close();
  }
  try {
    return addCode(target, new CodeStore(join(resolve(dataDirectory), 'code')));
  } catch (cause) {
    // Half a backup is none.
    rmSync(target, { force: true });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HeadraceError('DATA_DIRECTORY', `the code of ${dataDirectory} cannot be copied: ${reason}`, { cause });
  }
}

function addCode(target: string, code: CodeStore): BackupSummary {
  const copy = new DatabaseSync(target);
  try {
    copy.exec('BEGIN; CREATE TABLE code (sha256 TEXT PRIMARY KEY, package BLOB NOT NULL);');
    const insert = copy.prepare('INSERT INTO code (sha256, package) VALUES (?, ?)');
    const named = namedCode(copy);
    for (const sha256 of named) insert.run(sha256, code.read(sha256));
    copy.exec('COMMIT');
    const count = (kind: string): number =>
      copy.prepare('SELECT count(*) AS count FROM documents WHERE kind = ?').get(kind)!['count'] as number;
    return { functions: count('function'), mappings: count('mapping'), codePackages: named.size };
  } finally {
    copy.close();
  }
}

/** Digests of all packages that versions and layers name. */
function namedCode(database: DatabaseSync): Set<string> {
  const named = new Set<string>();
  for (const row of database.prepare("SELECT document FROM documents WHERE kind IN ('version', 'layer')").all()) {
    const document = JSON.parse(row['document'] as string) as {
      code?: { kind: string; sha256?: string };
      layers?: { sha256: string }[];
      sha256?: string;
      deleted?: boolean;
    };
    if (document.code?.sha256 !== undefined) named.add(document.code.sha256);
    if (document.sha256 !== undefined && document.deleted === false) named.add(document.sha256);
    for (const { sha256 } of document.layers ?? []) named.add(sha256);
  }
  return named;
}

/** Makes a data directory out of a backup. Throws HeadraceError `DATA_DIRECTORY` when it holds a store already. */
export function restore(file: string, dataDirectory: string): BackupSummary {
  const folder = resolve(dataDirectory);
  const target = join(folder, 'store.sqlite');
  if (!existsSync(file)) throw new HeadraceError('DATA_DIRECTORY', `there is no backup ${file}`);
  if (existsSync(target)) throw new HeadraceError('DATA_DIRECTORY', `${dataDirectory} holds a store already`);
  mkdirSync(join(folder, 'code'), { recursive: true });
  const database = new DatabaseSync(resolve(file), { readOnly: true });
  try {
    const code = new CodeStore(join(folder, 'code'));
    const packages = database.prepare('SELECT sha256, package FROM code').all();
    for (const row of packages) code.put(row['package'] as Uint8Array);
    // The store comes last: a directory with one is a whole directory.
    const part = `${target}.part`;
    rmSync(part, { force: true });
    database.prepare('VACUUM INTO ?').run(part);
    const copy = new DatabaseSync(part);
    copy.exec('DROP TABLE code; VACUUM;');
    const count = (kind: string): number =>
      copy.prepare('SELECT count(*) AS count FROM documents WHERE kind = ?').get(kind)!['count'] as number;
    const summary = { functions: count('function'), mappings: count('mapping'), codePackages: packages.length };
    copy.close();
    renameSync(part, target);
    return summary;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HeadraceError('DATA_DIRECTORY', `${file} cannot be restored: ${reason}`, { cause });
  } finally {
    database.close();
  }
}
