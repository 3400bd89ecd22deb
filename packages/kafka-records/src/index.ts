export {
  BATCH_HEADER_BYTES,
  BATCH_OVERHEAD_BYTES,
  BatchView,
  type Compression,
  completeBatchSize,
  readInt64,
  readNearestInt64,
  type TimestampType,
  writeInt64,
} from './batch-header.ts';
export { type BatchInput, type RecordHeader, type RecordInput, writeBatch, writeControlBatch } from './batch-writer.ts';
export { type ChunkOptions, checkCrc, controlType, DEFAULT_MAXIMUM_DECOMPRESSED_BYTES, openBatch } from './chunk.ts';
export { compress, decompress } from './compression.ts';
export { crc32c } from './crc32c.ts';
export { RecordsError, type RecordsErrorCode } from './errors.ts';
export type { RecordChunk } from './record-chunk.ts';
export { HeaderCursor, RecordCursor } from './record-cursor.ts';
export { arenaAddress, giveMemoryBack, recordMemory, takeMemory } from './record-memory.ts';
export { unsignedVarintSize, varintSize, writeUnsignedVarint, writeVarint } from './varint.ts';
