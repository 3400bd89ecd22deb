// All conditions of all alternatives, merged into one tree of member names. The scanner walks an event beside it; what
// is not in the tree is skipped.

import { ByteStringMap } from './byte-strings.ts';
import type { Alternative } from './grammar.ts';
import { MemoryBudget, ObjectMemory } from './scan.ts';
import type { TestList } from './tests.ts';
import { encodeText } from './utf8.ts';

/** A test list at a path, with the alternatives that need it. Equal lists at one path are one condition. */
export class Condition {
  readonly list: TestList;
  readonly node: PathNode;
  /** Its number in the tree. */
  readonly id: number;
  readonly alternatives: number[] = [];
  /** The same as bits, 32 alternatives a word. */
  bits: Int32Array = new Int32Array(1);
  /** The first word of `bits`. */
  mask = 0;

  constructor(list: TestList, node: PathNode, id: number) {
    this.list = list;
    this.node = node;
    this.id = id;
  }
}

/** A place in the tree: the end of a path, or a step on the way, or both. */
export class PathNode {
  readonly name: Uint8Array;
  /** Names from the root, joined with dots. */
  readonly path: string;
  readonly id: number;
  readonly children: PathNode[] = [];
  /** The conditions on leaves at this path. */
  readonly conditions: Condition[] = [];
  /** Those to try on a string leaf one by one; the others are found by `plain`. */
  stringConditions: Condition[] = this.conditions;
  /** Plain strings → index into `plainConditions`, when many conditions here are lists of those. */
  plain: ByteStringMap | undefined = undefined;
  plainConditions: Condition[][] = [];
  /** Alternatives with a condition here, as bits. */
  required: Int32Array = new Int32Array(1);
  requiredMask = 0;
  /** By alternative: its condition here. Sparse. */
  readonly conditionOf: Condition[] = [];
  /** The bit of the first condition here: tells nodes apart in trees of up to 32 conditions. */
  seenBit = 0;
  /** Its number among the nodes with conditions; -1 for one without. */
  leafIndex = -1;
  /** Whether some alternative has two conditions at or below this path: an array here must then be consistent. */
  shared = false;
  /** The scanner's memory of member names. */
  readonly memory: ObjectMemory;
  /** Bit n is set when a child's name has a length of n modulo 32. */
  private lengths = 0;
  private slots: (PathNode | undefined)[] = [undefined];
  private slotMask = 0;
  private next: PathNode | undefined = undefined;

  constructor(name: Uint8Array, path: string, id: number, budget: MemoryBudget) {
    this.name = name;
    this.path = path;
    this.id = id;
    this.memory = new ObjectMemory(budget);
  }

  /** The child whose name is bytes [start, end), which must hold no dot. */
  child(bytes: Uint8Array, start: number, end: number): PathNode | undefined {
    const length = end - start;
    if (((this.lengths >>> (length & 31)) & 1) === 0) return undefined;
    let node = this.slots[slotOf(bytes, start, length) & this.slotMask];
    outer: for (; node !== undefined; node = node.next) {
      const { name } = node;
      if (name.length !== length) continue;
      for (let i = length - 1; i >= 0; i--) if (bytes[start + i] !== name[i]) continue outer;
      return node;
    }
    return undefined;
  }

  /** The descendant that a member name leads to: a dot in a name is a step like any other. */
  descendant(bytes: Uint8Array, start: number, end: number): PathNode | undefined {
    let node: PathNode | undefined = this;
    let from = start;
    for (let i = start; i <= end && node !== undefined; i++) {
      if (i < end && bytes[i] !== 46) continue;
      node = node.child(bytes, from, i);
      from = i + 1;
    }
    return node;
  }

  /** Call once, when the children are complete. */
  seal(): void {
    let size = 1;
    while (size < this.children.length * 2) size *= 2;
    if (this.children.length === 1) size = 1;
    this.slots = new Array<PathNode | undefined>(size).fill(undefined);
    this.slotMask = size - 1;
    for (const child of this.children) {
      this.lengths |= 1 << (child.name.length & 31);
      const slot = slotOf(child.name, 0, child.name.length) & this.slotMask;
      child.next = this.slots[slot];
      this.slots[slot] = child;
      child.seal();
    }
    const plain = this.conditions.filter((condition) => condition.list.plain !== undefined);
    if (plain.length > 4) {
      this.stringConditions = this.conditions.filter((condition) => condition.list.plain === undefined);
      const byText = new Map<string, { text: Uint8Array; conditions: Condition[] }>();
      for (const condition of plain) {
        for (const text of condition.list.plain!) {
          const key = text.join();
          const entry = byText.get(key) ?? { text, conditions: [] };
          if (!entry.conditions.includes(condition)) entry.conditions.push(condition);
          byText.set(key, entry);
        }
      }
      const entries = [...byText.values()];
      this.plainConditions = entries.map((entry) => entry.conditions);
      this.plain = new ByteStringMap(entries.map((entry, n) => [entry.text, n] as const));
    }
  }
}

