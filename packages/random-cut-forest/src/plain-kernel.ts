import type { Batch, Kernel } from './kernel.ts';
import { BATCH, NONE, TREE } from './layout.ts';
import { nextDouble } from './random.ts';
import { ForestState } from './state.ts';

// The forest's inner loops in plain TypeScript: Guha, Mishra, Roy, Schrijvers, "Robust Random Cut Forest Based Anomaly
// Detection on Streams" (ICML 2016), with the score and the bottom-up insertion of the AWS reference implementation.
//
// Numbers: coordinates, cuts, boxes, and differences of two coordinates are 32-bit floats; sums, probabilities and
// scores 64-bit. See layout.ts for the order of sums. The WebAssembly kernel (assembly/kernel.ts) mirrors this file
// function by function; change both.

export const plainKernel: Kernel = {
  name: 'plain',
  allocate: (layout) => new ForestState(layout, new ArrayBuffer(layout.bytes > 0 ? layout.bytes : 0), 0),
  release() {},
  score,
  batch,
  scoreBatch,
  insert,
  remove,
};

const scratchBlocks = new Int32Array(2500);

function score(state: ForestState): number {
  let sum = 0;
  for (let tree = 0; tree < state.layout.trees; tree++) sum += scoreTree(state, tree);
  return sum;
}

let batchValues = new Float32Array(0);

function batch(state: ForestState): Batch {
  const stride = state.layout.blocks * 4;
  if (batchValues.length < BATCH * stride) batchValues = new Float32Array(BATCH * stride);
  return { values: batchValues, stride, capacity: BATCH };
}

function scoreBatch(state: ForestState, count: number): Float64Array {
  const { f32, layout } = state;
  const stride = layout.blocks * 4;
  const query = layout.queryAt >> 2;
  const sums = new Float64Array(count);
  for (let k = 0; k < count; k++) {
    f32.set(batchValues.subarray(k * stride, (k + 1) * stride), query);
    sums[k] = score(state);
  }
  return sums;
}

/** The expected inverse depth of the query point in a tree, averaged exactly along one path, times log2(M + 1). */
function scoreTree(state: ForestState, tree: number): number {
  const { i32, f32, f64, layout } = state;
  const at = state.treeAt(tree);
  const nodes = state.nodesAt(tree);
  const query = layout.queryAt >> 2;
  const path = layout.pathsAt >> 2;
  const log = layout.logAt >> 3;
  const inverse = layout.inverseAt >> 3;
  const mass = i32[at + TREE.entries]!;

  let depth = 0;
  let reference = i32[at + TREE.root]!;
  while (reference >= 0) {
    i32[path + depth++] = reference;
    const node = nodes + reference * 4;
    reference = f32[query + i32[node + 1]!]! <= f32[node]! ? i32[node + 2]! : i32[node + 3]!;
  }

  // Blocks of four coordinates in which the query lies outside. Boxes only grow towards the root, so a block that is
  // inside once is inside all boxes above: the list shrinks.
  const leaf = state.leavesAt(tree) + ~reference * 2;
  const point = state.pointAt(i32[leaf]!);
  const blocks = scratchBlocks;
  let outside = 0;
  for (let block = 0; block < layout.blocks * 4; block += 4) {
    if (
      f32[query + block] !== f32[point + block] ||
      f32[query + block + 1] !== f32[point + block + 1] ||
      f32[query + block + 2] !== f32[point + block + 2] ||
      f32[query + block + 3] !== f32[point + block + 3]
    ) {
      blocks[outside++] = block;
    }
  }
  const scale = f64[log + mass]!;
  if (outside === 0) {
    const leafMass = i32[leaf + 1]!;
    return ((1 - leafMass / (2 * mass)) / (depth + f64[log + leafMass]!)) * scale;
  }

  let value = f64[inverse + depth + 1]!;
  const boxes = layout.boxesAt + tree * layout.boxStride;
  const side = layout.blocks * 4;
  for (let level = depth - 1; level >= 0; level--) {
    const box = (boxes + i32[path + level]! * layout.boxBytes) >> 2;
    let lane0 = 0;
    let lane1 = 0;
    let lane2 = 0;
    let lane3 = 0;
    let kept = 0;
    for (let k = 0; k < outside; k++) {
      const block = blocks[k]!;
      const low = box + 4 + block;
      const high = low + side;
      const x = query + block;
      const gap0 = gapOf(f32[x]!, f32[low]!, f32[high]!);
      const gap1 = gapOf(f32[x + 1]!, f32[low + 1]!, f32[high + 1]!);
      const gap2 = gapOf(f32[x + 2]!, f32[low + 2]!, f32[high + 2]!);
      const gap3 = gapOf(f32[x + 3]!, f32[low + 3]!, f32[high + 3]!);
      lane0 += gap0;
      lane1 += gap1;
      lane2 += gap2;
      lane3 += gap3;
      if (gap0 + gap1 + gap2 + gap3 > 0) blocks[kept++] = block;
    }
    if (kept === 0) break;
    outside = kept;
    const gap = lane0 + lane2 + (lane1 + lane3);
    const separation = gap / (f64[box >> 1]! + gap);
    value = separation * f64[inverse + level + 1]! + (1 - separation) * value;
  }
  return value * scale;
}

