import { satisfies } from './consistency.ts';
import { InvalidEventError, InvalidPatternError } from './errors.ts';
import { type Explanation, explainLeaves } from './explain.ts';
import { type Alternative, readPattern } from './grammar.ts';
import { type Context, collectLeaves, collectValueLeaves } from './leaves.ts';
import { type PatternLimits, resolveLimits } from './limits.ts';
import { PathTree } from './path-tree.ts';
import { createRun, type Run } from './run.ts';
import { checkEnd, eventBytes, failTop, loadEvent, scanEvent, skipSpace } from './scan.ts';

/** A compiled event pattern. Immutable; use it for as many events as you like. */
export interface Pattern {
  /** The pattern's text. */
  readonly source: string;
  /**
   * Whether the event, JSON text or its UTF-8 bytes, matches. Reads no further than the verdict needs; what it does read
   * must be valid. Outside arrays, the first value of a repeated path decides.
   * Throws InvalidEventError when what was read is not JSON, is no object at the top, or exceeds a limit.
   */
  matches(event: string | Uint8Array): boolean;
  /**
   * The same for an already parsed value. Every number counts as comparable, since its text is gone; members that
   * JSON.stringify leaves out count as absent. Throws InvalidEventError for anything but an object.
   */
  matchesValue(event: unknown): boolean;
  /** Why the event matches, or why not. Reads all of it; throws like `matches`. */
  explain(event: string | Uint8Array): Explanation;
}

/** Several compiled patterns that one scan decides. */
export interface PatternSet {
  readonly size: number;
  /** Whether any pattern matches; stops at the first that does. Throws like `Pattern.matches`. */
  matches(event: string | Uint8Array): boolean;
  /** The indexes of all patterns that match, ascending. Throws like `Pattern.matches`. */
  matching(event: string | Uint8Array): number[];
  matchesValue(event: unknown): boolean;
  matchingValue(event: unknown): number[];
}

/**
 * Compiles one event pattern from its JSON text or the UTF-8 of it.
 * Throws InvalidPatternError, which names the place and carries a stable code.
 */
export function compilePattern(pattern: string | Uint8Array, limits?: PatternLimits): Pattern {
  const source = patternText(pattern);
  const tree = new PathTree([readPattern(source, resolveLimits(limits))]);
  return new CompiledPattern(source, tree);
}

/** Compiles a set: any-of, with one scan for all. Throws InvalidPatternError for the first that is invalid. */
export function compilePatterns(patterns: Iterable<string | Uint8Array>, limits?: PatternLimits): PatternSet {
  const resolved = resolveLimits(limits);
  return compileAlternatives(Array.from(patterns, (pattern) => readPattern(patternText(pattern), resolved)));
}

/** Reads a pattern into its alternatives, for callers who compose documents of several parts. Throws InvalidPatternError. */
export function parsePattern(pattern: string | Uint8Array, limits?: PatternLimits): Alternative[] {
  return readPattern(patternText(pattern), resolveLimits(limits));
}

/** How a set reads its events. */
export interface SetOptions {
  /** Accept an array at the top as well; it adds nothing to paths, like any array. Default false. */
  readonly arrayAtTop?: boolean;
}

/** Compiles a set from patterns that `parsePattern` read; a pattern may have lost alternatives or conditions since. */
export function compileAlternatives(
  patterns: readonly (readonly Alternative[])[],
  options: SetOptions = {},
): PatternSet {
  return new CompiledSet(new PathTree(patterns), patterns.length, options.arrayAtTop ?? false);
}

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function patternText(pattern: string | Uint8Array): string {
  if (typeof pattern === 'string') return pattern;
  try {
    return strictDecoder.decode(pattern);
  } catch {
    throw new InvalidPatternError('E_JSON', 'the pattern is not valid UTF-8', '', '', 0);
  }
}

class CompiledPattern implements Pattern {
  readonly source: string;
  private readonly tree: PathTree;
  private readonly run: Run;

  constructor(source: string, tree: PathTree) {
    this.source = source;
    this.tree = tree;
    this.run = createRun(tree, true);
  }

  matches(event: string | Uint8Array): boolean {
    loadEvent(event);
    if (scanEvent(this.run, false)) return this.run.matchedAny;
    return anySatisfied(this.tree, readLeaves(this.tree, false));
  }

  matchesValue(event: unknown): boolean {
    return anySatisfied(this.tree, collectValueLeaves(this.tree, checkObject(event, false)));
  }

  explain(event: string | Uint8Array): Explanation {
    loadEvent(event);
    return explainLeaves(this.tree, readLeaves(this.tree, false));
  }
}

class CompiledSet implements PatternSet {
  readonly size: number;
  private readonly tree: PathTree;
  private readonly arrayAtTop: boolean;
  private readonly runForAny: Run;
  private readonly runForAll: Run;

  constructor(tree: PathTree, size: number, arrayAtTop: boolean) {
    this.tree = tree;
    this.size = size;
    this.arrayAtTop = arrayAtTop;
    this.runForAny = createRun(tree, true);
    this.runForAll = createRun(tree, false);
  }

  matches(event: string | Uint8Array): boolean {
    loadEvent(event);
    if (scanEvent(this.runForAny, this.arrayAtTop)) return this.runForAny.matchedAny;
    return anySatisfied(this.tree, readLeaves(this.tree, this.arrayAtTop));
  }

  matching(event: string | Uint8Array): number[] {
    loadEvent(event);
    const run = this.runForAll;
    if (!scanEvent(run, this.arrayAtTop)) {
      return allSatisfied(this.tree, this.size, readLeaves(this.tree, this.arrayAtTop));
    }
    const matching: number[] = [];
    if (!run.matchedAny) return matching;
    for (let pattern = 0; pattern < this.size; pattern++) if (run.hasMatched(pattern)) matching.push(pattern);
    return matching;
  }

  matchesValue(event: unknown): boolean {
    return anySatisfied(this.tree, collectValueLeaves(this.tree, checkObject(event, this.arrayAtTop)));
  }

  matchingValue(event: unknown): number[] {
    const root = collectValueLeaves(this.tree, checkObject(event, this.arrayAtTop));
    return allSatisfied(this.tree, this.size, root);
  }
}

function checkObject(event: unknown, arrayAtTop: boolean): object {
  if (typeof event === 'object' && event !== null && (arrayAtTop || !Array.isArray(event))) return event;
  throw new InvalidEventError('not-an-object', 'an event must be a JSON object', 0);
}

function readLeaves(tree: PathTree, arrayAtTop: boolean): Context {
  const start = skipSpace(0);
  if (eventBytes[start] !== 123 && !(arrayAtTop && eventBytes[start] === 91)) failTop(start);
  const { root, end } = collectLeaves(tree, start);
  checkEnd(end);
  return root;
}

function anySatisfied(tree: PathTree, root: Context): boolean {
  return tree.alternatives.some((conditions) => satisfies(root, conditions));
}

function allSatisfied(tree: PathTree, size: number, root: Context): number[] {
  const matched = new Uint8Array(size);
  for (const [number, conditions] of tree.alternatives.entries()) {
    const pattern = tree.patternOf[number]!;
    if (matched[pattern] === 0 && satisfies(root, conditions)) matched[pattern] = 1;
  }
  return Array.from({ length: size }, (_, pattern) => pattern).filter((pattern) => matched[pattern] === 1);
}
