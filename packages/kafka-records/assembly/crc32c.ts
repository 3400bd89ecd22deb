// CRC-32C (Castagnoli) in AssemblyScript, for WebAssembly with 128-bit SIMD.
//
// WebAssembly has no carry-less multiplication and no CRC instruction, and tables give a byte or two a cycle. So most of
// a message is shortened before a table is touched: a polynomial M that the CRC's own polynomial divides may be added to
// the message anywhere without a change of its CRC. M is chosen with few terms, whose exponents are all multiples of 128:
// then the first 16 bytes of a message are removed by adding them to a few later blocks of 16 bytes, bits in place. (The
// idea is known as Chorba: Russell, "Chorba: A novel CRC32 implementation", 2024, there for CRC-32.) The terms are found
// by a search (test/crc32c.test.ts checks that the polynomial divides them):
//
//   M1 = x^(128*209) + x^(128*144) + x^(128*54) + x^(128*39) + x^(128*14) + 1
//   M2 = x^(128*79) + x^(128*75) + x^(128*71) + x^(128*58) + x^(128*18) + x^(128*12) + x^128 + 1
//
// M1 costs five additions a block and leaves 209 blocks, M2 costs seven and leaves 79, the rest goes through tables.
// Instead of adding a block to later ones, each block takes what earlier ones have for it.

/** Blocks that are left behind; the largest distances of M1 and M2. */
const LONG: i32 = 209;
const SHORT: i32 = 79;
/** Blocks that are worked on before what is still needed of them is moved to the front. */
const CHUNK: i32 = 512;

// All of this lies in the memory's first page, which its owner leaves to this module.
/** The last LONG blocks, then those that are made now. */
const long: usize = 1024;
/** SHORT blocks of zeros, then up to two LONG of message, then zeros. */
const short: usize = long + (LONG + CHUNK) * 16;
const last: usize = short + (SHORT + 2 * LONG + SHORT) * 16;
const tables: usize = last + SHORT * 16;
const TABLES = 16;

/** Makes the tables; to be called once. */
export function prepareCrc32c(): void {
  for (let index: u32 = 0; index < 256; index++) {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    store<u32>(tables + (index << 2), value);
  }
  for (let index: u32 = 0; index < 256; index++) {
    let value = load<u32>(tables + (index << 2));
    for (let table = 1; table < TABLES; table++) {
      value = load<u32>(tables + ((value & 0xff) << 2)) ^ (value >>> 8);
      store<u32>(tables + (table << 10) + (index << 2), value);
    }
  }
}

// @ts-expect-error: decorators of functions exist in AssemblyScript alone.
@inline
function table(number: usize, index: u32): u32 {
  return load<u32>(tables + (number << 10) + ((<usize>index & 0xff) << 2));
}

// @ts-expect-error: as above.
@inline
function fourBytes(number: usize, word: u32): u32 {
  return table(number + 3, word) ^ table(number + 2, word >>> 8) ^ table(number + 1, word >>> 16) ^ table(number, word >>> 24);
}

/** Sixteen bytes at a time (Kounavis and Berry, 2005). */
function byTables(crc: u32, source: usize, end: usize): u32 {
  while (end - source >= 16) {
    const a = load<u32>(source) ^ crc;
    const b = load<u32>(source, 4);
    const c = load<u32>(source, 8);
    const d = load<u32>(source, 12);
    crc = fourBytes(0, d) ^ fourBytes(4, c) ^ fourBytes(8, b) ^ fourBytes(12, a);
    source += 16;
  }
  while (source < end) crc = table(0, crc ^ <u32>load<u8>(source++)) ^ (crc >>> 8);
  return crc;
}

/** What the blocks before `at` have for the block of index `block` there, by M1. */
// @ts-expect-error: as above.
@inline
function fromLong(at: usize, block: usize): v128 {
  const front = at - LONG * 16;
  return v128.xor(
    v128.xor(
      v128.xor(load128(front, 209 - 65 + block), load128(front, 209 - 155 + block)),
      v128.xor(load128(front, 209 - 170 + block), load128(front, 209 - 195 + block)),
    ),
    load128(front, block),
  );
}

