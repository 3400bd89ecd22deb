import type { BatchView } from './batch-header.ts';
import { decompressLent } from './compression.ts';
import { RecordsError } from './errors.ts';
import type { RecordChunk } from './record-chunk.ts';

export interface ChunkOptions {
  /** Records below it are passed over by the cursor. Default: the batch's base offset. */
  readonly firstOffset?: number;
  /** Default true: a batch whose checksum differs is refused. */
  readonly checkCrc?: boolean;
  /** Limit of the decompressed size. Default 128 MiB. */
  readonly maximumBytes?: number;
  /** Called once, when the chunk is released; an uncompressed chunk lies in the batch's own bytes. */
  readonly onRelease?: () => void;
}

export const DEFAULT_MAXIMUM_DECOMPRESSED_BYTES = 128 << 20;

class Chunk implements RecordChunk {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly count: number;
  readonly baseOffset: number;
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  readonly timestampType: RecordChunk['timestampType'];
  readonly exactTimestamps: RecordChunk['exactTimestamps'];
  readonly leaderEpoch: number;
  #onRelease: (() => void) | undefined;

  constructor(
    batch: BatchView,
    bytes: Buffer,
    start: number,
    end: number,
    firstOffset: number | undefined,
    onRelease: (() => void) | undefined,
  ) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.count = batch.count;
    this.baseOffset = batch.baseOffset;
    this.firstOffset = firstOffset ?? this.baseOffset;
    this.nextOffset = this.baseOffset + batch.lastOffsetDelta + 1;
    this.baseTimestamp = batch.baseTimestamp;
    this.maxTimestamp = batch.maxTimestamp;
    this.timestampType = batch.timestampType;
    this.exactTimestamps = batch.exactTimestamps;
    this.leaderEpoch = batch.leaderEpoch;
    this.#onRelease = onRelease;
  }

  release(): void {
    const onRelease = this.#onRelease;
    if (onRelease === undefined) return;
    this.#onRelease = undefined;
    onRelease();
  }
}

/** @throws RecordsError CORRUPT where the checksum differs */
export function checkCrc(batch: BatchView): void {
  if (batch.isCrcValid) return;
  throw new RecordsError('CORRUPT', `checksum ${hex(batch.computeCrc())} where the batch says ${hex(batch.crc)}`);
}

/**
 * Makes the records of a batch readable: checks the checksum, decompresses. The batch must have passed `validate`.
 *
 * @throws RecordsError; `onRelease` is not called then
 */
export function openBatch(batch: BatchView, options: ChunkOptions = {}): RecordChunk {
  if (options.checkCrc !== false) checkCrc(batch);
  const { bytes, recordsStart, end, compression } = batch;
  if (compression === undefined) throw new RecordsError('UNSUPPORTED', 'unknown compression codec');
  if (compression === 'none') return new Chunk(batch, bytes, recordsStart, end, options.firstOffset, options.onRelease);
  const maximum = options.maximumBytes ?? DEFAULT_MAXIMUM_DECOMPRESSED_BYTES;
  // After compaction a compressed batch can be left without records and without a block.
  if (recordsStart === end) {
    return new Chunk(batch, bytes, end, end, options.firstOffset, options.onRelease);
  }
  const { bytes: records, length, giveBack } = decompressLent(compression, bytes.subarray(recordsStart, end), maximum);
  const { onRelease } = options;
  const release =
    giveBack === undefined || onRelease === undefined
      ? (giveBack ?? onRelease)
      : (): void => {
          giveBack();
          onRelease();
        };
  return new Chunk(batch, records, 0, length, options.firstOffset, release);
}

/** What a control batch says: its only record's key is version and type. Undefined for types other than these. */
export function controlType(batch: BatchView): 'abort' | 'commit' | undefined {
  // Compaction may leave a marker's batch without its record: then the transaction is long over.
  if (batch.count === 0) return undefined;
  // Length, attributes, timestamp delta and offset delta are varints before the key's length; the key is four bytes.
  const { bytes, end } = batch;
  let position = batch.recordsStart;
  for (let field = 0; field < 5; field++) {
    if (field === 1) {
      position++;
      continue;
    }
    while (position < end && bytes[position]! >= 0x80) position++;
    position++;
  }
  if (position + 4 > end) throw new RecordsError('CORRUPT', 'a control batch without a key');
  const type = bytes.readInt16BE(position + 2);
  return type === 0 ? 'abort' : type === 1 ? 'commit' : undefined;
}

const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;
