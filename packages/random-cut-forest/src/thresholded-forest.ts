import type { Attribution } from './attribution.ts';
import { Deviation } from './deviation.ts';
import { RandomCutForestError } from './errors.ts';
import { type Point, RandomCutForest } from './forest.ts';
import type { RandomCutForestOptions } from './options.ts';
import { type Bar, Thresholder } from './thresholder.ts';
import { TRANSFORMS, Transform, type TransformMethod } from './transform.ts';

export interface ThresholdedForestOptions extends Omit<RandomCutForestOptions, 'internalShingling'> {
  /** Scaling of records by the statistics of those before. Default `NONE`. */
  transform?: TransformMethod;
  /** A factor for each number of a record, after scaling. Default 1. */
  weights?: readonly number[];
  /** Records held back for the first statistics, where the transform needs any. 1 to 1,000. Default 10. */
  startNormalization?: number;
  /** Deviations above the mean score at which alarms begin. At least 2. Default 3. */
  zFactor?: number;
  /** Lets the floor of the threshold follow the scores, and takes lasting changes for a new level. Default false. */
  autoAdjust?: boolean;
  /** Of a run of alarms only the first has a grade. Default false. */
  alertOnce?: boolean;
  /** Floor of the threshold; switches its adjustment off. Default 0.8. */
  absoluteThreshold?: number;
  /** No alarm while every number of the record is this near to what was expected; in the record's own units. */
  ignoreNearExpected?: {
    readonly amountAbove?: number;
    readonly amountBelow?: number;
    /** As a share of the expected value's size. */
    readonly ratioAbove?: number;
    readonly ratioBelow?: number;
  };
}

/** Why a score above the threshold is no alarm. */
export type Correction =
  | 'NOISE'
  | 'ANOMALY_IN_SHINGLE'
  | 'FORECAST'
  | 'CONDITIONAL_FORECAST'
  | 'DATA_DRIFT'
  | 'ALERT_ONCE';

export interface ThresholdedResult {
  /** The forest's score of the scaled record, unchanged by threshold and corrections. */
  readonly score: number;
  /** Above 0: an alarm; 1 is the strongest. */
  readonly grade: number;
  /** What the score was measured against. */
  readonly threshold: number;
  /** 0 to 1: how full of data the forest is, `1 - exp(-records / sampleSize)`; 0 while there are no scores. */
  readonly confidence: number;
  /** For alarms: the record that was expected in place of this one, in its own units. */
  readonly expected: number[] | undefined;
  /** For alarms: shares of the score by coordinate of the scaled shingle. */
  readonly attribution: Attribution | undefined;
  /** Set where a grade was put back to 0. */
  readonly correction: Correction | undefined;
  /** As it was given. */
  readonly timestamp: number | undefined;
}

interface PastAnomaly {
  /** Number of the record. */
  readonly at: number;
  readonly score: number;
  /** What was expected in its place, scaled. */
  readonly expected: readonly number[];
}

const SIGNIFICANT_SHARE = 0.3;
const SIGNIFICANT_FACTOR = 1.2;
const NOISE = 1e-3;
/** Share of the trees that must hold a like record after a like shingle, to take it for ordinary. */
const AGREEMENT = 0.1;

/**
 * A forest that decides by itself what is an anomaly: it scales records, scores them with internal shingling, measures
 * the scores against their own statistics, and takes back alarms that an earlier one explains.
 *
 * Follows the reference's thresholded forest, without its conditional forecast and its imputation of missing records.
 */
export class ThresholdedForest {
  readonly forest: RandomCutForest;
  private readonly transform: Transform;
  private readonly thresholder: Thresholder;
  private readonly alertOnce: boolean;
  private readonly autoAdjust: boolean;
  private readonly ignore: Required<NonNullable<ThresholdedForestOptions['ignoreNearExpected']>>;
  private readonly startNormalization: number;
  private readonly recordSize: number;
  /** Records held back until the first statistics can be taken. */
  private held: number[][] | undefined;
  /** The scaled shingle that ends with the last record. */
  private readonly window: number[];
  /** The same with what was expected in place of each anomaly. */
  private readonly cleanWindow: number[];
  private records = 0;
  private lastScore = 0;
  private lastExcess = 0;
  private lastAnomaly: PastAnomaly | undefined;
  /** Alarms in the present run, and the run's values. */
  private runLength = 0;
  private runValues: Deviation[] = [];

