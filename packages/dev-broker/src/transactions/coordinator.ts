import { type BatchView, writeControlBatch } from '@headrace/kafka-records';
import type { Clock } from '../clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Partition } from '../cluster/topic.ts';
import type { GroupCoordinator } from '../groups/coordinator.ts';
import { RequestError } from '../protocol/errors.ts';
import type { ProducerIds } from './producer-ids.ts';

export type TransactionState = 'Empty' | 'Ongoing' | 'CompleteCommit' | 'CompleteAbort';

/** One transactional id. Owned by the coordinator. */
export interface Transaction {
  readonly id: string;
  producerId: number;
  epoch: number;
  timeoutMs: number;
  state: TransactionState;
  readonly partitions: Set<Partition>;
  readonly groups: Set<string>;
  /** Milliseconds; -1 when none is open. */
  startedAt: number;
  updatedAt: number;
  timer: unknown;
}

/** How a transaction ends, noted before its markers are written. */
export interface Decision {
  readonly isCommit: boolean;
  readonly bumps: boolean;
}

export interface TransactionStore {
  /** @param decision set when markers are about to be written: after a crash they must be, to the end */
  transactionChanged(transaction: Transaction, decision: Decision | null): void;
}

export interface TransactionOptions {
  clock: Clock;
  cluster: Cluster;
  groups: GroupCoordinator;
  producerIds: ProducerIds;
  /** transaction.max.timeout.ms */
  maximumTimeoutMs: number;
}

const LAST_EPOCH = 32766;

/**
 * The owner of transactional ids. Markers are written in the turn of the event loop that ends a transaction, so the
 * states in which Apache Kafka prepares and waits for them are never seen.
 */
export class TransactionCoordinator {
  readonly transactions = new Map<string, Transaction>();
  readonly #options: TransactionOptions;
  store: TransactionStore | undefined;

  constructor(options: TransactionOptions) {
    this.#options = options;
    options.cluster.deletionListeners.add((topic) => {
      for (const { partitions } of this.transactions.values()) {
        for (const partition of topic.partitions) partitions.delete(partition);
      }
    });
  }

  /** A producer starts, or starts anew: what it left open is aborted, and its predecessors are fenced. */
  initialize(
    id: string | null,
    timeoutMs: number,
    producerId: number,
    epoch: number,
  ): { producerId: number; epoch: number } {
    const { clock, producerIds, maximumTimeoutMs } = this.#options;
    if (id === null) return { producerId: producerIds.take(), epoch: 0 };
    if (id === '') throw new RequestError('INVALID_REQUEST', 'The transactional id is empty');
    if (timeoutMs <= 0 || timeoutMs > maximumTimeoutMs) throw new RequestError('INVALID_TRANSACTION_TIMEOUT');
    let transaction = this.transactions.get(id);
    if (!transaction) {
      transaction = {
        id,
        producerId: producerIds.take(),
        epoch: 0,
        timeoutMs,
        state: 'Empty',
        partitions: new Set(),
        groups: new Set(),
        startedAt: -1,
        updatedAt: clock.now(),
        timer: undefined,
      };
      this.transactions.set(id, transaction);
    } else {
      if (producerId >= 0 && (producerId !== transaction.producerId || epoch !== transaction.epoch)) {
        throw new RequestError('PRODUCER_FENCED');
      }
      if (transaction.state === 'Ongoing') {
        this.#complete(transaction, false, true);
      }
      this.#bump(transaction);
      transaction.timeoutMs = timeoutMs;
      transaction.state = 'Empty';
    }
    this.#changed(transaction);
    return { producerId: transaction.producerId, epoch: transaction.epoch };
  }

