import type { Kernel } from './kernel.ts';
import { kernelBytes } from './kernel-bytes.ts';
import type { Layout } from './layout.ts';
import { ForestState } from './state.ts';
import { type GrowableMemory, WasmHeap } from './wasm-heap.ts';

// All forests of a thread share one WebAssembly memory and one instance. A memory each would reserve gigabytes of
// address space a forest, and thousands of them are wanted.

interface KernelExports {
  score(base: number): number;
  scoreBatch(base: number, count: number): void;
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
    const { buffer } = this.memory;
    const base = this.heap.allocate(layout.bytes);
    if (this.memory.buffer !== buffer) this.moveStates();
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

  scoreBatch(state: ForestState, count: number): void {
    this.exports.scoreBatch((state as WasmState).base, count);
  }

  insert(state: ForestState, tree: number, point: number): number {
    return this.exports.insert((state as WasmState).base, tree, point);
  }

  remove(state: ForestState, tree: number, point: number): void {
    this.exports.remove((state as WasmState).base, tree, point);
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

class WasmState extends ForestState {
  /** Address of the block. */
  readonly base: number;

  constructor(layout: Layout, buffer: ArrayBuffer, base: number) {
    super(layout, buffer, base);
    this.base = base;
  }
}