  /** @throws RandomCutForestError `INVALID_OPTION` */
  constructor(options: ThresholdedForestOptions) {
    const method = options.transform ?? 'NONE';
    if (!TRANSFORMS.includes(method)) throw invalid('transform', method, `one of ${TRANSFORMS.join(', ')}`);
    this.forest = new RandomCutForest({ ...options, internalShingling: true });
    const { dimensions, shingleSize, sampleSize } = this.forest.options;
    this.recordSize = dimensions / shingleSize;
    const weights = options.weights ?? new Array<number>(this.recordSize).fill(1);
    if (weights.length !== this.recordSize || !weights.every((weight) => weight >= 0 && weight < 1e9)) {
      throw invalid('weights', weights.join(), `${this.recordSize} numbers from 0 up`);
    }
    const zFactor = options.zFactor ?? 3;
    if (!(zFactor >= 2 && zFactor <= 100)) throw invalid('zFactor', zFactor, 'a number from 2 to 100');
    this.startNormalization = options.startNormalization ?? 10;
    if (!Number.isInteger(this.startNormalization) || this.startNormalization < 1 || this.startNormalization > 1000) {
      throw invalid('startNormalization', this.startNormalization, 'a whole number from 1 to 1000');
    }
    const absolute = options.absoluteThreshold;
    if (absolute !== undefined && !(absolute >= 0)) throw invalid('absoluteThreshold', absolute, 'a number from 0 up');
    this.transform = new Transform(method, weights, 1 / sampleSize);
    this.held = this.transform.needsStatistics ? [] : undefined;
    this.autoAdjust = options.autoAdjust ?? false;
    this.alertOnce = options.alertOnce ?? false;
    this.ignore = { amountAbove: 0, amountBelow: 0, ratioAbove: 0, ratioBelow: 0, ...options.ignoreNearExpected };
    this.thresholder = new Thresholder({
      timeDecay: this.forest.options.timeDecay,
      zFactor,
      shingled: shingleSize > 1 || this.transform.isDifferencing,
      transformed: method !== 'NONE',
      autoAdjust: this.autoAdjust,
      absoluteThreshold: absolute,
    });
    this.window = new Array<number>(dimensions).fill(0);
    this.cleanWindow = new Array<number>(dimensions).fill(0);
  }

  /**
   * Scores a record, decides, and learns it.
   * @throws RandomCutForestError `INVALID_POINT`; the forest is then unchanged
   */
  process(record: Point, timestamp?: number): ThresholdedResult {
    this.check(record);
    if (this.held) {
      this.held.push(Array.from(record));
      if (this.held.length >= this.startNormalization) this.release(this.held);
      return this.result(0, 0, undefined, undefined, undefined, timestamp);
    }
    const scaled = this.transform.apply(record);
    const score = this.forest.score(scaled);
    const { bar } = this.thresholder;
    const decided = score > 0 ? this.decide(record, scaled, score, bar) : undefined;
    const result = this.result(
      score,
      decided?.grade ?? 0,
      decided?.expected,
      decided?.attribution,
      decided?.correction,
      timestamp,
      bar.threshold,
    );
    if (decided) this.thresholder.update(score, decided.corrected, this.lastScore);
    this.lastScore = score;
    this.lastExcess = Math.max(0, score - bar.threshold);
    this.learn(record, scaled);
    return result;
  }

  private decide(
    record: Point,
    scaled: readonly number[],
    score: number,
    bar: Bar,
  ): {
    grade: number;
    corrected: number;
    expected?: number[] | undefined;
    attribution?: Attribution | undefined;
    correction?: Correction | undefined;
  } {
    const grade = this.thresholder.grade(score, bar);
    if (grade === 0) {
      // A score that an earlier anomaly in the shingle keeps high does not end its run.
      this.endRun();
      return { grade, corrected: score };
    }
    if (scaled.every((value) => Math.abs(value) < NOISE) && this.transform.needsStatistics) {
      return { grade: 0, corrected: score, correction: 'NOISE' };
    }
    const past = this.lastAnomaly;
    const { dimensions, shingleSize } = this.forest.options;
    const age = past ? this.records - past.at : shingleSize;
    let attribution: Attribution;
    let corrected = score;
    if (past && age < shingleSize) {
      const inWindow = this.forest.evaluatePoint([...this.cleanWindow.slice(this.recordSize), ...scaled]);
      corrected = inWindow.score;
      attribution = inWindow.attribution;
      const fresh = age * this.recordSize;
      let remainder = 0;
      for (let j = dimensions - fresh; j < dimensions; j++) remainder += attribution.high[j]! + attribution.low[j]!;
      const significant =
        this.thresholder.grade(corrected, bar) > 0 &&
        remainder > SIGNIFICANT_SHARE * past.score &&
        (remainder * dimensions) / fresh > SIGNIFICANT_FACTOR * bar.threshold;
      if (!significant) {
        this.runLength++;
        this.noteRun(scaled);
        return { grade: 0, corrected, correction: 'ANOMALY_IN_SHINGLE' };
      }
    } else attribution = this.forest.attribution(scaled);

    const expectedPoint = this.forest.expected(scaled);
    const expectedScaled = Array.from(expectedPoint.subarray(dimensions - this.recordSize));
    const expected = this.transform.invert(expectedScaled);
    if (this.isNearExpected(record, expected)) return { grade: 0, corrected, correction: 'FORECAST' };
    const variation = this.pathVariation();
    if (scaled.every((value, j) => Math.abs(value - expectedScaled[j]!) <= variation[j]!)) {
      return { grade: 0, corrected, correction: 'FORECAST' };
    }
    if (this.autoAdjust && shingleSize > 1 && this.isKnown(scaled, variation)) {
      return { grade: 0, corrected, correction: 'CONDITIONAL_FORECAST' };
    }

    const inRun = this.runLength > 0 && this.belongsToRun(score, bar.threshold);
    if (!inRun) this.startRun();
    this.runLength++;
    const drifted = this.autoAdjust && this.runLength > 3 && this.agreesWithRun(scaled);
    this.noteRun(scaled);
    if (drifted) return { grade: 0, corrected, correction: 'DATA_DRIFT' };
    if (this.alertOnce && this.runLength > 1) return { grade: 0, corrected, correction: 'ALERT_ONCE' };
    this.lastAnomaly = { at: this.records, score, expected: expectedScaled };
    return { grade, corrected, expected, attribution };
  }

