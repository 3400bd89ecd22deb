// The forest's inner loops in AssemblyScript, for WebAssembly with 128-bit SIMD. Mirrors src/plain-kernel.ts function
// by function and gives the same bits; the layout of the memory block is drawn in src/layout.ts. Built by
// `node scripts/build-kernel.js`; memory is imported and its owner is src/wasm-kernel.ts, nothing is allocated here.

// Word offsets in the header, as HEADER in src/layout.ts.
const DIMENSIONS: usize = 0;
const BLOCKS: usize = 4;
const TREES: usize = 8;
const TREES_AT: usize = 16;
const NODES_AT: usize = 20;
const NODE_STRIDE: usize = 24;
const BOXES_AT: usize = 28;
const BOX_BYTES: usize = 32;
const BOX_STRIDE: usize = 36;
const LEAVES_AT: usize = 40;
const LEAF_STRIDE: usize = 44;
const POINTS_AT: usize = 48;
const QUERY_AT: usize = 52;
const PATHS_AT: usize = 56;
const PATH_STRIDE: usize = 60;
const LOG_AT: usize = 64;
const INVERSE_AT: usize = 68;
const BATCH_AT: usize = 100;
const SUMS_AT: usize = 104;

// Byte offsets in a tree's header, as TREE.
const ROOT: usize = 0;
const ENTRIES: usize = 4;
const FREE_NODE: usize = 8;
const FREE_LEAF: usize = 12;
const NODES_USED: usize = 16;
const LEAVES_USED: usize = 20;
const CUTS: usize = 32;

// A node: cut value, cut dimension, left, right. A box: range, mass, spare, then its sides.
const CUT: usize = 0;
const DIMENSION: usize = 4;
const LEFT: usize = 8;
const RIGHT: usize = 12;
const MASS: usize = 8;
const SIDES: usize = 16;

const NONE: i32 = 0x7fffffff;

// @ts-ignore: decorator
@inline function field(base: usize, offset: usize): usize {
  return <usize>load<u32>(base + offset);
}

// @ts-ignore: decorator
@inline function gapOf4(x: v128, low: v128, high: v128): v128 {
  // pmax is one instruction where max must order zeros and NaNs, of which there are none.
  return f32x4.pmax(f32x4.splat(0), f32x4.pmax(f32x4.sub(low, x), f32x4.sub(x, high)));
}

// @ts-ignore: decorator
@inline function lowHalf(v: v128): v128 {
  return f64x2.promote_low_f32x4(v);
}

// @ts-ignore: decorator
@inline function highHalf(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i32>(v, v, 2, 3, 2, 3));
}

// @ts-ignore: decorator
@inline function total(low: v128, high: v128): f64 {
  const sum = f64x2.add(low, high);
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

/** Sum of the gaps of a point and a box. */
// @ts-ignore: decorator
@inline function gapSum(x: usize, lows: usize, highs: usize, side: usize): f64 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  for (let j: usize = 0; j < side; j += 16) {
    const gaps = gapOf4(v128.load(x + j), v128.load(lows + j), v128.load(highs + j));
    low = f64x2.add(low, lowHalf(gaps));
    high = f64x2.add(high, highHalf(gaps));
  }
  return total(low, high);
}

// @ts-ignore: decorator
@inline function measure(box: usize, side: usize): void {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  for (let at = box + SIDES, end = at + side; at < end; at += 16) {
    const sides = f32x4.sub(v128.load(at + side), v128.load(at));
    low = f64x2.add(low, lowHalf(sides));
    high = f64x2.add(high, highHalf(sides));
  }
  store<f64>(box, total(low, high));
}

// ---- scoring -----------------------------------------------------------------------------------------------------

/** One step down, without a branch on the outcome: the processor then overlaps the steps of four trees. */
// @ts-ignore: decorator
@inline function child(nodes: usize, reference: i32, query: usize): i32 {
  const node = nodes + ((<usize>reference) << 4);
  const right = load<f32>(query + ((<usize>load<u32>(node, DIMENSION)) << 2)) > load<f32>(node, CUT);
  return load<i32>(node + ((<usize>right) << 2), LEFT);
}

/** 4 for a node, 0 for a leaf. */
// @ts-ignore: decorator
@inline function step(reference: i32): usize {
  return <usize>((~reference >> 31) & 4);
}