/** How far a coordinate lies outside an interval, as a 32-bit float. */
function gapOf(x: number, low: number, high: number): number {
  return x < low ? Math.fround(low - x) : x > high ? Math.fround(x - high) : 0;
}

/** Sum of the gaps of a point and a box whose low side is at `low`. */
function gapSum(state: ForestState, point: number, low: number, side: number): number {
  const { f32 } = state;
  const high = low + side;
  let lane0 = 0;
  let lane1 = 0;
  let lane2 = 0;
  let lane3 = 0;
  for (let j = 0; j < side; j += 4) {
    lane0 += gapOf(f32[point + j]!, f32[low + j]!, f32[high + j]!);
    lane1 += gapOf(f32[point + j + 1]!, f32[low + j + 1]!, f32[high + j + 1]!);
    lane2 += gapOf(f32[point + j + 2]!, f32[low + j + 2]!, f32[high + j + 2]!);
    lane3 += gapOf(f32[point + j + 3]!, f32[low + j + 3]!, f32[high + j + 3]!);
  }
  return lane0 + lane2 + (lane1 + lane3);
}

/** Sum of the sides of the box at word `box`, from its sides anew: adding differences would drift. */
function measure(state: ForestState, box: number): void {
  const { f32, layout } = state;
  const side = layout.blocks * 4;
  const low = box + 4;
  const high = low + side;
  let lane0 = 0;
  let lane1 = 0;
  let lane2 = 0;
  let lane3 = 0;
  for (let j = 0; j < side; j += 4) {
    lane0 += Math.fround(f32[high + j]! - f32[low + j]!);
    lane1 += Math.fround(f32[high + j + 1]! - f32[low + j + 1]!);
    lane2 += Math.fround(f32[high + j + 2]! - f32[low + j + 2]!);
    lane3 += Math.fround(f32[high + j + 3]! - f32[low + j + 3]!);
  }
  state.f64[box >> 1] = lane0 + lane2 + (lane1 + lane3);
}

// What the last draw that separated says: chosen dimension, value, and the side of the new point.
let cutDimension = 0;
let cutValue = 0;
let pointIsLeft = false;
const toFloat = new Float32Array(1);
const toBits = new Int32Array(toFloat.buffer);

/** The largest 32-bit float below a finite one. */
function floatBelow(value: number): number {
  toFloat[0] = value;
  if (value > 0) toBits[0]!--;
  else if (value < 0) toBits[0]!++;
  else toBits[0] = 0x80000001 | 0;
  return toFloat[0]!;
}

/** Notes the cut that lies `u` into the gaps between a point and a box; `u` is at least 0 and below their sum. */
function cutInGap(state: ForestState, point: number, low: number, high: number, u: number): void {
  const { f32, layout } = state;
  for (let j = 0; j < layout.dimensions; j++) {
    const x = f32[point + j]!;
    const lowest = f32[low + j]!;
    const highest = f32[high + j]!;
    const gap = gapOf(x, lowest, highest);
    if (gap === 0) continue;
    const from = x < lowest ? x : highest;
    const to = x < lowest ? lowest : x;
    cutDimension = j;
    pointIsLeft = x < lowest;
    if (u < gap) {
      const value = Math.fround(from + u);
      // 32-bit rounding may reach the far end, which belongs to the other side.
      cutValue = value < to ? value : floatBelow(to);
      return;
    }
    // Should rounding use up every gap, the last one's near end stands.
    cutValue = from;
    u -= gap;
  }
}

