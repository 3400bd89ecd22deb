// All conditions of all alternatives, merged into one tree of member names. The scanner walks an event beside it; what
// is not in the tree is skipped.

import { ByteStringMap } from './byte-strings.ts';
import type { Alternative } from './grammar.ts';
import { maximumSetAlternatives } from './limits.ts';
import { MemoryBudget, ObjectMemory } from './object-memory.ts';
import type { TestList } from './tests.ts';
import { encodeText } from './utf8.ts';

/** A test list at a path, with the alternatives that need it. Equal lists at one path are one condition. */
export class Condition {
  readonly list: TestList;
  readonly node: PathNode;
  /** Its number in the tree. */
  readonly id: number;
  readonly alternatives: number[] = [];
  /** The same as bits, in trees of up to 32 alternatives. */
  mask = 0;

  constructor(list: TestList, node: PathNode, id: number) {
    this.list = list;
    this.node = node;
    this.id = id;
  }
}

/** A place in the tree: the end of a path, or a step on the way, or both. */
export class PathNode {
  readonly parent: PathNode | undefined;
  readonly name: Uint8Array;
  /** Names from the root, joined with dots. */
  readonly path: string;
  readonly id: number;
  readonly children: PathNode[] = [];
  private readonly childrenByName = new Map<string, PathNode>();
  /** The conditions on leaves at this path. */
  readonly conditions: Condition[] = [];
  /** Those to try on a string leaf one by one; the others are found by `plain`. */
  stringConditions: Condition[] = this.conditions;
  /** Plain strings → index into `plainConditions`, when many conditions here are lists of those. */
  plain: ByteStringMap | undefined = undefined;
  plainConditions: Condition[][] = [];
  /** Alternatives with a condition here, as bits, 32 a word; empty where there are none. */
  required: Int32Array = new Int32Array();
  /** The first word of that. */
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

