import type { Kernel } from './kernel.ts';
import { TREE } from './layout.ts';
import type { CompiledOptions } from './options.ts';
import { addReference, dropReference, freePoint, storeQuery } from './points.ts';
import { nextUint32 } from './random.ts';
import type { ForestState } from './state.ts';

const LOOK_AHEAD = 256;

/**
 * The weighted reservoirs of all trees: each a max-heap of weights `w = ln(-ln u) - λ·i` for record number `i`, the
 * logarithm of an Efraimidis–Spirakis key; smaller is better. Owns the weights and what each tree holds.
 *
 * Two logarithms for each tree and record would cost as much as the trees. But a full sampler accepts exactly when
 * `u > exp(-exp(wmax + λ·i))`, and that bound only falls as `i` grows. So a bound for a record {@link LOOK_AHEAD} ahead
 * turns nine draws of ten away with one comparison; the rest are decided by the weights themselves.
 */
export class Samplers {
  /** Bounds below which a draw of the tree is certainly turned away, until {@link boundsUntil}. */
  private readonly bounds: Float64Array;
  private boundsUntil = -1;
  private readonly kernel: Kernel;
  private readonly state: ForestState;
  private readonly initialAcceptFraction: number;
  private decay: number;
  /** Decay gathered before `decaySince`; the weight of record `i` has `decay * (i - decaySince) + gathered` taken off. */
  private gathered = 0;
  private decaySince = 0;

  constructor(kernel: Kernel, state: ForestState, options: CompiledOptions) {
    this.kernel = kernel;
    this.state = state;
    this.bounds = new Float64Array(options.numberOfTrees);
    this.initialAcceptFraction = options.initialAcceptFraction;
    this.decay = options.timeDecay;
  }

  get timeDecay(): number {
    return this.decay;
  }

  /** Changes the decay from record `sequence` on. */
  changeDecay(timeDecay: number, sequence: number): void {
    this.gathered += (sequence - this.decaySince) * this.decay;
    this.decaySince = sequence;
    this.decay = timeDecay;
    this.boundsUntil = -1;
  }

  /** For snapshots: the three numbers that, with the weights, are all of a sampler's state. */
  get decayState(): [decay: number, gathered: number, since: number] {
    return [this.decay, this.gathered, this.decaySince];
  }

  set decayState([decay, gathered, since]: [number, number, number]) {
    this.decay = decay;
    this.gathered = gathered;
    this.decaySince = since;
    this.boundsUntil = -1;
  }

  /** Offers the query point, as record number `sequence`, to every tree. Answers how many took it. */
  offer(sequence: number): number {
    const { state, bounds } = this;
    const { i32, layout } = state;
    if (sequence > this.boundsUntil) this.refreshBounds(sequence);
    const age = (sequence - this.decaySince) * this.decay + this.gathered;
    const samples = layout.samples;
    let point = -1;
    let taken = 0;
    for (let tree = 0; tree < layout.trees; tree++) {
      const at = (layout.treesAt >> 2) + tree * 16;
      const u = (nextUint32(i32, at + TREE.draws) + 0.5) / 4294967296;
      if (u <= bounds[tree]!) continue;
      const weight = Math.log(-Math.log(u)) - age;
      const entries = i32[at + TREE.entries]!;
      const weights = (layout.weightsAt >> 3) + tree * samples;
      let filling = false;
      if (entries < samples) {
        const fill = entries / samples;
        const fraction = this.initialAcceptFraction;
        // The draw is spent only where it can matter, so a fraction of 1 costs none.
        filling =
          fill < fraction || nextUint32(i32, at + TREE.draws) / 4294967296 < 1 - (fill - fraction) / (1 - fraction);
      }
      if (!filling && weight >= state.f64[weights]!) continue;
      if (point < 0) point = storeQuery(state);
      taken++;
      if (!filling) this.evict(tree, entries);
      const held = this.kernel.insert(state, tree, point);
      addReference(state, held);
      this.push(tree, filling ? entries : entries - 1, weight, held);
      bounds[tree] = filling && entries + 1 < samples ? 0 : this.boundOf(tree, this.boundsUntil);
    }
    if (point >= 0 && i32[(layout.referencesAt >> 2) + point] === 0) freePoint(state, point);
    return taken;
  }

  private refreshBounds(sequence: number): void {
    const { state } = this;
    this.boundsUntil = sequence + LOOK_AHEAD;
    for (let tree = 0; tree < state.layout.trees; tree++) {
      const full = state.i32[state.treeAt(tree) + TREE.entries]! === state.layout.samples;
      this.bounds[tree] = full ? this.boundOf(tree, this.boundsUntil) : 0;
    }
  }

  /** The bound of a full sampler at record `sequence`, a little lower than exact so that rounding cannot decide. */
  private boundOf(tree: number, sequence: number): number {
    const { layout, f64 } = this.state;
    const age = (sequence - this.decaySince) * this.decay + this.gathered;
    return Math.exp(-Math.exp(f64[(layout.weightsAt >> 3) + tree * layout.samples]! + age)) * (1 - 1e-9);
  }

  /** Takes the entry with the largest weight out of the heap of `entries` and out of the tree. */
  private evict(tree: number, entries: number): void {
    const { state } = this;
    const { layout, f64, i32 } = state;
    const weights = (layout.weightsAt >> 3) + tree * layout.samples;
    const sampled = (layout.sampledAt >> 2) + tree * layout.samples;
    const evicted = i32[sampled]!;
    const last = entries - 1;
    const weight = f64[weights + last]!;
    const point = i32[sampled + last]!;
    let hole = 0;
    for (let child = 1; child < last; child = 2 * hole + 1) {
      if (child + 1 < last && f64[weights + child + 1]! > f64[weights + child]!) child++;
      if (f64[weights + child]! <= weight) break;
      f64[weights + hole] = f64[weights + child]!;
      i32[sampled + hole] = i32[sampled + child]!;
      hole = child;
    }
    f64[weights + hole] = weight;
    i32[sampled + hole] = point;
    this.kernel.remove(state, tree, evicted);
    dropReference(state, evicted);
  }

  /** Adds an entry to a heap that holds `entries`. */
  private push(tree: number, entries: number, weight: number, point: number): void {
    const { layout, f64, i32 } = this.state;
    const weights = (layout.weightsAt >> 3) + tree * layout.samples;
    const sampled = (layout.sampledAt >> 2) + tree * layout.samples;
    let hole = entries;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (f64[weights + parent]! >= weight) break;
      f64[weights + hole] = f64[weights + parent]!;
      i32[sampled + hole] = i32[sampled + parent]!;
      hole = parent;
    }
    f64[weights + hole] = weight;
    i32[sampled + hole] = point;
  }
}
