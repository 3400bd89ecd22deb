// From the records of a Kafka batch to the JSON of Lambda's event in one pass, with 128-bit SIMD for base64. Mirrors
// `EventWriter` in src/mappings/event-writer.ts byte for byte, which writes what is left to it: this stops before a
// record that it will not write (a header name that needs escaping, bytes that contradict themselves, no room) and says
// how far it came. Built by `node scripts/build-transcoder.js`; memory is imported, laid out in src/mappings/transcoder.ts.

/** Where the last call stopped: in the input, in the output; and the offset of the last record written. */
export let inputEnd: i32 = 0;
export let outputEnd: i32 = 0;
export let lastOffset: f64 = 0;
/** 1: the last call stopped because the next record might not fit. */
export let wantsRoom: i32 = 0;

/** Reading position; -1 after a number or length that cannot be. */
let position: usize = 0;
let isBroken: bool = false;

/**
 * Writes records until `maximum`, the end of the input or of the output. Every record is preceded by a comma, except
 * the very first when `isFirst`. Returns how many were written.
 */
export function transcode(
  input: usize,
  inputLimit: usize,
  maximum: i32,
  output: usize,
  outputLimit: usize,
  head: usize,
  headLength: i32,
  middle: usize,
  middleLength: i32,
  baseOffset: f64,
  lastDelta: i32,
  baseTimestamp: f64,
  isAppendTime: i32,
  appendTime: f64,
  previousDelta: i32,
  isFirst: i32,
): i32 {
  let written: i32 = 0;
  let out = output;
  isBroken = false;
  wantsRoom = 0;
  position = input;
  inputEnd = <i32>input;
  outputEnd = <i32>output;
  while (written < maximum && position < inputLimit) {
    const length = varint(inputLimit);
    const end = position + length;
    if (isBroken || length < 0 || end > inputLimit || end < position) return written;
    position++; // attributes: unused
    const timestampDelta = varlong(end);
    const offsetDelta = varint(end);
    const keyLength = varint(end);
    if (isBroken || keyLength < -1 || offsetDelta <= previousDelta || offsetDelta > lastDelta) return written;
    previousDelta = offsetDelta;
    const key = position;
    if (keyLength > 0) position += keyLength;
    if (position > end) return written;
    const valueLength = varint(end);
    if (isBroken || valueLength < -1) return written;
    const value = position;
    if (valueLength > 0) position += valueLength;
    if (position > end) return written;
    const headerCount = varint(end);
    if (isBroken || headerCount < 0) return written;
    const headers = position;

    // Room for the worst: four thirds and padding, six bytes a header byte, numbers, names; SIMD writes 16 at a time.
    const most: usize =
      224 +
      headLength +
      middleLength +
      (keyLength > 0 ? (keyLength * 4) / 3 : 0) +
      (valueLength > 0 ? (valueLength * 4) / 3 : 0) +
      <i32>(end - headers) * 6;
    if (out + most > outputLimit) {
      wantsRoom = 1;
      return written;
    }

    let at = out;
    if (written > 0 || isFirst == 0) store<u8>(at++, 0x2c);
    at = copy(at, head, headLength);
    const offset = baseOffset + <f64>offsetDelta;
    at = decimalNear(at, offset, OFFSETS);
    at = copy(at, TIMESTAMP, 13);
    at = decimalNear(at, isAppendTime != 0 ? appendTime : baseTimestamp + <f64>timestampDelta, TIMESTAMPS);
    at = copy(at, middle, middleLength);
    if (keyLength >= 0) {
      at = copy(at, KEY, 8);
      at = base64(at, key, keyLength);
      store<u8>(at++, 0x22);
    }
    if (valueLength >= 0) {
      at = copy(at, VALUE, 10);
      at = base64(at, value, valueLength);
      store<u8>(at++, 0x22);
    }
    at = copy(at, HEADERS, 12);
    for (let i = 0; i < headerCount; i++) {
      const nameLength = varint(end);
      if (isBroken || nameLength < 0) return written;
      const name = position;
      position += nameLength;
      if (position > end) return written;
      const headerLength = varint(end);
      if (isBroken || headerLength < -1) return written;
      const bytes = position;
      if (headerLength > 0) position += headerLength;
      if (position > end) return written;
      if (i > 0) store<u8>(at++, 0x2c);
      store<u16>(at, 0x227b); // {"
      at += 2;
      for (let j = 0; j < nameLength; j++) {
        const byte = load<u8>(name + j);
        if (byte < 0x20 || byte >= 0x7f || byte == 0x22 || byte == 0x5c) return written;
        store<u8>(at++, byte);
      }
      store<u16>(at, 0x3a22); // ":
      at += 2;
      store<u8>(at++, 0x5b);
      for (let j = 0; j < headerLength; j++) {
        if (j > 0) store<u8>(at++, 0x2c);
        at = signedByte(at, load<i8>(bytes + j));
      }
      store<u16>(at, 0x7d5d); // ]}
      at += 2;
    }
    if (position != end || isBroken) return written;
    store<u16>(at, 0x7d5d);
    out = at + 2;
    written++;
    lastOffset = offset;
    inputEnd = <i32>position;
    outputEnd = <i32>out;
  }
  return written;
}