  constructor(parent: PathNode | undefined, name: Uint8Array, path: string, id: number, budget: MemoryBudget) {
    this.parent = parent;
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

  /** The same for a name that is a string. */
  descendantNamed(name: string): PathNode | undefined {
    if (!name.includes('.')) return this.childrenByName.get(name);
    let node: PathNode | undefined = this;
    for (const step of name.split('.')) node = node?.childrenByName.get(step);
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
      this.childrenByName.set(child.path.slice(child.path.lastIndexOf('.') + 1), child);
      this.lengths |= 1 << (child.name.length & 31);
      const slot = slotOf(child.name, 0, child.name.length) & this.slotMask;
      child.next = this.slots[slot];
      this.slots[slot] = child;
      child.seal();
    }
    const plain = this.conditions.filter((condition) => condition.list.plain !== undefined);
    if (plain.length > 4) {
      this.stringConditions = this.conditions.filter((condition) => condition.list.plain === undefined);
      const byText = new Map<string, { text: Uint8Array; conditions: Set<Condition> }>();
      for (const condition of plain) {
        for (const text of condition.list.plain!) {
          const key = text.join();
          const entry = byText.get(key) ?? { text, conditions: new Set() };
          entry.conditions.add(condition);
          byText.set(key, entry);
        }
      }
      const entries = [...byText.values()];
      this.plainConditions = entries.map((entry) => [...entry.conditions]);
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
  readonly root: PathNode = new PathNode(undefined, new Uint8Array(), '', 0, this.budget);
  readonly conditions: Condition[] = [];
  /** Nodes with conditions. */
  readonly leafNodes: number;
  readonly nodes: number;
  /** For each alternative, its conditions in ascending order of their paths (UTF-16 code units). */
  readonly alternatives: readonly (readonly Condition[])[];
  /** For each alternative, the number of the pattern it belongs to. */
  readonly patternOf: Int32Array;
  /** For each pattern, the number of its first alternative; the next entry is where they end. */
  readonly firstAlternative: Int32Array;
  /** 32-bit words that one bit for each alternative takes. */
  readonly words: number;

  /** Throws RangeError beyond `maximumSetAlternatives`. */
  constructor(patterns: readonly (readonly Alternative[])[]) {
    const flat = patterns.flat();
    if (flat.length > maximumSetAlternatives) {
      throw new RangeError(`a set may have at most ${maximumSetAlternatives} alternatives, not ${flat.length}`);
    }
    this.words = Math.max(1, Math.ceil(flat.length / 32));
    this.patternOf = new Int32Array(flat.length);
    this.firstAlternative = new Int32Array(patterns.length + 1);
    for (const [pattern, alternatives] of patterns.entries()) {
      const first = this.firstAlternative[pattern]!;
      this.firstAlternative[pattern + 1] = first + alternatives.length;
      this.patternOf.fill(pattern, first, first + alternatives.length);
    }
    const nodes = new Map<string, PathNode>();
    const known = new KnownConditions();
    const alternatives = flat.map((alternative, number) =>
      Array.from(alternative, ([path, list]) => {
        const condition = known.find(path, list) ?? this.addCondition(nodes, path, list);
        known.add(path, list, condition);
        condition.alternatives.push(number);
        condition.node.conditionOf[number] = condition;
        return condition;
      }),
    );
    const byPath = this.conditions.toSorted(({ node: a }, { node: b }) => (a.path < b.path ? -1 : +(a.path > b.path)));
    const rank = new Int32Array(byPath.length);
    for (const [place, { id }] of byPath.entries()) rank[id] = place;
    this.alternatives = alternatives.map((conditions) => conditions.sort((a, b) => rank[a.id]! - rank[b.id]!));
    this.nodes = nodes.size + 1;
    let leafNodes = 0;
    for (const node of nodes.values()) {
      if (node.conditions.length === 0) continue;
      node.leafIndex = leafNodes++;
      node.required = new Int32Array(this.words);
      for (const condition of node.conditions) this.markRequired(condition);
      node.requiredMask = node.required[0]!;
      node.seenBit = 1 << node.conditions[0]!.id;
    }
    this.leafNodes = leafNodes;
    this.root.seal();
    this.markShared();
  }

  private addCondition(nodes: Map<string, PathNode>, path: string, list: TestList): Condition {
    const node = this.nodeAt(nodes, path);
    const condition = new Condition(list, node, this.conditions.length);
    this.conditions.push(condition);
    node.conditions.push(condition);
    return condition;
  }

  private nodeAt(nodes: Map<string, PathNode>, path: string): PathNode {
    const held = nodes.get(path);
    if (held !== undefined) return held;
    const dot = path.lastIndexOf('.');
    const parent = dot === -1 ? this.root : this.nodeAt(nodes, path.slice(0, dot));
    const node = new PathNode(parent, encodeText(path.slice(dot + 1)), path, nodes.size + 1, this.budget);
    nodes.set(path, node);
    parent.children.push(node);
    return node;
  }

  private markRequired(condition: Condition): void {
    for (const number of condition.alternatives) {
      condition.node.required[number >> 5]! |= 1 << (number & 31);
      if (number < 32) condition.mask |= 1 << number;
    }
  }

  private markShared(): void {
    for (const conditions of this.alternatives) {
      const once = new Set<PathNode>();
      const twice = new Set<PathNode>();
      for (const condition of conditions) {
        // Where two ways up have met before, everything above is marked already.
        for (
          let node: PathNode | undefined = condition.node;
          node !== undefined && !twice.has(node);
          node = node.parent
        ) {
          if (once.has(node)) {
            twice.add(node);
            node.shared = true;
          }
          once.add(node);
        }
      }
    }
  }
}

/** Conditions by what they are. Alternatives of one pattern share their lists, so that identity usually tells. */
class KnownConditions {
  private readonly byList = new Map<TestList, Condition>();
  private readonly bySource = new Map<string, Condition>();

  find(path: string, list: TestList): Condition | undefined {
    const condition = this.byList.get(list);
    return condition?.node.path === path ? condition : this.bySource.get(`${list.source}\n${path}`);
  }

  add(path: string, list: TestList, condition: Condition): void {
    if (this.byList.has(list)) return;
    this.byList.set(list, condition);
    this.bySource.set(`${list.source}\n${path}`, condition);
  }
}
