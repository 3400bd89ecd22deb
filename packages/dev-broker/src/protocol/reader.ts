/** Bytes that are no valid message of the protocol. The connection they came from is closed, as Kafka does. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA';
const TWO_TO_32 = 0x1_0000_0000;

/**
 * Reads the protocol's primitive types from one request. Every length is held against what is left, so that a peer can
 * make the broker allocate no more than it has sent.
 */
export class Reader {
  readonly bytes: Buffer;
  position: number;

  constructor(bytes: Buffer, position = 0) {
    this.bytes = bytes;
    this.position = position;
  }

  get remaining(): number {
    return this.bytes.length - this.position;
  }

  #take(size: number): number {
    const start = this.position;
    if (size < 0 || size > this.bytes.length - start) {
      throw new ProtocolError(`${size} bytes wanted, ${this.bytes.length - start} left`);
    }
    this.position = start + size;
    return start;
  }

  int8(): number {
    return this.bytes.readInt8(this.#take(1));
  }
  bool(): boolean {
    return this.bytes[this.#take(1)] !== 0;
  }
  int16(): number {
    return this.bytes.readInt16BE(this.#take(2));
  }
  uint16(): number {
    return this.bytes.readUInt16BE(this.#take(2));
  }
  int32(): number {
    return this.bytes.readInt32BE(this.#take(4));
  }
  uint32(): number {
    return this.bytes.readUInt32BE(this.#take(4));
  }
  /** As a number: exact up to 2^53, which no offset reaches. */
  int64(): number {
    const start = this.#take(8);
    return this.bytes.readInt32BE(start) * TWO_TO_32 + this.bytes.readUInt32BE(start + 4);
  }
  float64(): number {
    return this.bytes.readDoubleBE(this.#take(8));
  }
  /** In the form that Kafka prints: 22 characters of URL-safe base64. */
  uuid(): string {
    const start = this.#take(16);
    return this.bytes.toString('base64url', start, start + 16);
  }

  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.#take(1)]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new ProtocolError('a varint of more than five bytes');
  }

  string(isCompact: boolean): string | null {
    const length = isCompact ? this.unsignedVarint() - 1 : this.int16();
    if (length < 0) return null;
    const start = this.#take(length);
    return this.bytes.toString('utf8', start, start + length);
  }

  /** A view, nothing is copied. */
  byteString(isCompact: boolean): Buffer | null {
    const length = isCompact ? this.unsignedVarint() - 1 : this.int32();
    if (length < 0) return null;
    const start = this.#take(length);
    return this.bytes.subarray(start, start + length);
  }

  /** Length of an array, -1 for null. No element takes less than a byte. */
  arrayLength(isCompact: boolean): number {
    const length = isCompact ? this.unsignedVarint() - 1 : this.int32();
    if (length > this.remaining) throw new ProtocolError(`an array of ${length} elements in ${this.remaining} bytes`);
    return length;
  }

  skip(size: number): void {
    this.#take(size);
  }
}
