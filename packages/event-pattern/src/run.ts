// The verdict of one scan, as it grows leaf by leaf. As long as no two conditions of an alternative look into the same
// array of containers, conditions are independent: an alternative holds when each of its conditions does.

import type { Condition, PathNode, PathTree } from './path-tree.ts';
import { acceptsLiteral, acceptsNumber, acceptsString } from './tests.ts';

/** The mutable state of the scans of one tree: one event at a time, then `begin` again. */
export interface Run {
  readonly tree: PathTree;
  /** How many arrays are open on the way to the present place. The scanner counts. */
  arrays: number;
  begin(): void;
  /** A string leaf, decoded, in bytes [start, end). Returns, like its neighbours, whether the verdict is known. */
  string(node: PathNode, bytes: Uint8Array, start: number, end: number): boolean;
  /** A number leaf, NaN when not comparable, whose text is bytes [start, end). */
  number(node: PathNode, value: number, bytes: Uint8Array, start: number, end: number): boolean;
  literal(node: PathNode, literal: number): boolean;
  /** The outermost array at `node` is closed: what it failed has failed for good. */
  closeArray(node: PathNode): boolean;
  /** The event has been read to its end: what was not met is absent. */
  end(): void;
  readonly matchedAny: boolean;
  hasMatched(pattern: number): boolean;
}

/** A run for `tree`; with `untilFirst` the verdict is known with the first pattern that matches. */
export function createRun(tree: PathTree, untilFirst: boolean): Run {
  const { alternatives, conditions, patternBits } = tree;
  const small = Math.max(alternatives.length, conditions.length, patternBits.length) <= 32;
  return small ? new SmallRun(tree, untilFirst) : new LargeRun(tree, untilFirst);
}

/** Up to 32 conditions and alternatives: everything is a bit in a word. */
class SmallRun implements Run {
  readonly tree: PathTree;
  arrays = 0;
  private readonly untilFirst: boolean;
  /** Conditions for which a leaf passed. */
  private accepted = 0;
  /** Nodes at which a leaf was met, by the bit of their first condition. */
  private seen = 0;
  private readonly allSeen: number;
  /** Alternatives that can still match. */
  private alive = 0;
  private readonly all: number;
  /** Patterns that matched. */
  private matched = 0;
  /** By alternative: the bits of its conditions. */
  private readonly needs: Int32Array;

  constructor(tree: PathTree, untilFirst: boolean) {
    this.tree = tree;
    this.untilFirst = untilFirst;
    this.all = tree.patternBits.reduce((all, bits) => all | bits[0]!, 0);
    this.needs = Int32Array.from(tree.alternatives, (conditions) =>
      conditions.reduce((needs, condition) => needs | (1 << condition.id), 0),
    );
    this.allSeen = tree.conditions.reduce((seen, condition) => seen | condition.node.seenBit, 0);
  }

  begin(): void {
    this.accepted = 0;
    this.seen = 0;
    this.matched = 0;
    this.arrays = 0;
    this.alive = this.all;
  }

  get matchedAny(): boolean {
    return this.matched !== 0;
  }

  hasMatched(pattern: number): boolean {
    return ((this.matched >>> pattern) & 1) === 1;
  }

