// CRC-32C (Castagnoli) in AssemblyScript, for WebAssembly with 128-bit SIMD.
//
// WebAssembly has no carry-less multiplication and no CRC instruction, and tables give less than a byte a cycle. So most
// of a message is shortened before a table is touched: a polynomial M that the CRC's own polynomial divides may be added
// to the message anywhere without a change of its CRC. The exponents of M's terms are all multiples of 128, or of 8: then
// the first 16 bytes of a message are removed by adding them to some that come later, bits in place. (The idea is known
// as Chorba: Russell, "Chorba: A novel CRC32 implementation", 2024, there for CRC-32 and with M of few terms.) Instead of
// adding a block of 16 bytes to later ones, each block takes what earlier ones have for it.
//
// First what limits are loads, so M may have many terms if few of them cost one: with y = x^-128
//
//   M1 = 1 + (y^26 + y^67 + y^208) (1 + y^2 + y^4 + y^5 + y^6)
//
// A block v takes the w of those 26, 67 and 208 before it, and leaves its own w: the sum of itself and the v of those 2,
// 4, 5 and 6 before it, which are still in registers. That costs four loads a block and leaves 214 blocks or some more.
// Then
//
//   M2 = 1 + z^47 + z^51 + z^55 + z^85 + z^90 + z^100 + z^104, z = x^-8
//
// takes from the last seven blocks alone, which are in registers: a shift for each term. It leaves seven blocks for the
// tables. (M1 and M2 were found by a search; test/memory.test.ts checks that the polynomial divides them.)

/** Blocks that are left behind: by M1 its largest distance, by M2 that and what makes it whole blocks. */
const LONG: i32 = 214;
const SHORT: i32 = 7;
/** How far back a w is taken from. */
const REACH: i32 = 208;
/** Blocks that are worked on before what is still needed of them is moved to the front; a multiple of 8. */
const CHUNK: i32 = 512;
/** So many w behind the last v still have something of it. */
const AFTER: i32 = 6;

// All of this lies in the memory's first page, which its owner leaves to this module.
/** The last REACH w, then those that are made now. */
const long: usize = 1024;
const first: usize = long + REACH * 16;
/** What M1 left. */
const middle: usize = first + (CHUNK + AFTER) * 16;
/** What M2 left. */
const last: usize = middle + (LONG + 7) * 16;
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
function byte0(word: u32): usize {
  return (<usize>word << 2) & 0x3fc;
}

// @ts-expect-error: as above.
@inline
function byte1(word: u32): usize {
  return (<usize>word >>> 6) & 0x3fc;
}

// @ts-expect-error: as above.
@inline
function byte2(word: u32): usize {
  return (<usize>word >>> 14) & 0x3fc;
}

// @ts-expect-error: as above.
@inline
function byte3(word: u32): usize {
  return (<usize>word >>> 22) & 0x3fc;
}

/**
 * Sixteen bytes at a time (Kounavis and Berry, 2005). Only fixed offsets of a load cost nothing, so all are written out;
 * in 64 bits, because V8 loads twice what it adds in 32.
 */
function byTables(crc: u32, source: usize, end: usize): u32 {
  for (; end - source >= 16; source += 16) {
    const a = load<u32>(source) ^ crc;
    const b = load<u32>(source, 4);
    const c = load<u32>(source, 8);
    const d = load<u32>(source, 12);
    const dd =
      <u64>load<u32>(byte0(d), tables + 3072) ^
      <u64>load<u32>(byte1(d), tables + 2048) ^
      <u64>load<u32>(byte2(d), tables + 1024) ^
      <u64>load<u32>(byte3(d), tables + 0);
    const cc =
      <u64>load<u32>(byte0(c), tables + 7168) ^
      <u64>load<u32>(byte1(c), tables + 6144) ^
      <u64>load<u32>(byte2(c), tables + 5120) ^
      <u64>load<u32>(byte3(c), tables + 4096);
    const bb =
      <u64>load<u32>(byte0(b), tables + 11264) ^
      <u64>load<u32>(byte1(b), tables + 10240) ^
      <u64>load<u32>(byte2(b), tables + 9216) ^
      <u64>load<u32>(byte3(b), tables + 8192);
    const aa =
      <u64>load<u32>(byte0(a), tables + 15360) ^
      <u64>load<u32>(byte1(a), tables + 14336) ^
      <u64>load<u32>(byte2(a), tables + 13312) ^
      <u64>load<u32>(byte3(a), tables + 12288);
    crc = <u32>(dd ^ cc ^ bb ^ aa);
  }
  while (source < end) crc = load<u32>(byte0(crc ^ load<u8>(source++)), tables) ^ (crc >>> 8);
  return crc;
}

// @ts-expect-error: as above.
@inline
function xor(a: v128, b: v128): v128 {
  return v128.xor(a, b);
}

