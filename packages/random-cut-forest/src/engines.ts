import { RandomCutForestError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import { plainKernel } from './plain-kernel.ts';

/** @throws RandomCutForestError `INVALID_OPTION` when WebAssembly is asked for and not there */
export function chooseKernel(engine: 'auto' | 'wasm' | 'plain'): Kernel {
  if (engine === 'auto' || engine === 'plain') return plainKernel;
  throw new RandomCutForestError('INVALID_OPTION', `engine is ${String(engine)}; it must be auto or plain`);
}
