import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** An accepted asynchronous invocation. Times are milliseconds since the epoch. */
export interface QueuedEvent {
  readonly requestId: string;
  readonly functionName: string;
  /** `$LATEST`, a version or an alias, as it was when the event was accepted. */
  readonly qualifier: string;
  readonly payload: Buffer;
  readonly acceptedAt: number;
  /** Invocations that reached the function. */
  readonly attempts: number;
  /** Times that it was put back without an attempt: throttles and service errors. */
  readonly delays: number;
  readonly dueAt: number;
  /** What is still to be delivered, once the invocations are over; JSON of the queue's owner. */
  readonly result: string | undefined;
}

/**
 * The queue of asynchronous invocations on disk. Every call is committed when it returns, and on the disk when the store
 * is flushed; events stay until `remove`, so that whatever ends the process, an accepted event is tried again.
 */
export class EventQueue {
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #delete: StatementSync;
  readonly #select: StatementSync;
  readonly #next: StatementSync;
  readonly #count: StatementSync;

  readonly #wrote: () => void;

  /** `wrote` is called after each change. */
  constructor(database: DatabaseSync, wrote: () => void) {
    this.#wrote = wrote;
    this.#insert = database.prepare(
      'INSERT INTO asynchronous_events (request_id, function_name, qualifier, payload, accepted_at, attempts, delays, due_at) VALUES (?, ?, ?, ?, ?, 0, 0, ?)',
    );
    this.#update = database.prepare(
      'UPDATE asynchronous_events SET attempts = ?, delays = ?, due_at = ?, result = ? WHERE request_id = ?',
    );
    this.#delete = database.prepare('DELETE FROM asynchronous_events WHERE request_id = ?');
    this.#select = database.prepare('SELECT * FROM asynchronous_events WHERE due_at <= ? ORDER BY due_at LIMIT ?');
    this.#next = database.prepare('SELECT MIN(due_at) AS due_at FROM asynchronous_events WHERE due_at > ?');
    this.#count = database.prepare('SELECT COUNT(*) AS count FROM asynchronous_events');
  }

  get size(): number {
    return Number((this.#count.get() as { count: number }).count);
  }

  add(event: Pick<QueuedEvent, 'requestId' | 'functionName' | 'qualifier' | 'payload' | 'acceptedAt'>): void {
    const { requestId, functionName, qualifier, payload, acceptedAt } = event;
    this.#insert.run(requestId, functionName, qualifier, payload, acceptedAt, acceptedAt);
    this.#wrote();
  }

  /** Events due at `now`, the longest due first. Also those that are being worked on: the owner knows them. */
  due(now: number, limit: number): QueuedEvent[] {
    return this.#select.all(now, limit).map((row) => ({
      requestId: row['request_id'] as string,
      functionName: row['function_name'] as string,
      qualifier: row['qualifier'] as string,
      payload: Buffer.from(row['payload'] as Uint8Array),
      acceptedAt: row['accepted_at'] as number,
      attempts: row['attempts'] as number,
      delays: row['delays'] as number,
      dueAt: row['due_at'] as number,
      result: (row['result'] as string | null) ?? undefined,
    }));
  }

  /** When the next event after `now` is due; undefined when there is none. */
  nextDue(now: number): number | undefined {
    return (this.#next.get(now) as { due_at: number | null }).due_at ?? undefined;
  }

  update(event: Pick<QueuedEvent, 'requestId' | 'attempts' | 'delays' | 'dueAt' | 'result'>): void {
    this.#update.run(event.attempts, event.delays, event.dueAt, event.result ?? null, event.requestId);
    this.#wrote();
  }

  remove(requestId: string): void {
    this.#delete.run(requestId);
    this.#wrote();
  }
}
