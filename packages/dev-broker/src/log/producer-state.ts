import type { BatchView } from '@headrace/kafka-records';
import { RequestError } from '../protocol/errors.ts';

/** Batches of a producer that a retry may repeat (as in Apache Kafka's ProducerStateEntry). */
const REMEMBERED_BATCHES = 5;
const SEQUENCE_MODULUS = 2 ** 31;

export interface RememberedBatch {
  firstSequence: number;
  lastSequence: number;
  baseOffset: number;
  timestamp: number;
}

/** What a partition remembers of one producer. */
export interface ProducerEntry {
  producerId: number;
  epoch: number;
  /** Oldest first, of the current epoch. */
  batches: RememberedBatch[];
  /** First offset of the open transaction, -1 when none is open. */
  transactionStart: number;
  lastTimestamp: number;
}

export interface AbortedTransaction {
  producerId: number;
  firstOffset: number;
  /** Offset of the abort marker. */
  lastOffset: number;
}

const addSequence = (sequence: number, count: number): number => (sequence + count) % SEQUENCE_MODULUS;

/** Idempotence and transactions of one partition: which sequence comes next, what is open, what was aborted. */
export class ProducerStates {
  readonly entries = new Map<number, ProducerEntry>();
  /** In order of their markers. */
  aborted: AbortedTransaction[] = [];
  /** First offsets of open transactions. */
  readonly #open = new Map<number, number>();

  /** Where the first open transaction begins; undefined when none is open. */
  get firstOpenOffset(): number | undefined {
    let first: number | undefined;
    for (const offset of this.#open.values()) if (first === undefined || offset < first) first = offset;
    return first;
  }

  /**
   * Checks a batch of an idempotent producer before it is appended.
   *
   * @returns the batch that it repeats, if it does
   * @throws RequestError OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH
   */
  check(batch: BatchView): RememberedBatch | undefined {
    const entry = this.entries.get(batch.producerId);
    const { producerEpoch: epoch, baseSequence: sequence } = batch;
    // An unknown producer may begin anywhere: retention may have taken what was known of it.
    if (entry === undefined) return undefined;
    if (epoch < entry.epoch) throw new RequestError('INVALID_PRODUCER_EPOCH');
    if (epoch > entry.epoch) {
      if (sequence !== 0) throw new RequestError('OUT_OF_ORDER_SEQUENCE_NUMBER');
      return undefined;
    }
    const last = addSequence(sequence, batch.lastOffsetDelta);
    const repeated = entry.batches.find((known) => known.firstSequence === sequence && known.lastSequence === last);
    if (repeated) return repeated;
    const previous = entry.batches.at(-1);
    if (previous && sequence !== addSequence(previous.lastSequence, 1)) {
      throw new RequestError('OUT_OF_ORDER_SEQUENCE_NUMBER');
    }
    return undefined;
  }

  /** Notes an appended batch, data or marker. */
  update(batch: BatchView, baseOffset: number, timestamp: number): void {
    const producerId = batch.producerId;
    if (producerId < 0 || batch.isControl) return;
    let entry = this.entries.get(producerId);
    if (entry === undefined) {
      entry = { producerId, epoch: batch.producerEpoch, batches: [], transactionStart: -1, lastTimestamp: timestamp };
      this.entries.set(producerId, entry);
    }
    if (entry.epoch !== batch.producerEpoch) {
      entry.epoch = batch.producerEpoch;
      entry.batches = [];
    }
    entry.lastTimestamp = timestamp;
    const firstSequence = batch.baseSequence;
    const lastSequence = addSequence(firstSequence, batch.lastOffsetDelta);
    entry.batches.push({ firstSequence, lastSequence, baseOffset, timestamp });
    if (entry.batches.length > REMEMBERED_BATCHES) entry.batches.shift();
    if (batch.isTransactional && entry.transactionStart < 0) {
      entry.transactionStart = baseOffset;
      this.#open.set(producerId, baseOffset);
    }
  }

  /** Notes the marker that ends a producer's transaction here. */
  end(producerId: number, epoch: number, type: 'abort' | 'commit', offset: number, timestamp: number): void {
    let entry = this.entries.get(producerId);
    if (entry === undefined) {
      entry = { producerId, epoch, batches: [], transactionStart: -1, lastTimestamp: timestamp };
      this.entries.set(producerId, entry);
    }
    if (epoch > entry.epoch) {
      entry.epoch = epoch;
      entry.batches = [];
    }
    entry.lastTimestamp = timestamp;
    const first = entry.transactionStart;
    entry.transactionStart = -1;
    this.#open.delete(producerId);
    if (type === 'abort' && first >= 0) this.aborted.push({ producerId, firstOffset: first, lastOffset: offset });
  }

  /** The aborted transactions that a reader of the offsets from `from` to before `to` must know of. */
  abortedBetween(from: number, to: number): AbortedTransaction[] {
    return this.aborted
      .filter((transaction) => transaction.lastOffset >= from && transaction.firstOffset < to)
      .sort((left, right) => left.firstOffset - right.firstOffset);
  }

  /** Forgets aborted transactions below the log's start, and producers that were silent since `before`. */
  expire(logStartOffset: number, before: number): void {
    this.aborted = this.aborted.filter((transaction) => transaction.lastOffset >= logStartOffset);
    for (const entry of this.entries.values()) {
      if (entry.transactionStart < 0 && entry.lastTimestamp < before) this.entries.delete(entry.producerId);
    }
  }

  clear(): void {
    this.entries.clear();
    this.#open.clear();
    this.aborted = [];
  }
}
