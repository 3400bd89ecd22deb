import { Deviation } from './deviation.ts';

const INITIAL_THRESHOLD = 1.5;
/** Scores before the threshold follows their statistics, and until it does so fully. */
const READY = 10;
const BLENDED = 20;
/** Scores beyond this do not raise the bar any further. */
const CAP = 2;
const TYPICAL_SCORE = 0.9;
const LOWEST_FACTOR = 2;

/** What a score is measured against. */
export interface Bar {
  readonly threshold: number;
  /** Distance above the threshold at which the grade is full, and the factor it is counted in. */
  readonly scale: number;
  readonly factor: number;
}

export interface ThresholderOptions {
  readonly timeDecay: number;
  readonly zFactor: number;
  /** Whether neighbouring scores share records. */
  readonly shingled: boolean;
  readonly differencing: boolean;
  readonly transformed: boolean;
  readonly autoAdjust: boolean;
  /** Set by the caller: then it is never adjusted. */
  readonly absoluteThreshold: number | undefined;
}

/** Turns scores into grades by their running statistics; spec: the reference's BasicThresholder. */
export class Thresholder {
  private readonly options: ThresholderOptions;
  private readonly primary: Deviation;
  private readonly secondary: Deviation;
  private readonly lower: Deviation;

  constructor(options: ThresholderOptions) {
    this.options = options;
    this.primary = new Deviation(options.timeDecay);
    this.secondary = new Deviation(0.01);
    this.lower = new Deviation(options.timeDecay / 2);
  }

  get bar(): Bar {
    const { zFactor, shingled, differencing, transformed, autoAdjust } = this.options;
    const { mean, deviation, count } = this.primary;
    const floor = this.options.absoluteThreshold ?? 0.8;
    // Until there are statistics a score is measured by the floor alone.
    if (count < READY) return { threshold: Math.max(INITIAL_THRESHOLD, floor), scale: floor, factor: zFactor };
    // Scores are skewed: the spread below the mean is the robust one.
    const below = Math.SQRT2 * this.lower.deviation;
    const first = Math.min(deviation, Math.max(this.secondary.deviation, below));
    const longTerm =
      shingled || differencing ? 0.5 * first + 0.5 * this.secondary.deviation : Math.min(below, deviation);
    const low = mean < TYPICAL_SCORE;
    const factor = Math.max(LOWEST_FACTOR, transformed && low ? (zFactor * mean) / TYPICAL_SCORE : zFactor);
    const adjusts = autoAdjust && this.options.absoluteThreshold === undefined && low && count >= BLENDED;
    const absolute = adjusts ? (floor * mean) / TYPICAL_SCORE : floor;
    const scale = (factor - 1) * longTerm + deviation;
    const blend = Math.min(1, (count - READY) / (BLENDED - READY));
    const threshold = Math.max(absolute, blend * (mean + scale) + (1 - blend) * INITIAL_THRESHOLD);
    return { threshold, scale, factor };
  }

  /** 0 below the threshold, up to 1 above it; in steps, so that the first step above may still be 0. */
  grade(score: number, { threshold, scale, factor }: Bar): number {
    if (score < threshold || threshold <= 0) return 0;
    let excess = 1;
    if (this.primary.count < READY) excess = scale > 0 ? Math.min(1, (score - scale) / scale) : 1;
    else if (scale > 0) excess = Math.min(factor, ((score - threshold) * factor) / scale) / factor;
    return Math.min(1, Math.floor(20 * excess) / 16);
  }

  /**
   * @param corrected the score without what earlier anomalies added to it
   * @param previous score of the record before; 0 where neighbouring scores share no records
   */
  update(score: number, corrected: number, previous: number): void {
    const capped = Math.min(score, CAP);
    const below = this.primary.mean - capped;
    if (below > 0) this.lower.update(below);
    this.primary.update(capped);
    this.secondary.update(corrected - (this.options.shingled ? previous : 0));
  }
}
