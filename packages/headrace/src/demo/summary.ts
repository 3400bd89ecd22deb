import type { Terminal } from '../cli/terminal.ts';
import type { DemoInput } from './input.ts';
import type { LabelEvaluation } from './labels.ts';
import { percentile } from './produced-times.ts';

/** What `headrace demo --json` prints. Times in milliseconds. */
export interface DemoSummary {
  readonly recordsProduced: number;
  /** Distinct records in the table, counted by scanning it. */
  readonly recordsScored: number;
  readonly recordsLost: number;
  /** Records that the function got more than once; each is one item in the table all the same. */
  readonly duplicates: number;
  readonly invocations: number;
  readonly failedInvocations: number;
  readonly alerts: number;
  /** From the start of the process to the storing of the first record whose score is above 0; null: none was. */
  readonly firstScoredMs: number | null;
  readonly recordsPerSecond: number;
  /** From the producer's send to the invocation's success, which follows DynamoDB's answer; see `Observer.latencies`. */
  readonly latencyMs: { readonly p50: number | null; readonly p99: number | null };
  /** Seconds of the engine's thread that the model took. */
  readonly modelSeconds: number;
  readonly threshold: number;
  /** Records whose score is over the threshold. */
  readonly anomalous: number;
  /** Null when the input has no labels. */
  readonly labels: LabelEvaluation | null;
}

export interface SummaryFacts {
  readonly input: DemoInput;
  readonly options: { readonly threshold: number };
  readonly produced: number;
  readonly stored: number;
  readonly items: number;
  readonly delivered: number;
  readonly invocations: number;
  readonly failedInvocations: number;
  readonly alerts: number;
  readonly firstScoredMilliseconds: number;
  readonly activeMilliseconds: number;
  readonly latencies: Float64Array;
  readonly modelSeconds: number;
  readonly scored: readonly { readonly index: number; readonly score: number }[];
}

const round = (value: number, digits: number): number | null =>
  Number.isFinite(value) ? Number(value.toFixed(digits)) : null;

/** Pure: the facts as the document that `--json` prints. */
export function summarise(facts: SummaryFacts): DemoSummary {
  const { threshold } = facts.options;
  const evaluation = facts.input.evaluate(facts.scored, threshold);
  return {
    recordsProduced: facts.produced,
    recordsScored: facts.stored,
    recordsLost: facts.produced - facts.stored,
    duplicates: Math.max(0, facts.delivered - facts.produced),
    invocations: facts.invocations,
    failedInvocations: facts.failedInvocations,
    alerts: facts.alerts,
    firstScoredMs: round(facts.firstScoredMilliseconds, 0),
    recordsPerSecond: round((facts.stored / facts.activeMilliseconds) * 1000, 1) ?? 0,
    latencyMs: { p50: round(percentile(facts.latencies, 0.5), 2), p99: round(percentile(facts.latencies, 0.99), 2) },
    modelSeconds: round(facts.modelSeconds, 3) ?? 0,
    threshold,
    anomalous: facts.scored.filter(({ score }) => score > threshold).length,
    labels: evaluation ?? null,
  };
}

/** The summary for a person. */
export function printSummary(terminal: Terminal, summary: DemoSummary): void {
  const number = (value: number | null, unit = ''): string =>
    value === null ? 'none' : `${value.toLocaleString('en-US')}${unit}`;
  const { labels } = summary;
  const rows: [string, string][] = [
    ['produced', number(summary.recordsProduced)],
    ['stored', `${number(summary.recordsScored)}, lost ${summary.recordsLost}, delivered twice ${summary.duplicates}`],
    ['first score', `stored ${number(summary.firstScoredMs, ' ms')} after the start of the process`],
    [
      'throughput',
      `${number(Math.round(summary.recordsPerSecond))} records/s in ${number(summary.invocations)} invocations`,
    ],
    [
      'latency',
      `produce → stored: p50 ${number(summary.latencyMs.p50, ' ms')}, p99 ${number(summary.latencyMs.p99, ' ms')}`,
    ],
    ['anomalous', `${number(summary.anomalous)} records over ${summary.threshold}, ${number(summary.alerts)} alerts`],
  ];
  if (labels !== null) {
    rows.push([
      'incidents',
      `${labels.found} of ${labels.incidents} found (${labels.byKind
        .map(({ kind, found, incidents }) => `${kind} ${found}/${incidents}`)
        .join(', ')})`,
    ]);
    rows.push([
      'alarms',
      `${labels.falseAlarmsPer1000} false per 1,000 records; precision ${labels.precision ?? '-'}, recall ${labels.recall ?? '-'}`,
    ]);
  }
  terminal.print();
  for (const [name, text] of rows) terminal.print(`${terminal.style('bold', name.padEnd(12))}${text}`);
}
