// A wildcard is a chain of literal pieces: the first anchored at the start, the last at the end, the others found from
// left to right in between. Leftmost search is enough, so the time is linear in the text for any pattern.

import { encodeText } from './utf8.ts';

/** From this length a piece is searched with the table of Knuth, Morris and Pratt: repetitive text must stay linear. */
const tableFrom = 12;

interface Piece {
  readonly bytes: Uint8Array;
  /** Length of the longest border of each prefix, or undefined for short pieces. */
  readonly borders: Uint32Array | undefined;
}

/** What is wrong with a wildcard's text, at which of its characters (from 0). */
export interface WildcardFault {
  readonly fault: 'stars' | 'escape';
  readonly at: number;
}

/** Splits at unescaped stars; returns the literal pieces, or the fault. */
export function splitWildcard(text: string): string[] | WildcardFault {
  const pieces: string[] = [];
  let piece = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '\\') {
      const next = text[i + 1];
      if (next !== '*' && next !== '\\') return { fault: 'escape', at: i };
      piece += next;
      i++;
    } else if (c === '*') {
      if (text[i + 1] === '*') return { fault: 'stars', at: i + 1 };
      pieces.push(piece);
      piece = '';
    } else {
      piece += c;
    }
  }
  pieces.push(piece);
  return pieces;
}

export class Wildcard {
  private readonly head: Uint8Array;
  /** Undefined for a wildcard without a star, which is plain equality. */
  private readonly tail: Uint8Array | undefined;
  private readonly middle: readonly Piece[];

  constructor(pieces: readonly string[]) {
    this.head = encodeText(pieces[0]!);
    this.tail = pieces.length > 1 ? encodeText(pieces.at(-1)!) : undefined;
    this.middle = pieces.slice(1, -1).map((text) => {
      const bytes = encodeText(text);
      return { bytes, borders: bytes.length >= tableFrom ? bordersOf(bytes) : undefined };
    });
  }

  matches(bytes: Uint8Array, start: number, end: number): boolean {
    const { head, tail } = this;
    const length = end - start;
    if (tail === undefined) return length === head.length && holdsAt(bytes, start, head);
    if (length < head.length + tail.length) return false;
    if (!holdsAt(bytes, start, head) || !holdsAt(bytes, end - tail.length, tail)) return false;
    let at = start + head.length;
    const stop = end - tail.length;
    for (let n = 0; n < this.middle.length; n++) {
      const piece = this.middle[n]!;
      at = piece.borders === undefined ? find(bytes, at, stop, piece.bytes) : findLong(bytes, at, stop, piece);
      if (at === -1) return false;
    }
    return true;
  }
}

function holdsAt(bytes: Uint8Array, at: number, part: Uint8Array): boolean {
  for (let i = 0; i < part.length; i++) if (bytes[at + i] !== part[i]) return false;
  return true;
}

/** Offset behind the first occurrence of `part` in [at, stop), or -1. */
function find(bytes: Uint8Array, at: number, stop: number, part: Uint8Array): number {
  const first = part[0];
  const last = stop - part.length;
  for (; at <= last; at++) {
    if (bytes[at] === first && holdsAt(bytes, at, part)) return at + part.length;
  }
  return -1;
}

function findLong(bytes: Uint8Array, at: number, stop: number, piece: Piece): number {
  const part = piece.bytes;
  const borders = piece.borders!;
  let matched = 0;
  for (; at < stop; at++) {
    const c = bytes[at];
    while (matched > 0 && c !== part[matched]) matched = borders[matched - 1]!;
    if (c === part[matched]) matched++;
    if (matched === part.length) return at + 1;
  }
  return -1;
}

function bordersOf(part: Uint8Array): Uint32Array {
  const borders = new Uint32Array(part.length);
  let border = 0;
  for (let i = 1; i < part.length; i++) {
    while (border > 0 && part[i] !== part[border]) border = borders[border - 1]!;
    if (part[i] === part[border]) border++;
    borders[i] = border;
  }
  return borders;
}
