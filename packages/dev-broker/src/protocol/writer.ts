const TWO_TO_32 = 0x1_0000_0000;
const TWO_TO_63 = 2 ** 63;
/** Larger byte strings are handed to the socket as they lie instead of being copied. */
const COPY_LIMIT = 1024;

/**
 * Writes the protocol's primitive types. The result is a list of buffers: stored record batches stand in it as the
 * slices of the log that they are.
 */
export class Writer {
  #bytes: Buffer;
  #position = 0;
  /** Bytes of the current buffer before this are already in `#parts`. */
  #from = 0;
  #parts: Buffer[] = [];
  /** Bytes written so far, in all parts. */
  length = 0;

  constructor(capacity = 512) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  #reserve(size: number): number {
    const start = this.#position;
    if (start + size > this.#bytes.length) {
      const pending = this.#bytes.subarray(this.#from, start);
      const grown = Buffer.allocUnsafe(Math.max((pending.length + size) * 2, 512));
      pending.copy(grown);
      this.#bytes = grown;
      this.#from = 0;
      this.#position = pending.length + size;
      this.length += size;
      return pending.length;
    }
    this.#position = start + size;
    this.length += size;
    return start;
  }

  int8(value: number): void {
    const start = this.#reserve(1);
    this.#bytes.writeInt8(value, start);
  }
  bool(value: boolean): void {
    const start = this.#reserve(1);
    this.#bytes[start] = value ? 1 : 0;
  }
  int16(value: number): void {
    const start = this.#reserve(2);
    this.#bytes.writeInt16BE(value, start);
  }
  uint16(value: number): void {
    const start = this.#reserve(2);
    this.#bytes.writeUInt16BE(value, start);
  }
  int32(value: number): void {
    const start = this.#reserve(4);
    this.#bytes.writeInt32BE(value, start);
  }
  uint32(value: number): void {
    const start = this.#reserve(4);
    this.#bytes.writeUInt32BE(value, start);
  }
  int64(value: number): void {
    const start = this.#reserve(8);
    if (value >= TWO_TO_63) {
      this.#bytes.writeInt32BE(0x7fff_ffff, start);
      this.#bytes.writeUInt32BE(0xffff_ffff, start + 4);
      return;
    }
    const high = Math.floor(value / TWO_TO_32);
    this.#bytes.writeInt32BE(high, start);
    this.#bytes.writeUInt32BE(value - high * TWO_TO_32, start + 4);
  }
  float64(value: number): void {
    const start = this.#reserve(8);
    this.#bytes.writeDoubleBE(value, start);
  }
  uuid(value: string): void {
    const start = this.#reserve(16);
    this.#bytes.fill(0, start, start + 16);
    this.#bytes.write(value, start, 16, 'base64url');
  }

  unsignedVarint(value: number): void {
    while (value > 0x7f) {
      const start = this.#reserve(1);
      this.#bytes[start] = (value & 0x7f) | 0x80;
      value >>>= 7;
    }
    const start = this.#reserve(1);
    this.#bytes[start] = value;
  }

  string(value: string | null, isCompact: boolean): void {
    if (value === null) {
      if (isCompact) this.unsignedVarint(0);
      else this.int16(-1);
      return;
    }
    const size = Buffer.byteLength(value);
    if (isCompact) this.unsignedVarint(size + 1);
    else this.int16(size);
    const start = this.#reserve(size);
    this.#bytes.write(value, start, size, 'utf8');
  }

  /** One buffer or several that belong together, such as slices of neighbouring segments. */
  byteString(value: Buffer | readonly Buffer[] | null, isCompact: boolean): void {
    if (value === null) {
      if (isCompact) this.unsignedVarint(0);
      else this.int32(-1);
      return;
    }
    const parts = Array.isArray(value) ? (value as readonly Buffer[]) : [value as Buffer];
    let size = 0;
    for (const part of parts) size += part.length;
    if (isCompact) this.unsignedVarint(size + 1);
    else this.int32(size);
    for (const part of parts) this.raw(part);
  }

  arrayLength(length: number, isCompact: boolean): void {
    if (isCompact) this.unsignedVarint(length + 1);
    else this.int32(length);
  }

  raw(part: Buffer): void {
    if (part.length <= COPY_LIMIT) {
      const start = this.#reserve(part.length);
      part.copy(this.#bytes, start);
      return;
    }
    if (this.#position > this.#from) this.#parts.push(this.#bytes.subarray(this.#from, this.#position));
    this.#from = this.#position;
    this.#parts.push(part);
    this.length += part.length;
  }

  /** Everything written, in order. The writer is spent afterwards. */
  parts(): Buffer[] {
    if (this.#position > this.#from) this.#parts.push(this.#bytes.subarray(this.#from, this.#position));
    this.#from = this.#position;
    return this.#parts;
  }

  toBuffer(): Buffer {
    const parts = this.parts();
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }
}
