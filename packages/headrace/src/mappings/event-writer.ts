/**
 * Lambda's Kafka event, written once, straight from record bytes into one buffer (spec ESM 4):
 *
 *     {"eventSource":"aws:kafka","eventSourceArn":…,"bootstrapServers":…,"records":{"orders-0":[
 *       {"topic":"orders","partition":0,"offset":250,"timestamp":1678072110111,"timestampType":"CREATE_TIME",
 *        "key":"MTIz","value":"Zg==","headers":[{"trace":[118,-36]}]} …
 *
 * Members and their order are the developer guide's, as captured from AWS. A null key or value has no member; header
 * bytes are signed; a header without a value is an empty list. Writing a batch also closes it: what would grow beyond
 * the limit is not written.
 */
import { HeaderCursor, RecordCursor, RecordsError } from '@headrace/kafka-records';
import type { Lane } from './lane.ts';
import { HEAD_ROOM_BYTES, payloadOf, releaseBuffer, takeBuffer } from './payload-buffers.ts';
import { chunkOf, type Slice } from './slice.ts';
import { processTranscoder, type Transcoder } from './transcoder.ts';

const EMPTY = Buffer.alloc(0);
const CLOSING = Buffer.from(']}}');
const TIMESTAMP = ascii(',"timestamp":');
const CREATE_TIME = ascii(',"timestampType":"CREATE_TIME"');
const LOG_APPEND_TIME = ascii(',"timestampType":"LOG_APPEND_TIME"');
const KEY = ascii(',"key":"');
const VALUE = ascii(',"value":"');
const HEADERS = ascii(',"headers":[');
/** Fixed parts of a record, numbers included, with room to spare. */
const FIXED_BYTES = 192;
/** For fewer records the call into WebAssembly costs more than it saves. */
const TRANSCODED_FROM = 4;
/** From this length on the vectorised base64 of Node is faster than the table, in spite of its call and string. */
const NATIVE_BASE64_FROM = 400;

/** Both are faster than their public relatives `toString('base64')` and `write(…, 'latin1')`, and as old as Node. */
interface FastBuffer {
  base64Slice(start: number, end: number): string;
  latin1Write(text: string, offset: number): number;
}

/** Two base64 characters for each 12-bit number, as they lie in memory. */
const PAIRS = (() => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const pairs = new Uint8Array(8192);
  for (let i = 0; i < 4096; i++) {
    pairs[2 * i] = alphabet.charCodeAt(i >> 6);
    pairs[2 * i + 1] = alphabet.charCodeAt(i & 63);
  }
  return pairs;
})();

/** The members before the records, made once a mapping. */
export function eventHead(source: {
  readonly eventSourceArn?: string | undefined;
  readonly bootstrapServers: readonly string[];
}): Buffer {
  const members =
    source.eventSourceArn === undefined
      ? { eventSource: 'SelfManagedKafka', bootstrapServers: source.bootstrapServers.join(',') }
      : {
          eventSource: 'aws:kafka',
          eventSourceArn: source.eventSourceArn,
          bootstrapServers: source.bootstrapServers.join(','),
        };
  return Buffer.from(`${JSON.stringify(members).slice(0, -1)},"records":{`);
}

/** What every record of a partition begins with, made once an assignment. */
export function partitionHead(topic: string, partition: number): { readonly key: Buffer; readonly record: Buffer } {
  return {
    key: Buffer.from(`${JSON.stringify(`${topic}-${partition}`)}:[`),
    record: Buffer.from(`{"topic":${JSON.stringify(topic)},"partition":${partition},"offset":`),
  };
}

/** About how many payload bytes `count` records in `bytes` bytes become; headers are counted like values. */
export function estimatePayload(bytes: number, count: number): number {
  return Math.ceil(bytes * 1.34) + count * 150;
}

/**
 * Writes one event at a time: `begin`, `append` for each slice, `finish`. The buffer that `finish` gives belongs to the
 * caller, who gives it back with `releaseBuffer`.
 */
export class EventWriter {
  /** Records, bytes and offsets of the last `append`. */
  written = 0;
  /** Byte position in the chunk behind the last record written. */
  writtenEnd = 0;
  /** Offset of the last record written. */
  lastOffset = 0;

  readonly #cursor = new RecordCursor();
  readonly #headerCursor = new HeaderCursor();
  readonly #options: { readonly transcoder: Transcoder | undefined };
  #out: Buffer = EMPTY;
  #position = 0;
  #limit = 0;
  #partition: unknown;
  #records = 0;

  /** Default: the process's transcoder, where WebAssembly has SIMD; undefined writes in plain JavaScript alone. */
  constructor(options: { readonly transcoder: Transcoder | undefined } = { transcoder: processTranscoder() }) {
    this.#options = options;
  }

  /** `limitBytes`: the finished event is never longer. `expectedBytes` saves growing. */
  begin(head: Buffer, limitBytes: number, expectedBytes: number): void {
    this.#out = takeBuffer(HEAD_ROOM_BYTES + Math.min(expectedBytes, limitBytes) + head.length + FIXED_BYTES);
    this.#limit = HEAD_ROOM_BYTES + limitBytes;
    this.#partition = undefined;
    this.#records = 0;
    this.#position = HEAD_ROOM_BYTES;
    this.#position += head.copy(this.#out, this.#position);
  }

