import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RandomCutForest } from '@headrace/random-cut-forest';
import { packArtifact } from './artifact.ts';
import { SageMakerError } from './errors.ts';
import { parsePayload } from './payload.ts';
import { readObjects, writeObject } from './storage.ts';

// Training as SageMaker's built-in Random Cut Forest: a sample of the rows for each tree, then frozen. Hyperparameters
// and their ranges: https://docs.aws.amazon.com/sagemaker/latest/dg/rcf_hyperparameters.html

export interface HyperParameters {
  readonly featureDim: number;
  readonly numSamplesPerTree: number;
  readonly numTrees: number;
}

export interface Channel {
  readonly uri: string;
  readonly contentType: string;
}

export interface TrainingPlan {
  readonly name: string;
  readonly hyperParameters: HyperParameters;
  readonly train: Channel;
  readonly test: Channel | undefined;
  readonly artifactUri: string;
}

export interface Metric {
  readonly MetricName: string;
  readonly Value: number;
}

const RANGES: Readonly<Record<string, readonly [low: number, high: number, standard: number | undefined]>> = {
  feature_dim: [1, 10_000, undefined],
  num_samples_per_tree: [1, 2048, 256],
  num_trees: [50, 1000, 100],
};
const METRICS = /^\s*\[\s*("(accuracy|precision_recall_fscore)"\s*,?\s*){1,2}\]\s*$/;

/** Reads hyperparameters, all of them text. Throws Error naming the parameter and its range. */
export function parseHyperParameters(values: Readonly<Record<string, unknown>>): HyperParameters {
  for (const name of Object.keys(values)) {
    if (!(name in RANGES) && name !== 'eval_metrics') throw new Error(`hyperparameter ${name} is not known`);
    if (typeof values[name] !== 'string') throw new Error(`hyperparameter ${name} must be text`);
  }
  const read = (name: string): number => {
    const [low, high, standard] = RANGES[name]!;
    const text = values[name];
    if (text === undefined && standard !== undefined) return standard;
    const value = Number(text);
    if (text === undefined || !/^\d+$/.test(String(text)) || value < low || value > high) {
      throw new Error(
        `hyperparameter ${name} is ${JSON.stringify(text ?? null)}; it must be a whole number from ${low} to ${high}`,
      );
    }
    return value;
  };
  const metrics = values['eval_metrics'];
  if (typeof metrics === 'string' && !METRICS.test(metrics)) {
    throw new Error('hyperparameter eval_metrics must be a list of "accuracy" and "precision_recall_fscore"');
  }
  return {
    featureDim: read('feature_dim'),
    numSamplesPerTree: read('num_samples_per_tree'),
    numTrees: read('num_trees'),
  };
}

/** Trains, writes the artifact, and answers the metrics of the test channel. Throws Error with the reason of failure. */
export async function train(plan: TrainingPlan, isStopped: () => boolean): Promise<Metric[]> {
  const { featureDim, numSamplesPerTree, numTrees } = plan.hyperParameters;
  const forest = new RandomCutForest({
    dimensions: featureDim,
    numberOfTrees: numTrees,
    sampleSize: numSamplesPerTree,
    timeDecay: 0,
    outputAfter: 1,
    randomSeed: createHash('sha256').update(plan.name).digest().readUInt32LE(0),
  });
  try {
    let count = 0;
    for await (const rows of rowsOf(plan.train, featureDim, false)) {
      for (const { row } of rows) {
        forest.update(row);
        // Other requests are answered in between.
        if (++count % 500 === 0) await nextTurn();
      }
      if (isStopped()) throw new Error('stopped by request');
    }
    if (count === 0) throw new Error('ClientError: the train channel holds no rows');
    const metrics = plan.test ? await evaluate(forest, plan.test, featureDim) : [];
    await writeObject(plan.artifactUri, packArtifact(forest.toBytes()));
    return metrics;
  } finally {
    forest.dispose();
  }
}

/** Precision, recall and F1 at the mean score plus three deviations, as the algorithm's own evaluation. */
async function evaluate(forest: RandomCutForest, channel: Channel, featureDim: number): Promise<Metric[]> {
  const scores: number[] = [];
  const labels: number[] = [];
  for await (const rows of rowsOf(channel, featureDim, true)) {
    for (const { row, label } of rows) {
      scores.push(forest.score(row));
      labels.push(label);
      if (scores.length % 500 === 0) await nextTurn();
    }
  }
  const mean = scores.reduce((a, b) => a + b, 0) / scores.length;
  const deviation = Math.sqrt(scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / scores.length);
  const flagged = scores.map((score) => score > mean + 3 * deviation);
  const hits = flagged.filter((flag, k) => flag && labels[k] === 1).length;
  const precision = hits / Math.max(1, flagged.filter(Boolean).length);
  const recall = hits / Math.max(1, labels.filter((label) => label === 1).length);
  const accuracy = flagged.filter((flag, k) => flag === (labels[k] === 1)).length / scores.length;
  return [
    { MetricName: 'test:accuracy', Value: accuracy },
    { MetricName: 'test:precision', Value: precision },
    { MetricName: 'test:recall', Value: recall },
    { MetricName: 'test:f1', Value: precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0 },
  ];
}

async function* rowsOf(
  channel: Channel,
  featureDim: number,
  labelled: boolean,
): AsyncGenerator<{ row: number[]; label: number }[]> {
  for await (const { name, bytes } of readObjects(channel.uri)) {
    if (bytes.length === 0) continue;
    let rows: readonly number[][];
    try {
      const type = channel.contentType.replace(/;\s*label_size\s*=\s*[01]/i, '');
      rows = parsePayload(type, bytes, { compat: 'strict', keyColumn: undefined }).rows;
    } catch (error) {
      const message = error instanceof SageMakerError ? String(error.members['OriginalMessage']) : String(error);
      throw new Error(`ClientError: ${name}: ${message}`);
    }
    const width = rows[0]!.length - (labelled ? 1 : 0);
    if (width !== featureDim)
      throw new Error(`ClientError: ${name}: rows have ${width} values, feature_dim is ${featureDim}`);
    yield rows.map((row) => (labelled ? { row: row.slice(1), label: row[0]! } : { row, label: 0 }));
  }
}
