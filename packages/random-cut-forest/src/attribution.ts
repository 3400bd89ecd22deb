import { TREE } from './layout.ts';
import type { ForestState } from './state.ts';

/** Shares of a score by coordinate of the point: `high` where the value is too high, `low` where it is too low. */
export interface Attribution {
  readonly high: Float64Array;
  readonly low: Float64Array;
}

/** Attribution of the query point, averaged over the trees; zero when `ready` is false. */
export function attribute(state: ForestState, ready: boolean): Attribution {
  const { dimensions, trees } = state.layout;
  const high = new Float64Array(dimensions);
  const low = new Float64Array(dimensions);
  if (!ready) return { high, low };
  const tree = { high: new Float64Array(dimensions), low: new Float64Array(dimensions) };
  for (let t = 0; t < trees; t++) {
    attributeTree(state, t, tree);
    for (let j = 0; j < dimensions; j++) {
      high[j]! += tree.high[j]! / trees;
      low[j]! += tree.low[j]! / trees;
    }
  }
  return { high, low };
}

/** The same walk as the score's, with the separation of each level shared out over the gaps that cause it. */
function attributeTree(state: ForestState, tree: number, { high, low }: Attribution): void {
  const { i32, f32, f64, layout } = state;
  const { dimensions } = layout;
  const side = layout.blocks * 4;
  const at = state.treeAt(tree);
  const nodes = state.nodesAt(tree);
  const query = layout.queryAt >> 2;
  const mass = i32[at + TREE.entries]!;
  const scale = Math.log2(mass + 1);

  const path: number[] = [];
  let reference = i32[at + TREE.root]!;
  while (reference >= 0) {
    path.push(reference);
    const node = nodes + reference * 4;
    reference = f32[query + i32[node + 1]!]! <= f32[node]! ? i32[node + 2]! : i32[node + 3]!;
  }
  const leaf = state.leavesAt(tree) + ~reference * 2;
  const point = state.pointAt(i32[leaf]!);
  const leafMass = i32[leaf + 1]!;
  const depth = path.length;

  let distance = 0;
  for (let j = 0; j < dimensions; j++) distance += Math.abs(f32[query + j]! - f32[point + j]!);
  const seen = ((1 - leafMass / (2 * mass)) / (depth + Math.log2(leafMass + 1))) * scale;
  const unseen = 1 / (depth + 1);
  for (let j = 0; j < dimensions; j++) {
    const difference = f32[query + j]! - f32[point + j]!;
    high[j] = distance > 0 ? (unseen * Math.max(0, difference)) / distance : seen / (2 * dimensions);
    low[j] = distance > 0 ? (unseen * Math.max(0, -difference)) / distance : seen / (2 * dimensions);
  }

  // A duplicate goes up as if it were not there: with the box of its siblings along the path in place of the node's.
  const others = distance > 0 ? undefined : { low: new Float32Array(dimensions), high: new Float32Array(dimensions) };
  let child = reference;
  for (let level = depth - 1; level >= 0; level--) {
    const node = path[level]!;
    const box = state.boxAt(tree, node);
    if (others) {
      const words = nodes + node * 4;
      const sibling = i32[words + 2] === child ? i32[words + 3]! : i32[words + 2]!;
      const leaves = state.leavesAt(tree);
      const lowAt = sibling < 0 ? state.pointAt(i32[leaves + ~sibling * 2]!) : state.boxAt(tree, sibling) + 4;
      const highAt = sibling < 0 ? lowAt : lowAt + side;
      for (let j = 0; j < dimensions; j++) {
        if (level === depth - 1 || f32[lowAt + j]! < others.low[j]!) others.low[j] = f32[lowAt + j]!;
        if (level === depth - 1 || f32[highAt + j]! > others.high[j]!) others.high[j] = f32[highAt + j]!;
      }
    }
    child = node;
    let gap = 0;
    let range = others ? 0 : f64[box >> 1]!;
    for (let j = 0; j < dimensions; j++) {
      const x = f32[query + j]!;
      const lowest = others ? others.low[j]! : f32[box + 4 + j]!;
      const highest = others ? others.high[j]! : f32[box + 4 + side + j]!;
      if (others) range += Math.fround(highest - lowest);
      gap += Math.fround(Math.max(0, lowest - x)) + Math.fround(Math.max(0, x - highest));
    }
    if (gap === 0) break;
    const separation = gap / (range + gap);
    const share = 1 / (range + gap) / (level + 1);
    for (let j = 0; j < dimensions; j++) {
      const x = f32[query + j]!;
      const lowest = others ? others.low[j]! : f32[box + 4 + j]!;
      const highest = others ? others.high[j]! : f32[box + 4 + side + j]!;
      high[j] = Math.fround(Math.max(0, x - highest)) * share + (1 - separation) * high[j]!;
      low[j] = Math.fround(Math.max(0, lowest - x)) * share + (1 - separation) * low[j]!;
    }
  }

  let factor = scale;
  if (others) {
    let sum = 0;
    for (let j = 0; j < dimensions; j++) sum += high[j]! + low[j]!;
    factor = seen / sum;
  }
  for (let j = 0; j < dimensions; j++) {
    high[j]! *= factor;
    low[j]! *= factor;
  }
}
