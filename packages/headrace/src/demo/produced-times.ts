/** When each record was handed to the producer, by partition and offset. Memory: 8 bytes a record. */
export class ProducedTimes {
  readonly #partitions = new Map<number, { base: number; times: Float64Array; count: number }>();

  /** `offsets`: the first offset that the records of each partition got; `sentAt`: `performance.now()`. */
  add(records: readonly { readonly partition: number }[], offsets: ReadonlyMap<number, number>, sentAt: number): void {
    const next = new Map(offsets);
    for (const { partition } of records) {
      const offset = next.get(partition);
      if (offset === undefined) continue;
      next.set(partition, offset + 1);
      this.#set(partition, offset, sentAt);
    }
  }

  /** `performance.now()` at the sending of the record; NaN when it is not ours. */
  get(partition: number, offset: number): number {
    const known = this.#partitions.get(partition);
    if (known === undefined) return Number.NaN;
    const index = offset - known.base;
    return index >= 0 && index < known.count ? known.times[index]! : Number.NaN;
  }

  #set(partition: number, offset: number, sentAt: number): void {
    let known = this.#partitions.get(partition);
    if (known === undefined) {
      known = { base: offset, times: new Float64Array(1024), count: 0 };
      this.#partitions.set(partition, known);
    }
    const index = offset - known.base;
    if (index >= known.times.length) {
      const larger = new Float64Array(Math.max(index + 1, known.times.length * 2)).fill(Number.NaN);
      larger.set(known.times);
      known.times = larger;
    }
    known.times[index] = sentAt;
    known.count = Math.max(known.count, index + 1);
  }
}

/** Percentile of unsorted values by nearest rank; NaN of none. Sorts `values` in place. */
export function percentile(values: Float64Array, share: number): number {
  if (values.length === 0) return Number.NaN;
  values.sort();
  return values[Math.min(values.length - 1, Math.max(0, Math.ceil(share * values.length) - 1))]!;
}
