/** A clock that jumps from timer to timer; which of several due timers comes first is drawn from the seed. */
import type { SeededRandom } from '@headrace/testing';
import type { Clock } from '../../src/clock.ts';

interface Timer {
  readonly at: number;
  readonly tie: number;
  readonly callback: () => void;
  cancelled: boolean;
}

export class VirtualClock implements Clock {
  #now: number;
  readonly #random: SeededRandom;
  /** Binary heap by time, then by draw. */
  readonly #heap: Timer[] = [];
  /** Callbacks run so far. */
  events = 0;

  constructor(random: SeededRandom, now = 1_750_000_000_000) {
    this.#random = random;
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, milliseconds: number): Timer {
    const timer = {
      at: this.#now + Math.max(0, Math.floor(milliseconds)),
      tie: this.#random.next(),
      callback,
      cancelled: false,
    };
    this.#push(timer);
    return timer;
  }

  clearTimeout(handle: unknown): void {
    if (handle !== undefined) (handle as Timer).cancelled = true;
  }

  /** The clock as one process sees it: once the process is dead its timers do nothing. */
  forProcess(isAlive: () => boolean): Clock {
    return {
      now: () => this.#now,
      setTimeout: (callback, milliseconds) =>
        this.setTimeout(() => {
          if (isAlive()) callback();
        }, milliseconds),
      clearTimeout: (handle) => this.clearTimeout(handle),
    };
  }

  /** Runs timers until `isDone`, or until the clock would pass `until` (ms). Promises settle between timers. */
  async run(until: number, isDone: () => boolean = () => false): Promise<void> {
    await turn();
    while (!isDone()) {
      const timer = this.#heap[0];
      if (timer === undefined || timer.at > until) {
        this.#now = Math.max(this.#now, Math.min(until, Number.MAX_SAFE_INTEGER));
        return;
      }
      this.#pop();
      if (timer.cancelled) continue;
      this.#now = Math.max(this.#now, timer.at);
      this.events++;
      timer.callback();
      await turn();
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let i = heap.push(timer) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(heap[i]!, heap[parent]!)) break;
      [heap[i], heap[parent]] = [heap[parent]!, heap[i]!];
      i = parent;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < heap.length && isBefore(heap[child]!, heap[least]!)) least = child;
      if (least === i) return;
      [heap[i], heap[least]] = [heap[least]!, heap[i]!];
      i = least;
    }
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.tie < b.tie);
}

/** Every promise that is settled now has run its reactions. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
