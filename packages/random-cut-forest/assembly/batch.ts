import {
  BLOCKS,
  BOXES_AT,
  BOX_STRIDE,
  CUT,
  DIMENSION,
  ENTRIES,
  INVERSE_AT,
  LEAF_STRIDE,
  LEAVES_AT,
  LEFT,
  LOG_AT,
  NODES_AT,
  NODE_STRIDE,
  PATHS_AT,
  PATH_STRIDE,
  POINTS_AT,
  RIGHT,
  ROOT,
  SIDES,
  TREES,
  TREES_AT,
  field,
  highHalf,
  lowHalf,
} from './block';
import {
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
} from './score';

// Many points at once, a tree at a time and in it a node at a time. Down: a node's points are parted into those of its
// left and of its right child, so that each node has its points side by side. Up, children before parents: a node's box
// is loaded once for all points that are still outside the boxes below it. Within a node there is no branch that depends
// on the data, and the processor has many points in work at a time.

/** Most points of one call, as BATCH in src/layout.ts; a power of two up to 65536. */
const BATCH: usize = 2048;
const FEW: usize = 24;
/** A list of points: numbers of points, u32, with room for one more. */
const LIST: usize = (BATCH << 2) + 16;
/** A node that points came to: its number and depth, where its points start, those of its right child, and end. */
const VISIT: usize = 32;

/** Parts the points from `from` to `end` by a node's cut; writes them to `to`, answers where those of the right start. */
// @ts-ignore: decorator
@inline function part(node: usize, points: usize, side: usize, from: usize, end: usize, to: usize): usize {
  const x = points + ((<usize>load<u32>(node, DIMENSION)) << 2);
  const cut = load<f32>(node, CUT);
  let left = to;
  let right = to + (end - from) - 4;
  for (; from < end; from += 4) {
    const k = load<u32>(from);
    const isRight = (<usize>(load<f32>(x + <usize>k * side) > cut)) << 2;
    store<u32>(left, k);
    store<u32>(right, k);
    left += 4 - isRight;
    right -= isRight;
  }
  return left;
}

/**
 * Gaps of four coordinates. At most one of the differences is positive, and as integers positive floats are in the same
 * order and above all others; integer maxima leave the two pipes free that sums and conversions compete for.
 */
// @ts-ignore: decorator
@inline function gapsOf(x: v128, low: v128, high: v128): v128 {
  return i32x4.max_s(i32x4.max_s(f32x4.sub(low, x), f32x4.sub(x, high)), i32x4.splat(0));
}

let foundEnd: usize = 0;

/**
 * The step to a node's box, for the points from `from` to `end`, two at a time. Those outside go to the list at `kept`,
 * whose end it answers; a box that contains a point leaves its value as it is, to the bit. `first` is for points that
 * come from a leaf: their value is `initial`, and those inside go to the list at `inside`, up to `foundEnd`: only they
 * can be the leaf's point. `inverse` is 1 / (the node's depth + 1).
 */
