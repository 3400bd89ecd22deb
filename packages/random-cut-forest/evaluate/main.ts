import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { countAlarms, prAuc, probation, rocAuc, spreadOf, windowOfRows } from './metrics.ts';
import { type Figure, REFERENCE, type ReferenceFigures, TAXI_REFERENCE } from './reference.ts';
import { readSeries, readWindows, type Series, windowsOf } from './series.ts';
import { GRAMMAR, parseVariant, type Variant } from './variants.ts';

const HELP = `usage: npm run evaluate -- --data DIR --out DIR --variant NAME [--labels FILE] [--seeds 1..5] [--json]

Scores every CSV below the data folder and writes seedK/<path>.csv with timestamp,score below the output folder. With
labels it prints accuracy beside the figures of the AWS reference implementation.

  --data DIR      folder of CSV files with the header timestamp,value (request logs: response_ms,status,bytes[,label])
  --out DIR       where the scores go
  --variant NAME  one of
                    ${GRAMMAR.join('\n                    ')}
  --labels FILE   windows by file, as in the Numenta Anomaly Benchmark; default labels/combined_windows.json in the
                  data folder or one folder up
  --seeds A..B    default 1..5; also a list: 1,4,9
  --json          one JSON document instead of tables`;

/** Rows of a request log that only warm the forest up. */
const LOG_PROBATION = 256;
const THRESHOLDS = [1.5, 2, 2.5, 3];

interface SeedFigures {
  rocAuc: number;
  prAuc: number;
  found: number[];
  falseAlarms: number[];
}

interface Labelled {
  readonly series: Series;
  readonly from: number;
  /** Window of each row; for request logs each labelled row is a window of its own. */
  readonly windowOf: Int32Array;
}

