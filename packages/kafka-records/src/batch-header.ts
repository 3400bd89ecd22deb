import { RecordsError } from './errors.ts';
import type { ExactTimestamps } from './record-chunk.ts';
import { crc32cOf } from './record-memory.ts';

/** Bytes before the records of a batch (KIP-98, message format 2). */
export const BATCH_HEADER_BYTES = 61;
/** Bytes that base offset and length take; the length counts what follows them. */
export const BATCH_OVERHEAD_BYTES = 12;

const LENGTH = 8;
const LEADER_EPOCH = 12;
const MAGIC = 16;
const CRC = 17;
const ATTRIBUTES = 21;
const LAST_OFFSET_DELTA = 23;
const BASE_TIMESTAMP = 27;
const MAX_TIMESTAMP = 35;
const PRODUCER_ID = 43;
const PRODUCER_EPOCH = 51;
const BASE_SEQUENCE = 53;
const COUNT = 57;

const TWO_TO_32 = 0x1_0000_0000;

export type TimestampType = 'CREATE_TIME' | 'LOG_APPEND_TIME';
export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

const compressions: readonly (Compression | undefined)[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/** Reads a signed 64-bit integer as a number; beyond 2^53 it is refused as corrupt. */
export function readInt64(bytes: Buffer, position: number): number {
  const value = readNearestInt64(bytes, position);
  if (!Number.isSafeInteger(value)) throw new RecordsError('CORRUPT', 'a 64-bit integer is beyond 2^53');
  return value;
}

/** Reads a signed 64-bit integer as the nearest number: exact within 2^53, what lies beyond is beyond as a number too. */
export function readNearestInt64(bytes: Buffer, position: number): number {
  return bytes.readInt32BE(position) * TWO_TO_32 + bytes.readUInt32BE(position + 4);
}

export function writeInt64(bytes: Buffer, position: number, value: number): void {
  bytes.writeInt32BE(Math.floor(value / TWO_TO_32), position);
  bytes.writeUInt32BE(((value % TWO_TO_32) + TWO_TO_32) % TWO_TO_32, position + 4);
}

/**
 * A view of one record batch inside larger bytes; nothing is copied, reading a field reads the bytes, and the setters
 * patch them. Move it with `at`.
 */
export class BatchView {
  bytes: Buffer;
  start: number;

  constructor(bytes: Buffer, start = 0) {
    this.bytes = bytes;
    this.start = start;
  }

  at(bytes: Buffer, start: number): this {
    this.bytes = bytes;
    this.start = start;
    return this;
  }

  get baseOffset(): number {
    return readInt64(this.bytes, this.start);
  }
  /** Not covered by the checksum. */
  set baseOffset(value: number) {
    writeInt64(this.bytes, this.start, value);
  }
  /** Whole size in bytes, from the base offset to the last record. */
  get size(): number {
    return this.bytes.readInt32BE(this.start + LENGTH) + BATCH_OVERHEAD_BYTES;
  }
  get end(): number {
    return this.start + this.size;
  }
  get leaderEpoch(): number {
    return this.bytes.readInt32BE(this.start + LEADER_EPOCH);
  }
  /** Not covered by the checksum. */
  set leaderEpoch(value: number) {
    this.bytes.writeInt32BE(value, this.start + LEADER_EPOCH);
  }
  get magic(): number {
    return this.bytes.readInt8(this.start + MAGIC);
  }
  get crc(): number {
    return this.bytes.readUInt32BE(this.start + CRC);
  }
  get attributes(): number {
    return this.bytes.readInt16BE(this.start + ATTRIBUTES);
  }
  /** Covered by the checksum: call `seal` after the last change. */
  set attributes(value: number) {
    this.bytes.writeInt16BE(value, this.start + ATTRIBUTES);
  }
  /** Undefined for a number that stands for no codec. */
  get compression(): Compression | undefined {
    return compressions[this.attributes & 7];
  }
  get timestampType(): TimestampType {
    return (this.attributes & 8) === 0 ? 'CREATE_TIME' : 'LOG_APPEND_TIME';
  }
  get isTransactional(): boolean {
    return (this.attributes & 16) !== 0;
  }
  /** Holds markers (commit, abort) instead of data. */
  get isControl(): boolean {
    return (this.attributes & 32) !== 0;
  }
  get lastOffsetDelta(): number {
    return this.bytes.readInt32BE(this.start + LAST_OFFSET_DELTA);
  }
  get lastOffset(): number {
    return this.baseOffset + this.lastOffsetDelta;
  }
  /** Milliseconds; what the records' deltas count from. Beyond 2^53 (producers that count nanoseconds) the nearest number. */
  get baseTimestamp(): number {
    return readNearestInt64(this.bytes, this.start + BASE_TIMESTAMP);
  }
  get maxTimestamp(): number {
    return readNearestInt64(this.bytes, this.start + MAX_TIMESTAMP);
  }
  /** Both to the last digit, where a number does not hold one of them; else undefined. */
  get exactTimestamps(): ExactTimestamps | undefined {
    if (Number.isSafeInteger(this.baseTimestamp) && Number.isSafeInteger(this.maxTimestamp)) return undefined;
    return {
      base: this.bytes.readBigInt64BE(this.start + BASE_TIMESTAMP),
      maximum: this.bytes.readBigInt64BE(this.start + MAX_TIMESTAMP),
    };
  }
  /** Covered by the checksum: call `seal` after the last change. */
  set maxTimestamp(value: number) {
    writeInt64(this.bytes, this.start + MAX_TIMESTAMP, value);
  }
  /** -1 where the producer is not idempotent. */
  get producerId(): number {
    return readInt64(this.bytes, this.start + PRODUCER_ID);
  }
  get producerEpoch(): number {
    return this.bytes.readInt16BE(this.start + PRODUCER_EPOCH);
  }
  get baseSequence(): number {
    return this.bytes.readInt32BE(this.start + BASE_SEQUENCE);
  }
  /** Records in the batch; after compaction fewer than `lastOffsetDelta + 1`, even none. */
  get count(): number {
    return this.bytes.readInt32BE(this.start + COUNT);
  }
  /** Where the records (or their compressed block) begin. */
  get recordsStart(): number {
    return this.start + BATCH_HEADER_BYTES;
  }

  /** Checksum of what the bytes say now: all from the attributes on. */
  computeCrc(): number {
    return crc32cOf(this.bytes, this.start + ATTRIBUTES, this.end);
  }

  get isCrcValid(): boolean {
    return this.computeCrc() === this.crc;
  }

  /** Writes the checksum anew. */
  seal(): void {
    this.bytes.writeUInt32BE(this.computeCrc(), this.start + CRC);
  }

  /**
   * Checks that what lies here until `limit` is a whole batch of format 2 with sane lengths and counts. The checksum is
   * left to `isCrcValid`, since a reader may skip the batch without looking into it.
   *
   * @throws RecordsError CORRUPT or UNSUPPORTED
   */
  validate(limit: number): void {
    const available = limit - this.start;
    if (available < BATCH_OVERHEAD_BYTES + 5) throw new RecordsError('CORRUPT', `a batch of ${available} bytes`);
    const { magic, size } = this;
    if (magic !== 2) {
      const supported = magic === 0 || magic === 1;
      throw new RecordsError(supported ? 'UNSUPPORTED' : 'CORRUPT', `message format ${magic}; only format 2 is read`);
    }
    if (size < BATCH_HEADER_BYTES || size > available) {
      throw new RecordsError('CORRUPT', `a batch says that it is ${size} bytes long, of ${available}`);
    }
    const { baseOffset, lastOffsetDelta, count } = this;
    if (baseOffset < 0) throw new RecordsError('CORRUPT', `base offset ${baseOffset}`);
    if (lastOffsetDelta < 0) throw new RecordsError('CORRUPT', `last offset delta ${lastOffsetDelta}`);
    if (count < 0 || count > lastOffsetDelta + 1) {
      throw new RecordsError('CORRUPT', `${count} records in ${lastOffsetDelta + 1} offsets`);
    }
    if (this.compression === undefined) {
      throw new RecordsError('UNSUPPORTED', `compression codec ${this.attributes & 7}`);
    }
  }
}

/**
 * Bytes of the batch that begins at `start`, when it lies there completely; else 0. A fetch may cut its last batch off.
 */
export function completeBatchSize(bytes: Buffer, start: number, limit: number): number {
  if (limit - start < BATCH_OVERHEAD_BYTES) return 0;
  const length = bytes.readInt32BE(start + LENGTH);
  // A length that can never be right must reach `validate`, not look like a cut.
  if (length < BATCH_HEADER_BYTES - BATCH_OVERHEAD_BYTES) return limit - start;
  return length + BATCH_OVERHEAD_BYTES <= limit - start ? length + BATCH_OVERHEAD_BYTES : 0;
}
