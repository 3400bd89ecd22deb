/**
 * Which offsets of one assigned partition are settled. It is the only owner of that fact: nothing else moves the offset
 * that is committed. One tracker lives as long as one assignment (`epoch`); a closed one ignores late results.
 *
 *      start        low-water mark                       position
 *        │ settled        │ unsettled │ settled │ unsettled │  not taken yet
 *        └────────────────┴───────────┴─────────┴───────────┴───────────────
 *
 * Ranges are half-open and tile the offsets: an offset that holds no record (compaction, control records) belongs to
 * the range that it was handed out with.
 */
export class OffsetTracker {
  readonly epoch: number;
  #lowWaterMark: number;
  #position: number;
  #committed: number;
  /** Settled ranges above the low-water mark: flat pairs [from, to), ascending, neither touching nor overlapping. */
  readonly #ahead: number[] = [];
  #closed = false;

  constructor(startOffset: number, epoch: number) {
    this.epoch = epoch;
    this.#lowWaterMark = startOffset;
    this.#position = startOffset;
    this.#committed = startOffset;
  }

  /** Everything below is settled: the offset to commit. */
  get lowWaterMark(): number {
    return this.#lowWaterMark;
  }

  /** Everything at or above was not handed out yet. */
  get position(): number {
    return this.#position;
  }

  /** What is known to be committed. */
  get committed(): number {
    return this.#committed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Offsets up to (not including) `to` were handed out; they are unsettled until `settle` says otherwise. */
  advance(to: number): void {
    if (!this.#closed && to > this.#position) this.#position = to;
  }

  /**
   * The offsets `from` up to (not including) `to` are settled. False when nothing was noted because the assignment is
   * over. Settling what was never handed out is a defect and throws: a commit could pass an unseen record.
   */
  settle(from: number, to: number): boolean {
    if (this.#closed) return false;
    if (to > this.#position)
      throw new RangeError(`offset ${to - 1} was settled, but only ${this.#position} were taken`);
    if (from < this.#lowWaterMark) from = this.#lowWaterMark;
    if (to <= from) return true;
    const ahead = this.#ahead;
    if (from > this.#lowWaterMark) {
      this.#insert(from, to);
      return true;
    }
    let mark = to;
    let drop = 0;
    while (drop < ahead.length && ahead[drop]! <= mark) {
      if (ahead[drop + 1]! > mark) mark = ahead[drop + 1]!;
      drop += 2;
    }
    if (drop > 0) ahead.splice(0, drop);
    this.#lowWaterMark = mark;
    return true;
  }

  /** A commit of `offset` was acknowledged. Returns by how much the committed offset rose. */
  acknowledge(offset: number): number {
    if (this.#closed || offset <= this.#committed) return 0;
    const delta = offset - this.#committed;
    this.#committed = offset;
    return delta;
  }

  /** True when the offset is settled, also ahead of the low-water mark. */
  isSettled(offset: number): boolean {
    if (offset < this.#lowWaterMark) return true;
    const index = this.#firstEndingAfter(offset);
    return index < this.#ahead.length && this.#ahead[index]! <= offset;
  }

  /** The assignment is over: whatever comes now is too late. */
  close(): void {
    this.#closed = true;
  }

  #insert(from: number, to: number): void {
    const ahead = this.#ahead;
    // First range that ends at or after `from`: it touches, overlaps or lies beyond.
    let first = this.#firstEndingAfter(from - 1);
    const at = first;
    while (first < ahead.length && ahead[first]! <= to) {
      if (ahead[first]! < from) from = ahead[first]!;
      if (ahead[first + 1]! > to) to = ahead[first + 1]!;
      first += 2;
    }
    ahead.splice(at, first - at, from, to);
  }

  /** Index of the first range whose end is greater than `offset`. */
  #firstEndingAfter(offset: number): number {
    const ahead = this.#ahead;
    let low = 0;
    let high = ahead.length >> 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ahead[2 * middle + 1]! > offset) high = middle;
      else low = middle + 1;
    }
    return 2 * low;
  }
}
