// From the records of a Kafka batch to the JSON of Lambda's event in one pass, with 128-bit SIMD for base64. Mirrors
// `EventWriter` in src/mappings/event-writer.ts byte for byte, which writes what is left to it: this stops before a
// record that it will not write (a header name that needs escaping, bytes that contradict themselves, no room) and says
// how far it came. Built by `node scripts/build-transcoder.js`; memory is imported, laid out in src/mappings/transcoder.ts.

/** Where the last call stopped: in the input, in the output; and the offset of the last record written. */
export let inputEnd: i32 = 0;
export let outputEnd: i32 = 0;
export let lastOffset: f64 = 0;

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
    if (out + most > outputLimit) return written;

    let at = out;
    if (written > 0 || isFirst == 0) store<u8>(at++, 0x2c);
    at = copy(at, head, headLength);
    const offset = baseOffset + <f64>offsetDelta;
    at = decimal(at, offset);
    at = copy(at, TIMESTAMP, 13);
    at = decimal(at, isAppendTime != 0 ? appendTime : baseTimestamp + <f64>timestampDelta);
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
    if (position != end) return written;
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
// @ts-ignore: decorator
@inline
function copy(to: usize, from: usize, length: i32): usize {
  for (let i: i32 = 0; i < length; i += 16) v128.store(to + i, v128.load(from + i));
  return to + length;
}

/** Standard base64 with padding. Twelve bytes become sixteen characters a step. */
// @ts-ignore: decorator
@inline
function base64(to: usize, from: usize, length: i32): usize {
  const zero = i8x16.splat(0);
  // What to add to a 6-bit number, by its class: 0 a-z, 1..10 digits, 11 '+', 12 '/', 13 A-Z.
  const shifts = i8x16(71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 65, 0, 0);
  let left = length;
  while (left >= 12) {
    const bytes = v128.load(from);
    // Each group of three as a 24-bit number in a lane of 32.
    const groups = v128.shuffle<u8>(bytes, zero, 2, 1, 0, 16, 5, 4, 3, 16, 8, 7, 6, 16, 11, 10, 9, 16);
    const numbers = v128.or(
      v128.or(
        v128.and(i32x4.shr_u(groups, 18), i32x4.splat(0x3f)),
        v128.and(i32x4.shr_u(groups, 4), i32x4.splat(0x3f00)),
      ),
      v128.or(
        v128.and(i32x4.shl(groups, 10), i32x4.splat(0x3f0000)),
        v128.and(i32x4.shl(groups, 24), i32x4.splat(0x3f000000)),
      ),
    );
    const isUpper = i8x16.lt_s(numbers, i8x16.splat(26));
    const kind = v128.or(i8x16.sub_sat_u(numbers, i8x16.splat(51)), v128.and(isUpper, i8x16.splat(13)));
    v128.store(to, i8x16.add(numbers, i8x16.swizzle(shifts, kind)));
    from += 12;
    to += 16;
    left -= 12;
  }
  while (left >= 3) {
    const bits = (<u32>load<u8>(from) << 16) | (<u32>load<u8>(from + 1) << 8) | <u32>load<u8>(from + 2);
    store<u8>(to, character(bits >> 18));
    store<u8>(to + 1, character((bits >> 12) & 63));
    store<u8>(to + 2, character((bits >> 6) & 63));
    store<u8>(to + 3, character(bits & 63));
    from += 3;
    to += 4;
    left -= 3;
  }
  if (left > 0) {
    const bits = (<u32>load<u8>(from) << 16) | (left == 2 ? <u32>load<u8>(from + 1) << 8 : 0);
    store<u8>(to, character(bits >> 18));
    store<u8>(to + 1, character((bits >> 12) & 63));
    store<u8>(to + 2, left == 2 ? character((bits >> 6) & 63) : 0x3d);
    store<u8>(to + 3, 0x3d);
    to += 4;
  }
  return to;
}

// @ts-ignore: decorator
@inline
function character(number: u32): u8 {
  if (number < 26) return <u8>(number + 65);
  if (number < 52) return <u8>(number + 71);
  if (number < 62) return <u8>(number - 4);
  return number == 62 ? 0x2b : 0x2f;
}

/** A whole number, exact within 2^53. */
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

// @ts-ignore: decorator
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
// @ts-ignore: decorator
@inline
function varint(limit: usize): i32 {
  if (position < limit) {
    const byte = <u32>load<u8>(position);
    if (byte < 0x80) {
      position++;
      return <i32>((byte >> 1) ^ (0 - (byte & 1)));
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
