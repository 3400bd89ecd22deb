import type { Attribution } from './attribution.ts';
import { Deviation } from './deviation.ts';
import type { RandomCutForest } from './forest.ts';
import { type Bar, Thresholder } from './thresholder.ts';

/** Why a score above the threshold is no alarm. */
export type Correction =
  | 'NOISE'
  | 'ANOMALY_IN_SHINGLE'
  | 'FORECAST'
  | 'CONDITIONAL_FORECAST'
  | 'DATA_DRIFT'
  | 'ALERT_ONCE';

/** Distances from the expected value within which there is no alarm, in the record's own units. */
export interface IgnoredDistances {
  readonly amountAbove: number;
  readonly amountBelow: number;
  /** As a share of the actual value's size. */
  readonly ratioAbove: number;
  readonly ratioBelow: number;
}

export interface PredictorCorrectorOptions {
  readonly zFactor: number;
  readonly transformed: boolean;
  /** The transform takes a running mean off, which an anomaly moves. */
  readonly centered: boolean;
  readonly differencing: boolean;
  /** Discount of the transform's statistics. */
  readonly transformDecay: number;
  readonly autoAdjust: boolean;
  readonly alertOnce: boolean;
  readonly absoluteThreshold: number | undefined;
  readonly ignore: IgnoredDistances;
}

/** A record as the forest sees it, and the way back to its own units. */
export interface ScaledRecord {
  /** Number of the record. */
  readonly at: number;
  /** The scaled shingle that ends with it. */
  readonly point: Float32Array;
  /** For each feature: value = scaled × scale + shift. */
  readonly scale: readonly number[];
  readonly shift: readonly number[];
  /** For each feature: deviation of the steps from record to record, in its own units. */
  readonly noise: readonly number[];
}

export interface Verdict {
  readonly score: number;
  readonly grade: number;
  readonly threshold: number;
  readonly correction: Correction | undefined;
  /** The scaled shingle with what was expected in place of the anomaly. */
  readonly expected: Float32Array | undefined;
  readonly attribution: Attribution | undefined;
  /** Which record of the shingle stands out: 0 is the newest, -1 the one before. */
  readonly relativeIndex: number;
}

/** What later records need to know of an alarm. */
interface Alarm {
  readonly at: number;
  readonly score: number;
  readonly point: Float32Array;
  readonly expected: Float32Array | undefined;
  readonly shift: readonly number[];
  /** The shift after it was learnt; unknown while it is the record just before. */
  shiftAfter: readonly number[] | undefined;
}

/** Working state of one decision. */
interface Case {
  readonly record: ScaledRecord;
  readonly bar: Bar;
  readonly score: number;
  readonly alarm: Alarm | undefined;
  /** Records since the last alarm; at least the shingle where there was none. */
  readonly gap: number;
  /** The point as it would be without the last alarm. */
  readonly cleaned: Float32Array;
  expected: Float32Array | undefined;
  attribution: Attribution | undefined;
  relativeIndex: number;
  /** Score without what an earlier alarm added. */
  corrected: number;
}

const SIGNIFICANT_SHARE = 0.3;
const SIGNIFICANT_FACTOR = 1.2;
/** What rounding may leave of a value, relative to its scale. */
const PRECISION = 1e-3;
/** Share of the trees whose nearest sample must be like the record, to take it for ordinary. */
const SUPPORT = 0.1;
const NEAR = 1.1;
const MOST_ATTRIBUTORS = 5;
/** Alarms of a run before its own level is looked at. */
const RUN_ALLOWED = 2;

/**
 * Decides on scores: measures each against a threshold, then takes back what an earlier alarm in the shingle, the
 * noise, like samples or a new level explain. Spec: section 7, the reference's predictor-corrector.
 */
export class PredictorCorrector {
  private readonly forest: RandomCutForest;
  private readonly options: PredictorCorrectorOptions;
  private readonly thresholder: Thresholder;
  /** Numbers in a record. */
  private readonly size: number;
  private readonly shingleSize: number;
  private lastScore = 0;
  private lastThreshold = 0;
  private hasLast = false;
  private lastAlarm: Alarm | undefined;
  /** Alarms and corrections in the present run, and what the run has been like. */
  private runLength = 0;
  private readonly actual: readonly Deviation[];
  private readonly forecast: readonly Deviation[];

