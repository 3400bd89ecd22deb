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

/** Rows in a run above the threshold, with the one that scored highest. */
export interface Anomaly {
  /** Positions in the table. */
  readonly from: number;
  readonly to: number;
  readonly peak: number;
  readonly score: number;
  /** Share of the score by column, the largest first. */
  readonly columns: readonly { readonly name: string; readonly share: number; readonly direction: 'high' | 'low' }[];
}

export interface Scored {
  readonly scores: Float64Array;
  readonly threshold: number;
  readonly anomalies: readonly Anomaly[];
  /** Rows at the start whose scores are held back at 0. */
  readonly warmUp: number;
}

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
  const scalers = table.columns.map((_, j) => new RobustScaler(floorOf(table, j)));
  const scores = new Float64Array(table.rows.length);
  const anomalies: Anomaly[] = [];
  const warmUp = Math.max(forest.options.outputAfter, 2 * shingleSize, 30);
  table.rows.forEach((row, t) => {
    const point = features === 'raw' ? row : row.map((value, j) => scalers[j]!.scale(value));
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
          columns: sharesOf(forest, point, table),
        };
        if (continues) anomalies[anomalies.length - 1] = found;
        else anomalies.push(found);
      }
    }
    forest.update(point);
  });
  return { scores, threshold, anomalies, warmUp };
}

/** A hundredth of the typical size of a column's steps from its first value, so that no unit is assumed. */
function floorOf(table: Table, column: number): number {
  const sizes = table.rows.slice(0, 1000).map((row) => Math.abs(row[column]!));
  const mean = sizes.reduce((a, b) => a + b, 0) / sizes.length;
  return Math.max(mean / 100, 1e-9);
}

function sharesOf(forest: RandomCutForest, point: readonly number[], table: Table): Anomaly['columns'] {
  const { high, low } = forest.attribution(point);
  const width = table.columns.length;
  let total = 0;
  const sums = table.columns.map((name, j) => {
    let [above, below] = [0, 0];
    for (let at = j; at < high.length; at += width) {
      above += high[at]!;
      below += low[at]!;
    }
    total += above + below;
    return { name, above, below };
  });
  return sums
    .map(({ name, above, below }) => ({
      name,
      share: total > 0 ? (above + below) / total : 0,
      direction: above >= below ? ('high' as const) : ('low' as const),
    }))
    .sort((a, b) => b.share - a.share);
}
