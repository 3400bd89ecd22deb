/** Chunks, lanes and slices for tests of what stands on them. */
import { BatchView, openBatch, type RecordChunk, type RecordInput, writeBatch } from '@headrace/kafka-records';
import type { AssignedPartition } from '../../src/kafka/contract.ts';
import { Lane } from '../../src/mappings/lane.ts';
import { HeldChunk, type Slice } from '../../src/mappings/slice.ts';

export interface ChunkSource {
  readonly records: readonly RecordInput[];
  readonly baseOffset?: number;
  readonly timestampType?: 'CREATE_TIME' | 'LOG_APPEND_TIME';
  readonly baseTimestamp?: number;
  readonly maxTimestamp?: number;
}

export function chunkOfRecords(source: ChunkSource): RecordChunk {
  return openBatch(new BatchView(writeBatch(source)), {});
}

export function laneOf(topic: string, partition: number, startOffset = 0): Lane {
  const assigned: AssignedPartition = {
    topic,
    partition,
    epoch: 1,
    startOffset,
    committedMetadata: '',
    highWatermark: 0,
    logStartOffset: 0,
    oldestBufferedTimestamp: -1,
    bufferedBytes: 0,
    take: () => undefined,
    pause: () => {},
    resume: () => {},
  };
  return new Lane(assigned);
}

export function sliceOf(lane: Lane, source: ChunkSource): Slice {
  const chunk = chunkOfRecords(source);
  const { start, end, count, baseOffset, nextOffset } = chunk;
  return { lane, held: new HeldChunk(chunk), start, end, count, from: baseOffset, to: nextOffset };
}
