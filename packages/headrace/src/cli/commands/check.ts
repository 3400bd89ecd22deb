import { readFileSync } from 'node:fs';
import { HeadraceError } from '../../errors.ts';
import { readClientProperties } from '../../kafka/client-properties.ts';
import type { ClusterConfiguration } from '../../kafka/contract.ts';
import { type Hop, walkToCluster } from '../../kafka/preflight.ts';
import type { Command, Options } from '../command.ts';
import { parseServers } from '../engine-flags.ts';
import { printHop } from '../hops.ts';
import type { Terminal } from '../terminal.ts';

const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'AWS_MSK_IAM'] as const;

export const command: Command = {
  usage: 'check --bootstrap-servers HOST:PORT [--topic T]… [--group G] [options]',
  description:
    'Walks the way to a Kafka cluster hop by hop: name, TCP, TLS, authentication, protocol, every advertised broker, ' +
    'topic, permission to read, group, lag. Each is printed with its time; the first that fails says what it means and how to ' +
    'cure it. It only looks: no group is joined, nothing is committed. Exits 1 when a hop failed.',
  options: {
    'bootstrap-servers': { type: 'string', value: 'HOST:PORT[,…]', description: 'where to begin' },
    topic: { type: 'string', multiple: true, value: 'T', description: 'a topic to read; may be repeated' },
    group: { type: 'string', value: 'G', description: 'a consumer group: its coordinator, offsets and lag' },
    'kafka-config': {
      type: 'string',
      value: 'FILE',
      description: "client.properties of Kafka's own tools: security.protocol, sasl.*, ssl.* with PEM stores",
    },
    sasl: { type: 'string', value: mechanisms.join('|'), description: 'authenticate so' },
    username: { type: 'string', value: 'U', description: 'of --sasl' },
    'password-file': {
      type: 'string',
      value: 'FILE',
      description: 'of --sasl; without it the environment variable KAFKA_PASSWORD',
    },
    tls: { type: 'boolean', description: 'connect by TLS (the other --tls-… flags mean it too)' },
    'tls-ca': { type: 'string', value: 'FILE', description: 'certificate authority to trust, PEM' },
    'tls-cert': { type: 'string', value: 'FILE', description: 'client certificate for mutual TLS, PEM' },
    'tls-key': { type: 'string', value: 'FILE', description: 'its private key, PEM' },
    'tls-key-password-file': {
      type: 'string',
      value: 'FILE',
      description: 'password of an encrypted key; without it the environment variable KAFKA_KEY_PASSWORD',
    },
    timeout: { type: 'string', value: 'S', description: 'of each hop in seconds (default 5)' },
    json: { type: 'boolean', description: 'one JSON document, nothing else on standard output' },
  },
  examples: [
    { line: 'headrace check --bootstrap-servers kafka:9092 --topic orders', does: 'can this topic be read from here?' },
    {
      line: 'headrace check --bootstrap-servers kafka:9094 --tls-ca ca.pem --sasl SCRAM-SHA-512 --username alice',
      does: 'with TLS and a password from KAFKA_PASSWORD',
    },
  ],
  async run({ options, terminal }) {
    const json = options.boolean('json');
    const configuration = readConfiguration(options, terminal);
    const topics = options.strings('topic');
    const groupId = options.string('group');
    const seconds = options.number('timeout', { minimum: 0.1, maximum: 300 }) ?? 5;
    const result = await walkToCluster(configuration, {
      topics,
      ...(groupId === undefined ? {} : { groupId }),
      timeoutMilliseconds: seconds * 1000,
      ...(json ? {} : { onHop: (hop: Hop) => printHop(terminal, hop) }),
    });
    if (json) terminal.print(JSON.stringify(result, null, 2));
    return result.ok ? 0 : 1;
  },
};

/** What a file given by --kafka-config says instead. */
const howFlags = ['sasl', 'username', 'password-file', 'tls-ca', 'tls-cert', 'tls-key', 'tls-key-password-file'];

function readConfiguration(options: Options, terminal: Terminal): ClusterConfiguration {
  const text = options.string('bootstrap-servers');
  const servers = text === undefined ? undefined : parseServers(text, '--bootstrap-servers');
  const file = options.string('kafka-config');
  if (file !== undefined) {
    const flag = options.boolean('tls') ? 'tls' : howFlags.find((each) => options.string(each) !== undefined);
    if (flag !== undefined)
      throw new HeadraceError('USAGE', `--${flag} does not go with --kafka-config: say it in the file`);
    const { configuration, ignored } = readClientProperties(file, servers);
    // Without a dot it is no key: a line of a certificate or a private key whose line before does not go on.
    const keys = ignored.filter((key) => key.includes('.'));
    if (keys.length > 0) terminal.warn(`${file}: ${keys.join(', ')} mean nothing here`);
    return configuration;
  }
  if (servers === undefined) throw new HeadraceError('USAGE', '--bootstrap-servers or --kafka-config is needed');

  const pem = (name: string): string | undefined => {
    const path = options.string(name);
    return path === undefined ? undefined : readFile(path, `--${name}`);
  };
  const [certificateAuthority, certificate, privateKey] = [pem('tls-ca'), pem('tls-cert'), pem('tls-key')];
  if ((certificate === undefined) !== (privateKey === undefined)) {
    throw new HeadraceError('USAGE', '--tls-cert and --tls-key go together');
  }
  const passwordFile = options.string('tls-key-password-file');
  if (passwordFile !== undefined && privateKey === undefined) {
    throw new HeadraceError('USAGE', '--tls-key-password-file goes with --tls-key');
  }
  const privateKeyPassword =
    passwordFile === undefined
      ? process.env['KAFKA_KEY_PASSWORD']
      : readFile(passwordFile, '--tls-key-password-file').trimEnd();
  const isTls = options.boolean('tls') || certificateAuthority !== undefined || certificate !== undefined;
  const tls = {
    ...(certificateAuthority === undefined ? {} : { certificateAuthority }),
    ...(certificate === undefined || privateKey === undefined ? {} : { certificate, privateKey }),
    ...(privateKey === undefined || privateKeyPassword === undefined ? {} : { privateKeyPassword }),
  };
  const sasl = readSasl(options);
  return { bootstrapServers: servers, ...(isTls ? { tls } : {}), ...(sasl === undefined ? {} : { sasl }) };
}

function readSasl(options: Options): ClusterConfiguration['sasl'] {
  const mechanism = options.oneOf('sasl', mechanisms);
  if (mechanism === undefined || mechanism === 'AWS_MSK_IAM') {
    const flag = ['username', 'password-file'].find((each) => options.string(each) !== undefined);
    if (flag === undefined) return mechanism === undefined ? undefined : { mechanism };
    throw new HeadraceError('USAGE', `--${flag} goes with --sasl ${mechanisms.slice(0, 3).join('|')}`);
  }
  const username = options.string('username');
  const file = options.string('password-file');
  const password = file === undefined ? process.env['KAFKA_PASSWORD'] : readFile(file, '--password-file').trimEnd();
  if (username === undefined) throw new HeadraceError('USAGE', `--sasl ${mechanism} needs --username`);
  if (password === undefined) {
    throw new HeadraceError('USAGE', `--sasl ${mechanism} needs --password-file or KAFKA_PASSWORD`);
  }
  return { mechanism, username, password };
}

function readFile(path: string, flag: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new HeadraceError('INPUT_UNREADABLE', `${flag}: ${path} cannot be read`, { cause: error });
  }
}
