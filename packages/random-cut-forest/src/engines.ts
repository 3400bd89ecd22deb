import { RandomCutForestError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import { plainKernel } from './plain-kernel.ts';
import { createWasmKernel } from './wasm-kernel.ts';

let wasmKernel: Kernel | undefined;
let reasonAgainst: unknown;

/** @throws RandomCutForestError `INVALID_OPTION` when WebAssembly is asked for and not there */
export function chooseKernel(engine: 'auto' | 'wasm' | 'plain'): Kernel {
  if (engine === 'plain') return plainKernel;
  if (engine !== 'auto' && engine !== 'wasm') {
    throw new RandomCutForestError('INVALID_OPTION', `engine is ${String(engine)}; it must be auto, wasm or plain`);
  }
  if (!wasmKernel && reasonAgainst === undefined) {
    try {
      wasmKernel = createWasmKernel();
    } catch (error) {
      // No SIMD, or a policy against compiling: the plain kernel gives the same scores.
      reasonAgainst = error;
    }
  }
  if (wasmKernel) return wasmKernel;
  if (engine === 'auto') return plainKernel;
  throw new RandomCutForestError(
    'INVALID_OPTION',
    `WebAssembly with SIMD cannot be used here: ${String(reasonAgainst)}`,
  );
}
