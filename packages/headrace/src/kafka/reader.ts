import { toHeadraceError } from '../errors.ts';
import { Backoff } from './backoff.ts';
import type { Cluster } from './cluster.ts';
import type {
  AssignedPartition,
  ConsumerListener,
  IsolationLevel,
  StartingPosition,
  TopicPartition,
} from './contract.ts';
import { Fetcher } from './fetcher.ts';
import { EARLIEST_OFFSET, LATEST_OFFSET } from './metadata-requests.ts';
import { lookUpOffsets } from './offset-lookup.ts';
import { PartitionReader } from './partition-reader.ts';
import { nextPartitionEpoch, resolvePositions } from './positions.ts';
import { TroubleBoard } from './trouble.ts';

/** Where a reader begins in one partition. */
export type ReaderPosition = StartingPosition | { readonly kind: 'OFFSET'; readonly offset: number };

export interface ReaderOptions {
  readonly topics: readonly string[];
  /** Only these partitions; default: all of the topics as they are at the start. */
  readonly partitions?: readonly TopicPartition[];
  readonly start: ReaderPosition | ((place: TopicPartition) => ReaderPosition);
  /** Default 'READ_UNCOMMITTED'. */
  readonly isolationLevel?: IsolationLevel;
  /** Prefetch limit of one partition in bytes. Default 1 MiB. */
  readonly maximumPartitionBytes?: number;
  /** Prefetch limit of the reader in bytes. Default 32 MiB. */
  readonly maximumBufferedBytes?: number;
  readonly rackId?: string;
}

/** As `ConsumerListener`; nothing is ever revoked. */
export type ReaderListener = Pick<ConsumerListener, 'onAssigned' | 'onRecords' | 'onStatus' | 'onSkipped'>;

/** Reads partitions without a group: for dry runs, replays and views. It never commits, and disturbs nobody. */
export interface PartitionsReader {
  start(): void;
  readonly partitions: readonly AssignedPartition[];
  close(): Promise<void>;
}

let readers = 0;

export class KafkaReader implements PartitionsReader {
  readonly #cluster: Cluster;
  readonly #options: ReaderOptions;
  readonly #listener: ReaderListener;
  readonly #purpose = `reader-${++readers}`;
  readonly #fetcher: Fetcher;
  readonly #troubles: TroubleBoard;
  readonly #closed = new AbortController();
  #partitions: PartitionReader[] = [];
  #isStarted = false;

  constructor(cluster: Cluster, options: ReaderOptions, listener: ReaderListener) {
    this.#cluster = cluster;
    this.#options = options;
    this.#listener = listener;
    this.#troubles = new TroubleBoard((error) => {
      if (!this.#closed.signal.aborted) listener.onStatus(error);
    });
    this.#fetcher = new Fetcher(
      cluster,
      {
        purpose: this.#purpose,
        topics: options.topics,
        isolation: this.#isolation,
        rackId: options.rackId ?? '',
        maximumPartitionBytes: options.maximumPartitionBytes ?? 1 << 20,
        maximumBufferedBytes: options.maximumBufferedBytes ?? 32 << 20,
      },
      {
        onRecords: () => listener.onRecords(),
        onTrouble: (source, error) => this.#troubles.set(source, error),
        onOutOfRange: (partition) => void this.#outOfRange(partition),
        onMadeAnew: (partition) => void this.#outOfRange(partition, true),
        onTruncated: (partition, endOffset) =>
          this.#move(partition, endOffset, 'truncated: a new leader lacks records'),
      },
    );
  }

  get partitions(): readonly AssignedPartition[] {
    return this.#partitions;
  }

  get #isolation(): 0 | 1 {
    return this.#options.isolationLevel === 'READ_COMMITTED' ? 1 : 0;
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    void this.#begin();
  }

  close(): Promise<void> {
    this.#closed.abort();
    for (const partition of this.#partitions) partition.kill();
    this.#fetcher.close();
    this.#cluster.closeConnections(this.#purpose);
    return Promise.resolve();
  }

  async #begin(): Promise<void> {
    const backoff = new Backoff();
    while (!this.#closed.signal.aborted) {
      try {
        const places = await this.#places();
        const { start } = this.#options;
        const wanted = places.map((place) => ({ ...place, start: typeof start === 'function' ? start(place) : start }));
        const offsets = await resolvePositions(this.#cluster, this.#purpose, wanted, this.#isolation);
        if (this.#closed.signal.aborted) return;
        this.#troubles.set('start', undefined);
        this.#partitions = places.map(
          (place, index) =>
            new PartitionReader(
              { ...place, epoch: nextPartitionEpoch() },
              { offset: offsets[index]!, leaderEpoch: -1, metadata: '' },
              this.#fetcher,
            ),
        );
        this.#listener.onAssigned(this.#partitions);
        this.#fetcher.add(this.#partitions);
        return;
      } catch (error) {
        if (!this.#closed.signal.aborted) this.#troubles.set('start', toHeadraceError(error, 'KAFKA_PROTOCOL'));
        await backoff.wait(this.#closed.signal);
      }
    }
  }

  async #places(): Promise<TopicPartition[]> {
    if (this.#options.partitions !== undefined) return this.#options.partitions.map((place) => ({ ...place }));
    const places: TopicPartition[] = [];
    for (const topic of this.#options.topics) {
      const count = await this.#cluster.partitionCount(topic);
      for (let partition = 0; partition < count; partition++) places.push({ topic, partition });
    }
    return places;
  }

  /** Outside of the log: goes on at its nearer end. Another log of the same name is read from its beginning. */
  async #outOfRange(reader: PartitionReader, isMadeAnew = false): Promise<void> {
    const { topic, partition } = reader;
    const backoff = new Backoff();
    while (!reader.isDead) {
      try {
        const at = async (timestamp: number): Promise<number> => {
          const query = { topic, partition, timestamp };
          const [answer] = await lookUpOffsets(this.#cluster, this.#purpose, [query], this.#isolation);
          return answer!.offset;
        };
        const [earliest, latest] = await Promise.all([at(EARLIEST_OFFSET), at(LATEST_OFFSET)]);
        this.#troubles.set(`${topic}-${partition}`, undefined);
        if (reader.isDead) return;
        if (isMadeAnew) {
          reader.topicId = this.#cluster.topicIdOf(topic);
          this.#move(reader, earliest, 'the topic was made anew');
        } else if (reader.fetchOffset < earliest) this.#move(reader, earliest, 'expired before it was read');
        else if (reader.fetchOffset > latest) this.#move(reader, latest, 'the log ends before the position');
        else this.#move(reader, reader.fetchOffset, '');
        return;
      } catch (error) {
        this.#troubles.set(`${topic}-${partition}`, toHeadraceError(error, 'KAFKA_PROTOCOL'));
        await backoff.wait(this.#closed.signal);
      }
    }
    // Given up, lost or closed meanwhile: nobody is in trouble any more.
    this.#troubles.set(`${topic}-${partition}`, undefined);
  }

  #move(reader: PartitionReader, offset: number, reason: string): void {
    const { topic, partition, fetchOffset } = reader;
    if (offset !== fetchOffset) {
      const [from, to] = [Math.min(offset, fetchOffset), Math.max(offset, fetchOffset)];
      this.#listener.onSkipped({ topic, partition, from, to, reason });
      if (offset > fetchOffset) reader.fetchOffset = offset;
      else reader.seek(offset);
    }
    reader.isSeeking = false;
    reader.isHungry = true;
    this.#fetcher.wake();
  }
}
