import type { Clock } from '../clock.ts';

interface Wait {
  readonly isBusy: () => boolean;
  readonly limit: (milliseconds: number) => void;
  readonly done: () => void;
}

/** Who gives lanes up and waits for what is in flight on them: a rebalance, an end, sometimes both at once. */
export class Drains {
  readonly #clock: Clock;
  readonly #waits = new Set<Wait>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves once nothing is in flight, by what `check` finds, or after the limit (ms). */
  async wait(isBusy: () => boolean, milliseconds: number): Promise<void> {
    if (!isBusy()) return;
    const clock = this.#clock;
    await new Promise<void>((resolve) => {
      let timer: unknown;
      let endsAt = Number.POSITIVE_INFINITY;
      const done = (): void => {
        clock.clearTimeout(timer);
        this.#waits.delete(wait);
        resolve();
      };
      const limit = (most: number): void => {
        const at = clock.now() + most;
        if (at >= endsAt) return;
        clock.clearTimeout(timer);
        endsAt = at;
        timer = clock.setTimeout(done, most);
      };
      const wait = { isBusy, limit, done };
      this.#waits.add(wait);
      limit(milliseconds);
    });
  }

  /** Something has ended. */
  check(): void {
    if (this.#waits.size === 0) return;
    for (const wait of [...this.#waits]) if (!wait.isBusy()) wait.done();
  }

  /** Nobody who waits now gets more than so long (ms). */
  limit(milliseconds: number): void {
    for (const wait of this.#waits) wait.limit(milliseconds);
  }
}
