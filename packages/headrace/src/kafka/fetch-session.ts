import type { TopicPartition } from './contract.ts';
import type { FetchPartition } from './fetch-request.ts';

/** What a request says of its session; without one `id` is 0 and `epoch` -1. */
export interface SessionPart {
  readonly id: number;
  readonly epoch: number;
  /** The partitions that the request names. */
  readonly partitions: readonly FetchPartition[];
  /** Partitions that leave the session. */
  readonly forgotten: readonly TopicPartition[];
}

export const withoutSession = (partitions: readonly FetchPartition[]): SessionPart => ({
  id: 0,
  epoch: -1,
  partitions,
  forgotten: [],
});

const LAST_EPOCH = 0x7fff_ffff;

/**
 * A fetch session with one broker (KIP-227): the broker remembers what was asked for, so that a request names only the
 * partitions whose place has changed, and an answer only those with news. One request at a time: `next`, then
 * `accepted`, `refused` or `lost`.
 */
export class FetchSession {
  /** 0: none. */
  #id = 0;
  /** 0: the next request is a full one, which makes a new session and ends the one of `#id`. */
  #epoch = 0;
  #known = new Map<string, FetchPartition>();
  #asked: ReadonlyMap<string, FetchPartition> = this.#known;

  /** What the next request says, for it to ask for exactly these partitions. */
  next(partitions: readonly FetchPartition[]): SessionPart {
    const asked = new Map(partitions.map((partition) => [nameOf(partition), partition]));
    this.#asked = asked;
    if (this.#epoch === 0) return { id: this.#id, epoch: 0, partitions, forgotten: [] };
    const changed: FetchPartition[] = [];
    for (const [name, partition] of asked) {
      const known = this.#known.get(name);
      if (known === undefined || !isSame(known, partition)) changed.push(partition);
    }
    const forgotten: TopicPartition[] = [];
    for (const [name, { topic, partition }] of this.#known) if (!asked.has(name)) forgotten.push({ topic, partition });
    return { id: this.#id, epoch: this.#epoch, partitions: changed, forgotten };
  }

  /** The broker has answered. `id` is what the answer names; 0: it has no room for a session. */
  accepted(id: number): void {
    if (this.#epoch === 0 && id === 0) {
      this.#id = 0;
      return;
    }
    this.#id = this.#epoch === 0 ? id : this.#id;
    this.#epoch = this.#epoch === LAST_EPOCH ? 1 : this.#epoch + 1;
    this.#known = new Map(this.#asked);
  }

  /** The broker does not know the session any more, or knows it otherwise: the next request is a full one. */
  refused(isKnown: boolean): void {
    if (!isKnown) this.#id = 0;
    this.#epoch = 0;
    this.#known.clear();
  }

  /** No answer came: whether the broker saw the request is unknown. */
  lost(): void {
    this.refused(true);
  }
}

const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

const isSame = (one: FetchPartition, other: FetchPartition): boolean =>
  one.offset === other.offset && one.leaderEpoch === other.leaderEpoch && one.maximumBytes === other.maximumBytes;
