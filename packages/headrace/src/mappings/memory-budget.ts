/** Bytes that all mappings of an engine may hold in batches; who gets none waits until somebody gives back. */
export class MemoryBudget {
  readonly limitBytes: number;
  #used = 0;
  #waiting = new Set<() => void>();

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#used;
  }

  get exhausted(): boolean {
    return this.#used >= this.limitBytes;
  }

  /** Takes without asking: callers look at `exhausted` first, so the limit is passed by one batch at most. */
  take(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
    if (this.exhausted || this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Calls `wake` once, when there is room again. */
  whenFree(wake: () => void): void {
    this.#waiting.add(wake);
  }
}
