import { lookup } from 'node:dns/promises';
import { isIP, connect as tcpConnect } from 'node:net';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { type ErrorCode, errorCatalogue, HeadraceError, toHeadraceError } from '../errors.ts';
import { Backoff } from './backoff.ts';
import { parseAddress } from './bootstrap.ts';
import { Cluster } from './cluster.ts';
import { type Address, Connection, type ConnectionOptions, reasonOf } from './connection.ts';
import type { ClusterConfiguration } from './contract.ts';
import { fetch, readFetch } from './fetch-request.ts';
import { heartbeat, offsetFetch } from './group-requests.ts';
import { EARLIEST_OFFSET, LATEST_OFFSET } from './metadata-requests.ts';
import { lookUpOffsets } from './offset-lookup.ts';
import { brokerError, KafkaCode, kafkaCodeOf, needsCoordinator } from './protocol-errors.ts';
import { describeCluster } from './redaction.ts';

/** One step of the way to a cluster. */
export interface Hop {
  /** `configuration` (of a mapping), `name resolution`, `TCP`, `TLS`, `authentication`, `protocol`, `brokers`, `topic`, `read`, `group`, `lag`. */
  readonly name: string;
  /** What was looked at: an address, a topic, a group. */
  readonly subject: string;
  readonly result: 'ok' | 'warning' | 'failed';
  readonly milliseconds: number;
  /** What was found, in a few words. */
  readonly found: string;
  readonly error?: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly cause: string;
    readonly cure: string;
  };
}

export interface PreflightOptions {
  readonly topics?: readonly string[];
  readonly groupId?: string;
  /** Of each step. Default 5,000. */
  readonly timeoutMilliseconds?: number;
  /** Called as each step ends. */
  readonly onHop?: (hop: Hop) => void;
}

/** A certificate that expires within so many days is worth a word. */
const EXPIRY_WARNING_DAYS = 21;

/** Requests without which nothing is read, and the versions that are spoken: Apache Kafka 2.4 and newer. */
const needed: readonly [key: number, name: string, min: number, max: number][] = [
  [1, 'Fetch', 11, 12],
  [2, 'ListOffsets', 5, 5],
  [3, 'Metadata', 9, 12],
  [8, 'OffsetCommit', 8, 9],
  [9, 'OffsetFetch', 6, 9],
  [10, 'FindCoordinator', 3, 3],
  [11, 'JoinGroup', 6, 6],
  [12, 'Heartbeat', 4, 4],
  [14, 'SyncGroup', 4, 4],
];

/**
 * Walks the way to a cluster step by step, and stops at the first that fails: what comes after could only fail for the
 * same reason. Reads, and changes nothing: no group is joined, nothing is committed.
 */
export async function walkToCluster(
  configuration: ClusterConfiguration,
  options: PreflightOptions = {},
): Promise<{ readonly ok: boolean; readonly hops: readonly Hop[] }> {
  const walk = new Walk(configuration, options);
  try {
    await walk.run();
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
  } finally {
    walk.close();
  }
  return { ok: walk.hops.every((hop) => hop.result !== 'failed'), hops: walk.hops };
}

/**
 * The same walk for what is yet to be resolved, such as the cluster of a mapping with its secrets: that is its first hop.
 * Never throws.
 */
export async function walkToResolved(
  subject: string,
  resolve: () => Promise<ClusterConfiguration>,
  options: PreflightOptions = {},
): Promise<{ readonly ok: boolean; readonly hops: readonly Hop[] }> {
  const started = performance.now();
  const tell = (found: string, error?: HeadraceError): Hop => {
    const hop = hopOf('configuration', subject, error === undefined ? 'ok' : 'failed', started, found, error);
    options.onHop?.(hop);
    return hop;
  };
  try {
    const configuration = await resolve();
    const shown = describeCluster(configuration);
    const how = [shown['securityProtocol'], shown['saslMechanism'], shown['username'] && `as ${shown['username']}`];
    const first = tell(`${how.filter(Boolean).join(' ')} at ${configuration.bootstrapServers.join(',')}`);
    const { ok, hops } = await walkToCluster(configuration, options);
    return { ok, hops: [first, ...hops] };
  } catch (error) {
    const failure = toHeadraceError(error);
    return { ok: false, hops: [tell(failure.message, failure)] };
  }
}

