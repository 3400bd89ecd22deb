// The verdict of one scan for trees of any size: sets of patterns above all.
//
// Nothing is cleared between events: an entry counts only when it holds the number of the present scan. And not every
// condition is tried: where many stand at one path, plain strings are found by their text, and the others wait until
// few alternatives are left that need them.

import type { Condition, PathNode, PathTree } from './path-tree.ts';
import type { Run } from './run.ts';
import { acceptsLiteral, acceptsNumber, acceptsString } from './tests.ts';

/** More conditions than this at one path wait for leaves elsewhere to dismiss alternatives … */
const manyConditions = 16;
/** … until no more than this are left. */
const fewAlternatives = 4;

const stringLeaf = 0;
const numberLeaf = 1;
const literalLeaf = 2;

/** A leaf whose conditions wait. Its bytes stay where they are until the scan is over. */
interface WaitingLeaf {
  node: PathNode;
  kind: number;
  /** The number, or the literal's bit. */
  value: number;
  bytes: Uint8Array;
  start: number;
  end: number;
}

export class LargeRun implements Run {
  readonly tree: PathTree;
  arrays = 0;
  loose = false;
  undecided = false;
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
  private aliveCount = 0;
  private readonly all: Int32Array;
  private readonly allCount: number;
  /** Alternatives whose condition the present leaf passed, as bits. */
  private readonly passed: Int32Array;
  private readonly waiting: WaitingLeaf[] = [];
  private waitingCount = 0;

  constructor(tree: PathTree, untilFirst: boolean) {
    this.tree = tree;
    this.untilFirst = untilFirst;
    this.acceptedIn = new Int32Array(tree.conditions.length);
    this.seenIn = new Int32Array(tree.nodes);
    this.countedIn = new Int32Array(tree.alternatives.length);
    this.missing = new Int32Array(tree.alternatives.length);
    this.matchedIn = new Int32Array(tree.firstAlternative.length);
    this.all = new Int32Array(tree.words);
    for (let n = 0; n < tree.alternatives.length; n++) this.all[n >> 5]! |= 1 << (n & 31);
    this.allCount = tree.alternatives.length;
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
    this.loose = false;
    this.undecided = false;
    this.alive.set(this.all);
    this.aliveCount = this.allCount;
    this.waitingCount = 0;
  }

  get matchedAny(): boolean {
    return this.matchedPatterns > 0;
  }

  hasMatched(pattern: number): boolean {
    return this.matchedIn[pattern] === this.scan;
  }

  string(node: PathNode, bytes: Uint8Array, start: number, end: number, stable: boolean): boolean {
    if (this.isRepeated(node)) return false;
    this.passed.fill(0);
    if (node.plain !== undefined) {
      const entry = node.plain.get(bytes, start, end);
      if (entry !== -1) {
        const plain = node.plainConditions[entry]!;
        for (let n = 0; n < plain.length; n++) this.accept(plain[n]!);
      }
    }
    if (stable && this.mayWait(node.stringConditions)) {
      return this.wait(node, stringLeaf, 0, bytes, start, end);
    }
    return this.tryAll(node, node.stringConditions, stringLeaf, 0, bytes, start, end);
  }

