// Trees change: insertion and deletion of a point.

import {
  BLOCKS,
  BOXES_AT,
  BOX_BYTES,
  BOX_STRIDE,
  CUT,
  CUTS,
  DIMENSION,
  DIMENSIONS,
  ENTRIES,
  FREE_LEAF,
  FREE_NODE,
  LEAF_STRIDE,
  LEAVES_AT,
  LEAVES_USED,
  LEFT,
  MASS,
  NODES_AT,
  NODES_USED,
  NODE_STRIDE,
  NONE,
  PATHS_AT,
  POINTS_AT,
  RIGHT,
  ROOT,
  SIDES,
  TREES_AT,
  field,
  gapSum,
  highHalf,
  lowHalf,
  measure,
  total,
} from './block';
import {
  descendOne,
  leaf0,
} from './score';

/** sfc32, as nextUint32 in src/random.ts. */
// @ts-ignore: decorator
@inline function nextUint32(at: usize): u32 {
  const b = load<u32>(at, 4);
  const c = load<u32>(at, 8);
  const counter = load<u32>(at, 12);
  const result = load<u32>(at) + b + counter;
  store<u32>(at, counter + 1, 12);
  store<u32>(at, b ^ (b >> 9));
  store<u32>(at, c + (c << 3), 4);
  store<u32>(at, rotl<u32>(c, 21) + result, 8);
  return result;
}

function nextDouble(at: usize): f64 {
  const high = nextUint32(at) >> 5;
  const low = nextUint32(at) >> 6;
  return (<f64>high * 67108864.0 + <f64>low) / 9007199254740992.0;
}

let cutDimension: i32 = 0;
let cutValue: f32 = 0;
let pointIsLeft: bool = false;

function floatBelow(value: f32): f32 {
  if (value > 0) return reinterpret<f32>(reinterpret<u32>(value) - 1);
  if (value < 0) return reinterpret<f32>(reinterpret<u32>(value) + 1);
  return reinterpret<f32>(<u32>0x80000001);
}

/** Notes the cut that lies `u` into the gaps between a point and a box. */
function cutInGap(dimensions: i32, x: usize, lows: usize, highs: usize, u: f64): void {
  for (let j: i32 = 0; j < dimensions; j++) {
    const value = load<f32>(x);
    const lowest = load<f32>(lows);
    const highest = load<f32>(highs);
    x += 4;
    lows += 4;
    highs += 4;
    const isLeft = value < lowest;
    if (!isLeft && value <= highest) continue;
    const gap = isLeft ? lowest - value : value - highest;
    const from = isLeft ? value : highest;
    const to = isLeft ? lowest : value;
    cutDimension = j;
    pointIsLeft = isLeft;
    if (u < <f64>gap) {
      const cut = <f32>(<f64>from + u);
      cutValue = cut < to ? cut : floatBelow(to);
      return;
    }
    cutValue = from;
    u -= <f64>gap;
  }
}

/** Widens a box to hold a point. */
function joinPoint(box: usize, x: usize, side: usize): void {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  const lows = box + SIDES;
  for (let j: usize = 0; j < side; j += 16) {
    const value = v128.load(x + j);
    const lowest = f32x4.pmin(v128.load(lows + j), value);
    const highest = f32x4.pmax(v128.load(lows + side + j), value);
    v128.store(lows + j, lowest);
    v128.store(lows + side + j, highest);
    const sides = f32x4.sub(highest, lowest);
    low = f64x2.add(low, lowHalf(sides));
    high = f64x2.add(high, highHalf(sides));
  }
  store<f64>(box, total(low, high));
}

function newNode(header: usize, nodes: usize): i32 {
  const free = load<i32>(header, FREE_NODE);
  if (free == NONE) {
    const used = load<i32>(header, NODES_USED);
    store<i32>(header, used + 1, NODES_USED);
    return used;
  }
  store<i32>(header, load<i32>(nodes + ((<usize>free) << 4), LEFT), FREE_NODE);
  return free;
}

function newLeaf(header: usize, leaves: usize, point: i32): i32 {
  let leaf = load<i32>(header, FREE_LEAF);
  if (leaf == NONE) {
    leaf = load<i32>(header, LEAVES_USED);
    store<i32>(header, leaf + 1, LEAVES_USED);
  } else store<i32>(header, load<i32>(leaves + ((<usize>leaf) << 3)), FREE_LEAF);
  store<i32>(leaves + ((<usize>leaf) << 3), point);
  store<i32>(leaves + ((<usize>leaf) << 3), 1, 4);
  return leaf;
}

