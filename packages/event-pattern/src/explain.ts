// Why an event matches, or why not: every clause of the alternative that matched or came nearest.

import { satisfies } from './consistency.ts';
import { type Context, type Leaf, leafAccepted, leafText } from './leaves.ts';
import type { Condition, PathTree } from './path-tree.ts';

/** One condition of a pattern, judged. */
export interface ExplainedClause {
  /** Field names joined with dots. */
  readonly path: string;
  /** The value list, as JSON. */
  readonly rule: string;
  /** Whether the condition holds, looked at alone. */
  readonly matched: boolean;
  /** The leaves at the path as JSON, at most ten, long ones cut; absent when there is none. */
  readonly found?: readonly string[];
}

export interface Explanation {
  readonly matched: boolean;
  /** Of the alternative that matched; else of the one that fails by the fewest clauses. In order of their paths. */
  readonly clauses: readonly ExplainedClause[];
  /** Which alternative that is, from 0, of how many. Only `$or` makes more than one. */
  readonly alternative: number;
  readonly alternatives: number;
  /** Each clause holds alone, but not all of them within the same elements of the event's arrays. */
  readonly inconsistent: boolean;
}

const foundLimit = 10;
const foundLength = 200;

export function explainLeaves(tree: PathTree, root: Context): Explanation {
  let best: Explanation | undefined;
  let fewest = Infinity;
  for (const [alternative, conditions] of tree.alternatives.entries()) {
    const matched = satisfies(root, conditions);
    const clauses = conditions.map((condition) => explainClause(condition, leavesBelow(root, condition), matched));
    const failing = clauses.filter((clause) => !clause.matched).length;
    // Inconsistent elements miss by less than a whole clause.
    const distance = matched ? -1 : failing === 0 ? 0.5 : failing;
    if (distance >= fewest) continue;
    fewest = distance;
    const inconsistent = failing === 0 && !matched;
    best = { matched, clauses, alternative, alternatives: tree.alternatives.length, inconsistent };
    if (matched) break;
  }
  return best!;
}

function leavesBelow(root: Context, condition: Condition): Leaf[] {
  const leaves: Leaf[] = [];
  const pending = [root];
  for (let context = pending.pop(); context !== undefined; context = pending.pop()) {
    const found = context.at(condition.node);
    if (found === undefined) continue;
    for (const leaf of found.leaves) leaves.push(leaf);
    for (const array of [...found.arrays].reverse()) {
      for (const element of [...array.elements[condition.node.leafIndex]!].reverse()) pending.push(element);
    }
  }
  return leaves;
}

function explainClause(condition: Condition, leaves: readonly Leaf[], allMatched: boolean): ExplainedClause {
  const { list, node } = condition;
  // Where everything matches, a leaf of another array element does not spoil what is absent from the chosen one.
  const matched =
    allMatched || (leaves.length === 0 ? list.absent : leaves.some((leaf) => leafAccepted(condition, leaf)));
  const clause = { path: node.path, rule: list.source, matched };
  if (leaves.length === 0) return clause;
  return { ...clause, found: leaves.slice(0, foundLimit).map(shorten) };
}

function shorten(leaf: Leaf): string {
  const text = leafText(leaf);
  return text.length > foundLength ? `${text.slice(0, foundLength)}…` : text;
}
