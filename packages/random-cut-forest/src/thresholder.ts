import { Deviation } from './deviation.ts';

const INITIAL_THRESHOLD = 1.5;
const READY = 10;
const BLENDED = 20;
/** Scores beyond this do not raise the bar any further. */
const CAP = 2;
const TYPICAL_SCORE = 0.9;

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
  readonly shingled: boolean;
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
    const { zFactor, shingled, transformed, autoAdjust, absoluteThreshold } = this.options;
    const { mean, deviation, count } = this.primary;
    if (count < READY) return { threshold: INITIAL_THRESHOLD, scale: INITIAL_THRESHOLD, factor: zFactor };
    // Scores are skewed: the spread below the mean is the robust one.
    const below = Math.SQRT2 * this.lower.deviation;
    const first = Math.min(deviation, Math.max(this.secondary.deviation, below));
    const longTerm = shingled ? 0.5 * first + 0.5 * this.secondary.deviation : Math.min(below, deviation);
    const low = mean < TYPICAL_SCORE;
    const factor = transformed && low ? Math.max(2, (zFactor * mean) / TYPICAL_SCORE) : zFactor;
    const absolute = absoluteThreshold ?? (autoAdjust && low ? (0.8 * mean) / TYPICAL_SCORE : 0.8);
    const scale = (factor - 1) * longTerm + deviation;
    const settled = Math.max(absolute, mean + scale);
    const blend = Math.min(1, (count - READY) / (BLENDED - READY));
    return { threshold: blend * settled + (1 - blend) * INITIAL_THRESHOLD, scale, factor };
  }

  /** 0 below the threshold, up to 1 above it; in steps, so that the first step above may still be 0. */
  grade(score: number, { threshold, scale, factor }: Bar): number {
    if (score < threshold) return 0;
    const excess = scale > 0 ? Math.min(factor, ((score - threshold) * factor) / scale) / factor : 1;
    return Math.min(1, Math.floor(20 * excess) / 16);
  }

  update(score: number, corrected: number, previous: number): void {
    const capped = Math.min(score, CAP);
    this.primary.update(capped);
    this.secondary.update(corrected - (this.options.shingled ? previous : 0));
    const below = this.primary.mean - capped;
    if (below > 0) this.lower.update(below);
  }
}