function hopOf(
  name: string,
  subject: string,
  result: Hop['result'],
  started: number,
  found: string,
  failure: HeadraceError | undefined,
): Hop {
  const milliseconds = Math.round((performance.now() - started) * 10) / 10;
  if (failure === undefined) return { name, subject, result, milliseconds, found };
  const { code, message, cure } = failure;
  const error = { code, message, cause: errorCatalogue[code].cause, cure };
  return { name, subject, result, milliseconds, found, error };
}

/** A step failed and was told; the walk ends, or goes on with the next address. */
class Stop extends Error {
  readonly isPassedOver: boolean;

  constructor(isPassedOver: boolean) {
    super();
    this.isPassedOver = isPassedOver;
  }
}

/** The others of the list would say the same of what is not among these: a password, a certificate. */
const hostFaults = new Set<ErrorCode>(['KAFKA_UNREACHABLE', 'KAFKA_TIMEOUT', 'KAFKA_DISCONNECTED', 'KAFKA_PROTOCOL']);

interface Finding {
  readonly found: string;
  readonly isWarning?: boolean;
}

class Walk {
  readonly hops: Hop[] = [];
  readonly #configuration: ClusterConfiguration;
  readonly #options: PreflightOptions;
  readonly #connectionOptions: ConnectionOptions;
  readonly #timeout: number;
  #cluster: Cluster | undefined;