  constructor(forest: RandomCutForest, options: PredictorCorrectorOptions) {
    const { dimensions, shingleSize, timeDecay } = forest.options;
    this.forest = forest;
    this.options = options;
    this.size = dimensions / shingleSize;
    this.shingleSize = shingleSize;
    this.thresholder = new Thresholder({ ...options, timeDecay, shingled: shingleSize > 1 });
    this.actual = Array.from({ length: this.size }, () => new Deviation(timeDecay));
    this.forecast = Array.from({ length: this.size }, () => new Deviation(timeDecay));
  }

  get threshold(): number {
    return this.thresholder.bar.threshold;
  }

  /** Decides on a record with a score above 0, which the forest has not learnt yet. */
  decide(record: ScaledRecord, score: number): Verdict {
    const { bar } = this.thresholder;
    let grade = this.thresholder.grade(score, bar);
    // What is too little for a grade counts as having just met the threshold.
    const threshold = grade === 0 && score >= bar.threshold ? score : bar.threshold;
    const continuesRun = grade > 0 && this.continuesRun(score, threshold);
    const alarm = this.lastAlarm;
    const gap = alarm ? record.at - alarm.at : this.shingleSize;
    const work: Case = {
      record,
      bar,
      score,
      alarm,
      gap,
      cleaned: this.withoutLastAlarm(record, alarm, gap),
      expected: undefined,
      attribution: undefined,
      relativeIndex: 0,
      corrected: score,
    };
    let correction: Correction | undefined;
    if (grade > 0) {
      correction = this.explain(work);
      if (correction) {
        grade = 0;
        work.corrected = score;
      }
    }
    if (continuesRun && this.options.autoAdjust) {
      this.noteRun(work);
      if (grade > 0 && this.runLength > RUN_ALLOWED && this.agreesWithRun(work)) correction = 'DATA_DRIFT';
    }
    // The reference lets one alarm a shingle through.
    if (continuesRun && this.options.alertOnce && grade > 0 && !correction && this.runLength > 0) {
      correction = 'ALERT_ONCE';
    }
    if (correction) grade = 0;

    if (grade > 0) this.runLength++;
    else if (!correction) this.endRun();
    else if (this.runLength > 0) this.runLength++;

    if (grade > 0) {
      const { expected } = work;
      this.lastAlarm = {
        at: record.at,
        score,
        point: record.point.slice(),
        expected,
        shift: record.shift,
        shiftAfter: undefined,
      };
    }
    this.thresholder.update(score, work.corrected, this.lastScore);
    this.lastScore = score;
    this.lastThreshold = threshold;
    this.hasLast = true;
    return {
      score,
      grade,
      threshold,
      correction,
      expected: grade > 0 ? work.expected : undefined,
      attribution: grade > 0 && work.attribution ? rescaled(work.attribution, score) : undefined,
      relativeIndex: grade > 0 ? work.relativeIndex : 0,
    };
  }

  /** To be told the transform's shifts after the record of an alarm was learnt. */
  noteShift(shifts: readonly number[]): void {
    if (this.lastAlarm) this.lastAlarm.shiftAfter = shifts;
  }

  /** The first rule that explains the score without a new anomaly. */
  private explain(work: Case): Correction | undefined {
    const { record, cleaned, gap, bar } = work;
    if (this.isRounding(record, cleaned)) return 'NOISE';
    const within = Math.min(gap, this.shingleSize);
    const evaluated = this.forest.evaluatePoint(cleaned);
    work.attribution = evaluated.attribution;
    if (cleaned.some((value, j) => value !== record.point[j])) {
      work.corrected = evaluated.score;
      if (evaluated.score > bar.threshold) {
        const ideal = this.expectedPoint(
          evaluated.attribution,
          this.strongestBlock(evaluated.attribution, within),
          cleaned,
        );
        if (ideal) {
          const rest = this.forest.evaluatePoint(ideal);
          work.corrected = rest.score;
          if (!this.isSignificant(work, rest.attribution)) return 'ANOMALY_IN_SHINGLE';
        }
      }
    }
    const block = this.shingleSize === 1 ? 0 : this.strongestBlock(work.attribution, within);
    work.relativeIndex = block - (this.shingleSize - 1);
    const near = this.uncertaintyBox(record, block);
    if (this.options.autoAdjust && this.isKnown(work, block, near)) return 'CONDITIONAL_FORECAST';
    work.expected = this.expectedPoint(work.attribution, block, cleaned);
    if (!work.expected) return undefined;
    if (gap < this.shingleSize) {
      const rest = this.forest.evaluatePoint(work.expected);
      work.corrected = rest.score;
      if (!this.isSignificant(work, rest.attribution)) return 'ANOMALY_IN_SHINGLE';
    } else work.corrected = work.score;
    return this.isNear(near, record, block, work.expected) ? 'FORECAST' : undefined;
  }

