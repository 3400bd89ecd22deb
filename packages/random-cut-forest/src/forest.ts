import { type Attribution, attribute } from './attribution.ts';
import { chooseKernel } from './engines.ts';
import { RandomCutForestError } from './errors.ts';
import { impute, type Neighbor, nearNeighbors } from './imputation.ts';
import type { Kernel } from './kernel.ts';
import { layoutOf, NONE, TREE } from './layout.ts';
import { type CompiledOptions, compileOptions, type RandomCutForestOptions } from './options.ts';
import { countPoints } from './points.ts';
import { Samplers } from './sampler.ts';
import { readSnapshot, writeSnapshot } from './snapshot.ts';
import type { ForestState } from './state.ts';

/** A record or a point: numbers in an array of any kind. */
export type Point = ArrayLike<number>;

// Below 2^127 the difference of any two coordinates is a finite 32-bit float.
const LARGEST = 2 ** 127;

/**
 * A Random Cut Forest over a stream: scores how little a point fits what was seen before.
 *
 * Scores lie in (0, log2(sampleSize + 1)]; ordinary points of a settled stream get 0.5 to 1, clear outliers 2 and more.
 * Score a record before it is learnt: `score(record)` then `update(record)`, or {@link scoreAndUpdate}.
 */
export class RandomCutForest {
  readonly options: CompiledOptions;
  private readonly kernel: Kernel;
  private readonly state: ForestState;
  private readonly samplers: Samplers;
  private readonly recordSize: number;
  /** The last `shingleSize` records, oldest first; written by `update` alone. */
  private readonly shingle: Float32Array;
  private readonly record: Float32Array;
  private updates = 0;
  private disposed = false;

  /** @throws RandomCutForestError `INVALID_OPTION` */
  constructor(options: RandomCutForestOptions) {
    this.options = compileOptions(options);
    this.kernel = chooseKernel(options.engine ?? 'auto');
    this.state = this.kernel.allocate(layoutOf(this.options));
    this.state.initialise(this.options.randomSeed);
    this.samplers = new Samplers(this.kernel, this.state, this.options);
    const { dimensions, shingleSize, internalShingling } = this.options;
    this.recordSize = internalShingling ? dimensions / shingleSize : dimensions;
    this.shingle = new Float32Array(dimensions);
    this.record = new Float32Array(this.recordSize);
  }

  /** Records learnt so far, with those that only filled the shingle. */
  get totalUpdates(): number {
    return this.updates;
  }

  /** Whether scores are no longer held back at 0. */
  get isOutputReady(): boolean {
    return this.updates >= this.options.outputAfter && this.state.i32[this.state.treeAt(0) + TREE.root]! !== NONE;
  }

  /** Bytes of memory this forest takes at most. */
  get byteLength(): number {
    return this.state.layout.bytes;
  }

  /** Different points that the trees hold together. */
  get pointCount(): number {
    return countPoints(this.state);
  }

  /** Which engine computes. */
  get engine(): 'plain' | 'wasm' {
    return this.kernel.name;
  }

  /** Rate at which the past is forgotten; may be changed between two records. */
  get timeDecay(): number {
    return this.samplers.timeDecay;
  }

  set timeDecay(timeDecay: number) {
    if (!(timeDecay >= 0 && timeDecay <= 1)) {
      throw new RandomCutForestError('INVALID_OPTION', `timeDecay is ${timeDecay}; it must be a number from 0 to 1`);
    }
    this.samplers.changeDecay(timeDecay, this.updates);
  }

  /**
   * Anomaly score of a record, without learning it; 0 until `outputAfter` records were learnt.
   * @throws RandomCutForestError `INVALID_POINT`
   */
  score(record: Point): number {
    this.take(record);
    if (!this.isOutputReady) return 0;
    this.prepareQuery();
    return this.scoreQuery();
  }

  /**
   * Scores of many points without learning any. Each is a whole point of `dimensions` numbers, whatever the shingle
   * holds.
   * @throws RandomCutForestError `INVALID_POINT`
   */
  scoreBatch(points: readonly Point[]): Float64Array {
    this.assertLive();
    const scores = new Float64Array(points.length);
    const ready = this.isOutputReady;
    const { state, kernel } = this;
    const { trees } = state.layout;
    const { values, stride, capacity } = kernel.batch(state);
    for (let from = 0; from < points.length; from += capacity) {
      const count = Math.min(capacity, points.length - from);
      for (let k = 0; k < count; k++) {
        this.copyPoint(points[from + k]!, values, k * stride);
        for (let j = this.options.dimensions; j < stride; j++) values[k * stride + j] = 0;
      }
      if (!ready) continue;
      const sums = kernel.scoreBatch(state, count);
      for (let k = 0; k < count; k++) scores[from + k] = sums[k]! / trees;
    }
    return scores;
  }

