// The parts of reading JSON text that are rare enough to be called: escapes, characters beyond ASCII, odd numbers.

import { writeCodePoint } from './utf8.ts';

/** The value of a hexadecimal digit, or -1. */
export function hexadecimal(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  const letter = c | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** Behind the character of two to four bytes at `i`, or -1: well-formed as the Unicode Standard's table 3-7 has it. */
export function characterEnd(bytes: Uint8Array, i: number): number {
  const lead = bytes[i]!;
  const second = bytes[i + 1]!;
  if (lead >= 0xc2 && lead <= 0xdf) return (second & 0xc0) === 0x80 ? i + 2 : -1;
  if (lead >= 0xe0 && lead <= 0xef) {
    const low = lead === 0xe0 ? 0xa0 : 0x80;
    const high = lead === 0xed ? 0x9f : 0xbf;
    return second >= low && second <= high && (bytes[i + 2]! & 0xc0) === 0x80 ? i + 3 : -1;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const low = lead === 0xf0 ? 0x90 : 0x80;
    const high = lead === 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return -1;
    return (bytes[i + 2]! & 0xc0) === 0x80 && (bytes[i + 3]! & 0xc0) === 0x80 ? i + 4 : -1;
  }
  return -1;
}

/** Where `decodeString` puts its result. */
export let decoded = new Uint8Array(1024);

/** Decodes the escapes of the validated string body [start, end) into `decoded`; returns the length. */
export function decodeString(bytes: Uint8Array, start: number, end: number): number {
  if (decoded.length < end - start) decoded = new Uint8Array(2 ** Math.ceil(Math.log2(end - start)));
  const target = decoded;
  let at = 0;
  for (let i = start; i < end; ) {
    const c = bytes[i++]!;
    if (c !== 92) {
      target[at++] = c;
      continue;
    }
    const letter = bytes[i++]!;
    if (letter !== 117) {
      target[at++] = simpleEscape(letter);
      continue;
    }
    let point = fourDigits(bytes, i);
    i += 4;
    if (point >= 0xd800 && point < 0xdc00 && bytes[i] === 92 && bytes[i + 1] === 117) {
      const low = fourDigits(bytes, i + 2);
      if (low >= 0xdc00 && low < 0xe000) {
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        i += 6;
      }
    }
    at = writeCodePoint(target, at, point);
  }
  return at;
}

function simpleEscape(c: number): number {
  switch (c) {
    case 98:
      return 8;
    case 102:
      return 12;
    case 110:
      return 10;
    case 114:
      return 13;
    case 116:
      return 9;
    default:
      return c;
  }
}

function fourDigits(bytes: Uint8Array, i: number): number {
  let value = 0;
  for (let n = 0; n < 4; n++) value = value * 16 + hexadecimal(bytes[i + n]!);
  return value;
}

const asciiDecoder = new TextDecoder();

/** The bytes, which must be ASCII, as a string. */
export function asciiText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 64) return asciiDecoder.decode(bytes.subarray(start, end));
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}