  number(node: PathNode, value: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.isRepeated(node)) return false;
    this.passed.fill(0);
    if (this.mayWait(node.conditions)) return this.wait(node, numberLeaf, value, bytes, start, end);
    return this.tryAll(node, node.conditions, numberLeaf, value, bytes, start, end);
  }

  literal(node: PathNode, literal: number): boolean {
    if (this.isRepeated(node)) return false;
    this.passed.fill(0);
    return this.tryAll(node, node.conditions, literalLeaf, literal, noBytes, 0, 0);
  }

  /** Outside arrays the first value of a path decides; a leaf that waits must not be overruled by another. */
  private isRepeated(node: PathNode): boolean {
    return this.arrays === 0 && this.seenIn[node.id] === this.scan;
  }

  private mayWait(conditions: readonly Condition[]): boolean {
    return conditions.length > manyConditions && this.arrays === 0;
  }

  private tryAll(
    node: PathNode,
    conditions: readonly Condition[],
    kind: number,
    value: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    for (let n = 0; n < conditions.length; n++) {
      if (passes(conditions[n]!, kind, value, bytes, start, end)) this.accept(conditions[n]!);
    }
    this.see(node);
    if (this.matchedPatterns > 0 && this.untilFirst) return true;
    return this.arrays === 0 && (this.dismiss(node) || this.resolveWhenDue());
  }

  private wait(node: PathNode, kind: number, value: number, bytes: Uint8Array, start: number, end: number): boolean {
    const leaf = this.waiting[this.waitingCount];
    if (leaf === undefined) {
      this.waiting.push({ node, kind, value, bytes, start, end });
    } else {
      leaf.node = node;
      leaf.kind = kind;
      leaf.value = value;
      leaf.bytes = bytes;
      leaf.start = start;
      leaf.end = end;
    }
    this.waitingCount++;
    this.see(node);
    if (this.matchedPatterns > 0 && this.untilFirst) return true;
    return this.resolveWhenDue();
  }

  private see(node: PathNode): void {
    if (this.seenIn[node.id] === this.scan) return;
    this.seenIn[node.id] = this.scan;
    this.unseenNodes--;
  }

  /** Tries what waits when few alternatives are left, or when nothing else can dismiss any. */
  private resolveWhenDue(): boolean {
    if (this.unseenNodes > 0 && (this.waitingCount === 0 || this.aliveCount > fewAlternatives)) return false;
    return this.resolve() || (this.unseenNodes === 0 && !this.loose);
  }

  private resolve(): boolean {
    const { alive } = this;
    while (this.waitingCount > 0) {
      const { node, kind, value, bytes, start, end } = this.waiting[--this.waitingCount]!;
      const { required, conditionOf } = node;
      this.passed.fill(0);
      for (let w = 0; w < alive.length; w++) {
        for (let bits = alive[w]! & required[w]!; bits !== 0; bits &= bits - 1) {
          const alternative = w * 32 + 31 - Math.clz32(bits & -bits);
          const condition = conditionOf[alternative]!;
          // An accepted one has marked all of its alternatives.
          if (((this.passed[w]! >>> (alternative & 31)) & 1) === 1) continue;
          if (passes(condition, kind, value, bytes, start, end)) this.accept(condition);
        }
      }
      if (this.matchedPatterns > 0 && this.untilFirst) return true;
      if (this.dismiss(node)) return true;
    }
    return false;
  }

  private accept(condition: Condition): void {
    const { scan, passed } = this;
    const { alternatives } = condition;
    for (let n = 0; n < alternatives.length; n++) passed[alternatives[n]! >> 5]! |= 1 << (alternatives[n]! & 31);
    if (this.acceptedIn[condition.id] === scan) return;
    this.acceptedIn[condition.id] = scan;
    for (let n = 0; n < alternatives.length; n++) {
      const alternative = alternatives[n]!;
      if (this.countedIn[alternative] !== scan) {
        this.countedIn[alternative] = scan;
        this.missing[alternative] = this.tree.alternatives[alternative]!.length;
      }
      if (--this.missing[alternative]! === 0 && !this.loose) this.match(alternative);
    }
  }

  private match(alternative: number): void {
    const pattern = this.tree.patternOf[alternative]!;
    if (this.matchedIn[pattern] === this.scan) return;
    this.matchedIn[pattern] = this.scan;
    this.matchedPatterns++;
    const { firstAlternative } = this.tree;
    const end = firstAlternative[pattern + 1]!;
    for (let n = firstAlternative[pattern]!; n < end; n++) this.alive[n >> 5]! &= ~(1 << (n & 31));
  }

  closeArray(node: PathNode): boolean {
    if (this.seenIn[node.id] !== this.scan) return false;
    this.passed.fill(0);
    for (const condition of node.conditions) {
      // Absence from one element of an array is possible while others have the path.
      const absentElsewhere = this.loose && condition.list.absent;
      if (this.acceptedIn[condition.id] !== this.scan && !absentElsewhere) continue;
      for (const number of condition.alternatives) this.passed[number >> 5]! |= 1 << (number & 31);
    }
    return this.dismiss(node) || this.resolveWhenDue();
  }

  /** Outside arrays, alternatives that need something else at `node` than what passed have failed. */
  private dismiss(node: PathNode): boolean {
    const { passed, alive } = this;
    const { required } = node;
    let count = 0;
    for (let w = 0; w < alive.length; w++) {
      const bits = alive[w]! & (~required[w]! | passed[w]!);
      alive[w] = bits;
      count += bitCount(bits);
    }
    this.aliveCount = count;
    return count === 0;
  }

  end(): void {
    if (this.resolve()) return;
    const { alternatives } = this.tree;
    for (let w = 0; w < this.alive.length; w++) {
      for (let bits = this.alive[w]!; bits !== 0; bits &= bits - 1) {
        const alternative = w * 32 + 31 - Math.clz32(bits & -bits);
        if (!this.holdsAtEnd(alternatives[alternative]!)) continue;
        if (this.loose) this.undecided = true;
        else this.match(alternative);
        if (this.untilFirst) return;
      }
    }
  }

  private holdsAtEnd(conditions: readonly Condition[]): boolean {
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      if (this.acceptedIn[condition.id] === this.scan) continue;
      if (!condition.list.absent) return false;
      if (!this.loose && this.seenIn[condition.node.id] === this.scan) return false;
    }
    return true;
  }
}

const noBytes = new Uint8Array();

function passes(
  { list }: Condition,
  kind: number,
  value: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  if (kind === stringLeaf) return acceptsString(list, bytes, start, end);
  if (kind === numberLeaf) return acceptsNumber(list, value, bytes, start, end);
  return acceptsLiteral(list, value);
}

function bitCount(bits: number): number {
  bits -= (bits >>> 1) & 0x55555555;
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
