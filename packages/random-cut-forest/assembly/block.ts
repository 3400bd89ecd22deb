// The memory block as the kernel sees it, offsets in bytes; drawn in src/layout.ts. And the arithmetic on vectors.

// Word offsets in the header, as HEADER in src/layout.ts.
export const DIMENSIONS: usize = 0;
export const BLOCKS: usize = 4;
export const TREES: usize = 8;
export const TREES_AT: usize = 16;
export const NODES_AT: usize = 20;
export const NODE_STRIDE: usize = 24;
export const BOXES_AT: usize = 28;
export const BOX_BYTES: usize = 32;
export const BOX_STRIDE: usize = 36;
export const LEAVES_AT: usize = 40;
export const LEAF_STRIDE: usize = 44;
export const POINTS_AT: usize = 48;
export const QUERY_AT: usize = 52;
export const PATHS_AT: usize = 56;
export const PATH_STRIDE: usize = 60;
export const LOG_AT: usize = 64;
export const INVERSE_AT: usize = 68;

// Byte offsets in a tree's header, as TREE.
export const ROOT: usize = 0;
export const ENTRIES: usize = 4;
export const FREE_NODE: usize = 8;
export const FREE_LEAF: usize = 12;
export const NODES_USED: usize = 16;
export const LEAVES_USED: usize = 20;
export const CUTS: usize = 32;

// A node: cut value, cut dimension, left, right. A box: range, mass, spare, then its sides.
export const CUT: usize = 0;
export const DIMENSION: usize = 4;
export const LEFT: usize = 8;
export const RIGHT: usize = 12;
export const MASS: usize = 8;
export const SIDES: usize = 16;

export const NONE: i32 = 0x7fffffff;

// @ts-ignore: decorator
@inline
export function field(base: usize, offset: usize): usize {
  return <usize>load<u32>(base + offset);
}

// @ts-ignore: decorator
@inline
export function gapOf4(x: v128, low: v128, high: v128): v128 {
  // The distance from the nearest place in the box. pmin and pmax are one instruction each where min and max must order
  // zeros and NaNs, of which there are none.
  return f32x4.abs(f32x4.sub(x, f32x4.pmin(f32x4.pmax(x, low), high)));
}

// @ts-ignore: decorator
@inline
export function lowHalf(v: v128): v128 {
  return f64x2.promote_low_f32x4(v);
}

// @ts-ignore: decorator
@inline
export function highHalf(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i32>(v, v, 2, 3, 2, 3));
}

// @ts-ignore: decorator
@inline
export function total(low: v128, high: v128): f64 {
  const sum = f64x2.add(low, high);
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

/** Sum of the gaps of a point and a box. */
// @ts-ignore: decorator
@inline
export function gapSum(x: usize, lows: usize, highs: usize, side: usize): f64 {
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
@inline
export function measure(box: usize, side: usize): void {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  for (let at = box + SIDES, end = at + side; at < end; at += 16) {
    const sides = f32x4.sub(v128.load(at + side), v128.load(at));
    low = f64x2.add(low, lowHalf(sides));
    high = f64x2.add(high, highHalf(sides));
  }
  store<f64>(box, total(low, high));
}

/** Gaps of one block of four coordinates of a point and a box, both given by their address there. */
// @ts-ignore: decorator
@inline
export function gapsAt(x: usize, low: usize, side: usize): v128 {
  return gapOf4(v128.load(x), v128.load(low), v128.load(low + side));
}
