import { type BatchView, openBatch, RecordCursor } from '@headrace/kafka-records';
import type { Authorizer } from '../authorize.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Partition } from '../cluster/topic.ts';
import type { PartitionFaults } from '../faults/partition-faults.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import { MAXIMUM_DECOMPRESSED_BYTES } from '../log/prepare-batch.ts';
import { RequestError } from '../protocol/errors.ts';
import { deleteRecords } from '../protocol/messages/delete-records.ts';
import { describeLogDirs } from '../protocol/messages/describe-log-dirs.ts';
import { listOffsets } from '../protocol/messages/list-offsets.ts';
import { offsetForLeaderEpoch } from '../protocol/messages/offset-for-leader-epoch.ts';
import type { Registry, RequestContext } from './registry.ts';
import { attempt } from './topics.ts';

export interface OffsetServices {
  cluster: Cluster;
  authorizer: Authorizer;
  faults: PartitionFaults;
}

/** Timestamps of ListOffsets with a meaning of their own. */
const Special = {
  LATEST: -1,
  EARLIEST: -2,
  MAX_TIMESTAMP: -3,
  EARLIEST_LOCAL: -4,
  LATEST_TIERED: -5,
  EARLIEST_PENDING_UPLOAD: -6,
} as const;
const READ_COMMITTED = 1;

interface FoundOffset {
  offset: number;
  timestamp: number;
  leaderEpoch: number;
}

const nothing: FoundOffset = { offset: -1, timestamp: -1, leaderEpoch: -1 };

/** The partition, when this node leads it and the client's idea of the leader epoch is right. */
function ledPartition(
  { cluster, authorizer, faults }: OffsetServices,
  context: RequestContext,
  topic: string,
  index: number,
  epoch: number,
  operation: 'DESCRIBE' | 'DELETE' = 'DESCRIBE',
): Partition {
  if (!authorizer.allows(context, operation, 'TOPIC', topic)) throw new RequestError('TOPIC_AUTHORIZATION_FAILED');
  const partition = cluster.partition(topic, index);
  if (!partition) throw new RequestError('UNKNOWN_TOPIC_OR_PARTITION');
  faults.checkPartition(context, topic, index);
  if (partition.leader !== context.node.id) throw new RequestError('NOT_LEADER_OR_FOLLOWER');
  if (epoch >= 0 && epoch < partition.leaderEpoch) throw new RequestError('FENCED_LEADER_EPOCH');
  if (epoch >= 0 && epoch > partition.leaderEpoch) throw new RequestError('UNKNOWN_LEADER_EPOCH');
  return partition;
}

export function registerOffsets(registry: Registry, services: OffsetServices): void {
  const { cluster } = services;

  registry.on(listOffsets, (request, context) => ({
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, currentLeaderEpoch, timestamp }) => {
        let found = nothing;
        const { errorCode } = attempt(() => {
          const partition = ledPartition(services, context, name, partitionIndex, currentLeaderEpoch);
          found = findOffset(partition, timestamp, request.isolationLevel === READ_COMMITTED);
        });
        return { partitionIndex, errorCode, ...found };
      }),
    })),
  }));

  registry.on(offsetForLeaderEpoch, (request, context) => ({
    topics: request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition: index, currentLeaderEpoch, leaderEpoch }) => {
        let end = { epoch: -1, endOffset: -1 };
        const { errorCode } = attempt(() => {
          const partition = ledPartition(services, context, topic, index, currentLeaderEpoch);
          end = partition.log.epochEnd(leaderEpoch, partition.leaderEpoch) ?? end;
        });
        return { errorCode, partition: index, leaderEpoch: end.epoch, endOffset: end.endOffset };
      }),
    })),
  }));

  registry.on(deleteRecords, (request, context) => ({
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, offset }) => {
        let lowWatermark = -1;
        const { errorCode } = attempt(() => {
          const { log, topic } = ledPartition(services, context, name, partitionIndex, -1, 'DELETE');
          if (!topic.config.isDeleted) {
            throw new RequestError('POLICY_VIOLATION', 'Records can only be deleted where cleanup.policy has delete');
          }
          const target = offset === -1 ? log.endOffset : offset;
          if (target < 0 || target > log.endOffset) throw new RequestError('OFFSET_OUT_OF_RANGE');
          log.moveStart(target);
          lowWatermark = log.startOffset;
        });
        return { partitionIndex, lowWatermark, errorCode };
      }),
    })),
  }));

  registry.on(describeLogDirs, (request) => {
    const wanted = request.topics && new Map(request.topics.map(({ topic, partitions }) => [topic, partitions]));
    const topics = [...cluster.topics.values()]
      .filter(({ name }) => !wanted || wanted.has(name))
      .map(({ name, partitions }) => ({
        name,
        partitions: partitions
          .filter(({ index }) => !wanted || wanted.get(name)!.includes(index))
          .map(({ index, log }) => ({
            partitionIndex: index,
            partitionSize: log.size,
            offsetLag: 0,
            isFutureKey: false,
          })),
      }));
    const logDir = '/headrace-dev-broker';
    return { errorCode: 0, results: [{ errorCode: 0, logDir, topics, totalBytes: -1, usableBytes: -1 }] };
  });
}

