/**
 * The event writer's fast path: a WebAssembly module with SIMD (assembly/transcoder.ts) that turns the records of a
 * chunk into the event's JSON in one pass, with no call and no string a record. It writes what is common and leaves the
 * rest to the plain writer; a property test holds the two together.
 *
 * Its memory is allocated once and never grows, since growing would detach the views on it:
 *
 *      0 constants │ 64 K head │ … middle │ 128 K input, 512 K │ output, 2 M
 */
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
}

/** What is used of the WebAssembly global, which TypeScript's library for Node does not declare. */
interface WebAssemblyGlobal {
  Memory: new (descriptor: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: object };
}

const HEAD = 0x10000;
const MIDDLE = 0x11000;
const INPUT = 0x20000;
const INPUT_BYTES = 512 * 1024;
/** What 16-byte loads may read beyond the end. */
const SLACK = 64;
const OUTPUT = INPUT + INPUT_BYTES + SLACK;
const OUTPUT_BYTES = 2 * 1024 * 1024;
const PAGES = Math.ceil((OUTPUT + OUTPUT_BYTES + SLACK) / 65_536);

const MIDDLES = {
  CREATE_TIME: Buffer.from(',"timestampType":"CREATE_TIME"'),
  LOG_APPEND_TIME: Buffer.from(',"timestampType":"LOG_APPEND_TIME"'),
};

export class Transcoder {
  /** Byte position in the chunk behind the last record of the last run. */
  inputEnd = 0;
  /** Bytes that the last run made; `copyTo` fetches them. */
  outputBytes = 0;
  lastOffset = 0;

  readonly #memory: Buffer;
  readonly #exports: TranscoderExports;
  #head: Buffer | undefined;
  #timestampType: keyof typeof MIDDLES | undefined;

  /** Throws where WebAssembly or its SIMD is missing. */
  constructor() {
    const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyGlobal };
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
    const module = new WebAssembly.Module(Buffer.from(transcoderBytes, 'base64'));
    const { exports } = new WebAssembly.Instance(module, { env: { memory, abort: stopped } });
    this.#exports = exports as TranscoderExports;
    this.#memory = Buffer.from(memory.buffer);
  }

  /**
   * Writes up to `maximum` records of `slice` from byte `start` of its chunk on, behind `previousOffset`, into at most
   * `room` bytes. Returns how many; fewer than there are means: call again, and after 0 let the plain writer take the next one.
   */
  run(slice: Slice, start: number, previousOffset: number, maximum: number, room: number, isFirst: boolean): number {
    const { chunk } = slice.held;
    const { record } = slice.lane.head;
    if (record !== this.#head) {
      record.copy(this.#memory, HEAD);
      this.#head = record;
    }
    const middle = MIDDLES[chunk.timestampType];
    if (chunk.timestampType !== this.#timestampType) {
      middle.copy(this.#memory, MIDDLE);
      this.#timestampType = chunk.timestampType;
    }
    // About what `maximum` records take; a slice may hold many more, and what is not needed is not copied.
    const expected = Math.ceil(((chunk.end - chunk.start) / chunk.count) * maximum * 1.25) + 1024;
    const end = Math.min(slice.end, start + Math.min(expected, INPUT_BYTES));
    chunk.bytes.copy(this.#memory, INPUT, start, end);
    const count = this.#exports.transcode(
      INPUT,
      INPUT + end - start,
      maximum,
      OUTPUT,
      OUTPUT + Math.max(0, Math.min(OUTPUT_BYTES, room)),
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
    this.inputEnd = start + this.#exports.inputEnd.value - INPUT;
    this.outputBytes = this.#exports.outputEnd.value - OUTPUT;
    this.lastOffset = this.#exports.lastOffset.value;
    return count;
  }

  /** Copies what the last run made; returns the number of bytes. */
  copyTo(target: Buffer, position: number): number {
    return this.#memory.copy(target, position, OUTPUT, OUTPUT + this.outputBytes);
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
