import { RecordsError } from './errors.ts';
import type { RecordChunk } from './record-chunk.ts';

/**
 * Walks over the records of a chunk. No object a record: `next` moves on and fills the fields, which are positions in
 * `bytes` and plain numbers. Records below the chunk's `firstOffset` are passed over.
 *
 *     const cursor = new RecordCursor();
 *     for (cursor.reset(chunk); cursor.next(); ) use(chunk.bytes, cursor.valueStart, cursor.valueEnd);
 *
 * Every length is checked against the record and the chunk before it is used, headers included: bytes that contradict
 * themselves throw a RecordsError (CORRUPT), and no field ever points outside of its record.
 */
export class RecordCursor {
  /** Bytes that all positions refer to. */
  bytes: Buffer = empty;
  offset = -1;
  /** Milliseconds; with LOG_APPEND_TIME the chunk's `maxTimestamp`. Beyond 2^53 the number nearest to `exactTimestamp`. */
  timestamp = -1;
  /** -1 for a null key; equal to `keyEnd` for an empty one. */
  keyStart = -1;
  keyEnd = -1;
  /** -1 for a null value; equal to `valueEnd` for an empty one. */
  valueStart = -1;
  valueEnd = -1;
  headerCount = 0;
  /** The region of the headers, after their count; for `HeaderCursor`. */
  headersStart = 0;
  headersEnd = 0;
  /** Where the record begins, and where the next one does: what it takes on the wire. */
  start = 0;
  end = 0;

  #limit = 0;
  #remaining = 0;
  #baseOffset = 0;
  #firstOffset = 0;
  #lastDelta = 0;
  #previousDelta = -1;
  #baseTimestamp = 0;
  #appendTime = -1;
  #hasAppendTime = false;
  #exact: RecordChunk['exactTimestamps'];
  #position = 0;

  /** Goes to before the first record of a chunk. */
  reset(chunk: RecordChunk): this {
    this.bytes = chunk.bytes;
    this.end = chunk.start;
    this.start = chunk.start;
    this.#limit = chunk.end;
    this.#remaining = chunk.count;
    this.#baseOffset = chunk.baseOffset;
    this.#firstOffset = chunk.firstOffset;
    this.#lastDelta = chunk.nextOffset - chunk.baseOffset - 1;
    this.#previousDelta = -1;
    this.#baseTimestamp = chunk.baseTimestamp;
    this.#hasAppendTime = chunk.timestampType === 'LOG_APPEND_TIME';
    this.#appendTime = chunk.maxTimestamp;
    this.#exact = chunk.exactTimestamps;
    this.offset = -1;
    return this;
  }

