import type { ThrottleReason } from './outcome.ts';

interface Taken {
  busy: number;
  /** Of these, running in versions without provisioned concurrency, or beyond it. */
  onDemand: number;
  readonly byVersion: Map<string, number>;
  reserved: number | undefined;
  readonly provisioned: Map<string, number>;
}

/**
 * Concurrency taken and allowed: environments busy at the same instant, initialisation included. One for a process. The
 * account's pool less everything reserved is what functions without a reservation share; provisioned concurrency is
 * carved out of the function's reservation, or out of the pool.
 */
export class Concurrency {
  readonly #account: number;
  readonly #functions = new Map<string, Taken>();
  #unreservedOnDemand = 0;
  /** Sum of all reservations, and of provisioned concurrency of functions that have none. */
  #setAside = 0;

  constructor(account: number) {
    this.#account = account;
  }

  /** Takes one, or says why not. */
  take(functionName: string, version: string): ThrottleReason | undefined {
    const taken = this.#of(functionName);
    const running = taken.byVersion.get(version) ?? 0;
    const provisioned = taken.provisioned.get(version) ?? 0;
    if (running >= provisioned) {
      if (taken.reserved !== undefined) {
        if (taken.onDemand >= taken.reserved - sum(taken.provisioned)) {
          return 'ReservedFunctionConcurrentInvocationLimitExceeded';
        }
      } else if (this.#unreservedOnDemand >= this.#account - this.#setAside) {
        return 'ConcurrentInvocationLimitExceeded';
      } else {
        this.#unreservedOnDemand++;
      }
      taken.onDemand++;
    }
    taken.busy++;
    taken.byVersion.set(version, running + 1);
    return undefined;
  }

  /** How many more could be taken now. */
  free(functionName: string, version: string): number {
    const taken = this.#of(functionName);
    const provisioned = (taken.provisioned.get(version) ?? 0) - (taken.byVersion.get(version) ?? 0);
    const onDemand =
      taken.reserved === undefined
        ? this.#account - this.#setAside - this.#unreservedOnDemand
        : taken.reserved - sum(taken.provisioned) - taken.onDemand;
    return Math.max(0, provisioned) + Math.max(0, onDemand);
  }

  give(functionName: string, version: string): void {
    const taken = this.#of(functionName);
    const running = taken.byVersion.get(version) ?? 0;
    taken.busy--;
    if (running <= 1) taken.byVersion.delete(version);
    else taken.byVersion.set(version, running - 1);
    // Which of them ran on provisioned concurrency does not matter, only how many do.
    let onDemand = 0;
    for (const [each, count] of taken.byVersion) onDemand += Math.max(0, count - (taken.provisioned.get(each) ?? 0));
    if (taken.reserved === undefined) this.#unreservedOnDemand -= taken.onDemand - onDemand;
    taken.onDemand = onDemand;
  }

  reserve(functionName: string, reserved: number | undefined): void {
    const taken = this.#of(functionName);
    if (taken.reserved === undefined) this.#unreservedOnDemand -= taken.onDemand;
    taken.reserved = reserved;
    if (taken.reserved === undefined) this.#unreservedOnDemand += taken.onDemand;
    this.#count();
  }

  provision(functionName: string, version: string, provisioned: number): void {
    const taken = this.#of(functionName);
    if (provisioned > 0) taken.provisioned.set(version, provisioned);
    else taken.provisioned.delete(version);
    this.#count();
  }

  provisioned(functionName: string, version: string): number {
    return this.#functions.get(functionName)?.provisioned.get(version) ?? 0;
  }

  /** Function and version of everything that has provisioned concurrency. */
  *allProvisioned(): Generator<[functionName: string, version: string]> {
    for (const [name, { provisioned }] of this.#functions)
      for (const version of provisioned.keys()) yield [name, version];
  }

  forget(functionName: string): void {
    this.reserve(functionName, undefined);
    const taken = this.#of(functionName);
    taken.provisioned.clear();
    if (taken.busy === 0) this.#functions.delete(functionName);
    this.#count();
  }

  #count(): void {
    this.#setAside = 0;
    for (const taken of this.#functions.values()) this.#setAside += taken.reserved ?? sum(taken.provisioned);
  }

  #of(functionName: string): Taken {
    let taken = this.#functions.get(functionName);
    if (taken === undefined) {
      taken = { busy: 0, onDemand: 0, byVersion: new Map(), reserved: undefined, provisioned: new Map() };
      this.#functions.set(functionName, taken);
    }
    return taken;
  }
}

const sum = (counts: ReadonlyMap<string, number>): number => {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
};
