import { TREE } from './layout.ts';
import type { ForestState } from './state.ts';

/** A leaf that could stand for the query: the lower its rank, the better it fits. */
interface Candidate {
  rank: number;
  point: number;
}

/**
 * The query point with its missing coordinates filled in: each tree offers the leaf that explains the known ones best,
 * and the answer is, for each coordinate, the median over the trees.
 */
export function impute(state: ForestState, missing: readonly number[]): Float32Array {
  const { layout, f32 } = state;
  const query = layout.queryAt >> 2;
  const result = f32.slice(query, query + layout.dimensions);
  if (missing.length === 0) return result;
  const points = candidates(state, missing);
  const values = new Float32Array(points.length);
  for (const j of missing) {
    for (let k = 0; k < points.length; k++) values[k] = f32[points[k]! + j]!;
    values.sort();
    // Of an even number the lower middle one, as in the reference: a value that was seen.
    result[j] = values[(values.length - 1) >> 1]!;
  }
  return result;
}

/** For each tree the word index of the stored point that explains the known coordinates of the query best. */
function candidates(state: ForestState, missing: readonly number[]): number[] {
  const isMissing = new Uint8Array(state.layout.dimensions);
  for (const j of missing) isMissing[j] = 1;
  return Array.from({ length: state.layout.trees }, (_, tree) => {
    const root = state.i32[state.treeAt(tree) + TREE.root]!;
    return bestLeaf(state, tree, root, 0, isMissing).point;
  });
}

/** A sample near a query. */
export interface Neighbor {
  readonly point: Float32Array;
  /** Euclidean distance from the query. */
  readonly distance: number;
  /** Trees in which the query comes to it. */
  readonly count: number;
}

/** The leaves that the query comes to, equal points joined. */
export function nearNeighbors(state: ForestState): Neighbor[] {
  const { f32, layout } = state;
  const query = layout.queryAt >> 2;
  const found = new Map<string, { point: Float32Array; distance: number; count: number }>();
  for (const at of candidates(state, [])) {
    const point = f32.slice(at, at + layout.dimensions);
    const key = point.join();
    const known = found.get(key);
    if (known) known.count++;
    else {
      const squares = point.reduce((sum, value, j) => sum + (f32[query + j]! - value) ** 2, 0);
      found.set(key, { point, distance: Math.sqrt(squares), count: 1 });
    }
  }
  return [...found.values()];
}

/** Follows the cuts, both ways where the coordinate is missing. As deep as the tree, so recursion is safe. */
function bestLeaf(
  state: ForestState,
  tree: number,
  reference: number,
  depth: number,
  isMissing: Uint8Array,
): Candidate {
  const { i32, f32, f64, layout } = state;
  const { dimensions } = layout;
  const side = layout.blocks * 4;
  const query = layout.queryAt >> 2;
  if (reference < 0) {
    const leaf = state.leavesAt(tree) + ~reference * 2;
    const point = state.pointAt(i32[leaf]!);
    const leafMass = i32[leaf + 1]!;
    let distance = 0;
    for (let j = 0; j < dimensions; j++) if (!isMissing[j]) distance += Math.abs(f32[query + j]! - f32[point + j]!);
    const rank = distance === 0 ? 1 / (depth + Math.log2(leafMass + 1)) : 1 / (depth + 1);
    return { rank, point };
  }
  const words = state.nodesAt(tree) + reference * 4;
  const dimension = i32[words + 1]!;
  const left = i32[words + 2]!;
  const right = i32[words + 3]!;
  let best: Candidate;
  if (isMissing[dimension]) {
    const a = bestLeaf(state, tree, left, depth + 1, isMissing);
    const b = bestLeaf(state, tree, right, depth + 1, isMissing);
    best = a.rank <= b.rank ? a : b;
  } else {
    best = bestLeaf(state, tree, f32[query + dimension]! <= f32[words]! ? left : right, depth + 1, isMissing);
  }
  // What is missing is taken from the leaf, so it lies inside every box above and leaves no gap.
  const box = state.boxAt(tree, reference);
  let gap = 0;
  for (let j = 0; j < dimensions; j++) {
    if (isMissing[j]) continue;
    const x = f32[query + j]!;
    gap += Math.max(0, f32[box + 4 + j]! - x) + Math.max(0, x - f32[box + 4 + side + j]!);
  }
  if (gap > 0) {
    const separation = gap / (f64[box >> 1]! + gap);
    best.rank = separation / (depth + 1) + (1 - separation) * best.rank;
  }
  return best;
}
