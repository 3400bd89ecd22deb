import type { Clock } from '../clock.ts';
import type { Partition } from '../cluster/topic.ts';
import { RequestError } from '../protocol/errors.ts';
import type { StoredShareRange } from './stored.ts';

/** How a consumer settles a record (KIP-932); renewing came with KIP-1222. */
export const AcknowledgeType = { GAP: 0, ACCEPT: 1, RELEASE: 2, REJECT: 3, RENEW: 4 } as const;

export interface ShareLimits {
  readonly lockDurationMs: number;
  readonly deliveryCountLimit: number;
  /** Records that may be acquired or waiting for redelivery at once. */
  readonly maximumRecordLocks: number;
  readonly isReadCommitted: boolean;
}

interface InFlight {
  state: 'available' | 'acquired' | 'done';
  deliveryCount: number;
  memberId: string;
  lock: unknown;
}

export interface AcquiredRange {
  firstOffset: number;
  lastOffset: number;
  deliveryCount: number;
}

/** What one partition gave: which offsets, and where the bytes that hold them end. */
export interface Acquired {
  readonly ranges: AcquiredRange[];
  readonly from: number;
  readonly to: number;
}

/**
 * One partition as a share group sees it: who has which record, how often each was delivered, and from where on nothing
 * is settled (the share-partition start offset).
 */
export class SharePartition {
  readonly partition: Partition;
  readonly #clock: Clock;
  readonly #limits: () => ShareLimits;
  readonly #records = new Map<number, InFlight>();
  /** Acquisition locks that have not run out. */
  readonly #locks = new Set<{ timer: unknown }>();
  /** First offset that nobody was given yet. */
  #next: number;
  startOffset: number;
  /** Called when records can be acquired again. */
  readonly waiters = new Set<() => void>();
  /** Told of what should outlive the process: the start, and the state of records as far as it is new. */
  onChanged: ((startOffset: number, records: readonly StoredShareRange[]) => void) | undefined;