export function findOffset({ log, leaderEpoch }: Partition, timestamp: number, isCommitted: boolean): FoundOffset {
  const end = isCommitted ? log.lastStableOffset : log.endOffset;
  switch (timestamp) {
    case Special.LATEST:
      return { offset: end, timestamp: -1, leaderEpoch };
    case Special.EARLIEST:
    case Special.EARLIEST_LOCAL:
      return { offset: log.startOffset, timestamp: -1, leaderEpoch: log.epochs[0]?.epoch ?? leaderEpoch };
    case Special.MAX_TIMESTAMP:
      return findMaxTimestamp(log);
    case Special.LATEST_TIERED:
    case Special.EARLIEST_PENDING_UPLOAD:
      return nothing;
    default:
      if (timestamp < 0) throw new RequestError('UNSUPPORTED_VERSION', `Unknown special timestamp ${timestamp}`);
      return findTimestamp(log, timestamp, end);
  }
}

function findTimestamp(log: PartitionLog, timestamp: number, end: number): FoundOffset {
  for (const segment of log.segments) {
    if (segment.maxTimestamp < timestamp) continue;
    for (let index = 0; index < segment.batchCount; index++) {
      if (segment.maxTimestamps[index]! < timestamp || segment.lastOffsets[index]! < log.startOffset) continue;
      if (segment.baseOffsets[index]! >= end) return nothing;
      const found = firstRecord(log, segment.baseOffsets[index]!, (time) => time >= timestamp, end);
      if (found) return found;
    }
  }
  return nothing;
}

function findMaxTimestamp(log: PartitionLog): FoundOffset {
  let best = -1;
  let bestOffset = -1;
  for (const segment of log.segments) {
    for (let index = 0; index < segment.batchCount; index++) {
      if (segment.maxTimestamps[index]! <= best || segment.lastOffsets[index]! < log.startOffset) continue;
      best = segment.maxTimestamps[index]!;
      bestOffset = segment.baseOffsets[index]!;
    }
  }
  if (bestOffset < 0) return nothing;
  return firstRecord(log, bestOffset, (time) => time === best, log.endOffset) ?? nothing;
}

/** The first record of the batch at `baseOffset` whose timestamp fits. The batch is opened, within bounds. */
function firstRecord(
  log: PartitionLog,
  baseOffset: number,
  fits: (timestamp: number) => boolean,
  end: number,
): FoundOffset | undefined {
  const batch = log.batches(baseOffset).next().value as BatchView | undefined;
  if (!batch) return undefined;
  const { leaderEpoch } = batch;
  const firstOffset = Math.max(log.startOffset, batch.baseOffset);
  const chunk = openBatch(batch, { firstOffset, checkCrc: false, maximumBytes: MAXIMUM_DECOMPRESSED_BYTES });
  const cursor = new RecordCursor();
  for (cursor.reset(chunk); cursor.next(); ) {
    if (cursor.offset >= end) return undefined;
    if (fits(cursor.timestamp)) return { offset: cursor.offset, timestamp: cursor.timestamp, leaderEpoch };
  }
  return undefined;
}
