import type { Authorize } from './authorize.ts';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import type { FaultPlan } from './faults/rule.ts';
import type { SaslOptions } from './security/authentication.ts';

/** A topic to create at the start. One that is already there (with `dataDir`) is left as it is. */
export interface TopicOptions {
  name: string;
  /** Default 1. */
  partitions?: number;
  /** By Kafka's names, such as `{ 'cleanup.policy': 'compact' }`. */
  configs?: Record<string, string | number | boolean>;
}

/** All PEM texts. */
export interface TlsOptions {
  key: string | Buffer;
  cert: string | Buffer;
  passphrase?: string;
  /** Authorities that client certificates must come from. */
  ca?: string | Buffer;
  /** Whether clients must show a certificate; their principal is its subject then. Default `none`. */
  clientAuth?: 'none' | 'requested' | 'required';
}

/** What `startBroker` takes. Everything is optional. */
export interface BrokerOptions {
  /** Port of the first node; 0 (the default) takes free ones. Further nodes take the ports that follow. */
  port?: number;
  /** Address to listen on. Default 127.0.0.1: reachable from this machine alone. */
  host?: string;
  /** Host that clients are told to connect to; by default `host`, and 127.0.0.1 where that is a wildcard. */
  advertisedHost?: string;
  topics?: TopicOptions[];
  /** Nodes that clients see, each on a port of its own, over one log. Default 1. */
  nodes?: number;
  /** The nodes' racks, in order; with them fetches are sent to the nearest replica. */
  racks?: string[];
  /** Bytes of memory that records may take, all topics together; the oldest segments go. Default 512 MiB. */
  retentionBytes?: number;
  /** Folder that keeps everything across restarts. Default: in memory alone. */
  dataDir?: string;
  /** With `dataDir`: wait for the disk before acknowledging, against a crash of the machine. Default false. */
  flush?: boolean;
  /** Broker settings by Kafka's names, such as `{ 'group.min.session.timeout.ms': 100 }`. */
  configs?: Record<string, string | number | boolean>;
  /** Time. Give one of your own to move it by hand. */
  clock?: Clock;
  /** Says who may do what; by default everyone may do everything. */
  authorize?: Authorize;
  /** Asks clients who they are. Default: everybody is `User:ANONYMOUS`. */
  sasl?: SaslOptions;
  /** Encrypts connections. Default: plain TCP. */
  tls?: TlsOptions;
  /** Faults drawn at random from a seed. */
  faults?: FaultPlan;
  /** Told of a peer that sent what no client sends, and of failures of the broker itself. Default: nobody. */
  onError?: (error: unknown, connection: { id: number; clientId: string; remoteHost: string }) => void;
}

/** Broker settings that do something here, with Apache Kafka 4.3's defaults except where the comment says so. */
export const brokerConfigs = {
  // Apache Kafka: true. A misspelt topic should fail a test, not make a topic.
  'auto.create.topics.enable': 'false',
  'num.partitions': '1',
  'message.max.bytes': '1048588',
  'group.min.session.timeout.ms': '6000',
  'group.max.session.timeout.ms': '1800000',
  // Apache Kafka: 3000. Tests should not wait.
  'group.initial.rebalance.delay.ms': '0',
  'group.max.size': '2147483647',
  'group.consumer.heartbeat.interval.ms': '5000',
  'group.consumer.session.timeout.ms': '45000',
  'group.consumer.max.size': '2147483647',
  'group.share.heartbeat.interval.ms': '5000',
  'group.share.session.timeout.ms': '45000',
  'group.share.record.lock.duration.ms': '30000',
  'group.share.delivery.count.limit': '5',
  'group.share.max.share.sessions': '2000',
  'group.share.partition.max.record.locks': '2000',
  'offset.metadata.max.bytes': '4096',
  'offsets.retention.minutes': '10080',
  'offsets.retention.check.interval.ms': '600000',
  'log.retention.check.interval.ms': '300000',
  'log.cleaner.backoff.ms': '15000',
  'transaction.max.timeout.ms': '900000',
  'connections.max.reauth.ms': '0',
  'socket.request.max.bytes': '104857600',
} as const;

export type BrokerConfigName = keyof typeof brokerConfigs;

/** Settings as they apply, all there. */
export class BrokerSettings {
  readonly values: ReadonlyMap<string, string>;

  /** @throws TypeError that names the unknown setting or the illegal value */
  constructor(configs: Record<string, string | number | boolean> = {}) {
    const values = new Map<string, string>(Object.entries(brokerConfigs));
    for (const [name, value] of Object.entries(configs)) {
      if (!values.has(name)) {
        throw new TypeError(`configs: unknown broker setting '${name}'; known: ${[...values.keys()].join(', ')}`);
      }
      const isFlag =
        brokerConfigs[name as BrokerConfigName] === 'false' ||
        brokerConfigs[name as BrokerConfigName] === ('true' as string);
      if (isFlag ? !['true', 'false'].includes(String(value)) : !/^\d+$/.test(String(value))) {
        throw new TypeError(
          `configs: '${name}' is ${isFlag ? 'true or false' : 'a whole number of 0 or more'}, not '${value}'`,
        );
      }
      values.set(name, String(value));
    }
    this.values = values;
  }

  number(name: BrokerConfigName): number {
    return Number(this.values.get(name));
  }
  flag(name: BrokerConfigName): boolean {
    return this.values.get(name) === 'true';
  }
}

export interface CompiledOptions {
  port: number;
  host: string;
  advertisedHost: string;
  topics: Required<TopicOptions>[];
  nodes: number;
  racks: readonly string[];
  retentionBytes: number;
  dataDir: string | undefined;
  flush: boolean;
  settings: BrokerSettings;
  clock: Clock;
  authorize: Authorize | undefined;
  faults: FaultPlan | undefined;
  sasl: SaslOptions | undefined;
  tls: TlsOptions | undefined;
  onError: NonNullable<BrokerOptions['onError']>;
}

const integer = (name: string, value: number, low: number, high: number): number => {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new TypeError(`${name} must be a whole number from ${low} to ${high}, not ${value}`);
  }
  return value;
};

/** @throws TypeError that names the option and its legal range */
export function compileOptions(options: BrokerOptions): CompiledOptions {
  const nodes = integer('nodes', options.nodes ?? 1, 1, 100);
  const port = integer('port', options.port ?? 0, 0, 65_536 - nodes);
  const host = options.host ?? '127.0.0.1';
  const isWildcard = host === '0.0.0.0' || host === '::';
  if (options.racks && options.racks.length !== nodes) {
    throw new TypeError(`racks must name one rack for each of the ${nodes} nodes, not ${options.racks.length}`);
  }
  return {
    port,
    host,
    advertisedHost: options.advertisedHost ?? (isWildcard ? '127.0.0.1' : host),
    topics: (options.topics ?? []).map(({ name, partitions, configs }) => ({
      name,
      partitions: partitions ?? 1,
      configs: configs ?? {},
    })),
    nodes,
    racks: options.racks ?? [],
    retentionBytes: integer('retentionBytes', options.retentionBytes ?? 512 << 20, 1 << 20, 2 ** 40),
    dataDir: options.dataDir,
    flush: options.flush ?? false,
    settings: new BrokerSettings(options.configs),
    clock: options.clock ?? systemClock,
    authorize: options.authorize,
    faults: options.faults,
    sasl: options.sasl,
    tls: options.tls,
    onError: options.onError ?? (() => undefined),
  };
}
