/** A poller as people and programs see it: made when somebody asks, never kept. */
import type { BlockingRecord, PartitionSnapshot } from './definition.ts';
import type { Lane } from './lane.ts';
import { firstRecord, type Slice, singleRecords } from './slice.ts';
import type { WorkItem } from './work-item.ts';

export function partitionSnapshot(lane: Lane, now: number): PartitionSnapshot {
  const { assigned, tracker } = lane;
  const lag = Math.max(0, assigned.highWatermark - tracker.lowWaterMark);
  const oldest = oldestTimestamp(lane);
  let inFlight = 0;
  for (const item of lane.work) if (item.busy) for (const slice of item.slices) inFlight += sliceCount(slice, lane);
  const blockedBy = blockingRecord(lane);
  return {
    topic: assigned.topic,
    partition: assigned.partition,
    settledOffset: tracker.lowWaterMark,
    committedOffset: tracker.committed,
    position: lane.position,
    highWatermark: assigned.highWatermark,
    lag,
    lagSeconds: lag === 0 || oldest < 0 ? 0 : Math.max(0, now - oldest) / 1000,
    inFlight,
    bufferedBytes: assigned.bufferedBytes,
    ...(blockedBy === undefined ? {} : { blockedBy }),
  };
}

/**
 * The record that keeps the partition from going on: the first of the batch that failed and waits, or the one at
 * `wanted` where that is in the batch.
 */
export function blockingRecord(lane: Lane, wanted?: number): BlockingRecord | undefined {
  const item = lane.work[0];
  if (item === undefined || item.failure === undefined) return undefined;
  const slice =
    wanted === undefined
      ? firstSlice(item, lane)
      : singleRecords(item.slices).find((each) => each.slice.lane === lane && each.offset === wanted)?.slice;
  if (slice === undefined) return undefined;
  const { offset, key } = firstRecord(slice);
  return {
    topic: lane.assigned.topic,
    partition: lane.assigned.partition,
    offset,
    key: key === null ? null : key.toString('base64'),
    firstFailure: new Date(item.firstFailureAt).toISOString(),
    attempts: item.invocations,
    error: {
      type: item.failure.type,
      message: item.failure.message.slice(0, 2048),
      ...(item.logTail === undefined ? {} : { logTail: item.logTail }),
    },
    ...(item.busy ? {} : { nextAttempt: new Date(item.notBefore).toISOString() }),
  };
}

function firstSlice(item: WorkItem, lane: Lane): Slice | undefined {
  return item.slices.find((slice) => slice.lane === lane);
}

function sliceCount(slice: Slice, lane: Lane): number {
  return slice.lane === lane ? slice.count : 0;
}

/** Timestamp (ms) of the oldest record that is not settled; -1 when none is known here. */
function oldestTimestamp(lane: Lane): number {
  const item = lane.work[0];
  const slice = item === undefined ? undefined : firstSlice(item, lane);
  return slice === undefined ? lane.oldestTimestamp : firstRecord(slice).timestamp;
}