// Constant texts, each with room to be read 16 bytes at a time.
const TIMESTAMP = memory.data<u8>([0x2c, 0x22, 0x74, 0x69, 0x6d, 0x65, 0x73, 0x74, 0x61, 0x6d, 0x70, 0x22, 0x3a, 0, 0, 0], 16);
const KEY = memory.data<u8>([0x2c, 0x22, 0x6b, 0x65, 0x79, 0x22, 0x3a, 0x22, 0, 0, 0, 0, 0, 0, 0, 0], 16);
const VALUE = memory.data<u8>([0x2c, 0x22, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x22, 0x3a, 0x22, 0, 0, 0, 0, 0, 0], 16);
const HEADERS = memory.data<u8>([0x2c, 0x22, 0x68, 0x65, 0x61, 0x64, 0x65, 0x72, 0x73, 0x22, 0x3a, 0x5b, 0, 0, 0, 0], 16);

/** Copies 16 bytes at a time: what lies behind is written over by what follows. */
// @ts-expect-error: decorators of functions exist in AssemblyScript alone.
@inline
function copy(to: usize, from: usize, length: i32): usize {
  for (let i: i32 = 0; i < length; i += 16) v128.store(to + i, v128.load(from + i));
  return to + length;
}

// Constants that the base64 loop keeps in registers: loaded, because WebAssembly engines make literals anew each time.
/** Of a group of three bytes, a b c, the bytes b a c b: a big-endian half of 16 bits for each two characters. */
const PICK = memory.data<u8>([1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10], 16);
/** Shifts every second half by 4: then the twelve bits of each lie on top. */
const FACTORS = memory.data<u32>([0x00100001, 0x00100001, 0x00100001, 0x00100001], 16);
const SECOND = memory.data<u32>([0x3f003f00, 0x3f003f00, 0x3f003f00, 0x3f003f00], 16);
const UPPER_CASE = memory.data<u8>([25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25], 16);
const LOWER_CASE = memory.data<u8>([51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51], 16);
/** What to add to a 6-bit number, by its kind: 0 A-Z, 1 a-z, 2 to 11 digits, 12 '+', 13 '/'. */
const SHIFTS = memory.data<u8>([65, 71, 252, 252, 252, 252, 252, 252, 252, 252, 252, 252, 237, 240, 0, 0], 16);
/** From byte 16 - n on: a mask of the first n bytes. */
const FIRST = memory.data<u64>([-1, -1, 0, 0], 16);

/**
 * Standard base64 with padding. Twelve bytes become sixteen characters a step; a rest is a step too, of which what is
 * too much is written over by what follows.
 */
// @ts-expect-error: as above.
@inline
function base64(to: usize, from: usize, length: i32): usize {
  const pick = v128.load(PICK);
  const factors = v128.load(FACTORS);
  const second = v128.load(SECOND);
  const upperCase = v128.load(UPPER_CASE);
  const lowerCase = v128.load(LOWER_CASE);
  const shifts = v128.load(SHIFTS);
  const whole = from + length - (length % 12);
  while (from < whole) {
    v128.store(to, sixteen(v128.load(from), pick, factors, second, upperCase, lowerCase, shifts));
    from += 12;
    to += 16;
  }
  const rest = length % 12;
  if (rest > 0) {
    const bytes = v128.and(v128.load(from), v128.load(FIRST + 16 - rest));
    v128.store(to, sixteen(bytes, pick, factors, second, upperCase, lowerCase, shifts));
    const groups = <usize>((rest + 2) / 3);
    to += groups * 4;
    const missing = <i32>groups * 3 - rest;
    if (missing > 0) store<u8>(to - 1, 0x3d);
    if (missing > 1) store<u8>(to - 2, 0x3d);
  }
  return to;
}

/**
 * The base64 of the first twelve bytes. Bytes are picked by the relaxed instruction: it differs between processors only
 * for indexes beyond 15, which there are none of, and the other one costs an instruction and a constant more.
 */
// @ts-expect-error: as above.
@inline
function sixteen(
  bytes: v128,
  pick: v128,
  factors: v128,
  second: v128,
  upperCase: v128,
  lowerCase: v128,
  shifts: v128,
): v128 {
  const halves = i16x8.mul(i8x16.relaxed_swizzle(bytes, pick), factors);
  const numbers = v128.or(i16x8.shr_u(halves, 10), v128.and(i16x8.shl(halves, 4), second));
  const kind = i8x16.sub(i8x16.sub_sat_u(numbers, lowerCase), i8x16.gt_s(numbers, upperCase));
  return i8x16.add(numbers, i8x16.relaxed_swizzle(shifts, kind));
}

