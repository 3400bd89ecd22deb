// The wanted leaves of an event with their positions: which element of which array each lies in. Needed only where two
// conditions look into the same array, and for explanations; the scanner does without.

import { InvalidEventError } from './errors.ts';
import { maximumEventDepth } from './limits.ts';
import { comparableNumber } from './numbers.ts';
import type { Condition, PathNode, PathTree } from './path-tree.ts';
import {
  eventBytes as bytes,
  fail,
  failDepth,
  literalAt,
  numberRead,
  oddDescendant,
  readNumber,
  skipColon,
  skipPlainName,
  skipSpace,
  skipString,
  skipValue,
} from './scan.ts';
import { acceptsLiteral, acceptsNumber, acceptsString, literalFalse, literalNull, literalTrue } from './tests.ts';
import { asciiText, decoded, decodeString } from './text.ts';
import { decodeText, encodeText } from './utf8.ts';

export interface Leaf {
  readonly kind: 'string' | 'number' | 'literal';
  /** Bytes [start, end) are the decoded UTF-8 of a string, the source text of a number. Valid until the next event. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** A number's value, NaN when not comparable; a literal's bit. */
  readonly value: number;
}

export function leafAccepted(condition: Condition, { kind, bytes, start, end, value }: Leaf): boolean {
  const { list } = condition;
  if (kind === 'string') return acceptsString(list, bytes, start, end);
  if (kind === 'number') return acceptsNumber(list, value, bytes, start, end);
  return acceptsLiteral(list, value);
}

/** The leaf as JSON. */
export function leafText({ kind, bytes, start, end, value }: Leaf): string {
  if (kind === 'string') return JSON.stringify(decodeText(bytes.subarray(start, end)));
  if (kind === 'number') return asciiText(bytes, start, end);
  return value === literalTrue ? 'true' : value === literalFalse ? 'false' : 'null';
}

/** The leaves of one path below a context. */
export interface Found {
  /** Leaves that lie in no further array. */
  readonly leaves: Leaf[];
  /** Arrays of this context, none twice, with leaves of the path below them. */
  readonly arrays: ElementArray[];
}

/** The event as a whole, or one element (object or array) of an array. */
export class Context {
  readonly array: ElementArray | undefined;
  /** By the leaf index of a path. Made with the first leaf: most elements of most arrays have none. */
  private found: (Found | undefined)[] | undefined = undefined;

  constructor(array: ElementArray | undefined) {
    this.array = array;
  }

  at(node: PathNode): Found | undefined {
    return this.found === undefined ? undefined : this.found[node.leafIndex];
  }

  add(node: PathNode, leaf: Leaf): void {
    this.entry(node).leaves.push(leaf);
    let context: Context = this;
    // Let every context around know in which array to look; those further out know it when a nearer one does.
    while (context.array !== undefined) {
      const { array } = context;
      const { arrays } = array.parent.entry(node);
      if (arrays.at(-1) !== array) arrays.push(array);
      const elements = array.elements[node.leafIndex];
      if (elements === undefined) array.elements[node.leafIndex] = [context];
      else if (elements.at(-1) !== context) elements.push(context);
      else break;
      context = array.parent;
    }
  }

  private entry(node: PathNode): Found {
    this.found ??= [];
    return (this.found[node.leafIndex] ??= { leaves: [], arrays: [] });
  }
}

/** An array with containers in it. */
export class ElementArray {
  readonly parent: Context;
  /** By the leaf index of a path: the elements with leaves of it, in document order. */
  readonly elements: (Context[] | undefined)[] = [];

  constructor(parent: Context) {
    this.parent = parent;
  }
}

/** Reads all of the loaded event, which has a container at `start`. */
export function collectLeaves(tree: PathTree, start: number): { root: Context; end: number } {
  const root = new Context(undefined);
  const end = collectValue(start, tree.root, root, 0);
  return { root, end };
}

function collectValue(i: number, node: PathNode, context: Context, depth: number): number {
  const c = bytes[i]!;
  if (c === 123 || c === 91) {
    if (depth === maximumEventDepth) failDepth(i);
    if (c === 91) return collectArray(i + 1, node, context, depth + 1);
    if (node.children.length === 0) return skipValue(i, depth);
    return collectObject(i + 1, node, context, depth + 1);
  }
  if (node.conditions.length === 0) return skipValue(i, depth);
  if (c === 34) {
    const after = skipString(i + 1);
    context.add(node, stringLeaf(i + 1, after - 1));
    return after;
  }
  if (c === 45 || (c >= 48 && c <= 57)) {
    const after = readNumber(i);
    context.add(node, { kind: 'number', bytes, start: i, end: after, value: numberRead[0]! });
    return after;
  }
  const after = skipValue(i, depth);
  context.add(node, { kind: 'literal', bytes, start: i, end: after, value: literalAt(i) });
  return after;
}

