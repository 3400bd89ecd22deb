import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { HeadraceError } from '../errors.ts';
import type { MappingStore, StoredMapping } from '../mappings/definition.ts';
import { type AuditEntry, auditChange } from './audit.ts';
import { CodeStore } from './code.ts';
import { Collection } from './collection.ts';
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
  /** Of asynchronous invocations. */
  readonly events: EventQueue;
  readonly #lock: DirectoryLock | undefined;
  readonly #database: DatabaseSync;
  readonly #collections = new Map<string, Collection<object>>();
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #insertAudit: StatementSync;
  #changes: Change[] | undefined;
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
   * All writes within `work` are kept together or not at all, in memory and on disk. `work` must not be asynchronous.
   * With a context that changed something, who did what is written in the same transaction.
   */
  transaction<T>(work: () => T, context?: AuditContext): T {
    if (this.#changes !== undefined) return work();
    const changes: Change[] = [];
    this.#changes = changes;
    try {
      this.#execute('BEGIN IMMEDIATE');
      const result = work();
      if (context !== undefined && changes.length > 0) this.#audit(context, changes);
      this.#execute('COMMIT');
      return result;
    } catch (error) {
      for (const change of changes.reverse()) change.undo();
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    } finally {
      this.#changes = undefined;
    }
  }

  /** Called by collections only. */
  write(change: Change): void {
    const { kind, id, after } = change;
    this.#guard(() => {
      if (after === undefined) this.#delete.run(kind, id);
      else this.#put.run(kind, id, JSON.stringify(after));
    });
    this.#changes?.push(change);
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
    this.#database.close();
    this.#lock?.release();
    if (!this.isPersistent) rmSync(this.directory, { recursive: true, force: true });
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

function storeOfMappings(collection: Collection<StoredMapping>): MappingStore {
  return {
    all: () => [...collection.values()],
    put: (mapping) => collection.put(mapping.definition.uuid, mapping),
    remove: (uuid) => collection.delete(uuid),
  };
}