// @ts-ignore: decorator
@inline function rise(
  points: usize,
  side: usize,
  box: usize,
  inverse: f64,
  initial: f64,
  one: v128,
  values: usize,
  from: usize,
  end: usize,
  kept: usize,
  inside: usize,
  mark: u64,
  first: bool,
): usize {
  const range = f64x2.splat(load<f64>(box));
  const inverses = f64x2.splat(inverse);
  const initials = f64x2.splat(initial);
  const lows = box + SIDES;
  const last = end - 4;
  let found = inside;
  for (; from < end; from += 8) {
    // The last of an odd number goes beside itself.
    const isPair = from < last;
    const k = <usize>load<u32>(from);
    const l = <usize>load<u32>(from + ((<usize>isPair) << 2));
    const x = points + k * side;
    const y = points + l * side;
    let low = v128.load(lows);
    let high = v128.load(lows + side);
    let gaps = gapsOf(v128.load(x), low, high);
    let lowX = lowHalf(gaps);
    let highX = highHalf(gaps);
    gaps = gapsOf(v128.load(y), low, high);
    let lowY = lowHalf(gaps);
    let highY = highHalf(gaps);
    if (side > 16) {
      low = v128.load(lows, 16);
      high = v128.load(lows + side, 16);
      gaps = gapsOf(v128.load(x, 16), low, high);
      lowX = f64x2.add(lowX, lowHalf(gaps));
      highX = f64x2.add(highX, highHalf(gaps));
      gaps = gapsOf(v128.load(y, 16), low, high);
      lowY = f64x2.add(lowY, lowHalf(gaps));
      highY = f64x2.add(highY, highHalf(gaps));
    }
    if (side > 32) {
      low = v128.load(lows, 32);
      high = v128.load(lows + side, 32);
      gaps = gapsOf(v128.load(x, 32), low, high);
      lowX = f64x2.add(lowX, lowHalf(gaps));
      highX = f64x2.add(highX, highHalf(gaps));
      gaps = gapsOf(v128.load(y, 32), low, high);
      lowY = f64x2.add(lowY, lowHalf(gaps));
      highY = f64x2.add(highY, highHalf(gaps));
    }
    if (side > 48) {
      low = v128.load(lows, 48);
      high = v128.load(lows + side, 48);
      gaps = gapsOf(v128.load(x, 48), low, high);
      lowX = f64x2.add(lowX, lowHalf(gaps));
      highX = f64x2.add(highX, highHalf(gaps));
      gaps = gapsOf(v128.load(y, 48), low, high);
      lowY = f64x2.add(lowY, lowHalf(gaps));
      highY = f64x2.add(highY, highHalf(gaps));
    }
    if (side > 64) {
      low = v128.load(lows, 64);
      high = v128.load(lows + side, 64);
      gaps = gapsOf(v128.load(x, 64), low, high);
      lowX = f64x2.add(lowX, lowHalf(gaps));
      highX = f64x2.add(highX, highHalf(gaps));
      gaps = gapsOf(v128.load(y, 64), low, high);
      lowY = f64x2.add(lowY, lowHalf(gaps));
      highY = f64x2.add(highY, highHalf(gaps));
    }
    if (side > 80) {
      low = v128.load(lows, 80);
      high = v128.load(lows + side, 80);
      gaps = gapsOf(v128.load(x, 80), low, high);
      lowX = f64x2.add(lowX, lowHalf(gaps));
      highX = f64x2.add(highX, highHalf(gaps));
      gaps = gapsOf(v128.load(y, 80), low, high);
      lowY = f64x2.add(lowY, lowHalf(gaps));
      highY = f64x2.add(highY, highHalf(gaps));
    }
    if (side > 96) {
      for (let j: usize = 96; j < side; j += 16) {
        low = v128.load(lows + j);
        high = v128.load(lows + side + j);
        gaps = gapsOf(v128.load(x + j), low, high);
        lowX = f64x2.add(lowX, lowHalf(gaps));
        highX = f64x2.add(highX, highHalf(gaps));
        gaps = gapsOf(v128.load(y + j), low, high);
        lowY = f64x2.add(lowY, lowHalf(gaps));
        highY = f64x2.add(highY, highHalf(gaps));
      }
    }
    const sumX = f64x2.add(lowX, highX);
    const sumY = f64x2.add(lowY, highY);
    const gap = f64x2.add(v128.shuffle<i64>(sumX, sumY, 0, 2), v128.shuffle<i64>(sumX, sumY, 1, 3));
    const separation = f64x2.div(gap, f64x2.add(range, gap));
    const valueX = values + (k << 3);
    const valueY = values + (l << 3);
    const before = first ? initials : v128.load64_lane(valueY, v128.load64_zero(valueX), 1);
    const after = f64x2.add(f64x2.mul(separation, inverses), f64x2.mul(f64x2.sub(one, separation), before));
    v128.store64_lane(valueX, after, 0);
    v128.store64_lane(valueY, after, 1);
    const outside = i64x2.bitmask(f64x2.gt(gap, f64x2.splat(0)));
    const pair = <i32>isPair;
    store<u32>(kept, <u32>k);
    store<u32>(kept + (<usize>(outside & pair) << 2), <u32>l);
    kept += <usize>((outside & 1) + ((outside >> 1) & pair)) << 2;
    if (first) {
      store<u64>(found, <u64>k | mark);
      found += <usize>(~outside & 1) << 3;
      store<u64>(found, <u64>l | mark);
      found += <usize>((~outside >> 1) & pair) << 3;
    }
  }
  if (first) foundEnd = found;
  return kept;
}

