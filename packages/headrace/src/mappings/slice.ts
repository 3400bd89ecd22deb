/**
 * What a batch is made of: stretches of consecutive records inside fetched chunks. No object a record; a stretch knows
 * its bytes and the offsets that it answers for.
 */
import type { RecordChunk } from '@headrace/kafka-records';
import type { Lane } from './lane.ts';
import { RecordReader } from './record-reader.ts';
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

const reader = new RecordReader();

/** Takes slices apart, record by record, in order. The parts do not hold the chunk; see `hold`. */
export function singleRecords(slices: readonly Slice[]): SingleRecord[] {
  const singles: SingleRecord[] = [];
  for (const slice of slices) {
    reader.open(slice.held.chunk, slice.start, slice.end);
    let from = slice.from;
    let start = slice.start;
    for (let i = 1; i <= slice.count && reader.next(); i++) {
      const to = i === slice.count ? slice.to : reader.offset + 1;
      singles.push({
        partition: slice.lane.name,
        offset: reader.offset,
        timestamp: reader.timestamp,
        slice: { lane: slice.lane, held: slice.held, start, end: reader.position, count: 1, from, to },
      });
      from = to;
      start = reader.position;
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
  reader.open(slice.held.chunk, slice.start, slice.end).next();
  const { offset, timestamp, keyStart, keyLength } = reader;
  const bytes = slice.held.chunk.bytes;
  return { offset, timestamp, key: keyLength < 0 ? null : Buffer.from(bytes.subarray(keyStart, keyStart + keyLength)) };
}
