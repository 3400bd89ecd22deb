import { readFileSync } from 'node:fs';
import { RecordsError } from './errors.ts';

interface Exports {
  lz4Block(source: number, sourceEnd: number, history: number, target: number, targetEnd: number): number;
  snappyBlock(source: number, sourceEnd: number, target: number, targetEnd: number): number;
}

/** What is used of the global, which Node has and TypeScript's library without DOM does not declare. */
interface WebAssemblyGlobal {
  Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer; grow(pages: number): number };
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: object };
}

const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyGlobal };
const PAGE = 65_536;
/** Copies go in steps of 16 bytes and may run beyond their end by up to 15. */
const SLACK = 32;
/** A memory that one huge batch made larger than this is given back after it. */
const KEPT_BYTES = 8 << 20;
/** The first page holds what the compiler puts there. */
const FIRST = PAGE;

let compiled: object | undefined;

/**
 * The memory and instance of a thread: compressed bytes go in at the front, records come out behind them. Blocks are
 * decompressed one by one between `begin` and `result`.
 */
export class WasmDecompressor {
  #memory = new WebAssembly.Memory({ initial: 1 });
  #bytes = Buffer.alloc(0);
  #exports: Exports | undefined;
  #output = 0;
  #position = 0;
  #limit = 0;

  /** Takes compressed bytes over; at most `outputBytes` may come out of them. */
  begin(input: Buffer, outputBytes: number): void {
    this.#output = FIRST + input.length + SLACK;
    this.#position = this.#output;
    this.#limit = this.#output + outputBytes;
    this.#reserve(this.#limit + SLACK);
    input.copy(this.#bytes, FIRST);
  }

  /** Bytes that came out so far. */
  get length(): number {
    return this.#position - this.#output;
  }

  /** Decompresses an lz4 block that lies from `start` to `end` of the input; `history` bytes of output are its frame's. */
  lz4Block(start: number, end: number, history: number): void {
    const { lz4Block } = this.#exports!;
    const from = this.#position - history;
    this.#advance(lz4Block(FIRST + start, FIRST + end, from, this.#position, this.#limit), 'lz4');
  }

  /** Decompresses a snappy block, after its length, that must come out with `length` bytes. */
  snappyBlock(start: number, end: number, length: number): void {
    const target = this.#position + length;
    if (target > this.#limit) throw new RecordsError('CORRUPT', 'a snappy block is longer than it may be');
    const reached = this.#exports!.snappyBlock(FIRST + start, FIRST + end, this.#position, target);
    this.#advance(reached === target ? reached : 0, 'snappy');
  }

  /** Bytes that are stored as they are. */
  stored(start: number, end: number): void {
    if (end - start > this.#limit - this.#position) throw new RecordsError('CORRUPT', 'a stored block is too long');
    this.#bytes.copyWithin(this.#position, FIRST + start, FIRST + end);
    this.#position += end - start;
  }

  /** Copies all that came out to the front of `target`. */
  copyTo(target: Buffer): void {
    this.#bytes.copy(target, 0, this.#output, this.#position);
    if (this.#bytes.length > KEPT_BYTES) this.#renew();
  }

  #advance(position: number, codec: string): void {
    if (position === 0) throw new RecordsError('CORRUPT', `a block of ${codec} data contradicts itself`);
    this.#position = position;
  }

  #reserve(size: number): void {
    if (this.#exports === undefined) this.#renew();
    const missing = size - this.#bytes.length;
    if (missing <= 0) return;
    this.#memory.grow(Math.ceil(missing / PAGE));
    this.#bytes = Buffer.from(this.#memory.buffer);
  }

  #renew(): void {
    compiled ??= new WebAssembly.Module(readFileSync(new URL('./decompressor.wasm', import.meta.url)));
    this.#memory = new WebAssembly.Memory({ initial: 4 });
    this.#bytes = Buffer.from(this.#memory.buffer);
    this.#exports = new WebAssembly.Instance(compiled, { env: { memory: this.#memory } }).exports as Exports;
  }
}

/** The one of this thread. */
export const decompressor = new WasmDecompressor();