/** See Kernel.insert. */
export function insert(base: usize, tree: usize, newPoint: i32): i32 {
  const header = base + field(base, TREES_AT) + (tree << 6);
  const leaves = base + field(base, LEAVES_AT) + tree * field(base, LEAF_STRIDE);
  const nodes = base + field(base, NODES_AT) + tree * field(base, NODE_STRIDE);
  const boxes = base + field(base, BOXES_AT) + tree * field(base, BOX_STRIDE);
  const boxBytes = field(base, BOX_BYTES);
  const path = base + field(base, PATHS_AT);
  const side = field(base, BLOCKS) << 4;
  const dimensions = load<i32>(base, DIMENSIONS);
  const points = base + field(base, POINTS_AT);
  const x = points + <usize>newPoint * side;
  store<i32>(header, load<i32>(header, ENTRIES) + 1, ENTRIES);
  if (load<i32>(header, ROOT) == NONE) {
    store<i32>(header, ~newLeaf(header, leaves, newPoint), ROOT);
    return newPoint;
  }

  const depth = descendOne(base, tree, x);
  const reference = leaf0;
  const leaf = leaves + ((<usize>~reference) << 3);
  const held = load<i32>(leaf);
  const y = points + <usize>held * side;
  const leafGap = gapSum(x, y, y, side);
  if (leafGap == 0) {
    store<i32>(leaf, load<i32>(leaf, 4) + 1, 4);
    for (let level: usize = 0; level < depth; level++) {
      const box = boxes + <usize>load<u32>(path + (level << 2)) * boxBytes;
      store<i32>(box, load<i32>(box, MASS) + 1, MASS);
    }
    return held;
  }

  let chosen = <isize>depth;
  cutInGap(dimensions, x, y, y, nextDouble(header + CUTS) * leafGap);
  let dimension = cutDimension;
  let cut = cutValue;
  let left = pointIsLeft;
  let level = <isize>depth - 1;
  for (; level >= 0; level--) {
    const box = boxes + <usize>load<u32>(path + ((<usize>level) << 2)) * boxBytes;
    const lows = box + SIDES;
    const gap = gapSum(x, lows, lows + side, side);
    if (gap == 0) break;
    const u = nextDouble(header + CUTS) * (load<f64>(box) + gap);
    if (u < gap) {
      chosen = level;
      cutInGap(dimensions, x, lows, lows + side, u);
      dimension = cutDimension;
      cut = cutValue;
      left = pointIsLeft;
    }
  }
  const containing = level;

  const below = chosen == <isize>depth ? reference : load<i32>(path + ((<usize>chosen) << 2));
  const node = newNode(header, nodes);
  const words = nodes + ((<usize>node) << 4);
  const other = ~newLeaf(header, leaves, newPoint);
  store<f32>(words, cut, CUT);
  store<i32>(words, dimension, DIMENSION);
  store<i32>(words, left ? other : below, LEFT);
  store<i32>(words, left ? below : other, RIGHT);
  const box = boxes + <usize>node * boxBytes;
  if (below < 0) {
    memory.copy(box + SIDES, y, side);
    memory.copy(box + SIDES + side, y, side);
    store<i32>(box, load<i32>(leaf, 4) + 1, MASS);
  } else {
    const old = boxes + <usize>below * boxBytes;
    memory.copy(box + SIDES, old + SIDES, 2 * side);
    store<i32>(box, load<i32>(old, MASS) + 1, MASS);
  }
  joinPoint(box, x, side);

  if (chosen == 0) store<i32>(header, node, ROOT);
  else {
    const parent = nodes + ((<usize>load<u32>(path + ((<usize>(chosen - 1)) << 2))) << 4);
    if (load<i32>(parent, LEFT) == below) store<i32>(parent, node, LEFT);
    else store<i32>(parent, node, RIGHT);
  }
  for (let above = chosen - 1; above >= 0; above--) {
    const ancestor = boxes + <usize>load<u32>(path + ((<usize>above) << 2)) * boxBytes;
    store<i32>(ancestor, load<i32>(ancestor, MASS) + 1, MASS);
    if (above > containing) joinPoint(ancestor, x, side);
  }
  return newPoint;
}

