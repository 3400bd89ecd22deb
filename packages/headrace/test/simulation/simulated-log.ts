/** Partitions of a simulated cluster: real record batches, in memory. */
import { BatchView, openBatch, type RecordChunk, type RecordInput, writeBatch } from '@headrace/kafka-records';

interface StoredBatch {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  readonly nextOffset: number;
}

export class SimulatedLog {
  readonly topic: string;
  readonly partition: number;
  readonly #batches: StoredBatch[] = [];
  /** Offset, timestamp and whether the filter lets it pass, of every record; in order. */
  readonly records: { readonly offset: number; readonly timestamp: number; readonly value: string }[] = [];
  end = 0;
  start = 0;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  /** Appends one batch. Steps above 1 make holes, as compaction does. */
  append(records: readonly (RecordInput & { readonly value: string })[], trailingHole = 0): void {
    const baseOffset = this.end;
    const timestamp = records[0]!.timestamp ?? 0;
    let delta = -1;
    for (const record of records) {
      delta = record.offsetDelta ?? delta + 1;
      this.records.push({ offset: baseOffset + delta, timestamp: record.timestamp ?? timestamp, value: record.value });
    }
    const lastOffsetDelta = delta + trailingHole;
    const bytes = writeBatch({ records, baseOffset, lastOffsetDelta, baseTimestamp: timestamp, leaderEpoch: 0 });
    this.end = baseOffset + lastOffsetDelta + 1;
    this.#batches.push({ bytes, baseOffset, nextOffset: this.end });
  }

  /** The batch that holds `offset` or the next after it, whole, as a fetch gives it. */
  read(offset: number, onRelease: (bytes: Buffer) => void): RecordChunk | undefined {
    const batch = this.#batches.find(({ nextOffset }) => nextOffset > offset);
    if (batch === undefined) return undefined;
    const bytes = Buffer.from(batch.bytes);
    return openBatch(new BatchView(bytes), { firstOffset: offset, checkCrc: false, onRelease: () => onRelease(bytes) });
  }
}
