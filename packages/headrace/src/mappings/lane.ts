/**
 * One assigned partition as the poller works on it. A lane lives as long as one assignment; a partition that comes back
 * gets a new lane. Never are two batches with records of one lane in flight: `work` is worked off from its front.
 */
import { HeaderCursor, RecordCursor } from '@headrace/kafka-records';
import type { HeadraceError } from '../errors.ts';
import type { AssignedPartition, RecordChunk, TopicPartition } from '../kafka/contract.ts';
import { estimatePayload, partitionHead } from './event-writer.ts';
import type { FilterRecord, RecordFilter } from './filter-record.ts';
import { OffsetTracker } from './offset-tracker.ts';
import { chunkOf, HeldChunk, type Slice } from './slice.ts';
import type { WorkItem } from './work-item.ts';

/** A slice that is taken and not in a batch yet; its front moves. Written by the lane alone. */
interface Pending {
  readonly held: HeldChunk;
  readonly end: number;
  readonly to: number;
  start: number;
  from: number;
  count: number;
}

/** Consecutive records of a chunk that the filter lets through. */
type Run = Pick<Slice, 'start' | 'end' | 'count' | 'from' | 'to'>;

/** Over about so many bytes it is judged how much the filter lets through. */
const JUDGED_BYTES = 8 * 1024 * 1024;

const cursor = new RecordCursor();
const headerCursor = new HeaderCursor();

export class Lane {
  readonly assigned: AssignedPartition;
  /** `<topic>-<partition>`, the key of the event's `records`. */
  readonly name: string;
  readonly head: { readonly key: Buffer; readonly record: Buffer };
  readonly tracker: OffsetTracker;

  /** Batches that hold records of this lane, in order; only the first may be in flight. Written by the poller. */
  readonly work: WorkItem[] = [];
  /** In the poller's queue of lanes that could give records. Written by the poller. */
  queued = false;
  /** Being handed back: nothing new begins. Written by the poller. */
  draining = false;
  /** Records cannot be decoded: the lane stands still. Written by the poller. */
  broken: HeadraceError | undefined;
  /** Offset that the last commit request carried. Written by the poller. */
  requestedCommit: number;
  /** When the first pending record was buffered (ms). */
  pendingSince = 0;
  pendingRecords = 0;
  /** Estimated payload bytes of what is pending. */
  pendingPayload = 0;
  leaderEpoch = -1;

  readonly #pending: Pending[] = [];
  /** Bytes that the filter saw and let through lately. */
  #seenBytes = 0;
  #passedBytes = 0;

  constructor(assigned: AssignedPartition) {
    this.assigned = assigned;
    this.name = `${assigned.topic}-${assigned.partition}`;
    this.head = partitionHead(assigned.topic, assigned.partition);
    this.tracker = new OffsetTracker(assigned.startOffset, assigned.epoch);
    this.requestedCommit = assigned.startOffset;
  }

  /** Something is pending or could be taken. */
  get hasRecords(): boolean {
    return this.pendingRecords > 0 || this.assigned.bufferedBytes > 0;
  }

  /** The next offset that goes into a batch. */
  get position(): number {
    return this.#pending[0]?.from ?? this.tracker.position;
  }

  /**
   * Takes the next chunk and filters it. What the filter drops is settled at once; its offsets are committed when
   * everything before them is. Returns false when nothing was buffered.
   */
  take(filter: RecordFilter | undefined, now: number, taken: Taken): boolean {
    const chunk = this.assigned.take();
    if (chunk === undefined) return false;
    taken.bytes += chunk.end - chunk.start;
    const from = this.tracker.position;
    const held = new HeldChunk(chunk);
    this.leaderEpoch = chunk.leaderEpoch;
    this.tracker.advance(chunk.nextOffset);
    const before = this.pendingRecords;
    try {
      if (filter === undefined) this.#takeAll(held, from, taken);
      else this.#takeMatching(held, from, filter, taken);
    } finally {
      held.release();
    }
    if (before === 0) this.pendingSince = now;
    return true;
  }

  /** Moves up to `maximum` pending records out, by `append`, which says how many bytes and records it took. */
  moveInto(
    slices: Slice[],
    maximum: number,
    append: (slice: Slice) => { count: number; end: number; to: number },
  ): number {
    let moved = 0;
    while (moved < maximum) {
      const first = this.#pending[0];
      if (first === undefined) break;
      const offered = Math.min(first.count, maximum - moved);
      const whole: Slice = {
        lane: this,
        held: first.held,
        start: first.start,
        end: first.end,
        count: offered,
        from: first.from,
        to: first.to,
      };
      const { count, end, to } = append(whole);
      if (count === 0) break;
      moved += count;
      this.pendingRecords -= count;
      if (count === first.count) {
        // The hold of the pending slice goes on with the batch's.
        slices.push(count === whole.count && end === whole.end ? whole : { ...whole, end, count });
        this.#pending.shift();
        continue;
      }
      first.held.hold();
      slices.push({ ...whole, end, count, to });
      first.start = end;
      first.from = to;
      first.count -= count;
      if (count < offered) break;
    }
    this.#estimate();
    return moved;
  }