/** See Kernel.remove. */
export function remove(base: usize, tree: usize, point: i32): void {
  const header = base + field(base, TREES_AT) + (tree << 6);
  const leaves = base + field(base, LEAVES_AT) + tree * field(base, LEAF_STRIDE);
  const nodes = base + field(base, NODES_AT) + tree * field(base, NODE_STRIDE);
  const boxes = base + field(base, BOXES_AT) + tree * field(base, BOX_STRIDE);
  const boxBytes = field(base, BOX_BYTES);
  const path = base + field(base, PATHS_AT);
  const side = field(base, BLOCKS) << 4;
  const points = base + field(base, POINTS_AT);
  const x = points + <usize>point * side;
  store<i32>(header, load<i32>(header, ENTRIES) - 1, ENTRIES);

  const depth = descendOne(base, tree, x);
  const reference = leaf0;
  const leaf = leaves + ((<usize>~reference) << 3);
  for (let level: usize = 0; level < depth; level++) {
    const box = boxes + <usize>load<u32>(path + (level << 2)) * boxBytes;
    store<i32>(box, load<i32>(box, MASS) - 1, MASS);
  }
  const leafMass = load<i32>(leaf, 4);
  if (leafMass > 1) {
    store<i32>(leaf, leafMass - 1, 4);
    return;
  }
  store<i32>(leaf, load<i32>(header, FREE_LEAF));
  store<i32>(header, ~reference, FREE_LEAF);
  if (depth == 0) {
    store<i32>(header, NONE, ROOT);
    return;
  }

  const parent = load<i32>(path + ((depth - 1) << 2));
  const words = nodes + ((<usize>parent) << 4);
  const sibling = load<i32>(words, LEFT) == reference ? load<i32>(words, RIGHT) : load<i32>(words, LEFT);
  store<i32>(words, load<i32>(header, FREE_NODE), LEFT);
  store<i32>(header, parent, FREE_NODE);
  if (depth == 1) {
    store<i32>(header, sibling, ROOT);
    return;
  }
  const grandparent = nodes + ((<usize>load<u32>(path + ((depth - 2) << 2))) << 4);
  if (load<i32>(grandparent, LEFT) == parent) store<i32>(grandparent, sibling, LEFT);
  else store<i32>(grandparent, sibling, RIGHT);
  for (let level = <isize>depth - 2; level >= 0; level--) {
    const node = <usize>load<u32>(path + ((<usize>level) << 2));
    if (!mendBox(boxes + node * boxBytes, nodes + (node << 4), boxes, boxBytes, leaves, points, x, side)) break;
  }
}

/** Shrinks a box from which a point was taken, where the point lay on its face; false when it stays as it was. */
function mendBox(
  box: usize,
  words: usize,
  boxes: usize,
  boxBytes: usize,
  leaves: usize,
  points: usize,
  x: usize,
  side: usize,
): bool {
  const left = load<i32>(words, LEFT);
  const right = load<i32>(words, RIGHT);
  const leftLow =
    left < 0
      ? points + <usize>load<u32>(leaves + ((<usize>~left) << 3)) * side
      : boxes + <usize>left * boxBytes + SIDES;
  const leftHigh = left < 0 ? leftLow : leftLow + side;
  const rightLow =
    right < 0
      ? points + <usize>load<u32>(leaves + ((<usize>~right) << 3)) * side
      : boxes + <usize>right * boxBytes + SIDES;
  const rightHigh = right < 0 ? rightLow : rightLow + side;
  const lows = box + SIDES;
  const highs = lows + side;
  let changed = false;
  for (let j: usize = 0; j < side; j += 16) {
    const value = v128.load(x + j);
    const lowest = v128.load(lows + j);
    const highest = v128.load(highs + j);
    // Off the face in all four coordinates: they stay.
    if (!v128.any_true(v128.or(f32x4.eq(value, lowest), f32x4.eq(value, highest)))) continue;
    const low = f32x4.pmin(v128.load(leftLow + j), v128.load(rightLow + j));
    const high = f32x4.pmax(v128.load(leftHigh + j), v128.load(rightHigh + j));
    if (i32x4.all_true(v128.and(f32x4.eq(low, lowest), f32x4.eq(high, highest)))) continue;
    v128.store(lows + j, low);
    v128.store(highs + j, high);
    changed = true;
  }
  if (changed) measure(box, side);
  return changed;
}
