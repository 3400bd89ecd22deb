import {
  BLOCKS,
  BOXES_AT,
  BOX_STRIDE,
  ENTRIES,
  INVERSE_AT,
  LEAF_STRIDE,
  LEAVES_AT,
  LEFT,
  LOG_AT,
  NODES_AT,
  NODE_STRIDE,
  NONE,
  PATHS_AT,
  PATH_STRIDE,
  POINTS_AT,
  ROOT,
  SIDES,
  TREES,
  TREES_AT,
  field,
  gapsAt,
  highHalf,
  lowHalf,
  total,
} from './block';
import {
  child,
  climb,
  depth0,
  depth1,
  depth2,
  depth3,
  descendOne,
  descendPoints,
  leaf0,
  leaf1,
  leaf2,
  leaf3,
  step,
} from './score';

// Many points at once, a tree at a time. Points climb in rounds: each round takes all that are not yet inside a box one
// step up. A round is one loop without branches that depend on the data, so the processor never guesses wrong, and
// neighbouring steps overlap; a loop for each point would be guessed wrong at each end.

/** Most points of one call, as BATCH in src/layout.ts. */
const BATCH: usize = 1024;
const FEW: usize = 24;

/** Takes four points down side by side until the first is at its leaf; puts where they are to `places`. */
// @ts-ignore: decorator
@inline function fallFour(nodes: usize, root: i32, x0: usize, side: usize, places: usize): void {
  const x1 = x0 + side;
  const x2 = x1 + side;
  const x3 = x2 + side;
  let r0 = root;
  let r1 = root;
  let r2 = root;
  let r3 = root;
  while ((r0 | r1 | r2 | r3) >= 0) {
    r0 = child(nodes, r0, x0);
    r1 = child(nodes, r1, x1);
    r2 = child(nodes, r2, x2);
    r3 = child(nodes, r3, x3);
  }
  store<i32>(places, r0);
  store<i32>(places, r1, 4);
  store<i32>(places, r2, 8);
  store<i32>(places, r3, 12);
}

/** One round down: a step for each of the `count` points of the list, which keeps those that are not yet at a leaf. */
// @ts-ignore: decorator
@inline function fall(nodes: usize, points: usize, side: usize, places: usize, active: usize, count: usize): usize {
  let kept = active;
  for (let at = active, end = active + (count << 2); at < end; at += 4) {
    const k = <usize>load<u32>(at);
    const place = places + (k << 2);
    const below = child(nodes, load<i32>(place), points + k * side);
    store<i32>(place, below);
    store<u32>(kept, <u32>k);
    kept += step(below);
  }
  return (kept - active) >> 2;
}

/** Sum of the gaps of a point and a box, in whole vectors; `side` is a constant where this is used. */
// @ts-ignore: decorator
@inline function gapOver(x: usize, lows: usize, side: usize): f64 {
  let gaps = gapsAt(x, lows, side);
  let low = lowHalf(gaps);
  let high = highHalf(gaps);
  if (side > 16) {
    gaps = gapsAt(x + 16, lows + 16, side);
    low = f64x2.add(low, lowHalf(gaps));
    high = f64x2.add(high, highHalf(gaps));
  }
  if (side > 32) {
    gaps = gapsAt(x + 32, lows + 32, side);
    low = f64x2.add(low, lowHalf(gaps));
    high = f64x2.add(high, highHalf(gaps));
  }
  if (side > 48) {
    gaps = gapsAt(x + 48, lows + 48, side);
    low = f64x2.add(low, lowHalf(gaps));
    high = f64x2.add(high, highHalf(gaps));
  }
  if (side > 64) {
    gaps = gapsAt(x + 64, lows + 64, side);
    low = f64x2.add(low, lowHalf(gaps));
    high = f64x2.add(high, highHalf(gaps));
  }
  if (side > 80) {
    gaps = gapsAt(x + 80, lows + 80, side);
    low = f64x2.add(low, lowHalf(gaps));
    high = f64x2.add(high, highHalf(gaps));
  }
  return total(low, high);
}

/**
 * One round: a step up for each of the `count` points of the list `active`. Keeps those in the list that are outside
 * the box and not yet at the root, and answers how many. A box that contains a point leaves its value as it is, to the
 * bit. In the first round those that are inside go to the list `inside`: only they can be their leaf's point.
 */
