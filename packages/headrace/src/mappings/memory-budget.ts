/**
 * Bytes that all mappings of an engine may hold in batches; who gets none waits until somebody gives back.
 *
 * A mapping may hold as much as is still free, so of n mappings whose functions hang each ends up with about 1/(n+1) of
 * the limit, and who holds nothing may always begin one batch: a function that hangs stalls nobody else. The limit is
 * passed by one batch a mapping at most. Source: A. Choudhury and E. Hahne, "Dynamic queue length thresholds for
 * shared-memory packet switches", IEEE/ACM Transactions on Networking 6(2), 1998, with a factor of 1.
 */
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

  get freeBytes(): number {
    return Math.max(0, this.limitBytes - this.#used);
  }

  /** What one mapping sees of it. */
  share(): MemoryShare {
    return new MemoryShare(this);
  }

  /** Of shares alone. */
  add(bytes: number): void {
    this.#used += bytes;
    if (bytes > 0 || this.freeBytes === 0 || this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Calls `wake` once, when something was given back. */
  whenFree(wake: () => void): void {
    this.#waiting.add(wake);
  }
}

export class MemoryShare {
  readonly #budget: MemoryBudget;
  #used = 0;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  get usedBytes(): number {
    return this.#used;
  }

  get exhausted(): boolean {
    return this.#used > 0 && this.#used >= this.#budget.freeBytes;
  }

  /** Takes without asking: callers look at `exhausted` first. */
  take(bytes: number): void {
    this.#used += bytes;
    this.#budget.add(bytes);
  }

  give(bytes: number): void {
    this.#used -= bytes;
    this.#budget.add(-bytes);
  }

  /** Calls `wake` once, when there may be room again. */
  whenFree(wake: () => void): void {
    this.#budget.whenFree(wake);
  }
}
