// The scanner: walks an event's bytes beside the tree of wanted paths, judges leaves where they lie, skips the rest, and
// stops as soon as the verdict is known. What it reads is checked as strict RFC 8259; what it does not read is not.
// No objects and no strings are made.
//
// An event is copied into one buffer, followed by a zero byte. Copying costs 20 ns for 300 bytes and buys more: the
// buffer is a constant of this module, which the compiler folds into every access (hence all loops live in this file);
// no index needs a check against the end, because the zero, which JSON allows nowhere, ends every loop; and callers may
// pass any view.

import { InvalidEventError } from './errors.ts';
import { maximumEventBytes, maximumEventDepth } from './limits.ts';
import { comparableNumber } from './numbers.ts';
import type { NameGuess, ObjectMemory } from './object-memory.ts';
import type { PathNode } from './path-tree.ts';
import type { Run } from './run.ts';
import { literalFalse, literalNull, literalTrue } from './tests.ts';
import { asciiText, characterEnd, decoded, decodeString, hexadecimal } from './text.ts';
import { encodeInto } from './utf8.ts';

/** The event being scanned, and its zero. Pages that no event ever reached cost no memory. */
const bytes = new Uint8Array(maximumEventBytes + 64);
/** The same, four bytes at a time, at any offset. */
const words = new DataView(bytes.buffer);
let length = 0;

/** The buffer, for readers in other files. */
export const eventBytes = bytes;

/** Takes an event for scanning, until the next call. Throws InvalidEventError (`too-large`). */
export function loadEvent(event: string | Uint8Array): void {
  if (typeof event === 'string') {
    // The encoder stops where the buffer ends, which is then beyond the limit.
    length = encodeInto(event, bytes);
  } else {
    length = event.length;
    if (length <= maximumEventBytes) bytes.set(event);
  }
  if (length > maximumEventBytes) {
    throw new InvalidEventError('too-large', `an event may have at most ${maximumEventBytes} bytes`, maximumEventBytes);
  }
  bytes[length] = 0;
}

/** Throws what is wrong at `at`. */
export function fail(at: number, expected: string): never {
  const found = at >= length ? 'the end' : `byte 0x${bytes[at]!.toString(16).padStart(2, '0')}`;
  throw new InvalidEventError('syntax', `the event is not valid JSON: expected ${expected}, found ${found}`, at);
}

/** Throws for a container at `at` that is nested too deep. */
export function failDepth(at: number): never {
  throw new InvalidEventError('too-deep', `the event is nested deeper than ${maximumEventDepth}`, at);
}

// ---------------------------------------------------------------------------------------------- lexical

/** 1 for what ends a run of plain characters in a member name: quote, backslash, dot, controls, bytes beyond ASCII. */
const nameStops = new Uint8Array(256);
for (let c = 0; c < 256; c++) if (c < 32 || c === 34 || c === 46 || c === 92 || c >= 128) nameStops[c] = 1;

/** 10^0 … 10^15. */
const powersOfTen = Float64Array.from({ length: 16 }, (_, n) => 10 ** n);

/** Offset of the first byte at or after `i` that is no white space. */
export function skipSpace(i: number): number {
  for (;;) {
    const c = bytes[i]!;
    if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return i;
    i++;
  }
}

/** Whether the string that `skipString` passed last holds an escape. */
let sawEscape = false;

/** From behind the opening quote to behind the closing one. */
export function skipString(i: number): number {
  sawEscape = false;
  for (;;) {
    // Four bytes at a time: the subtractions set a byte's high bit where it is a quote, a backslash, or below a space;
    // bytes beyond ASCII have it set. A borrow can only mark bytes above one that is marked rightly.
    const four = words.getInt32(i, true);
    const stops =
      (((four ^ 0x22222222) - 0x01010101) | ((four ^ 0x5c5c5c5c) - 0x01010101) | (four - 0x20202020) | four) &
      -0x7f7f7f80;
    if (stops === 0) {
      i += 4;
      continue;
    }
    i += (31 - Math.clz32(stops & -stops)) >> 3;
    const c = bytes[i]!;
    if (c === 34) return i + 1;
    i = skipOddCharacters(c, i);
  }
}

