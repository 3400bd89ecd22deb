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
  /** The same for the first `count` points of the batch region at once; the sums go to the region of sums. */
  scoreBatch(state: ForestState, count: number): void;
  /** Puts a stored point into a tree; answers the point that the tree now holds for it, an equal one if there was one. */
  insert(state: ForestState, tree: number, point: number): number;
  /** Takes one copy of a point that the tree holds out of it. */
  remove(state: ForestState, tree: number, point: number): void;
}
