import { createRequire } from 'node:module';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { Compression } from './batch-header.ts';
import { blockDecompressor, type LentBytes } from './block-decompressor.ts';
import { RecordsError } from './errors.ts';

type Compressors = Pick<typeof import('@platformatic/wasm-utils'), 'lz4Compress' | 'snappyCompress'>;
let compressors: Compressors | undefined;

/** Loaded when something is to be compressed with them, since who only reads would pay for it at every start. */
function loadCompressors(): Compressors {
  compressors ??= createRequire(import.meta.url)('@platformatic/wasm-utils') as Compressors;
  return compressors;
}

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
      return loadCompressors().lz4Compress(asInput(bytes));
    case 'zstd':
      return zstdCompressSync(bytes);
  }
}

/** Decompressed records: the first `length` bytes. */
export interface Decompressed {
  readonly bytes: Buffer;
  readonly length: number;
  /** For bytes that are lent: to be called when nobody looks at them any more. */
  readonly giveBack?: () => void;
}

/**
 * Decompresses a records section. Never makes more than `maximumBytes`: compressed bytes of a hostile producer can blow
 * up a thousandfold.
 *
 * @throws RecordsError CORRUPT, TOO_LARGE
 */
export function decompress(compression: Compression, bytes: Buffer, maximumBytes: number): Buffer {
  const { bytes: result, length, giveBack } = decompressLent(compression, bytes, maximumBytes);
  if (giveBack === undefined) return result;
  const copy = Buffer.from(result.subarray(0, length));
  giveBack();
  return copy;
}