/**
 * Neighbours differ in their last four digits only: the digits before are kept as text. Two of them, for offsets and
 * for timestamps: 8 bytes for what the number is without its last four digits, then the text.
 */
const OFFSETS = memory.data(32, 16);
const TIMESTAMPS = memory.data(32, 16);

/** A whole number within 2^53; others are left to the plain writer, which has them to the last digit. */
// @ts-expect-error: as above.
@inline
function decimalNear(to: usize, number: f64, near: usize): usize {
  const rest = number - load<f64>(near);
  if (rest >= 0 && rest < 10000 && load<i32>(near, 8) > 0) {
    v128.store(to, v128.load(near, 12));
    to += load<i32>(near, 8);
    const four = <u32>rest;
    const high = (four * 5243) >> 19; // four / 100, below 10,000
    const low = four - high * 100;
    const tens = (high * 103) >> 10; // high / 10, below 100
    const lowTens = (low * 103) >> 10;
    store<u32>(to, 0x30303030 + tens + ((high - tens * 10) << 8) + (lowTens << 16) + ((low - lowTens * 10) << 24));
    return to + 4;
  }
  const end = decimal(to, number);
  const digits = <i32>(end - to);
  if (number > 9007199254740991 || number < -9007199254740991) isBroken = true;
  // Not the last ones within: from them the short way above would lead beyond.
  else if (number >= 10000 && number <= 9007199254730992) {
    const four =
      (<f64>load<u8>(end - 4) - 48) * 1000 +
      (<f64>load<u8>(end - 3) - 48) * 100 +
      (<f64>load<u8>(end - 2) - 48) * 10 +
      (<f64>load<u8>(end - 1) - 48);
    store<f64>(near, number - four);
    store<i32>(near, digits - 4, 8);
    v128.store(near, v128.load(to), 12);
  }
  return end;
}

function decimal(to: usize, number: f64): usize {
  if (number < 0) {
    store<u8>(to++, 0x2d);
    number = -number;
  }
  let value = <u64>number;
  let digits = 1;
  for (let power: u64 = 10; digits < 16 && value >= power; power *= 10) digits++;
  let at = to + digits;
  // Above 32 bits eight digits at a time: division of 64-bit numbers is dear.
  while (value > 0xffffffff) {
    const rest = value / 100000000;
    let low = <u32>(value - rest * 100000000);
    for (let i = 0; i < 8; i++) {
      const tenth = low / 10;
      store<u8>(--at, <u8>(0x30 + (low - tenth * 10)));
      low = tenth;
    }
    value = rest;
  }
  let small = <u32>value;
  do {
    const tenth = small / 10;
    store<u8>(--at, <u8>(0x30 + (small - tenth * 10)));
    small = tenth;
  } while (small > 0);
  return to + digits;
}

// @ts-expect-error: as above.
@inline
function signedByte(to: usize, byte: i8): usize {
  let value = <i32>byte;
  if (value < 0) {
    store<u8>(to++, 0x2d);
    value = -value;
  }
  if (value >= 100) {
    store<u8>(to++, 0x31);
    value -= 100;
    store<u8>(to++, <u8>(0x30 + value / 10));
  } else if (value >= 10) store<u8>(to++, <u8>(0x30 + value / 10));
  store<u8>(to++, <u8>(0x30 + (value % 10)));
  return to;
}

/** A zigzag varint of up to 32 bits. */
// @ts-expect-error: as above.
@inline
function varint(limit: usize): i32 {
  if (position < limit) {
    const byte = <u32>load<u8>(position);
    if (byte < 0x80) {
      position++;
      return <i32>((byte >> 1) ^ (0 - (byte & 1)));
    }
    if (position + 1 < limit) {
      const next = <u32>load<u8>(position, 1);
      if (next < 0x80) {
        position += 2;
        const value = (byte & 0x7f) | (next << 7);
        return <i32>((value >> 1) ^ (0 - (value & 1)));
      }
    }
  }
  return longVarint(limit);
}

function longVarint(limit: usize): i32 {
  let value: u32 = 0;
  for (let shift: u32 = 0; shift < 35; shift += 7) {
    if (position >= limit) break;
    const byte = <u32>load<u8>(position++);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return <i32>((value >> 1) ^ (0 - (value & 1)));
  }
  isBroken = true;
  return 0;
}

/** A zigzag varint of up to 64 bits; what does not fit into 2^53 is left to the plain writer. */
function varlong(limit: usize): i64 {
  let value: u64 = 0;
  for (let shift: u64 = 0; shift < 70; shift += 7) {
    if (position >= limit) break;
    const byte = <u64>load<u8>(position++);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      if (value > 9007199254740991) break;
      return <i64>((value >> 1) ^ (0 - (value & 1)));
    }
  }
  isBroken = true;
  return 0;
}
