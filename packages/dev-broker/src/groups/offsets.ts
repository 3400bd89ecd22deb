/** One committed position. */
export interface CommittedOffset {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  /** Milliseconds of the broker's clock. */
  readonly committedAt: number;
  /** When it goes, where the commit itself said so (OffsetCommit 2 to 4); else the broker's retention counts. */
  readonly expiresAt?: number;
}

type Positions = Map<string, Map<number, CommittedOffset>>;

/** Committed offsets of one group, and those of transactions that are not decided yet. */
export class GroupOffsets {
  readonly positions: Positions = new Map();
  /** By producer id. */
  readonly pending = new Map<number, Positions>();
  /** Told of transactional offsets, and of their transaction's end. */
  onPending: ((producerId: number, topic: string, partition: number, position: CommittedOffset) => void) | undefined;
  onPendingEnd: ((producerId: number, isCommit: boolean) => void) | undefined;
  onCommit: ((topic: string, partition: number, position: CommittedOffset | undefined) => void) | undefined;

  get isEmpty(): boolean {
    return this.positions.size === 0 && this.pending.size === 0;
  }

  get(topic: string, partition: number): CommittedOffset | undefined {
    return this.positions.get(topic)?.get(partition);
  }

  set(topic: string, partition: number, position: CommittedOffset): void {
    put(this.positions, topic, partition, position);
    this.onCommit?.(topic, partition, position);
  }

  delete(topic: string, partition: number): void {
    const partitions = this.positions.get(topic);
    if (!partitions?.delete(partition)) return;
    if (partitions.size === 0) this.positions.delete(topic);
    this.onCommit?.(topic, partition, undefined);
  }

  deleteTopic(topic: string): void {
    for (const partition of [...(this.positions.get(topic)?.keys() ?? [])]) this.delete(topic, partition);
    for (const positions of this.pending.values()) positions.delete(topic);
  }

  setPending(producerId: number, topic: string, partition: number, position: CommittedOffset): void {
    let positions = this.pending.get(producerId);
    if (!positions) this.pending.set(producerId, (positions = new Map()));
    put(positions, topic, partition, position);
    this.onPending?.(producerId, topic, partition, position);
  }

  /** Makes a transaction's offsets valid, or forgets them. */
  endTransaction(producerId: number, isCommit: boolean): void {
    const positions = this.pending.get(producerId);
    this.pending.delete(producerId);
    if (!positions) return;
    this.onPendingEnd?.(producerId, isCommit);
    if (!isCommit) return;
    for (const [topic, partitions] of positions) {
      for (const [partition, position] of partitions) this.set(topic, partition, position);
    }
  }

  isPending(topic: string, partition: number): boolean {
    for (const positions of this.pending.values()) if (positions.get(topic)?.has(partition)) return true;
    return false;
  }
}

function put(positions: Positions, topic: string, partition: number, position: CommittedOffset): void {
  let partitions = positions.get(topic);
  if (!partitions) positions.set(topic, (partitions = new Map()));
  partitions.set(partition, position);
}
