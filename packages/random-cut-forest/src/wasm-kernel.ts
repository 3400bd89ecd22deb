import type { Batch, Kernel } from './kernel.ts';
import { kernelBytes } from './kernel-bytes.ts';
import { BATCH, type Layout } from './layout.ts';
import { ForestState } from './state.ts';
import { type GrowableMemory, WasmHeap } from './wasm-heap.ts';

// All forests of a thread share one WebAssembly memory and one instance. A memory each would reserve gigabytes of
// address space a forest, and thousands of them are wanted.

interface KernelExports {
  score(base: number): number;
  scoreBatch(base: number, points: number, scratch: number, count: number): void;
  insert(base: number, tree: number, point: number): number;
  remove(base: number, tree: number, point: number): void;
}

/** What is used of the WebAssembly global, which Node and browsers have and TypeScript's library does not declare. */
interface WebAssemblyGlobal {
  Memory: new (descriptor: { initial: number; maximum: number }) => GrowableMemory;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: object };
}

/** 4 GiB, the most that 32-bit addresses reach. */
const MOST_PAGES = 65_536;
/** The module keeps its few globals outside memory; the first page stays free of blocks, so that 0 is never one. */
const FIRST_BLOCK = 65_536;

/** The kernel in WebAssembly; throws where that, or its SIMD, is missing. */
export function createWasmKernel(): Kernel {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyGlobal };
  const module = new WebAssembly.Module(Uint8Array.from(atob(kernelBytes), (character) => character.charCodeAt(0)));
  const memory = new WebAssembly.Memory({ initial: 2, maximum: MOST_PAGES });
  const instance = new WebAssembly.Instance(module, {
    env: {
      memory,
      abort(): never {
        throw new Error('the WebAssembly kernel stopped');
      },
    },
  });
  return new WasmKernel(memory, instance.exports as KernelExports);
}

class WasmKernel implements Kernel {
  readonly name = 'wasm';
  private readonly memory: GrowableMemory;
  private readonly exports: KernelExports;
  private readonly heap: WasmHeap;
  /** States whose views must follow when the memory grows; weak, so that forgotten forests can go. */
  private readonly states = new Map<number, WeakRef<WasmState>>();
  /** Room for batches, shared by the forests; it grows with the widest that was asked for. */
  private scratchAt = 0;
  private scratchBytes = 0;
  private readonly forgotten: FinalizationRegistry<{ base: number; bytes: number }>;

  constructor(memory: GrowableMemory, exports: KernelExports) {
    this.memory = memory;
    this.exports = exports;
    this.heap = new WasmHeap(memory, FIRST_BLOCK);
    this.forgotten = new FinalizationRegistry(({ base, bytes }) => this.giveBack(base, bytes));
  }

  allocate(layout: Layout): ForestState {
    // An impossible layout gets its error from the state.
    if (!(layout.bytes > 0)) return new ForestState(layout, new ArrayBuffer(0), 0);
    const base = this.allocateBlock(layout.bytes);
    const state = new WasmState(layout, this.memory.buffer, base);
    this.states.set(base, new WeakRef(state));
    this.forgotten.register(state, { base, bytes: layout.bytes }, state);
    return state;
  }

  release(state: ForestState): void {
    const { base } = state as WasmState;
    this.forgotten.unregister(state);
    this.giveBack(base, state.layout.bytes);
  }

  score(state: ForestState): number {
    return this.exports.score((state as WasmState).base);
  }

  batch(state: ForestState): Batch {
    const { blocks, samples } = state.layout;
    const capacity = batchCapacity(blocks);
    const pointBytes = capacity * blocks * 16;
    // Sums and values, five lists with their ends, and 52 bytes a node: see climbTogether in assembly/batch.ts.
    const bytes = pointBytes + BATCH * 8 * 2 + (BATCH * 4 + 16) * 5 + samples * 52 + 64;
    if (bytes > this.scratchBytes) {
      if (this.scratchBytes > 0) this.heap.free(this.scratchAt, this.scratchBytes);
      this.scratchBytes = 0;
      this.scratchAt = this.allocateBlock(bytes);
      this.scratchBytes = bytes;
    }
    const values = new Float32Array(this.memory.buffer, this.scratchAt, capacity * blocks * 4);
    return { values, stride: blocks * 4, capacity };
  }

  scoreBatch(state: ForestState, count: number): Float64Array {
    const { blocks } = state.layout;
    const sums = this.scratchAt + batchCapacity(blocks) * blocks * 16;
    this.exports.scoreBatch((state as WasmState).base, this.scratchAt, sums, count);
    return new Float64Array(this.memory.buffer, sums, count);
  }

  insert(state: ForestState, tree: number, point: number): number {
    return this.exports.insert((state as WasmState).base, tree, point);
  }

  remove(state: ForestState, tree: number, point: number): void {
    this.exports.remove((state as WasmState).base, tree, point);
  }

  private allocateBlock(bytes: number): number {
    const { buffer } = this.memory;
    const at = this.heap.allocate(bytes);
    if (this.memory.buffer !== buffer) this.moveStates();
    return at;
  }

  private giveBack(base: number, bytes: number): void {
    this.states.delete(base);
    this.heap.free(base, bytes);
  }

  private moveStates(): void {
    for (const reference of this.states.values()) {
      const state = reference.deref();
      state?.move(this.memory.buffer, state.base);
    }
  }
}

/** Points of so many vectors that are scored at once: few enough to stay in the second cache. */
function batchCapacity(blocks: number): number {
  return Math.max(4, Math.min(BATCH, Math.floor(16_384 / blocks)));
}

class WasmState extends ForestState {
  /** Address of the block. */
  readonly base: number;

  constructor(layout: Layout, buffer: ArrayBuffer, base: number) {
    super(layout, buffer, base);
    this.base = base;
  }
}