  get records(): number {
    return this.#records;
  }

  /**
   * Writes up to `maximum` records of `slice`. Afterwards `written` says how many there were; fewer than asked for and
   * there means that the next one does not fit, or cannot be decoded. Slices of a partition must follow each other.
   */
  append(slice: Slice, maximum: number): void {
    this.written = 0;
    this.writtenEnd = slice.start;
    const most = Math.min(maximum, slice.count);
    const { transcoder } = this.#options;
    while (this.written < most) {
      const left = most - this.written;
      if (transcoder !== undefined && left >= TRANSCODED_FROM && this.#transcode(transcoder, slice, left)) continue;
      // All that is left without a transcoder; with one, what it stopped at.
      const end = this.written + (transcoder === undefined || left < TRANSCODED_FROM ? left : 1);
      this.#appendPlain(slice, end);
      if (this.written < end) return;
    }
  }

  /** Writes what it can of the next records; false when it came no further. */
  #transcode(transcoder: Transcoder, slice: Slice, maximum: number): boolean {
    const { lane } = slice;
    const before = this.#position;
    const isFirst = this.#partition !== lane;
    if (isFirst) {
      this.#reserve(FIXED_BYTES + lane.head.key.length);
      if (this.#records > 0) this.#copy(NEXT_PARTITION);
      this.#position += lane.head.key.copy(this.#out, this.#position);
    }
    const room = this.#limit - this.#position - CLOSING.length;
    let count = transcoder.run(
      slice,
      this.writtenEnd,
      this.lastOffset,
      maximum,
      isFirst,
      this.#out,
      this.#position,
      room,
    );
    while (count === 0 && transcoder.wantsRoom && this.#out.length - this.#position < room) {
      // The buffer is too small, not the limit.
      this.#reserve(this.#out.length);
      count = transcoder.run(
        slice,
        this.writtenEnd,
        this.lastOffset,
        maximum,
        isFirst,
        this.#out,
        this.#position,
        room,
      );
    }
    if (count === 0) {
      this.#position = before;
      return false;
    }
    this.#position += transcoder.outputBytes;
    this.#partition = lane;
    this.#records += count;
    this.written += count;
    this.writtenEnd = transcoder.inputEnd;
    this.lastOffset = transcoder.lastOffset;
    return true;
  }

  /** The same in plain JavaScript, from where the last record ended, until `until` records are written. */
  #appendPlain(slice: Slice, until: number): void {
    const { lane, held } = slice;
    const isContinued = this.written > 0;
    const rest = { held, start: this.writtenEnd, end: slice.end, count: slice.count - this.written };
    const cursor = this.#cursor.reset(chunkOf(rest));
    const timestampType = held.chunk.timestampType === 'LOG_APPEND_TIME' ? LOG_APPEND_TIME : CREATE_TIME;
    try {
      while (this.written < until && cursor.next()) {
        if (isContinued && cursor.offset <= this.lastOffset)
          throw new RecordsError('CORRUPT', `offset ${cursor.offset} after ${this.lastOffset}`);
        const before = this.#position;
        this.#record(lane, cursor, timestampType);
        if (this.#position + CLOSING.length > this.#limit) {
          this.#position = before;
          return;
        }
        this.#partition = lane;
        this.#records++;
        this.written++;
        this.writtenEnd = cursor.end;
        this.lastOffset = cursor.offset;
      }
    } catch (error) {
      // A record that cannot be decoded: what came before it is whole and counts; asked again, it throws.
      if (this.written === 0) throw error;
    }
  }

