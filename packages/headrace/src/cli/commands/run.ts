import { join } from 'node:path';
import { HeadraceError } from '../../errors.ts';
import { compileFilterCriteria, InvalidFilterError } from '../../mappings/filter.ts';
import { findHandler, parseAssignments, parseStart, runGroupId } from '../../run/handler-source.ts';
import { runHandler } from '../../run/run.ts';
import type { Command } from '../command.ts';
import { engineFlags, parseServers } from '../engine-flags.ts';
import { listenForShutdown } from '../signals.ts';

export const command: Command = {
  usage: 'run HANDLER --topic T [--bootstrap-servers HOST:PORT] [options]',
  description:
    'Runs your own handler on a topic of your own Kafka, without template or registration. HANDLER is a .mjs, .js, .ts or ' +
    '.py file, or a folder that holds one. It gets the event that Lambda sends for self-managed Kafka. The consumer group ' +
    "follows from handler and topic, so the next run goes on where this one stopped. Prints the function's log and a line " +
    'a batch; picks up edits; Ctrl-C drains and says what was committed.',
  positionals: ['HANDLER'],
  options: {
    topic: { type: 'string', short: 't', value: 'T', description: 'the topic to read (required)' },
    'bootstrap-servers': engineFlags['bootstrap-servers'],
    'kafka-config': {
      type: 'string',
      value: 'FILE',
      description:
        "client.properties as Kafka's own tools take them: security.protocol, sasl.mechanism, sasl.jaas.config, ssl.…",
    },
    handler: {
      type: 'string',
      value: 'NAME',
      description: 'function, or module.function (default: handler; Python: lambda_handler)',
    },
    runtime: { type: 'string', value: 'R', description: "Lambda runtime (default: by the file's extension)" },
    'batch-size': { type: 'string', value: 'N', description: 'records a batch, 1 to 10,000 (default 100)' },
    window: { type: 'string', value: 'S', description: 'batching window in seconds, 0 to 300 (default 0.5 s)' },
    filter: {
      type: 'string',
      value: 'PATTERN',
      description: 'event pattern; records that do not match are passed over',
    },
    from: {
      type: 'string',
      value: 'WHERE',
      description: 'earliest, latest or a time, for a group without offsets (default latest)',
    },
    group: {
      type: 'string',
      short: 'g',
      value: 'G',
      description: 'consumer group (default: follows from handler and topic)',
    },
    env: {
      type: 'string',
      short: 'e',
      multiple: true,
      value: 'K=V',
      description: 'environment variable of the function; may be repeated',
    },
    timeout: { type: 'string', value: 'S', description: "the function's timeout in seconds, 1 to 900 (default 60)" },
    memory: { type: 'string', value: 'MB', description: "the function's memory in MB, 128 to 10,240 (default 512)" },
    'function-credentials': engineFlags['function-credentials'],
    port: { ...engineFlags.port, description: 'port of the endpoint (default: a free one)' },
    'drain-timeout': engineFlags['drain-timeout'],
    json: { type: 'boolean', description: 'one JSON document a line' },
  },
  examples: [
    { line: 'headrace run handler.mjs --topic orders', does: 'on the development broker, which it starts' },
    {
      line: 'headrace run handler.py --topic orders --bootstrap-servers kafka:9092 --from earliest',
      does: 'on your Kafka',
    },
    {
      line: 'headrace run . --topic orders --bootstrap-servers kafka:9093 --kafka-config client.properties',
      does: 'with SASL or TLS as your Kafka tools use it',
    },
  ],
  async run({ positionals, options, terminal }) {
    const topic = options.string('topic');
    if (topic === undefined) throw new HeadraceError('USAGE', '--topic is missing');
    // Kafka's rule, and Lambda's: two characters at least, the first of them no dot.
    if (!/^[a-zA-Z0-9_-][a-zA-Z0-9._-]{1,248}$/.test(topic))
      throw new HeadraceError(
        'USAGE',
        `--topic must be 2 to 249 letters, digits, dots, dashes or underscores and begin with no dot; it is "${topic}"`,
      );
    const serversText = options.string('bootstrap-servers');
    const source = findHandler(positionals[0]!, {
      handler: options.string('handler'),
      runtime: options.string('runtime'),
    });
    const group = options.string('group') ?? runGroupId(source, topic);
    if (!/^[ a-zA-Z0-9\-/*:_+=.@]{1,200}$/.test(group))
      throw new HeadraceError('USAGE', '--group must be 1 to 200 characters of letters, digits, blanks and -/*:_+=.@');
    const servers = serversText === undefined ? undefined : parseServers(serversText, '--bootstrap-servers');
    const kafkaConfig = options.string('kafka-config');
    if (kafkaConfig !== undefined && servers === undefined)
      throw new HeadraceError('USAGE', '--kafka-config needs --bootstrap-servers');
    const filter = options.string('filter');
    if (filter !== undefined) checkFilter(filter);
    const batchSize = options.integer('batch-size', { minimum: 1, maximum: 10_000 });
    const windowSeconds = options.integer('window', { minimum: 0, maximum: 300 });
    const timeoutSeconds = options.integer('timeout', { minimum: 1, maximum: 900 });
    const memoryMegabytes = options.integer('memory', { minimum: 128, maximum: 10_240 });
    const shutdown = listenForShutdown(() => terminal.warn('headrace: ending at once; what was in flight comes again'));
    await runHandler({
      source,
      topic,
      group,
      engine: {
        kafkaConfigFile: kafkaConfig,
        functionCredentials: options.string('function-credentials'),
        port: options.integer('port', { minimum: 0, maximum: 65_535 }) ?? 0,
        // Function and mapping are made anew by every run; what has to last are the offsets, and they are Kafka's. The
        // development broker keeps them, and the records, in the folder that the command is run in.
        dataDirectory: ':memory:',
        brokerDirectory: join('.headrace', 'run-broker'),
        bootstrapServers: servers,
        codeFolders: [source.codeFolder],
        drainTimeoutMilliseconds: (options.number('drain-timeout', { minimum: 0, maximum: 900 }) ?? 30) * 1000,
        log: (line) => terminal.warn(line),
      },
      start: parseStart(options.string('from')),
      batchSize,
      windowSeconds,
      filter,
      environment: parseAssignments(options.strings('env'), '--env'),
      timeoutSeconds,
      memoryMegabytes,
      json: options.boolean('json'),
      terminal,
      signal: shutdown.signal,
    });
    shutdown.dispose();
    return shutdown.exitCode ?? 0;
  },
};

/** Before anything is started, and with the reason: the API only says that it is invalid, as Lambda does. */
function checkFilter(pattern: string): void {
  try {
    compileFilterCriteria({ Filters: [{ Pattern: pattern }] });
  } catch (error) {
    if (!(error instanceof InvalidFilterError)) throw error;
    throw new HeadraceError('USAGE', `--filter ${pattern}: ${error.detail}`);
  }
}
