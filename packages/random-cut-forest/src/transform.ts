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

/** Statistics of one feature: of its values, of their smoothed deviation, and of the differences of neighbours. */
class FeatureStatistics {
  readonly values: Deviation;
  readonly smoothed: Deviation;
  readonly differences: Deviation;
  previous = 0;
  seen = false;

  constructor(discount: number) {
    this.values = new Deviation(discount);
    this.smoothed = new Deviation(0.1 * discount);
    this.differences = new Deviation(discount);
  }

  update(value: number): void {
    if (this.seen) this.differences.update(value - this.previous);
    this.values.update(value);
    this.smoothed.update(this.values.deviation);
    this.previous = value;
    this.seen = true;
  }
}

/** Scales records by the statistics of those before. Owns the statistics; `update` alone changes them. */
export class Transform {
  readonly method: TransformMethod;
  private readonly weights: readonly number[];
  private readonly features: readonly FeatureStatistics[];

  constructor(method: TransformMethod, weights: readonly number[], discount: number) {
    this.method = method;
    this.weights = weights;
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

  /** The record that `apply` would scale to these numbers; clipped ones come back at the clip. */
  invert(scaled: ArrayLike<number>): number[] {
    return this.features.map((feature, j) => {
      const value = this.weights[j] === 0 ? 0 : scaled[j]! / this.weights[j]!;
      const { values, smoothed, differences, previous } = feature;
      switch (this.method) {
        case 'NONE':
        case 'WEIGHTED':
          return value;
        case 'SUBTRACT_MA':
          return value + values.mean;
        case 'NORMALIZE':
          return value * (1 + smoothed.mean) + values.mean;
        case 'DIFFERENCE':
          return value + previous;
        default:
          return value * (1 + differences.deviation) + differences.mean + previous;
      }
    });
  }

  update(record: ArrayLike<number>): void {
    this.features.forEach((feature, j) => {
      feature.update(record[j]!);
    });
  }

  private scale({ values, smoothed, differences, previous, seen }: FeatureStatistics, x: number): number {
    switch (this.method) {
      case 'NONE':
      case 'WEIGHTED':
        return x;
      case 'SUBTRACT_MA':
        return x - values.mean;
      case 'NORMALIZE':
        return clip((x - values.mean) / (1 + smoothed.mean));
      case 'DIFFERENCE':
        return seen ? x - previous : 0;
      default:
        return seen ? clip((x - previous - differences.mean) / (1 + differences.deviation)) : 0;
    }
  }
}

function clip(value: number): number {
  return Math.max(-CLIP, Math.min(CLIP, value));
}
