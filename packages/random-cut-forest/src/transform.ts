import { Deviation } from './deviation.ts';

/** How a record is scaled before it is joined to a shingle; names as in the reference implementation. */
export type TransformMethod = 'NONE' | 'WEIGHTED' | 'SUBTRACT_MA' | 'NORMALIZE' | 'DIFFERENCE' | 'NORMALIZE_DIFFERENCE';

export const TRANSFORMS: readonly TransformMethod[] = [
  'NONE',
  'WEIGHTED',
  'SUBTRACT_MA',
  'NORMALIZE',
  'DIFFERENCE',
  'NORMALIZE_DIFFERENCE',
];

const CLIP = 100;

/**
 * Statistics of one feature: of its values and of the steps between neighbours, and their smoothed deviations, where
 * that of the steps is smoothed over ten times as long (measured on the reference).
 */
class FeatureStatistics {
  readonly values: Deviation;
  readonly smoothed: Deviation;
  readonly differences: Deviation;
  readonly smoothedDifferences: Deviation;
  previous = 0;
  seen = false;

  constructor(discount: number) {
    this.values = new Deviation(discount);
    this.smoothed = new Deviation(discount);
    this.differences = new Deviation(discount);
    this.smoothedDifferences = new Deviation(0.1 * discount);
  }

  update(value: number): void {
    this.values.update(value);
    this.smoothed.update(this.values.deviation);
    // The first record is no step, but counts as one of 0.
    this.differences.update(this.seen ? value - this.previous : 0);
    this.smoothedDifferences.update(this.differences.deviation);
    this.previous = value;
    this.seen = true;
  }

  /** Statistics of these values alone, with the deviation of all of them in place of the smoothed one. */
  static settled(values: readonly number[], discount: number): FeatureStatistics {
    const statistics = new FeatureStatistics(discount);
    values.forEach((value, t) => {
      statistics.values.update(value);
      statistics.differences.update(t > 0 ? value - values[t - 1]! : 0);
    });
    statistics.smoothed.update(statistics.values.deviation);
    return statistics;
  }
}

/** Scales records by the statistics of those before. Owns the statistics; `update` alone changes them. */
export class Transform {
  readonly method: TransformMethod;
  private readonly weights: readonly number[];
  private readonly discount: number;
  private readonly features: readonly FeatureStatistics[];

  constructor(method: TransformMethod, weights: readonly number[], discount: number) {
    this.method = method;
    this.weights = weights;
    this.discount = discount;
    this.features = weights.map(() => new FeatureStatistics(discount));
  }

  /** Whether the method needs statistics before it can scale. */
  get needsStatistics(): boolean {
    return this.method === 'NORMALIZE' || this.method === 'NORMALIZE_DIFFERENCE' || this.method === 'SUBTRACT_MA';
  }

  get isDifferencing(): boolean {
    return this.method === 'DIFFERENCE' || this.method === 'NORMALIZE_DIFFERENCE';
  }

  apply(record: ArrayLike<number>): number[] {
    return this.features.map((feature, j) => this.weights[j]! * this.scale(feature, record[j]!));
  }

  /** The first records, scaled by the statistics of them all; then learns these. */
  start(records: readonly ArrayLike<number>[]): number[][] {
    const settled = this.features.map((_, j) =>
      FeatureStatistics.settled(
        records.map((record) => record[j]!),
        this.discount,
      ),
    );
    const scaled = records.map((record, t) =>
      settled.map((feature, j) => {
        feature.previous = records[t - 1]?.[j] ?? 0;
        feature.seen = t > 0;
        return this.weights[j]! * this.scale(feature, record[j]!);
      }),
    );
    for (const record of records) this.update(record);
    return scaled;
  }

  /** What a scaled number is multiplied by, for each feature, on the way back to its own units. */
  get scales(): number[] {
    return this.features.map((feature, j) => (this.weights[j] === 0 ? 0 : this.scaleOf(feature) / this.weights[j]!));
  }

  /** What is then added, for each feature. */
  get shifts(): number[] {
    return this.features.map((feature) => this.shiftOf(feature) + (this.isDifferencing ? feature.previous : 0));
  }

  /** Smoothed deviation of the steps from record to record, for each feature in its own units. */
  get noise(): number[] {
    return this.features.map(({ smoothedDifferences }) => smoothedDifferences.mean);
  }

  /**
   * The record that `apply` would scale to these numbers; clipped ones come back at the clip.
   * @param previous the record before, which differences are added to
   */
  invert(scaled: ArrayLike<number>, previous: ArrayLike<number>): number[] {
    const { scales } = this;
    return this.features.map(
      (feature, j) => scaled[j]! * scales[j]! + this.shiftOf(feature) + (this.isDifferencing ? previous[j]! : 0),
    );
  }

  update(record: ArrayLike<number>): void {
    this.features.forEach((feature, j) => {
      feature.update(record[j]!);
    });
  }

  private scale(feature: FeatureStatistics, x: number): number {
    if (!this.isDifferencing) return this.clip((x - this.shiftOf(feature)) / this.scaleOf(feature));
    return feature.seen ? this.clip((x - feature.previous - this.shiftOf(feature)) / this.scaleOf(feature)) : 0;
  }

  private scaleOf({ smoothed, differences }: FeatureStatistics): number {
    if (this.method === 'NORMALIZE') return 1 + smoothed.mean;
    return this.method === 'NORMALIZE_DIFFERENCE' ? 1 + differences.deviation : 1;
  }

  private shiftOf({ values, differences }: FeatureStatistics): number {
    if (this.method === 'NORMALIZE' || this.method === 'SUBTRACT_MA') return values.mean;
    return this.method === 'NORMALIZE_DIFFERENCE' ? differences.mean : 0;
  }

  private clip(value: number): number {
    return this.method.startsWith('NORMALIZE') ? Math.max(-CLIP, Math.min(CLIP, value)) : value;
  }
}
