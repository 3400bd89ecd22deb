import { BATCH_HEADER_BYTES, BatchView, compress, openBatch, RecordCursor } from '@headrace/kafka-records';
import type { CompiledTopicConfig } from '../cluster/topic-configs.ts';
import { RequestError } from '../protocol/errors.ts';

/** Decompressed bytes that one batch may have where the broker must look into it. */
export const MAXIMUM_DECOMPRESSED_BYTES = 64 << 20;

const codecs = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;

/**
 * Applies a topic's rules to a batch before it is appended: timestamps, the codec of `compression.type`, and keys where
 * the topic is compacted. The batch is decompressed only for the last two.
 *
 * @returns the batch itself, or a new one
 * @throws RequestError INVALID_TIMESTAMP, INVALID_RECORD
 */
export function prepareBatch(batch: Buffer, view: BatchView, config: CompiledTopicConfig, now: number): Buffer {
  if (config.isCompacted) requireKeys(view);
  let prepared = batch;
  const recompresses = config.compression !== 'producer' && config.compression !== view.compression;
  if (recompresses) {
    const chunk = openBatch(view, { maximumBytes: MAXIMUM_DECOMPRESSED_BYTES, checkCrc: false });
    const records = compress(config.compression as keyof typeof codecs, chunk.bytes.subarray(chunk.start, chunk.end));
    prepared = Buffer.concat([batch.subarray(0, BATCH_HEADER_BYTES), records]);
    prepared.writeInt32BE(prepared.length - 12, 8);
    view = new BatchView(prepared);
    view.attributes = (view.attributes & ~7) | codecs[config.compression as keyof typeof codecs];
  }
  if (config.usesLogAppendTime) {
    view.attributes |= 8;
    view.maxTimestamp = now;
  } else {
    const hadType = (view.attributes & 8) !== 0;
    if (hadType) throw new RequestError('INVALID_TIMESTAMP', 'Producers may not set the log append time');
    checkTimestamp(view.maxTimestamp, config, now);
  }
  if (recompresses || config.usesLogAppendTime) view.seal();
  return prepared;
}

function checkTimestamp(timestamp: number, config: CompiledTopicConfig, now: number): void {
  if (timestamp < 0) return;
  if (now - timestamp > config.timestampBeforeMaxMs || timestamp - now > config.timestampAfterMaxMs) {
    const from = Math.max(now - config.timestampBeforeMaxMs, 0);
    const range = `[${from}, ${now + config.timestampAfterMaxMs}]`;
    throw new RequestError(
      'INVALID_TIMESTAMP',
      `Timestamp ${timestamp} of message is out of range: should be within ${range}`,
    );
  }
}

function requireKeys(view: BatchView): void {
  const chunk = openBatch(view, { maximumBytes: MAXIMUM_DECOMPRESSED_BYTES, checkCrc: false });
  const cursor = new RecordCursor();
  for (cursor.reset(chunk); cursor.next(); ) {
    if (cursor.keyStart < 0) {
      throw new RequestError('INVALID_RECORD', 'Compacted topic cannot accept message without key');
    }
  }
}