/** As `fromLong`, by M2. */
// @ts-expect-error: as above.
@inline
function fromShort(at: usize, block: usize): v128 {
  const front = at - SHORT * 16;
  return v128.xor(
    v128.xor(
      v128.xor(load128(front, 79 - 4 + block), load128(front, 79 - 8 + block)),
      v128.xor(load128(front, 79 - 21 + block), load128(front, 79 - 61 + block)),
    ),
    v128.xor(
      v128.xor(load128(front, 79 - 67 + block), load128(front, 79 - 78 + block)),
      load128(front, block),
    ),
  );
}

// @ts-expect-error: as above.
@inline
function load128(address: usize, block: usize): v128 {
  return v128.load(address + block * 16);
}

/** Shortens `blocks` of them, more than two LONG, to LONG, which it leaves in `short`. */
function shorten(crc: u32, source: usize, blocks: i32): void {
  const first = long + LONG * 16;
  memory.fill(long, 0, LONG * 16);
  let rest = blocks - LONG;
  let target = first;
  // The CRC so far is the same as a change of the first 32 bits.
  v128.store(target, v128.load(source));
  store<u32>(target, load<u32>(source) ^ crc);
  target += 16;
  source += 16;
  rest--;
  let room = CHUNK - 1;
  while (rest > 0) {
    const count = min(rest, room);
    const end = target + ((<usize>count) << 4);
    while (target + 64 <= end) {
      v128.store(target, v128.xor(v128.load(source), fromLong(target, 0)));
      v128.store(target, v128.xor(v128.load(source, 16), fromLong(target, 1)), 16);
      v128.store(target, v128.xor(v128.load(source, 32), fromLong(target, 2)), 32);
      v128.store(target, v128.xor(v128.load(source, 48), fromLong(target, 3)), 48);
      target += 64;
      source += 64;
    }
    while (target < end) {
      v128.store(target, v128.xor(v128.load(source), fromLong(target, 0)));
      target += 16;
      source += 16;
    }
    rest -= count;
    memory.copy(long, target - LONG * 16, LONG * 16);
    target = first;
    room = CHUNK;
  }
  // What is left only takes: blocks behind the end of what was removed give nothing.
  memory.fill(first, 0, LONG * 16);
  let left = short + SHORT * 16;
  const end = left + LONG * 16;
  while (left < end) {
    v128.store(left, v128.xor(v128.load(source), fromLong(target, 0)));
    left += 16;
    target += 16;
    source += 16;
  }
}

/** Shortens the blocks in `short`, more than SHORT, to SHORT in `last`. */
function shortenMore(blocks: i32): void {
  memory.fill(short, 0, SHORT * 16);
  let target = short + SHORT * 16;
  const end = target + ((<usize>(blocks - SHORT)) << 4);
  while (target < end) {
    v128.store(target, v128.xor(v128.load(target), fromShort(target, 0)));
    target += 16;
  }
  memory.copy(last, end, SHORT * 16);
  memory.fill(end, 0, SHORT * 16);
  for (let left = last; left < last + SHORT * 16; left += 16) {
    v128.store(left, v128.xor(v128.load(left), fromShort(target, 0)));
    target += 16;
  }
}

/** The CRC-32C of `length` bytes, behind others whose CRC is `before` (0 when there are none). */
export function crc32c(before: u32, source: usize, length: usize): u32 {
  const crc = ~before;
  const end = source + length;
  const blocks = <i32>(length >> 4);
  if (blocks <= 2 * SHORT) return ~byTables(crc, source, end);
  if (blocks > 2 * LONG) {
    shorten(crc, source, blocks);
    shortenMore(LONG);
  } else {
    const target = short + SHORT * 16;
    memory.copy(target, source, (<usize>blocks) << 4);
    store<u32>(target, load<u32>(target) ^ crc);
    shortenMore(blocks);
  }
  return ~byTables(byTables(0, last, last + SHORT * 16), source + ((<usize>blocks) << 4), end);
}