  constructor(configuration: ClusterConfiguration, options: PreflightOptions) {
    this.#configuration = configuration;
    this.#options = options;
    this.#timeout = options.timeoutMilliseconds ?? 5_000;
    this.#connectionOptions = {
      clientId: 'headrace-check',
      clientVersion: 'unknown',
      tls: configuration.tls,
      sasl: configuration.sasl,
      connectTimeoutMilliseconds: this.#timeout,
      requestTimeoutMilliseconds: this.#timeout,
    };
  }

  close(): void {
    this.#cluster?.close();
  }

  async run(): Promise<void> {
    const addresses = await this.#step('bootstrap servers', this.#configuration.bootstrapServers.join(','), () => {
      const parsed = this.#configuration.bootstrapServers.map(parseAddress);
      return Promise.resolve([parsed, { found: `${parsed.length} given` }]);
    });
    await this.#openFirst(addresses);
    const cluster = new Cluster(this.#configuration, {
      clientId: 'headrace-check',
      connectTimeoutMilliseconds: this.#timeout,
      requestTimeoutMilliseconds: this.#timeout,
    });
    this.#cluster = cluster;
    await this.#lookAtBrokers(cluster);
    for (const topic of this.#options.topics ?? []) await this.#lookAtTopic(cluster, topic);
    if (this.#options.groupId !== undefined) await this.#lookAtGroup(cluster, this.#options.groupId);
  }

  /** Runs a step and tells how it went. What may be the fault of one host alone is a warning while `hasOthers`. */
  async #step<T>(
    what: string,
    subject: string,
    action: () => Promise<readonly [T, Finding]>,
    hasOthers = false,
  ): Promise<T> {
    const started = performance.now();
    const tell = (result: Hop['result'], found: string, error?: HeadraceError): void => {
      const hop = hopOf(what, subject, result, started, found, error);
      this.hops.push(hop);
      this.#options.onHop?.(hop);
    };
    try {
      const [value, finding] = await action();
      tell(finding.isWarning === true ? 'warning' : 'ok', finding.found);
      return value;
    } catch (error) {
      const problem = toHeadraceError(error, 'KAFKA_PROTOCOL');
      const isPassedOver = hasOthers && hostFaults.has(problem.code);
      tell(isPassedOver ? 'warning' : 'failed', problem.message, problem);
      throw new Stop(isPassedOver);
    }
  }

  /** From the name to the protocol, for the first of the bootstrap list with which all of it goes well. */
  async #openFirst(addresses: readonly Address[]): Promise<void> {
    for (const [index, address] of addresses.entries()) {
      const hasOthers = index < addresses.length - 1;
      try {
        const look = async () => {
          const found = isIP(address.host) === 0 ? await resolveName(address.host) : [address.host];
          return [undefined, { found: found.join(', ') }] as const;
        };
        await this.#step('name resolution', address.host, look, hasOthers);
        const connect = async () => {
          await connectTcp(address, this.#timeout);
          return [undefined, { found: 'connected' }] as const;
        };
        await this.#step('TCP', name(address), connect, hasOthers);
        if (this.#configuration.tls !== undefined) {
          await this.#step('TLS', name(address), async () => [undefined, await this.#lookAtTls(address)], hasOthers);
        }
        await this.#open(address, hasOthers);
        return;
      } catch (error) {
        if (!(error instanceof Stop) || !error.isPassedOver) throw error;
      }
    }
  }

  async #lookAtTls(address: Address): Promise<Finding> {
    const socket = await connectTls(address, this.#configuration, this.#timeout);
    const certificate = socket.getPeerCertificate();
    const protocol = socket.getProtocol() ?? 'TLS';
    socket.destroy();
    const until = new Date(certificate.valid_to);
    const days = Math.floor((until.getTime() - Date.now()) / 86_400_000);
    const text = `${protocol}, certificate of ${certificate.subject?.CN ?? 'nobody'} by ${certificate.issuer?.CN ?? 'nobody'}`;
    return { found: `${text}, valid for ${days} days`, isWarning: days < EXPIRY_WARNING_DAYS };
  }

  async #open(address: Address, hasOthers: boolean): Promise<void> {
    const { sasl } = this.#configuration;
    const open = async () => {
      const opened = await Connection.open(address, this.#connectionOptions);
      const who = sasl !== undefined && 'username' in sasl ? ` as ${sasl.username}` : '';
      return [opened, { found: sasl === undefined ? 'none is used' : `${sasl.mechanism}${who}` }] as const;
    };
    const connection = await this.#step('authentication', name(address), open, hasOthers);
    try {
      await this.#step('protocol', name(address), () => {
        for (const [key, request, min, max] of needed) connection.bestVersion(key, request, min, max);
        const groups = connection.versionsOf(68) === undefined ? 'classic groups' : 'classic and KIP-848 groups';
        const share = connection.versionsOf(78) === undefined ? '' : ', share groups';
        return Promise.resolve([undefined, { found: `every request that is needed; ${groups}${share}` }]);
      });
    } finally {
      connection.close();
    }
  }

  /** Clients are sent to the advertised addresses: each must be reachable from here, not only the bootstrap's. */
  async #lookAtBrokers(cluster: Cluster): Promise<void> {
    const brokers = await this.#step('brokers', 'cluster', async () => {
      const { brokers: found, clusterId } = await cluster.refresh([]);
      return [found, { found: `${found.length} in cluster ${clusterId ?? 'without an id'}` }] as const;
    });
    for (const broker of brokers) {
      await this.#step('advertised broker', `${broker.nodeId} at ${name(broker)}`, async () => {
        try {
          (await Connection.open(broker, this.#connectionOptions)).close();
        } catch (error) {
          const failure = toHeadraceError(error, 'KAFKA_UNREACHABLE');
          const message = `${failure.message}: the cluster tells clients this address (advertised.listeners), and it cannot be used from here`;
          throw new HeadraceError(failure.code, message, { cause: error });
        }
        return [undefined, { found: broker.rack === null ? 'connected' : `connected, rack ${broker.rack}` }];
      });
    }
  }

  async #lookAtTopic(cluster: Cluster, topic: string): Promise<void> {
    const partitions = await this.#step('topic', topic, async () => {
      const { topics } = await cluster.refresh([topic]);
      const found = topics.find((each) => each.name === topic);
      if (found === undefined || found.error !== 0) throw brokerError(found?.error ?? 3, `topic ${topic}`);
      const leaderless = found.partitions.filter((partition) => partition.leader < 0).length;
      const text = `${found.partitions.length} partitions${leaderless > 0 ? `, ${leaderless} without a leader` : ''}`;
      return [found.partitions, { found: text, isWarning: leaderless > 0 }] as const;
    });
    const first = partitions.find((partition) => partition.leader >= 0);
    if (first === undefined) return;
    await this.#step('read', topic, async () => {
      const range = await this.#range(cluster, topic, first.partition);
      const connection = await cluster.connection(first.leader, 'check');
      const version = connection.bestVersion(1, 'Fetch', 11, 12);
      const { partition, leaderEpoch } = first;
      const wait = {
        maximumWaitMilliseconds: 0,
        minimumBytes: 0,
        maximumBytes: 1024,
        isolation: 0,
        rackId: '',
      } as const;
      const request = fetch(
        version,
        [{ topic, partition, leaderEpoch, offset: range.latest, maximumBytes: 1024 }],
        wait,
      );
      const response = await connection.sendRaw(request);
      try {
        const answer = readFetch(response.reader);
        const code = answer.error || (answer.partitions[0]?.error ?? 0);
        if (code !== 0) throw brokerError(code, `read of topic ${topic}`);
      } finally {
        response.block.release();
      }
      return [
        undefined,
        { found: `allowed; partition ${partition} holds offsets ${range.earliest} to ${range.latest}` },
      ];
    });
  }

  async #range(cluster: Cluster, topic: string, partition: number): Promise<{ earliest: number; latest: number }> {
    const at = async (timestamp: number): Promise<number> =>
      (await lookUpOffsets(cluster, 'check', [{ topic, partition, timestamp }], 0))[0]!.offset;
    const [earliest, latest] = await Promise.all([at(EARLIEST_OFFSET), at(LATEST_OFFSET)]);
    return { earliest, latest };
  }

  /** A cluster makes room for offsets when a group is first asked for: until then nobody coordinates one. */
  async #untilCoordinated<T>(action: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#timeout;
    const backoff = new Backoff();
    for (;;) {
      try {
        return await action();
      } catch (error) {
        if (!needsCoordinator(kafkaCodeOf(error)) || performance.now() >= deadline) throw error;
        await backoff.wait();
      }
    }
  }

  async #lookAtGroup(cluster: Cluster, groupId: string): Promise<void> {
    const topics = this.#options.topics ?? [];
    const places = topics.flatMap((topic) =>
      (cluster.topic(topic)?.partitions ?? []).map(({ partition }) => ({ topic, partition })),
    );
    const committed = await this.#step('group', groupId, () =>
      this.#untilCoordinated(async () => {
        const node = await cluster.coordinator(groupId);
        const connection = await cluster.connection(node, 'check');
        const version = connection.bestVersion(9, 'OffsetFetch', 6, 9);
        const identity = { groupId, memberId: '', generation: -1, instanceId: null };
        const answer = await connection.send(offsetFetch(version, identity, places));
        const code = answer.error || (answer.offsets.find((offset) => offset.error !== 0)?.error ?? 0);
        if (code !== 0) throw brokerError(code, `group ${groupId}`);
        // Offsets are told to who may describe the group; a member must be allowed more. Nobody beats by that name.
        const member = { ...identity, memberId: 'headrace-check' };
        if ((await connection.send(heartbeat(member))) === KafkaCode.GROUP_AUTHORIZATION_FAILED) {
          throw brokerError(KafkaCode.GROUP_AUTHORIZATION_FAILED, `READ of group ${groupId}`);
        }
        const known = answer.offsets.filter((offset) => offset.offset >= 0);
        if (topics.length === 0)
          return [known, { found: `coordinated by broker ${node}; no topic named to see offsets of` }];
        const text = known.length === 0 ? 'no offsets committed' : `offsets committed for ${known.length} partitions`;
        return [known, { found: `coordinated by broker ${node}; ${text}` }] as const;
      }),
    );
    if (committed.length === 0) return;
    await this.#step('lag', groupId, async () => {
      const queries = committed.map(({ topic, partition }) => ({ topic, partition, timestamp: LATEST_OFFSET }));
      const ends = await lookUpOffsets(cluster, 'check', queries, 0);
      const lag = committed.reduce((sum, { offset }, index) => sum + Math.max(ends[index]!.offset - offset, 0), 0);
      const worst = committed
        .map(({ topic, partition, offset }, index) => ({ topic, partition, lag: ends[index]!.offset - offset }))
        .sort((a, b) => b.lag - a.lag)[0]!;
      const most = lag === 0 ? '' : `, most in ${worst.topic}-${worst.partition}: ${worst.lag}`;
      return [undefined, { found: `${lag} records${most}` }];
    });
  }
}