/** Passes what stopped `skipString`: an escape, or a run of characters beyond ASCII. */
function skipOddCharacters(c: number, i: number): number {
  if (c === 92) {
    sawEscape = true;
    return skipEscape(i);
  }
  if (c < 32) fail(i, i >= length ? 'the end of a string' : 'a string without raw control characters');
  do {
    const end = characterEnd(bytes, i);
    if (end === -1) throw new InvalidEventError('utf8', 'the event is not valid UTF-8', i);
    i = end;
  } while (bytes[i]! >= 128);
  return i;
}

function skipEscape(i: number): number {
  const c = bytes[i + 1]!;
  if (c === 117) {
    for (let n = 2; n < 6; n++) if (hexadecimal(bytes[i + n]!) < 0) fail(i + n, 'a hexadecimal digit');
    return i + 6;
  }
  // " \ / b f n r t
  if (c === 34 || c === 92 || c === 47 || c === 98 || c === 102 || c === 110 || c === 114 || c === 116) return i + 2;
  return fail(i + 1, 'an escape');
}

/** Passes a number that nobody wants. */
function skipNumber(i: number): number {
  let c = bytes[i]!;
  if (c === 45) c = bytes[++i]!;
  if (c === 48) {
    c = bytes[++i]!;
  } else {
    if (c < 49 || c > 57) fail(i, 'a value');
    do c = bytes[++i]!;
    while (c >= 48 && c <= 57);
  }
  if (c === 46) {
    c = bytes[++i]!;
    if (c < 48 || c > 57) fail(i, 'a digit');
    do c = bytes[++i]!;
    while (c >= 48 && c <= 57);
  }
  return (c | 32) === 101 ? skipExponent(i) : i;
}

function skipExponent(i: number): number {
  let c = bytes[++i]!;
  if (c === 43 || c === 45) c = bytes[++i]!;
  if (c < 48 || c > 57) fail(i, 'a digit');
  do c = bytes[++i]!;
  while (c >= 48 && c <= 57);
  return i;
}

/** The number that `readNumber` read last, NaN when it is not comparable. A typed array, so that storing makes no object. */
export const numberRead = new Float64Array(1);

/** Passes a number and leaves its value in `numberRead`. */
export function readNumber(start: number): number {
  let i = start;
  let c = bytes[i]!;
  const negative = c === 45;
  if (negative) c = bytes[++i]!;
  let digits = 0;
  let scale = 0;
  if (c === 48) {
    c = bytes[++i]!;
  } else {
    if (c < 49 || c > 57) fail(i, 'a value');
    do {
      digits = digits * 10 + (c - 48);
      c = bytes[++i]!;
    } while (c >= 48 && c <= 57);
  }
  let count = i - start;
  if (c === 46) {
    const from = ++i;
    c = bytes[i]!;
    if (c < 48 || c > 57) fail(i, 'a digit');
    do {
      digits = digits * 10 + (c - 48);
      c = bytes[++i]!;
    } while (c >= 48 && c <= 57);
    scale = i - from;
    count += scale;
  }
  const exponent = (c | 32) === 101;
  if (exponent) i = skipExponent(i);
  // Up to 15 digits are an exact integer, powers of ten up to 22 are exact, and one division of two exact doubles is
  // rounded once: the nearest double, and two texts of at most 15 digits never share one.
  if (count <= 15 && !exponent) {
    const value = scale === 0 ? digits : digits / powersOfTen[scale]!;
    numberRead[0] = negative ? -value : value;
  } else {
    numberRead[0] = comparableNumber(asciiText(bytes, start, i));
  }
  return i;
}

