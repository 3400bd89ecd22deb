import {
  BatchView,
  checkCrc,
  completeBatchSize,
  controlType,
  openBatch,
  type RecordChunk,
} from '@headrace/kafka-records';
import { HeadraceError } from '../errors.ts';
import type { AssignedPartition } from './contract.ts';
import type { AbortedTransaction, FetchedPartition } from './fetch-request.ts';
import { ResponseBlock } from './receive-memory.ts';

/** Raw batches of one fetch response that belong to one partition. */
interface Segment {
  block: ResponseBlock;
  bytes: Buffer;
  position: number;
  end: number;
  /** Where the fetch was asked to begin: the first batch may begin before. */
  readonly firstOffset: number;
  readonly aborted: AbortedTransactions | undefined;
}

/** Who reads a partition, as its reader sees them. */
export interface PartitionOwner {
  /** Room was made, or fetching is wanted again. */
  wake(): void;
  /** A batch cannot be read; the reader has gone back to before it. */
  onCorrupt(partition: PartitionReader, error: HeadraceError): void;
  /** What could not be read can be read again. */
  onMended(partition: PartitionReader): void;
}

/** After a batch that cannot be read the same is fetched again not before this many milliseconds. */
const CORRUPT_RETRY_MILLISECONDS = 1_000;

const empty = Buffer.alloc(0);
const view = new BatchView(empty);

/**
 * The cursor of one assigned partition: where the next fetch begins, what has been fetched, and what is handed out next.
 * Its buffered bytes are raw; a batch is checked and decompressed when it is taken.
 */