  string(node: PathNode, bytes: Uint8Array, start: number, end: number): boolean {
    const { conditions } = node;
    let accepted = 0;
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (acceptsString(condition.list, bytes, start, end)) accepted |= 1 << condition.id;
    }
    return this.settle(node, accepted);
  }

  number(node: PathNode, value: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { conditions } = node;
    let accepted = 0;
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (acceptsNumber(condition.list, value, bytes, start, end)) accepted |= 1 << condition.id;
    }
    return this.settle(node, accepted);
  }

  literal(node: PathNode, literal: number): boolean {
    const { conditions } = node;
    let accepted = 0;
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (acceptsLiteral(condition.list, literal)) accepted |= 1 << condition.id;
    }
    return this.settle(node, accepted);
  }

  private settle(node: PathNode, accepted: number): boolean {
    this.seen |= node.seenBit;
    if (accepted !== 0) {
      this.accepted |= accepted;
      if (this.finish(node) && this.untilFirst) return true;
    }
    return this.arrays === 0 && this.dismiss(node);
  }

  /** Alternatives with a condition at `node` may be complete now. */
  private finish(node: PathNode): boolean {
    const { needs, accepted } = this;
    for (let candidates = this.alive & node.requiredMask; candidates !== 0; candidates &= candidates - 1) {
      const alternative = 31 - Math.clz32(candidates & -candidates);
      if ((needs[alternative]! & ~accepted) === 0) this.match(alternative);
    }
    return this.matched !== 0;
  }

  private match(alternative: number): void {
    const pattern = this.tree.patternOf[alternative]!;
    this.matched |= 1 << pattern;
    this.alive &= ~this.tree.patternBits[pattern]![0]!;
  }

  closeArray(node: PathNode): boolean {
    return (this.seen & node.seenBit) !== 0 && this.dismiss(node);
  }

  /** Outside arrays, the alternatives that need something else here than the leaves that were met have failed. */
  private dismiss(node: PathNode): boolean {
    const { conditions } = node;
    let passed = 0;
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (((this.accepted >>> condition.id) & 1) === 1) passed |= condition.mask;
    }
    this.alive &= ~node.requiredMask | passed;
    return this.alive === 0 || this.seen === this.allSeen;
  }

  end(): void {
    for (let alive = this.alive; alive !== 0; alive &= alive - 1) {
      const alternative = 31 - Math.clz32(alive & -alive);
      if (this.holdsAtEnd(this.tree.alternatives[alternative]!)) this.match(alternative);
    }
  }

  private holdsAtEnd(conditions: readonly Condition[]): boolean {
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (((this.accepted >>> condition.id) & 1) === 1) continue;
      if (!condition.list.absent || (this.seen & condition.node.seenBit) !== 0) return false;
    }
    return true;
  }
}

/**
 * Any number of them. Nothing is cleared between events: an entry counts only when it holds the number of the present
 * scan.
 */
class LargeRun implements Run {
  readonly tree: PathTree;
  /** Stop at the first pattern that matches; else go on until every pattern is decided. */
  private readonly untilFirst: boolean;
  private scan = 0;
  /** By condition: the scan in which a leaf passed. */
  private readonly acceptedIn: Int32Array;
  /** By node: the scan in which a leaf was met. */
  private readonly seenIn: Int32Array;
  /** By alternative: the scan for which `missing` holds. */
  private readonly countedIn: Int32Array;
  /** By alternative: conditions not accepted yet. */
  private readonly missing: Int32Array;
  /** By pattern: the scan in which it matched. */
  private readonly matchedIn: Int32Array;
  private matchedPatterns = 0;
  private unseenNodes = 0;
  /** Alternatives that can still match, as bits. */
  private readonly alive: Int32Array;
  private readonly all: Int32Array;
  private readonly passed: Int32Array;
  arrays = 0;

  constructor(tree: PathTree, untilFirst: boolean) {
    this.tree = tree;
    this.untilFirst = untilFirst;
    this.acceptedIn = new Int32Array(tree.conditions.length);
    this.seenIn = new Int32Array(tree.nodes);
    this.countedIn = new Int32Array(tree.alternatives.length);
    this.missing = new Int32Array(tree.alternatives.length);
    this.matchedIn = new Int32Array(tree.patternBits.length);
    this.all = new Int32Array(tree.words);
    for (const bits of tree.patternBits) for (let w = 0; w < tree.words; w++) this.all[w]! |= bits[w]!;
    this.alive = new Int32Array(tree.words);
    this.passed = new Int32Array(tree.words);
  }