  /** Mean size of the steps from record to record in the shingle, for each number of a record. */
  private pathVariation(): number[] {
    const size = this.recordSize;
    const steps = this.forest.options.shingleSize - 1;
    return Array.from({ length: size }, (_, j) => {
      let sum = 0;
      for (let k = 1; k <= steps; k++) sum += Math.abs(this.window[k * size + j]! - this.window[(k - 1) * size + j]!);
      return steps > 0 ? sum / steps : 0;
    });
  }

  /** Whether enough trees hold a like record after a like shingle: within the shingle's own variation. */
  private isKnown(scaled: readonly number[], variation: readonly number[]): boolean {
    const { dimensions } = this.forest.options;
    const newest = scaled.map((_, j) => dimensions - this.recordSize + j);
    return this.forest.agreement(scaled, newest, variation) >= AGREEMENT;
  }

  private belongsToRun(score: number, threshold: number): boolean {
    if (score > this.lastScore) return true;
    const stretch = 1 + Math.max(0.2, this.runLength / (2 * Math.max(10, this.forest.options.shingleSize)));
    return score - threshold * stretch < this.lastExcess;
  }

  private startRun(): void {
    this.runLength = 0;
    this.runValues = Array.from({ length: this.recordSize }, () => new Deviation(0));
  }

  private endRun(): void {
    this.runLength = 0;
  }

  private noteRun(scaled: readonly number[]): void {
    scaled.forEach((value, j) => {
      this.runValues[j]?.update(value);
    });
  }

  /** Whether the values are what the run has been like: a new level rather than further anomalies. */
  private agreesWithRun(scaled: readonly number[]): boolean {
    return scaled.every((value, j) => {
      const { mean, deviation } = this.runValues[j]!;
      return Math.abs(value - mean) <= 3 * deviation + NOISE;
    });
  }

  private isNearExpected(record: Point, expected: readonly number[]): boolean {
    const { amountAbove, amountBelow, ratioAbove, ratioBelow } = this.ignore;
    if (amountAbove === 0 && amountBelow === 0 && ratioAbove === 0 && ratioBelow === 0) return false;
    return expected.every((wanted, j) => {
      const difference = record[j]! - wanted;
      const size = Math.abs(wanted);
      return difference >= 0
        ? difference <= Math.max(amountAbove, ratioAbove * size)
        : -difference <= Math.max(amountBelow, ratioBelow * size);
    });
  }

  /** The held records give the first statistics, then are learnt with these. */
  private release(held: readonly number[][]): void {
    this.held = undefined;
    for (const record of held) this.transform.update(record);
    for (const record of held) this.learnScaled(this.transform.apply(record));
  }

  private learn(record: Point, scaled: readonly number[]): void {
    this.transform.update(record);
    this.learnScaled(scaled);
  }

  private learnScaled(scaled: readonly number[]): void {
    this.forest.update(scaled);
    this.window.splice(0, this.recordSize);
    this.window.push(...scaled);
    const anomaly = this.lastAnomaly?.at === this.records ? this.lastAnomaly.expected : scaled;
    this.cleanWindow.splice(0, this.recordSize);
    this.cleanWindow.push(...anomaly);
    this.records++;
  }

  private check(record: Point): void {
    if (record.length !== this.recordSize) {
      throw new RandomCutForestError(
        'INVALID_POINT',
        `the record has ${record.length} numbers; it must have ${this.recordSize}`,
      );
    }
    for (let j = 0; j < record.length; j++) {
      if (typeof record[j] !== 'number' || !(Math.abs(record[j]!) < 2 ** 126)) {
        throw new RandomCutForestError(
          'INVALID_POINT',
          `number ${j} of the record is ${String(record[j])}; it must be finite and below 2^126 in size`,
        );
      }
    }
  }

  private result(
    score: number,
    grade: number,
    expected: number[] | undefined,
    attribution: Attribution | undefined,
    correction: Correction | undefined,
    timestamp: number | undefined,
    threshold = this.thresholder.bar.threshold,
  ): ThresholdedResult {
    const confidence = score > 0 ? 1 - Math.exp(-this.records / this.forest.options.sampleSize) : 0;
    return { score, grade, threshold, confidence, expected, attribution, correction, timestamp };
  }
}

function invalid(name: string, value: unknown, wanted: string): RandomCutForestError {
  return new RandomCutForestError('INVALID_OPTION', `${name} is ${String(value)}; it must be ${wanted}`);
}
