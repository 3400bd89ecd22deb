import { BatchView, controlType } from '@headrace/kafka-records';
import { RequestError } from '../protocol/errors.ts';
import { ProducerStates } from './producer-state.ts';
import { Segment } from './segment.ts';

const SMALLEST_SEGMENT_BYTES = 16 << 10;
const LARGEST_SEGMENT_BYTES = 1 << 20;

/** Something that waits for this log to change, such as a fetch that found too little. */
export interface LogWaiter {
  /** Called after an append (with its bytes), and with 0 for any other change. */
  changed(bytes: number): void;
}

/** Where appended batches also go when they must outlive the process. */
export interface LogStore {
  append(batch: Buffer): void;
  /** The log was cut or rewritten: what is stored must be replaced by what the log holds now. */
  rewrite(log: PartitionLog): void;
  /** The log begins later now. */
  startMoved(logStartOffset: number): void;
}

export interface ReadResult {
  /** Slices of segments, in order; may begin before the wanted offset and end within a batch. */
  slices: Buffer[];
  bytes: number;
}

/** One partition's records: raw batches in segments. The owner of offsets, producer states and the log's start. */
export class PartitionLog {
  readonly segments: Segment[] = [];
  readonly producers = new ProducerStates();
  readonly waiters = new Set<LogWaiter>();
  /** Offset that the next batch gets; also the high watermark, since one copy is all there is. */
  endOffset = 0;
  startOffset = 0;
  /** Bytes that the segments have in use. */
  size = 0;
  /** Epoch and its first offset, ascending. */
  readonly epochs: { epoch: number; startOffset: number }[] = [];
  store: LogStore | undefined;
  /** Called with the growth in bytes of memory held. */
  onMemory: ((bytes: number) => void) | undefined;
  readonly #view = new BatchView(Buffer.alloc(0));

  get lastStableOffset(): number {
    return this.producers.firstOpenOffset ?? this.endOffset;
  }

  /**
   * Appends a validated batch under the next offset. The bytes are copied; base offset and leader epoch are patched in
   * the copy, since the checksum does not cover them.
   *
   * @returns the batch's first offset
   * @throws RequestError KAFKA_STORAGE_ERROR when it cannot be stored; the log is as before then
   */
  append(batch: Buffer, leaderEpoch: number, now: number): number {
    const view = this.#view.at(batch, 0);
    const baseOffset = this.endOffset;
    const lastOffset = baseOffset + view.lastOffsetDelta;
    const stored = this.#place(batch, baseOffset, lastOffset, view.maxTimestamp, now);
    view.at(stored, 0);
    view.baseOffset = baseOffset;
    view.leaderEpoch = leaderEpoch;
    try {
      this.store?.append(stored);
    } catch (cause) {
      // Nobody has seen it yet: what cannot be kept was never there.
      const segment = this.segments.at(-1)!;
      segment.truncate(segment.batchCount - 1);
      this.size -= stored.length;
      throw new RequestError('KAFKA_STORAGE_ERROR', cause instanceof Error ? cause.message : String(cause));
    }
    this.#noteEpoch(leaderEpoch, baseOffset);
    this.#noteProducer(view, now);
    this.endOffset = lastOffset + 1;
    this.notify(batch.length);
    return baseOffset;
  }

  /**
   * Takes back a batch that was stored before, under the offset it has. The log's start is not taken from the first
   * batch: compaction leaves holes there, too, and who reads from within such a hole is not out of range.
   */
  restore(batch: Buffer, now: number): void {
    const view = this.#view.at(batch, 0);
    const { baseOffset, lastOffset } = view;
    this.#place(batch, baseOffset, lastOffset, view.maxTimestamp, now);
    this.#noteEpoch(view.leaderEpoch, baseOffset);
    this.#noteProducer(view, now);
    this.endOffset = lastOffset + 1;
  }

