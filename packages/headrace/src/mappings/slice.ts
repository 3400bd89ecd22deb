/**
 * What a batch is made of: stretches of consecutive records inside fetched chunks. No object a record; a stretch knows
 * its bytes and the offsets that it answers for.
 */
import { type RecordChunk, RecordCursor } from '@headrace/kafka-records';
import type { Lane } from './lane.ts';
import type { RecordFacts } from './settlement.ts';

/** A chunk with the number of stretches that still need its bytes; the last one gives the memory back. */
export class HeldChunk {
  readonly chunk: RecordChunk;
  #holders = 1;

  constructor(chunk: RecordChunk) {
    this.chunk = chunk;
  }

  hold(): void {
    this.#holders++;
  }

  release(): void {
    if (--this.#holders === 0) this.chunk.release();
  }
}

/**
 * Consecutive records of one chunk. `from` and `to` tile the partition's offsets: an offset without a record belongs
 * to the slice after it, and at the end of a chunk to the last slice of the chunk.
 */
export interface Slice {
  readonly lane: Lane;
  readonly held: HeldChunk;
  /** Bytes, both at record boundaries. */
  readonly start: number;
  readonly end: number;
  readonly count: number;
  readonly from: number;
  /** Not included. */
  readonly to: number;
}

/** One record of a slice as a slice of its own, with what decisions need to know of it. */
export interface SingleRecord extends RecordFacts {
  readonly slice: Slice;
}

const cursor = new RecordCursor();

/** The records of a slice as a chunk, for a cursor to walk over. The memory stays that of the slice's chunk. */
export function chunkOf(slice: Pick<Slice, 'held' | 'start' | 'end' | 'count'>): RecordChunk {
  const { chunk } = slice.held;
  return {
    bytes: chunk.bytes,
    start: slice.start,
    end: slice.end,
    count: slice.count,
    baseOffset: chunk.baseOffset,
    firstOffset: chunk.firstOffset,
    nextOffset: chunk.nextOffset,
    baseTimestamp: chunk.baseTimestamp,
    maxTimestamp: chunk.maxTimestamp,
    timestampType: chunk.timestampType,
    exactTimestamps: chunk.exactTimestamps,
    leaderEpoch: chunk.leaderEpoch,
    release: nothing,
  };
}

function nothing(): void {}

/** Takes slices apart, record by record, in order. The parts do not hold the chunk; see `hold`. */
export function singleRecords(slices: readonly Slice[]): SingleRecord[] {
  const singles: SingleRecord[] = [];
  for (const slice of slices) {
    let from = slice.from;
    let left = slice.count;
    for (cursor.reset(chunkOf(slice)); left > 0 && cursor.next(); ) {
      left--;
      const { offset, timestamp, start, end } = cursor;
      const to = left === 0 ? slice.to : offset + 1;
      singles.push({
        partition: slice.lane.name,
        offset,
        timestamp,
        slice: { lane: slice.lane, held: slice.held, start, end, count: 1, from, to },
      });
      from = to;
    }
  }
  return singles;
}

/** Joins neighbours again, so that a selection of records costs as few slices as it can. */
export function joinSlices(parts: readonly Slice[]): Slice[] {
  const joined: Slice[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (last !== undefined && last.held === part.held && last.end === part.start && last.to === part.from) {
      joined[joined.length - 1] = { ...last, end: part.end, count: last.count + part.count, to: part.to };
    } else joined.push(part);
  }
  return joined;
}

/** Cuts a list of slices after `count` records. */
export function splitSlices(slices: readonly Slice[], count: number): [Slice[], Slice[]] {
  const singles = singleRecords(slices).map((single) => single.slice);
  return [joinSlices(singles.slice(0, count)), joinSlices(singles.slice(count))];
}

export function countRecords(slices: readonly Slice[]): number {
  let count = 0;
  for (const slice of slices) count += slice.count;
  return count;
}

/** Offset, time and key of the first record; only for people and reports. */
export function firstRecord(slice: Slice): { offset: number; timestamp: number; key: Buffer | null } {
  cursor.reset(chunkOf(slice)).next();
  const { offset, timestamp, keyStart, keyEnd, bytes } = cursor;
  return { offset, timestamp, key: keyStart < 0 ? null : Buffer.from(bytes.subarray(keyStart, keyEnd)) };
}