  /** Moves to the next record; false after the last. */
  next(): boolean {
    while (this.#remaining > 0) {
      this.#remaining--;
      if (this.#exact !== undefined || !this.#readShort()) this.#read();
      if (this.offset >= this.#firstOffset) return true;
    }
    if (this.end !== this.#limit) this.#corrupt(`${this.#limit - this.end} bytes follow the last record`);
    return false;
  }

  /**
   * Reads a record as nearly all are: its numbers take a byte or two, and it has no headers. False where this one is not
   * so, or contradicts itself; nothing has changed then. It takes a quarter less time than `#read`: what it reads stays
   * in registers.
   */
  #readShort(): boolean {
    const bytes = this.bytes;
    const start = this.end;
    // Length, attributes, timestamp delta, offset delta and key length lie in the first nine bytes.
    if (this.#limit - start < 9) return false;
    let position = start;
    let high: number;

    let length = bytes[position++]!;
    if (length >= 0x80) {
      high = bytes[position++]!;
      if (high >= 0x80) return false;
      length = (length & 0x7f) | (high << 7);
    }
    const end = position + (length >>> 1);
    if ((length & 1) !== 0 || end > this.#limit) return false;
    position++;

    let timestampDelta = bytes[position++]!;
    if (timestampDelta >= 0x80) {
      high = bytes[position++]!;
      if (high >= 0x80) return false;
      timestampDelta = (timestampDelta & 0x7f) | (high << 7);
    }

    let delta = bytes[position++]!;
    if (delta >= 0x80) {
      high = bytes[position++]!;
      if (high >= 0x80) return false;
      delta = (delta & 0x7f) | (high << 7);
    }
    if ((delta & 1) !== 0) return false;
    delta >>>= 1;
    if (delta <= this.#previousDelta || delta > this.#lastDelta) return false;

    let keyLength = bytes[position++]!;
    if (keyLength >= 0x80) {
      high = bytes[position++]!;
      if (high >= 0x80) return false;
      keyLength = (keyLength & 0x7f) | (high << 7);
    }
    let keyStart = position;
    if ((keyLength & 1) === 0) position += keyLength >>> 1;
    else if (keyLength === 1) keyStart = -1;
    else return false;
    const keyEnd = keyStart < 0 ? -1 : position;

    // The value's length and the count of headers; of a null value's two bytes the second is the count.
    if (position + 2 > end) return false;
    let valueLength = bytes[position++]!;
    if (valueLength >= 0x80) {
      high = bytes[position++]!;
      if (high >= 0x80) return false;
      valueLength = (valueLength & 0x7f) | (high << 7);
    }
    let valueStart = position;
    if ((valueLength & 1) === 0) position += valueLength >>> 1;
    else if (valueLength === 1) valueStart = -1;
    else return false;
    if (position + 1 !== end || bytes[position] !== 0) return false;

    this.start = start;
    this.end = end;
    this.timestamp = this.#hasAppendTime
      ? this.#appendTime
      : this.#baseTimestamp + ((timestampDelta >>> 1) ^ -(timestampDelta & 1));
    this.#previousDelta = delta;
    this.offset = this.#baseOffset + delta;
    this.keyStart = keyStart;
    this.keyEnd = keyEnd;
    this.valueStart = valueStart;
    this.valueEnd = valueStart < 0 ? -1 : position;
    this.headerCount = 0;
    this.headersStart = this.headersEnd = end;
    return true;
  }

  /** `timestamp` to the last digit. Where `timestamp` is a safe integer it is the same. */
  get exactTimestamp(): bigint {
    if (this.#hasAppendTime) return this.#exact?.maximum ?? BigInt(this.#appendTime);
    const { bytes } = this;
    let position = this.start;
    while (bytes[position++]! >= 0x80);
    position++; // attributes
    let value = 0n;
    for (let shift = 0n, byte = 0x80; byte >= 0x80; shift += 7n) {
      byte = bytes[position++]!;
      value |= BigInt(byte & 0x7f) << shift;
    }
    value = BigInt.asUintN(64, value);
    const delta = (value >> 1n) ^ -(value & 1n);
    // As Java's long does.
    return BigInt.asIntN(64, (this.#exact?.base ?? BigInt(this.#baseTimestamp)) + delta);
  }

  #read(): void {
    const bytes = this.bytes;
    this.start = this.end;
    this.#position = this.start;
    const limit = this.#limit;
    const length = this.#varint(limit);
    const end = this.#position + length;
    if (length < 0 || end > limit) this.#corrupt(`a record says that it is ${length} bytes long`);
    this.end = end;
    // The attributes of a record mean nothing (notes on the format); the byte must be there.
    this.#position++;

    // Deltas of one byte are the common case.
    let byte = this.#position < end ? bytes[this.#position]! : 0x80;
    let timestampDelta: number;
    if (byte < 0x80) {
      this.#position++;
      timestampDelta = (byte >>> 1) ^ -(byte & 1);
    } else timestampDelta = this.#varlong(end);
    this.timestamp =
      this.#exact === undefined && Number.isSafeInteger(timestampDelta)
        ? this.#hasAppendTime
          ? this.#appendTime
          : this.#baseTimestamp + timestampDelta
        : Number(this.exactTimestamp);

    const delta = this.#varint(end);
    if (delta <= this.#previousDelta || delta > this.#lastDelta) {
      this.#corrupt(`offset delta ${delta} after ${this.#previousDelta}, of ${this.#lastDelta}`);
    }
    this.#previousDelta = delta;
    this.offset = this.#baseOffset + delta;

    const keyLength = this.#varint(end);
    let position = this.#position;
    if (keyLength < 0) {
      if (keyLength !== -1) this.#corrupt(`key length ${keyLength}`);
      this.keyStart = this.keyEnd = -1;
    } else {
      this.keyStart = position;
      this.keyEnd = position += keyLength;
      if (position > end) this.#corrupt(`key length ${keyLength}`);
      this.#position = position;
    }

    const valueLength = this.#varint(end);
    position = this.#position;
    if (valueLength < 0) {
      if (valueLength !== -1) this.#corrupt(`value length ${valueLength}`);
      this.valueStart = this.valueEnd = -1;
    } else {
      this.valueStart = position;
      this.valueEnd = position += valueLength;
      if (position > end) this.#corrupt(`value length ${valueLength}`);
      this.#position = position;
    }

    byte = position < end ? bytes[position]! : 0x80;
    if (byte === 0) {
      this.headerCount = 0;
      this.#position = position + 1;
      this.headersStart = this.headersEnd = position + 1;
    } else this.#headers(end);
    if (this.#position !== end) this.#corrupt(`${end - this.#position} bytes follow the headers`);
  }

  /** Reads a zigzag varint of up to 32 bits. */
  #varint(limit: number): number {
    const bytes = this.bytes;
    let position = this.#position;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (position >= limit) this.#corrupt('a number runs over the end');
      const byte = bytes[position++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#position = position;
        return (value >>> 1) ^ -(value & 1);
      }
    }
    return this.#corrupt('a number of more than 32 bits');
  }

  /** Reads a zigzag varint of up to 64 bits; NaN where a number may not hold it. */
  #varlong(limit: number): number {
    const bytes = this.bytes;
    let position = this.#position;
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 10; count++) {
      if (position >= limit) this.#corrupt('a number runs over the end');
      const byte = bytes[position++]!;
      value += (byte & 0x7f) * factor;
      factor *= 0x80;
      if (byte < 0x80) {
        this.#position = position;
        if (value > Number.MAX_SAFE_INTEGER) return Number.NaN;
        return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      }
    }
    return this.#corrupt('a number of more than 64 bits');
  }

  #headers(end: number): void {
    const count = this.#varint(end);
    // A header takes at least two bytes, so an absurd count is found before anything is walked.
    if (count < 0 || count > (end - this.#position) / 2) this.#corrupt(`${count} headers`);
    this.headerCount = count;
    this.headersStart = this.#position;
    for (let index = 0; index < count; index++) {
      const keyLength = this.#varint(end);
      if (keyLength < 0 || keyLength > end - this.#position) this.#corrupt(`header key length ${keyLength}`);
      this.#position += keyLength;
      const valueLength = this.#varint(end);
      if (valueLength < -1 || valueLength > end - this.#position) this.#corrupt(`header value length ${valueLength}`);
      if (valueLength > 0) this.#position += valueLength;
    }
    this.headersEnd = this.#position;
  }

  #corrupt(what: string): never {
    const near = this.#baseOffset + this.#previousDelta + 1;
    this.#remaining = 0;
    throw new RecordsError('CORRUPT', `record at or after offset ${near}: ${what}`);
  }
}

const empty = Buffer.alloc(0);

/**
 * Walks over the headers of a record that `RecordCursor` stands on (and has checked). Keys may repeat, order counts.
 *
 *     for (headers.reset(cursor); headers.next(); ) use(headers.keyStart, headers.keyEnd, headers.valueStart, ...);
 */
export class HeaderCursor {
  bytes: Buffer = empty;
  keyStart = 0;
  keyEnd = 0;
  /** -1 for null. */
  valueStart = -1;
  valueEnd = -1;
  #remaining = 0;
  #position = 0;

  reset(record: RecordCursor): this {
    this.bytes = record.bytes;
    this.#remaining = record.headerCount;
    this.#position = record.headersStart;
    return this;
  }

  next(): boolean {
    if (this.#remaining === 0) return false;
    this.#remaining--;
    const keyLength = this.#varint();
    this.keyStart = this.#position;
    this.keyEnd = this.#position += keyLength;
    const valueLength = this.#varint();
    if (valueLength < 0) this.valueStart = this.valueEnd = -1;
    else {
      this.valueStart = this.#position;
      this.valueEnd = this.#position += valueLength;
    }
    return true;
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.#position++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
  }
}
