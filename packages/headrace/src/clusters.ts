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
  createKafkaCluster,
  parseClientProperties,
  readClientProperties,
  resolveAccess,
  secretResolver,
} from './kafka/index.ts';
import type { MappingDefinition } from './mappings/definition.ts';

export interface ClusterResolverOptions {
  /** Of the engine: given, or of the development broker. */
  readonly bootstrapServers: readonly string[];
  /** ARN or `host:port` to `host:port[,…]` or `aws`. */
  readonly clusters: Readonly<Record<string, string>>;
  /** JSON: `{ "NAME": "host:port" | "aws" | { "bootstrap.servers": "…", "security.protocol": "…", … } }`. */
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

type Target = { readonly kind: 'aws' } | { readonly kind: 'known'; readonly configuration: ClusterConfiguration };

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
    if (target?.kind === 'known') return await withAccess(target.configuration, definition);
    if (eventSourceArn !== undefined) {
      if (target?.kind === 'aws') return await fromMsk(eventSourceArn, definition);
      say(eventSourceArn, `${eventSourceArn} stands for ${own.bootstrapServers.join(',')} (no --cluster names it)`);
      return await withAccess(own, definition);
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

  /** Access configurations of the mapping win over what the name stands for: they are the closer word. */
  const withAccess = async (
    configuration: ClusterConfiguration,
    { eventSourceArn, sourceAccessConfigurations: access = [] }: MappingDefinition,
  ): Promise<ClusterConfiguration> => {
    if (access.length === 0 || configuration.sasl !== undefined || configuration.tls !== undefined)
      return configuration;
    return await resolveAccess(
      eventSourceArn === undefined ? 'SELF_MANAGED' : 'MSK',
      configuration.bootstrapServers,
      access,
      secrets,
    );
  };

  const fromMsk = async (arn: string, { sourceAccessConfigurations: access = [] }: MappingDefinition) => {
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
    targets.set(name, compileTarget(name, value, `${options.clustersFile}: ${name}`));
  }
  for (const [name, value] of Object.entries(options.clusters)) {
    targets.set(name, compileTarget(name, value, `--cluster ${name}`));
  }
  return targets;
}

function compileTarget(name: string, value: unknown, place: string): Target {
  if (value === 'aws') {
    if (!name.startsWith('arn:'))
      throw new HeadraceError('CONFIGURATION', `${place}: aws needs the ARN of an MSK cluster`);
    return { kind: 'aws' };
  }
  const properties: Record<string, unknown> =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? { ...value }
      : { 'bootstrap.servers': value };
  const lines = Object.entries(properties).map(([key, each]) => {
    if (typeof each !== 'string') throw new HeadraceError('CONFIGURATION', `${place}: ${key} must be a text`);
    return `${key}=${each.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`;
  });
  try {
    const { configuration } = parseClientProperties(lines.join('\n'));
    const wrong = configuration.bootstrapServers.find(
      (server) => !/^(\[[0-9a-fA-F:.]+\]|[^\s:/]+):\d{1,5}$/.test(server),
    );
    if (wrong !== undefined) throw new HeadraceError('CONFIGURATION', `"${wrong}" is not HOST:PORT`);
    return { kind: 'known', configuration };
  } catch (error) {
    if (HeadraceError.is(error)) throw new HeadraceError(error.code, `${place}: ${error.message}`, { cause: error });
    throw error;
  }
}

function readClustersFile(path: string | undefined): Record<string, unknown> {
  if (path === undefined) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new HeadraceError(
      'INPUT_UNREADABLE',
      `the clusters file ${path} cannot be read: ${(error as Error).message}`,
    );
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new HeadraceError(
      'CONFIGURATION',
      `the clusters file ${path} must hold one object: { "NAME": "host:port", … }`,
    );
  return { ...parsed };
}