function insert(state: ForestState, tree: number, newPoint: number): number {
  const { i32, f32, layout } = state;
  const at = state.treeAt(tree);
  const nodes = state.nodesAt(tree);
  const leaves = state.leavesAt(tree);
  const path = layout.pathsAt >> 2;
  const side = layout.blocks * 4;
  const x = state.pointAt(newPoint);
  const root = i32[at + TREE.root]!;
  i32[at + TREE.entries]!++;
  if (root === NONE) {
    i32[at + TREE.root] = ~newLeaf(state, tree, newPoint);
    return newPoint;
  }

  let depth = 0;
  let reference = root;
  while (reference >= 0) {
    i32[path + depth++] = reference;
    const node = nodes + reference * 4;
    reference = f32[x + i32[node + 1]!]! <= f32[node]! ? i32[node + 2]! : i32[node + 3]!;
  }
  const leaf = leaves + ~reference * 2;
  const held = i32[leaf]!;
  const y = state.pointAt(held);
  const leafGap = sumOfDifferences(state, x, y);
  if (leafGap === 0) {
    i32[leaf + 1]!++;
    for (let level = 0; level < depth; level++) i32[state.boxAt(tree, i32[path + level]!) + 2]!++;
    return held;
  }

  // Upward: the topmost level whose draw separates is where a top-down insertion would have stopped. No cut above the
  // first box that contains the point can separate.
  let chosen = depth;
  cutInGap(state, x, y, y, nextDouble(i32, at + TREE.cuts) * leafGap);
  let dimension = cutDimension;
  let cut = cutValue;
  let left = pointIsLeft;
  let level = depth - 1;
  for (; level >= 0; level--) {
    const box = state.boxAt(tree, i32[path + level]!);
    const gap = gapSum(state, x, box + 4, side);
    if (gap === 0) break;
    const u = nextDouble(i32, at + TREE.cuts) * (state.f64[box >> 1]! + gap);
    if (u < gap) {
      chosen = level;
      cutInGap(state, x, box + 4, box + 4 + side, u);
      dimension = cutDimension;
      cut = cutValue;
      left = pointIsLeft;
    }
  }
  const containing = level;

  const below = chosen === depth ? reference : i32[path + chosen]!;
  const node = newNode(state, tree);
  const words = nodes + node * 4;
  const other = ~newLeaf(state, tree, newPoint);
  f32[words] = cut;
  i32[words + 1] = dimension;
  i32[words + 2] = left ? other : below;
  i32[words + 3] = left ? below : other;
  const box = state.boxAt(tree, node);
  if (below < 0) {
    f32.copyWithin(box + 4, y, y + side);
    f32.copyWithin(box + 4 + side, y, y + side);
    i32[box + 2] = i32[leaf + 1]! + 1;
  } else {
    const old = state.boxAt(tree, below);
    f32.copyWithin(box + 4, old + 4, old + 4 + 2 * side);
    i32[box + 2] = i32[old + 2]! + 1;
  }
  joinPoint(state, box, x);

  if (chosen === 0) i32[at + TREE.root] = node;
  else {
    const parent = nodes + i32[path + chosen - 1]! * 4;
    if (i32[parent + 2] === below) i32[parent + 2] = node;
    else i32[parent + 3] = node;
  }
  for (let above = chosen - 1; above >= 0; above--) {
    const ancestor = state.boxAt(tree, i32[path + above]!);
    i32[ancestor + 2]!++;
    if (above > containing) joinPoint(state, ancestor, x);
  }
  return newPoint;
}

/** Sum of |x - y|; 0 only for equal points, since 32-bit floats underflow gradually. */
function sumOfDifferences(state: ForestState, x: number, y: number): number {
  const { f32, layout } = state;
  let lane0 = 0;
  let lane1 = 0;
  let lane2 = 0;
  let lane3 = 0;
  for (let j = 0; j < layout.blocks * 4; j += 4) {
    lane0 += Math.abs(Math.fround(f32[x + j]! - f32[y + j]!));
    lane1 += Math.abs(Math.fround(f32[x + j + 1]! - f32[y + j + 1]!));
    lane2 += Math.abs(Math.fround(f32[x + j + 2]! - f32[y + j + 2]!));
    lane3 += Math.abs(Math.fround(f32[x + j + 3]! - f32[y + j + 3]!));
  }
  return lane0 + lane2 + (lane1 + lane3);
}

/** Widens a box to hold a point. */
function joinPoint(state: ForestState, box: number, x: number): void {
  const { f32, layout } = state;
  const side = layout.blocks * 4;
  for (let j = 0; j < side; j++) {
    const value = f32[x + j]!;
    if (value < f32[box + 4 + j]!) f32[box + 4 + j] = value;
    if (value > f32[box + 4 + side + j]!) f32[box + 4 + side + j] = value;
  }
  measure(state, box);
}

