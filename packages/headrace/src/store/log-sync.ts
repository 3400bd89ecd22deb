import { closeSync, fdatasync, openSync } from 'node:fs';
import { HeadraceError } from '../errors.ts';

/**
 * Puts what SQLite appended to its write-ahead log onto the disk, off the event loop. SQLite itself (`synchronous =
 * NORMAL`) leaves it to the operating system: that outlives this process, however it ends, but not the machine's power.
 * One wait for the disk serves everything that was written before it began.
 */
export class LogSync {
  readonly #file: number;
  #isBehind = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #failure: HeadraceError | undefined;

  /** `path`: of the log, which is there as soon as the database was written to. */
  constructor(path: string) {
    this.#file = openSync(path, 'r+');
  }

  /** Set once the disk refused: what it holds of the log is unknown from then on. */
  get failure(): HeadraceError | undefined {
    return this.#failure;
  }

  /** Resolves when the disk is done with what it is at; undefined while it is at nothing. */
  get idle(): Promise<void> | undefined {
    return this.#running?.catch(() => {});
  }

  /** Something was committed. */
  wrote(): void {
    this.#isBehind = true;
  }

  /** Resolves when everything written so far survives a loss of power; rejects with HeadraceError `STORE`. */
  flushed(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (!this.#isBehind) return this.#running ?? Promise.resolve();
    this.#next ??= (this.#running ?? Promise.resolve()).then(() => this.#sync());
    return this.#next;
  }

  close(): void {
    closeSync(this.#file);
  }

  #sync(): Promise<void> {
    this.#next = undefined;
    this.#isBehind = false;
    this.#running = new Promise<void>((resolve, reject) => {
      fdatasync(this.#file, (cause) => {
        this.#running = undefined;
        if (cause === null) return resolve();
        this.#failure = new HeadraceError('STORE', `the disk refused: ${cause.message}`, { cause });
        reject(this.#failure);
      });
    });
    return this.#running;
  }
}