export class PartitionReader implements AssignedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly epoch: number;
  readonly startOffset: number;
  readonly committedMetadata: string;
  highWatermark = -1;
  logStartOffset = -1;
  /** Up to where records may be read: the high watermark, or the last stable offset under read_committed; -1 unknown. */
  readLimit = -1;
  bufferedBytes = 0;

  /** Where the next fetch begins. */
  fetchOffset: number;
  /** Everything below was handed out or passed over. */
  position: number;
  isPaused = false;
  /** Revoked, lost or closed: nothing is handed out any more. */
  isDead = false;
  /** Being given up: nothing new is begun any more. */
  isRevoking = false;
  /** Part of a request that is not answered yet. */
  isInFlight = false;
  /** Its offset is being looked up anew; not fetched meanwhile. */
  isSeeking = false;
  /** Since when (ms of the wall clock) there are records that cannot be fetched or read; -1: none that is known. */
  behindSince = -1;
  /** Something is wrong with it, and was told. Written by the fetcher. */
  hasTrouble = false;
  /** Of its topic when reading began; '' where the broker has none. Written by the fetcher, and by who seeks in a new topic. */
  topicId = '';
  /** The next batch could not be read the last time: the same bytes may come again, and are no cure. */
  isCorrupt = false;
  /** There is probably something to fetch: known records ahead, or not asked for some time. */
  isHungry = true;
  /** Not fetched before this time (ms of `performance.now`). */
  retryAt = 0;
  /** Leader epoch of the last batch that was fetched, else that of the commit; -1 unknown. */
  lastEpoch: number;
  /** Leader epoch that the position was checked against (KIP-320). */
  validatedEpoch = -1;
  /** The follower that the leader told to read from (KIP-392), and until when. */
  preferredReplica = -1;
  preferredUntil = 0;

  readonly #owner: PartitionOwner;
  readonly #maximumDecompressedBytes: number | undefined;
  readonly #segments: Segment[] = [];

  constructor(
    place: { readonly topic: string; readonly partition: number; readonly epoch: number },
    start: { readonly offset: number; readonly leaderEpoch: number; readonly metadata: string },
    owner: PartitionOwner,
    maximumDecompressedBytes?: number,
  ) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.epoch = place.epoch;
    this.startOffset = start.offset;
    this.committedMetadata = start.metadata;
    this.fetchOffset = start.offset;
    this.position = start.offset;
    this.lastEpoch = start.leaderEpoch;
    this.#owner = owner;
    this.#maximumDecompressedBytes = maximumDecompressedBytes;
  }

  get oldestBufferedTimestamp(): number {
    const segment = this.#segments[0];
    if (segment === undefined) return this.behindSince;
    view.at(segment.bytes, segment.position);
    return view.timestampType === 'LOG_APPEND_TIME' ? view.maxTimestamp : view.baseTimestamp;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.isHungry = true;
    this.#owner.wake();
  }

  /** Ends the reader: gives back what is buffered. Chunks that were taken stay valid. */
  kill(): void {
    this.isDead = true;
    this.#drop();
  }

  /** Goes on reading at `offset`; what is buffered is dropped. */
  seek(offset: number): void {
    this.#drop();
    this.position = offset;
    this.fetchOffset = offset;
    this.isHungry = true;
    this.isCorrupt = false;
    this.behindSince = -1;
  }

  /**
   * Takes over what a response holds of this partition, asked for at `fetchOffset`. Returns true when there are records
   * to take that were not before.
   */
  append(fetched: FetchedPartition, bytes: Buffer, block: ResponseBlock, isCommittedOnly: boolean): boolean {
    let position = fetched.start;
    const firstOffset = this.fetchOffset;
    let next = firstOffset;
    while (position < fetched.end) {
      const size = completeBatchSize(bytes, position, fetched.end);
      if (size === 0) break;
      view.at(bytes, position);
      try {
        view.validate(position + size);
        // An answer may begin before the asked offset, never go back behind what it held already.
        next = Math.max(next, view.lastOffset + 1);
        this.lastEpoch = view.leaderEpoch;
      } catch (error) {
        if (position > fetched.start) break;
        this.#corrupt(error, next);
        return false;
      }
      position += size;
    }
    if (position === fetched.start) return false;
    block.retain();
    const aborted = isCommittedOnly ? new AbortedTransactions(fetched.aborted ?? []) : undefined;
    this.#segments.push({ block, bytes, position: fetched.start, end: position, firstOffset, aborted });
    this.bufferedBytes += position - fetched.start;
    this.fetchOffset = next;
    return true;
  }

  take(): RecordChunk | undefined {
    if (this.isDead || this.isRevoking) return undefined;
    const from = this.position;
    for (let segment = this.#segments[0]; segment !== undefined; segment = this.#segments[0]) {
      view.at(segment.bytes, segment.position);
      const size = view.size;
      const next = view.lastOffset + 1;
      let chunk: RecordChunk | undefined;
      try {
        const isAborted = segment.aborted?.skips(view) === true;
        // What says that a batch is passed over may be what is broken in it.
        if (view.isControl || isAborted || next <= this.position) checkCrc(view);
        else chunk = this.#open(segment);
      } catch (error) {
        this.#corrupt(error, this.position);
        return undefined;
      }
      this.#advance(segment, size, next);
      if (chunk === undefined) continue;
      if (this.isCorrupt) {
        this.isCorrupt = false;
        this.behindSince = -1;
        this.#owner.onMended(this);
      }
      return chunk;
    }
    return this.position > from ? this.#emptyChunk(from) : undefined;
  }

  /** Copies what is buffered out of the blocks of responses, which may be held by little. */
  detach(): void {
    for (const segment of this.#segments) {
      const copy = Buffer.from(segment.bytes.subarray(segment.position, segment.end));
      segment.block.release();
      segment.block = new ResponseBlock(copy, () => {});
      segment.bytes = copy;
      segment.position = 0;
      segment.end = copy.length;
    }
  }

  #open(segment: Segment): RecordChunk {
    const { block } = segment;
    const isPlain = view.compression === 'none';
    const chunk = openBatch(view, {
      firstOffset: Math.max(this.position, segment.firstOffset, view.baseOffset),
      ...(this.#maximumDecompressedBytes === undefined ? {} : { maximumBytes: this.#maximumDecompressedBytes }),
      // A decompressed chunk has memory of its own.
      ...(isPlain ? { onRelease: () => block.release() } : {}),
    });
    if (isPlain) block.retain();
    return chunk;
  }

  #advance(segment: Segment, size: number, next: number): void {
    segment.position += size;
    this.bufferedBytes -= size;
    if (next > this.position) this.position = next;
    if (segment.position >= segment.end) {
      this.#segments.shift();
      segment.block.release();
    }
    this.#owner.wake();
  }

  #emptyChunk(from: number): RecordChunk {
    return {
      bytes: empty,
      start: 0,
      end: 0,
      count: 0,
      baseOffset: from,
      firstOffset: from,
      nextOffset: this.position,
      baseTimestamp: -1,
      maxTimestamp: -1,
      timestampType: 'CREATE_TIME',
      exactTimestamps: undefined,
      leaderEpoch: this.lastEpoch,
      release: () => {},
    };
  }

  #drop(): void {
    for (const segment of this.#segments) segment.block.release();
    this.#segments.length = 0;
    this.bufferedBytes = 0;
  }

  /** Goes back to before the batch that cannot be read: nothing is ever passed over in silence. */
  #corrupt(cause: unknown, offset: number): void {
    const since = this.behindSince < 0 ? Date.now() : this.behindSince;
    this.seek(this.position);
    this.isCorrupt = true;
    this.behindSince = since;
    this.retryAt = performance.now() + CORRUPT_RETRY_MILLISECONDS;
    const reason = cause instanceof Error ? cause.message : String(cause);
    this.#owner.onCorrupt(
      this,
      new HeadraceError('KAFKA_CORRUPT_BATCH', `${this.topic}-${this.partition} at offset ${offset}: ${reason}`, {
        cause,
        details: { topic: this.topic, partition: this.partition, offset },
      }),
    );
  }
}

/**
 * Which transactional batches of a response were aborted (read_committed). The broker names producers and where their
 * aborted transactions begin; a transaction ends at its marker.
 */
class AbortedTransactions {
  readonly #waiting: AbortedTransaction[];
  readonly #producers = new Set<number>();

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#waiting = [...aborted].sort((a, b) => b.firstOffset - a.firstOffset);
  }

  /** Called with the batches in order. */
  skips(batch: BatchView): boolean {
    const { lastOffset } = batch;
    for (let next = this.#waiting.at(-1); next !== undefined; next = this.#waiting.at(-1)) {
      if (next.firstOffset > lastOffset) break;
      this.#producers.add(next.producerId);
      this.#waiting.pop();
    }
    if (!batch.isTransactional || this.#producers.size === 0) return false;
    if (!this.#producers.has(batch.producerId)) return false;
    if (batch.isControl && controlType(batch) === 'abort') this.#producers.delete(batch.producerId);
    return true;
  }
}
