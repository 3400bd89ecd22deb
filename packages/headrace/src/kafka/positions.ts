import type { Cluster } from './cluster.ts';
import type { StartingPosition, TopicPartition } from './contract.ts';
import { EARLIEST_OFFSET, LATEST_OFFSET } from './metadata-requests.ts';
import { lookUpOffsets } from './offset-lookup.ts';

let partitionEpoch = 0;

/** Counts assignments in this process, over all consumers. */
export const nextPartitionEpoch = (): number => ++partitionEpoch;

/** The time that ListOffsets takes for a position. */
function timestampOf(position: StartingPosition): number {
  switch (position.kind) {
    case 'TRIM_HORIZON':
      return EARLIEST_OFFSET;
    case 'LATEST':
      return LATEST_OFFSET;
    case 'AT_TIMESTAMP':
      return position.timestamp;
  }
}

/**
 * Offsets of positions, in order. A time after the last record is the end of the log.
 *
 * @throws HeadraceError
 */
export async function resolvePositions(
  cluster: Cluster,
  purpose: string,
  wanted: readonly (TopicPartition & {
    readonly start: StartingPosition | { readonly kind: 'OFFSET'; readonly offset: number };
  })[],
  isolation: 0 | 1,
): Promise<number[]> {
  const offsets = wanted.map(({ start }) => (start.kind === 'OFFSET' ? start.offset : -1));
  const lookUp = async (indexes: readonly number[], time: (start: StartingPosition) => number): Promise<void> => {
    if (indexes.length === 0) return;
    const queries = indexes.map((index) => {
      const { topic, partition, start } = wanted[index]!;
      return { topic, partition, timestamp: time(start as StartingPosition) };
    });
    const answers = await lookUpOffsets(cluster, purpose, queries, isolation);
    indexes.forEach((index, position) => {
      offsets[index] = answers[position]!.offset;
    });
  };
  const missing = (): number[] => offsets.flatMap((offset, index) => (offset < 0 ? [index] : []));
  await lookUp(missing(), timestampOf);
  await lookUp(missing(), () => LATEST_OFFSET);
  return offsets;
}
