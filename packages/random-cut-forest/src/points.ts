import { HEADER, NONE } from './layout.ts';
import type { ForestState } from './state.ts';

// The store of points, shared by the trees and counted by reference. A free slot's counter holds ~next of the free
// list, which is negative for every slot number; ~NONE ends the list.

/** Copies the query point into the store, with no references yet, and answers its number. */
export function storeQuery(state: ForestState): number {
  const { i32, f32, layout } = state;
  const references = layout.referencesAt >> 2;
  let point = i32[HEADER.freePoint]!;
  if (point !== NONE) i32[HEADER.freePoint] = ~i32[references + point]!;
  else point = i32[HEADER.pointsUsed]!++;
  i32[references + point] = 0;
  const from = layout.queryAt >> 2;
  f32.copyWithin(state.pointAt(point), from, from + layout.blocks * 4);
  return point;
}

export function addReference(state: ForestState, point: number): void {
  state.i32[(state.layout.referencesAt >> 2) + point]!++;
}

/** Frees the slot with the last reference. */
export function dropReference(state: ForestState, point: number): void {
  const at = (state.layout.referencesAt >> 2) + point;
  if (--state.i32[at]! === 0) freePoint(state, point);
}

/** Returns a slot that holds no references. */
export function freePoint(state: ForestState, point: number): void {
  const { i32, layout } = state;
  i32[(layout.referencesAt >> 2) + point] = ~i32[HEADER.freePoint]!;
  i32[HEADER.freePoint] = point;
}

/** Points held now. */
export function countPoints(state: ForestState): number {
  const references = state.layout.referencesAt >> 2;
  let count = 0;
  for (let point = 0; point < state.i32[HEADER.pointsUsed]!; point++) if (state.i32[references + point]! > 0) count++;
  return count;
}