const name = ({ host, port }: Address): string => `${host}:${port}`;

async function resolveName(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw new HeadraceError('KAFKA_UNREACHABLE', `the name ${host} cannot be resolved`, { cause: error });
  }
}

function connectTcp(address: Address, timeout: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = tcpConnect({ host: address.host, port: address.port });
    const end = (error?: HeadraceError): void => {
      clearTimeout(timer);
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = setTimeout(() => {
      const message = `${name(address)} did not answer within ${timeout} ms: a firewall that drops packets looks so`;
      end(new HeadraceError('KAFKA_UNREACHABLE', message));
    }, timeout);
    socket.once('connect', () => end());
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const what = error.code === 'ECONNREFUSED' ? `nothing listens at ${name(address)}` : reasonOf(error);
      end(new HeadraceError('KAFKA_UNREACHABLE', what, { cause: error }));
    });
  });
}

/** The handshake with all checks; what fails is told as `Connection` tells it. */
async function connectTls(address: Address, configuration: ClusterConfiguration, timeout: number): Promise<TLSSocket> {
  const { tls } = configuration;
  const serverName = tls?.serverName ?? address.host;
  const probe = await new Promise<TLSSocket | undefined>((resolve) => {
    let socket: TLSSocket;
    try {
      socket = tlsConnect({
        host: address.host,
        port: address.port,
        ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
        ca: tls?.certificateAuthority,
        cert: tls?.certificate,
        key: tls?.privateKey,
        passphrase: tls?.privateKeyPassword,
        rejectUnauthorized: tls?.rejectUnauthorized ?? true,
        ...(tls?.verifyServerName === false ? { checkServerIdentity: () => undefined } : {}),
      });
    } catch {
      resolve(undefined);
      return;
    }
    const timer = setTimeout(() => {
      socket.destroy();
      resolve(undefined);
    }, timeout);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.on('error', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
  if (probe !== undefined) return probe;
  // Once more by the connection itself, which words the failure.
  const { bootstrapServers: _, sasl: _sasl, ...rest } = configuration;
  const opened = await Connection.open(address, {
    ...rest,
    tls: configuration.tls,
    clientId: 'headrace-check',
    clientVersion: 'unknown',
    connectTimeoutMilliseconds: timeout,
    requestTimeoutMilliseconds: timeout,
  });
  opened.close();
  throw new HeadraceError('KAFKA_TLS', `TLS with ${name(address)} failed once and worked the next time`, {
    retryable: true,
  });
}