function main(): number {
  const { values } = parseArgs({
    options: {
      data: { type: 'string' },
      out: { type: 'string' },
      variant: { type: 'string' },
      labels: { type: 'string' },
      seeds: { type: 'string', default: '1..5' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (!values.data || !values.out || !values.variant) {
    console.error(HELP);
    return 2;
  }
  const variant = parseVariant(values.variant);
  const seeds = parseSeeds(values.seeds);
  const all = readSeries(values.data, variant.columns);
  if (all.length === 0)
    throw new Error(`no CSV below ${values.data} has the columns timestamp,${variant.columns.join(',')}`);
  const windows = variant.kind === 'log' ? undefined : readWindows(values.data, values.labels);
  const labelled = all.flatMap((series): Labelled[] => {
    if (variant.kind === 'log') return series.labels ? [labelRows(series)] : [];
    const found = windows && windowsOf(windows, series.path);
    return found
      ? [{ series, from: probation(series.values.length), windowOf: windowOfRows(series.timestamps, found) }]
      : [];
  });

  const thresholds = variant.kind === 'thresholded' ? [Number.MIN_VALUE] : THRESHOLDS;
  const figures: SeedFigures[] = [];
  const taxi: SeedFigures[] = [];
  let rows = 0;
  const started = performance.now();
  for (const seed of seeds) {
    const scores = new Map<Series, Float64Array>();
    for (const series of all) {
      const result = variant.score(series.values, seed);
      rows += result.length;
      scores.set(series, result);
      const path = join(values.out, `seed${seed}`, series.path);
      mkdirSync(dirname(path), { recursive: true });
      const lines = series.timestamps.map((timestamp, t) => `${timestamp},${result[t]}\n`);
      writeFileSync(path, `timestamp,score\n${lines.join('')}`);
    }
    if (labelled.length > 0) figures.push(judge(labelled, scores, thresholds, variant.kind === 'log'));
    const city = labelled.filter(({ series }) => series.path.endsWith('nyc_taxi.csv'));
    if (city.length > 0 && labelled.length > 1) taxi.push(judge(city, scores, thresholds, variant.kind === 'log'));
  }
  const seconds = (performance.now() - started) / 1000;
  const alone = labelled.length === 1 && taxi.length === 0 && labelled[0]!.series.path.endsWith('nyc_taxi.csv');
  const reports = [
    {
      what: `${labelled.length} labelled ${labelled.length === 1 ? 'file' : 'files'}`,
      figures,
      reference: alone ? TAXI_REFERENCE[variant.name] : isReferenceData(labelled) ? REFERENCE[variant.name] : undefined,
    },
    { what: 'nyc_taxi.csv alone', figures: taxi, reference: TAXI_REFERENCE[variant.name] },
  ].filter((report) => report.figures.length > 0);
  if (values.json)
    console.log(JSON.stringify({ variant: variant.name, seeds, files: all.length, rows, seconds, reports }));
  else {
    console.log(
      `${variant.name}: ${all.length} files, seeds ${seeds.join(' ')}, ${rows} rows scored in ${seconds.toFixed(1)} s`,
    );
    if (labelled.length === 0) console.log('no labels: scores were written, nothing to compare');
    for (const report of reports) print(report.what, variant, thresholds, report.figures, report.reference);
  }
  return 0;
}

/** The reference's figures are those of its files; beside others they would mislead. */
function isReferenceData(labelled: readonly Labelled[]): boolean {
  const paths = labelled.map(({ series }) => series.path);
  const count = (pattern: RegExp): number => paths.filter((path) => pattern.test(path)).length;
  return (
    (paths.length === 24 && count(/realAWSCloudwatch\//) === 17 && count(/realKnownCause\//) === 7) ||
    (paths.length === 3 && count(/openstack-http-1[123]\.csv$/) === 3)
  );
}

function parseSeeds(text: string): number[] {
  const range = /^(\d+)\.\.(\d+)$/.exec(text);
  const seeds = range
    ? Array.from({ length: Number(range[2]) - Number(range[1]) + 1 }, (_, k) => Number(range[1]) + k)
    : text.split(',').map(Number);
  if (seeds.length === 0 || !seeds.every((seed) => Number.isInteger(seed) && seed >= 0)) {
    throw new Error(`--seeds is ${text}; it must be like 1..5 or 1,2,3`);
  }
  return seeds;
}

function labelRows(series: Series): Labelled {
  return { series, from: LOG_PROBATION, windowOf: Int32Array.from(series.labels!, (label, row) => (label ? row : -1)) };
}

/** Figures of one seed: areas as the mean over the files, since scores of different series do not compare; counts in sum. */
function judge(
  labelled: readonly Labelled[],
  scores: ReadonlyMap<Series, Float64Array>,
  thresholds: number[],
  byRows: boolean,
): SeedFigures {
  const areas: { roc: number; pr: number }[] = [];
  let counted = 0;
  for (const { series, from, windowOf } of labelled) {
    counted += series.values.length - from;
    const labels = Uint8Array.from(windowOf.subarray(from), (window) => (window >= 0 ? 1 : 0));
    const positives = labels.reduce((a, b) => a + b, 0);
    // Without a labelled row after the start, or with nothing else, a file has no area.
    if (positives === 0 || positives === labels.length) continue;
    const result = scores.get(series)!.subarray(from);
    areas.push({ roc: rocAuc(result, labels), pr: prAuc(result, labels) });
  }
  const found: number[] = [];
  const falseAlarms: number[] = [];
  for (const threshold of thresholds) {
    let hits = 0;
    let wrong = 0;
    for (const { series, from, windowOf } of labelled) {
      const alarms = countAlarms(scores.get(series)!, windowOf, from, threshold);
      hits += alarms.windowsHit;
      wrong += byRows ? alarms.falseRows : alarms.falseAlarms;
    }
    found.push(hits);
    falseAlarms.push((wrong / counted) * 1000);
  }
  return {
    rocAuc: spreadOf(areas.map(({ roc }) => roc)).mean,
    prAuc: spreadOf(areas.map(({ pr }) => pr)).mean,
    found,
    falseAlarms,
  };
}

function print(
  what: string,
  variant: Variant,
  thresholds: readonly number[],
  figures: readonly SeedFigures[],
  reference: ReferenceFigures | undefined,
): void {
  const lines: string[][] = [['', 'ours', 'reference', 'within tolerance']];
  const line = (
    name: string,
    values: readonly number[],
    digits: number,
    wanted: Figure | undefined,
    allowed: (reference: Figure) => number,
  ): void => {
    const { mean, deviation } = spreadOf(values);
    const cells = [name, `${mean.toFixed(digits)} ± ${deviation.toFixed(digits)}`];
    if (wanted) {
      // The larger of three deviations from seed to seed and what is allowed besides; ours where theirs is not known.
      const tolerance = Math.max(3 * (wanted[1] ?? deviation), allowed(wanted));
      cells.push(
        `${wanted[0]}${wanted[1] === undefined ? '' : ` ± ${wanted[1]}`}`,
        Math.abs(mean - wanted[0]) <= tolerance + 1e-9 ? 'yes' : `no (${tolerance.toFixed(digits)})`,
      );
    } else cells.push('', '');
    lines.push(cells);
  };
  line(
    'ROC AUC',
    figures.map((seed) => seed.rocAuc),
    4,
    reference?.rocAuc,
    () => 0.01,
  );
  line(
    'PR AUC',
    figures.map((seed) => seed.prAuc),
    4,
    reference?.prAuc,
    () => 0.01,
  );
  thresholds.forEach((threshold, k) => {
    const at = variant.kind === 'thresholded' ? 'with a grade' : `at ${threshold}`;
    const found = variant.kind === 'log' ? 'rows found' : 'windows hit';
    line(
      `${found} ${at}`,
      figures.map((seed) => seed.found[k]!),
      1,
      reference?.found[k],
      () => 1,
    );
  });
  thresholds.forEach((threshold, k) => {
    const at = variant.kind === 'thresholded' ? 'with a grade' : `at ${threshold}`;
    const wrong = variant.kind === 'log' ? 'false rows' : 'false alarms';
    line(
      `${wrong} per 1000 ${at}`,
      figures.map((seed) => seed.falseAlarms[k]!),
      2,
      reference?.falseAlarms[k],
      // A tenth, and what rounding left of the figure.
      ([mean, deviation]) => 0.1 * mean + (deviation === undefined ? 0.05 : 0.005),
    );
  });
  console.log(`\n${what}`);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((cells) => cells[column]!.length)));
  for (const cells of lines)
    console.log(`  ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join('   ')}`.trimEnd());
}

try {
  process.exitCode = main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
