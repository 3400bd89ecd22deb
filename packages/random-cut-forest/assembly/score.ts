// One point against all trees.

import {
  BLOCKS,
  BOXES_AT,
  BOX_BYTES,
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
  QUERY_AT,
  ROOT,
  SIDES,
  TREES,
  TREES_AT,
  field,
  gapOf4,
  gapSum,
  gapsAt,
  highHalf,
  lowHalf,
  total,
} from './block';

/** One step down, without a branch on the outcome: the processor then overlaps the steps of four trees. */
// @ts-ignore: decorator
@inline
function child(nodes: usize, reference: i32, query: usize): i32 {
  const node = nodes + ((<usize>reference) << 4);
  const right = load<f32>(query + ((<usize>load<u32>(node, DIMENSION)) << 2)) > load<f32>(node, CUT);
  return load<i32>(node + ((<usize>right) << 2), LEFT);
}

/** 4 for a node, 0 for a leaf. */
// @ts-ignore: decorator
@inline
function step(reference: i32): usize {
  return <usize>((~reference >> 31) & 4);
}

/** The same for a reference that may be a leaf's, which stays. */
// @ts-ignore: decorator
@inline
export function childOrStay(nodes: usize, reference: i32, query: usize): i32 {
  const isLeaf = reference >> 31;
  return select<i32>(reference, child(nodes, reference & ~isLeaf, query), isLeaf != 0);
}

// Leaf and depth at which the last `descend` ended, for each of its four trees.
export let leaf0: i32 = 0;
export let leaf1: i32 = 0;
export let leaf2: i32 = 0;
export let leaf3: i32 = 0;
export let depth0: usize = 0;
export let depth1: usize = 0;
export let depth2: usize = 0;
export let depth3: usize = 0;

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
export function descendPoints(base: usize, tree: usize, x: usize, side: usize): void {
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

/** Score of a tree whose leaf and path are known, times log2(M + 1). */
export function climb(base: usize, tree: usize, query: usize, reference: i32, depth: usize, path: usize): f64 {
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

/** Goes down one tree by a point; leaves the path in the first buffer and the leaf in `leaf0`, answers the depth. */
export function descendOne(base: usize, tree: usize, x: usize): usize {
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