  /** Gives back what was taken and is in no batch; it comes again from the committed offset. */
  dropPending(): void {
    for (const pending of this.#pending) pending.held.release();
    this.#pending.length = 0;
    this.pendingRecords = 0;
    this.pendingPayload = 0;
  }

  /** Timestamp (ms) of the oldest record that is taken and in no batch, else of the oldest buffered; -1: none. */
  get oldestTimestamp(): number {
    const first = this.#pending[0];
    if (first === undefined) return this.assigned.oldestBufferedTimestamp;
    return cursor.reset(chunkOf(first)).next() ? cursor.timestamp : -1;
  }

  #takeAll(held: HeldChunk, from: number, taken: Taken): void {
    const { chunk } = held;
    let { start, count } = chunk;
    if (chunk.firstOffset > chunk.baseOffset) {
      // A fetch gives whole batches: what lies below the wanted offset was settled in another life.
      count = 0;
      for (cursor.reset(chunk); cursor.next(); count++) if (count === 0) start = cursor.start;
    }
    taken.received += count;
    if (count <= 0) this.tracker.settle(from, chunk.nextOffset);
    else this.#push(held, start, chunk.end, count, from, chunk.nextOffset);
  }

  #takeMatching(held: HeldChunk, from: number, filter: RecordFilter, taken: Taken): void {
    const { chunk } = held;
    const record = new CursorRecord(this.assigned, chunk);
    const runs: Run[] = [];
    let start = chunk.start;
    let end = chunk.start;
    let count = 0;
    let runFrom = from;
    let tile = from;
    try {
      for (cursor.reset(chunk); cursor.next(); ) {
        taken.received++;
        if (filter.matches(record.move(filter))) {
          if (count++ === 0) {
            runFrom = tile;
            start = cursor.start;
          }
          end = cursor.end;
        } else {
          taken.filtered++;
          if (count > 0) runs.push({ start, end, count, from: runFrom, to: tile });
          count = 0;
          this.tracker.settle(tile, cursor.offset + 1);
        }
        tile = cursor.offset + 1;
      }
      if (count > 0) runs.push({ start, end, count, from: runFrom, to: chunk.nextOffset });
      else this.tracker.settle(tile, chunk.nextOffset);
    } finally {
      this.#keep(held, runs);
    }
  }

  /**
   * Makes runs pending. Where the filter drops most they are copied out: a few records would hold the memory of all that
   * was fetched with them, and a large batch or a long window collects very many.
   */
  #keep(held: HeldChunk, runs: readonly Run[]): void {
    const { chunk } = held;
    const size = chunk.end - chunk.start;
    const bytes = runs.reduce((sum, { start, end }) => sum + end - start, 0);
    if (this.#seenBytes > JUDGED_BYTES) {
      this.#seenBytes /= 2;
      this.#passedBytes /= 2;
    }
    this.#seenBytes += size;
    this.#passedBytes += bytes;
    if (runs.length === 0) return;
    if (bytes * 2 > size && this.#passedBytes * 2 > this.#seenBytes) {
      for (const { start, end, count, from, to } of runs) this.#push(held, start, end, count, from, to);
      return;
    }
    const copy = Buffer.allocUnsafe(bytes);
    const count = runs.reduce((sum, run) => sum + run.count, 0);
    const copied = new HeldChunk({ ...chunkOf({ held, start: 0, end: bytes, count }), bytes: copy });
    let at = 0;
    for (const run of runs) {
      const start = at;
      at += chunk.bytes.copy(copy, at, run.start, run.end);
      this.#push(copied, start, at, run.count, run.from, run.to);
    }
    copied.release();
  }

  #push(held: HeldChunk, start: number, end: number, count: number, from: number, to: number): void {
    held.hold();
    this.#pending.push({ held, start, end, count, from, to });
    this.pendingRecords += count;
    this.pendingPayload += estimatePayload(end - start, count);
  }

  #estimate(): void {
    this.pendingPayload = 0;
    for (const { start, end, count } of this.#pending) this.pendingPayload += estimatePayload(end - start, count);
  }
}

/** The record that the module's cursor stands on, as filters want it. One object a chunk. */
class CursorRecord implements FilterRecord {
  readonly topic: string;
  readonly partition: number;
  readonly timestampType: 'CREATE_TIME' | 'LOG_APPEND_TIME';
  offset = 0;
  timestamp = 0;
  key: Uint8Array | null = null;
  value: Uint8Array | null = null;
  readonly #bytes: Buffer;

  constructor(partition: TopicPartition, chunk: RecordChunk) {
    this.topic = partition.topic;
    this.partition = partition.partition;
    this.timestampType = chunk.timestampType;
    this.#bytes = chunk.bytes;
  }

  move(filter: RecordFilter): this {
    this.value = this.#part(cursor.valueStart, cursor.valueEnd);
    if (filter.needsKey) this.key = this.#part(cursor.keyStart, cursor.keyEnd);
    this.offset = cursor.offset;
    this.timestamp = cursor.timestamp;
    return this;
  }

  headers(): Array<{ key: string; value: Uint8Array | null }> {
    const headers: Array<{ key: string; value: Uint8Array | null }> = [];
    for (headerCursor.reset(cursor); headerCursor.next(); ) {
      const key = this.#bytes.toString('utf8', headerCursor.keyStart, headerCursor.keyEnd);
      headers.push({ key, value: this.#part(headerCursor.valueStart, headerCursor.valueEnd) });
    }
    return headers;
  }

  #part(start: number, end: number): Uint8Array | null {
    return start < 0 ? null : this.#bytes.subarray(start, end);
  }
}

/** What `take` adds to. */
export interface Taken {
  received: number;
  filtered: number;
  bytes: number;
}