/** Passes `true`, `false` or `null`, which starts at `i`. */
function skipLiteral(i: number): number {
  const c = bytes[i];
  if (c === 116) {
    if (bytes[i + 1] === 114 && bytes[i + 2] === 117 && bytes[i + 3] === 101) return i + 4;
  } else if (c === 102) {
    if (bytes[i + 1] === 97 && bytes[i + 2] === 108 && bytes[i + 3] === 115 && bytes[i + 4] === 101) return i + 5;
  } else if (c === 110) {
    if (bytes[i + 1] === 117 && bytes[i + 2] === 108 && bytes[i + 3] === 108) return i + 4;
  }
  return fail(i, 'a value');
}

/** The bit of the literal that starts at `i`. */
export function literalAt(i: number): number {
  const c = bytes[i];
  return c === 116 ? literalTrue : c === 102 ? literalFalse : literalNull;
}

/** Passes any value, checking its grammar. `depth` counts the containers around it. */
export function skipValue(i: number, depth: number): number {
  const c = bytes[i]!;
  if (c === 34) return skipString(i + 1);
  if (c === 123 || c === 91) return skipContainer(i, depth);
  if (c === 45 || (c >= 48 && c <= 57)) return skipNumber(i);
  return skipLiteral(i);
}

/** What closes the container at each depth. Never recursive: a hostile event must not reach the end of the stack. */
const closers = new Uint8Array(maximumEventDepth + 1);

function skipContainer(i: number, outerDepth: number): number {
  let depth = outerDepth;
  let closer = 0;
  value: for (;;) {
    let c = bytes[i]!;
    if (c === 34) {
      i = skipString(i + 1);
    } else if (c === 123 || c === 91) {
      if (++depth > maximumEventDepth) failDepth(i);
      closer = c + 2;
      closers[depth] = closer;
      c = bytes[++i]!;
      if (c <= 32) c = bytes[(i = skipSpace(i))]!;
      if (c !== closer) {
        if (closer === 125) i = skipName(i);
        continue;
      }
      i++;
      depth--;
      if (depth === outerDepth) return i;
      closer = closers[depth]!;
    } else if (c === 45 || (c >= 48 && c <= 57)) {
      i = skipNumber(i);
    } else {
      i = skipLiteral(i);
    }
    for (;;) {
      c = bytes[i]!;
      if (c <= 32) c = bytes[(i = skipSpace(i))]!;
      i++;
      if (c === 44) {
        if (bytes[i]! <= 32) i = skipSpace(i);
        if (closer === 125) i = skipName(i);
        continue value;
      }
      if (c !== closer) fail(i - 1, closer === 125 ? '"," or "}"' : '"," or "]"');
      depth--;
      if (depth === outerDepth) return i;
      closer = closers[depth]!;
    }
  }
}

/** From the opening quote of a member name to the member's value. */
function skipName(i: number): number {
  if (bytes[i] !== 34) fail(i, 'a member name');
  i = skipString(i + 1);
  // Nearly always a colon and then the value at once.
  return bytes[i] === 58 && bytes[i + 1]! > 32 ? i + 1 : skipColon(i);
}

/** From behind a member name to its value. */
export function skipColon(i: number): number {
  i = skipSpace(i);
  if (bytes[i] !== 58) fail(i, '":"');
  return skipSpace(i + 1);
}

/** Checks that nothing but white space follows the event. */
export function checkEnd(i: number): void {
  i = skipSpace(i);
  if (i < length) fail(i, 'nothing after the event');
}

/** The event is no container: throws what it is instead. */
export function failTop(start: number): never {
  checkEnd(skipValue(start, 0));
  throw new InvalidEventError('not-an-object', 'an event must be a JSON object', start);
}

// ---------------------------------------------------------------------------------------------- scanning

/** Returned instead of an offset: the verdict is known. */
const stop = -1;
/**
 * Scans the loaded event into `run`. Returns false when the verdict hangs on the positions of leaves in an array that
 * several conditions look into: then `run` knows nothing. Throws InvalidEventError.
 */
