// What the scanner remembers about the member names of one place in the tree, to guess the next one.

import type { PathNode } from './path-tree.ts';
import { eventBytes } from './scan.ts';

/** The event being scanned, four bytes at a time. A constant of this module, as in scan.ts, and for the same reason. */
const words = new DataView(eventBytes.buffer);

/** Names longer than this are not guessed. */
const guessedName = 30;
/** Most names remembered for one object. */
const guessesOfObject = 64;
/** How often one object's memory changes before it is left as it is. */
const changesAllowed = 512;

/**
 * A member name that was met before, and the one that followed it. Records of one topic have one shape, so the next name
 * is nearly always known: a few words compared instead of a byte at a time read, and no search for the child.
 */
export class NameGuess {
  /** Length of the name with its quote and colon. */
  readonly span: number;
  /** The first twelve bytes of that as little-endian words, each with the mask of its bytes … */
  private readonly first: number;
  private readonly second: number;
  private readonly third: number;
  private readonly firstMask: number;
  private readonly secondMask: number;
  private readonly thirdMask: number;
  /** … and what follows them, the last word cut by `restMask`. */
  private readonly rest: Int32Array;
  private readonly restMask: number;
  readonly child: PathNode | undefined;
  /** Of a member that nobody wants: what is known about the objects in it. */
  readonly inside: ObjectMemory | undefined;
  next: NameGuess | undefined = undefined;

  constructor(start: number, span: number, child: PathNode | undefined, budget: MemoryBudget) {
    this.span = span;
    this.child = child;
    this.inside = child === undefined ? new ObjectMemory(budget) : undefined;
    this.firstMask = byteMask(span);
    this.secondMask = byteMask(span - 4);
    this.thirdMask = byteMask(span - 8);
    this.first = words.getInt32(start, true) & this.firstMask;
    this.second = words.getInt32(start + 4, true) & this.secondMask;
    this.third = words.getInt32(start + 8, true) & this.thirdMask;
    this.rest = new Int32Array(Math.max(0, (span - 9) >> 2));
    for (let n = 0; n < this.rest.length; n++) this.rest[n] = words.getInt32(start + 12 + n * 4, true);
    this.restMask = byteMask(((span - 1) & 3) + 1);
    if (this.rest.length > 0) this.rest[this.rest.length - 1]! &= this.restMask;
  }

  /** Whether these very bytes stand at `i`. */
  standsAt(i: number): boolean {
    const differences =
      ((words.getInt32(i, true) & this.firstMask) ^ this.first) |
      ((words.getInt32(i + 4, true) & this.secondMask) ^ this.second) |
      ((words.getInt32(i + 8, true) & this.thirdMask) ^ this.third);
    return differences === 0 && (this.rest.length === 0 || this.restStandsAt(i + 12));
  }

  private restStandsAt(i: number): boolean {
    const { rest } = this;
    const last = rest.length - 1;
    for (let n = 0; n < last; n++) {
      if (words.getInt32(i, true) !== rest[n]) return false;
      i += 4;
    }
    return (words.getInt32(i, true) & this.restMask) === rest[last];
  }
}

/** A mask for the first `count` bytes of a little-endian word. */
function byteMask(count: number): number {
  return count <= 0 ? 0 : count >= 4 ? -1 : (1 << (count * 8)) - 1;
}

/** How many more names the objects of one tree may remember together. */
export class MemoryBudget {
  left = 2048;
}

/**
 * What is remembered about the member names of the objects at one place. It changes from event to event, within limits,
 * but is never a part of a verdict.
 */
export class ObjectMemory {
  first: NameGuess | undefined = undefined;
  private readonly budget: MemoryBudget;
  private readonly known: NameGuess[] = [];
  private changes = 0;

  constructor(budget: MemoryBudget) {
    this.budget = budget;
  }

  /** Remembers that the name at `start`, `span` bytes with its colon, came after `previous`. */
  learn(
    previous: NameGuess | undefined,
    start: number,
    span: number,
    child: PathNode | undefined,
  ): NameGuess | undefined {
    if (this.changes === changesAllowed || span > guessedName) return undefined;
    this.changes++;
    let guess = this.known.find((candidate) => candidate.span === span && candidate.standsAt(start));
    if (guess === undefined) {
      if (this.known.length === guessesOfObject || this.budget.left === 0) return undefined;
      this.budget.left--;
      guess = new NameGuess(start, span, child, this.budget);
      this.known.push(guess);
    }
    if (previous === undefined) this.first = guess;
    else previous.next = guess;
    return guess;
  }
}
