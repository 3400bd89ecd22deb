import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { HeadraceError } from '../errors.ts';
import type { MappingStore, StoredMapping } from '../mappings/definition.ts';
import { type AuditEntry, auditChange, type ChangedThing } from './audit.ts';
import { CodeStore } from './code.ts';
import { Collection } from './collection.ts';
import { makeDataFolder } from './data-folder.ts';
import { type DirectoryIdentity, directoryIdentity } from './directory-identity.ts';
import { DirectoryLock } from './directory-lock.ts';
import { EventQueue } from './event-queue.ts';
import { LogSync } from './log-sync.ts';
import { migrate, schemaVersion } from './schema.ts';
import { syncFolder } from './sync-folder.ts';

/** One write of a document; `undo` puts memory back when the transaction fails. */
export interface Change extends ChangedThing {
  readonly undo: () => void;
}

/** On whose behalf a transaction runs; it then leaves an audit entry. */
export interface AuditContext {
  readonly principal: string;
  readonly operation: string;
  readonly requestId: string;
}

export interface OpenStoreOptions {
  /** A folder, made when it is not there; `:memory:` keeps nothing. */
  readonly dataDirectory: string;
}

/** Audit entries kept; older ones go. */
const auditEntriesKept = 100_000;

/**
 * Opens what must survive a restart. Throws HeadraceError `DATA_DIRECTORY` when the folder cannot be used or another
 * process holds it.
 */
export function openStore(options: OpenStoreOptions): Store {
  return new Store(options.dataDirectory);
}

export class Store {
  /** Where files lie; a temporary folder for `:memory:`, removed at close. */
  readonly directory: string;
  /** False for `:memory:`. */
  readonly isPersistent: boolean;
  readonly code: CodeStore;
  readonly mappings: MappingStore;
  /** What the engine of this directory is called again after a restart, and no other is; undefined for `:memory:`. */
  readonly identity: string | undefined;
  /** Of asynchronous invocations. */
  readonly events: EventQueue;
  readonly #lock: DirectoryLock | undefined;
  readonly #database: DatabaseSync;
  readonly #log: LogSync | undefined;
  readonly #collections = new Map<string, Collection<object>>();
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #insertAudit: StatementSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  /** Of the transaction that runs just now. */
  #changes: Change[] | undefined;
  /** What waits to go to disk together. */
  #group: Group | undefined;
  #closed = false;