export function scanEvent(run: Run, arrayAllowed: boolean): boolean {
  run.begin();
  const start = bytes[0]! <= 32 ? skipSpace(0) : 0;
  let i: number;
  if (bytes[start] === 123) i = scanObject(run, run.tree.root, start + 1, 1);
  else if (bytes[start] === 91 && arrayAllowed) i = scanArray(run, run.tree.root, start + 1, 1);
  else return failTop(start);
  if (i >= 0) {
    checkEnd(i);
    run.end();
  }
  return !run.undecided;
}

/** From behind "{" to behind "}", or `stop`. */
function scanObject(run: Run, node: PathNode, i: number, depth: number): number {
  let c = bytes[i]!;
  if (c <= 32) c = bytes[(i = skipSpace(i))]!;
  if (c === 125) return i + 1;
  let previous: NameGuess | undefined;
  let guess = node.memory.first;
  for (;;) {
    if (c !== 34) fail(i, 'a member name');
    i++;
    let child: PathNode | undefined;
    let inside: ObjectMemory | undefined;
    if (guess?.standsAt(i)) {
      child = guess.child;
      inside = guess.inside;
      i += guess.span;
      previous = guess;
      guess = guess.next;
    } else {
      const start = i;
      while (nameStops[(c = bytes[i]!)] === 0) i++;
      if (c === 34) {
        child = node.child(bytes, start, i);
        i++;
        if (bytes[i] === 58) {
          i++;
          const learnt = node.memory.learn(previous, start, i - start, child);
          if (learnt !== undefined) {
            previous = learnt;
            guess = learnt.next;
          }
        } else {
          i = skipColon(i);
        }
      } else {
        i = skipString(i);
        child = oddDescendant(node, start, i - 1);
        i = skipColon(i);
      }
    }
    c = bytes[i]!;
    if (c <= 32) c = bytes[(i = skipSpace(i))]!;
    if (child !== undefined) {
      i = scanValue(run, child, i, depth);
      if (i < 0) return i;
    } else if (c === 34) {
      i = skipString(i + 1);
    } else if (inside !== undefined && (c === 123 || c === 91)) {
      i = skipFamiliar(inside, i, depth);
    } else {
      i = skipValue(i, depth);
    }
    c = bytes[i]!;
    if (c <= 32) c = bytes[(i = skipSpace(i))]!;
    if (c !== 44) {
      if (c === 125) return i + 1;
      fail(i, '"," or "}"');
    }
    c = bytes[++i]!;
    if (c <= 32) c = bytes[(i = skipSpace(i))]!;
  }
}

/** Passes a container that nobody wants, with the memory of the objects in it. */
function skipFamiliar(memory: ObjectMemory, i: number, depth: number): number {
  if (depth === maximumEventDepth) failDepth(i);
  return bytes[i] === 123 ? skipObject(memory, i + 1, depth + 1) : skipArray(memory, i + 1, depth + 1);
}

function skipArray(memory: ObjectMemory, i: number, depth: number): number {
  let c = bytes[i]!;
  if (c <= 32) c = bytes[(i = skipSpace(i))]!;
  if (c === 93) return i + 1;
  for (;;) {
    if (c === 34) i = skipString(i + 1);
    else if (c === 123 || c === 91) i = skipFamiliar(memory, i, depth);
    else i = skipValue(i, depth);
    c = bytes[i]!;
    if (c <= 32) c = bytes[(i = skipSpace(i))]!;
    if (c !== 44) break;
    c = bytes[++i]!;
    if (c <= 32) c = bytes[(i = skipSpace(i))]!;
  }
  if (c !== 93) fail(i, '"," or "]"');
  return i + 1;
}

