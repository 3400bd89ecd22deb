import type { Attribution } from './attribution.ts';
import { RandomCutForestError } from './errors.ts';
import { type Point, RandomCutForest } from './forest.ts';
import type { RandomCutForestOptions } from './options.ts';
import { type Correction, PredictorCorrector, type Verdict } from './predictor-corrector.ts';
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
    /** As a share of the actual value's size. */
    readonly ratioAbove?: number;
    readonly ratioBelow?: number;
  };
}

export interface ThresholdedResult {
  /** The forest's score of the scaled record, unchanged by threshold and corrections. */
  readonly score: number;
  /** Above 0: an alarm; 1 is the strongest. */
  readonly grade: number;
  /** What the score was measured against. */
  readonly threshold: number;
  /** 0 to 1: how much of what the forest remembers was learnt after its first `outputAfter` records. */
  readonly confidence: number;
  /** For alarms: what was expected in place of the record that stands out, in its own units; see `relativeIndex`. */
  readonly expected: number[] | undefined;
  /** For alarms: shares of the score by coordinate of the scaled shingle. */
  readonly attribution: Attribution | undefined;
  /** For alarms: which record stands out; 0 is this one, -1 the one before, when an alarm comes late. */
  readonly relativeIndex: number;
  /** Set where a grade was put back to 0. */
  readonly correction: Correction | undefined;
  /** As it was given. */
  readonly timestamp: number | undefined;
}

/**
 * A forest that decides by itself what is an anomaly: it scales records, scores them with internal shingling, measures
 * the scores against their own statistics, and takes back alarms that an earlier one explains.
 *
 * Follows the reference's thresholded forest, without its imputation of missing records and its time as a feature.
 */
export class ThresholdedForest {
  readonly forest: RandomCutForest;
  private readonly transform: Transform;
  private readonly corrector: PredictorCorrector;
  private readonly startNormalization: number;
  private readonly recordSize: number;
  private readonly weights: readonly number[];
  /** Records held back until the first statistics can be taken. */
  private held: number[][] | undefined;
  /** The scaled shingle; between records it ends with the last one. */
  private readonly window: Float32Array;
  /** The same in the records' own units. */
  private readonly inputs: number[][];
  private records = 0;

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
    this.weights = weights;
    this.transform = new Transform(method, weights, 1 / sampleSize);
    this.held = this.transform.needsStatistics ? [] : undefined;
    this.corrector = new PredictorCorrector(this.forest, {
      zFactor,
      transformed: method !== 'NONE',
      centered: method === 'NORMALIZE' || method === 'SUBTRACT_MA',
      differencing: this.transform.isDifferencing,
      transformDecay: 1 / sampleSize,
      autoAdjust: options.autoAdjust ?? false,
      alertOnce: options.alertOnce ?? false,
      absoluteThreshold: absolute,
      ignore: { amountAbove: 0, amountBelow: 0, ratioAbove: 0, ratioBelow: 0, ...options.ignoreNearExpected },
    });
    this.window = new Float32Array(dimensions);
    this.inputs = Array.from({ length: shingleSize }, () => new Array<number>(this.recordSize).fill(0));
  }

  /**
   * Scores a record, decides, and learns it.
   * @throws RandomCutForestError `INVALID_POINT`; the forest is then unchanged
   */
  process(record: Point, timestamp?: number): ThresholdedResult {
    this.check(record);
    const confidence = this.confidence();
    if (this.held) {
      this.held.push(Array.from(record));
      const { held } = this;
      if (held.length >= this.startNormalization) {
        this.held = undefined;
        this.transform.start(held).forEach((scaled, t) => {
          this.push(scaled, held[t]!);
        });
      }
      return { ...nothing(this.corrector.threshold), confidence, timestamp };
    }
    const scaled = this.transform.apply(record);
    const score = this.forest.score(scaled);
    const previous = this.inputs.at(-1)!;
    if (score === 0) {
      this.transform.update(record);
      this.push(scaled, record);
      return { ...nothing(this.corrector.threshold), confidence, timestamp };
    }
    const point = this.window.slice();
    point.copyWithin(0, this.recordSize);
    point.set(scaled, point.length - this.recordSize);
    const { scales, shifts, noise } = this.transform;
    const verdict = this.corrector.decide({ at: this.records, point, scale: scales, shift: shifts, noise }, score);
    const expected = verdict.expected && this.inOwnUnits(verdict, verdict.expected, point, record, previous);
    this.transform.update(record);
    if (verdict.grade > 0) this.corrector.noteShift(this.transform.shifts);
    this.push(scaled, record);
    return { ...verdict, expected, confidence, timestamp };
  }

  /** What was expected in place of the record that stands out; its own numbers where nothing else was expected. */
  private inOwnUnits(
    { relativeIndex }: Verdict,
    expected: Float32Array,
    point: Float32Array,
    record: Point,
    previous: readonly number[],
  ): number[] {
    const { recordSize, inputs } = this;
    const start = point.length - (1 - relativeIndex) * recordSize;
    const actual = relativeIndex === 0 ? record : inputs.at(relativeIndex)!;
    const before = relativeIndex === 0 ? previous : (inputs.at(relativeIndex - 1) ?? actual);
    const inverse = this.transform.invert(expected.subarray(start, start + recordSize), before);
    return inverse.map((value, j) => (expected[start + j] === point[start + j] ? actual[j]! : value));
  }

  private confidence(): number {
    const { timeDecay, outputAfter } = this.forest.options;
    const first = Math.min(this.records, outputAfter);
    if (this.records === 0) return 0;
    if (timeDecay === 0) return 1 - first / this.records;
    return 1 - Math.expm1(first * timeDecay) / Math.expm1(Math.min(this.records * timeDecay, 700));
  }

  /** Learns a scaled record. */
  private push(scaled: readonly number[], record: Point): void {
    this.forest.update(scaled);
    this.window.copyWithin(0, this.recordSize);
    this.window.set(scaled, this.window.length - this.recordSize);
    this.inputs.shift();
    this.inputs.push(Array.from(record));
    this.records++;
  }

  /** At the door, since a record that fails later would have changed the statistics. */
  private check(record: Point): void {
    if (record.length !== this.recordSize) {
      throw new RandomCutForestError(
        'INVALID_POINT',
        `the record has ${record.length} numbers; it must have ${this.recordSize}`,
      );
    }
    for (let j = 0; j < record.length; j++) {
      const value = record[j]!;
      // Differences of two, weighted, must fit the forest's 32-bit numbers.
      if (typeof value !== 'number' || !(Math.abs(value) * Math.max(1, this.weights[j]!) < 2 ** 125)) {
        throw new RandomCutForestError(
          'INVALID_POINT',
          `number ${j} of the record is ${String(value)}; it must be finite, and with its weight below 2^125 in size`,
        );
      }
    }
  }
}

/** The result of a record that has no score yet. */
function nothing(threshold: number): Omit<ThresholdedResult, 'confidence' | 'timestamp'> {
  return {
    score: 0,
    grade: 0,
    threshold,
    expected: undefined,
    attribution: undefined,
    relativeIndex: 0,
    correction: undefined,
  };
}

function invalid(name: string, value: unknown, wanted: string): RandomCutForestError {
  return new RandomCutForestError('INVALID_OPTION', `${name} is ${String(value)}; it must be ${wanted}`);
}