  /**
   * Learns a record.
   * @throws RandomCutForestError `INVALID_POINT`
   */
  update(record: Point): void {
    this.take(record);
    this.prepareQuery();
    this.learnQuery();
  }

  /** The score of a record before it is learnt; then learns it. */
  scoreAndUpdate(record: Point): number {
    this.take(record);
    this.prepareQuery();
    const score = this.isOutputReady ? this.scoreQuery() : 0;
    this.learnQuery();
    return score;
  }

  /**
   * What made up the score: for each coordinate of the point how much it is too high and too low. The sum of all is
   * the score. All zero until `outputAfter` records were learnt.
   */
  attribution(record: Point): Attribution {
    this.take(record);
    this.prepareQuery();
    return attribute(this.state, this.isOutputReady);
  }

  /**
   * The point with its missing coordinates filled in from the forest: the median over the trees.
   * @param missing positions in the whole point (`dimensions` long); what the record holds there is ignored
   */
  impute(record: Point, missing: readonly number[]): Float32Array {
    this.take(record);
    this.prepareQuery();
    return this.imputeQuery(missing);
  }

  /**
   * What the forest would have expected in place of the record: of the block of the shingle with the largest
   * attribution, the coordinates that matter most (at most 5, each a tenth of the block or more) are imputed.
   * Returns the whole point.
   */
  expected(record: Point): Float32Array {
    const { high, low } = this.attribution(record);
    const { dimensions, shingleSize } = this.options;
    const size = dimensions / shingleSize;
    let best = shingleSize - 1;
    let bestSum = -1;
    const total = (j: number): number => high[j]! + low[j]!;
    for (let block = shingleSize - 1; block >= 0; block--) {
      let sum = 0;
      for (let j = block * size; j < (block + 1) * size; j++) sum += total(j);
      if (sum > bestSum) [best, bestSum] = [block, sum];
    }
    const missing = Array.from({ length: size }, (_, j) => best * size + j)
      .filter((j) => total(j) >= bestSum / 10)
      .sort((a, b) => total(b) - total(a))
      .slice(0, 5);
    return this.imputeQuery(missing);
  }

  /**
   * The next `horizon` records, each imputed from the shingle that ends with the one before it. Needs
   * `internalShingling` and a shingle of at least 2.
   * @returns `horizon × (dimensions / shingleSize)` numbers
   * @throws RandomCutForestError `NOT_READY` before `outputAfter` records, `INVALID_OPTION` without a shingle
   */
  forecast(horizon: number): Float32Array {
    const { dimensions, shingleSize, internalShingling } = this.options;
    if (!internalShingling || shingleSize < 2) {
      throw new RandomCutForestError(
        'INVALID_OPTION',
        'forecast needs internalShingling and a shingleSize of 2 or more',
      );
    }
    if (!Number.isInteger(horizon) || horizon < 1 || horizon > 10_000) {
      throw new RandomCutForestError(
        'INVALID_OPTION',
        `horizon is ${horizon}; it must be a whole number from 1 to 10000`,
      );
    }
    const size = dimensions / shingleSize;
    const result = new Float32Array(horizon * size);
    const window = this.shingle.slice();
    const missing = Array.from({ length: size }, (_, j) => dimensions - size + j);
    const query = this.state.layout.queryAt >> 2;
    for (let step = 0; step < horizon; step++) {
      window.copyWithin(0, size);
      this.state.f32.set(window, query);
      window.set(this.imputeQuery(missing));
      result.set(window.subarray(dimensions - size), step * size);
    }
    return result;
  }

  /**
   * Score and attribution of a whole point of `dimensions` numbers, whatever is in the shingle.
   * @throws RandomCutForestError `INVALID_POINT`
   */
  evaluatePoint(point: Point): { score: number; attribution: Attribution } {
    this.setQuery(point);
    const ready = this.isOutputReady;
    return { score: ready ? this.scoreQuery() : 0, attribution: attribute(this.state, ready) };
  }

  /**
   * {@link impute} for a whole point of `dimensions` numbers, whatever is in the shingle.
   * @throws RandomCutForestError `INVALID_POINT`, `NOT_READY`
   */
  imputePoint(point: Point, missing: readonly number[]): Float32Array {
    this.setQuery(point);
    return this.imputeQuery(missing);
  }

  /**
   * The samples that a whole point comes to: one leaf a tree, equal ones joined.
   * @throws RandomCutForestError `INVALID_POINT`, `NOT_READY`
   */
  nearNeighbors(point: Point): Neighbor[] {
    this.setQuery(point);
    this.assertReady();
    return nearNeighbors(this.state);
  }

