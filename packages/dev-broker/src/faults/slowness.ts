import type { Clock } from '../clock.ts';
import type { LogWaiter, PartitionLog } from '../log/partition-log.ts';

/** Makes a partition slow: what is appended can be read so much later, and producers wait as long for their append. */
export class Slowness implements LogWaiter {
  readonly #log: PartitionLog;
  readonly #delayMs: number;
  readonly #clock: Clock;
  readonly #timers = new Set<unknown>();
  #resolvers = new Set<() => void>();
  /** Offsets from here on cannot be read yet. */
  visibleEnd: number;

  constructor(log: PartitionLog, delayMs: number, clock: Clock) {
    this.#log = log;
    this.#delayMs = delayMs;
    this.#clock = clock;
    this.visibleEnd = log.endOffset;
    log.waiters.add(this);
  }

  #later(callback: () => void): void {
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(timer);
      callback();
    }, this.#delayMs);
    this.#timers.add(timer);
  }

  changed(bytes: number): void {
    if (bytes === 0) return;
    const end = this.#log.endOffset;
    this.#later(() => {
      this.visibleEnd = end;
      this.#log.notify(0);
    });
  }

  /** Resolves when an append may happen. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolvers.add(resolve);
      this.#later(() => {
        this.#resolvers.delete(resolve);
        resolve();
      });
    });
  }

  stop(): void {
    this.#log.waiters.delete(this);
    for (const timer of this.#timers) this.#clock.clearTimeout(timer);
    this.#timers.clear();
    this.visibleEnd = Number.POSITIVE_INFINITY;
    for (const resolve of this.#resolvers) resolve();
    this.#resolvers = new Set();
  }
}