  constructor(dataDirectory: string) {
    this.isPersistent = dataDirectory !== ':memory:';
    try {
      this.directory = this.isPersistent ? resolve(dataDirectory) : mkdtempSync(join(tmpdir(), 'headrace-'));
      if (this.isPersistent) makeDataFolder(dataDirectory);
      mkdirSync(join(this.directory, 'code'), { recursive: true });
      this.#lock = this.isPersistent ? new DirectoryLock(this.directory) : undefined;
      this.#database = new DatabaseSync(this.isPersistent ? join(this.directory, 'store.sqlite') : ':memory:');
      // NORMAL: a commit survives this process, and waits for no disk; whoever is answered waits for the log's sync.
      // Readers (backup) never wait with WAL.
      this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;');
      migrate(this.#database);
      this.#log = this.isPersistent ? openLog(this.#database, join(this.directory, 'store.sqlite-wal')) : undefined;
    } catch (cause) {
      if (HeadraceError.is(cause)) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new HeadraceError('DATA_DIRECTORY', `${dataDirectory} cannot be used: ${reason}`, {
        cause,
        details: { dataDirectory },
      });
    }
    this.code = new CodeStore(join(this.directory, 'code'));
    this.#put = this.#database.prepare(
      'INSERT INTO documents (kind, id, document) VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET document = excluded.document',
    );
    this.#delete = this.#database.prepare('DELETE FROM documents WHERE kind = ? AND id = ?');
    this.#insertAudit = this.#database.prepare(
      'INSERT INTO audit (time, principal, operation, request_id, changes) VALUES (?, ?, ?, ?, ?)',
    );
    this.#begin = this.#database.prepare('BEGIN IMMEDIATE');
    this.#commit = this.#database.prepare('COMMIT');
    this.events = new EventQueue(this.#database, () => this.#log?.wrote());
    this.identity =
      this.#lock === undefined
        ? undefined
        : directoryIdentity(this.collection<DirectoryIdentity>('engine'), this.#lock.place);
    this.mappings = storeOfMappings(this.collection<StoredMapping>('mapping'));
  }

  /** All documents of a kind. The same kind is always the same collection. */
  collection<T extends object>(kind: string): Collection<T> {
    let collection = this.#collections.get(kind);
    if (collection === undefined) {
      const rows = this.#database.prepare('SELECT id, document FROM documents WHERE kind = ? ORDER BY id').all(kind);
      const documents = new Map(rows.map((row) => [row['id'] as string, JSON.parse(row['document'] as string)]));
      collection = new Collection<object>(this, kind, documents);
      this.#collections.set(kind, collection);
    }
    return collection as unknown as Collection<T>;
  }

  /**
   * All writes within `work` are kept together or not at all, in memory and on disk. When this returns they survive the
   * end of this process, and when {@link flushed} resolves that of the machine's power too. `work` must not be
   * asynchronous. With a context that changed something, who did what is written with it.
   */
  transaction<T>(work: () => T, context?: AuditContext): T {
    if (this.#changes !== undefined) return work();
    const result = this.groupedTransaction(work, context);
    this.#commitGroup();
    return result;
  }

  /**
   * Like {@link transaction}, but what comes in the same turn of the event loop, or while the disk is busy, is committed
   * together. Durable when {@link flushed} resolves, and nobody may be told before.
   */
  groupedTransaction<T>(work: () => T, context?: AuditContext): T {
    if (this.#changes !== undefined) return work();
    const changes: Change[] = [];
    this.#changes = changes;
    try {
      const result = work();
      if (changes.length > 0) this.#openGroup().add(changes, context);
      return result;
    } catch (error) {
      undo(changes);
      throw error;
    } finally {
      this.#changes = undefined;
    }
  }

  /**
   * Resolves when everything written so far is on the disk; one wait for the disk serves many. Rejects when it could not
   * be committed, and then it is undone, or when the disk refused, and then nothing is written any more.
   */
  async flushed(): Promise<void> {
    if (this.#group !== undefined) await this.#group.done.promise;
    await this.#log?.flushed();
  }

  /** Called by collections only. Outside of a transaction a write is committed when it returns. */
  write(change: Change): void {
    if (this.#changes !== undefined) this.#changes.push(change);
    else {
      this.#openGroup().add([change], undefined);
      this.#commitGroup();
    }
  }

  /** Writes down who changed what is kept elsewhere. */
  record(context: AuditContext, changes: readonly ChangedThing[]): void {
    if (changes.length > 0) this.#openGroup().audit(changes, context);
  }

  /** Newest first. */
  audit(options: { readonly limit: number; readonly before?: number }): AuditEntry[] {
    this.#commitGroup();
    return this.#database
      .prepare('SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?')
      .all(options.before ?? Number.MAX_SAFE_INTEGER, options.limit)
      .map((row) => ({
        id: row['id'] as number,
        time: row['time'] as string,
        principal: row['principal'] as string,
        operation: row['operation'] as string,
        requestId: row['request_id'] as string,
        changes: JSON.parse(row['changes'] as string),
      }));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#commitGroup();
    } finally {
      this.#log?.close();
      this.#database.close();
      this.#lock?.release();
    }
    if (!this.isPersistent) rmSync(this.directory, { recursive: true, force: true });
  }

  #openGroup(): Group {
    if (this.#group !== undefined) return this.#group;
    const group = new Group();
    this.#group = group;
    const commit = (): void => {
      if (this.#group !== group) return;
      try {
        this.#commitGroup();
      } catch {
        // Told to those who wait.
      }
    };
    // While the disk is busy nobody of the next group could be answered: it grows until then.
    const idle = this.#log?.idle;
    if (idle === undefined) setImmediate(commit);
    else void idle.then(commit);
    return group;
  }

  #commitGroup(): void {
    const group = this.#group;
    if (group === undefined) return;
    this.#group = undefined;
    try {
      this.#guard(() => this.#writeGroup(group));
      this.#log?.wrote();
      group.done.resolve();
    } catch (error) {
      undo(group.changes);
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      group.done.reject(error);
      throw error;
    }
  }

  #writeGroup(group: Group): void {
    this.#begin.run();
    for (const { kind, id, after } of group.lastChanges()) {
      if (after === undefined) this.#delete.run(kind, id);
      else this.#put.run(kind, id, JSON.stringify(after));
    }
    for (const audited of group.audited) this.#audit(audited);
    this.#commit.run();
  }

  #audit({ time, context, changes }: Audited): void {
    const { principal, operation, requestId } = context;
    const text = JSON.stringify(changes.map(auditChange));
    const { lastInsertRowid } = this.#insertAudit.run(time, principal, operation, requestId, text);
    const id = Number(lastInsertRowid);
    if (id % 1_000 === 0) this.#database.prepare('DELETE FROM audit WHERE id <= ?').run(id - auditEntriesKept);
  }

  #guard(action: () => void): void {
    if (this.#log?.failure !== undefined) throw this.#log.failure;
    try {
      action();
    } catch (cause) {
      throw new HeadraceError('STORE', cause instanceof Error ? cause.message : String(cause), { cause });
    }
  }
}

/** The log appears with the first write, and a new database was written to. */
function openLog(database: DatabaseSync, path: string): LogSync {
  if (!existsSync(path)) database.exec(`PRAGMA user_version = ${schemaVersion}`);
  syncFolder(dirname(path));
  return new LogSync(path);
}

interface Audited {
  readonly time: string;
  readonly context: AuditContext;
  readonly changes: readonly ChangedThing[];
}

/** Transactions that are committed as one. Nothing of them is in the database before. */
class Group {
  readonly changes: Change[] = [];
  readonly audited: Audited[] = [];
  readonly done = Promise.withResolvers<void>();

  constructor() {
    // Whoever waits hears of a failure; that nobody waits is no defect.
    this.done.promise.catch(() => {});
  }

  add(changes: readonly Change[], context: AuditContext | undefined): void {
    this.changes.push(...changes);
    if (context !== undefined) this.audit(changes, context);
  }

  audit(changes: readonly ChangedThing[], context: AuditContext): void {
    this.audited.push({ time: new Date().toISOString(), context, changes });
  }

  /** Of each document only what it is in the end. */
  lastChanges(): Iterable<Change> {
    return new Map(this.changes.map((change) => [`${change.kind}\0${change.id}`, change])).values();
  }
}

/** Puts memory back, the last change first. */
function undo(changes: Change[]): void {
  for (const change of changes.reverse()) change.undo();
}

function storeOfMappings(collection: Collection<StoredMapping>): MappingStore {
  return {
    all: () => [...collection.values()],
    put: (mapping) => collection.put(mapping.definition.uuid, mapping),
    remove: (uuid) => collection.delete(uuid),
  };
}
