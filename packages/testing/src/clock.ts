/** Handle of a timer of a {@link ManualClock}. */
export interface ManualTimer {
  readonly at: number;
  readonly id: number;
}

/** A clock that stands still until the test moves it; its timers run inside `advance`. */
export class ManualClock {
  #now: number;
  #nextId = 1;
  readonly #timers = new Map<number, { at: number; id: number; callback: () => void }>();

  /** @param now where it starts, in milliseconds since the epoch; by default 2026-01-01T00:00:00Z. */
  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  /** Milliseconds since the epoch. */
  now = (): number => this.#now;

  setTimeout = (callback: () => void, delayMs: number): ManualTimer => {
    const timer = { at: this.#now + Math.max(0, delayMs), id: this.#nextId++, callback };
    this.#timers.set(timer.id, timer);
    return timer;
  };

  clearTimeout = (timer: ManualTimer | undefined): void => {
    if (timer) this.#timers.delete(timer.id);
  };

  /** Resolves when the clock has been moved so far. */
  sleep = (delayMs: number): Promise<void> => new Promise((resolve) => this.setTimeout(resolve, delayMs));

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** When the next timer is due, in milliseconds since the epoch. */
  get nextTimerAt(): number | undefined {
    return this.#next()?.at;
  }

  /**
   * Moves the clock forward, running what falls due in order of time, then of creation. After each timer the promises
   * it settled get to run, so timers that these set are honoured too.
   */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await settle();
    for (let timer = this.#next(); timer && timer.at <= end; timer = this.#next()) {
      this.#timers.delete(timer.id);
      this.#now = timer.at;
      timer.callback();
      await settle();
    }
    this.#now = end;
  }

  #next(): { at: number; id: number; callback: () => void } | undefined {
    let next: { at: number; id: number; callback: () => void } | undefined;
    for (const timer of this.#timers.values()) {
      if (!next || timer.at < next.at || (timer.at === next.at && timer.id < next.id)) next = timer;
    }
    return next;
  }
}

/** One turn of the event loop: every promise that is settled now has run its reactions. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
