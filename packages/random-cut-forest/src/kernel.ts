import type { ForestState } from './state.ts';

/**
 * The inner loops of a forest. Two implementations give the same bits: `plain-kernel.ts`, which is meant to be
 * read and is the oracle, and the WebAssembly one.
 */
export interface Kernel {
  readonly name: 'plain' | 'wasm';
  /** Memory for a forest. */
  allocate(layout: ForestState['layout']): ForestState;
  /** Gives the memory back; the state must not be used afterwards. */
  release(state: ForestState): void;
  /** Sum over the trees of the tree's score of the query point, each scaled by `log2(M + 1)`. No tree may be empty. */
  score(state: ForestState): number;
  /** Room for points of this forest; good until the next call of the kernel. */
  batch(state: ForestState): Batch;
  /** {@link score} of the first `count` points of the batch at once, at least one; the sums are good until the next call. */
  scoreBatch(state: ForestState, count: number): Float64Array;
  /** Puts a stored point into a tree; answers the point that the tree now holds for it, an equal one if there was one. */
  insert(state: ForestState, tree: number, point: number): number;
  /** Takes one copy of a point that the tree holds out of it. */
  remove(state: ForestState, tree: number, point: number): void;
}

/** Room for points that are scored at once. */
export interface Batch {
  readonly values: Float32Array;
  /** Words from one point to the next; the caller sets those behind its dimensions to 0. */
  readonly stride: number;
  readonly capacity: number;
}
