/**
 * The event writer's fast path: a WebAssembly module with SIMD (assembly/transcoder.ts) that turns the records of a
 * chunk into the event's JSON in one pass, with no call and no string a record. It writes what is common and leaves the
 * rest to the plain writer; a property test holds the two together.
 *
 * It works in the memory that records are fetched into and payloads lie in, so nothing is copied; bytes that lie
 * elsewhere (that memory has an end) go through a window. The memory never grows, since growing would detach the views
 * on it. The module's own part of it:
 *
 *      guest: constants │ + 32 K: what records of a partition begin with │ … timestamp type
 */
import { arenaAddress, recordMemory, takeMemory } from '@headrace/kafka-records';
import type { Slice } from './slice.ts';
import { transcoderBytes } from './transcoder-bytes.ts';

interface TranscoderExports {
  transcode(
    input: number,
    inputLimit: number,
    maximum: number,
    output: number,
    outputLimit: number,
    head: number,
    headLength: number,
    middle: number,
    middleLength: number,
    baseOffset: number,
    lastDelta: number,
    baseTimestamp: number,
    isAppendTime: number,
    appendTime: number,
    previousDelta: number,
    isFirst: number,
  ): number;
  readonly inputEnd: { readonly value: number };
  readonly outputEnd: { readonly value: number };
  readonly lastOffset: { readonly value: number };
  readonly wantsRoom: { readonly value: number };
}

/** What is used of the WebAssembly global, which TypeScript's library for Node does not declare. */
interface WebAssemblyGlobal {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: object };
}

/** Where the module was built to live (`--memoryBase`); checked against the memory when it is made. */
const GUEST = 0x20000;
const HEAD = GUEST + 0x8000;
const MIDDLE = GUEST + 0x9000;
const INPUT_BYTES = 512 * 1024;
const OUTPUT_BYTES = 1024 * 1024;
/** What 16-byte loads may read beyond the end. */
const SLACK = 64;

const MIDDLES = {
  CREATE_TIME: Buffer.from(',"timestampType":"CREATE_TIME"'),
  LOG_APPEND_TIME: Buffer.from(',"timestampType":"LOG_APPEND_TIME"'),
};

export class Transcoder {
  /** Byte position in the chunk behind the last record of the last run. */
  inputEnd = 0;
  /** Bytes that the last run wrote. */
  outputBytes = 0;
  lastOffset = 0;
  /** The last run stopped because the next record might not fit. */
  wantsRoom = false;

  readonly #bytes: Buffer;
  readonly #exports: TranscoderExports;
  #head: Buffer | undefined;
  #timestampType: keyof typeof MIDDLES | undefined;
  /** Made when first needed; undefined too when there is no room for it. */
  #input: Buffer | undefined;
  #output: Buffer | undefined;

  /** Throws where WebAssembly or its SIMD, the relaxed one included, is missing. */
  constructor() {
    const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyGlobal };
    const { memory, bytes, guest } = recordMemory();
    if (guest !== GUEST) throw new Error(`the transcoder was built for address ${GUEST}, not ${guest}`);
    const module = new WebAssembly.Module(Buffer.from(transcoderBytes, 'base64'));
    const { exports } = new WebAssembly.Instance(module, { env: { memory, abort: stopped } });
    this.#exports = exports as TranscoderExports;
    this.#bytes = bytes;
  }

  /**
   * Writes up to `maximum` records of `slice` from byte `start` of its chunk on, behind `previousOffset`, into `out` from
   * `position` on, at most `room` bytes. Returns how many; fewer than there are means: call again, and after 0 let the
   * plain writer take the next one.
   */
  run(
    slice: Slice,
    start: number,
    previousOffset: number,
    maximum: number,
    isFirst: boolean,
    out: Buffer,
    position: number,
    room: number,
  ): number {
    const { chunk } = slice.held;
    if (chunk.exactTimestamps !== undefined) {
      this.wantsRoom = false;
      return 0;
    }
    const { record } = slice.lane.head;
    if (record !== this.#head) {
      record.copy(this.#bytes, HEAD);
      this.#head = record;
    }
    const middle = MIDDLES[chunk.timestampType];
    if (chunk.timestampType !== this.#timestampType) {
      middle.copy(this.#bytes, MIDDLE);
      this.#timestampType = chunk.timestampType;
    }
    const most = Math.max(0, Math.min(room, out.length - position));
    let end = slice.end;
    let input = arenaAddress(chunk.bytes, start);
    if (input < 0) {
      input = this.#inputWindow();
      // About what `maximum` records take; a slice may hold many more, and what is not needed is not copied.
      const expected = Math.ceil(((chunk.end - chunk.start) / chunk.count) * maximum * 1.25) + 1024;
      end = Math.min(end, start + Math.min(expected, INPUT_BYTES));
      if (input >= 0) chunk.bytes.copy(this.#bytes, input, start, end);
    }
    const direct = arenaAddress(out, position);
    const output = direct < 0 ? this.#outputWindow() : direct;
    if (input < 0 || output < 0) {
      this.wantsRoom = false;
      return 0;
    }
    const count = this.#exports.transcode(
      input,
      input + end - start,
      maximum,
      output,
      output + (direct < 0 ? Math.min(OUTPUT_BYTES, most) : most),
      HEAD,
      record.length,
      MIDDLE,
      middle.length,
      chunk.baseOffset,
      Math.min(chunk.nextOffset - chunk.baseOffset - 1, 0x7fffffff),
      chunk.baseTimestamp,
      chunk.timestampType === 'LOG_APPEND_TIME' ? 1 : 0,
      chunk.maxTimestamp,
      start === slice.start ? -1 : previousOffset - chunk.baseOffset,
      isFirst ? 1 : 0,
    );
    this.inputEnd = start + this.#exports.inputEnd.value - input;
    this.outputBytes = this.#exports.outputEnd.value - output;
    this.lastOffset = this.#exports.lastOffset.value;
    this.wantsRoom = this.#exports.wantsRoom.value !== 0;
    if (direct < 0 && this.outputBytes > 0) this.#bytes.copy(out, position, output, output + this.outputBytes);
    return count;
  }

  /** Addresses of the windows; -1 where there is no room for them. */
  #inputWindow(): number {
    this.#input ??= takeMemory(INPUT_BYTES + SLACK);
    return arenaAddress(this.#input, 0);
  }

  #outputWindow(): number {
    this.#output ??= takeMemory(OUTPUT_BYTES);
    return arenaAddress(this.#output, 0);
  }
}

let shared: Transcoder | undefined;
let isMissing = false;

/** The one of this process; undefined where WebAssembly has no SIMD. */
export function processTranscoder(): Transcoder | undefined {
  if (shared === undefined && !isMissing) {
    try {
      shared = new Transcoder();
    } catch {
      // The plain writer does the same, slower.
      isMissing = true;
    }
  }
  return shared;
}

function stopped(): never {
  throw new Error('the WebAssembly transcoder stopped');
}