  constructor(partition: Partition, startOffset: number, clock: Clock, limits: () => ShareLimits) {
    this.partition = partition;
    this.startOffset = startOffset;
    this.#next = startOffset;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Records between the start and the log's end that are not settled. */
  get lag(): number {
    let done = 0;
    for (const { state } of this.#records.values()) if (state === 'done') done++;
    return Math.max(0, this.partition.log.endOffset - this.startOffset - done);
  }

  /**
   * Gives records to a member, whole batches unless `isStrict`.
   *
   * @param maximumRecords about how many; exactly at most so many if strict
   * @param maximumBytes of the batches that hold them; one batch always fits
   */
  acquire(memberId: string, maximumRecords: number, maximumBytes: number, isStrict: boolean): Acquired | undefined {
    const { log } = this.partition;
    const limits = this.#limits();
    this.#dropBelow(log.startOffset);
    const end = this.partition.readableEnd(limits.isReadCommitted);
    const ranges: AcquiredRange[] = [];
    const lock = this.#newLock(memberId, ranges, limits);
    let taken = 0;
    let bytes = 0;
    let from = -1;
    let to = -1;
    for (const batch of log.batches(this.startOffset)) {
      const { baseOffset, lastOffset } = batch;
      if (baseOffset >= end || taken >= maximumRecords || this.#records.size >= limits.maximumRecordLocks) break;
      if (from >= 0 && bytes + batch.size > maximumBytes) break;
      const isData = !batch.isControl && !(limits.isReadCommitted && batch.isTransactional && this.#isAborted(batch));
      let hasTaken = false;
      for (let offset = Math.max(baseOffset, this.startOffset); offset <= lastOffset; offset++) {
        if (isStrict && taken >= maximumRecords) break;
        const record = this.#records.get(offset);
        if (offset < this.#next && record?.state !== 'available') continue;
        if (offset >= this.#next) this.#next = offset + 1;
        if (!isData) {
          this.#records.set(offset, { state: 'done', deliveryCount: 0, memberId: '', lock: undefined });
          continue;
        }
        const deliveryCount = (record?.deliveryCount ?? 0) + 1;
        this.#records.set(offset, { state: 'acquired', deliveryCount, memberId, lock });
        addTo(ranges, offset, deliveryCount);
        taken++;
        hasTaken = true;
      }
      if (!hasTaken) {
        // What lies between two acquired batches is sent along, but outside of the acquired ranges.
        if (from >= 0) bytes += batch.size;
        continue;
      }
      if (from < 0) from = baseOffset;
      to = lastOffset + 1;
      bytes += batch.size;
    }
    this.#advance([]);
    if (taken === 0) {
      this.#clock.clearTimeout(lock.timer);
      this.#locks.delete(lock);
      return undefined;
    }
    return { ranges, from, to };
  }

  #isAborted(batch: { producerId: number; baseOffset: number; lastOffset: number }): boolean {
    return this.partition.log.producers
      .abortedBetween(batch.baseOffset, batch.lastOffset + 1)
      .some(({ producerId }) => producerId === batch.producerId);
  }

  /** Lets go of what is still held under it when its time is over. */
  #newLock(memberId: string, ranges: readonly AcquiredRange[], limits: ShareLimits): { timer: unknown } {
    const lock: { timer: unknown } = { timer: undefined };
    this.#locks.add(lock);
    lock.timer = this.#clock.setTimeout(() => {
      this.#locks.delete(lock);
      const released: number[] = [];
      for (const { firstOffset, lastOffset } of ranges) {
        for (let offset = firstOffset; offset <= lastOffset; offset++) {
          const record = this.#records.get(offset);
          if (record?.state !== 'acquired' || record.lock !== lock || record.memberId !== memberId) continue;
          this.#release(record);
          released.push(offset);
        }
      }
      this.#advance(released);
      this.#wake();
    }, limits.lockDurationMs);
    return lock;
  }

  /** Redelivers, unless it was delivered too often: then it is archived. */
  #release(record: InFlight): void {
    record.state = record.deliveryCount >= this.#limits().deliveryCountLimit ? 'done' : 'available';
    record.memberId = '';
    record.lock = undefined;
  }

  /**
   * Settles records; all or nothing.
   *
   * @param types one for the whole range, or one an offset
   * @throws RequestError INVALID_RECORD_STATE when the member does not hold one of them, INVALID_REQUEST
   */
  acknowledge(memberId: string, firstOffset: number, lastOffset: number, types: readonly number[]): void {
    const size = lastOffset - firstOffset + 1;
    if (size < 1 || (types.length !== 1 && types.length !== size)) {
      throw new RequestError(
        'INVALID_REQUEST',
        `${types.length} types for the offsets ${firstOffset} to ${lastOffset}`,
      );
    }
    if (types.some((type) => type < 0 || type > AcknowledgeType.RENEW)) throw new RequestError('INVALID_REQUEST');
    const from = Math.max(firstOffset, this.startOffset);
    if (lastOffset - from + 1 > this.#records.size) throw new RequestError('INVALID_RECORD_STATE');
    // What lies below the start is settled already.
    for (let offset = from; offset <= lastOffset; offset++) {
      const record = this.#records.get(offset);
      if (record?.state !== 'acquired' || record.memberId !== memberId) throw new RequestError('INVALID_RECORD_STATE');
    }
    const renewed: AcquiredRange[] = [];
    const lock = types.includes(AcknowledgeType.RENEW) ? this.#newLock(memberId, renewed, this.#limits()) : undefined;
    const settled: number[] = [];
    for (let offset = from; offset <= lastOffset; offset++) {
      const record = this.#records.get(offset)!;
      const type = types.length === 1 ? types[0]! : types[offset - firstOffset]!;
      if (type === AcknowledgeType.RELEASE) this.#release(record);
      else if (type === AcknowledgeType.RENEW) {
        record.lock = lock;
        addTo(renewed, offset, record.deliveryCount);
      } else record.state = 'done';
      if (type !== AcknowledgeType.RENEW) settled.push(offset);
    }
    this.#advance(settled);
    this.#wake();
  }

  /** Ends all timers, when the broker stops or the group goes. */
  close(): void {
    for (const { timer } of this.#locks) this.#clock.clearTimeout(timer);
    this.#locks.clear();
  }

  /** Gives back everything that a member holds, as when its session is closed. */
  releaseAll(memberId: string): void {
    const released: number[] = [];
    for (const [offset, record] of this.#records) {
      if (record.state !== 'acquired' || record.memberId !== memberId) continue;
      this.#release(record);
      released.push(offset);
    }
    this.#advance(released.sort((left, right) => left - right));
    this.#wake();
  }

  /** Starts over from an offset, forgetting who holds what. */
  reset(offset: number): void {
    this.#records.clear();
    this.startOffset = offset;
    this.#next = offset;
    this.onChanged?.(offset, []);
  }

  /**
   * Takes back what was settled before a restart. Who held what is not known any more: all that is not settled can be
   * acquired again, with the delivery counts of its last release.
   */
  restore(records: readonly StoredShareRange[]): void {
    for (const [first, last, isDone, deliveryCount] of records) {
      for (let offset = Math.max(first, this.startOffset); offset <= last; offset++) {
        const state = isDone === 1 ? 'done' : 'available';
        this.#records.set(offset, { state, deliveryCount, memberId: '', lock: undefined });
        if (offset >= this.#next) this.#next = offset + 1;
      }
    }
    for (let offset = this.startOffset; offset < this.#next; offset++) {
      if (this.#records.has(offset)) continue;
      this.#records.set(offset, { state: 'available', deliveryCount: 0, memberId: '', lock: undefined });
    }
  }

  /** What would be true after a restart: acquired records are as they were before. */
  toStored(): StoredShareRange[] {
    return this.#ranges([...this.#records.keys()].sort((left, right) => left - right));
  }

  /** The states of these records (ascending), neighbours that are alike together; without those that are as new. */
  #ranges(offsets: readonly number[]): StoredShareRange[] {
    const ranges: [number, number, 0 | 1, number][] = [];
    for (const offset of offsets) {
      const record = this.#records.get(offset);
      if (!record) continue;
      const isDone = record.state === 'done' ? 1 : 0;
      const deliveryCount = record.state === 'acquired' ? record.deliveryCount - 1 : record.deliveryCount;
      if (isDone === 0 && deliveryCount === 0) continue;
      const last = ranges.at(-1);
      if (last && last[1] === offset - 1 && last[2] === isDone && last[3] === deliveryCount) last[1] = offset;
      else ranges.push([offset, offset, isDone, deliveryCount]);
    }
    return ranges;
  }

  #dropBelow(offset: number): void {
    if (offset <= this.startOffset) return;
    for (const known of this.#records.keys()) if (known < offset) this.#records.delete(known);
    this.startOffset = offset;
    if (this.#next < offset) this.#next = offset;
    this.onChanged?.(offset, []);
  }

  /** Moves the start over what is settled. @param touched offsets whose state has changed, ascending */
  #advance(touched: readonly number[]): void {
    const before = this.startOffset;
    while (this.#records.get(this.startOffset)?.state === 'done') this.#records.delete(this.startOffset++);
    if (this.startOffset === before && touched.length === 0) return;
    this.onChanged?.(this.startOffset, this.#ranges(touched));
  }

  #wake(): void {
    for (const waiter of [...this.waiters]) waiter();
  }
}

function addTo(ranges: AcquiredRange[], offset: number, deliveryCount: number): void {
  const last = ranges.at(-1);
  if (last && last.lastOffset === offset - 1 && last.deliveryCount === deliveryCount) last.lastOffset = offset;
  else ranges.push({ firstOffset: offset, lastOffset: offset, deliveryCount });
}
