import { type Clock, monotonicClock } from '../clock.ts';

/** Pauses between tries: doubling from `first` to `most` milliseconds, each shortened at random by up to 40 %. */
export class Backoff {
  readonly #first: number;
  readonly #most: number;
  readonly #random: () => number;
  #attempts = 0;

  constructor(first = 100, most = 5_000, random: () => number = Math.random) {
    this.#first = first;
    this.#most = most;
    this.#random = random;
  }

  /** Failures in a row. */
  get attempts(): number {
    return this.#attempts;
  }

  reset(): void {
    this.#attempts = 0;
  }

  /** The next pause in milliseconds. Jitter keeps a fleet from coming back all at once. */
  next(): number {
    const full = Math.min(this.#first * 2 ** Math.min(this.#attempts, 20), this.#most);
    this.#attempts++;
    return full * (1 - 0.4 * this.#random());
  }

  /** Waits for the next pause; ends early, without an error, when the signal aborts. */
  async wait(signal?: AbortSignal, clock?: Clock): Promise<void> {
    await sleep(this.next(), signal, clock);
  }
}

/** Waits; ends early, without an error, when the signal aborts. */
export function sleep(milliseconds: number, signal?: AbortSignal, clock: Clock = monotonicClock): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const end = (): void => {
      clock.clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.setTimeout(end, milliseconds);
    signal?.addEventListener('abort', end, { once: true });
  });
}
