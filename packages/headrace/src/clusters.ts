// Which Kafka a mapping reads. First match wins (in this order):
//   1. --cluster NAME=HOST:PORT[,…] or the clusters file; NAME is the ARN, or a `host:port` that the mapping names
//   2. NAME=aws: the brokers that GetBootstrapBrokers names, the strongest listener first (spec ESM 13.3)
//   3. an MSK ARN: the engine's own --bootstrap-servers, or its development broker
//   4. a self-managed source: what it names
import { readFileSync } from 'node:fs';
import { GetBootstrapBrokersCommand, type GetBootstrapBrokersCommandOutput, KafkaClient } from '@aws-sdk/client-kafka';
import { HeadraceError } from './errors.ts';
import type { ClusterConfiguration, KafkaCluster } from './kafka/contract.ts';
import {
  type ClientProperties,
  createKafkaCluster,
  hideMembers,
  parseClientProperties,
  readClientProperties,
  resolveAccess,
  secretResolver,
  validateAccess,
} from './kafka/index.ts';
import type { MappingDefinition } from './mappings/definition.ts';

export interface ClusterResolverOptions {
  /** Of the engine: given, or of the development broker. */
  readonly bootstrapServers: readonly string[];
  /** They are those of this engine's own development broker. Default false. */
  readonly isDevelopmentBroker?: boolean;
  /** ARN or `host:port` to `host:port[,…]` or `aws`. */
  readonly clusters: Readonly<Record<string, string>>;
  /**
   * JSON: `{ "NAME": "host:port" | "aws" | { "bootstrap.servers": "…", "security.protocol": "…", … } }`. With
   * `security.protocol` the file says how the cluster is reached, and a mapping's access configurations fill in what it
   * leaves open: user and password where `sasl.mechanism` has no `sasl.jaas.config`, certificates. Without, they say it.
   */
  readonly clustersFile: string | undefined;
  /** How `bootstrapServers` are reached: client.properties. */
  readonly kafkaConfigFile: string | undefined;
  readonly secretsFile: string | undefined;
  readonly log: (line: string) => void;
  /** Asks AWS; default: the MSK API by the SDK's own credentials. */
  readonly bootstrapBrokers?: (clusterArn: string) => Promise<GetBootstrapBrokersCommandOutput>;
}

export interface ClusterResolver {
  readonly configurationOf: (definition: MappingDefinition) => Promise<ClusterConfiguration>;
  /** What the supervisor asks for; nothing is connected yet. */
  readonly clusterOf: (definition: MappingDefinition) => Promise<KafkaCluster>;
}

type Tls = NonNullable<ClusterConfiguration['tls']>;
type Sasl = NonNullable<ClusterConfiguration['sasl']>;

/** How a cluster is reached, as far as the operator said it. What is left open a mapping's access configurations fill. */
interface KnownCluster {
  readonly kind: 'known';
  readonly configuration: ClusterConfiguration;
  /** `security.protocol` was given: then it holds, whatever access configurations a mapping has. */
  readonly isExplicit: boolean;
  /** Stores that were given, used wherever TLS is spoken. */
  readonly tls: Tls;
  /** Authenticated so, with user and password of the mapping's secret. */
  readonly borrowing?: Sasl['mechanism'];
  /** Where it was said, for messages. */
  readonly place: string;
}

type Target = { readonly kind: 'aws' } | KnownCluster;

/**
 * Compiles the options once and gives the resolver that the supervisor asks.
 *
 * @throws HeadraceError CONFIGURATION, INPUT_UNREADABLE for what is wrong with the options themselves
 */
