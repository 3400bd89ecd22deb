import { RandomCutForest } from '@headrace/random-cut-forest';
import { RobustScaler } from './scaler.ts';
import type { Table } from './table.ts';

export interface ScoreOptions {
  readonly features: 'raw' | 'scaled';
  readonly shingleSize: number;
  readonly numberOfTrees: number;
  readonly sampleSize: number;
  readonly randomSeed: number;
  /** Undefined: the one that suits features, shingle and sample size. */
  readonly threshold: number | undefined;
}

/** A column's part in an anomaly. */
export interface ColumnShare {
  readonly name: string;
  /** Of the score, 0 to 1. */
  readonly share: number;
  /** The row of the shingle that weighs most in this column: position in the table. */
  readonly row: number;
  readonly direction: 'high' | 'low';
}

/** Rows in a run above the threshold, with the one that scored highest. */
export interface Anomaly {
  /** Positions in the table. */
  readonly from: number;
  readonly to: number;
  readonly peak: number;
  readonly score: number;
  /** What made up the score by column, the largest first. */
  readonly columns: readonly ColumnShare[];
}

export interface Scored {
  readonly scores: Float64Array;
  readonly threshold: number;
  readonly anomalies: readonly Anomaly[];
  /** Rows at the start whose scores are held back at 0. */
  readonly warmUp: number;
}

const MOST = 2 ** 120;

/** The threshold at 256 samples: the longer the shingle, the lower the peaks; standardised columns lower them too. */
export function suitableThreshold(features: 'raw' | 'scaled', shingleSize: number, sampleSize: number): number {
  const bySize = shingleSize === 1 ? 3 : shingleSize <= 4 ? 2.5 : shingleSize <= 12 ? 2 : 1.5;
  const base = features === 'scaled' ? Math.min(2, bySize) : bySize;
  return (base * Math.log2(sampleSize + 1)) / Math.log2(257);
}

/** Scores each row, then learns it; gathers what lies above the threshold into runs. */
export function scoreTable(table: Table, options: ScoreOptions): Scored {
  const { features, shingleSize, numberOfTrees, sampleSize, randomSeed } = options;
  const width = table.columns.length;
  const threshold = options.threshold ?? suitableThreshold(features, shingleSize, sampleSize);
  using forest = new RandomCutForest({
    dimensions: width * shingleSize,
    shingleSize,
    internalShingling: true,
    numberOfTrees,
    sampleSize,
    randomSeed,
  });
  const usual = table.columns.map((_, j) => usualRange(table, j));
  const scalers = table.columns.map((_, j) => new RobustScaler(floorOf(table, j)));
  const scores = new Float64Array(table.rows.length);
  const anomalies: Anomaly[] = [];
  const warmUp = Math.max(forest.options.outputAfter, 2 * shingleSize, 30);
  table.rows.forEach((row, t) => {
    const point = features === 'raw' ? row : row.map((value, j) => within(scalers[j]!.scale(value)));
    const score = forest.score(point);
    scores[t] = score;
    if (score >= threshold && t >= warmUp) {
      const last = anomalies.at(-1);
      const continues = last !== undefined && t - last.to <= shingleSize;
      if (continues && score <= last.score) anomalies[anomalies.length - 1] = { ...last, to: t };
      else {
        const found = {
          from: continues ? last.from : t,
          to: t,
          peak: t,
          score,
          columns: sharesOf(forest, point, table, t, usual),
        };
        if (continues) anomalies[anomalies.length - 1] = found;
        else anomalies.push(found);
      }
    }
    forest.update(point);
  });
  return { scores, threshold, anomalies, warmUp };
}

/** What 32 bits hold: a column of tiny numbers may have one that is huge beside them. */
function within(scaled: number): number {
  return Math.max(-MOST, Math.min(MOST, scaled));
}

/** A hundredth of the typical size of a column's steps from its first value, so that no unit is assumed. */
function floorOf(table: Table, column: number): number {
  const sizes = table.rows.slice(0, 1000).map((row) => Math.abs(row[column]!));
  const mean = sizes.reduce((a, b) => a + b, 0) / sizes.length;
  return Math.max(mean / 100, 1e-9);
}

/** What all but one row in twenty lie in, on either side. */
function usualRange(table: Table, column: number): readonly [low: number, high: number] {
  const sorted = Float64Array.from(table.rows, (row) => row[column]!).sort();
  const rank = Math.floor((sorted.length - 1) * 0.05);
  return [sorted[rank]!, sorted[sorted.length - 1 - rank]!];
}

function sharesOf(
  forest: RandomCutForest,
  point: readonly number[],
  table: Table,
  row: number,
  usual: readonly (readonly [low: number, high: number])[],
): ColumnShare[] {
  const { high, low } = forest.attribution(point);
  const width = table.columns.length;
  const blocks = high.length / width;
  let total = 0;
  const found = table.columns.map((name, j) => {
    let sum = 0;
    let strongest = { share: -1, block: blocks - 1, direction: 'high' as 'high' | 'low' };
    for (let block = 0; block < blocks; block++) {
      const [above, below] = [high[block * width + j]!, low[block * width + j]!];
      sum += above + below;
      if (above + below > strongest.share) {
        strongest = { share: above + below, block, direction: above >= below ? 'high' : 'low' };
      }
    }
    total += sum;
    const at = Math.max(0, row - (blocks - 1 - strongest.block));
    return {
      name,
      sum,
      row: at,
      direction: blocks === 1 ? directionOf(j, at, strongest.direction) : strongest.direction,
    };
  });
  return found
    .map(({ sum, ...column }) => ({ ...column, share: total > 0 ? sum / total : 0 }))
    .sort((a, b) => b.share - a.share);

  /** A value that few exceed is too high, also where earlier incidents were higher still and it is low beside them. */
  function directionOf(column: number, at: number, attributed: 'high' | 'low'): 'high' | 'low' {
    const value = table.rows[at]![column]!;
    const [least, most] = usual[column]!;
    return value > most ? 'high' : value < least ? 'low' : attributed;
  }
}