// @ts-ignore: decorator
@inline function rise(
  points: usize,
  side: usize,
  boxes: usize,
  above: usize,
  slots: usize,
  values: usize,
  active: usize,
  count: usize,
  inside: usize,
  first: bool,
): usize {
  const boxBytes = 2 * side + SIDES;
  let kept = active;
  let found = inside;
  for (let at = active, end = active + (count << 2); at < end; at += 4) {
    const k = <usize>load<u32>(at);
    const slot = <usize>load<u32>(slots + (k << 2));
    const box = boxes + slot * boxBytes;
    const gap = gapOver(points + k * side, box + SIDES, side);
    const separation = gap / (load<f64>(box) + gap);
    const value = values + (k << 3);
    const step = above + (slot << 4);
    store<f64>(value, separation * load<f64>(step) + (1.0 - separation) * load<f64>(value));
    const parent = load<i32>(step, 8);
    store<i32>(slots + (k << 2), parent);
    store<u32>(kept, <u32>k);
    kept += (<usize>(gap > 0) & <usize>(parent >= 0)) << 2;
    if (first) {
      store<u32>(found, <u32>k);
      found += <usize>(gap == 0) << 2;
    }
  }
  if (first) store<u32>(found, NONE);
  return (kept - active) >> 2;
}

/**
 * For each node, and behind the nodes for each leaf, 16 bytes: 1 / (its depth + 1) and its parent, -1 above the root.
 * Without a branch on what a child is; the queue takes leaves too, and drops them at once.
 */
function noteParents(base: usize, tree: usize, above: usize, queue: usize): void {
  const nodes = base + field(base, NODES_AT) + tree * field(base, NODE_STRIDE);
  const inverses = base + field(base, INVERSE_AT);
  const most = <i32>(field(base, NODE_STRIDE) >> 4);
  const root = load<i32>(base + field(base, TREES_AT) + (tree << 6), ROOT);
  const first = above + ((<usize>select<i32>(most + ~root, root, root < 0)) << 4);
  store<f64>(first, load<f64>(inverses, 8));
  store<i32>(first, -1, 8);
  store<i32>(first, 0, 12);
  let head = queue;
  let tail = queue;
  store<i32>(tail, root);
  tail += step(root);
  while (head < tail) {
    const node = load<i32>(head);
    head += 4;
    const depth = load<i32>(above + ((<usize>node) << 4), 12) + 1;
    const inverse = load<f64>(inverses + ((<usize>depth) << 3), 8);
    for (let side: usize = 0; side < 8; side += 4) {
      const reference = load<i32>(nodes + ((<usize>node) << 4) + side, LEFT);
      const to = above + ((<usize>select<i32>(most + ~reference, reference, reference < 0)) << 4);
      store<f64>(to, inverse);
      store<i32>(to, node, 8);
      store<i32>(to, depth, 12);
      store<i32>(tail, reference);
      tail += step(reference);
    }
  }
}

/** The value of a point that lies in all boxes above its leaf: "seen" when it is the leaf's point. */
// @ts-ignore: decorator
@inline function valueInside(base: usize, leaf: usize, x: usize, side: usize, depth: i32, mass: i32, value: f64): f64 {
  const point = base + field(base, POINTS_AT) + <usize>load<u32>(leaf) * side;
  for (let j: usize = 0; j < side; j += 16) {
    if (!i32x4.all_true(f32x4.eq(v128.load(x + j), v128.load(point + j)))) return value;
  }
  const leafMass = load<i32>(leaf, 4);
  const log = load<f64>(base + field(base, LOG_AT) + ((<usize>leafMass) << 3));
  return (1.0 - <f64>leafMass / <f64>(2 * mass)) / (<f64>depth + log);
}

/**
 * Sums over the trees of the scores of `count` points, at most BATCH, for boxes of up to six vectors.
 * `scratch`: sums (f64 a point), then values (f64), slots and leaves and two lists (i32 each, with room for an end), the
 * queue (i32 a node and one), and 16 bytes for each node and leaf.
 */