  #bump(transaction: Transaction): void {
    if (transaction.epoch < LAST_EPOCH) {
      transaction.epoch++;
      return;
    }
    transaction.producerId = this.#options.producerIds.take();
    transaction.epoch = 0;
  }

  /** @throws RequestError INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED */
  #owned(id: string | null, producerId: number, epoch: number): Transaction {
    const transaction = id === null ? undefined : this.transactions.get(id);
    if (!transaction || transaction.producerId !== producerId) throw new RequestError('INVALID_PRODUCER_ID_MAPPING');
    if (transaction.epoch !== epoch) throw new RequestError('PRODUCER_FENCED');
    return transaction;
  }

  #begin(transaction: Transaction): void {
    if (transaction.state === 'Ongoing') return;
    const { clock } = this.#options;
    transaction.state = 'Ongoing';
    transaction.startedAt = clock.now();
    clock.clearTimeout(transaction.timer);
    transaction.timer = clock.setTimeout(() => this.#timeOut(transaction), transaction.timeoutMs);
  }

  #timeOut(transaction: Transaction): void {
    if (transaction.state !== 'Ongoing') return;
    // The producer is fenced, so that it cannot go on as if nothing had happened.
    this.#complete(transaction, false, true);
    this.#changed(transaction);
  }

  addPartitions(id: string, producerId: number, epoch: number, partitions: Iterable<Partition>): void {
    const transaction = this.#owned(id, producerId, epoch);
    this.#begin(transaction);
    for (const partition of partitions) transaction.partitions.add(partition);
    this.#changed(transaction);
  }

  addGroup(id: string, producerId: number, epoch: number, groupId: string): void {
    const transaction = this.#owned(id, producerId, epoch);
    this.#begin(transaction);
    transaction.groups.add(groupId);
    this.#changed(transaction);
  }

  /** Checks who commits offsets within a transaction; with `mayAdd` (KIP-890) the group joins it by this alone. */
  checkOffsets(id: string, producerId: number, epoch: number, groupId: string, mayAdd: boolean): void {
    const transaction = this.#owned(id, producerId, epoch);
    if (transaction.state === 'Ongoing' && transaction.groups.has(groupId)) return;
    if (!mayAdd) throw new RequestError('INVALID_TXN_STATE');
    this.addGroup(id, producerId, epoch, groupId);
  }

  /** Checks a transactional batch before it is appended (see ProduceTransactions). */
  checkProduce(id: string | null, batch: BatchView, partition: Partition, mayAdd: boolean): void {
    const { producerId, producerEpoch } = batch;
    const transaction = id === null ? undefined : this.transactions.get(id);
    if (!transaction || transaction.producerId !== producerId) {
      throw new RequestError(mayAdd ? 'INVALID_PRODUCER_ID_MAPPING' : 'INVALID_TXN_STATE');
    }
    if (producerEpoch !== transaction.epoch) throw new RequestError('INVALID_PRODUCER_EPOCH');
    if (transaction.state === 'Ongoing' && transaction.partitions.has(partition)) return;
    if (!mayAdd) throw new RequestError('INVALID_TXN_STATE');
    this.addPartitions(id!, producerId, producerEpoch, [partition]);
  }

  /**
   * Commits or aborts.
   *
   * @param bumps the client knows transactions of version 2 and gets a new epoch for its next one
   * @returns what the producer goes on with
   */
  end(
    id: string,
    producerId: number,
    epoch: number,
    isCommit: boolean,
    bumps: boolean,
  ): { producerId: number; epoch: number } {
    const known = this.transactions.get(id);
    const finished = isCommit ? 'CompleteCommit' : 'CompleteAbort';
    // The answer to an EndTxn that bumped the epoch was lost: the same one again.
    if (bumps && known?.producerId === producerId && known.epoch === epoch + 1 && known.state === finished) {
      return { producerId: known.producerId, epoch: known.epoch };
    }
    const transaction = this.#owned(id, producerId, epoch);
    if (transaction.state !== 'Ongoing') {
      const isRepeated = !bumps && transaction.state === finished;
      const isEmptyAbort = bumps && !isCommit;
      if (!isRepeated && !isEmptyAbort) throw new RequestError('INVALID_TXN_STATE');
      if (isRepeated) return { producerId, epoch };
    }
    this.#complete(transaction, isCommit, bumps);
    this.#changed(transaction);
    return { producerId: transaction.producerId, epoch: transaction.epoch };
  }

  /** Writes the markers. With `bumps` they carry the next epoch, which fences the present one in every partition. */
  #complete(transaction: Transaction, isCommit: boolean, bumps: boolean, isRedone = false): void {
    const { clock, groups } = this.#options;
    const { producerId } = transaction;
    const producerEpoch = transaction.epoch + (bumps ? 1 : 0);
    clock.clearTimeout(transaction.timer);
    this.store?.transactionChanged(transaction, { isCommit, bumps });
    const timestamp = clock.now();
    for (const { log, leaderEpoch } of transaction.partitions) {
      // After a crash some have their marker already.
      if (isRedone && (log.producers.entries.get(producerId)?.transactionStart ?? -1) < 0) continue;
      const type = isCommit ? 'commit' : 'abort';
      const marker = writeControlBatch({
        baseOffset: log.endOffset,
        type,
        producerId,
        producerEpoch,
        timestamp,
        leaderEpoch,
      });
      log.append(marker, leaderEpoch, timestamp);
    }
    for (const groupId of transaction.groups) groups.get(groupId)?.offsets.endTransaction(producerId, isCommit);
    transaction.partitions.clear();
    transaction.groups.clear();
    transaction.startedAt = -1;
    transaction.state = isCommit ? 'CompleteCommit' : 'CompleteAbort';
    if (bumps) this.#bump(transaction);
  }

  #changed(transaction: Transaction): void {
    transaction.updatedAt = this.#options.clock.now();
    this.store?.transactionChanged(transaction, null);
  }

  /** Carries a decision out that a crash interrupted. */
  finish(id: string, { isCommit, bumps }: Decision): void {
    const transaction = this.transactions.get(id);
    if (transaction?.state !== 'Ongoing') return;
    this.#complete(transaction, isCommit, bumps, true);
    this.#changed(transaction);
  }

  /** Takes back a transaction that was stored; an open one gets its timer again. */
  restore(transaction: Transaction): void {
    this.transactions.set(transaction.id, transaction);
    if (transaction.state !== 'Ongoing') return;
    const { clock } = this.#options;
    const left = Math.max(0, transaction.startedAt + transaction.timeoutMs - clock.now());
    transaction.timer = clock.setTimeout(() => this.#timeOut(transaction), left);
  }

  close(): void {
    for (const { timer } of this.transactions.values()) this.#options.clock.clearTimeout(timer);
  }
}
