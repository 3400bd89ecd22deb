import { BuddyAllocator } from './buddy-allocator.ts';
import { instantiate, newMemory, PAGE_BYTES, type RecordsExports, type WasmMemory } from './records-module.ts';

/**
 * Memory of a thread for compressed and decompressed records, used again and again: fresh memory from the system costs
 * more than reading from a socket into it. It lies where WebAssembly can reach it, so that checksums and decompression
 * need no copies. It never grows, since that would detach every view of it; what does not fit lies in ordinary memory,
 * which works as well and is slower.
 */
const ARENA_BYTES = 64 << 20;
/** Behind the arena: copies in WebAssembly go in steps of 16 bytes and may run beyond their end. */
const SLACK_PAGES = 1;
/** The first page is the module's own, the second one is a window for bytes that lie elsewhere. */
const WINDOW = PAGE_BYTES;
/** After it two pages for another module that works on records where they lie. */
const GUEST = 2 * PAGE_BYTES;
/** Of ordinary blocks. */
const KEPT_BYTES = 16 << 20;

/** The arena of a thread, and the module that works in it. */
interface Arena {
  readonly memory: WasmMemory;
  readonly bytes: Buffer;
  readonly exports: RecordsExports;
  readonly blocks: BuddyAllocator;
}

let arena: Arena | undefined;

function open(): Arena {
  const pages = ARENA_BYTES / PAGE_BYTES + SLACK_PAGES;
  const memory = newMemory(pages, pages);
  const blocks = new BuddyAllocator(ARENA_BYTES);
  blocks.take(4 * PAGE_BYTES);
  arena = { memory, bytes: Buffer.from(memory.buffer), exports: instantiate(memory), blocks };
  return arena;
}

/** The module over the arena. */
export const arenaExports = (): RecordsExports => (arena ?? open()).exports;

/** Address of `bytes[position]` in the memory of `recordMemory`; -1 where they lie elsewhere. */
export const arenaAddress = (bytes: Uint8Array, position: number): number =>
  arena !== undefined && bytes.buffer === arena.bytes.buffer ? bytes.byteOffset + position : -1;

/**
 * The arena's memory, for a module of WebAssembly that works on records where they lie. The 128 KiB from `guest` on are
 * for it alone; there is one such module a thread.
 */
export function recordMemory(): { readonly memory: object; readonly bytes: Buffer; readonly guest: number } {
  const { memory, bytes } = arena ?? open();
  return { memory, bytes, guest: GUEST };
}

/** All of the arena. */
export const arenaBytes = (): Buffer => (arena ?? open()).bytes;

/** Bytes of the arena; for who owns the block there. */
export const arenaView = (address: number, length: number): Buffer => Buffer.from(arena!.bytes.buffer, address, length);

/** A block of the arena for at least `size` bytes: its address, or -1 when there is no room. */
export const takeArena = (size: number): number => (arena ?? open()).blocks.take(size);
export const shrinkArena = (address: number, from: number, size: number): void =>
  arena!.blocks.shrink(address, from, size);
export const giveArenaBack = (address: number, size: number): void => arena!.blocks.give(address, size);

/** CRC-32C (Castagnoli) of the bytes from `start` to `end`, as an unsigned 32-bit number. */
export function crc32cOf(bytes: Uint8Array, start: number, end: number): number {
  const { exports, bytes: memory } = arena ?? open();
  end = Math.min(end, bytes.length);
  if (end <= start) return 0;
  const address = arenaAddress(bytes, start);
  if (address >= 0) return exports.crc32c(0, address, end - start) >>> 0;
  let crc = 0;
  for (let position = start; position < end; position += PAGE_BYTES) {
    const part = Math.min(PAGE_BYTES, end - position);
    memory.set(bytes.subarray(position, position + part), WINDOW);
    crc = exports.crc32c(crc, WINDOW, part);
  }
  return crc >>> 0;
}

const kept = new Map<number, Buffer[]>();
let keptBytes = 0;

/**
 * A buffer of at least `size` bytes: of the next power of two. Who forgets to give it back takes the room from others
 * until the thread ends.
 */
export function takeMemory(size: number): Buffer {
  const capacity = BuddyAllocator.capacity(size);
  const address = takeArena(capacity);
  if (address >= 0) return arenaView(address, capacity);
  const other = kept.get(capacity)?.pop();
  if (other === undefined) return Buffer.allocUnsafeSlow(capacity);
  keptBytes -= capacity;
  return other;
}

/** Gives a whole buffer of `takeMemory` back; nobody may look at it any more. */
export function giveMemoryBack(bytes: Buffer): void {
  const capacity = bytes.length;
  const address = arenaAddress(bytes, 0);
  if (address >= 0) {
    giveArenaBack(address, capacity);
    return;
  }
  if (keptBytes + capacity > KEPT_BYTES) return;
  keptBytes += capacity;
  const list = kept.get(capacity);
  if (list === undefined) kept.set(capacity, [bytes]);
  else list.push(bytes);
}