/** Puts a node and its points, from `start` to `end` of its list, on the stack. */
// @ts-ignore: decorator
@inline function push(top: usize, node: i32, depth: i32, start: usize, end: usize): usize {
  store<i32>(top, node, 16);
  store<i32>(top, depth, 20);
  store<u32>(top, <u32>start, 24);
  store<u32>(top, <u32>end, 28);
  return (<usize>(node >= 0 && start < end)) << 4;
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
 * Sums over the trees of the scores of `count` points, at most BATCH; `side` is the bytes of a point.
 * `scratch`: sums and values (f64 a point); points by node, of even and of odd depths, and those still outside (three
 * lists); those inside their first box (u64 a point: number, leaf, depth); how many of a node are still outside (u32 a
 * node); the stack and the visits.
 */
// @ts-ignore: decorator
@inline function climbTogether(base: usize, points: usize, scratch: usize, count: usize, side: usize): void {
  const trees = field(base, TREES);
  const nodeStride = field(base, NODE_STRIDE);
  const sums = scratch;
  const values = sums + (BATCH << 3);
  const even = values + (BATCH << 3);
  const odd = even + LIST;
  const active = odd + LIST;
  const inside = active + LIST;
  const counts = inside + 2 * LIST;
  const stack = counts + (nodeStride >> 2);
  const visits = stack + nodeStride + 64;
  const boxBytes: usize = (side << 1) + SIDES;
  const inverses = base + field(base, INVERSE_AT);
  const one = v128.load64_splat(inverses + 8);
  memory.fill(sums, 0, count << 3);
  for (let tree: usize = 0; tree < trees; tree++) {
    const header = base + field(base, TREES_AT) + (tree << 6);
    const nodes = base + field(base, NODES_AT) + tree * nodeStride;
    const boxes = base + field(base, BOXES_AT) + tree * field(base, BOX_STRIDE);
    const root = load<i32>(header, ROOT);
    let found = inside;
    if (root < 0) {
      // A single leaf: no box contains or leaves out anything.
      for (let k: usize = 0; k < count; k++) {
        store<f64>(values + (k << 3), load<f64>(inverses, 8));
        store<u64>(found, <u64>k | ((<u64>~root) << 16));
        found += 8;
      }
    } else {
      for (let k: usize = 0; k < count; k++) store<u32>(even + (k << 2), <u32>k);
      let touched: u32 = 0;
      // Trees do not fit into the near caches together. Their nodes are fetched as one run, and the boxes that will be
      // needed on the way down, when nothing waits for them.
      for (let at: usize = 0; at < nodeStride; at += 64) touched |= load<u32>(nodes + at);
      let visit = visits;
      let top = stack;
      top += push(top, root, 0, 0, count << 2);
      while (top > stack) {
        const number = load<i32>(top);
        const depth = load<i32>(top, 4);
        const start = <usize>load<u32>(top, 8);
        const end = <usize>load<u32>(top, 12);
        top -= 16;
        const node = nodes + ((<usize>number) << 4);
        const from = depth & 1 ? odd : even;
        const to = depth & 1 ? even : odd;
        const middle = part(node, points, side, from + start, from + end, to + start) - to;
        store<i32>(visit, number);
        store<i32>(visit, depth, 4);
        store<u32>(visit, <u32>start, 8);
        store<u32>(visit, <u32>middle, 12);
        store<u32>(visit, <u32>end, 16);
        visit += VISIT;
        const box = boxes + <usize>number * boxBytes;
        for (let at: usize = 0; at < boxBytes; at += 64) touched |= load<u32>(box + at);
        touched |= load<u32>(box + boxBytes - 4);
        top += push(top, load<i32>(node, RIGHT), depth + 1, middle, end);
        top += push(top, load<i32>(node, LEFT), depth + 1, start, middle);
      }
      store<u32>(visit, touched, 20);
      while (visit > visits) {
        visit -= VISIT;
        const number = <usize>load<u32>(visit);
        const depth = <usize>load<u32>(visit, 4);
        const first = <usize>load<u32>(visit, 8);
        const middle = <usize>load<u32>(visit, 12);
        const list = depth & 1 ? even : odd;
        const node = nodes + (number << 4);
        const box = boxes + number * boxBytes;
        const inverse = load<f64>(inverses + (depth << 3), 8);
        const below = load<f64>(inverses + (depth << 3), 16);
        let kept = active + first;
        for (let right: usize = 0; right <= 4; right += 4) {
          const child = load<i32>(node + right, LEFT);
          const start = right ? middle : first;
          const end = right ? <usize>load<u32>(visit, 16) : middle;
          if (start == end) continue;
          if (child < 0) {
            const mark = ((<u64>~child) << 16) | (((<u64>depth) + 1) << 40);
            kept = rise(points, side, box, inverse, below, one, values, list + start, list + end, kept, found, mark, true);
            found = foundEnd;
          } else {
            const from = active + start;
            const to = from + <usize>load<u32>(counts + ((<usize>child) << 2));
            kept = rise(points, side, box, inverse, below, one, values, from, to, kept, found, 0, false);
          }
        }
        store<u32>(counts + (number << 2), <u32>(kept - active - first));
      }
    }
    const mass = load<i32>(header, ENTRIES);
    const leaves = base + field(base, LEAVES_AT) + tree * field(base, LEAF_STRIDE);
    for (let at = inside; at < found; at += 8) {
      const mark = load<u64>(at);
      const k = <usize>(mark & 0xffff);
      const leaf = leaves + ((<usize>(mark >> 16) & 0xffffff) << 3);
      const value = values + (k << 3);
      store<f64>(value, valueInside(base, leaf, points + k * side, side, <i32>(mark >> 40), mass, load<f64>(value)));
    }
    const scale = f64x2.splat(load<f64>(base + field(base, LOG_AT) + ((<usize>mass) << 3)));
    for (let at: usize = 0; at < count << 3; at += 16) {
      v128.store(sums + at, f64x2.add(v128.load(sums + at), f64x2.mul(v128.load(values + at), scale)));
    }
  }
}

// A function for each width: in one, the compiler would fold the six into one whose width is a variable.

function climb4(base: usize, points: usize, scratch: usize, count: usize): void {
  climbTogether(base, points, scratch, count, 16);
}

function climb8(base: usize, points: usize, scratch: usize, count: usize): void {
  climbTogether(base, points, scratch, count, 32);
}

function climb12(base: usize, points: usize, scratch: usize, count: usize): void {
  climbTogether(base, points, scratch, count, 48);
}

function climb16(base: usize, points: usize, scratch: usize, count: usize): void {
  climbTogether(base, points, scratch, count, 64);
}

function climb20(base: usize, points: usize, scratch: usize, count: usize): void {
  climbTogether(base, points, scratch, count, 80);
}

function climb24(base: usize, points: usize, scratch: usize, count: usize): void {
  climbTogether(base, points, scratch, count, 96);
}

function climbWide(base: usize, points: usize, scratch: usize, count: usize, side: usize): void {
  climbTogether(base, points, scratch, count, side);
}

/** See Kernel.scoreBatch. The sums come at `scratch`. */
export function scoreBatch(base: usize, points: usize, scratch: usize, count: usize): void {
  const side = field(base, BLOCKS) << 4;
  // With few points hardly two come to the same node.
  if (count >= FEW) {
    if (side == 16) return climb4(base, points, scratch, count);
    if (side == 32) return climb8(base, points, scratch, count);
    if (side == 48) return climb12(base, points, scratch, count);
    if (side == 64) return climb16(base, points, scratch, count);
    if (side == 80) return climb20(base, points, scratch, count);
    if (side == 96) return climb24(base, points, scratch, count);
    return climbWide(base, points, scratch, count, side);
  }
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
