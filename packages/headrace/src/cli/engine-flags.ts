import type { EngineOptions } from '../engine.ts';
import { HeadraceError } from '../errors.ts';
import type { OptionSpecification, Options } from './command.ts';

/** Flags that every command which starts an engine shares. */
export const engineFlags = {
  host: {
    type: 'string',
    value: 'H',
    description: 'address to listen on (default 127.0.0.1); another one needs --credentials',
  },
  port: { type: 'string', value: 'P', description: 'port of the endpoint (default 9400); 0 takes a free one' },
  'data-dir': {
    type: 'string',
    value: 'D',
    description: 'where functions, mappings, logs and tables are kept (default ./.headrace); :memory: keeps nothing',
  },
  'bootstrap-servers': {
    type: 'string',
    value: 'HOST:PORT[,…]',
    description: 'your Kafka; without it the development broker is started',
  },
  cluster: {
    type: 'string',
    multiple: true,
    value: 'NAME=HOST:PORT[,…]',
    description:
      'which Kafka a cluster ARN, or host:port of a template, stands for; NAME=aws asks AWS. May be repeated',
  },
  clusters: {
    type: 'string',
    value: 'FILE',
    description:
      "the same as a JSON file; instead of HOST:PORT also an object of Kafka's client properties (security.protocol, isolation.level…)",
  },
  secrets: {
    type: 'string',
    value: 'FILE',
    description: 'secrets that mappings name, as a JSON file: { "ARN or name": {…} }',
  },
  credentials: {
    type: 'string',
    value: 'FILE',
    description: 'access keys of this API in the form of ~/.aws/credentials; turns signature checks on',
  },
  'function-credentials': {
    type: 'string',
    value: 'PROFILE',
    description:
      'AWS profile whose keys functions get, for services that are not offered here (default: keys good here only)',
  },
  backend: {
    type: 'string',
    multiple: true,
    value: 'NAME=URL|ARN',
    description: 'a function whose code lives elsewhere: an HTTP(S) endpoint or a Lambda function on AWS',
  },
  'code-folder': {
    type: 'string',
    multiple: true,
    value: 'FOLDER',
    description:
      'functions may use folders below this one in place: --code S3Bucket=hot-reload,S3Key=/path of it. May be repeated',
  },
  sandbox: {
    type: 'boolean',
    description: 'runs functions in namespaces of their own (Linux with bubblewrap); see docs/functions.md',
  },
  'drain-timeout': {
    type: 'string',
    value: 'S',
    description: 'how long a stop waits for invocations in flight (default 30)',
  },
} as const satisfies Record<string, OptionSpecification>;

const usage = (message: string): HeadraceError => new HeadraceError('USAGE', message);

/** The engine's options from the flags; refuses what is malformed by name. */
export function readEngineFlags(options: Options): EngineOptions {
  const bootstrapServers = options.string('bootstrap-servers');
  return {
    host: options.string('host'),
    port: options.integer('port', { minimum: 0, maximum: 65_535 }),
    dataDirectory: options.string('data-dir'),
    bootstrapServers:
      bootstrapServers === undefined ? undefined : parseServers(bootstrapServers, '--bootstrap-servers'),
    clusters: pairs(options.strings('cluster'), '--cluster'),
    clustersFile: options.string('clusters'),
    secretsFile: options.string('secrets'),
    credentialsFile: options.string('credentials'),
    codeFolders: options.strings('code-folder'),
    functionCredentials: options.string('function-credentials'),
    sandbox: options.boolean('sandbox'),
    backends: pairs(options.strings('backend'), '--backend'),
    drainTimeoutMilliseconds: (options.number('drain-timeout', { minimum: 0, maximum: 900 }) ?? 30) * 1000,
  };
}

/** `host:port,host:port` as a list; IPv6 literals in brackets. */
export function parseServers(text: string, flag: string): string[] {
  const servers = text.split(',').map((each) => each.trim());
  for (const server of servers) {
    const match = /^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(server);
    const port = Number(match?.[2]);
    if (!match || port < 1 || port > 65_535) {
      throw usage(`${flag} takes HOST:PORT[,HOST:PORT…] with ports from 1 to 65535; it holds "${server}"`);
    }
  }
  return servers;
}

function pairs(texts: readonly string[], flag: string): Record<string, string> {
  const result: Record<string, string> = {};
  for (const text of texts) {
    const equals = text.indexOf('=');
    if (equals < 1 || equals === text.length - 1) throw usage(`${flag} takes NAME=VALUE; it is "${text}"`);
    result[text.slice(0, equals)] = text.slice(equals + 1);
  }
  return result;
}
