import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { lz4Compress, lz4Decompress, snappyCompress, snappyDecompress } from '@platformatic/wasm-utils';
import type { Compression } from './batch-header.ts';
import { RecordsError } from './errors.ts';

/** Compresses a records section; snappy in the xerial framing, as the Java producer writes it. */
export function compress(compression: Compression, bytes: Buffer): Buffer {
  switch (compression) {
    case 'none':
      return bytes;
    case 'gzip':
      return gzipSync(bytes);
    case 'snappy':
      return xerialCompress(bytes);
    case 'lz4':
      return lz4Compress(asInput(bytes));
    case 'zstd':
      return zstdCompressSync(bytes);
  }
}

/**
 * Decompresses a records section. Never makes more than `maximumBytes` (a little more for lz4, whose last block is only
 * bounded by its block size): compressed bytes of a hostile producer can blow up a thousandfold.
 *
 * @throws RecordsError CORRUPT, TOO_LARGE
 */
export function decompress(compression: Compression, bytes: Buffer, maximumBytes: number): Buffer {
  try {
    switch (compression) {
      case 'none':
        return bytes;
      case 'gzip':
        // Reads several members one after another, as the Java producer writes them.
        return gunzipSync(bytes, {
          maxOutputLength: maximumBytes,
          chunkSize: chunkSize(bytes.length * 4, maximumBytes),
        });
      case 'snappy':
        return snappy(bytes, maximumBytes);
      case 'lz4':
        return lz4(bytes, maximumBytes);
      case 'zstd':
        return zstdDecompressSync(bytes, {
          maxOutputLength: maximumBytes,
          chunkSize: chunkSize(zstdContentSize(bytes) ?? bytes.length * 4, maximumBytes),
        });
    }
  } catch (error) {
    if (error instanceof RecordsError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maximumBytes);
    const reason = error instanceof Error ? error.message : String(error);
    throw new RecordsError('CORRUPT', `${compression} data cannot be decompressed: ${reason}`, { cause: error });
  }
}

const tooLarge = (maximumBytes: number): RecordsError =>
  new RecordsError('TOO_LARGE', `decompressed records would be larger than ${maximumBytes} bytes`);

const corrupt = (what: string): RecordsError => new RecordsError('CORRUPT', what);

/** zlib makes its output in chunks of this size and joins them; one chunk that holds all saves the join. */
const chunkSize = (expected: number, maximumBytes: number): number =>
  Math.min(Math.max(expected + 1, 4096), Math.max(maximumBytes, 4096), 4 << 20);

/** The content size that a zstd frame's header may tell (RFC 8878, 3.1.1.1); a hint only. */
function zstdContentSize(bytes: Buffer): number | undefined {
  if (bytes.length < 18 || bytes.readUInt32LE(0) !== 0xfd2fb528) return undefined;
  const descriptor = bytes[4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const position = 5 + (isSingleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  switch (descriptor >>> 6) {
    case 0:
      return isSingleSegment ? bytes[position] : undefined;
    case 1:
      return bytes.readUInt16LE(position) + 256;
    case 2:
      return bytes.readUInt32LE(position);
    default: {
      const size = bytes.readBigUInt64LE(position);
      return size > 0xffff_ffffn ? undefined : Number(size);
    }
  }
}

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;
const XERIAL_BLOCK_BYTES = 32 * 1024;

function snappy(bytes: Buffer, maximumBytes: number): Buffer {
  if (bytes.length < XERIAL_HEADER_BYTES || bytes.compare(XERIAL_MAGIC, 0, 8, 0, 8) !== 0) {
    if (snappyLength(bytes) > maximumBytes) throw tooLarge(maximumBytes);
    return snappyDecompress(asInput(bytes));
  }
  const blocks: Buffer[] = [];
  let total = 0;
  for (let position = XERIAL_HEADER_BYTES; position < bytes.length; ) {
    if (bytes.length - position < 4) throw corrupt('a snappy block is cut off');
    const length = bytes.readInt32BE(position);
    position += 4;
    if (length < 0 || length > bytes.length - position) throw corrupt(`a snappy block of ${length} bytes`);
    const block = bytes.subarray(position, position + length);
    total += snappyLength(block);
    if (total > maximumBytes) throw tooLarge(maximumBytes);
    blocks.push(snappyDecompress(asInput(block)));
    position += length;
  }
  return blocks.length === 1 ? blocks[0]! : Buffer.concat(blocks);
}

/** The decompressed length that a raw snappy block begins with. */
function snappyLength(block: Buffer): number {
  let length = 0;
  for (let index = 0; index < 5; index++) {
    const byte = block[index];
    if (byte === undefined) break;
    length += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return length;
  }
  throw corrupt('a snappy block without its length');
}

function xerialCompress(bytes: Buffer): Buffer {
  const header = Buffer.alloc(XERIAL_HEADER_BYTES);
  XERIAL_MAGIC.copy(header);
  header.writeInt32BE(1, 8);
  header.writeInt32BE(1, 12);
  const parts: Buffer[] = [header];
  for (let start = 0; start < bytes.length; start += XERIAL_BLOCK_BYTES) {
    const block = snappyCompress(asInput(bytes.subarray(start, start + XERIAL_BLOCK_BYTES)));
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

const LZ4_MAGIC = 0x184d2204;

/**
 * Decompresses one or more lz4 frames. A block never grows beyond the frame's block size, so counting blocks bounds the
 * result before any byte is made.
 */
function lz4(bytes: Buffer, maximumBytes: number): Buffer {
  const frames: Buffer[] = [];
  let bound = 0;
  for (let position = 0; position < bytes.length; ) {
    const start = position;
    if (bytes.length - position < 7 || bytes.readUInt32LE(position) !== LZ4_MAGIC) throw corrupt('no lz4 frame');
    const flags = bytes[position + 4]!;
    const blockSize = 1 << (8 + 2 * ((bytes[position + 5]! >>> 4) & 7));
    if (blockSize < 65_536) throw corrupt('an lz4 frame with an unknown block size');
    const hasBlockChecksum = (flags & 0x10) !== 0;
    position += 7 + ((flags & 0x08) === 0 ? 0 : 8) + ((flags & 0x01) === 0 ? 0 : 4);
    let before = 0;
    for (;;) {
      if (bytes.length - position < 4) throw corrupt('an lz4 frame is cut off');
      const word = bytes.readUInt32LE(position);
      position += 4;
      if (word === 0) break;
      const length = word & 0x7fff_ffff;
      const isStored = word !== length;
      // All but the last block are full, unless a writer flushed: then the sum is larger than the truth, never smaller.
      bound += before;
      before = isStored ? Math.min(length, blockSize) : Math.min(blockSize, length * 255);
      if (bound > maximumBytes) throw tooLarge(maximumBytes);
      position += length + (hasBlockChecksum ? 4 : 0);
    }
    position += (flags & 0x04) === 0 ? 0 : 4;
    if (position > bytes.length) throw corrupt('an lz4 frame is cut off');
    const frame = lz4Decompress(asInput(bytes.subarray(start, position)));
    bound = bound + before;
    frames.push(frame);
  }
  return frames.length === 1 ? frames[0]! : Buffer.concat(frames);
}

/** The library's types ask for a Buffer over an ArrayBuffer; it copies the bytes, so any memory will do. */
const asInput = (bytes: Buffer): Buffer<ArrayBuffer> => bytes as Buffer<ArrayBuffer>;
