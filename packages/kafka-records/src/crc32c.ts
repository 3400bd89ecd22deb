import { createRequire } from 'node:module';
import { crc32c as wasmCrc32c } from '@platformatic/wasm-utils';

/** CRC-32C (Castagnoli) of the bytes, as an unsigned 32-bit number. */
export type Crc32c = (bytes: Uint8Array) => number;

const load = createRequire(import.meta.url);

function native(): Crc32c | undefined {
  try {
    const { crc32c } = load('@node-rs/crc32') as { crc32c: Crc32c };
    return (bytes) => crc32c(bytes);
  } catch {
    // An optional dependency: there is no prebuilt binary for this platform. The WebAssembly one is correct anywhere.
    return undefined;
  }
}

/** The portable implementation: four times the CPU of the native one. */
export const portableCrc32c: Crc32c = (bytes) => wasmCrc32c(bytes);

/** The native implementation where there is a binary for the platform, else the portable one. */
export const crc32c: Crc32c = native() ?? portableCrc32c;
