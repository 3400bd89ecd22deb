// The forest's inner loops in AssemblyScript, for WebAssembly with 128-bit SIMD. Mirrors src/plain-kernel.ts function
// by function and gives the same bits; the layout of the memory block is drawn in src/layout.ts. Built by
// `node scripts/build-kernel.js`; memory is imported and its owner is src/wasm-kernel.ts, nothing is allocated here.
export { scoreBatch } from './batch';
export { score } from './score';
export { insert, remove } from './update';