/** Three sampled bytes tell nearly all names of one object apart, and cost the same for long names as for short ones. */
function slotOf(bytes: Uint8Array, start: number, length: number): number {
  if (length === 0) return 0;
  return length + bytes[start]! * 3 + bytes[start + length - 1]! * 7 + bytes[start + (length >> 1)]! * 13;
}

/** The tree and its numbering, immutable once built. */
export class PathTree {
  private readonly budget = new MemoryBudget();
  readonly root: PathNode = new PathNode(new Uint8Array(), '', 0, this.budget);
  readonly conditions: Condition[] = [];
  /** Nodes with conditions. */
  readonly leafNodes: number;
  readonly nodes: number;
  /** For each alternative, its conditions in ascending order of their paths (UTF-16 code units). */
  readonly alternatives: readonly (readonly Condition[])[];
  /** For each alternative, the number of the pattern it belongs to. */
  readonly patternOf: Int32Array;
  /** For each pattern, its alternatives as bits. */
  readonly patternBits: readonly Int32Array[];
  /** 32-bit words that one bit for each alternative takes. */
  readonly words: number;

  constructor(patterns: readonly (readonly Alternative[])[]) {
    const flat = patterns.flat();
    this.words = Math.max(1, Math.ceil(flat.length / 32));
    this.patternOf = Int32Array.from(patterns.flatMap((alternatives, pattern) => alternatives.map(() => pattern)));
    const nodes = new Map<string, PathNode>([['', this.root]]);
    const bySource = new Map<string, Condition>();
    this.alternatives = flat.map((alternative, number) =>
      [...alternative]
        .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
        .map(([path, list]) => {
          const node = this.nodeAt(nodes, path);
          const key = `${list.source}\n${path}`;
          let condition = bySource.get(key);
          if (condition === undefined) {
            condition = new Condition(list, node, this.conditions.length);
            this.conditions.push(condition);
            node.conditions.push(condition);
            bySource.set(key, condition);
          }
          condition.alternatives.push(number);
          node.conditionOf[number] = condition;
          return condition;
        }),
    );
    this.nodes = nodes.size;
    this.patternBits = patterns.map((_, pattern) =>
      this.bits(flat.flatMap((_, number) => (this.patternOf[number] === pattern ? [number] : []))),
    );
    let leafNodes = 0;
    for (const node of nodes.values()) {
      if (node.conditions.length > 0) node.leafIndex = leafNodes++;
      node.required = this.bits(node.conditions.flatMap((condition) => condition.alternatives));
      node.requiredMask = node.required[0]!;
      if (node.conditions.length > 0) node.seenBit = 1 << node.conditions[0]!.id;
      for (const condition of node.conditions) {
        condition.bits = this.bits(condition.alternatives);
        condition.mask = condition.bits[0]!;
      }
    }
    this.leafNodes = leafNodes;
    this.root.seal();
    this.markShared();
  }

  private nodeAt(nodes: Map<string, PathNode>, path: string): PathNode {
    // Keys of `nodes` are paths with a dot in front, to keep the field "" and the root apart.
    let node = this.root;
    let key = '';
    for (const name of path.split('.')) {
      key += `.${name}`;
      let child = nodes.get(key);
      if (child === undefined) {
        child = new PathNode(encodeText(name), key.slice(1), nodes.size, this.budget);
        nodes.set(key, child);
        node.children.push(child);
      }
      node = child;
    }
    return node;
  }

  private bits(alternatives: readonly number[]): Int32Array {
    const bits = new Int32Array(this.words);
    for (const number of alternatives) bits[number >> 5]! |= 1 << (number & 31);
    return bits;
  }

  private markShared(): void {
    for (const conditions of this.alternatives) {
      const seen = new Set<PathNode>();
      for (const condition of conditions) {
        for (const node of this.ancestors(condition.node)) {
          if (seen.has(node)) node.shared = true;
          seen.add(node);
        }
      }
    }
  }

  private ancestors(end: PathNode): PathNode[] {
    const way = [this.root];
    let node = this.root;
    if (end === this.root) return way;
    for (const name of end.path.split('.')) {
      const bytes = encodeText(name);
      node = node.child(bytes, 0, bytes.length)!;
      way.push(node);
    }
    return way;
  }
}