// @ts-expect-error: as above.
@inline
function xor4(a: v128, b: v128, c: v128, d: v128): v128 {
  return xor(xor(a, b), xor(c, d));
}

// Offsets in bytes from the w of REACH blocks before a block, to that block and to what it takes.
const AT: usize = REACH * 16;
const T26: usize = (REACH - 26) * 16;
const T67: usize = (REACH - 67) * 16;

/** The block at `source` and what it takes by M1; `history` is where the w of REACH before it lies. */
// @ts-expect-error: as above.
@inline
function takeLong(source: usize, history: usize): v128 {
  return xor4(v128.load(source), v128.load(history, T26), v128.load(history, T67), v128.load(history));
}

/** What a block takes by M2 of those 7 to 2 before it. */
// @ts-expect-error: as above.
@inline
function takeShort(b7: v128, b6: v128, b5: v128, b4: v128, b3: v128, b2: v128): v128 {
  return xor(
    xor4(
      v128.shuffle<u8>(b7, b6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23),
      v128.shuffle<u8>(b7, b6, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27),
      v128.shuffle<u8>(b6, b5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21),
      v128.shuffle<u8>(b6, b5, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26),
    ),
    xor(
      v128.shuffle<u8>(b3, b2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
      xor(
        v128.shuffle<u8>(b4, b3, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24),
        v128.shuffle<u8>(b4, b3, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28),
      ),
    ),
  );
}

/** The block at `source`; the CRC of what is before a message is the same as a change of its first 32 bits. */
// @ts-expect-error: as above.
@inline
function firstBlock(crc: u32, source: usize): v128 {
  return xor(v128.load(source), i32x4.replace_lane(i32x4.splat(0), 0, crc));
}

/**
 * Shortens `blocks` of them, more than two LONG, to LONG and up to seven, which it leaves in `middle`; tells how many.
 * Eight steps are written out: only fixed offsets of a load cost nothing, and the last v stay in registers unmoved.
 */
function shorten(crc: u32, source: usize, blocks: i32): i32 {
  memory.fill(long, 0, REACH * 16);
  const zero = i32x4.splat(0);
  // The last v, v7 the latest; and of the last four v the sum with the one 2 before it.
  let v0 = zero, v1 = zero, v2 = zero, v3 = zero, v4 = zero, v5 = zero, v6 = zero, v7 = firstBlock(crc, source);
  let p0 = zero, p1 = zero, p2 = zero, p3 = v7;
  v128.store(first, v7);
  let history = long + 16;
  source += 16;
  const over = (blocks - LONG - 1) & 7;
  let rest = blocks - LONG - 1 - over;
  let room = CHUNK - 8;
  for (;;) {
    const count = min(rest, room);
    const end = history + ((<usize>count) << 4);
    while (history < end) {
      v0 = xor4(v128.load(source), v128.load(history, T26), v128.load(history, T67), v128.load(history));
      const sum0 = xor(v0, v6);
      v128.store(history, xor(xor(sum0, v3), p0), AT);
      p0 = sum0;
      v1 = xor4(v128.load(source, 16), v128.load(history, T26 + 16), v128.load(history, T67 + 16), v128.load(history, 16));
      const sum1 = xor(v1, v7);
      v128.store(history, xor(xor(sum1, v4), p1), AT + 16);
      p1 = sum1;
      v2 = xor4(v128.load(source, 32), v128.load(history, T26 + 32), v128.load(history, T67 + 32), v128.load(history, 32));
      const sum2 = xor(v2, v0);
      v128.store(history, xor(xor(sum2, v5), p2), AT + 32);
      p2 = sum2;
      v3 = xor4(v128.load(source, 48), v128.load(history, T26 + 48), v128.load(history, T67 + 48), v128.load(history, 48));
      const sum3 = xor(v3, v1);
      v128.store(history, xor(xor(sum3, v6), p3), AT + 48);
      p3 = sum3;
      v4 = xor4(v128.load(source, 64), v128.load(history, T26 + 64), v128.load(history, T67 + 64), v128.load(history, 64));
      const sum4 = xor(v4, v2);
      v128.store(history, xor(xor(sum4, v7), p0), AT + 64);
      p0 = sum4;
      v5 = xor4(v128.load(source, 80), v128.load(history, T26 + 80), v128.load(history, T67 + 80), v128.load(history, 80));
      const sum5 = xor(v5, v3);
      v128.store(history, xor(xor(sum5, v0), p1), AT + 80);
      p1 = sum5;
      v6 = xor4(v128.load(source, 96), v128.load(history, T26 + 96), v128.load(history, T67 + 96), v128.load(history, 96));
      const sum6 = xor(v6, v4);
      v128.store(history, xor(xor(sum6, v1), p2), AT + 96);
      p2 = sum6;
      v7 = xor4(v128.load(source, 112), v128.load(history, T26 + 112), v128.load(history, T67 + 112), v128.load(history, 112));
      const sum7 = xor(v7, v5);
      v128.store(history, xor(xor(sum7, v2), p3), AT + 112);
      p3 = sum7;
      source += 128;
      history += 128;
    }
    rest -= count;
    if (rest == 0) break;
    memory.copy(long, history, REACH * 16);
    history = long;
    room = CHUNK;
  }
  // What is left only takes: its v are 0, so its w are what the last v still give, and then nothing.
  const after = history + REACH * 16;
  v128.store(after, xor(xor(v6, v4), xor(v3, v2)));
  v128.store(after, xor(xor(v7, v5), xor(v4, v3)), 16);
  v128.store(after, xor(v6, xor(v5, v4)), 32);
  v128.store(after, xor(v7, xor(v6, v5)), 48);
  v128.store(after, xor(v7, v6), 64);
  v128.store(after, v7, 80);
  let left = middle;
  for (const end = middle + (26 + AFTER) * 16; left < end; left += 16) {
    v128.store(left, takeLong(source, history));
    source += 16;
    history += 16;
  }
  for (const end = middle + (67 + AFTER) * 16; left < end; left += 16) {
    const taken = xor(v128.load(history, T67), v128.load(history));
    v128.store(left, xor(v128.load(source), taken));
    source += 16;
    history += 16;
  }
  for (const end = middle + LONG * 16; left < end; left += 16) {
    v128.store(left, xor(v128.load(source), v128.load(history)));
    source += 16;
    history += 16;
  }
  memory.copy(left, source, <usize>over << 4);
  return LONG + over;
}

/** Shortens `blocks` of them, more than SHORT, to SHORT, which it leaves in `last`. */
function shortenMore(crc: u32, source: usize, blocks: i32): void {
  const zero = i32x4.splat(0);
  // The last v, v6 the latest.
  let v0 = zero, v1 = zero, v2 = zero, v3 = zero, v4 = zero, v5 = zero, v6 = firstBlock(crc, source);
  source += 16;
  const end = source + ((<usize>(blocks - SHORT - 1)) << 4);
  for (; source + 112 <= end; source += 112) {
    v0 = xor(v128.load(source), takeShort(v0, v1, v2, v3, v4, v5));
    v1 = xor(v128.load(source, 16), takeShort(v1, v2, v3, v4, v5, v6));
    v2 = xor(v128.load(source, 32), takeShort(v2, v3, v4, v5, v6, v0));
    v3 = xor(v128.load(source, 48), takeShort(v3, v4, v5, v6, v0, v1));
    v4 = xor(v128.load(source, 64), takeShort(v4, v5, v6, v0, v1, v2));
    v5 = xor(v128.load(source, 80), takeShort(v5, v6, v0, v1, v2, v3));
    v6 = xor(v128.load(source, 96), takeShort(v6, v0, v1, v2, v3, v4));
  }
  while (source < end) {
    const next = xor(v128.load(source), takeShort(v0, v1, v2, v3, v4, v5));
    v0 = v1;
    v1 = v2;
    v2 = v3;
    v3 = v4;
    v4 = v5;
    v5 = v6;
    v6 = next;
    source += 16;
  }
  v128.store(last, xor(v128.load(source), takeShort(v0, v1, v2, v3, v4, v5)));
  v128.store(last, xor(v128.load(source, 16), takeShort(v1, v2, v3, v4, v5, v6)), 16);
  v128.store(last, xor(v128.load(source, 32), takeShort(v2, v3, v4, v5, v6, zero)), 32);
  v128.store(last, xor(v128.load(source, 48), takeShort(v3, v4, v5, v6, zero, zero)), 48);
  v128.store(last, xor(v128.load(source, 64), takeShort(v4, v5, v6, zero, zero, zero)), 64);
  v128.store(last, xor(v128.load(source, 80), takeShort(v5, v6, zero, zero, zero, zero)), 80);
  v128.store(last, xor(v128.load(source, 96), takeShort(v6, zero, zero, zero, zero, zero)), 96);
}

/** The CRC-32C of `length` bytes, behind others whose CRC is `before` (0 when there are none). */
export function crc32c(before: u32, source: usize, length: usize): u32 {
  const crc = ~before;
  const end = source + length;
  const blocks = <i32>(length >> 4);
  if (blocks <= 2 * SHORT) return ~byTables(crc, source, end);
  if (blocks > 2 * LONG) shortenMore(0, middle, shorten(crc, source, blocks));
  else shortenMore(crc, source, blocks);
  return ~byTables(byTables(0, last, last + SHORT * 16), source + ((<usize>blocks) << 4), end);
}
