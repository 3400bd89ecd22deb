import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { HeadraceError } from '../../errors.ts';
import { createKafkaCluster, readClientProperties } from '../../kafka/index.ts';
import { recordsFromFile } from '../../mappings/event-file.ts';
import { type FilterRecord, InvalidFilterError } from '../../mappings/filter.ts';
import { type DryRunExample, type DryRunReport, FilterDryRun } from '../../mappings/filter-dry-run.ts';
import { readLastRecords } from '../../mappings/last-records.ts';
import type { Command, Options } from '../command.ts';
import { parseServers } from '../engine-flags.ts';
import type { Terminal } from '../terminal.ts';

const defaultLast = 1000;

export const command: Command = {
  usage: 'filter test --pattern P (--event FILE | --topic T --bootstrap-servers HOST:PORT [--last N]) [options]',
  description:
    'Shows what a filter would do, on a file or on the last records of a topic: how many records match, how many miss by ' +
    'exactly one clause and by which, how many are a plain string where the filter expects JSON or the reverse, with five ' +
    'examples of each. A pattern is what FilterCriteria takes: {"value":{"temperature":[{"numeric":[">",30]}]}}. Several ' +
    'patterns are alternatives, as in a mapping. A topic is read without a group; nothing is committed. Ends with 1 when ' +
    'nothing matches.',
  positionals: ['test'],
  options: {
    pattern: { type: 'string', multiple: true, value: 'P', description: 'pattern as JSON, or @FILE; may be repeated' },
    event: {
      type: 'string',
      value: 'FILE',
      description:
        'records from a file (- is standard input): a Kafka event as Lambda sends it, one JSON value, or a value a line',
    },
    topic: { type: 'string', value: 'T', description: 'records from a topic' },
    'bootstrap-servers': { type: 'string', value: 'HOST:PORT[,…]', description: 'the Kafka of the topic' },
    'kafka-config': { type: 'string', value: 'FILE', description: "client properties as Kafka's own tools take them" },
    last: { type: 'string', value: 'N', description: `how many of the youngest records (default ${defaultLast})` },
    'format-mismatch': {
      type: 'string',
      value: 'drop|deliver',
      description: 'what becomes of data in another format than its rule; drop is what Lambda does (default)',
    },
    json: { type: 'boolean', description: 'print one JSON document' },
  },
  examples: [
    {
      line: `headrace filter test --pattern '{"value":{"temperature":[{"numeric":[">",30]}]}}' --event readings.jsonl`,
      does: 'on a file with a value a line',
    },
    {
      line: 'headrace filter test --pattern @filter.json --topic readings --bootstrap-servers localhost:9092 --last 500',
      does: 'on live traffic',
    },
  ],
  async run({ positionals, options, terminal }) {
    if (positionals[0] !== 'test') throw usage(`filter knows "test", not "${positionals[0]}"`);
    const patterns = await Promise.all(options.strings('pattern').map(readPattern));
    if (patterns.length === 0) throw usage('--pattern is missing');
    const dryRun = compile(patterns, options.oneOf('format-mismatch', ['drop', 'deliver']));
    for (const record of await readRecords(options)) dryRun.add(record);
    const report = dryRun.report();
    if (options.boolean('json')) terminal.print(JSON.stringify({ patterns, ...report }, null, 2));
    else print(terminal, patterns, report);
    return report.matched.records > 0 ? 0 : 1;
  },
};

const usage = (message: string): HeadraceError => new HeadraceError('USAGE', message);

async function readPattern(text: string): Promise<string> {
  return text.startsWith('@') ? (await read(text.slice(1), '--pattern')).toString() : text;
}

function compile(patterns: readonly string[], formatMismatch: 'drop' | 'deliver' | undefined): FilterDryRun {
  try {
    return new FilterDryRun(patterns, formatMismatch === undefined ? {} : { formatMismatch });
  } catch (error) {
    if (!(error instanceof InvalidFilterError)) throw error;
    const which = error.filter >= 0 ? `--pattern ${patterns[error.filter]}: ` : '--pattern: ';
    throw usage(`${which}${error.detail}`);
  }
}

async function read(path: string, flag: string): Promise<Buffer> {
  try {
    if (path !== '-') return await readFile(path);
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  } catch (error) {
    throw new HeadraceError('INPUT_UNREADABLE', `${flag}: ${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function readRecords(options: Options): Promise<FilterRecord[]> {
  const file = options.string('event');
  const topic = options.string('topic');
  if ((file === undefined) === (topic === undefined)) throw usage('give either --event or --topic');
  if (file !== undefined) {
    for (const flag of ['bootstrap-servers', 'kafka-config', 'last']) {
      if (options.string(flag) !== undefined) throw usage(`--${flag} goes with --topic`);
    }
    return recordsFromFile(await read(file, '--event'), basename(file));
  }
  const serversText = options.string('bootstrap-servers');
  if (serversText === undefined) throw usage('--topic needs --bootstrap-servers');
  const bootstrapServers = parseServers(serversText, '--bootstrap-servers');
  const configFile = options.string('kafka-config');
  const configuration =
    configFile === undefined ? { bootstrapServers } : readClientProperties(configFile, bootstrapServers).configuration;
  const last = options.integer('last', { minimum: 1, maximum: 100_000 }) ?? defaultLast;
  const cluster = createKafkaCluster(configuration);
  try {
    return await readLastRecords(cluster, topic!, last);
  } finally {
    await cluster.close();
  }
}

function print(terminal: Terminal, patterns: readonly string[], report: DryRunReport): void {
  for (const warning of report.warnings) terminal.warn(`warning: ${warning}`);
  const { records, matched, nearMisses, inconsistent, formatMismatches } = report;
  const count = (n: number): string => `${n.toLocaleString('en-US')} record${n === 1 ? '' : 's'}`;
  terminal.print(`${count(records)} read, ${terminal.style('bold', `${matched.records} match`)}`);
  printExamples(terminal, matched.examples);
  for (const { filter, path, rule, records: missed, examples } of nearMisses) {
    const which = patterns.length > 1 ? `filter ${filter + 1}: ` : '';
    terminal.print(`\n${count(missed)} would match but for ${which}${terminal.style('yellow', `"${path}": ${rule}`)}`);
    printExamples(terminal, examples);
  }
  if (inconsistent.records > 0) {
    terminal.print(`\n${count(inconsistent.records)} meet every clause, but not within the same elements of an array`);
    printExamples(terminal, inconsistent.examples);
  }
  if (formatMismatches.records > 0) {
    terminal.print(`\n${count(formatMismatches.records)} in another format than the filter: JSON against plain string`);
    printExamples(terminal, formatMismatches.examples);
  }
}

function printExamples(terminal: Terminal, examples: readonly DryRunExample[]): void {
  for (const { topic, partition, offset, value, found } of examples) {
    const text = value === undefined ? 'not UTF-8' : value === null ? 'tombstone' : value;
    const here = found === undefined ? '' : `  has ${found.join(', ')}`;
    // What records hold is not ours: no control characters to a terminal.
    const line = `  ${topic}-${partition}@${offset}${here}  ${text}`.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
    terminal.print(terminal.style('dim', line.length > 160 ? `${line.slice(0, 160)}…` : line));
  }
}
