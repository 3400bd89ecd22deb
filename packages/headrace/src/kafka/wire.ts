import { readNearestInt64, writeInt64 } from '@headrace/kafka-records';
import { HeadraceError } from '../errors.ts';

/**
 * Reads a response. Compact strings and arrays and tagged fields in flexible versions, the older forms otherwise, by the
 * same calls. Every read is checked against the end: a peer's lengths are not believed.
 *
 * @throws HeadraceError KAFKA_PROTOCOL
 */
export class WireReader {
  readonly bytes: Buffer;
  readonly flexible: boolean;
  readonly end: number;
  position: number;

  constructor(bytes: Buffer, start: number, end: number, flexible: boolean) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
    this.flexible = flexible;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  /** Moves over `count` bytes and returns where they begin. */
  skip(count: number): number {
    const start = this.position;
    if (count < 0 || count > this.end - start) {
      throw new HeadraceError('KAFKA_PROTOCOL', `a response holds ${this.end - start} bytes where ${count} are due`);
    }
    this.position = start + count;
    return start;
  }

  int8(): number {
    return this.bytes.readInt8(this.skip(1));
  }
  boolean(): boolean {
    return this.int8() !== 0;
  }
  int16(): number {
    return this.bytes.readInt16BE(this.skip(2));
  }
  int32(): number {
    return this.bytes.readInt32BE(this.skip(4));
  }
  /** Beyond 2^53 it is the nearest number. */
  nearestInt64(): number {
    return readNearestInt64(this.bytes, this.skip(8));
  }
  /** Beyond 2^53 it is refused. */
  int64(): number {
    const value = this.nearestInt64();
    if (!Number.isSafeInteger(value)) throw new HeadraceError('KAFKA_PROTOCOL', 'a 64-bit integer is beyond 2^53');
    return value;
  }
  /** As 32 hexadecimal digits. */
  uuid(): string {
    const start = this.skip(16);
    return this.bytes.toString('hex', start, start + 16);
  }
  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.skip(1)]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new HeadraceError('KAFKA_PROTOCOL', 'a variable-length integer of more than 32 bits');
  }

  /** -1 for null. */
  #length(short: boolean): number {
    if (this.flexible) return this.unsignedVarint() - 1;
    return short ? this.int16() : this.int32();
  }

  nullableString(): string | null {
    const length = this.#length(true);
    if (length < 0) return null;
    const start = this.skip(length);
    return this.bytes.toString('utf8', start, start + length);
  }
  string(): string {
    return this.nullableString() ?? '';
  }
  /** A view, not a copy. */
  nullableBytes(): Buffer | null {
    const length = this.#length(false);
    if (length < 0) return null;
    const start = this.skip(length);
    return this.bytes.subarray(start, start + length);
  }
  byteArray(): Buffer {
    return this.nullableBytes() ?? Buffer.alloc(0);
  }

  /** Elements of an array, each of at least one byte; null is -1. */
  count(): number {
    const count = this.#length(false);
    if (count > this.remaining) {
      throw new HeadraceError('KAFKA_PROTOCOL', `an array of ${count} elements in ${this.remaining} bytes`);
    }
    return count;
  }
  array<T>(element: (reader: WireReader) => T): T[] {
    return this.nullableArray(element) ?? [];
  }
  nullableArray<T>(element: (reader: WireReader) => T): T[] | null {
    const count = this.count();
    if (count < 0) return null;
    const elements: T[] = [];
    for (let index = 0; index < count; index++) elements.push(element(this));
    return elements;
  }

  /** Passes over tagged fields, or hands those that are known to `known`. */
  tags(known?: (tag: number, reader: WireReader) => void): void {
    if (!this.flexible) return;
    const count = this.unsignedVarint();
    for (let index = 0; index < count; index++) {
      const tag = this.unsignedVarint();
      const size = this.unsignedVarint();
      const start = this.skip(size);
      known?.(tag, new WireReader(this.bytes, start, start + size, true));
    }
  }
}

/** Writes a request; the mirror of `WireReader`. Grows as needed. */
export class WireWriter {
  flexible: boolean;
  #bytes: Buffer;
  #position = 0;

  constructor(flexible: boolean, size = 512) {
    this.flexible = flexible;
    this.#bytes = Buffer.allocUnsafe(size);
  }

  get length(): number {
    return this.#position;
  }
  /** What was written; a view that the next write may leave behind. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#position);
  }

  #room(count: number): number {
    const start = this.#position;
    const end = start + count;
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(end, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, start);
      this.#bytes = larger;
    }
    this.#position = end;
    return start;
  }

  int8(value: number): this {
    const at = this.#room(1);
    this.#bytes.writeInt8(value, at);
    return this;
  }
  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }
  int16(value: number): this {
    const at = this.#room(2);
    this.#bytes.writeInt16BE(value, at);
    return this;
  }
  int32(value: number): this {
    const at = this.#room(4);
    this.#bytes.writeInt32BE(value, at);
    return this;
  }
  int64(value: number): this {
    const at = this.#room(8);
    writeInt64(this.#bytes, at, value);
    return this;
  }
  /** 32 hexadecimal digits. */
  uuid(value: string): this {
    const at = this.#room(16);
    this.#bytes.write(value, at, 16, 'hex');
    return this;
  }
  unsignedVarint(value: number): this {
    while (value >= 0x80) {
      this.int8(((value & 0x7f) | 0x80) - 0x100);
      value >>>= 7;
    }
    return this.int8(value);
  }

  #length(length: number, short: boolean): void {
    if (this.flexible) this.unsignedVarint(length + 1);
    else if (short) this.int16(length);
    else this.int32(length);
  }

  string(value: string | null): this {
    const length = value === null ? -1 : Buffer.byteLength(value);
    this.#length(length, true);
    if (value !== null) {
      const at = this.#room(length);
      this.#bytes.write(value, at, length, 'utf8');
    }
    return this;
  }
  byteArray(value: Uint8Array | null): this {
    this.#length(value === null ? -1 : value.length, false);
    if (value !== null) {
      const at = this.#room(value.length);
      this.#bytes.set(value, at);
    }
    return this;
  }
  array<T>(elements: readonly T[] | null, write: (element: T, writer: this) => void): this {
    this.#length(elements === null ? -1 : elements.length, false);
    if (elements !== null) for (const element of elements) write(element, this);
    return this;
  }
  /** An empty list of tagged fields, in flexible versions. */
  tags(): this {
    return this.flexible ? this.int8(0) : this;
  }
  /** Overwrites an int32 that was written before. */
  patchInt32(position: number, value: number): void {
    this.#bytes.writeInt32BE(value, position);
  }
}

/** One request of the protocol in one version. `T` is what its response says. */
export interface KafkaRequest<T> {
  readonly name: string;
  readonly key: number;
  readonly version: number;
  readonly flexible: boolean;
  write(writer: WireWriter): void;
  read(reader: WireReader): T;
}
