import { RecordsError } from './errors.ts';
import {
  arenaAddress,
  arenaBytes,
  arenaExports,
  arenaView,
  giveArenaBack,
  giveMemoryBack,
  shrinkArena,
  takeArena,
  takeMemory,
} from './record-memory.ts';
import { instantiate, newMemory, PAGE_BYTES, type RecordsExports, type WasmMemory } from './records-module.ts';

/** Copies go in steps of 16 bytes and may run beyond their end by up to 15. */
const SLACK = 32;
/** A memory that one huge batch made larger than this is given back after it. */
const KEPT_BYTES = 8 << 20;
/** The first page is the module's own. */
const FIRST = PAGE_BYTES;

/** Decompressed records, in memory that is lent: the first `length` bytes. */
export interface LentBytes {
  readonly bytes: Buffer;
  readonly length: number;
  giveBack(): void;
}

/**
 * Puts blocks of lz4 and snappy together, one by one between `begin` and `finish`, in the arena where it has room, and
 * otherwise in a memory of its own.
 */
export class BlockDecompressor {
  #exports: RecordsExports | undefined;
  /** Addresses: of the input, of the output, of where the next block goes, and of what it must not reach beyond. */
  #input = 0;
  #output = 0;
  #position = 0;
  #limit = 0;
  /** Blocks of the arena that this batch holds; 0: none. */
  #inputBytes = 0;
  #outputBytes = 0;
  /** For what the arena has no room for. */
  #own: { readonly memory: WasmMemory; bytes: Buffer; readonly exports: RecordsExports } | undefined;

  /** Takes compressed bytes over; at most `outputBytes` may come out of them. */
  begin(input: Buffer, outputBytes: number): void {
    this.#free();
    if (!this.#beginInArena(input, outputBytes + SLACK)) this.#beginInOwn(input, outputBytes + SLACK);
    this.#position = this.#output;
    this.#limit = this.#output + outputBytes;
  }

  /** Bytes that came out so far. */
  get length(): number {
    return this.#position - this.#output;
  }

  /** Decompresses an lz4 block that lies from `start` to `end` of the input; `history` bytes of output are its frame's. */
  lz4Block(start: number, end: number, history: number): void {
    const from = this.#position - history;
    const input = this.#input;
    this.#advance(this.#exports!.lz4Block(input + start, input + end, from, this.#position, this.#limit), 'lz4');
  }

  /** Decompresses a snappy block, after its length, that must come out with `length` bytes. */
  snappyBlock(start: number, end: number, length: number): void {
    const target = this.#position + length;
    if (target > this.#limit) throw new RecordsError('CORRUPT', 'a snappy block is longer than it may be');
    const input = this.#input;
    const reached = this.#exports!.snappyBlock(input + start, input + end, this.#position, target);
    this.#advance(reached === target ? reached : 0, 'snappy');
  }

  /** Bytes that are stored as they are. */
  stored(start: number, end: number): void {
    if (end - start > this.#limit - this.#position) throw new RecordsError('CORRUPT', 'a stored block is too long');
    const memory = this.#outputBytes > 0 ? arenaBytes() : this.#own!.bytes;
    memory.copyWithin(this.#position, this.#input + start, this.#input + end);
    this.#position += end - start;
  }

  /** All that came out; the next batch may begin. */
  finish(): LentBytes {
    const { length } = this;
    if (this.#outputBytes === 0) {
      const own = this.#own!;
      const bytes = takeMemory(length);
      own.bytes.copy(bytes, 0, this.#output, this.#position);
      if (own.bytes.length > KEPT_BYTES) this.#own = undefined;
      return { bytes, length, giveBack: () => giveMemoryBack(bytes) };
    }
    const address = this.#output;
    const size = Math.max(length, 1);
    shrinkArena(address, this.#outputBytes, size);
    this.#outputBytes = 0;
    this.#free();
    return { bytes: arenaView(address, length), length, giveBack: () => giveArenaBack(address, size) };
  }

  #beginInArena(input: Buffer, outputBytes: number): boolean {
    const output = takeArena(outputBytes);
    if (output < 0) return false;
    this.#output = output;
    this.#outputBytes = outputBytes;
    let address = arenaAddress(input, 0);
    if (address < 0) {
      address = takeArena(input.length + SLACK);
      if (address < 0) {
        this.#free();
        return false;
      }
      this.#inputBytes = input.length + SLACK;
      arenaView(address, input.length).set(input);
    }
    this.#input = address;
    this.#exports = arenaExports();
    return true;
  }

  #beginInOwn(input: Buffer, outputBytes: number): void {
    if (this.#own === undefined) {
      const memory = newMemory(4);
      this.#own = { memory, bytes: Buffer.from(memory.buffer), exports: instantiate(memory) };
    }
    const own = this.#own;
    this.#input = FIRST;
    this.#output = FIRST + input.length + SLACK;
    const missing = this.#output + outputBytes - own.bytes.length;
    if (missing > 0) {
      own.memory.grow(Math.ceil(missing / PAGE_BYTES));
      own.bytes = Buffer.from(own.memory.buffer);
    }
    input.copy(own.bytes, FIRST);
    this.#exports = own.exports;
  }

  /** Gives back what the batch held, also one that was not finished because it is corrupt. */
  #free(): void {
    if (this.#outputBytes > 0) giveArenaBack(this.#output, this.#outputBytes);
    if (this.#inputBytes > 0) giveArenaBack(this.#input, this.#inputBytes);
    this.#outputBytes = 0;
    this.#inputBytes = 0;
  }

  #advance(position: number, codec: string): void {
    if (position === 0) throw new RecordsError('CORRUPT', `a block of ${codec} data contradicts itself`);
    this.#position = position;
  }
}

/** The one of this thread. */
export const blockDecompressor = new BlockDecompressor();