/** As `decompress`, for memory that is given back. */
export function decompressLent(compression: Compression, bytes: Buffer, maximumBytes: number): Decompressed {
  const own = (result: Buffer): Decompressed => ({ bytes: result, length: result.length });
  try {
    switch (compression) {
      case 'none':
        return own(bytes);
      case 'gzip': {
        // Reads several members one after another, as the Java producer writes them.
        const options = { maxOutputLength: maximumBytes, chunkSize: chunkSize(bytes.length * 4, maximumBytes) };
        return own(gunzipSync(bytes, options));
      }
      case 'snappy':
        return snappy(bytes, maximumBytes);
      case 'lz4':
        return lz4(bytes, maximumBytes);
      case 'zstd': {
        const expected = zstdContentSize(bytes) ?? bytes.length * 4;
        const options = { maxOutputLength: maximumBytes, chunkSize: chunkSize(expected, maximumBytes) };
        return own(zstdDecompressSync(bytes, options));
      }
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

function snappy(bytes: Buffer, maximumBytes: number): LentBytes {
  const blocks = xerialBlocks(bytes) ?? [{ start: 0, end: bytes.length }];
  // All lengths are known before a byte is made.
  const sized = blocks.map(({ start, end }) => ({ end, ...snappyLength(bytes, start, end) }));
  const total = sized.reduce((sum, { length }) => sum + length, 0);
  if (total > maximumBytes) throw tooLarge(maximumBytes);
  blockDecompressor.begin(bytes, total);
  for (const { dataStart, end, length } of sized) blockDecompressor.snappyBlock(dataStart, end, length);
  return blockDecompressor.finish();
}

/** Where the blocks of the xerial framing lie; undefined for a block without framing. */
function xerialBlocks(bytes: Buffer): { start: number; end: number }[] | undefined {
  if (bytes.length < XERIAL_HEADER_BYTES || bytes.compare(XERIAL_MAGIC, 0, 8, 0, 8) !== 0) return undefined;
  const blocks: { start: number; end: number }[] = [];
  for (let position = XERIAL_HEADER_BYTES; position < bytes.length; ) {
    if (bytes.length - position < 4) throw corrupt('a snappy block is cut off');
    const length = bytes.readInt32BE(position);
    const start = position + 4;
    if (length < 0 || length > bytes.length - start) throw corrupt(`a snappy block of ${length} bytes`);
    position = start + length;
    blocks.push({ start, end: position });
  }
  return blocks;
}

/** The decompressed length that a raw snappy block begins with, and where its data begins. */
function snappyLength(bytes: Buffer, start: number, end: number): { length: number; dataStart: number } {
  let length = 0;
  for (let index = 0; index < 5 && start + index < end; index++) {
    const byte = bytes[start + index]!;
    length += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { length, dataStart: start + index + 1 };
  }
  throw corrupt('a snappy block without its length');
}

function xerialCompress(bytes: Buffer): Buffer {
  const header = Buffer.alloc(XERIAL_HEADER_BYTES);
  XERIAL_MAGIC.copy(header);
  header.writeInt32BE(1, 8);
  header.writeInt32BE(1, 12);
  const parts: Buffer[] = [header];
  const { snappyCompress } = loadCompressors();
  for (let start = 0; start < bytes.length; start += XERIAL_BLOCK_BYTES) {
    const block = snappyCompress(asInput(bytes.subarray(start, start + XERIAL_BLOCK_BYTES)));
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

const LZ4_MAGIC = 0x184d2204;

interface Lz4Block {
  readonly start: number;
  readonly end: number;
  readonly isStored: boolean;
  /** The first of its frame: nothing before it may be referred to. */
  readonly isFirst: boolean;
}

/**
 * Decompresses one or more lz4 frames. A block never grows beyond the frame's block size, so counting blocks bounds the
 * result before any byte is made. The frame's own checksums are passed over: the batch has one.
 */
function lz4(bytes: Buffer, maximumBytes: number): LentBytes {
  const blocks: Lz4Block[] = [];
  // All but the last block of a frame are full, unless a writer flushed: then the sum is larger than the truth, never
  // smaller.
  let bound = 0;
  let last = 0;
  for (let position = 0; position < bytes.length; ) {
    if (bytes.length - position < 7 || bytes.readUInt32LE(position) !== LZ4_MAGIC) throw corrupt('no lz4 frame');
    const flags = bytes[position + 4]!;
    const blockSize = 1 << (8 + 2 * ((bytes[position + 5]! >>> 4) & 7));
    if (blockSize < 65_536) throw corrupt('an lz4 frame with an unknown block size');
    const hasBlockChecksum = (flags & 0x10) !== 0;
    position += 7 + ((flags & 0x08) === 0 ? 0 : 8) + ((flags & 0x01) === 0 ? 0 : 4);
    for (let isFirst = true; ; isFirst = false) {
      if (bytes.length - position < 4) throw corrupt('an lz4 frame is cut off');
      const word = bytes.readUInt32LE(position);
      position += 4;
      if (word === 0) break;
      const length = word & 0x7fff_ffff;
      const isStored = word !== length;
      const end = position + length;
      if (end > bytes.length) throw corrupt('an lz4 frame is cut off');
      bound += last;
      last = isStored ? length : Math.min(blockSize, length * 255);
      if (bound > maximumBytes) throw tooLarge(maximumBytes);
      blocks.push({ start: position, end, isStored, isFirst });
      position = end + (hasBlockChecksum ? 4 : 0);
    }
    position += (flags & 0x04) === 0 ? 0 : 4;
    if (position > bytes.length) throw corrupt('an lz4 frame is cut off');
  }
  blockDecompressor.begin(bytes, bound + last);
  let frameStart = 0;
  for (const { start, end, isStored, isFirst } of blocks) {
    if (isFirst) frameStart = blockDecompressor.length;
    if (isStored) blockDecompressor.stored(start, end);
    else blockDecompressor.lz4Block(start, end, blockDecompressor.length - frameStart);
  }
  if (blockDecompressor.length > maximumBytes) throw tooLarge(maximumBytes);
  return blockDecompressor.finish();
}

/** The library's types ask for a Buffer over an ArrayBuffer; it copies the bytes, so any memory will do. */
const asInput = (bytes: Buffer): Buffer<ArrayBuffer> => bytes as Buffer<ArrayBuffer>;
