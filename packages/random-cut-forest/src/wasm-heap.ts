const PAGE = 65_536;
/** Blocks begin at cache lines. */
const ALIGNMENT = 64;

/** WebAssembly memory grows in pages and never shrinks; `grow` answers false when it cannot. */
export interface GrowableMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/**
 * Hands out blocks of one memory: first fit, neighbours joined when they are given back. Forests are few and live
 * long, so a sorted list of holes is all it takes.
 */
export class WasmHeap {
  private readonly memory: GrowableMemory;
  /** Holes by address; never touching each other. */
  private readonly holes: { at: number; size: number }[] = [];

  /** @param from addresses below belong to the module */
  constructor(memory: GrowableMemory, from: number) {
    this.memory = memory;
    const size = memory.buffer.byteLength - from;
    if (size > 0) this.holes.push({ at: from, size });
  }

  /** Address of a block; throws RangeError when memory cannot grow that far. The memory's buffer may be another after. */
  allocate(bytes: number): number {
    const size = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    for (let k = 0; k < this.holes.length; k++) {
      const hole = this.holes[k]!;
      if (hole.size < size) continue;
      const { at } = hole;
      hole.at += size;
      hole.size -= size;
      if (hole.size === 0) this.holes.splice(k, 1);
      return at;
    }
    const end = this.memory.buffer.byteLength;
    const last = this.holes.at(-1);
    const lacking = last && last.at + last.size === end ? size - last.size : size;
    const pages = Math.ceil(lacking / PAGE);
    this.memory.grow(pages);
    this.free(end, pages * PAGE);
    return this.allocate(bytes);
  }

  free(at: number, bytes: number): void {
    const size = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    let k = this.holes.findIndex((hole) => hole.at > at);
    if (k < 0) k = this.holes.length;
    const before = this.holes[k - 1];
    const after = this.holes[k];
    const joinsBefore = before !== undefined && before.at + before.size === at;
    const joinsAfter = after !== undefined && at + size === after.at;
    if (joinsBefore && joinsAfter) {
      before.size += size + after.size;
      this.holes.splice(k, 1);
    } else if (joinsBefore) before.size += size;
    else if (joinsAfter) {
      after.at = at;
      after.size += size;
    } else this.holes.splice(k, 0, { at, size });
  }
}
