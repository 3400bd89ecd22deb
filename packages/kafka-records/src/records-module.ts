import { readFileSync } from 'node:fs';

/** What `records.wasm` offers; all numbers are addresses in the memory it was made with. */
export interface RecordsExports {
  prepareCrc32c(): void;
  crc32c(before: number, source: number, length: number): number;
  lz4Block(source: number, sourceEnd: number, history: number, target: number, targetEnd: number): number;
  snappyBlock(source: number, sourceEnd: number, target: number, targetEnd: number): number;
}

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** What is used of the global, which Node has and TypeScript's library without DOM does not declare. */
interface WebAssemblyGlobal {
  Memory: new (descriptor: { initial: number; maximum?: number }) => WasmMemory;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: object };
}

const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyGlobal };

export const PAGE_BYTES = 65_536;

export const newMemory = (pages: number, maximum?: number): WasmMemory =>
  new WebAssembly.Memory({ initial: pages, ...(maximum === undefined ? {} : { maximum }) });

let compiled: object | undefined;

/** An instance over a memory, whose first page belongs to the module. */
export function instantiate(memory: WasmMemory): RecordsExports {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./records.wasm', import.meta.url)));
  const exports = new WebAssembly.Instance(compiled, { env: { memory } }).exports as RecordsExports;
  exports.prepareCrc32c();
  return exports;
}
