import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { HeadraceError } from '../errors.ts';
import { addFiles, type FileSizes, moveFiles, restoreFiles } from './backup-files.ts';
import { CodeStore } from './code.ts';
import { makeDataFolder } from './data-folder.ts';

export interface BackupSummary extends FileSizes {
  readonly functions: number;
  readonly mappings: number;
  readonly codePackages: number;
}

/**
 * Copies a data directory into one file, also while an engine uses it: the database as it is at one moment, the code that
 * it names, the embedded DynamoDB as it is at one moment, models and logs. Records and offsets of the development broker
 * are not part of it. Throws HeadraceError `DATA_DIRECTORY` when there is nothing to copy or `file` exists.
 */
export function backUp(dataDirectory: string, file: string): BackupSummary {
  const source = join(resolve(dataDirectory), 'store.sqlite');
  if (!existsSync(source)) throw new HeadraceError('DATA_DIRECTORY', `${dataDirectory} holds no store to back up`);
  const target = resolve(file);
  if (existsSync(target)) throw new HeadraceError('DATA_DIRECTORY', `${file} exists: name a new file`);
  // A file under the name of a backup is a whole one, whatever ends this process.
  const part = `${target}.part`;
  try {
    rmSync(part, { force: true });
    const database = new DatabaseSync(source, { readOnly: true });
    try {
      database.exec('PRAGMA busy_timeout = 5000');
      // One reader's snapshot, written by SQLite as a database of its own.
      database.prepare('VACUUM INTO ?').run(part);
    } finally {
      database.close();
    }
    const summary = addRest(part, resolve(dataDirectory));
    renameSync(part, target);
    return summary;
  } catch (cause) {
    rmSync(part, { force: true });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HeadraceError('DATA_DIRECTORY', `${dataDirectory} cannot be copied to ${file}: ${reason}`, { cause });
  }
}

function addRest(target: string, directory: string): BackupSummary {
  const code = new CodeStore(join(directory, 'code'));
  const copy = new DatabaseSync(target);
  try {
    // Nothing to roll back: when this fails the file goes.
    copy.exec('PRAGMA journal_mode = OFF');
    copy.exec('BEGIN; CREATE TABLE code (sha256 TEXT PRIMARY KEY, package BLOB NOT NULL);');
    const insert = copy.prepare('INSERT INTO code (sha256, package) VALUES (?, ?)');
    const named = namedCode(copy);
    for (const sha256 of named) insert.run(sha256, code.read(sha256));
    const sizes = addFiles(copy, directory);
    copy.exec('COMMIT');
    return { ...documentCounts(copy), codePackages: named.size, ...sizes };
  } finally {
    copy.close();
  }
}

function documentCounts(database: DatabaseSync): Pick<BackupSummary, 'functions' | 'mappings'> {
  const select = database.prepare('SELECT count(*) AS count FROM documents WHERE kind = ?');
  const count = (kind: string): number => select.get(kind)!['count'] as number;
  return { functions: count('function'), mappings: count('mapping') };
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

/**
 * Makes a data directory out of a backup. Throws HeadraceError `INPUT_UNREADABLE` when there is no such file,
 * `DATA_DIRECTORY` when the directory holds a store, tables, models or logs already.
 */
export function restore(file: string, dataDirectory: string): BackupSummary {
  const folder = resolve(dataDirectory);
  const target = join(folder, 'store.sqlite');
  if (!existsSync(file)) throw new HeadraceError('INPUT_UNREADABLE', `there is no backup ${file}`);
  if (existsSync(target)) throw new HeadraceError('DATA_DIRECTORY', `${dataDirectory} holds a store already`);
  const part = join(folder, 'restore.part');
  const database = new DatabaseSync(resolve(file), { readOnly: true });
  try {
    // Fails for what is no backup, before anything is made of it.
    const packages = database.prepare('SELECT package FROM code');
    rmSync(part, { recursive: true, force: true });
    makeDataFolder(dataDirectory);
    mkdirSync(part, { recursive: true });
    mkdirSync(join(folder, 'code'), { recursive: true });
    const code = new CodeStore(join(folder, 'code'));
    let codePackages = 0;
    for (const row of packages.iterate()) {
      code.put(row['package'] as Uint8Array);
      codePackages += 1;
    }
    const sizes = restoreFiles(database, part);
    const store = join(part, 'store.sqlite');
    database.prepare('VACUUM INTO ?').run(store);
    const copy = new DatabaseSync(store);
    copy.exec('DROP TABLE code; DROP TABLE IF EXISTS files; VACUUM;');
    const summary = { ...documentCounts(copy), codePackages, ...sizes };
    copy.close();
    moveFiles(part, folder);
    // The store comes last: a directory with one is a whole directory.
    renameSync(store, target);
    return summary;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HeadraceError('DATA_DIRECTORY', `${file} cannot be restored: ${reason}`, { cause });
  } finally {
    rmSync(part, { recursive: true, force: true });
    database.close();
  }
}
