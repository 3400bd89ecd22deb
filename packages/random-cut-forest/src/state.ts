import { RandomCutForestError } from './errors.ts';
import { HEADER, type Layout, NONE, TREE } from './layout.ts';
import { seedGenerator, seedSequence } from './random.ts';

/** A forest's memory block seen as numbers. Indices count from the start of the block, whatever it is embedded in. */
export class ForestState {
  readonly layout: Layout;
  /** Replaced by the heap's owner when WebAssembly memory grows; never keep a copy across calls that may allocate. */
  i32: Int32Array;
  f32: Float32Array;
  f64: Float64Array;

  constructor(layout: Layout, buffer: ArrayBuffer, byteOffset: number) {
    if (!(layout.bytes > 0)) {
      throw new RandomCutForestError(
        'INVALID_OPTION',
        'dimensions × sampleSize × numberOfTrees needs more than 2 GB; lower one of them',
      );
    }
    this.layout = layout;
    this.i32 = new Int32Array(buffer, byteOffset, layout.bytes >> 2);
    this.f32 = new Float32Array(buffer, byteOffset, layout.bytes >> 2);
    this.f64 = new Float64Array(buffer, byteOffset, layout.bytes >> 3);
  }

  /** Points the views at the same block after its buffer was replaced. */
  move(buffer: ArrayBuffer, byteOffset: number): void {
    this.i32 = new Int32Array(buffer, byteOffset, this.layout.bytes >> 2);
    this.f32 = new Float32Array(buffer, byteOffset, this.layout.bytes >> 2);
    this.f64 = new Float64Array(buffer, byteOffset, this.layout.bytes >> 3);
  }

  /**
   * Makes an empty forest of the block, whatever was in it. Only what is read before it is written is cleared, so the
   * pages of a forest that learns little are never touched.
   */
  initialise(seed: number): void {
    const { layout, i32, f64 } = this;
    i32.fill(0, 0, 32);
    i32.fill(0, layout.treesAt >> 2, (layout.treesAt >> 2) + layout.trees * 16);
    i32.fill(0, layout.queryAt >> 2, (layout.queryAt >> 2) + layout.blocks * 4);
    for (const name of Object.keys(HEADER) as (keyof typeof HEADER)[]) i32[HEADER[name]] = layout[name];
    for (let k = 0; k <= layout.samples + 1; k++) {
      f64[(layout.logAt >> 3) + k] = Math.log2(k + 1);
      f64[(layout.inverseAt >> 3) + k] = 1 / k;
    }
    const next = seedSequence(seed);
    for (let tree = 0; tree < layout.trees; tree++) {
      const at = this.treeAt(tree);
      i32[at + TREE.root] = NONE;
      i32[at + TREE.freeNode] = NONE;
      i32[at + TREE.freeLeaf] = NONE;
      seedGenerator(i32, at + TREE.cuts, next);
      seedGenerator(i32, at + TREE.draws, next);
    }
  }

  /** Word index of a tree's header. */
  treeAt(tree: number): number {
    return (this.layout.treesAt >> 2) + tree * 16;
  }

  /** Word index of a tree's first node. */
  nodesAt(tree: number): number {
    return (this.layout.nodesAt + tree * this.layout.nodeStride) >> 2;
  }

  /** Word index of the box of a node. */
  boxAt(tree: number, node: number): number {
    return (this.layout.boxesAt + tree * this.layout.boxStride + node * this.layout.boxBytes) >> 2;
  }

  /** Word index of a tree's first leaf. */
  leavesAt(tree: number): number {
    return (this.layout.leavesAt + tree * this.layout.leafStride) >> 2;
  }

  /** Word index of a point's first coordinate. */
  pointAt(point: number): number {
    return (this.layout.pointsAt >> 2) + point * this.layout.blocks * 4;
  }
}