function remove(state: ForestState, tree: number, point: number): void {
  const { i32, f32, layout } = state;
  const at = state.treeAt(tree);
  const nodes = state.nodesAt(tree);
  const path = layout.pathsAt >> 2;
  const x = state.pointAt(point);
  i32[at + TREE.entries]!--;

  let depth = 0;
  let reference = i32[at + TREE.root]!;
  while (reference >= 0) {
    i32[path + depth++] = reference;
    const node = nodes + reference * 4;
    reference = f32[x + i32[node + 1]!]! <= f32[node]! ? i32[node + 2]! : i32[node + 3]!;
  }
  const leaf = state.leavesAt(tree) + ~reference * 2;
  for (let level = 0; level < depth; level++) i32[state.boxAt(tree, i32[path + level]!) + 2]!--;
  if (i32[leaf + 1]! > 1) {
    i32[leaf + 1]!--;
    return;
  }
  i32[leaf] = i32[at + TREE.freeLeaf]!;
  i32[at + TREE.freeLeaf] = ~reference;
  if (depth === 0) {
    i32[at + TREE.root] = NONE;
    return;
  }

  const parent = i32[path + depth - 1]!;
  const words = nodes + parent * 4;
  const sibling = i32[words + 2] === reference ? i32[words + 3]! : i32[words + 2]!;
  i32[words + 2] = i32[at + TREE.freeNode]!;
  i32[at + TREE.freeNode] = parent;
  if (depth === 1) {
    i32[at + TREE.root] = sibling;
    return;
  }
  const grandparent = nodes + i32[path + depth - 2]! * 4;
  if (i32[grandparent + 2] === parent) i32[grandparent + 2] = sibling;
  else i32[grandparent + 3] = sibling;
  for (let level = depth - 2; level >= 0; level--) {
    if (!mendBox(state, tree, i32[path + level]!, x)) break;
  }
}

/** Shrinks a box from which a point was taken, where the point lay on its face; false when it stays as it was. */
function mendBox(state: ForestState, tree: number, node: number, x: number): boolean {
  const { i32, f32, layout } = state;
  const side = layout.blocks * 4;
  const box = state.boxAt(tree, node);
  const words = state.nodesAt(tree) + node * 4;
  const left = i32[words + 2]!;
  const right = i32[words + 3]!;
  const leaves = state.leavesAt(tree);
  const leftLow = left < 0 ? state.pointAt(i32[leaves + ~left * 2]!) : state.boxAt(tree, left) + 4;
  const leftHigh = left < 0 ? leftLow : leftLow + side;
  const rightLow = right < 0 ? state.pointAt(i32[leaves + ~right * 2]!) : state.boxAt(tree, right) + 4;
  const rightHigh = right < 0 ? rightLow : rightLow + side;
  let changed = false;
  for (let j = 0; j < layout.dimensions; j++) {
    const value = f32[x + j]!;
    if (value === f32[box + 4 + j]!) {
      const a = f32[leftLow + j]!;
      const b = f32[rightLow + j]!;
      const low = a < b ? a : b;
      if (low !== value) {
        f32[box + 4 + j] = low;
        changed = true;
      }
    }
    if (value === f32[box + 4 + side + j]!) {
      const a = f32[leftHigh + j]!;
      const b = f32[rightHigh + j]!;
      const high = a > b ? a : b;
      if (high !== value) {
        f32[box + 4 + side + j] = high;
        changed = true;
      }
    }
  }
  if (changed) measure(state, box);
  return changed;
}

function newNode(state: ForestState, tree: number): number {
  const { i32 } = state;
  const at = state.treeAt(tree);
  const free = i32[at + TREE.freeNode]!;
  if (free === NONE) return i32[at + TREE.nodesUsed]!++;
  i32[at + TREE.freeNode] = i32[state.nodesAt(tree) + free * 4 + 2]!;
  return free;
}

function newLeaf(state: ForestState, tree: number, point: number): number {
  const { i32 } = state;
  const at = state.treeAt(tree);
  const leaves = state.leavesAt(tree);
  let leaf = i32[at + TREE.freeLeaf]!;
  if (leaf === NONE) leaf = i32[at + TREE.leavesUsed]!++;
  else i32[at + TREE.freeLeaf] = i32[leaves + leaf * 2]!;
  i32[leaves + leaf * 2] = point;
  i32[leaves + leaf * 2 + 1] = 1;
  return leaf;
}

/** Makes the boxes and masses of a tree whose nodes and leaves are in place; for snapshots, which leave them out. */
export function rebuildBox(state: ForestState, tree: number, node: number): void {
  const { i32, f32, layout } = state;
  const side = layout.blocks * 4;
  const words = state.nodesAt(tree) + node * 4;
  const box = state.boxAt(tree, node);
  const leaves = state.leavesAt(tree);
  let mass = 0;
  for (let child = 2; child <= 3; child++) {
    const reference = i32[words + child]!;
    const low = reference < 0 ? state.pointAt(i32[leaves + ~reference * 2]!) : state.boxAt(tree, reference) + 4;
    const high = reference < 0 ? low : low + side;
    mass += reference < 0 ? i32[leaves + ~reference * 2 + 1]! : i32[state.boxAt(tree, reference) + 2]!;
    for (let j = 0; j < side; j++) {
      if (child === 2 || f32[low + j]! < f32[box + 4 + j]!) f32[box + 4 + j] = f32[low + j]!;
      if (child === 2 || f32[high + j]! > f32[box + 4 + side + j]!) f32[box + 4 + side + j] = f32[high + j]!;
    }
  }
  i32[box + 2] = mass;
  measure(state, box);
}
