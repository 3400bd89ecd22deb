// Blocks of lz4 and snappy in AssemblyScript, for WebAssembly with 128-bit SIMD. Built by `node scripts/build-wasm.js`;
// memory is imported and its owner is src/block-decompressor.ts, nothing is allocated here. Lengths and offsets of the
// input are hostile: each is checked before it is used, and what contradicts itself returns 0. Copies go in steps of 16
// bytes and may run up to 15 beyond their end, so the owner keeps that much room behind input and output.

// @ts-expect-error: decorators of functions exist in AssemblyScript alone.
@inline
function copySteps(target: usize, source: usize, end: usize): void {
  while (target < end) {
    v128.store(target, v128.load(source));
    target += 16;
    source += 16;
  }
}

/** Copies what was written `offset` bytes before; source and target may overlap, then a pattern repeats. */
// @ts-expect-error: as above.
@inline
function copyMatch(target: usize, offset: usize, end: usize): void {
  let source = target - offset;
  if (offset >= 16) {
    copySteps(target, source, end);
    return;
  }
  if (offset >= 8) {
    while (target < end) {
      store<u64>(target, load<u64>(source));
      target += 8;
      source += 8;
    }
    return;
  }
  if (offset == 1) {
    memory.fill(target, load<u8>(source), end - target);
    return;
  }
  while (target < end) store<u8>(target++, load<u8>(source++));
}

/** Sequences of lz4 are read without a look at the ends while at least so much is left: of input, and of output. */
const INPUT_ROOM: usize = 32;
const OUTPUT_ROOM: usize = 64;

/**
 * One lz4 block. `history` is where the frame's output begins: linked blocks refer back into it. Returns where the
 * output ends; 0 for a corrupt block.
 */
export function lz4Block(source: usize, sourceEnd: usize, history: usize, target: usize, targetEnd: usize): usize {
  while (source < sourceEnd) {
    // Most sequences are short: up to 14 literals and a match of up to 18 bytes, copied in one go, too long by a few bytes
    // that the next sequence writes over.
    while (sourceEnd - source > INPUT_ROOM && targetEnd - target > OUTPUT_ROOM) {
      const token = <usize>load<u8>(source);
      const literals = token >> 4;
      const match = token & 15;
      if (literals == 15 || match == 15) break;
      v128.store(target, v128.load(source, 1));
      const after = target + literals;
      source += literals;
      const offset = <usize>load<u16>(source, 1);
      if (offset < 8 || offset > after - history) {
        source -= literals;
        break;
      }
      const from = after - offset;
      if (offset >= 16) {
        v128.store(after, v128.load(from));
      } else {
        store<u64>(after, load<u64>(from));
        store<u64>(after, load<u64>(from, 8), 8);
      }
      store<u16>(after, load<u16>(from, 16), 16);
      target = after + match + 4;
      source += 3;
    }
    const token = <usize>load<u8>(source++);
    let length = token >> 4;
    let byte: usize;
    if (length == 15) {
      do {
        if (source >= sourceEnd) return 0;
        byte = <usize>load<u8>(source++);
        length += byte;
      } while (byte == 255);
    }
    if (length > sourceEnd - source || length > targetEnd - target) return 0;
    copySteps(target, source, target + length);
    target += length;
    source += length;
    // The last sequence ends with its literals.
    if (source == sourceEnd) return target;
    if (sourceEnd - source < 2) return 0;
    const offset = <usize>load<u16>(source);
    source += 2;
    length = token & 15;
    if (length == 15) {
      do {
        if (source >= sourceEnd) return 0;
        byte = <usize>load<u8>(source++);
        length += byte;
      } while (byte == 255);
    }
    length += 4;
    if (offset == 0 || offset > target - history || length > targetEnd - target) return 0;
    copyMatch(target, offset, target + length);
    target += length;
  }
  return 0;
}

/** One snappy block, after its length. Returns where the output ends; 0 for a corrupt block. */
export function snappyBlock(source: usize, sourceEnd: usize, target: usize, targetEnd: usize): usize {
  const start = target;
  while (source < sourceEnd) {
    const tag = <usize>load<u8>(source++);
    const type = tag & 3;
    let length = tag >> 2;
    if (type == 0) {
      if (length >= 60) {
        const bytes = length - 59;
        if (bytes > sourceEnd - source) return 0;
        length = <usize>load<u32>(source) & (0xffffffff >> (32 - 8 * <u32>bytes));
        source += bytes;
      }
      // Before the one is added: the largest length would become 0.
      if (length >= sourceEnd - source || length >= targetEnd - target) return 0;
      length += 1;
      copySteps(target, source, target + length);
      target += length;
      source += length;
      continue;
    }
    let offset: usize;
    if (type == 1) {
      if (source >= sourceEnd) return 0;
      length = (length & 7) + 4;
      offset = ((tag >> 5) << 8) | <usize>load<u8>(source++);
    } else if (type == 2) {
      if (sourceEnd - source < 2) return 0;
      length += 1;
      offset = <usize>load<u16>(source);
      source += 2;
    } else {
      if (sourceEnd - source < 4) return 0;
      length += 1;
      offset = <usize>load<u32>(source);
      source += 4;
    }
    if (offset == 0 || offset > target - start || length > targetEnd - target) return 0;
    copyMatch(target, offset, target + length);
    target += length;
  }
  return target;
}
