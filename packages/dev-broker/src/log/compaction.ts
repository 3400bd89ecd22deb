import {
  BATCH_HEADER_BYTES,
  BATCH_OVERHEAD_BYTES,
  BatchView,
  compress,
  openBatch,
  RecordCursor,
} from '@headrace/kafka-records';
import type { Partition } from '../cluster/topic.ts';
import { MAXIMUM_DECOMPRESSED_BYTES } from './prepare-batch.ts';

/**
 * Cleans a compacted partition: of each key the latest value stays; a tombstone stays for `delete.retention.ms` after
 * its time and goes then. Offsets stay, so holes come about. The last segment, which is written, is left alone, as in
 * Apache Kafka; so is everything from the first open transaction on.
 *
 * @param isForced cleans even when little has come since the last time
 * @returns whether anything was removed
 */
export function compact(partition: Partition, now: number, isForced = false): boolean {
  const { log, topic } = partition;
  const last = log.segments.at(-1);
  if (!last) return false;
  const end = Math.min(isForced ? log.endOffset : last.baseOffset, log.lastStableOffset);
  if (end <= partition.cleanedOffset) return false;
  if (!isForced) {
    const dirty = end - partition.cleanedOffset;
    if (dirty / Math.max(1, end - log.startOffset) < topic.config.minCleanableRatio) return false;
  }
  const latest = latestOffsets(partition, end);
  const kept: Buffer[] = [];
  let isChanged = false;
  for (const batch of log.batches()) {
    const whole = batch.bytes.subarray(batch.start, batch.end);
    if (batch.baseOffset >= end || batch.isControl) {
      // Copies, since the segments they lie in are given up.
      kept.push(Buffer.from(whole));
      continue;
    }
    const cleaned = cleanBatch(batch, latest, topic.config.deleteRetentionMs, now, isAborted(partition, batch));
    if (cleaned !== 'same') isChanged = true;
    if (cleaned) kept.push(cleaned === 'same' ? Buffer.from(whole) : cleaned);
  }
  partition.cleanedOffset = end;
  if (isChanged) log.replace(kept, now);
  return isChanged;
}

const isAborted = ({ log }: Partition, batch: BatchView): boolean =>
  batch.isTransactional &&
  log.producers
    .abortedBetween(batch.baseOffset, batch.lastOffset + 1)
    .some(({ producerId }) => producerId === batch.producerId);

function latestOffsets(partition: Partition, end: number): Map<string, number> {
  const latest = new Map<string, number>();
  const cursor = new RecordCursor();
  for (const batch of partition.log.batches()) {
    if (batch.baseOffset >= end) break;
    if (batch.isControl || isAborted(partition, batch)) continue;
    const chunk = openBatch(batch, { checkCrc: false, maximumBytes: MAXIMUM_DECOMPRESSED_BYTES });
    for (cursor.reset(chunk); cursor.next(); ) {
      if (cursor.keyStart < 0) continue;
      latest.set(chunk.bytes.toString('latin1', cursor.keyStart, cursor.keyEnd), cursor.offset);
    }
  }
  return latest;
}

/** @returns the batch with what stays, `same` when all does, undefined when nothing does */
function cleanBatch(
  batch: BatchView,
  latest: ReadonlyMap<string, number>,
  deleteRetentionMs: number,
  now: number,
  isGone: boolean,
): Buffer | 'same' | undefined {
  const chunk = openBatch(batch, { checkCrc: false, maximumBytes: MAXIMUM_DECOMPRESSED_BYTES });
  const cursor = new RecordCursor();
  const records: { start: number; end: number }[] = [];
  let isComplete = true;
  for (cursor.reset(chunk); cursor.next(); ) {
    const key = cursor.keyStart < 0 ? undefined : chunk.bytes.toString('latin1', cursor.keyStart, cursor.keyEnd);
    const isLatest = key !== undefined && latest.get(key) === cursor.offset;
    const isOldTombstone = cursor.valueStart < 0 && now - cursor.timestamp >= deleteRetentionMs;
    if (!isGone && isLatest && !isOldTombstone) records.push({ start: cursor.start, end: cursor.end });
    else isComplete = false;
  }
  if (isComplete) return 'same';
  if (records.length === 0) return undefined;
  return withRecords(batch, chunk.bytes, records);
}

/** The batch with only these records: header fields and deltas stay; length, count and checksum change. */
function withRecords(batch: BatchView, bytes: Buffer, records: readonly { start: number; end: number }[]): Buffer {
  const section = Buffer.concat(records.map(({ start, end }) => bytes.subarray(start, end)));
  const packed = compress(batch.compression ?? 'none', section);
  const result = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + packed.length);
  batch.bytes.copy(result, 0, batch.start, batch.recordsStart);
  packed.copy(result, BATCH_HEADER_BYTES);
  result.writeInt32BE(result.length - BATCH_OVERHEAD_BYTES, 8);
  result.writeInt32BE(records.length, 57);
  new BatchView(result).seal();
  return result;
}