  #record(lane: Lane, cursor: RecordCursor, timestampType: Uint8Array): void {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd } = cursor;
    const { head } = lane;
    this.#reserve(
      FIXED_BYTES +
        head.key.length +
        head.record.length +
        (keyEnd - keyStart + valueEnd - valueStart) * 1.4 +
        (cursor.headersEnd - cursor.headersStart) * 6,
    );
    if (this.#partition !== lane) {
      if (this.#records > 0) this.#copy(NEXT_PARTITION);
      this.#copy(head.key);
    } else this.#out[this.#position++] = 0x2c;
    this.#copy(head.record);
    this.#number(cursor.offset);
    this.#copy(TIMESTAMP);
    if (Number.isSafeInteger(cursor.timestamp)) this.#number(cursor.timestamp);
    else this.#position += this.#out.write(String(cursor.exactTimestamp), this.#position, 'latin1');
    this.#copy(timestampType);
    if (keyStart >= 0) {
      this.#copy(KEY);
      this.#base64(bytes, keyStart, keyEnd - keyStart);
      this.#out[this.#position++] = 0x22;
    }
    if (valueStart >= 0) {
      this.#copy(VALUE);
      this.#base64(bytes, valueStart, valueEnd - valueStart);
      this.#out[this.#position++] = 0x22;
    }
    this.#copy(HEADERS);
    if (cursor.headerCount > 0) this.#headers(cursor);
    this.#out[this.#position++] = 0x5d;
    this.#out[this.#position++] = 0x7d;
  }

  /** The whole event. Without records it is `{…,"records":{}}`, which nobody sends. */
  finish(): Buffer {
    this.#reserve(CLOSING.length);
    this.#copy(this.#records > 0 ? CLOSING : CLOSING.subarray(1));
    const event = payloadOf(this.#out, this.#position);
    this.#out = EMPTY;
    return event;
  }

  #headers(cursor: RecordCursor): void {
    const headers = this.#headerCursor.reset(cursor);
    const { bytes } = headers;
    const out = this.#out;
    for (let index = 0; headers.next(); index++) {
      if (index > 0) out[this.#position++] = 0x2c;
      out[this.#position++] = 0x7b;
      this.#name(bytes, headers.keyStart, headers.keyEnd);
      out[this.#position++] = 0x3a;
      out[this.#position++] = 0x5b;
      for (let i = headers.valueStart; i < headers.valueEnd; i++) {
        if (i > headers.valueStart) out[this.#position++] = 0x2c;
        this.#signedByte(bytes[i]!);
      }
      out[this.#position++] = 0x5d;
      out[this.#position++] = 0x7d;
    }
  }

  #name(bytes: Buffer, start: number, end: number): void {
    const out = this.#out;
    const before = this.#position;
    out[this.#position++] = 0x22;
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!;
      if (byte < 0x20 || byte >= 0x7f || byte === 0x22 || byte === 0x5c) {
        // Anything beyond plain ASCII takes the long way; a name that is not UTF-8 gets replacement characters.
        // Six bytes for each of its bytes are reserved: the longest escape is \\u001f.
        const text = JSON.stringify(bytes.toString('utf8', start, end));
        this.#position = before + out.write(text, before);
        return;
      }
      out[this.#position++] = byte;
    }
    out[this.#position++] = 0x22;
  }

  #signedByte(byte: number): void {
    const out = this.#out;
    let value = byte;
    if (byte > 127) {
      out[this.#position++] = 0x2d;
      value = 256 - byte;
    }
    if (value >= 100) {
      out[this.#position++] = 0x31;
      value -= 100;
      out[this.#position++] = 0x30 + ((value / 10) | 0);
    } else if (value >= 10) out[this.#position++] = 0x30 + ((value / 10) | 0);
    out[this.#position++] = 0x30 + (value % 10);
  }

  #number(value: number): void {
    const out = this.#out;
    if (value < 0) {
      out[this.#position++] = 0x2d;
      value = -value;
    }
    let digits = 1;
    for (let power = 10; digits < 16 && value >= power; power *= 10) digits++;
    let at = this.#position + digits;
    this.#position = at;
    while (value > 0x7fffffff) {
      const rest = Math.floor(value / 10);
      out[--at] = 0x30 + (value - rest * 10);
      value = rest;
    }
    let small = value | 0;
    do {
      const rest = (small / 10) | 0;
      out[--at] = 0x30 + (small - rest * 10);
      small = rest;
    } while (small > 0);
  }

  #base64(bytes: Buffer, start: number, length: number): void {
    if (length >= NATIVE_BASE64_FROM) {
      const text = (bytes as unknown as FastBuffer).base64Slice(start, start + length);
      this.#position += (this.#out as unknown as FastBuffer).latin1Write(text, this.#position);
      return;
    }
    const out = this.#out;
    let at = this.#position;
    let i = start;
    for (const whole = start + length - (length % 3); i < whole; i += 3) {
      const bits = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!;
      const high = (bits >>> 12) << 1;
      const low = (bits & 0xfff) << 1;
      out[at] = PAIRS[high]!;
      out[at + 1] = PAIRS[high + 1]!;
      out[at + 2] = PAIRS[low]!;
      out[at + 3] = PAIRS[low + 1]!;
      at += 4;
    }
    const rest = start + length - i;
    if (rest > 0) {
      const bits = (bytes[i]! << 16) | (rest === 2 ? bytes[i + 1]! << 8 : 0);
      const high = (bits >>> 12) << 1;
      const low = (bits & 0xfff) << 1;
      out[at] = PAIRS[high]!;
      out[at + 1] = PAIRS[high + 1]!;
      out[at + 2] = rest === 2 ? PAIRS[low]! : 0x3d;
      out[at + 3] = 0x3d;
      at += 4;
    }
    this.#position = at;
  }

  #copy(from: Uint8Array): void {
    const out = this.#out;
    let at = this.#position;
    for (let i = 0; i < from.length; i++) out[at++] = from[i]!;
    this.#position = at;
  }

  #reserve(bytes: number): void {
    if (this.#position + bytes <= this.#out.length) return;
    const larger = takeBuffer(Math.max(this.#position + Math.ceil(bytes), this.#out.length * 2));
    this.#out.copy(larger, 0, 0, this.#position);
    releaseBuffer(this.#out);
    this.#out = larger;
  }
}

const NEXT_PARTITION = ascii('],');

function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}