  /**
   * The point with what was expected in place of the last alarm, while that is in the shingle, and with the shift
   * that the alarm brought about taken back, while it lasts.
   */
  private withoutLastAlarm({ point, scale }: ScaledRecord, alarm: Alarm | undefined, gap: number): Float32Array {
    const cleaned = point.slice();
    if (!alarm) return cleaned;
    const { size, shingleSize } = this;
    if (alarm.expected) {
      if (gap < shingleSize) cleaned.set(alarm.expected.subarray(gap * size));
      if (gap <= shingleSize && this.options.differencing) {
        // The step back from the anomaly is as far out as the step to it.
        const last = point.length - size;
        for (let j = 0; j < size; j++) {
          cleaned[point.length - gap * size + j]! += alarm.point[last + j]! - alarm.expected[last + j]!;
        }
      }
    }
    // As in the reference, the record right after an alarm keeps the shift.
    if (this.options.centered && alarm.shiftAfter && gap < 2 * shingleSize && (gap > 1 || !alarm.expected)) {
      const left = Math.exp(-gap * this.options.transformDecay);
      for (let at = point.length - Math.min(gap, shingleSize) * size; at < point.length; at++) {
        const j = at % size;
        if (scale[j] !== 0) cleaned[at]! += ((alarm.shiftAfter[j]! - alarm.shift[j]!) * left) / scale[j]!;
      }
    }
    return cleaned;
  }

  /** Whether the whole point is what rounding leaves of 0. */
  private isRounding({ scale, shift }: ScaledRecord, point: Float32Array): boolean {
    return point.every((value, at) => {
      const j = at % this.size;
      return Math.abs(value) * scale[j]! <= PRECISION * (1 + Math.abs(shift[j]!));
    });
  }

  /** Of the newest `within` blocks of the shingle the one with the largest attribution, the oldest of equals. */
  private strongestBlock({ high, low }: Attribution, within: number): number {
    let best = this.shingleSize - within;
    let most = -1;
    for (let block = best; block < this.shingleSize; block++) {
      let sum = 0;
      for (let at = block * this.size; at < (block + 1) * this.size; at++) sum += high[at]! + low[at]!;
      if (sum > most) [best, most] = [block, sum];
    }
    return best;
  }

  /** The point with the coordinates of a block that matter imputed; undefined where too many of them do. */
  private expectedPoint({ high, low }: Attribution, block: number, point: Float32Array): Float32Array | undefined {
    const { size } = this;
    const shares = Array.from({ length: size }, (_, j) => high[block * size + j]! + low[block * size + j]!);
    let missing = [block * size];
    if (size > 1) {
      const sum = shares.reduce((a, b) => a + b, 0);
      const descending = shares.toSorted((a, b) => b - a);
      if (descending[0]! < 0.1 * sum) return undefined;
      const least = Math.min(0.1 * sum, 0.1);
      const count = Math.max(1, descending.filter((share) => share >= least).length);
      if (count > MOST_ATTRIBUTORS) return undefined;
      const cutoff = descending[count - 1]!;
      missing = shares.flatMap((share, j) => (share >= cutoff ? [block * size + j] : []));
    }
    return missing.length > 0.5 * point.length ? undefined : this.forest.imputePoint(point, missing);
  }

  /** Whether what is new since the last alarm is large enough for an alarm of its own. */
  private isSignificant({ gap, alarm, attribution, bar }: Case, ideal: Attribution): boolean {
    if (gap >= this.shingleSize || !alarm) return true;
    const { high, low } = attribution!;
    let remainder = 0;
    for (let at = high.length - gap * this.size; at < high.length; at++) {
      remainder += Math.abs(high[at]! - ideal.high[at]!) + Math.abs(low[at]! - ideal.low[at]!);
    }
    return (
      remainder > SIGNIFICANT_SHARE * alarm.score &&
      (remainder * this.shingleSize) / gap > SIGNIFICANT_FACTOR * bar.threshold
    );
  }

