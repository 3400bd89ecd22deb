import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { HeadraceError } from '../errors.ts';
import type { MappingStore, StoredMapping } from '../mappings/definition.ts';
import { type AuditEntry, auditChange } from './audit.ts';
import { CodeStore } from './code.ts';
import { Collection } from './collection.ts';
import { type DirectoryIdentity, directoryIdentity } from './directory-identity.ts';
import { DirectoryLock } from './directory-lock.ts';
import { EventQueue } from './event-queue.ts';
import { migrate } from './schema.ts';

/** One write of a document; `undo` puts memory back when the transaction fails. */
export interface Change {
  readonly kind: string;
  readonly id: string;
  readonly before: object | undefined;
  readonly after: object | undefined;
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
  readonly #collections = new Map<string, Collection<object>>();
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #insertAudit: StatementSync;
  /** Of the transaction that runs just now. */
  #changes: Change[] | undefined;
  /** What waits to go to disk together. */
  #group: Group | undefined;
  #closed = false;

  constructor(dataDirectory: string) {
    this.isPersistent = dataDirectory !== ':memory:';
    try {
      this.directory = this.isPersistent ? resolve(dataDirectory) : mkdtempSync(join(tmpdir(), 'headrace-'));
      mkdirSync(join(this.directory, 'code'), { recursive: true });
      this.#lock = this.isPersistent ? new DirectoryLock(this.directory) : undefined;
      this.#database = new DatabaseSync(this.isPersistent ? join(this.directory, 'store.sqlite') : ':memory:');
      // FULL: a write that returned also survives the machine's power. Readers (backup) never wait for it with WAL.
      this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;');
      migrate(this.#database);
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
    this.events = new EventQueue(this.#database);
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
   * All writes within `work` are kept together or not at all, in memory and on disk; they are durable when this
   * returns. `work` must not be asynchronous. With a context that changed something, who did what is written with it.
   */
  transaction<T>(work: () => T, context?: AuditContext): T {
    if (this.#changes !== undefined) return work();
    const result = this.groupedTransaction(work, context);
    this.#commitGroup();
    return result;
  }

  /**
   * Like {@link transaction}, but what comes in the same turn of the event loop goes to disk together: one wait for
   * the disk serves many requests. Durable when {@link flushed} resolves, and nobody may be told before.
   */
  groupedTransaction<T>(work: () => T, context?: AuditContext): T {
    if (this.#changes !== undefined) return work();
    const group = this.#openGroup();
    const changes: Change[] = [];
    this.#changes = changes;
    try {
      this.#execute('SAVEPOINT work');
      const result = work();
      if (context !== undefined && changes.length > 0) this.#audit(context, changes);
      this.#execute('RELEASE work');
      group.changes.push(...changes);
      return result;
    } catch (error) {
      undo(changes);
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK TO work; RELEASE work');
      throw error;
    } finally {
      this.#changes = undefined;
    }
  }

  /** Resolves when everything written so far is durable; rejects when it could not be kept, and then it is undone. */
  flushed(): Promise<void> {
    return this.#group?.done.promise ?? Promise.resolve();
  }

  /** Called by collections only. */
  write(change: Change): void {
    const { kind, id, after } = change;
    this.#guard(() => {
      if (after === undefined) this.#delete.run(kind, id);
      else this.#put.run(kind, id, JSON.stringify(after));
    });
    if (this.#changes !== undefined) this.#changes.push(change);
    else if (this.#group !== undefined) {
      this.#group.changes.push(change);
      // Outside of a transaction a write is durable when it returns.
      this.#commitGroup();
    }
  }

  /** Newest first. */
  audit(options: { readonly limit: number; readonly before?: number }): AuditEntry[] {
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
    this.#commitGroup();
    this.#database.close();
    this.#lock?.release();
    if (!this.isPersistent) rmSync(this.directory, { recursive: true, force: true });
  }

  #openGroup(): Group {
    if (this.#group !== undefined) return this.#group;
    this.#execute('BEGIN IMMEDIATE');
    const group: Group = { changes: [], done: Promise.withResolvers() };
    // Whoever waits hears of a failure; that nobody waits is no defect.
    group.done.promise.catch(() => {});
    this.#group = group;
    setImmediate(() => {
      if (this.#group !== group) return;
      try {
        this.#commitGroup();
      } catch {
        // Told to those who wait.
      }
    });
    return group;
  }

  #commitGroup(): void {
    const group = this.#group;
    if (group === undefined) return;
    this.#group = undefined;
    try {
      this.#execute('COMMIT');
      group.done.resolve();
    } catch (error) {
      undo(group.changes);
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      group.done.reject(error);
      throw error;
    }
  }

  #audit(context: AuditContext, changes: readonly Change[]): void {
    const { lastInsertRowid } = this.#insertAudit.run(
      new Date().toISOString(),
      context.principal,
      context.operation,
      context.requestId,
      JSON.stringify(changes.map(auditChange)),
    );
    const id = Number(lastInsertRowid);
    if (id % 1_000 === 0) this.#database.prepare('DELETE FROM audit WHERE id <= ?').run(id - auditEntriesKept);
  }

  #execute(sql: string): void {
    this.#guard(() => this.#database.exec(sql));
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (cause) {
      throw new HeadraceError('STORE', cause instanceof Error ? cause.message : String(cause), { cause });
    }
  }
}

/** Transactions that are committed as one. */
interface Group {
  readonly changes: Change[];
  readonly done: PromiseWithResolvers<void>;
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
