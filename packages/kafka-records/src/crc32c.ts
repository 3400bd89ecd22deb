import { crc32cOf } from './record-memory.ts';

/** CRC-32C (Castagnoli) of the bytes, as an unsigned 32-bit number. */
export const crc32c = (bytes: Uint8Array): number => crc32cOf(bytes, 0, bytes.length);
