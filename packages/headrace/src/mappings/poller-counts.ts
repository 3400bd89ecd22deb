/** What a poller counts, and what it publishes for whoever listens; nothing is computed for nobody. */
import type { InvokeOutcome } from '../functions/outcome.ts';
import type { TopicPartition } from '../kafka/contract.ts';
import {
  batchChannel,
  filterChannel,
  lagChannel,
  lateResultChannel,
  mappingInvocationChannel,
  rebalanceChannel,
} from '../telemetry/channels.ts';
import type { Lane } from './lane.ts';
import type { MappingOptions } from './options.ts';
import type { Settlement } from './settlement.ts';
import { type Slice, singleRecords } from './slice.ts';
import { partitionSnapshot } from './snapshot.ts';
import type { WorkItem } from './work-item.ts';

export class PollerCounts {
  received = 0;
  filtered = 0;
  invocations = 0;
  succeeded = 0;
  failedInvocations = 0;
  throttles = 0;
  dropped = 0;
  toDestination = 0;
  committed = 0;
  rebalances = 0;
  receivedBytes = 0;
  invokedRecords = 0;
  failedRecords = 0;
  destinationErrors = 0;
}

/** How many of `count` records do not come out of an invocation as done. */
export function failedRecords(fates: Settlement['fates'], count: number): number {
  if ('kind' in fates) return fates.kind === 'done' ? 0 : count;
  return fates.reduce((sum, { kind }) => sum + (kind === 'done' ? 0 : 1), 0);
}

export function publishBatch(options: MappingOptions, item: WorkItem, payload: Buffer): void {
  if (!batchChannel.hasSubscribers) return;
  batchChannel.publish({
    uuid: options.uuid,
    records: item.count,
    bytes: payload.length,
    partitions: partitionsOf(item),
    attempt: item.invocations,
  });
}

export function publishInvocation(
  options: MappingOptions,
  item: WorkItem,
  outcome: InvokeOutcome,
  durationMilliseconds: number,
): void {
  if (!mappingInvocationChannel.hasSubscribers) return;
  mappingInvocationChannel.publish({
    uuid: options.uuid,
    functionArn: options.functionArn,
    outcome,
    records: item.count,
    partitions: partitionsOf(item),
    durationMilliseconds,
  });
}

export function publishFiltered(options: MappingOptions, taken: { received: number; filtered: number }): void {
  if (!filterChannel.hasSubscribers) return;
  filterChannel.publish({
    uuid: options.uuid,
    matched: taken.received - taken.filtered,
    filtered: taken.filtered,
  });
}

export function publishRebalance(
  options: MappingOptions,
  counts: PollerCounts,
  change: {
    readonly assigned?: readonly TopicPartition[];
    readonly revoked?: readonly TopicPartition[];
    readonly lost?: readonly TopicPartition[];
  },
): void {
  if (!rebalanceChannel.hasSubscribers) return;
  const names = (partitions: readonly TopicPartition[] = []): TopicPartition[] =>
    partitions.map(({ topic, partition }) => ({ topic, partition }));
  rebalanceChannel.publish({
    uuid: options.uuid,
    assigned: names(change.assigned),
    revoked: names(change.revoked),
    lost: names(change.lost),
    rebalances: counts.rebalances,
  });
}

export function publishLateResult(options: MappingOptions, { lane, from, to }: Slice): void {
  if (!lateResultChannel.hasSubscribers) return;
  const { topic, partition } = lane.assigned;
  lateResultChannel.publish({ uuid: options.uuid, topic, partition, from, to });
}

/** About once a second while the mapping works. */
export function publishLag(options: MappingOptions, lanes: Iterable<Lane>, now: number): void {
  if (!lagChannel.hasSubscribers) return;
  const partitions = [...lanes].map((lane) => {
    const { topic, partition, lag, lagSeconds } = partitionSnapshot(lane, now);
    return { topic, partition, lag, lagSeconds };
  });
  lagChannel.publish({ uuid: options.uuid, partitions });
}

/** First and last offset of each partition in a batch. */
function partitionsOf(item: WorkItem): { topic: string; partition: number; firstOffset: number; lastOffset: number }[] {
  const partitions: { topic: string; partition: number; firstOffset: number; lastOffset: number }[] = [];
  let lane: unknown;
  for (const single of singleRecords(item.slices)) {
    const { topic, partition } = single.slice.lane.assigned;
    if (single.slice.lane !== lane)
      partitions.push({ topic, partition, firstOffset: single.offset, lastOffset: single.offset });
    else partitions.at(-1)!.lastOffset = single.offset;
    lane = single.slice.lane;
  }
  return partitions;
}