export function createClusterResolver(options: ClusterResolverOptions): ClusterResolver {
  const targets = readTargets(options);
  const own: ClusterConfiguration =
    options.kafkaConfigFile === undefined
      ? { bootstrapServers: options.bootstrapServers }
      : readClientProperties(options.kafkaConfigFile, options.bootstrapServers).configuration;
  const ownCluster: KnownCluster = {
    kind: 'known',
    configuration: own,
    // The development broker asks nobody who they are: what a mapping names for MSK is of no use there.
    isExplicit: options.isDevelopmentBroker === true || own.sasl !== undefined || own.tls !== undefined,
    tls: own.tls ?? {},
    place: '--bootstrap-servers',
  };
  const secrets = secretResolver(options.secretsFile === undefined ? {} : { file: options.secretsFile });
  const bootstrapBrokers = options.bootstrapBrokers ?? askMsk;
  const said = new Set<string>();
  const say = (name: string, line: string): void => {
    if (said.has(name)) return;
    said.add(name);
    options.log(line);
  };

  const configurationOf = async (definition: MappingDefinition): Promise<ClusterConfiguration> => {
    const { eventSourceArn, bootstrapServers: named = [], sourceAccessConfigurations: access = [] } = definition;
    const name = [eventSourceArn, ...named].find((each) => each !== undefined && targets.has(each));
    const target = name === undefined ? undefined : targets.get(name);
    if (target?.kind === 'known') return await withAccess(target, definition);
    if (eventSourceArn !== undefined) {
      if (target?.kind === 'aws') return await fromMsk(eventSourceArn, definition);
      say(eventSourceArn, `${eventSourceArn} stands for ${own.bootstrapServers.join(',')} (no --cluster names it)`);
      return await withAccess(ownCluster, definition);
    }
    if (target?.kind === 'aws')
      throw new HeadraceError(
        'CONFIGURATION',
        `--cluster ${name}=aws: only the ARN of an MSK cluster can be asked of AWS`,
      );
    // What the mapping names is the engine's own Kafka: then it is reached as the engine was told to.
    if (access.length === 0 && named.some((server) => own.bootstrapServers.includes(server))) return own;
    return await resolveAccess('SELF_MANAGED', named, access, secrets);
  };

  /** The operator's word holds; the mapping's access configurations fill in what it leaves open. */
  const withAccess = async (cluster: KnownCluster, definition: MappingDefinition): Promise<ClusterConfiguration> => {
    const { configuration, isExplicit, borrowing, place } = cluster;
    const { eventSourceArn, sourceAccessConfigurations: access = [] } = definition;
    const kind = eventSourceArn === undefined ? 'SELF_MANAGED' : 'MSK';
    validateAccess(kind, access);
    const isUsed = (type: string): boolean => {
      if (!isExplicit) return true;
      const given = configuration.tls;
      if (type === 'CLIENT_CERTIFICATE_TLS_AUTH') return given !== undefined && given.certificate === undefined;
      if (type === 'SERVER_ROOT_CA_CERTIFICATE') return given !== undefined && given.certificateAuthority === undefined;
      return borrowing !== undefined;
    };
    // A secret that would not be used does not have to be there.
    const used = access.filter(({ Type }) => isUsed(Type));
    const { tls, sasl } = await resolveAccess(kind, configuration.bootstrapServers, used, secrets);
    if (!isExplicit) {
      const transport = tls === undefined ? {} : { tls: fillIn(cluster.tls, tls) };
      return { ...configuration, ...transport, ...(sasl === undefined ? {} : { sasl }) };
    }
    const transport = configuration.tls === undefined ? {} : { tls: fillIn(configuration.tls, tls ?? {}) };
    const reached = { ...configuration, ...transport };
    if (borrowing === undefined) return reached;
    if (sasl === undefined || !('password' in sasl))
      throw new HeadraceError(
        'CONFIGURATION',
        `${place}: sasl.mechanism ${borrowing} needs sasl.jaas.config there, or a mapping with BASIC_AUTH or SASL_SCRAM_…_AUTH`,
      );
    const { username, password } = sasl;
    return { ...reached, sasl: hideMembers({ mechanism: borrowing, username, password } as typeof sasl, 'password') };
  };

  const fromMsk = async (arn: string, { sourceAccessConfigurations: access = [] }: MappingDefinition) => {
    validateAccess('MSK', access);
    let brokers: GetBootstrapBrokersCommandOutput;
    try {
      brokers = await bootstrapBrokers(arn);
    } catch (error) {
      const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      throw new HeadraceError('KAFKA_UNREACHABLE', `GetBootstrapBrokers of ${arn}: ${reason}`, { cause: error });
    }
    const chosen = chooseListener(
      brokers,
      access.map(({ Type }) => Type),
    );
    if (chosen === undefined)
      throw new HeadraceError(
        'CONFIGURATION',
        `${arn} has no listener for ${access.map(({ Type }) => Type).join(', ') || 'a mapping without access configurations'}`,
      );
    const servers = chosen.servers.split(',');
    if (chosen.listener === 'secret') return await resolveAccess('MSK', servers, access, secrets);
    if (chosen.listener === 'iam')
      return { bootstrapServers: servers, tls: {}, sasl: { mechanism: 'AWS_MSK_IAM' as const } };
    return { bootstrapServers: servers, ...(chosen.listener === 'tls' ? { tls: {} } : {}) };
  };

  return {
    configurationOf,
    clusterOf: async (definition) => createKafkaCluster(await configurationOf(definition)),
  };
}

/** TLS as `first` says, and where it leaves something open as `second` does. */
function fillIn(first: Tls, second: Tls): Tls {
  const merged: Record<string, unknown> = {};
  // By name: what is secret is not enumerable. A certificate and its key come from one of them.
  const keys = (first.certificate === undefined ? second : first) as Readonly<Record<string, unknown>>;
  for (const name of ['certificate', 'privateKey', 'privateKeyPassword']) {
    if (keys[name] !== undefined) merged[name] = keys[name];
  }
  for (const name of ['certificateAuthority', 'serverName', 'verifyServerName', 'rejectUnauthorized'] as const) {
    const value = first[name] ?? second[name];
    if (value !== undefined) merged[name] = value;
  }
  return hideMembers(merged as Tls, 'privateKey', 'privateKeyPassword');
}