/** The same for a reference that may be a leaf's, which stays. */
// @ts-ignore: decorator
@inline function childOrStay(nodes: usize, reference: i32, query: usize): i32 {
  const isLeaf = reference >> 31;
  return select<i32>(reference, child(nodes, reference & ~isLeaf, query), isLeaf != 0);
}

// Leaf and depth at which the last `descend` ended, for each of its four trees.
let leaf0: i32 = 0;
let leaf1: i32 = 0;
let leaf2: i32 = 0;
let leaf3: i32 = 0;
let depth0: usize = 0;
let depth1: usize = 0;
let depth2: usize = 0;
let depth3: usize = 0;

/** Goes down four trees side by side and leaves their paths in the four path buffers. */
function descend(base: usize, tree: usize): void {
  const query = base + field(base, QUERY_AT);
  const stride = field(base, NODE_STRIDE);
  const header = base + field(base, TREES_AT) + (tree << 6);
  const nodes = base + field(base, NODES_AT) + tree * stride;
  walkFour(
    base,
    nodes,
    nodes + stride,
    nodes + 2 * stride,
    nodes + 3 * stride,
    query,
    query,
    query,
    query,
    load<i32>(header, ROOT),
    load<i32>(header + 64, ROOT),
    load<i32>(header + 128, ROOT),
    load<i32>(header + 192, ROOT),
  );
}

/** Goes down one tree with four points that follow each other in memory. */
function descendPoints(base: usize, tree: usize, x: usize, side: usize): void {
  const nodes = base + field(base, NODES_AT) + tree * field(base, NODE_STRIDE);
  const root = load<i32>(base + field(base, TREES_AT) + (tree << 6), ROOT);
  walkFour(base, nodes, nodes, nodes, nodes, x, x + side, x + 2 * side, x + 3 * side, root, root, root, root);
}

// @ts-ignore: decorator
@inline function walkFour(
  base: usize,
  nodes0: usize,
  nodes1: usize,
  nodes2: usize,
  nodes3: usize,
  x0: usize,
  x1: usize,
  x2: usize,
  x3: usize,
  r0: i32,
  r1: i32,
  r2: i32,
  r3: i32,
): void {
  const pathStride = field(base, PATH_STRIDE);
  const start0 = base + field(base, PATHS_AT);
  const start1 = start0 + pathStride;
  const start2 = start1 + pathStride;
  const start3 = start2 + pathStride;
  let path0 = start0;
  let path1 = start1;
  let path2 = start2;
  let path3 = start3;
  while ((r0 | r1 | r2 | r3) >= 0) {
    store<i32>(path0, r0);
    store<i32>(path1, r1);
    store<i32>(path2, r2);
    store<i32>(path3, r3);
    r0 = child(nodes0, r0, x0);
    r1 = child(nodes1, r1, x1);
    r2 = child(nodes2, r2, x2);
    r3 = child(nodes3, r3, x3);
    path0 += 4;
    path1 += 4;
    path2 += 4;
    path3 += 4;
  }
  // At least one has arrived. It goes round with the others, storing where nobody reads and staying where it is.
  while ((r0 & r1 & r2 & r3) >= 0) {
    store<i32>(path0, r0);
    store<i32>(path1, r1);
    store<i32>(path2, r2);
    store<i32>(path3, r3);
    path0 += step(r0);
    path1 += step(r1);
    path2 += step(r2);
    path3 += step(r3);
    r0 = childOrStay(nodes0, r0, x0);
    r1 = childOrStay(nodes1, r1, x1);
    r2 = childOrStay(nodes2, r2, x2);
    r3 = childOrStay(nodes3, r3, x3);
  }
  leaf0 = r0;
  leaf1 = r1;
  leaf2 = r2;
  leaf3 = r3;
  depth0 = (path0 - start0) >> 2;
  depth1 = (path1 - start1) >> 2;
  depth2 = (path2 - start2) >> 2;
  depth3 = (path3 - start3) >> 2;
}

/** Gaps of one block of four coordinates of a point and a box, both given by their address there. */
// @ts-ignore: decorator
@inline function gapsAt(x: usize, low: usize, side: usize): v128 {
  return gapOf4(v128.load(x), v128.load(low), v128.load(low + side));
}

