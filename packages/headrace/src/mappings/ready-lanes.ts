/**
 * The lanes that could give records now, in the order in which they are served, and how batches are made of them. A
 * lane leaves the queue with the batch that takes its records and comes back when that batch is settled: so every
 * partition gets its turn, and none is in two batches.
 */
import type { Gathered } from './batching.ts';
import { EventWriter } from './event-writer.ts';
import type { Lane, Taken } from './lane.ts';
import type { MappingOptions } from './options.ts';
import { releasePayload } from './payload-buffers.ts';
import { type Slice, singleRecords } from './slice.ts';

/** At most so many bytes are taken and filtered in one turn of the event loop. */
export const BYTES_A_STEP = 4 * 1024 * 1024;

export type Batch =
  | { readonly kind: 'batch'; readonly slices: Slice[]; readonly payload: Buffer }
  /** One record that does not fit into any event. */
  | { readonly kind: 'oversized'; readonly slices: Slice[] }
  /** Nothing came of it: a lane broke. */
  | { readonly kind: 'none' };

export interface ReadyLanesOwner {
  /** What the filter dropped moved the lane's low-water mark. */
  onSettled(lane: Lane): void;
  /** The lane's records cannot be decoded. */
  onBroken(lane: Lane, error: unknown): void;
}

const writer = new EventWriter();

export class ReadyLanes {
  readonly #queue: Lane[] = [];
  readonly #owner: ReadyLanesOwner;

  constructor(owner: ReadyLanesOwner) {
    this.#owner = owner;
  }

  get length(): number {
    return this.#queue.length;
  }

  /** Queues a lane that could give records and is free. */
  offer(lane: Lane): void {
    if (lane.queued || lane.draining || lane.broken !== undefined || lane.work.length > 0 || !lane.hasRecords) return;
    lane.queued = true;
    this.#queue.push(lane);
  }

  remove(lane: Lane): void {
    if (!lane.queued) return;
    lane.queued = false;
    this.#queue.splice(this.#queue.indexOf(lane), 1);
  }

  /** Takes chunks into the lanes in front until they would fill a batch, or enough is taken for one turn. */
  gather(options: MappingOptions, now: number, taken: Taken, freeSince: number): Gathered {
    const { batchSize, payloadLimitBytes } = options;
    let records = 0;
    let payloadBytes = 0;
    let firstBufferedAt = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#queue.length && records < batchSize && payloadBytes < payloadLimitBytes; i++) {
      const lane = this.#queue[i]!;
      this.#fill(lane, options, batchSize - records, payloadLimitBytes - payloadBytes, now, taken);
      if (lane.pendingRecords > 0) {
        records += lane.pendingRecords;
        payloadBytes += lane.pendingPayload;
        firstBufferedAt = Math.min(firstBufferedAt, lane.pendingSince);
      } else if (!lane.hasRecords || lane.broken !== undefined) {
        this.remove(lane);
        i--;
      }
      if (taken.bytes > BYTES_A_STEP) break;
    }
    return { records, payloadBytes, firstBufferedAt, freeSince };
  }

  #fill(lane: Lane, options: MappingOptions, records: number, payload: number, now: number, taken: Taken): void {
    while (lane.pendingRecords < records && lane.pendingPayload < payload && taken.bytes <= BYTES_A_STEP) {
      try {
        if (!lane.take(options.filter, now, taken)) return;
      } catch (error) {
        this.#owner.onBroken(lane, error);
        return;
      }
      if (lane.tracker.lowWaterMark > lane.requestedCommit) this.#owner.onSettled(lane);
    }
  }

  /** Writes the next batch from the lanes in front: its size and the payload limit close it. */
  write({ batchSize, payloadLimitBytes, eventHead }: MappingOptions): Batch {
    const slices: Slice[] = [];
    let count = 0;
    let isFull = false;
    writer.begin(eventHead, payloadLimitBytes, this.#expectedPayload(batchSize));
    while (this.#queue.length > 0 && count < batchSize && !isFull) {
      const lane = this.#queue[0]!;
      const moved = this.#move(lane, slices, batchSize - count);
      count += moved;
      isFull = lane.broken === undefined && lane.pendingRecords > 0 && count < batchSize;
      // Not a record more fits; with one or more in the event, this lane is the first of the next.
      if (moved === 0 && lane.broken === undefined) break;
      this.remove(lane);
    }
    const payload = writer.finish();
    if (count > 0) return { kind: 'batch', slices, payload };
    releasePayload(payload);
    return isFull ? { kind: 'oversized', slices: this.#firstRecord() } : { kind: 'none' };
  }

  #move(lane: Lane, slices: Slice[], most: number): number {
    try {
      return lane.moveInto(slices, most, (slice) => {
        writer.append(slice, slice.count);
        return { count: writer.written, end: writer.writtenEnd, to: writer.lastOffset + 1 };
      });
    } catch (error) {
      this.#owner.onBroken(lane, error);
      return 0;
    }
  }

  #firstRecord(): Slice[] {
    const lane = this.#queue[0]!;
    const slices: Slice[] = [];
    lane.moveInto(slices, 1, (slice) => {
      const single = singleRecords([slice])[0]!;
      return { count: 1, end: single.slice.end, to: single.offset + 1 };
    });
    this.remove(lane);
    return slices;
  }

  /** About how large the next batch's event will be: a buffer that is much too large costs page faults. */
  #expectedPayload(batchSize: number): number {
    let left = batchSize;
    let bytes = 0;
    for (const { pendingRecords, pendingPayload } of this.#queue) {
      if (left <= 0) break;
      if (pendingRecords === 0) continue;
      const taken = Math.min(left, pendingRecords);
      bytes += Math.ceil((pendingPayload * taken) / pendingRecords);
      left -= taken;
    }
    return bytes;
  }
}
