// The verdict of one scan, as it grows leaf by leaf. As long as no two conditions of an alternative look into the same
// array of containers, conditions are independent: an alternative holds when each of its conditions does.

import { LargeRun } from './large-run.ts';
import type { Condition, PathNode, PathTree } from './path-tree.ts';
import { acceptsLiteral, acceptsNumber, acceptsString } from './tests.ts';

/** The mutable state of the scans of one tree: one event at a time, then `begin` again. */
export interface Run {
  readonly tree: PathTree;
  /** How many arrays are open on the way to the present place. The scanner counts. */
  arrays: number;
  /**
   * Set by the scanner where several conditions look into one array of containers. From there on conditions are judged
   * as if each were alone: what fails that way has failed, but what holds need not hold together.
   */
  loose: boolean;
  /** After the end of a loose scan: some alternative may hold, and only the positions of its leaves can tell. */
  readonly undecided: boolean;
  begin(): void;
  /**
   * A string leaf, decoded, in bytes [start, end); `stable` when they stay there until the scan is over. Returns, like
   * its neighbours, whether the verdict is known.
   */
  string(node: PathNode, bytes: Uint8Array, start: number, end: number, stable: boolean): boolean;
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
  const { alternatives, conditions, firstAlternative } = tree;
  const small = Math.max(alternatives.length, conditions.length, firstAlternative.length - 1) <= 32;
  return small ? new SmallRun(tree, untilFirst) : new LargeRun(tree, untilFirst);
}

/** Up to 32 conditions and alternatives: everything is a bit in a word. */
class SmallRun implements Run {
  readonly tree: PathTree;
  arrays = 0;
  loose = false;
  undecided = false;
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
    this.all = alternativeBits(0, tree.alternatives.length);
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
    this.loose = false;
    this.undecided = false;
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
      if (!this.loose && this.finish(node) && this.untilFirst) return true;
    }
    return this.arrays === 0 && this.dismiss(node, false);
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
    const { firstAlternative } = this.tree;
    this.alive &= ~alternativeBits(firstAlternative[pattern]!, firstAlternative[pattern + 1]!);
  }

  closeArray(node: PathNode): boolean {
    return (this.seen & node.seenBit) !== 0 && this.dismiss(node, this.loose);
  }

  /**
   * Outside arrays, the alternatives that need something else here than the leaves that were met have failed. Absence
   * from one element of an array is possible all the same.
   */
  private dismiss(node: PathNode, absentElsewhere: boolean): boolean {
    const { conditions } = node;
    let passed = 0;
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (((this.accepted >>> condition.id) & 1) === 1) passed |= condition.mask;
      else if (absentElsewhere && condition.list.absent) passed |= condition.mask;
    }
    this.alive &= ~node.requiredMask | passed;
    return this.alive === 0 || (!this.loose && this.seen === this.allSeen);
  }

  end(): void {
    for (let alive = this.alive; alive !== 0; alive &= alive - 1) {
      const alternative = 31 - Math.clz32(alive & -alive);
      if (!this.holdsAtEnd(this.tree.alternatives[alternative]!)) continue;
      if (this.loose) this.undecided = true;
      else this.match(alternative);
    }
  }

  private holdsAtEnd(conditions: readonly Condition[]): boolean {
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (((this.accepted >>> condition.id) & 1) === 1) continue;
      if (!condition.list.absent) return false;
      if (!this.loose && (this.seen & condition.node.seenBit) !== 0) return false;
    }
    return true;
  }
}

/** Bits from `first` to before `end`, of at most 32. */
function alternativeBits(first: number, end: number): number {
  const upTo = end === 32 ? -1 : (1 << end) - 1;
  return first === 32 ? 0 : upTo & ~((1 << first) - 1);
}
