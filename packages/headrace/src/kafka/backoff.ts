import { setTimeout as delay } from 'node:timers/promises';

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
  async wait(signal?: AbortSignal): Promise<void> {
    await sleep(this.next(), signal);
  }
}

/** Waits; ends early, without an error, when the signal aborts. */
export async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, { signal, ref: true });
  } catch {
    // Aborted: the caller looks at its own state.
  }
}