/** Score of a tree whose leaf and path are known, times log2(M + 1). */
function climb(base: usize, tree: usize, query: usize, reference: i32, depth: usize, path: usize): f64 {
  const side = field(base, BLOCKS) << 4;
  const logs = base + field(base, LOG_AT);
  const inverses = base + field(base, INVERSE_AT);
  const mass = load<i32>(base + field(base, TREES_AT) + (tree << 6), ENTRIES);
  const leaf = base + field(base, LEAVES_AT) + tree * field(base, LEAF_STRIDE) + ((<usize>~reference) << 3);
  const point = base + field(base, POINTS_AT) + <usize>load<u32>(leaf) * side;
  const scale = load<f64>(logs + ((<usize>mass) << 3));

  // A bit for each block of four coordinates in which the point is not the leaf's. With more than 64 blocks the bits
  // only tell whether there is any.
  let outside: u64 = 0;
  for (let j: usize = 0; j < side; j += 16) {
    const same = i32x4.all_true(f32x4.eq(v128.load(query + j), v128.load(point + j)));
    outside |= (<u64>!same) << <u64>((j >> 4) & 63);
  }
  if (outside == 0) {
    const leafMass = load<i32>(leaf, 4);
    return ((1.0 - <f64>leafMass / <f64>(2 * mass)) / (<f64>depth + load<f64>(logs + ((<usize>leafMass) << 3)))) * scale;
  }

  let value = load<f64>(inverses + ((depth + 1) << 3));
  let at = path + (depth << 2);
  let inverse = inverses + (depth << 3);
  const boxes = base + field(base, BOXES_AT) + tree * field(base, BOX_STRIDE);
  const boxBytes = field(base, BOX_BYTES);
  if (side == 16) {
    const x = v128.load(query);
    for (; at > path; inverse -= 8) {
      at -= 4;
      const box = boxes + <usize>load<u32>(at) * boxBytes;
      const gaps = gapOf4(x, v128.load(box, SIDES), v128.load(box, SIDES + 16));
      const gap = total(lowHalf(gaps), highHalf(gaps));
      if (gap == 0) break;
      const separation = gap / (load<f64>(box) + gap);
      value = separation * load<f64>(inverse) + (1.0 - separation) * value;
    }
  } else if (side == 32) {
    for (; at > path; inverse -= 8) {
      at -= 4;
      const box = boxes + <usize>load<u32>(at) * boxBytes;
      const lows = box + SIDES;
      const gaps0 = gapsAt(query, lows, 32);
      const gaps1 = gapsAt(query + 16, lows + 16, 32);
      const gap = total(f64x2.add(lowHalf(gaps0), lowHalf(gaps1)), f64x2.add(highHalf(gaps0), highHalf(gaps1)));
      if (gap == 0) break;
      const separation = gap / (load<f64>(box) + gap);
      value = separation * load<f64>(inverse) + (1.0 - separation) * value;
    }
  } else if (side == 48) {
    for (; at > path; inverse -= 8) {
      at -= 4;
      const box = boxes + <usize>load<u32>(at) * boxBytes;
      const lows = box + SIDES;
      const gaps0 = gapsAt(query, lows, 48);
      const gaps1 = gapsAt(query + 16, lows + 16, 48);
      const gaps2 = gapsAt(query + 32, lows + 32, 48);
      const gap = total(
        f64x2.add(f64x2.add(lowHalf(gaps0), lowHalf(gaps1)), lowHalf(gaps2)),
        f64x2.add(f64x2.add(highHalf(gaps0), highHalf(gaps1)), highHalf(gaps2)),
      );
      if (gap == 0) break;
      const separation = gap / (load<f64>(box) + gap);
      value = separation * load<f64>(inverse) + (1.0 - separation) * value;
    }
  } else if (side <= 1024) {
    // Boxes only grow towards the root: a block that is inside once is inside all boxes above, and is left out.
    for (; at > path; inverse -= 8) {
      at -= 4;
      const box = boxes + <usize>load<u32>(at) * boxBytes;
      const lows = box + SIDES;
      let low = f64x2.splat(0);
      let high = f64x2.splat(0);
      let rest = outside;
      do {
        const j = <usize>ctz(rest) << 4;
        const gaps = gapsAt(query + j, lows + j, side);
        if (!v128.any_true(gaps)) outside ^= rest & (0 - rest);
        rest &= rest - 1;
        low = f64x2.add(low, lowHalf(gaps));
        high = f64x2.add(high, highHalf(gaps));
      } while (rest != 0);
      if (outside == 0) break;
      const gap = total(low, high);
      const separation = gap / (load<f64>(box) + gap);
      value = separation * load<f64>(inverse) + (1.0 - separation) * value;
    }
  } else {
    for (; at > path; inverse -= 8) {
      at -= 4;
      const box = boxes + <usize>load<u32>(at) * boxBytes;
      const gap = gapSum(query, box + SIDES, box + SIDES + side, side);
      if (gap == 0) break;
      const separation = gap / (load<f64>(box) + gap);
      value = separation * load<f64>(inverse) + (1.0 - separation) * value;
    }
  }
  return value * scale;
}

