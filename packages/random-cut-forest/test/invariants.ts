import assert from 'node:assert/strict';
import type { RandomCutForest } from '../src/index.ts';
import { HEADER, NONE, TREE } from '../src/layout.ts';

/** Throws unless every rule that holds between two records holds: structure, boxes, masses, references, free lists. */
export function assertInvariants(forest: RandomCutForest): void {
  const { state } = forest.internals;
  const { i32, f32, f64, layout } = state;
  const side = layout.blocks * 4;
  const pointsUsed = i32[HEADER.pointsUsed]!;
  const references = new Int32Array(pointsUsed);
  for (let tree = 0; tree < layout.trees; tree++) {
    const at = state.treeAt(tree);
    const nodes = state.nodesAt(tree);
    const leaves = state.leavesAt(tree);
    const entries = i32[at + TREE.entries]!;
    const values = new Set<string>();
    let usedNodes = 0;
    let usedLeaves = 0;
    const walk = (reference: number): { mass: number; low: number[]; high: number[] } => {
      if (reference < 0) {
        usedLeaves++;
        const point = i32[leaves + ~reference * 2]!;
        const mass = i32[leaves + ~reference * 2 + 1]!;
        assert.ok(mass >= 1, 'a leaf has mass');
        references[point]! += mass;
        const at = state.pointAt(point);
        const low = [...f32.subarray(at, at + side)];
        const key = low.join();
        assert.ok(!values.has(key), 'two leaves never hold equal points');
        values.add(key);
        return { mass, low, high: low };
      }
      usedNodes++;
      const words = nodes + reference * 4;
      const dimension = i32[words + 1]!;
      const left = walk(i32[words + 2]!);
      const right = walk(i32[words + 3]!);
      assert.ok(left.high[dimension]! <= f32[words]!, 'left of a cut');
      assert.ok(right.low[dimension]! > f32[words]!, 'right of a cut');
      const low = left.low.map((value, j) => Math.min(value, right.low[j]!));
      const high = left.high.map((value, j) => Math.max(value, right.high[j]!));
      const box = state.boxAt(tree, reference);
      assert.deepEqual([...f32.subarray(box + 4, box + 4 + side)], low, 'low side of a box');
      assert.deepEqual([...f32.subarray(box + 4 + side, box + 4 + 2 * side)], high, 'high side of a box');
      const range = low.reduce((sum, value, j) => sum + Math.fround(high[j]! - value), 0);
      assert.ok(Math.abs(f64[box >> 1]! - range) <= 1e-12 * range, 'range of a box');
      assert.equal(i32[box + 2], left.mass + right.mass, 'mass of a node');
      return { mass: left.mass + right.mass, low, high };
    };
    const root = i32[at + TREE.root]!;
    if (root === NONE) assert.equal(entries, 0);
    else assert.equal(walk(root).mass, entries, "the root's mass is the sampler's size");
    let freeNodes = 0;
    for (let node = i32[at + TREE.freeNode]!; node !== NONE; node = i32[nodes + node * 4 + 2]!) freeNodes++;
    assert.equal(freeNodes + usedNodes, i32[at + TREE.nodesUsed], 'every node is used or free');
    assert.ok(i32[at + TREE.nodesUsed]! <= Math.max(0, layout.samples - 1), 'no node too many');
    let freeLeaves = 0;
    for (let leaf = i32[at + TREE.freeLeaf]!; leaf !== NONE; leaf = i32[leaves + leaf * 2]!) freeLeaves++;
    assert.equal(freeLeaves + usedLeaves, i32[at + TREE.leavesUsed], 'every leaf is used or free');
    const weights = (layout.weightsAt >> 3) + tree * layout.samples;
    for (let entry = 1; entry < entries; entry++) {
      assert.ok(f64[weights + ((entry - 1) >> 1)]! >= f64[weights + entry]!, 'the sampler is a heap');
    }
  }
  const counters = layout.referencesAt >> 2;
  let free = 0;
  for (let point = i32[HEADER.freePoint]!; point !== NONE; point = ~i32[counters + point]!) free++;
  for (let point = 0; point < pointsUsed; point++) {
    if (i32[counters + point]! > 0) assert.equal(i32[counters + point], references[point], 'references of a point');
    else {
      assert.equal(references[point], 0, 'a free point is not referred to');
      free--;
    }
  }
  assert.equal(free, 0, 'every slot without references is on the free list');
}

/** A generator for test data, independent of the library's own (mulberry32). */
export function testRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Upper tail of the chi-square distribution, by the Wilson–Hilferty approximation: good to a few per cent. */
export function chiSquareTail(statistic: number, degrees: number): number {
  const spread = 2 / (9 * degrees);
  const z = ((statistic / degrees) ** (1 / 3) - (1 - spread)) / Math.sqrt(spread);
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  const tail =
    density * t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z > 0 ? tail : 1 - tail;
}