function stringLeaf(start: number, end: number): Leaf {
  for (let i = start; i < end; i++) {
    if (bytes[i] !== 92) continue;
    const length = decodeString(bytes, start, end);
    return { kind: 'string', bytes: decoded.slice(0, length), start: 0, end: length, value: 0 };
  }
  return { kind: 'string', bytes, start, end, value: 0 };
}

function collectObject(i: number, node: PathNode, context: Context, depth: number): number {
  i = skipSpace(i);
  if (bytes[i] === 125) return i + 1;
  for (;;) {
    if (bytes[i] !== 34) fail(i, 'a member name');
    const start = i + 1;
    i = skipPlainName(start);
    let child: PathNode | undefined;
    if (bytes[i] === 34) {
      child = node.child(bytes, start, i);
      i++;
    } else {
      i = skipString(i);
      child = oddDescendant(node, start, i - 1);
    }
    i = skipColon(i);
    i = child === undefined ? skipValue(i, depth) : collectValue(i, child, context, depth);
    i = skipSpace(i);
    const c = bytes[i];
    if (c === 125) return i + 1;
    if (c !== 44) fail(i, '"," or "}"');
    i = skipSpace(i + 1);
  }
}

function collectArray(i: number, node: PathNode, context: Context, depth: number): number {
  i = skipSpace(i);
  if (bytes[i] === 93) return i + 1;
  let array: ElementArray | undefined;
  for (;;) {
    const container = bytes[i] === 123 || bytes[i] === 91;
    if (container) array ??= new ElementArray(context);
    i = collectValue(i, node, container ? new Context(array) : context, depth);
    i = skipSpace(i);
    const c = bytes[i];
    if (c === 93) return i + 1;
    if (c !== 44) fail(i, '"," or "]"');
    i = skipSpace(i + 1);
  }
}

const noBytes = new Uint8Array();

/**
 * The same from a parsed value. Numbers are what JSON.stringify would print, hence always comparable (a bigint by its
 * digits); `undefined`, functions and symbols count as absent in objects and as null in arrays; `toJSON` is not called.
 */
export function collectValueLeaves(tree: PathTree, value: object): Context {
  const root = new Context(undefined);
  collectParsed(value, tree.root, root, 0);
  return root;
}

function collectParsed(value: unknown, node: PathNode, context: Context, depth: number): void {
  switch (typeof value) {
    case 'string':
      if (node.conditions.length > 0) context.add(node, ownLeaf('string', encodeText(value), 0));
      return;
    case 'number':
      if (node.conditions.length === 0) return;
      if (!Number.isFinite(value)) addNull(node, context);
      // What a double prints is always comparable, and a plain test that goes by its text never is.
      else context.add(node, ownLeaf('number', noBytes, value));
      return;
    case 'bigint': {
      if (node.conditions.length === 0) return;
      const text = String(value);
      context.add(node, ownLeaf('number', encodeText(text), comparableNumber(text)));
      return;
    }
    case 'boolean':
      if (node.conditions.length === 0) return;
      context.add(node, ownLeaf('literal', noBytes, value ? literalTrue : literalFalse));
      return;
    case 'object':
      if (value === null) {
        addNull(node, context);
        return;
      }
      if (depth === maximumEventDepth) {
        throw new InvalidEventError('too-deep', `the event is nested deeper than ${maximumEventDepth}`, 0);
      }
      if (Array.isArray(value)) collectParsedArray(value, node, context, depth + 1);
      else if (node.children.length > 0) collectParsedObject(value, node, context, depth + 1);
  }
}

function ownLeaf(kind: Leaf['kind'], bytes: Uint8Array, value: number): Leaf {
  return { kind, bytes, start: 0, end: bytes.length, value };
}

function addNull(node: PathNode, context: Context): void {
  if (node.conditions.length > 0) context.add(node, ownLeaf('literal', noBytes, literalNull));
}

function collectParsedObject(value: object, node: PathNode, context: Context, depth: number): void {
  const members = value as Record<string, unknown>;
  for (const name of Object.keys(members)) {
    const child = node.descendantNamed(name);
    if (child !== undefined) collectParsed(members[name], child, context, depth);
  }
}

function collectParsedArray(value: readonly unknown[], node: PathNode, context: Context, depth: number): void {
  let array: ElementArray | undefined;
  for (const element of value) {
    const type = typeof element;
    if (type === 'object' && element !== null) {
      array ??= new ElementArray(context);
      collectParsed(element, node, new Context(array), depth);
    } else if (type === 'undefined' || type === 'function' || type === 'symbol') {
      addNull(node, context);
    } else {
      collectParsed(element, node, context, depth);
    }
  }
}