/** See Kernel.score. */
export function score(base: usize): f64 {
  const trees = field(base, TREES);
  const query = base + field(base, QUERY_AT);
  const paths = base + field(base, PATHS_AT);
  const pathStride = field(base, PATH_STRIDE);
  let sum: f64 = 0;
  let tree: usize = 0;
  for (; tree + 4 <= trees; tree += 4) {
    descend(base, tree);
    sum += climb(base, tree, query, leaf0, depth0, paths);
    sum += climb(base, tree + 1, query, leaf1, depth1, paths + pathStride);
    sum += climb(base, tree + 2, query, leaf2, depth2, paths + 2 * pathStride);
    sum += climb(base, tree + 3, query, leaf3, depth3, paths + 3 * pathStride);
  }
  for (; tree < trees; tree++) {
    const depth = descendOne(base, tree, query);
    sum += climb(base, tree, query, leaf0, depth, paths);
  }
  return sum;
}

/** See Kernel.scoreBatch. A tree at a time, so that its nodes stay in the nearest cache for all points. */
export function scoreBatch(base: usize, count: usize): void {
  const trees = field(base, TREES);
  const side = field(base, BLOCKS) << 4;
  const batch = base + field(base, BATCH_AT);
  const sums = base + field(base, SUMS_AT);
  const paths = base + field(base, PATHS_AT);
  const pathStride = field(base, PATH_STRIDE);
  memory.fill(sums, 0, count << 3);
  for (let tree: usize = 0; tree < trees; tree++) {
    let k: usize = 0;
    for (; k + 4 <= count; k += 4) {
      const x = batch + k * side;
      const sum = sums + (k << 3);
      descendPoints(base, tree, x, side);
      store<f64>(sum, load<f64>(sum) + climb(base, tree, x, leaf0, depth0, paths));
      store<f64>(sum, load<f64>(sum, 8) + climb(base, tree, x + side, leaf1, depth1, paths + pathStride), 8);
      store<f64>(sum, load<f64>(sum, 16) + climb(base, tree, x + 2 * side, leaf2, depth2, paths + 2 * pathStride), 16);
      store<f64>(sum, load<f64>(sum, 24) + climb(base, tree, x + 3 * side, leaf3, depth3, paths + 3 * pathStride), 24);
    }
    for (; k < count; k++) {
      const x = batch + k * side;
      const sum = sums + (k << 3);
      const depth = descendOne(base, tree, x);
      store<f64>(sum, load<f64>(sum) + climb(base, tree, x, leaf0, depth, paths));
    }
  }
}

/** Goes down one tree by a point; leaves the path in the first buffer and the leaf in `leaf0`, answers the depth. */
function descendOne(base: usize, tree: usize, x: usize): usize {
  const nodes = base + field(base, NODES_AT) + tree * field(base, NODE_STRIDE);
  const start = base + field(base, PATHS_AT);
  let path = start;
  let reference = load<i32>(base + field(base, TREES_AT) + (tree << 6), ROOT);
  while (reference >= 0) {
    store<i32>(path, reference);
    reference = child(nodes, reference, x);
    path += 4;
  }
  leaf0 = reference;
  return (path - start) >> 2;
}

// ---- updating ----------------------------------------------------------------------------------------------------

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