// @ts-ignore: decorator
@inline function climbTogether(base: usize, points: usize, scratch: usize, count: usize, side: usize): void {
  const trees = field(base, TREES);
  const sums = scratch;
  const values = sums + (BATCH << 3);
  const slots = values + (BATCH << 3);
  const leavesOf = slots + (BATCH << 2) + 16;
  const active = leavesOf + (BATCH << 2) + 16;
  const inside = active + (BATCH << 2) + 16;
  const queue = inside + (BATCH << 2) + 16;
  const most = field(base, NODE_STRIDE) >> 4;
  const above = (queue + (most << 2) + 23) & ~15;
  const boxes = base + field(base, BOXES_AT);
  const boxStride = field(base, BOX_STRIDE);
  memory.fill(sums, 0, count << 3);
  for (let tree: usize = 0; tree < trees; tree++) {
    noteParents(base, tree, above, queue);
    const header = base + field(base, TREES_AT) + (tree << 6);
    const nodes = base + field(base, NODES_AT) + tree * field(base, NODE_STRIDE);
    const root = load<i32>(header, ROOT);
    let k: usize = 0;
    for (; k + 4 <= count; k += 4) fallFour(nodes, root, points + k * side, side, leavesOf + (k << 2));
    for (; k < count; k++) store<i32>(leavesOf + (k << 2), root);
    let end = active;
    for (k = 0; k < count; k++) {
      store<u32>(end, <u32>k);
      end += step(load<i32>(leavesOf + (k << 2)));
    }
    for (let left = (end - active) >> 2; left > 0; ) left = fall(nodes, points, side, leavesOf, active, left);
    for (k = 0; k < count; k++) {
      const from = above + ((most + <usize>~load<i32>(leavesOf + (k << 2))) << 4);
      store<f64>(values + (k << 3), load<f64>(from));
      store<i32>(slots + (k << 2), load<i32>(from, 8));
      store<u32>(active + (k << 2), <u32>k);
    }
    const mass = load<i32>(header, ENTRIES);
    const own = boxes + tree * boxStride;
    const leaves = base + field(base, LEAVES_AT) + tree * field(base, LEAF_STRIDE);
    if (root < 0) {
      // A single leaf: no box contains or leaves out anything.
      for (k = 0; k < count; k++) store<u32>(inside + (k << 2), <u32>k);
      store<u32>(inside + (count << 2), NONE);
    } else {
      let left = rise(points, side, own, above, slots, values, active, count, inside, true);
      while (left > 0) left = rise(points, side, own, above, slots, values, active, left, inside, false);
    }
    for (let at = inside; load<i32>(at) != NONE; at += 4) {
      k = <usize>load<u32>(at);
      const leaf = <usize>~load<i32>(leavesOf + (k << 2));
      const value = values + (k << 3);
      const depth = load<i32>(above + ((most + leaf) << 4), 12);
      store<f64>(value, valueInside(base, leaves + (leaf << 3), points + k * side, side, depth, mass, load<f64>(value)));
    }
    const scale = f64x2.splat(load<f64>(base + field(base, LOG_AT) + ((<usize>mass) << 3)));
    for (let at: usize = 0; at < count << 3; at += 16) {
      v128.store(sums + at, f64x2.add(v128.load(sums + at), f64x2.mul(v128.load(values + at), scale)));
    }
  }
}

/** See Kernel.scoreBatch. The sums come at `scratch`. */
export function scoreBatch(base: usize, points: usize, scratch: usize, count: usize): void {
  const side = field(base, BLOCKS) << 4;
  // A tree is made ready once for all points, which a few are not worth.
  if (count >= FEW) {
    if (side == 16) return climbTogether(base, points, scratch, count, 16);
    if (side == 32) return climbTogether(base, points, scratch, count, 32);
    if (side == 48) return climbTogether(base, points, scratch, count, 48);
    if (side == 64) return climbTogether(base, points, scratch, count, 64);
    if (side == 80) return climbTogether(base, points, scratch, count, 80);
    if (side == 96) return climbTogether(base, points, scratch, count, 96);
  }
  // With more, leaving out the blocks that no box above can hold outside is worth a loop for each point.
  const trees = field(base, TREES);
  const paths = base + field(base, PATHS_AT);
  const pathStride = field(base, PATH_STRIDE);
  memory.fill(scratch, 0, count << 3);
  for (let tree: usize = 0; tree < trees; tree++) {
    let k: usize = 0;
    for (; k + 4 <= count; k += 4) {
      const x = points + k * side;
      const sum = scratch + (k << 3);
      descendPoints(base, tree, x, side);
      store<f64>(sum, load<f64>(sum) + climb(base, tree, x, leaf0, depth0, paths));
      store<f64>(sum, load<f64>(sum, 8) + climb(base, tree, x + side, leaf1, depth1, paths + pathStride), 8);
      store<f64>(sum, load<f64>(sum, 16) + climb(base, tree, x + 2 * side, leaf2, depth2, paths + 2 * pathStride), 16);
      store<f64>(sum, load<f64>(sum, 24) + climb(base, tree, x + 3 * side, leaf3, depth3, paths + 3 * pathStride), 24);
    }
    for (; k < count; k++) {
      const x = points + k * side;
      const sum = scratch + (k << 3);
      const depth = descendOne(base, tree, x);
      store<f64>(sum, load<f64>(sum) + climb(base, tree, x, leaf0, depth, paths));
    }
  }
}
