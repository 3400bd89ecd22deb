import { RequestLogGenerator } from './generator.ts';
import { readInputFile } from './input-file.ts';
import { evaluateLabels, type LabelEvaluation, type LabelledIncident, type ScoredRecord } from './labels.ts';
import type { OutgoingRecord } from './producer.ts';

/** How many records the generator makes unless told otherwise. */
const DEFAULT_RECORDS = 20_000;

export interface DemoInputOptions {
  /** How many records; by default {@link DEFAULT_RECORDS} generated ones, or the whole file. */
  readonly records: number | undefined;
  /** Of the generator. */
  readonly seed: number;
  /** A file of the user's own. */
  readonly input: string | undefined;
  /** Which numbers of it to score. */
  readonly columns: readonly string[] | undefined;
}

/** What the demo sends, and what is known about it. */
export interface DemoInput {
  /** For a person, in one line. */
  readonly description: string;
  readonly count: number;
  /** What the example's template must be told about the records. */
  readonly templateParameters: Readonly<Record<string, string>>;
  /** The records in their order, dealt out to the partitions in turn; their Kafka timestamp is when they are taken. */
  outgoing(partitions: number): Iterable<OutgoingRecord>;
  /** Compares scores with the labels; undefined when the input has none. Only after `outgoing` was used up. */
  evaluate(scored: Iterable<ScoredRecord>, threshold: number): LabelEvaluation | undefined;
}

/**
 * The demo's input: generated request logs, or a file.
 * @throws HeadraceError as {@link readInputFile} does
 */
export async function openDemoInput(options: DemoInputOptions): Promise<DemoInput> {
  return options.input === undefined ? generated(options) : fromFile(options, options.input);
}

function generated({ records = DEFAULT_RECORDS, seed }: DemoInputOptions): DemoInput {
  const generator = new RequestLogGenerator({ records, seed });
  return {
    description: `${records.toLocaleString('en-US')} generated web requests with incidents, seed ${seed}`,
    count: records,
    templateParameters: {},
    *outgoing(partitions) {
      for (const { index, record } of generator) yield outgoing(index, JSON.stringify(record), partitions);
    },
    evaluate: (scored, threshold) => evaluateLabels(generator.incidents, scored, threshold),
  };
}

function fromFile({ records, columns }: DemoInputOptions, path: string): DemoInput {
  const file = readInputFile(path, columns);
  const count = Math.min(records ?? file.count, file.count);
  const incidents: LabelledIncident[] | undefined = file.incidents?.filter(({ firstRecord }) => firstRecord < count);
  // Anomalies within ten of the series' own steps are neighbours: one alert.
  const group = file.stepSeconds === undefined ? 900 : Math.min(86_400, Math.max(60, Math.ceil(10 * file.stepSeconds)));
  return {
    description: `${path}: ${file.format}, ${count.toLocaleString('en-US')} records, scoring ${file.features.join(', ')}`,
    count,
    templateParameters: { AnomalyFeatures: file.features.join(','), AlertGroupSeconds: String(group) },
    *outgoing(partitions) {
      let index = 0;
      for (const value of file.records()) {
        if (index === count) return;
        yield outgoing(index++, value, partitions);
      }
    },
    evaluate: (scored, threshold) => (incidents ? evaluateLabels(incidents, scored, threshold) : undefined),
  };
}

function outgoing(index: number, value: string, partitions: number): OutgoingRecord {
  return { key: `record-${index}`, value, timestamp: Date.now(), partition: index % partitions };
}
