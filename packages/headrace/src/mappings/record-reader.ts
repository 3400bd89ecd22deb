/**
 * Walks over the records of a chunk (record batch magic 2, KIP-98) with one reused reader and no object a record:
 *
 *     length varint · attributes int8 · timestampDelta varlong · offsetDelta varint
 *     keyLength varint · key · valueLength varint · value · headerCount varint · { nameLength · name · valueLength · value }
 *
 * Record bytes come from strangers: a length that leads out of the record is an error of the catalogue, never a read
 * beyond it.
 */
import type { RecordChunk } from '@headrace/kafka-records';
import { HeadraceError } from '../errors.ts';

const TWO_32 = 2 ** 32;

/** Reads one record at a time. The numbers describe the record last read; a length of -1 means null. */
export class RecordReader {
  /** Where the next record begins. */
  position = 0;
  offset = 0;
  timestamp = 0;
  keyStart = 0;
  keyLength = -1;
  valueStart = 0;
  valueLength = -1;
  headerCount = 0;
  headersStart = 0;
  /** End of the record last read. */
  recordEnd = 0;

  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;
  #cursor = 0;
  #baseOffset = 0;
  #baseTimestamp = 0;
  #logAppendTime = -1;

  /** Begins to read `chunk` at byte `position`, up to byte `end` (both record boundaries). */
  open(chunk: RecordChunk, position = chunk.start, end = chunk.end): this {
    this.#bytes = chunk.bytes;
    this.#end = end;
    this.position = position;
    this.#baseOffset = chunk.baseOffset;
    this.#baseTimestamp = chunk.baseTimestamp;
    this.#logAppendTime = chunk.timestampType === 'LOG_APPEND_TIME' ? chunk.maxTimestamp : -1;
    return this;
  }

  /** Reads the next record; false at the end. Throws KAFKA_CORRUPT_BATCH when the bytes make no sense. */
  next(): boolean {
    if (this.position >= this.#end) return false;
    this.#cursor = this.position;
    const length = this.#varint();
    const recordEnd = this.#cursor + length;
    if (length < 7 || recordEnd > this.#end) this.#corrupt('a record that is longer than its batch');
    this.#cursor++; // attributes: unused in magic 2
    const timestampDelta = this.#varlong();
    this.offset = this.#baseOffset + this.#varint();
    this.timestamp = this.#logAppendTime >= 0 ? this.#logAppendTime : this.#baseTimestamp + timestampDelta;
    this.keyLength = this.#length(recordEnd);
    this.keyStart = this.#cursor;
    if (this.keyLength > 0) this.#cursor += this.keyLength;
    this.valueLength = this.#length(recordEnd);
    this.valueStart = this.#cursor;
    if (this.valueLength > 0) this.#cursor += this.valueLength;
    this.headerCount = this.#varint();
    this.headersStart = this.#cursor;
    if (this.headerCount < 0 || this.headerCount > recordEnd - this.#cursor || this.#cursor > recordEnd)
      this.#corrupt('a header count that cannot be');
    this.recordEnd = recordEnd;
    this.position = recordEnd;
    return true;
  }

  /** Calls `each` for every header of the record last read; a value length of -1 means null. */
  headers(each: (nameStart: number, nameEnd: number, valueStart: number, valueLength: number) => void): void {
    this.#cursor = this.headersStart;
    for (let i = 0; i < this.headerCount; i++) {
      const nameLength = this.#length(this.recordEnd);
      if (nameLength < 0) this.#corrupt('a header without a name');
      const nameStart = this.#cursor;
      this.#cursor += nameLength;
      const valueLength = this.#length(this.recordEnd);
      const valueStart = this.#cursor;
      if (valueLength > 0) this.#cursor += valueLength;
      each(nameStart, nameStart + nameLength, valueStart, valueLength);
    }
  }

  #length(limit: number): number {
    const length = this.#varint();
    if (length < -1 || this.#cursor + length > limit) this.#corrupt('a length that leads out of its record');
    return length;
  }

  #varint(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.#cursor++]!;
    if (byte < 0x80 && this.#cursor <= this.#end) return (byte >>> 1) ^ -(byte & 1);
    let value = byte & 0x7f;
    for (let shift = 7; ; shift += 7) {
      if (shift > 28 || this.#cursor >= this.#end) this.#corrupt('a number that does not end');
      byte = bytes[this.#cursor++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
  }

  #varlong(): number {
    const bytes = this.#bytes;
    let low = 0;
    let shift = 0;
    for (; shift < 28; shift += 7) {
      if (this.#cursor >= this.#end) this.#corrupt('a number that does not end');
      const byte = bytes[this.#cursor++]!;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (low >>> 1) ^ -(low & 1);
    }
    // Rare: deltas beyond 37 hours in milliseconds. Numbers keep 53 bits, timestamps need 41.
    let value = low >>> 0;
    for (; ; shift += 7) {
      if (shift > 63 || this.#cursor >= this.#end) this.#corrupt('a number that does not end');
      const byte = bytes[this.#cursor++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    const odd = value % 2 === 1;
    const half = Math.floor(value / 2);
    if (half > TWO_32 * 2 ** 21) this.#corrupt('a timestamp beyond 2^53');
    return odd ? -half - 1 : half;
  }

  #corrupt(what: string): never {
    throw new HeadraceError(
      'KAFKA_CORRUPT_BATCH',
      `The batch at offset ${this.#baseOffset} holds ${what}, near byte ${this.#cursor}.`,
      { details: { baseOffset: this.#baseOffset } },
    );
  }
}