function skipObject(memory: ObjectMemory, i: number, depth: number): number {
  let c = bytes[i]!;
  if (c <= 32) c = bytes[(i = skipSpace(i))]!;
  if (c === 125) return i + 1;
  let previous: NameGuess | undefined;
  let guess = memory.first;
  for (;;) {
    if (c !== 34) fail(i, 'a member name');
    i++;
    let inside: ObjectMemory | undefined;
    if (guess?.standsAt(i)) {
      inside = guess.inside;
      i += guess.span;
      previous = guess;
      guess = guess.next;
    } else {
      const start = i;
      i = skipString(i);
      if (bytes[i] === 58) {
        i++;
        // The memory is about bytes as they stand: a name with an escape in it is as good as any.
        const learnt = memory.learn(previous, start, i - start, undefined);
        if (learnt !== undefined) {
          previous = learnt;
          guess = learnt.next;
        }
      } else {
        i = skipColon(i);
      }
    }
    c = bytes[i]!;
    if (c <= 32) c = bytes[(i = skipSpace(i))]!;
    if (c === 34) i = skipString(i + 1);
    else if (inside !== undefined && (c === 123 || c === 91)) i = skipFamiliar(inside, i, depth);
    else i = skipValue(i, depth);
    c = bytes[i]!;
    if (c <= 32) c = bytes[(i = skipSpace(i))]!;
    if (c !== 44) {
      if (c === 125) return i + 1;
      fail(i, '"," or "}"');
    }
    c = bytes[++i]!;
    if (c <= 32) c = bytes[(i = skipSpace(i))]!;
  }
}

/** Offset of what ends the run of plain characters in a member name: its quote, or something odd. */
export function skipPlainName(i: number): number {
  while (nameStops[bytes[i]!] === 0) i++;
  return i;
}

/** The descendant for a member name with a dot, an escape, or a character beyond ASCII in it. */
export function oddDescendant(node: PathNode, start: number, end: number): PathNode | undefined {
  for (let i = start; i < end; i++) {
    if (bytes[i] !== 92) continue;
    const decodedLength = decodeString(bytes, start, end);
    return node.descendant(decoded, 0, decodedLength);
  }
  return node.descendant(bytes, start, end);
}

function scanValue(run: Run, node: PathNode, i: number, depth: number): number {
  const c = bytes[i]!;
  if (c === 123) {
    if (node.children.length === 0) return skipContainer(i, depth);
    if (depth === maximumEventDepth) failDepth(i);
    return scanObject(run, node, i + 1, depth + 1);
  }
  if (c === 91) {
    if (depth === maximumEventDepth) failDepth(i);
    return scanArray(run, node, i + 1, depth + 1);
  }
  if (node.conditions.length === 0) return skipValue(i, depth);
  let after: number;
  let known: boolean;
  if (c === 34) {
    after = skipString(i + 1);
    known = sawEscape ? escapedString(run, node, i + 1, after - 1) : run.string(node, bytes, i + 1, after - 1, true);
  } else if (c === 45 || (c >= 48 && c <= 57)) {
    after = readNumber(i);
    known = run.number(node, numberRead[0]!, bytes, i, after);
  } else {
    after = skipLiteral(i);
    known = run.literal(node, literalAt(i));
  }
  return known ? stop : after;
}

function escapedString(run: Run, node: PathNode, start: number, end: number): boolean {
  const decodedLength = decodeString(bytes, start, end);
  return run.string(node, decoded, 0, decodedLength, false);
}

/** From behind "[" to behind "]". Arrays add nothing to a path. */
function scanArray(run: Run, node: PathNode, i: number, depth: number): number {
  let c = bytes[i]!;
  if (c <= 32) c = bytes[(i = skipSpace(i))]!;
  if (c === 93) return i + 1;
  run.arrays++;
  for (;;) {
    if (node.shared && (c === 123 || c === 91)) run.loose = true;
    i = scanValue(run, node, i, depth);
    if (i < 0) return i;
    c = bytes[i]!;
    if (c <= 32) c = bytes[(i = skipSpace(i))]!;
    if (c !== 44) break;
    c = bytes[++i]!;
    if (c <= 32) c = bytes[(i = skipSpace(i))]!;
  }
  if (c !== 93) fail(i, '"," or "]"');
  run.arrays--;
  if (run.arrays === 0 && run.closeArray(node)) return stop;
  return i + 1;
}
