/**
 * Variable-length integers of records: groups of seven bits, least significant first; signed ones zigzag-encoded.
 * Numbers are JavaScript's, exact up to 2^53; the hot decoding of records is in `RecordCursor`.
 */

/** Bytes that the zigzag varint of `value` takes. */
export function varintSize(value: number): number {
  // Zigzag of an integer beyond 32 bits needs arithmetic instead of bit operations.
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  let size = 1;
  while (rest >= 0x80) {
    rest = Math.floor(rest / 0x80);
    size++;
  }
  return size;
}

/** Writes `value` as a zigzag varint and returns the position after it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  while (rest >= 0x8000_0000) {
    bytes[position++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  while (rest >= 0x80) {
    bytes[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[position++] = rest;
  return position;
}

/** Writes a small unsigned integer (up to 2^31 - 1) as a varint and returns the position after it. */
export function writeUnsignedVarint(bytes: Uint8Array, position: number, value: number): number {
  while (value >= 0x80) {
    bytes[position++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  bytes[position++] = value;
  return position;
}

/** Bytes that the unsigned varint of `value` takes. */
export function unsignedVarintSize(value: number): number {
  let size = 1;
  while (value >= 0x80) {
    value >>>= 7;
    size++;
  }
  return size;
}
