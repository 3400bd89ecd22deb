import { RandomCutForest, ThresholdedForest } from '../src/index.ts';

/** A way to score a series. */
export interface Variant {
  readonly name: string;
  /** Columns of the files that it reads. */
  readonly columns: readonly string[];
  readonly kind: 'stream' | 'batch' | 'thresholded' | 'log';
  score(rows: readonly number[][], seed: number): Float64Array;
}

export const GRAMMAR = [
  'stream-s{shingle}-t{trees}[-n{samples}][-l{decay}]      each row is scored, then learnt',
  'batch-s{shingle}-t{trees}[-n{samples}][-l{decay}]       all rows are learnt, then all are scored',
  'thresholded-s{shingle}-t{trees}[-n{samples}][-l{decay}] the grade of the thresholded forest',
  'log-{raw|z}-s{shingle}-t{trees}[-n{samples}][-l{decay}] request logs: response_ms, status, bytes',
];

const PATTERN = /^(stream|batch|thresholded|log-raw|log-z)-s(\d+)-t(\d+)(?:-n(\d+))?(?:-l([0-9.]+(?:e-?\d+)?))?$/;

/** @throws Error with the grammar */
export function parseVariant(name: string): Variant {
  const match = PATTERN.exec(name);
  if (!match) throw new Error(`variant ${name} is not one of:\n  ${GRAMMAR.join('\n  ')}`);
  const [, family, shingle, trees, samples, decay] = match;
  const shingleSize = Number(shingle);
  const options = {
    shingleSize,
    internalShingling: true,
    numberOfTrees: Number(trees),
    sampleSize: samples === undefined ? 256 : Number(samples),
    ...(decay === undefined ? {} : { timeDecay: Number(decay) }),
  };
  const log = family!.startsWith('log');
  const columns = log ? ['response_ms', 'status', 'bytes'] : ['value'];
  const dimensions = columns.length * shingleSize;
  const stream = (rows: readonly number[][], randomSeed: number): Float64Array => {
    using forest = new RandomCutForest({ ...options, dimensions, randomSeed });
    return Float64Array.from(rows, (row) => forest.scoreAndUpdate(row));
  };
  switch (family) {
    case 'batch':
      return {
        name,
        columns,
        kind: 'batch',
        score(rows, randomSeed) {
          using forest = new RandomCutForest({
            ...options,
            dimensions,
            randomSeed,
            internalShingling: false,
            timeDecay: decay === undefined ? 0 : Number(decay),
            outputAfter: 1,
          });
          const points = rows.map((_, t) =>
            t < shingleSize - 1 ? undefined : rows.slice(t - shingleSize + 1, t + 1).flat(),
          );
          for (const point of points) if (point) forest.update(point);
          return Float64Array.from(points, (point) => (point ? forest.score(point) : 0));
        },
      };
    case 'thresholded':
      return {
        name,
        columns,
        kind: 'thresholded',
        score(rows, randomSeed) {
          const forest = new ThresholdedForest({
            ...options,
            dimensions,
            randomSeed,
            transform: 'NORMALIZE',
            autoAdjust: true,
          });
          return Float64Array.from(rows, (row, t) => forest.process(row, t).grade);
        },
      };
    case 'log-z':
      return { name, columns, kind: 'log', score: (rows, seed) => stream(standardise(rows), seed) };
    default:
      return { name, columns, kind: log ? 'log' : 'stream', score: stream };
  }
}

/** Each value less the mean of those before it, by their deviation, clamped to ±10. */
function standardise(rows: readonly number[][]): number[][] {
  const width = rows[0]?.length ?? 0;
  const sums = new Float64Array(width);
  const squares = new Float64Array(width);
  return rows.map((row, t) =>
    row.map((value, j) => {
      const mean = t > 0 ? sums[j]! / t : value;
      const deviation = t > 0 ? Math.sqrt(Math.max(0, squares[j]! / t - mean * mean)) : 0;
      sums[j]! += value;
      squares[j]! += value * value;
      return Math.max(-10, Math.min(10, (value - mean) / (deviation > 1e-9 ? deviation : 1)));
    }),
  );
}
