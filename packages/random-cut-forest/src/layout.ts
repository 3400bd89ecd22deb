import type { CompiledOptions } from './options.ts';

// A forest is one block of memory, the same for the plain and the WebAssembly kernel:
//
//   header     32 × i32      the fields of HEADER
//   tables     f64           log2(k+1) and 1/k for k = 0 … N+1
//   trees      64 B a tree   the fields of TREE
//   nodes      16 B a node   cut value (f32), cut dimension, left, right; what a descent touches, kept dense
//   boxes      16+8P B a node  range (f64), mass, spare, lo[P], hi[P]
//   leaves     8 B a leaf    point, mass
//   samplers   f64 + i32 an entry, as two arrays
//   points     4P B a point  and one i32 a point: its references (free: ~next)
//   scratch    query[P], paths of four descents
//
// P is the number of dimensions rounded up to a multiple of 4, so that every loop goes by whole 128-bit vectors. The
// padding of points and boxes is 0: it has no range, leaves no gap, and is never cut.
//
// A child reference is a node's number, or for a leaf ~leaf (negative). All sums over dimensions are made in four
// lanes (j mod 4) and joined as (lane0+lane2)+(lane1+lane3): the order in which vectors add, so that both kernels
// compute the same bits.

export const HEADER = {
  dimensions: 0,
  blocks: 1,
  trees: 2,
  samples: 3,
  treesAt: 4,
  nodesAt: 5,
  nodeStride: 6,
  boxesAt: 7,
  boxBytes: 8,
  boxStride: 9,
  leavesAt: 10,
  leafStride: 11,
  pointsAt: 12,
  queryAt: 13,
  pathsAt: 14,
  pathStride: 15,
  logAt: 16,
  inverseAt: 17,
  referencesAt: 18,
  pointCapacity: 19,
  pointsUsed: 20,
  freePoint: 21,
  weightsAt: 22,
  sampledAt: 23,
  bytes: 24,
} as const;

/** Word offsets in a tree's 64 bytes. */
export const TREE = {
  root: 0,
  entries: 1,
  freeNode: 2,
  freeLeaf: 3,
  nodesUsed: 4,
  leavesUsed: 5,
  cuts: 8,
  draws: 12,
} as const;

/** Trees that are scored together; each has a path of its own. */
const PATHS = 4;

/** Most points that are scored in one call of the kernel. */
export const BATCH = 2048;

/** End of a free list; the root of an empty tree. */
export const NONE = 0x7fffffff;

export type Layout = { readonly [name in keyof typeof HEADER]: number };

/** Where everything lies for these options. All `…At` and strides are in bytes from the start of the block. */
export function layoutOf(options: CompiledOptions): Layout {
  const { dimensions, numberOfTrees: trees, sampleSize: samples } = options;
  const blocks = Math.ceil(dimensions / 4);
  const nodes = Math.max(1, samples - 1);
  let at = 32 * 4;
  const region = (bytes: number): number => {
    const start = at;
    at = (at + bytes + 15) & ~15;
    if (at > 0x7ff00000) at = Number.NaN;
    return start;
  };
  const logAt = region((samples + 2) * 8);
  const inverseAt = region((samples + 2) * 8);
  const treesAt = region(trees * 64);
  const nodeStride = nodes * 16;
  const nodesAt = region(trees * nodeStride);
  const boxBytes = 16 + 32 * blocks;
  const boxStride = nodes * boxBytes;
  const boxesAt = region(trees * boxStride);
  const leafStride = samples * 8;
  const leavesAt = region(trees * leafStride);
  const weightsAt = region(trees * samples * 8);
  const sampledAt = region(trees * samples * 4);
  const pointCapacity = trees * samples + 1;
  const referencesAt = region(pointCapacity * 4);
  const pointsAt = region(pointCapacity * blocks * 16);
  const queryAt = region(blocks * 16);
  const pathStride = ((samples + 4) & ~3) * 4;
  const pathsAt = region(PATHS * pathStride);
  return {
    dimensions,
    blocks,
    trees,
    samples,
    treesAt,
    nodesAt,
    nodeStride,
    boxesAt,
    boxBytes,
    boxStride,
    leavesAt,
    leafStride,
    pointsAt,
    queryAt,
    pathsAt,
    pathStride,
    logAt,
    inverseAt,
    referencesAt,
    pointCapacity,
    pointsUsed: 0,
    freePoint: NONE,
    weightsAt,
    sampledAt,
    bytes: at,
  };
}
