/** A batch that the mapping gives up on, as destinations are told of it (spec ESM 10.1). */
import { RecordCursor } from '@headrace/kafka-records';
import type { InvokeOutcome } from '../functions/outcome.ts';
import type { FailedBatch, FailedPartition } from './destinations.ts';
import { EventWriter, estimatePayload } from './event-writer.ts';
import type { MappingOptions } from './options.ts';
import type { FailureCondition } from './settlement.ts';
import { chunkOf } from './slice.ts';
import type { WorkItem } from './work-item.ts';

const writer = new EventWriter();
const cursor = new RecordCursor();

/** `item` has a condition and `options` a destination. `newRequestId` serves records that were never invoked with. */
export function failedBatch(
  item: WorkItem,
  options: MappingOptions,
  destination: string,
  condition: FailureCondition,
  now: number,
  newRequestId: () => string,
): FailedBatch {
  const outcome = item.lastOutcome;
  const responseContext = responseContextOf(outcome, condition);
  return {
    mapping: options.definition,
    destination,
    condition,
    requestId: outcome !== undefined && 'requestId' in outcome ? outcome.requestId : newRequestId(),
    approximateInvokeCount: Math.max(1, item.reached),
    ...(responseContext === undefined ? {} : { responseContext }),
    timestamp: now,
    bootstrapServers: options.bootstrapServers,
    batchSize: item.count,
    payload: writeEvent(item, options),
    partitions: partitionsOf(item),
  };
}

function responseContextOf(
  outcome: InvokeOutcome | undefined,
  condition: FailureCondition,
): FailedBatch['responseContext'] {
  if (condition === 'RecordAgeExceeded') return undefined;
  if (condition === 'MaximumPayloadSizeExceeded' || outcome === undefined || !('executedVersion' in outcome))
    return null;
  const functionError = outcome.kind === 'function-error' ? outcome.functionError : null;
  return { statusCode: 200, executedVersion: outcome.executedVersion, functionError };
}

/** Without a limit: what is too large for the function goes to the destination whole. */
function writeEvent(item: WorkItem, options: MappingOptions): Buffer {
  let bytes = 0;
  for (const slice of item.slices) bytes += slice.end - slice.start;
  writer.begin(options.eventHead, Number.MAX_SAFE_INTEGER, estimatePayload(bytes, item.count));
  for (const slice of item.slices) writer.append(slice, slice.count);
  return writer.finish();
}

function partitionsOf(item: WorkItem): FailedPartition[] {
  const partitions = new Map<
    string,
    { topic: string; partition: number; records: FailedPartition['records'][number][] }
  >();
  for (const slice of item.slices) {
    const { lane } = slice;
    const { topic, partition } = lane.assigned;
    let entry = partitions.get(lane.name);
    if (entry === undefined) partitions.set(lane.name, (entry = { topic, partition, records: [] }));
    for (cursor.reset(chunkOf(slice)); cursor.next(); ) {
      const { offset, timestamp, keyStart, keyEnd, bytes } = cursor;
      const key = keyStart < 0 ? null : Buffer.from(bytes.subarray(keyStart, keyEnd));
      entry.records.push({ offset, timestamp, key });
    }
  }
  return [...partitions].map(([name, partition]) => ({ name, ...partition }));
}