/** Spec ESM 13.3: strongest first: mTLS and SCRAM where a secret was given, IAM, TLS, plaintext; no falling back. */
export function chooseListener(
  brokers: Omit<GetBootstrapBrokersCommandOutput, '$metadata'>,
  accessTypes: readonly string[],
): { readonly listener: 'secret' | 'iam' | 'tls' | 'plaintext'; readonly servers: string } | undefined {
  const secret = accessTypes.includes('CLIENT_CERTIFICATE_TLS_AUTH')
    ? brokers.BootstrapBrokerStringTls
    : accessTypes.includes('SASL_SCRAM_512_AUTH')
      ? brokers.BootstrapBrokerStringSaslScram
      : '';
  if (secret === undefined) return undefined;
  if (secret !== '') return { listener: 'secret', servers: secret };
  if (brokers.BootstrapBrokerStringSaslIam) return { listener: 'iam', servers: brokers.BootstrapBrokerStringSaslIam };
  if (brokers.BootstrapBrokerStringTls) return { listener: 'tls', servers: brokers.BootstrapBrokerStringTls };
  if (brokers.BootstrapBrokerString) return { listener: 'plaintext', servers: brokers.BootstrapBrokerString };
  return undefined;
}

async function askMsk(clusterArn: string): Promise<GetBootstrapBrokersCommandOutput> {
  const region = clusterArn.split(':')[3];
  const client = new KafkaClient(region ? { region } : {});
  try {
    return await client.send(new GetBootstrapBrokersCommand({ ClusterArn: clusterArn }));
  } finally {
    client.destroy();
  }
}

function readTargets(options: ClusterResolverOptions): Map<string, Target> {
  const targets = new Map<string, Target>();
  for (const [name, value] of Object.entries(readClustersFile(options.clustersFile))) {
    targets.set(name, compileTarget(name, value, `${options.clustersFile}: ${name}`, options.log));
  }
  for (const [name, value] of Object.entries(options.clusters)) {
    targets.set(name, compileTarget(name, value, `--cluster ${name}`, options.log));
  }
  return targets;
}

function compileTarget(name: string, value: unknown, place: string, log: (line: string) => void): Target {
  if (value === 'aws') {
    if (!name.startsWith('arn:'))
      throw new HeadraceError('CONFIGURATION', `${place}: aws needs the ARN of an MSK cluster`);
    return { kind: 'aws' };
  }
  const properties: Record<string, unknown> =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? { ...value }
      : { 'bootstrap.servers': value };
  for (const [key, each] of Object.entries(properties)) {
    if (typeof each !== 'string') throw new HeadraceError('CONFIGURATION', `${place}: ${key} must be a text`);
  }
  const given = properties as Record<string, string>;
  const protocol = given['security.protocol']?.toUpperCase();
  const mechanism = given['sasl.mechanism']?.toUpperCase();
  const borrowing =
    protocol?.startsWith('SASL_') === true && given['sasl.jaas.config'] === undefined
      ? passwordMechanisms.find((each) => each === mechanism)
      : undefined;
  const read = (changes: Record<string, string>): ClientProperties =>
    parseClientProperties(linesOf({ ...given, ...changes }));
  try {
    const { configuration, ignored } =
      borrowing === undefined ? read({}) : read({ 'security.protocol': protocol!.slice('SASL_'.length) });
    const { tls = {} } = read({ 'security.protocol': 'SSL' }).configuration;
    if (ignored.length > 0) log(`${place}: ${ignored.join(', ')} mean nothing here`);
    const wrong = configuration.bootstrapServers.find(
      (server) => !/^(\[[0-9a-fA-F:.]+\]|[^\s:/]+):\d{1,5}$/.test(server),
    );
    if (wrong !== undefined) throw new HeadraceError('CONFIGURATION', `"${wrong}" is not HOST:PORT`);
    return {
      kind: 'known',
      configuration,
      isExplicit: protocol !== undefined,
      tls,
      ...(borrowing === undefined ? {} : { borrowing }),
      place,
    };
  } catch (error) {
    if (HeadraceError.is(error)) throw new HeadraceError(error.code, `${place}: ${error.message}`, { cause: error });
    throw error;
  }
}

const passwordMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;

/** As a file of properties. */
function linesOf(properties: Readonly<Record<string, string>>): string {
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`)
    .join('\n');
}

function readClustersFile(path: string | undefined): Record<string, unknown> {
  if (path === undefined) return {};
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new HeadraceError(
      'INPUT_UNREADABLE',
      `the clusters file ${path} cannot be read: ${(error as Error).message}`,
    );
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // The parser's message would quote the file, which may hold passwords.
    throw new HeadraceError('INPUT_UNREADABLE', `the clusters file ${path} is not JSON`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new HeadraceError(
      'CONFIGURATION',
      `the clusters file ${path} must hold one object: { "NAME": "host:port", … }`,
    );
  return { ...parsed };
}
