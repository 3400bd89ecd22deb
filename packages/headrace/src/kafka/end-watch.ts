import type { Cluster } from './cluster.ts';
import { LATEST_OFFSET } from './metadata-requests.ts';
import { lookUpOffsets } from './offset-lookup.ts';
import type { PartitionReader } from './partition-reader.ts';

const INTERVAL_MILLISECONDS = 2_000;

/**
 * Asks for the ends of partitions that are not fetched because they are full or paused. A fetch tells the end of a log
 * beside its records; without one the lag would stand still just where it grows: before a function that hangs.
 */
export class EndWatch {
  readonly #cluster: Cluster;
  readonly #purpose: string;
  /** Those that are not fetched now. */
  readonly #unfetched: () => readonly PartitionReader[];
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(cluster: Cluster, purpose: string, unfetched: () => readonly PartitionReader[]) {
    this.#cluster = cluster;
    this.#purpose = purpose;
    this.#unfetched = unfetched;
  }

  /** There is one that is not fetched. */
  need(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#look(), INTERVAL_MILLISECONDS).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const partitions = this.#unfetched();
    try {
      if (partitions.length > 0) {
        const queries = partitions.map(({ topic, partition }) => ({ topic, partition, timestamp: LATEST_OFFSET }));
        const ends = await lookUpOffsets(this.#cluster, this.#purpose, queries, 0);
        partitions.forEach((partition, index) => {
          partition.highWatermark = Math.max(partition.highWatermark, ends[index]!.offset);
        });
      }
    } catch {
      // Only a figure for people: what is wrong with the cluster is told where records are read, and it is asked again.
    }
    this.#timer = undefined;
    if (partitions.length > 0) this.need();
  }
}
