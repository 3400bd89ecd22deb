/** The smallest block, as a power of two. */
const LEAST_ORDER = 12;
const NONE = -1;
/** State of a unit where no free block begins. */
const TAKEN = 0;

/**
 * Hands out blocks of powers of two, from 4 KiB on, of an address space; neighbours that are free again become one
 * (Knowlton, 1965). What was given back last is taken first: it may still lie in the processor's cache.
 */
export class BuddyAllocator {
  readonly #order: number;
  /** The first free block of each order. */
  readonly #heads: Int32Array;
  /** Of the unit where a free block begins: the next and the previous one of its order. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** Order of the free block that begins at a unit; TAKEN elsewhere. */
  readonly #free: Uint8Array;

  /** `bytes` is a power of two. */
  constructor(bytes: number) {
    this.#order = Math.log2(bytes);
    const units = bytes >>> LEAST_ORDER;
    this.#heads = new Int32Array(this.#order + 1).fill(NONE);
    this.#next = new Int32Array(units);
    this.#previous = new Int32Array(units);
    this.#free = new Uint8Array(units);
    this.#push(0, this.#order);
  }

  /** Bytes of the block that a request for `size` bytes gets. */
  static capacity(size: number): number {
    return 2 ** orderOf(size);
  }

  /** The address of a block of at least `size` bytes; -1 when there is none. */
  take(size: number): number {
    const wanted = orderOf(size);
    let order = wanted;
    while (order <= this.#order && this.#heads[order] === NONE) order++;
    if (order > this.#order) return NONE;
    const unit = this.#heads[order]!;
    this.#remove(unit, order);
    while (order > wanted) this.#push(unit + (1 << (--order - LEAST_ORDER)), order);
    return unit << LEAST_ORDER;
  }

  /** Gives back all of a block but what its first `size` bytes need. */
  shrink(address: number, from: number, size: number): void {
    const unit = address >>> LEAST_ORDER;
    const wanted = orderOf(size);
    for (let order = orderOf(from); order > wanted; ) this.#push(unit + (1 << (--order - LEAST_ORDER)), order);
  }

  /** Gives back a block that was taken (or shrunk) for `size` bytes. */
  give(address: number, size: number): void {
    let unit = address >>> LEAST_ORDER;
    let order = orderOf(size);
    for (; order < this.#order; order++) {
      const buddy = unit ^ (1 << (order - LEAST_ORDER));
      if (this.#free[buddy] !== order) break;
      this.#remove(buddy, order);
      unit = Math.min(unit, buddy);
    }
    this.#push(unit, order);
  }

  #push(unit: number, order: number): void {
    const head = this.#heads[order]!;
    this.#free[unit] = order;
    this.#next[unit] = head;
    this.#previous[unit] = NONE;
    if (head !== NONE) this.#previous[head] = unit;
    this.#heads[order] = unit;
  }

  #remove(unit: number, order: number): void {
    const next = this.#next[unit]!;
    const previous = this.#previous[unit]!;
    this.#free[unit] = TAKEN;
    if (next !== NONE) this.#previous[next] = previous;
    if (previous === NONE) this.#heads[order] = next;
    else this.#next[previous] = next;
  }
}

const orderOf = (size: number): number => (size <= 1 << LEAST_ORDER ? LEAST_ORDER : 32 - Math.clz32(size - 1));