  #place(batch: Buffer, baseOffset: number, lastOffset: number, maxTimestamp: number, now: number): Buffer {
    let segment = this.segments.at(-1);
    if (segment === undefined || !segment.hasRoom(batch.length)) {
      const doubled = segment === undefined ? SMALLEST_SEGMENT_BYTES : segment.bytes.length * 2;
      const capacity = Math.max(Math.min(doubled, LARGEST_SEGMENT_BYTES), batch.length);
      segment = new Segment(baseOffset, capacity);
      this.segments.push(segment);
      this.onMemory?.(capacity);
    }
    const position = segment.append(batch, baseOffset, lastOffset, maxTimestamp);
    segment.appendedAt = now;
    this.size += batch.length;
    return segment.bytes.subarray(position, position + batch.length);
  }

  #noteEpoch(epoch: number, offset: number): void {
    const last = this.epochs.at(-1);
    if (last === undefined || last.epoch < epoch) this.epochs.push({ epoch, startOffset: offset });
  }

  #noteProducer(view: BatchView, now: number): void {
    if (view.producerId < 0) return;
    if (!view.isControl) {
      this.producers.update(view, view.baseOffset, now);
      return;
    }
    const type = controlType(view);
    if (type) this.producers.end(view.producerId, view.producerEpoch, type, view.baseOffset, now);
  }

  /** Tells everyone who waits that there may be something new. */
  notify(bytes: number): void {
    for (const waiter of this.waiters) waiter.changed(bytes);
  }

  /**
   * Slices of what lies from the batch holding `offset` up to before `endOffset` (a batch boundary), about `maxBytes`
   * of them; the first batch comes whole however large, if `wholeFirst`.
   */
  read(offset: number, endOffset: number, maxBytes: number, wholeFirst: boolean): ReadResult {
    const slices: Buffer[] = [];
    let bytes = 0;
    let index = this.#segmentAt(offset);
    for (; index < this.segments.length; index++) {
      const segment = this.segments[index]!;
      if (segment.baseOffset >= endOffset) break;
      const first = segment.batchAt(offset);
      if (first === segment.batchCount) continue;
      const last = segment.lastOffset < endOffset ? segment.batchCount : segment.batchAt(endOffset);
      const start = segment.positionOf(first);
      let end = segment.positionOf(last);
      if (end <= start) break;
      const room = maxBytes - bytes;
      if (end - start > room) {
        const isFirst = bytes === 0;
        end = start + Math.max(room, isFirst && wholeFirst ? segment.positionOf(first + 1) - start : 0);
        if (end > start) slices.push(segment.bytes.subarray(start, end));
        bytes += Math.max(end - start, 0);
        break;
      }
      slices.push(segment.bytes.subarray(start, end));
      bytes += end - start;
      if (bytes >= maxBytes) break;
    }
    return { slices, bytes };
  }

  /** Index of the segment that holds `offset` or is the first after it. */
  #segmentAt(offset: number): number {
    let low = 0;
    let high = this.segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.segments[middle]!.lastOffset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The whole batches from `offset` on, as views into the log. */
  *batches(offset = this.startOffset): Generator<BatchView> {
    for (const segment of this.segments.slice(this.#segmentAt(offset))) {
      for (let batch = segment.batchAt(offset); batch < segment.batchCount; batch++) {
        yield new BatchView(segment.bytes, segment.positions[batch]!);
      }
    }
  }

  /** The epoch's end: where a follower of this epoch must stop (KIP-279). Undefined when the epoch is unknown. */
  epochEnd(epoch: number, currentEpoch: number): { epoch: number; endOffset: number } | undefined {
    if (epoch === currentEpoch) return { epoch, endOffset: this.endOffset };
    const after = this.epochs.findIndex((entry) => entry.epoch > epoch);
    if (after === -1)
      return this.epochs.length === 0 || epoch > currentEpoch
        ? undefined
        : { epoch: this.epochs.at(-1)!.epoch, endOffset: this.endOffset };
    if (after === 0) return { epoch, endOffset: this.epochs[0]!.startOffset };
    return { epoch: this.epochs[after - 1]!.epoch, endOffset: this.epochs[after]!.startOffset };
  }

  /** Moves the log's start; whole segments below it go. */
  moveStart(offset: number): void {
    if (offset <= this.startOffset) return;
    this.startOffset = offset;
    if (offset > this.endOffset) this.endOffset = offset;
    while (this.segments.length > 0 && this.segments[0]!.lastOffset < offset) {
      const isLast = this.segments.length === 1;
      if (isLast && this.segments[0]!.size === 0) break;
      this.#drop(this.segments.shift()!);
    }
    this.producers.expire(this.startOffset, Number.NEGATIVE_INFINITY);
    this.store?.startMoved(offset);
    this.notify(0);
  }

  /** Gives up the oldest segment, but never the one that is written. */
  dropOldestSegment(): boolean {
    const oldest = this.segments[0];
    if (oldest === undefined || this.segments.length < 2) return false;
    this.moveStart(this.segments[1]!.baseOffset);
    return true;
  }

  #drop(segment: Segment): void {
    this.size -= segment.size;
    this.onMemory?.(-segment.bytes.length);
  }

  /** Cuts the log's end off, as a lost leader would: everything from the batch holding `offset` on. */
  truncate(offset: number): void {
    while (this.segments.length > 0) {
      const segment = this.segments.at(-1)!;
      const batch = segment.batchAt(offset);
      const before = segment.size;
      segment.truncate(batch);
      this.size -= before - segment.size;
      if (segment.batchCount > 0) break;
      this.segments.pop();
      this.onMemory?.(-segment.bytes.length);
    }
    const end = this.segments.at(-1);
    this.endOffset =
      end === undefined ? Math.max(this.startOffset, Math.min(offset, this.endOffset)) : end.lastOffset + 1;
    while (this.epochs.length > 0 && this.epochs.at(-1)!.startOffset >= this.endOffset) this.epochs.pop();
    this.rebuildProducers();
    this.store?.rewrite(this);
    this.notify(0);
  }

  /** Replaces the content (compaction): batches keep their offsets, and the log its end. */
  replace(batches: readonly Buffer[], now: number): void {
    const { endOffset, startOffset } = this;
    for (const segment of this.segments.splice(0)) this.#drop(segment);
    for (const batch of batches) {
      const view = new BatchView(batch);
      this.#place(batch, view.baseOffset, view.lastOffset, view.maxTimestamp, now);
    }
    this.endOffset = endOffset;
    this.startOffset = startOffset;
    this.store?.rewrite(this);
  }

  rebuildProducers(): void {
    this.producers.clear();
    for (const view of this.batches()) this.#noteProducer(view, view.maxTimestamp);
  }
}
