import { runDemo } from '../../demo/demo.ts';
import { HeadraceError } from '../../errors.ts';
import type { Command } from '../command.ts';
import { parseServers } from '../engine-flags.ts';
import { listenForShutdown } from '../signals.ts';

export const command: Command = {
  usage: 'demo [options]',
  description:
    'Log records flow through Kafka into a Lambda function, get an anomaly score from a Random Cut Forest, and land in a ' +
    'DynamoDB table; alerts go to a webhook. Every hop over its real protocol, everything on this machine. The function, ' +
    'the table and the mapping come from examples/log-anomaly/template.yaml, which deploys to AWS unchanged.',
  options: {
    records: {
      type: 'string',
      value: 'N',
      description: 'how many records (default 20,000 generated ones, or the whole --input)',
    },
    rate: { type: 'string', value: 'R', description: 'records a second (default: as fast as they are taken)' },
    partitions: { type: 'string', value: 'P', description: 'partitions of the topic (default 4)' },
    seed: { type: 'string', value: 'S', description: 'seed of the generator (default 1)' },
    input: {
      type: 'string',
      value: 'FILE',
      description: 'your own records: CSV with a header, JSON lines, or Apache/nginx combined log, detected',
    },
    value: { type: 'string', value: 'NAME', description: 'the one column or member of --input to score' },
    columns: { type: 'string', value: 'A,B,…', description: 'the columns or members of --input to score' },
    runtime: { type: 'string', value: 'node|python', description: 'which of the two handlers runs (default node)' },
    threshold: { type: 'string', value: 'T', description: 'score above which a record is anomalous (default 3.0)' },
    'batch-size': { type: 'string', value: 'N', description: "batch size of the mapping (default: the template's)" },
    window: {
      type: 'string',
      value: 'S',
      description: "batching window of the mapping in seconds (default: the template's)",
    },
    'bootstrap-servers': {
      type: 'string',
      value: 'HOST:PORT',
      description:
        'a real Kafka instead of the embedded broker: makes a topic and a group of its own name, removes both at the end',
    },
    port: { type: 'string', value: 'P', description: 'port of the endpoint (default: a free one)' },
    'keep-running': { type: 'boolean', description: 'leaves everything up at the end and prints what to try next' },
    json: { type: 'boolean', description: 'one JSON document at the end, nothing else on standard output' },
  },
  examples: [
    { line: 'npm run demo', does: 'generated web request logs with labelled incidents' },
    { line: 'headrace demo --input access.log', does: 'your own web server log' },
    { line: 'headrace demo --input metrics.csv --value latency --keep-running', does: 'one column, then look around' },
  ],
  async run({ options, terminal }) {
    const json = options.boolean('json');
    const servers = options.string('bootstrap-servers');
    if (options.string('value') !== undefined && options.string('columns') !== undefined)
      throw new HeadraceError('USAGE', '--value and --columns exclude each other');
    const columns =
      options
        .string('columns')
        ?.split(',')
        .map((name) => name.trim()) ?? undefined;
    const value = options.string('value');
    const shutdown = listenForShutdown();
    const outcome = await runDemo({
      records: options.integer('records', { minimum: 1, maximum: 10_000_000 }),
      rate: options.number('rate', { minimum: 0.1, maximum: 1_000_000 }),
      partitions: options.integer('partitions', { minimum: 1, maximum: 256 }) ?? 4,
      seed: options.integer('seed', { minimum: 0, maximum: 2 ** 32 - 1 }) ?? 1,
      input: options.string('input'),
      columns: columns ?? (value === undefined ? undefined : [value]),
      runtime: options.oneOf('runtime', ['node', 'python']) ?? 'node',
      threshold: options.number('threshold', { minimum: 0, maximum: 1000 }) ?? 3,
      batchSize: options.integer('batch-size', { minimum: 1, maximum: 10_000 }),
      windowSeconds: options.integer('window', { minimum: 0, maximum: 300 }),
      bootstrapServers: servers === undefined ? undefined : parseServers(servers, '--bootstrap-servers'),
      port: options.integer('port', { minimum: 0, maximum: 65_535 }) ?? 0,
      keepRunning: options.boolean('keep-running'),
      json,
      terminal,
      signal: shutdown.signal,
    });
    shutdown.dispose();
    if (shutdown.exitCode !== undefined) return shutdown.exitCode;
    return outcome.recordsLost === 0 ? 0 : 1;
  },
};