  /** How far from a block's values others may be and still count as like them, in the record's own units. */
  private uncertaintyBox(
    { point, scale, shift, noise }: ScaledRecord,
    block: number,
  ): { above: number; below: number }[] {
    const { size } = this;
    const { ignore, differencing } = this.options;
    return Array.from({ length: size }, (_, j) => {
      const start = block * size + j;
      // The record's own ups and downs since the block.
      let path = 0;
      let steps = 0;
      for (let at = start; at + size < point.length; at += size, steps++) {
        path += Math.abs(differencing ? point[at]! : point[at + size]! - point[at]!);
      }
      const rounding = PRECISION + (shift[j] === 0 ? 0 : PRECISION * (scale[j]! + Math.abs(shift[j]!)));
      const gap = Math.max(steps > 0 ? (scale[j]! * path) / steps : 0, noise[j]!) + rounding;
      const actual = Math.abs(scale[j]! * point[start]! + shift[j]!);
      return {
        above: Math.max(ignore.amountAbove, ignore.ratioAbove * actual, gap),
        below: Math.max(ignore.amountBelow, ignore.ratioBelow * actual, gap),
      };
    });
  }

  private isNear(
    box: readonly { above: number; below: number }[],
    { point, scale }: ScaledRecord,
    block: number,
    other: Float32Array,
  ): boolean {
    return box.every(({ above, below }, j) => {
      const at = block * this.size + j;
      const difference = scale[j]! * point[at]! - scale[j]! * other[at]!;
      return difference <= above && -difference <= below;
    });
  }

  /** Whether enough trees come to samples that are like the record. */
  private isKnown({ record, cleaned }: Case, block: number, box: readonly { above: number; below: number }[]): boolean {
    const neighbors = this.forest.nearNeighbors(cleaned);
    const mean = neighbors.reduce((sum, { distance }) => sum + distance, 0) / neighbors.length;
    let support = 0;
    for (const { point, distance, count } of neighbors) {
      if (distance < NEAR * mean && this.isNear(box, record, block, point)) support += count;
    }
    return support >= SUPPORT * this.forest.options.numberOfTrees;
  }

  /** Whether a score above the threshold is taken for part of the run before it; the longer that is, the sooner. */
  private continuesRun(score: number, threshold: number): boolean {
    if (!this.hasLast) return false;
    if (score > this.lastScore) return true;
    const stretch = 1 + Math.max(0.2, this.runLength / (2 * Math.max(10, this.shingleSize)));
    return this.lastScore - this.lastThreshold > score - Math.max(threshold, this.lastThreshold) * stretch;
  }

  private noteRun({ record, expected }: Case): void {
    const newest = record.point.length - this.size;
    for (let j = 0; j < this.size; j++) {
      this.actual[j]!.update(record.point[newest + j]!);
      if (expected) this.forecast[j]!.update(expected[newest + j]!);
    }
  }

  /** Whether the values are what the run has been like: a new level rather than further anomalies. */
  private agreesWithRun({ record, expected }: Case): boolean {
    const newest = record.point.length - this.size;
    return this.actual.every((actual, j) => {
      const value = record.point[newest + j]!;
      const noise = record.scale[j] === 0 ? Number.POSITIVE_INFINITY : record.noise[j]! / record.scale[j]!;
      if (!(Math.abs(actual.mean - value) < Math.max(2 * actual.deviation, noise))) return false;
      if (!expected) return true;
      const forecast = this.forecast[j]!;
      const spread = 2 * Math.max(forecast.deviation, actual.deviation) + 0.1 * Math.abs(actual.mean - forecast.mean);
      return Math.abs(forecast.mean - expected[newest + j]!) < spread;
    });
  }

  private endRun(): void {
    this.runLength = 0;
    for (const deviation of [...this.actual, ...this.forecast]) deviation.reset();
  }
}

/** The attribution in the same shares, with this sum. */
function rescaled({ high, low }: Attribution, sum: number): Attribution {
  let total = 0;
  for (let j = 0; j < high.length; j++) total += high[j]! + low[j]!;
  if (total === 0) return { high, low };
  const factor = sum / total;
  return { high: high.map((value) => value * factor), low: low.map((value) => value * factor) };
}
