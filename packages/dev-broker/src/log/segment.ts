/** First index at which `values` (ascending) is at least `wanted`; its length when there is none. */
function lowerBound(values: readonly number[], wanted: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * A stretch of a partition's log: batches one after another in one buffer that never moves, so that a fetch can hand
 * slices of it to a socket. Written by its partition log alone, at the end alone.
 */
export class Segment {
  readonly bytes: Buffer;
  /** Bytes in use. */
  size = 0;
  readonly baseOffset: number;
  /** By batch. */
  readonly baseOffsets: number[] = [];
  readonly lastOffsets: number[] = [];
  readonly positions: number[] = [];
  readonly maxTimestamps: number[] = [];
  maxTimestamp = -1;
  /** Milliseconds of the broker's clock at the last append. */
  appendedAt = 0;

  constructor(baseOffset: number, capacity: number) {
    this.baseOffset = baseOffset;
    this.bytes = Buffer.allocUnsafeSlow(capacity);
  }

  get batchCount(): number {
    return this.positions.length;
  }
  get lastOffset(): number {
    return this.lastOffsets.at(-1) ?? this.baseOffset - 1;
  }
  hasRoom(size: number): boolean {
    return this.size + size <= this.bytes.length;
  }
  /** Index of the batch that holds `offset` or is the first after it; `batchCount` when all lie before. */
  batchAt(offset: number): number {
    return lowerBound(this.lastOffsets, offset);
  }
  /** Where the batch with this index begins; the end for `batchCount`. */
  positionOf(batch: number): number {
    return this.positions[batch] ?? this.size;
  }

  append(batch: Buffer, baseOffset: number, lastOffset: number, maxTimestamp: number): number {
    const position = this.size;
    batch.copy(this.bytes, position);
    this.size += batch.length;
    this.baseOffsets.push(baseOffset);
    this.lastOffsets.push(lastOffset);
    this.positions.push(position);
    this.maxTimestamps.push(maxTimestamp);
    if (maxTimestamp > this.maxTimestamp) this.maxTimestamp = maxTimestamp;
    return position;
  }

  /** Drops the batches from this index on. */
  truncate(batch: number): void {
    if (batch >= this.batchCount) return;
    this.size = this.positions[batch]!;
    for (const list of [this.baseOffsets, this.lastOffsets, this.positions, this.maxTimestamps]) list.length = batch;
    this.maxTimestamp = Math.max(-1, ...this.maxTimestamps);
  }
}