  /** The whole state; a forest made of it by {@link fromBytes} goes on with the same scores, bit for bit. */
  toBytes(): Uint8Array {
    this.assertLive();
    return writeSnapshot(this.options, this.state, this.samplers.decayState, this.updates, this.shingle);
  }

  /**
   * @throws RandomCutForestError `INVALID_SNAPSHOT` when the bytes are not a whole, sound snapshot
   */
  static fromBytes(bytes: Uint8Array, engine: 'auto' | 'wasm' | 'plain' = 'auto'): RandomCutForest {
    let forest: RandomCutForest | undefined;
    const restored = readSnapshot(bytes, (options) => {
      forest = new RandomCutForest({ ...options, engine });
      return forest.state;
    });
    forest!.samplers.decayState = restored.decayState;
    forest!.shingle.set(restored.shingle);
    forest!.updates = restored.updates;
    return forest!;
  }

  /** Gives the memory back at once rather than at garbage collection. The forest must not be used afterwards. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.kernel.release(this.state);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The memory block, for tests of its invariants. */
  get internals(): { readonly state: ForestState; readonly kernel: Kernel } {
    return { state: this.state, kernel: this.kernel };
  }

  /** Copies and checks a record; nothing of the forest has changed when it throws. */
  private take(record: Point): void {
    this.assertLive();
    const { recordSize } = this;
    if (record.length !== recordSize) {
      throw new RandomCutForestError(
        'INVALID_POINT',
        `the record has ${record.length} numbers; it must have ${recordSize}`,
      );
    }
    for (let j = 0; j < recordSize; j++) {
      const value = record[j]!;
      // Adding 0 makes -0 into 0: points are compared by value. The test is on the 32-bit number, which may be larger.
      if (typeof value === 'number') this.record[j] = value + 0;
      if (typeof value !== 'number' || !(Math.abs(this.record[j]!) < LARGEST)) {
        throw new RandomCutForestError(
          'INVALID_POINT',
          `number ${j} of the record is ${String(value)}; it must be finite and below 2^127 in size`,
        );
      }
    }
  }

  /** Checks a whole point and copies it. */
  private copyPoint(point: Point, to: Float32Array, at: number): void {
    const { dimensions } = this.options;
    if (point.length !== dimensions) {
      throw new RandomCutForestError(
        'INVALID_POINT',
        `the point has ${point.length} numbers; it must have ${dimensions}`,
      );
    }
    for (let j = 0; j < dimensions; j++) {
      const value = point[j]!;
      // Adding 0 makes -0 into 0: points are compared by value. The test is on the 32-bit number, which may be larger.
      if (typeof value === 'number') to[at + j] = value + 0;
      if (typeof value !== 'number' || !(Math.abs(to[at + j]!) < LARGEST)) {
        throw new RandomCutForestError(
          'INVALID_POINT',
          `number ${j} of the point is ${String(value)}; it must be finite and below 2^127 in size`,
        );
      }
    }
  }

  /** Makes a whole point the query. */
  private setQuery(point: Point): void {
    this.assertLive();
    this.copyPoint(point, this.state.f32, this.state.layout.queryAt >> 2);
  }

  /** Makes the record, behind the shingle's earlier ones, the query point. */
  private prepareQuery(): void {
    const { state, shingle, record, recordSize } = this;
    const { f32 } = state;
    const query = state.layout.queryAt >> 2;
    const kept = shingle.length - recordSize;
    for (let j = 0; j < kept; j++) f32[query + j] = shingle[j + recordSize]!;
    for (let j = 0; j < recordSize; j++) f32[query + kept + j] = record[j]!;
  }

  private scoreQuery(): number {
    return this.kernel.score(this.state) / this.options.numberOfTrees;
  }

  private learnQuery(): void {
    const { state, shingle, options } = this;
    const query = state.layout.queryAt >> 2;
    for (let j = 0; j < shingle.length; j++) shingle[j] = state.f32[query + j]!;
    const sequence = this.updates++;
    if (!options.internalShingling || this.updates >= options.shingleSize) this.samplers.offer(sequence);
  }

  private imputeQuery(missing: readonly number[]): Float32Array {
    this.assertReady();
    for (const j of missing) {
      if (!Number.isInteger(j) || j < 0 || j >= this.options.dimensions) {
        throw new RandomCutForestError(
          'INVALID_POINT',
          `position ${j} is not in the point; it must be from 0 to ${this.options.dimensions - 1}`,
        );
      }
    }
    return impute(this.state, missing);
  }

  private assertReady(): void {
    if (this.isOutputReady) return;
    throw new RandomCutForestError('NOT_READY', `the forest has learnt fewer than ${this.options.outputAfter} records`);
  }

  private assertLive(): void {
    if (this.disposed) throw new RandomCutForestError('NOT_READY', 'the forest has been disposed of');
  }
}
