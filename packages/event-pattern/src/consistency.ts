// Whether one choice of leaves satisfies all conditions of an alternative at once: no two chosen leaves may lie in
// different elements of the same array.
//
// Conditions are tried in ascending order of their paths. "exists: false" holds when no leaf of its path is compatible
// with what the conditions before it have chosen. Trying every choice takes exponential time, so the search is cut
// along the arrays: conditions that share no array are independent, and once an element of an array is chosen the
// question is the same one again, asked of that element alone. Unless a path occurs both inside and outside of an array
// (["up", ["down"]]) or in several (a repeated name), this visits every leaf once.

import { InvalidEventError } from './errors.ts';
import { type Context, type ElementArray, type Found, type Leaf, leafAccepted } from './leaves.ts';
import { maximumSearchSteps } from './limits.ts';
import type { Condition } from './path-tree.ts';

const nothing: Found = { leaves: [], arrays: [] };

/** Whether the leaves below `root` satisfy `conditions`, sorted by path. Throws InvalidEventError (`too-complex`). */
export function satisfies(root: Context, conditions: readonly Condition[]): boolean {
  try {
    return new Search().solve(root, conditions, false);
  } catch (error) {
    // Hundreds of conditions in arrays nested a thousand deep can reach the end of the stack before that of the steps.
    if (error instanceof RangeError) throw tooComplex();
    throw error;
  }
}

class Search {
  private steps = 0;

  /**
   * Whether `conditions` hold within `context`. With `firstPicks`, the first one is what fixed this context, so it must
   * find a leaf here: its absence would have had to hold outside.
   */
  solve(context: Context, conditions: readonly Condition[], firstPicks: boolean): boolean {
    let byArray: Map<ElementArray, Condition[]> | undefined;
    for (let n = 0; n < conditions.length; n++) {
      const condition = conditions[n]!;
      const found = context.at(condition.node) ?? nothing;
      if (found.arrays.length === 0) {
        if (found.leaves.length === 0) {
          if (!condition.list.absent || (firstPicks && n === 0)) return false;
        } else if (!found.leaves.some((leaf) => this.accepts(condition, leaf))) {
          return false;
        }
        continue;
      }
      if (found.arrays.length > 1 || found.leaves.length > 0) return this.walkAll(context, conditions, firstPicks);
      byArray ??= new Map();
      const array = found.arrays[0]!;
      const group = byArray.get(array);
      if (group === undefined) byArray.set(array, [condition]);
      else group.push(condition);
    }
    if (byArray === undefined) return true;
    for (const [array, group] of byArray) {
      // The first of the group finds leaves in this array and nothing is fixed yet: it must choose one of them.
      const elements = array.elements[group[0]!.node.leafIndex]!;
      if (!elements.some((element) => this.solve(element, group, true))) return false;
    }
    return true;
  }

  private accepts(condition: Condition, leaf: Leaf): boolean {
    this.steps++;
    return leafAccepted(condition, leaf);
  }

  /** The literal search, for contexts in which some path has a choice between arrays. */
  private walkAll(context: Context, conditions: readonly Condition[], firstPicks: boolean): boolean {
    const chosen = new Map<ElementArray, Context>();

    const compatible = (found: Found, condition: Condition, visit: (leaf: Leaf) => boolean): boolean => {
      for (const leaf of found.leaves) if (visit(leaf)) return true;
      for (const array of found.arrays) {
        const fixed = chosen.get(array);
        if (fixed !== undefined) {
          const below = fixed.at(condition.node);
          if (below !== undefined && compatible(below, condition, visit)) return true;
          continue;
        }
        for (const element of array.elements[condition.node.leafIndex]!) {
          chosen.set(array, element);
          const done = compatible(element.at(condition.node)!, condition, visit);
          chosen.delete(array);
          if (done) return true;
        }
      }
      return false;
    };

    const walk = (n: number): boolean => {
      if (n === conditions.length) return true;
      if (++this.steps > maximumSearchSteps) throw tooComplex();
      const condition = conditions[n]!;
      const found = context.at(condition.node) ?? nothing;
      if (condition.list.absent && !(firstPicks && n === 0)) {
        if (!compatible(found, condition, () => true) && walk(n + 1)) return true;
      }
      return compatible(found, condition, (leaf) => {
        if (++this.steps > maximumSearchSteps) throw tooComplex();
        return this.accepts(condition, leaf) && walk(n + 1);
      });
    };

    return walk(0);
  }
}

function tooComplex(): InvalidEventError {
  const message = `repeated paths in arrays leave more than ${maximumSearchSteps} combinations to try`;
  return new InvalidEventError('too-complex', message, 0);
}
