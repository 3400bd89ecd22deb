import { readFile } from 'node:fs/promises';
import { type BrokerOptions, DataDirectoryInUseError, startBroker, type TopicOptions } from '@headrace/dev-broker';
import { HeadraceError } from '../../errors.ts';
import { makeDataFolder } from '../../store/data-folder.ts';
import type { Command, Options } from '../command.ts';
import { listenForShutdown } from '../signals.ts';

export const command: Command = {
  usage: 'broker [--port N] [--topic NAME:PARTITIONS]… [options]',
  description:
    'Starts a Kafka broker for development and tests, in milliseconds and without Java: any Kafka client works with it. ' +
    'Listens on this machine alone unless --host says otherwise, and keeps everything in memory unless --data-dir names a ' +
    'folder. Apache Kafka it is not: one copy of everything, no quotas, no replication.',
  options: {
    port: { type: 'string', value: 'N', description: 'port of the first node; 0 takes a free one (default 9092)' },
    host: { type: 'string', value: 'H', description: 'address to listen on (default 127.0.0.1)' },
    'advertised-host': { type: 'string', value: 'H', description: 'host that clients are told to connect to' },
    nodes: {
      type: 'string',
      value: 'N',
      description: 'nodes that clients see, each on the next port, 1 to 100 (default 1)',
    },
    topic: {
      type: 'string',
      multiple: true,
      value: 'NAME:PARTITIONS',
      description: 'topic to create if it is not there; may be given several times',
    },
    config: {
      type: 'string',
      multiple: true,
      value: 'NAME=VALUE',
      description: "broker setting by Kafka's name, such as auto.create.topics.enable=true",
    },
    'data-dir': { type: 'string', value: 'D', description: 'keep everything across restarts in this folder' },
    flush: { type: 'boolean', description: 'with --data-dir: wait for the disk before acknowledging' },
    sasl: {
      type: 'string',
      multiple: true,
      value: 'USER:PASSWORD',
      description: 'clients must log in as one of these users (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512)',
    },
    tls: {
      type: 'string',
      value: 'KEY.pem,CERT.pem[,CA.pem]',
      description: 'encrypt; with a CA clients must show a certificate',
    },
    json: { type: 'boolean', description: 'print the line that says it is ready as JSON' },
  },
  examples: [
    { line: 'headrace broker --topic orders:4', does: 'a broker on 127.0.0.1:9092 with one topic' },
    { line: 'headrace broker --port 0 --json --data-dir ./kafka', does: 'on a free port, kept across restarts' },
  ],
  async run({ options, terminal }) {
    const shutdown = listenForShutdown();
    const broker = await startBroker(await readOptions(options, (line) => terminal.warn(line))).catch(toCatalogue);
    if (options.boolean('json')) {
      terminal.print(JSON.stringify({ ready: true, bootstrapServers: broker.bootstrapServers }));
    } else terminal.print(`Kafka is ready: ${broker.bootstrapServers}`);
    await new Promise<void>((resolve) => {
      if (shutdown.signal.aborted) resolve();
      else shutdown.signal.addEventListener('abort', () => resolve());
    });
    await broker.stop();
    shutdown.dispose();
    return shutdown.exitCode === 130 ? 130 : 0;
  },
};

async function readOptions(options: Options, warn: (line: string) => void): Promise<BrokerOptions> {
  const users = options.strings('sasl').map((text) => {
    const [name, password] = split(text, ':', 'sasl', 'USER:PASSWORD');
    return { name, password };
  });
  const configs = Object.fromEntries(options.strings('config').map((text) => split(text, '=', 'config', 'NAME=VALUE')));
  const host = options.string('host');
  const advertisedHost = options.string('advertised-host');
  const dataDir = options.string('data-dir');
  const tls = options.string('tls');
  if (dataDir !== undefined) makeDataFolder(dataDir);
  return {
    port: options.integer('port', { minimum: 0, maximum: 65_535 }) ?? 9092,
    nodes: options.integer('nodes', { minimum: 1, maximum: 100 }) ?? 1,
    topics: options.strings('topic').map(readTopic),
    configs,
    flush: options.boolean('flush'),
    ...(host === undefined ? {} : { host }),
    ...(advertisedHost === undefined ? {} : { advertisedHost }),
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(users.length === 0 ? {} : { sasl: { users } }),
    ...(tls === undefined ? {} : { tls: await readTls(tls) }),
    onError: (error, { clientId, remoteHost }) => {
      const who = clientId === '' ? remoteHost : `${clientId} (${remoteHost})`;
      warn(`broker: ${who}: ${error instanceof Error ? error.message : String(error)}`);
    },
  };
}

function split(text: string, separator: string, flag: string, shape: string): [string, string] {
  const position = text.indexOf(separator);
  if (position < 1) throw new HeadraceError('USAGE', `--${flag} must be ${shape}; it is "${text}"`);
  return [text.slice(0, position), text.slice(position + 1)];
}

function readTopic(text: string): TopicOptions {
  const [name, partitions] = text.includes(':') ? split(text, ':', 'topic', 'NAME:PARTITIONS') : [text, '1'];
  if (!/^\d+$/.test(partitions) || Number(partitions) < 1 || Number(partitions) > 10_000) {
    throw new HeadraceError('USAGE', `--topic must name 1 to 10000 partitions; it is "${text}"`);
  }
  return { name, partitions: Number(partitions) };
}

async function readTls(text: string): Promise<NonNullable<BrokerOptions['tls']>> {
  const [key, cert, ca] = text.split(',');
  if (!key || !cert) throw new HeadraceError('USAGE', `--tls must be KEY.pem,CERT.pem[,CA.pem]; it is "${text}"`);
  const read = (file: string): Promise<Buffer> =>
    readFile(file).catch((cause: unknown) => {
      throw new HeadraceError(
        'INPUT_UNREADABLE',
        `${file}: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    });
  const pair = { key: await read(key), cert: await read(cert) };
  return ca ? { ...pair, ca: await read(ca), clientAuth: 'required' } : pair;
}

/** The broker has its own small errors; here they become those of the catalogue. */
function toCatalogue(cause: unknown): never {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE' || code === 'EACCES') throw new HeadraceError('PORT_IN_USE', message, { cause });
  if (cause instanceof DataDirectoryInUseError) throw new HeadraceError('DATA_DIRECTORY', message, { cause });
  if (cause instanceof TypeError || (cause as Error).name === 'RequestError')
    throw new HeadraceError('USAGE', message, { cause });
  throw cause;
}
