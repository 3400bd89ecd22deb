import { BATCH_HEADER_BYTES, BATCH_OVERHEAD_BYTES, BatchView, type Compression, writeInt64 } from './batch-header.ts';
import { compress } from './compression.ts';
import { varintSize, writeVarint } from './varint.ts';

export interface RecordHeader {
  readonly key: string | Uint8Array;
  readonly value: Uint8Array | null;
}

/** A record to be written. Strings are written as UTF-8. */
export interface RecordInput {
  readonly key?: string | Uint8Array | null;
  readonly value?: string | Uint8Array | null;
  /** Milliseconds; default: the batch's `baseTimestamp`. */
  readonly timestamp?: number;
  /** Default: one more than the record before. Larger steps make holes, as compaction does. */
  readonly offsetDelta?: number;
  readonly headers?: readonly RecordHeader[];
}

export interface BatchInput {
  readonly records: readonly RecordInput[];
  /** Default 0. */
  readonly baseOffset?: number;
  /** Default -1 as producers send it. */
  readonly leaderEpoch?: number;
  /** Default: the first record's timestamp, else 0. */
  readonly baseTimestamp?: number;
  /** Default: the largest timestamp of the records. */
  readonly maxTimestamp?: number;
  /** Default: the last record's offset delta; larger where compaction removed the last records. */
  readonly lastOffsetDelta?: number;
  /** Default 'none'. */
  readonly compression?: Compression;
  /** Default 'CREATE_TIME'. */
  readonly timestampType?: 'CREATE_TIME' | 'LOG_APPEND_TIME';
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  /** Defaults -1: not idempotent. */
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
}

const codec: Record<Compression, number> = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 };

const toBytes = (text: string | Uint8Array | null | undefined): Uint8Array | null =>
  typeof text === 'string' ? Buffer.from(text) : (text ?? null);

/** Writes one record batch of format 2, checksum included. */
export function writeBatch(batch: BatchInput): Buffer {
  const { records } = batch;
  const baseTimestamp = batch.baseTimestamp ?? records[0]?.timestamp ?? 0;
  let maxTimestamp = records.length === 0 ? baseTimestamp : Number.NEGATIVE_INFINITY;
  let lastDelta = -1;
  const sections: Buffer[] = [];
  for (const record of records) {
    const timestamp = record.timestamp ?? baseTimestamp;
    if (timestamp > maxTimestamp) maxTimestamp = timestamp;
    lastDelta = record.offsetDelta ?? lastDelta + 1;
    sections.push(writeRecord(record, timestamp - baseTimestamp, lastDelta));
  }
  const compression = batch.compression ?? 'none';
  const section = compress(compression, Buffer.concat(sections));
  const bytes = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + section.length);
  writeInt64(bytes, 0, batch.baseOffset ?? 0);
  bytes.writeInt32BE(bytes.length - BATCH_OVERHEAD_BYTES, 8);
  bytes.writeInt32BE(batch.leaderEpoch ?? -1, 12);
  bytes.writeInt8(2, 16);
  const attributes =
    codec[compression] |
    (batch.timestampType === 'LOG_APPEND_TIME' ? 8 : 0) |
    (batch.isTransactional === true ? 16 : 0) |
    (batch.isControl === true ? 32 : 0);
  bytes.writeInt16BE(attributes, 21);
  bytes.writeInt32BE(batch.lastOffsetDelta ?? Math.max(lastDelta, 0), 23);
  writeInt64(bytes, 27, baseTimestamp);
  writeInt64(bytes, 35, batch.maxTimestamp ?? maxTimestamp);
  writeInt64(bytes, 43, batch.producerId ?? -1);
  bytes.writeInt16BE(batch.producerEpoch ?? -1, 51);
  bytes.writeInt32BE(batch.baseSequence ?? -1, 53);
  bytes.writeInt32BE(records.length, 57);
  section.copy(bytes, BATCH_HEADER_BYTES);
  new BatchView(bytes).seal();
  return bytes;
}

/** Writes the batch of a transaction's marker, as the broker does. */
export function writeControlBatch(batch: {
  readonly baseOffset: number;
  readonly type: 'abort' | 'commit';
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly timestamp: number;
  readonly leaderEpoch?: number;
}): Buffer {
  const key = Buffer.from([0, 0, 0, batch.type === 'abort' ? 0 : 1]);
  // Version and coordinator epoch.
  const value = Buffer.alloc(6);
  return writeBatch({
    baseOffset: batch.baseOffset,
    leaderEpoch: batch.leaderEpoch ?? 0,
    producerId: batch.producerId,
    producerEpoch: batch.producerEpoch,
    isTransactional: true,
    isControl: true,
    records: [{ key, value, timestamp: batch.timestamp }],
  });
}

function writeRecord(record: RecordInput, timestampDelta: number, offsetDelta: number): Buffer {
  const key = toBytes(record.key);
  const value = toBytes(record.value);
  const headers = (record.headers ?? []).map((header) => ({ key: toBytes(header.key)!, value: header.value }));
  const sizeOf = (bytes: Uint8Array | null): number => (bytes === null ? 1 : varintSize(bytes.length) + bytes.length);
  let size = 1 + varintSize(timestampDelta) + varintSize(offsetDelta) + sizeOf(key) + sizeOf(value);
  size += varintSize(headers.length);
  for (const header of headers) size += sizeOf(header.key) + sizeOf(header.value);

  const bytes = Buffer.allocUnsafe(varintSize(size) + size);
  let position = writeVarint(bytes, 0, size);
  bytes[position++] = 0;
  position = writeVarint(bytes, position, timestampDelta);
  position = writeVarint(bytes, position, offsetDelta);
  const put = (part: Uint8Array | null): void => {
    position = writeVarint(bytes, position, part === null ? -1 : part.length);
    if (part === null) return;
    bytes.set(part, position);
    position += part.length;
  };
  put(key);
  put(value);
  position = writeVarint(bytes, position, headers.length);
  for (const header of headers) {
    put(header.key);
    put(header.value);
  }
  return bytes;
}