  begin(): void {
    if (this.scan === 0x7fffffff) {
      this.scan = 0;
      for (const stamps of [this.acceptedIn, this.seenIn, this.countedIn, this.matchedIn]) stamps.fill(0);
    }
    this.scan++;
    this.matchedPatterns = 0;
    this.unseenNodes = this.tree.leafNodes;
    this.arrays = 0;
    this.alive.set(this.all);
  }

  get matchedAny(): boolean {
    return this.matchedPatterns > 0;
  }

  hasMatched(pattern: number): boolean {
    return this.matchedIn[pattern] === this.scan;
  }

  string(node: PathNode, bytes: Uint8Array, start: number, end: number): boolean {
    const conditions = node.stringConditions;
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (acceptsString(condition.list, bytes, start, end)) this.accept(condition);
    }
    if (node.plain !== undefined) {
      const entry = node.plain.get(bytes, start, end);
      if (entry !== -1) {
        const plain = node.plainConditions[entry]!;
        for (let n = 0; n < plain.length; n++) this.accept(plain[n]!);
      }
    }
    return this.settle(node);
  }

  number(node: PathNode, value: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { conditions } = node;
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (acceptsNumber(condition.list, value, bytes, start, end)) this.accept(condition);
    }
    return this.settle(node);
  }

  literal(node: PathNode, literal: number): boolean {
    const { conditions } = node;
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (acceptsLiteral(condition.list, literal)) this.accept(condition);
    }
    return this.settle(node);
  }

  private accept(condition: Condition): void {
    const { scan } = this;
    if (this.acceptedIn[condition.id] === scan) return;
    this.acceptedIn[condition.id] = scan;
    const { alternatives } = condition;
    for (let n = 0; n < alternatives.length; n++) {
      const alternative = alternatives[n]!;
      if (this.countedIn[alternative] !== scan) {
        this.countedIn[alternative] = scan;
        this.missing[alternative] = this.tree.alternatives[alternative]!.length;
      }
      if (--this.missing[alternative]! === 0) this.match(alternative);
    }
  }

  private match(alternative: number): void {
    const pattern = this.tree.patternOf[alternative]!;
    if (this.matchedIn[pattern] === this.scan) return;
    this.matchedIn[pattern] = this.scan;
    this.matchedPatterns++;
    const bits = this.tree.patternBits[pattern]!;
    for (let w = 0; w < bits.length; w++) this.alive[w]! &= ~bits[w]!;
  }

  /** Draws the conclusions of a leaf at `node`. Outside arrays, what it failed has failed for good. */
  private settle(node: PathNode): boolean {
    if (this.seenIn[node.id] !== this.scan) {
      this.seenIn[node.id] = this.scan;
      this.unseenNodes--;
    }
    if (this.matchedPatterns > 0 && this.untilFirst) return true;
    return this.arrays === 0 && this.dismiss(node);
  }

  closeArray(node: PathNode): boolean {
    return this.seenIn[node.id] === this.scan && this.dismiss(node);
  }

  private dismiss(node: PathNode): boolean {
    const { conditions } = node;
    if (this.unseenNodes === 0) return true;
    const { passed, alive } = this;
    const { required } = node;
    passed.fill(0);
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (this.acceptedIn[condition.id] !== this.scan) continue;
      const { bits } = condition;
      for (let w = 0; w < bits.length; w++) passed[w]! |= bits[w]!;
    }
    let any = 0;
    for (let w = 0; w < passed.length; w++) any |= alive[w]! &= ~required[w]! | passed[w]!;
    return any === 0;
  }

  end(): void {
    const { alternatives } = this.tree;
    for (let n = 0; n < alternatives.length; n++) {
      const alive = (this.alive[n >> 5]! >>> (n & 31)) & 1;
      if (alive === 1 && this.holdsAtEnd(alternatives[n]!)) {
        this.match(n);
        if (this.untilFirst) return;
      }
    }
  }

  private holdsAtEnd(conditions: readonly Condition[]): boolean {
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (this.acceptedIn[condition.id] === this.scan) continue;
      if (!condition.list.absent || this.seenIn[condition.node.id] === this.scan) return false;
    }
    return true;
  }
}
