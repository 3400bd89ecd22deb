/** What happens in a run, line by line in virtual time, and the first of it that must not have happened. */
export class Trace {
  readonly lines: string[] = [];
  /** Virtual time (ms) of the run's begin. */
  readonly begin: number;
  readonly #now: () => number;
  #violation: Error | undefined;

  constructor(now: () => number) {
    this.#now = now;
    this.begin = now();
  }

  /** Whether a promise was broken: the run is over. */
  get isViolated(): boolean {
    return this.#violation !== undefined;
  }

  log(line: string): void {
    this.lines.push(`${((this.#now() - this.begin) / 1000).toFixed(3).padStart(9)} ${line}`);
  }

  /** Runs a check inside the code under test, which must not see it throw. */
  guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#violate(error as Error);
    }
  }

  violate(message: string): void {
    this.#violate(new Violation(message));
  }

  throwViolation(): void {
    if (this.#violation !== undefined) throw this.#violation;
  }

  #violate(error: Error): void {
    this.#violation ??= error;
    this.log(`VIOLATION ${error.message}`);
  }
}

/** A broken promise of the engine. */
export class Violation extends Error {
  override readonly name = 'Violation';
}
