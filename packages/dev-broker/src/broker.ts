import { createServer, type Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { registerAcls } from './apis/acls.ts';
import { registerConfigs } from './apis/configs.ts';
import { type ConsumerGroupServices, consumerGroupOf, registerConsumerGroups } from './apis/consumer-groups.ts';
import { registerFetch } from './apis/fetch.ts';
import { registerGroupOffsets } from './apis/group-offsets.ts';
import { registerGroups } from './apis/groups.ts';
import { registerMetadata } from './apis/metadata.ts';
import { findOffset, registerOffsets } from './apis/offsets.ts';
import { registerProduce } from './apis/produce.ts';
import { Registry } from './apis/registry.ts';
import { registerShareFetch } from './apis/share-fetch.ts';
import { registerShareGroups, shareGroupOf } from './apis/share-groups.ts';
import { registerTopics } from './apis/topics.ts';
import { registerTransactions } from './apis/transactions.ts';
import { registerVersions } from './apis/versions.ts';
import { Authorizer } from './authorize.ts';
import { every } from './clock.ts';
import { Cluster, type Node } from './cluster/cluster.ts';
import type { Partition } from './cluster/topic.ts';
import { Control } from './control.ts';
import { Faults } from './faults/faults.ts';
import type { ConsumerGroup } from './groups/consumer-group.ts';
import { GroupCoordinator } from './groups/coordinator.ts';
import type { ShareGroup, ShareGroupOptions } from './groups/share-group.ts';
import { type BrokerConfigName, type BrokerOptions, type CompiledOptions, compileOptions } from './options.ts';
import { Authentication } from './security/authentication.ts';
import { Connection } from './server/connection.ts';
import { Dispatcher } from './server/dispatcher.ts';
import { Storage } from './storage/storage.ts';
import { TransactionCoordinator } from './transactions/coordinator.ts';
import { ProducerIds } from './transactions/producer-ids.ts';

/** A running broker. */
export interface Broker extends AsyncDisposable {
  /** `host:port` of every node, separated by commas: what clients take. */
  readonly bootstrapServers: string;
  /** Nodes as clients see them. */
  readonly nodes: readonly { readonly id: number; readonly host: string; readonly port: number }[];
  /** Creates a topic. @throws RequestError when there is one of that name, or the name or a config is illegal */
  createTopic(topic: { name: string; partitions?: number; configs?: Record<string, string | number | boolean> }): void;
  /** Faults on purpose: wrong answers, delays, cut connections. */
  readonly faults: Pick<Faults, 'add' | 'clear'>;
  /** Looks at and changes what the broker holds: leaders, coordinators, logs, members. */
  readonly control: Omit<Control, 'resumeAll'>;
  /** Open connections. */
  readonly connections: readonly {
    readonly id: number;
    readonly clientId: string;
    readonly software: string;
    readonly node: number;
  }[];
  /** Cuts the connections of a client id, or all. @returns how many */
  disconnect(clientId?: string): number;
  /** Takes a node away: its connections are cut, and what it led or coordinated goes to the others. */
  stopNode(id: number): Promise<void>;
  /** Brings a stopped node back, on its port; leaders stay where they are. */
  startNode(id: number): Promise<void>;
  /** Closes all connections and stops listening. */
  stop(): Promise<void>;
}

/**
 * Starts a Kafka broker in this process, ready for clients when this resolves.
 *
 *     const broker = await startBroker({ topics: [{ name: 'orders', partitions: 4 }] });
 *     const consumer = new Kafka({ brokers: [broker.bootstrapServers] }).consumer({ groupId: 'g' });
 *     // ...
 *     await broker.stop();
 *
 * @throws TypeError for an illegal option; the system's error when the port cannot be taken
 */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const broker = new RunningBroker(compileOptions(options));
  try {
    await broker.start();
  } catch (error) {
    await broker.stop();
    throw error;
  }
  return broker;
}

/** A broker without a listener: whoever made it carries the requests. For simulations, with a virtual clock. */
export interface InProcessBroker extends Pick<Broker, 'createTopic' | 'nodes' | 'faults' | 'control'> {
  /**
   * Answers a request as the node would.
   *
   * @param frame header and body, without the length in front
   * @returns the answer, from the correlation id on; undefined where the node would end the connection instead
   * @throws ProtocolError for what no client sends
   */
  answer(nodeId: number, frame: Buffer): Promise<Buffer | undefined>;
}

/** Makes a broker that listens nowhere. It has no tasks of its own: nothing is expired by age. */
export function createInProcessBroker(options: Omit<BrokerOptions, 'dataDir' | 'tls' | 'port'> = {}): InProcessBroker {
  const compiled = compileOptions(options);
  const broker = new RunningBroker(compiled);
  for (const topic of compiled.topics) broker.createTopic(topic);
  return broker;
}

const stringify = (configs: Record<string, string | number | boolean>): Map<string, string> =>
  new Map(Object.entries(configs).map(([name, value]) => [name, String(value)]));

/** The subject of a client's certificate, in the order in which Java writes it; undefined when it showed none. */
function certificatePrincipal(socket: TLSSocket): string | undefined {
  const { subject } = socket.getPeerCertificate();
  if (!subject) return undefined;
  const parts = Object.entries(subject).map(([name, value]) => `${name}=${String(value)}`);
  return `User:${parts.reverse().join(',')}`;
}

/** Where a share group begins: an end of the log, or a time before now (`by_duration:PT1H30M`). */
function shareStart(partition: Partition, reset: string, now: number): number {
  if (reset === 'earliest') return partition.log.startOffset;
  const match = /^by_duration:P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?$/.exec(reset);
  if (!match) return partition.log.endOffset;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
  ];
  const duration = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
  const { offset } = findOffset(partition, Math.max(0, now - duration), false);
  return offset < 0 ? partition.log.endOffset : offset;
}

class RunningBroker implements Broker, InProcessBroker {
  readonly #options: CompiledOptions;
  readonly #registry = new Registry();
  readonly #servers = new Map<Node, Server>();
  readonly #connections = new Set<Connection>();
  /** What requests of `answer` come by: sockets that are never connected. */
  readonly #inProcess = new Map<Node, Connection>();
  readonly #cluster: Cluster;
  readonly #groups: GroupCoordinator;
  readonly #transactions: TransactionCoordinator;
  readonly #shareGroupOf: (groupId: string) => ShareGroup;
  readonly #consumerGroupOf: (groupId: string) => ConsumerGroup;
  readonly #authentication: Authentication;
  readonly #producerIds = new ProducerIds();
  readonly #dispatcher: Dispatcher;
  #storage: Storage | undefined;
  readonly #groupConfigs = new Map<string, Map<string, string>>();
  readonly #tasks: { stop(): void }[] = [];
  readonly faults: Faults;
  readonly control: Control;

  constructor(options: CompiledOptions) {
    this.#options = options;
    const { clock, settings } = options;
    this.#cluster = new Cluster({
      clock,
      clusterId: 'headrace-dev-broker-00',
      retentionBytes: options.retentionBytes,
      defaultPartitions: settings.number('num.partitions'),
      autoCreateTopics: settings.flag('auto.create.topics.enable'),
    });
    const cluster = this.#cluster;
    for (let index = 0; index < options.nodes; index++) {
      const rack = options.racks[index] ?? null;
      cluster.nodes.push({ id: index + 1, host: options.advertisedHost, port: 0, rack });
    }
    this.#groups = new GroupCoordinator({
      clock,
      cluster,
      minimumSessionTimeoutMs: settings.number('group.min.session.timeout.ms'),
      maximumSessionTimeoutMs: settings.number('group.max.session.timeout.ms'),
      initialRebalanceDelayMs: settings.number('group.initial.rebalance.delay.ms'),
      maximumSize: settings.number('group.max.size'),
      offsetsRetentionMs: settings.number('offsets.retention.minutes') * 60_000,
      maximumMetadataBytes: settings.number('offset.metadata.max.bytes'),
    });
    const groups = this.#groups;
    const producerIds = this.#producerIds;
    this.#transactions = new TransactionCoordinator({
      clock,
      cluster,
      groups,
      producerIds,
      maximumTimeoutMs: settings.number('transaction.max.timeout.ms'),
    });
    const transactions = this.#transactions;
    const authorizer = new Authorizer(options.authorize);
    this.#authentication = new Authentication(clock, settings.number('connections.max.reauth.ms'), options.sasl);
    const faults = new Faults(clock, cluster, options.faults);
    this.faults = faults;
    this.control = new Control(cluster, groups);
    const registry = this.#registry;
    registerVersions(registry);
    this.#authentication.register(registry);
    registerAcls(registry);
    registerMetadata(registry, { cluster, authorizer, faults });
    registerTopics(registry, { cluster, authorizer });
    const groupConfigs = this.#groupConfigs;
    /** A group's own setting, else the broker's. */
    const groupSetting = (group: string, name: string, fallback: BrokerConfigName): number =>
      Number(groupConfigs.get(group)?.get(name) ?? settings.number(fallback));
    registerConfigs(registry, {
      cluster,
      authorizer,
      groupConfigs,
      brokerConfigs: settings.values,
      groupConfigChanged: (group) => this.#storage?.groupConfigChanged(group),
    });
    registerProduce(registry, {
      clock,
      cluster,
      authorizer,
      transactions,
      faults,
    });
    registerFetch(registry, { clock, cluster, authorizer, faults });
    registerOffsets(registry, { cluster, authorizer, faults });
    registerGroups(registry, { groups, authorizer });
    registerGroupOffsets(registry, { groups, cluster, authorizer, faults });
    const consumerGroups: ConsumerGroupServices = {
      groups,
      cluster,
      authorizer,
      consumerGroups: {
        clock,
        cluster,
        maximumSize: settings.number('group.consumer.max.size'),
        heartbeatIntervalMs: (group) =>
          groupSetting(group, 'consumer.heartbeat.interval.ms', 'group.consumer.heartbeat.interval.ms'),
        sessionTimeoutMs: (group) =>
          groupSetting(group, 'consumer.session.timeout.ms', 'group.consumer.session.timeout.ms'),
      },
    };
    registerConsumerGroups(registry, consumerGroups);
    this.#consumerGroupOf = (groupId) => consumerGroupOf(consumerGroups, groupId);
    const shareGroups: Omit<ShareGroupOptions, 'changed'> = {
      clock,
      cluster,
      heartbeatIntervalMs: (group) =>
        groupSetting(group, 'share.heartbeat.interval.ms', 'group.share.heartbeat.interval.ms'),
      sessionTimeoutMs: (group) => groupSetting(group, 'share.session.timeout.ms', 'group.share.session.timeout.ms'),
      limits: (group) => ({
        lockDurationMs: groupSetting(group, 'share.record.lock.duration.ms', 'group.share.record.lock.duration.ms'),
        deliveryCountLimit: groupSetting(group, 'share.delivery.count.limit', 'group.share.delivery.count.limit'),
        maximumRecordLocks: groupSetting(
          group,
          'share.partition.max.record.locks',
          'group.share.partition.max.record.locks',
        ),
        isReadCommitted: groupConfigs.get(group)?.get('share.isolation.level') === 'read_committed',
      }),
      initialOffset: (group, partition) =>
        shareStart(partition, groupConfigs.get(group)?.get('share.auto.offset.reset') ?? 'latest', clock.now()),
      partitionChanged: (...change) => this.#storage?.sharePartitionChanged(...change),
      partitionForgotten: (...partition) => this.#storage?.sharePartitionForgotten(...partition),
    };
    this.#shareGroupOf = (groupId) => shareGroupOf({ groups, shareGroups }, groupId);
    registerShareGroups(registry, { groups, cluster, authorizer, shareGroups });
    registerShareFetch(registry, {
      clock,
      cluster,
      authorizer,
      faults,
      maximumSessions: settings.number('group.share.max.share.sessions'),
      lockDurationMs: (group) => shareGroups.limits(group).lockDurationMs,
      groupOf: this.#shareGroupOf,
    });
    registerTransactions(registry, { cluster, groups, transactions, authorizer, faults });
    this.#dispatcher = new Dispatcher(registry, this.#authentication, faults.intercept);
  }

  get bootstrapServers(): string {
    return this.#cluster.nodes.map(({ host, port }) => `${host}:${port}`).join(',');
  }

  get nodes(): readonly Node[] {
    return this.#cluster.nodes;
  }

  async start(): Promise<void> {
    const { port, host, topics, clock, settings, dataDir, flush, onError } = this.#options;
    if (dataDir !== undefined) {
      this.#storage = new Storage(dataDir, flush, {
        clock,
        cluster: this.#cluster,
        groups: this.#groups,
        transactions: this.#transactions,
        producerIds: this.#producerIds,
        groupConfigs: this.#groupConfigs,
        authentication: this.#authentication,
        shareGroupOf: this.#shareGroupOf,
        consumerGroupOf: this.#consumerGroupOf,
        onError: (error) => onError(error, { id: 0, clientId: '', remoteHost: '' }),
      });
    }
    await Promise.all(
      this.#cluster.nodes.map((node, index) => this.#listen(node, port === 0 ? 0 : port + index, host)),
    );
    for (const topic of topics) if (!this.#cluster.topics.has(topic.name)) this.createTopic(topic);
    this.#tasks.push(
      every(clock, settings.number('log.retention.check.interval.ms'), () => this.#cluster.applyRetention()),
      every(clock, settings.number('log.cleaner.backoff.ms'), () => this.#cluster.applyCompaction()),
      every(clock, settings.number('offsets.retention.check.interval.ms'), () => this.#groups.expireOffsets()),
    );
  }

  #listen(node: Node, port: number, host: string): Promise<void> {
    const server = this.#createServer((socket, principal) => this.#accept(socket, node, principal));
    this.#servers.set(node, server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        server.on('error', (error) => this.#options.onError(error, { id: 0, clientId: '', remoteHost: '' }));
        const address = server.address();
        node.port = typeof address === 'object' && address ? address.port : port;
        resolve();
      });
    });
  }

  #createServer(accept: (socket: Socket, principal: string | undefined) => void): Server {
    const { tls, onError } = this.#options;
    if (!tls) return createServer({ highWaterMark: 256 << 10 }, (socket) => accept(socket, undefined));
    const { clientAuth = 'none', ...rest } = tls;
    // Loaded when it is asked for: it takes some megabytes, and most brokers speak plain TCP.
    const server = process.getBuiltinModule('node:tls').createServer(
      {
        ...rest,
        requestCert: clientAuth !== 'none',
        rejectUnauthorized: clientAuth !== 'none',
        handshakeTimeout: 10_000,
      },
      (socket) => accept(socket, certificatePrincipal(socket)),
    );
    server.on('tlsClientError', (error, { remoteAddress = '' }) =>
      onError(error, { id: 0, clientId: '', remoteHost: remoteAddress }),
    );
    return server;
  }

  #accept(socket: Socket, node: Node, principal: string | undefined): void {
    const { onError, settings, tls } = this.#options;
    const largestFrame = settings.number('socket.request.max.bytes');
    const connection = new Connection(socket, node, tls !== undefined, largestFrame, this.#dispatcher.respond, onError);
    if (principal !== undefined) connection.principal = principal;
    this.#authentication.accept(connection);
    this.#connections.add(connection);
    socket.once('close', () => this.#connections.delete(connection));
  }

  async answer(nodeId: number, frame: Buffer): Promise<Buffer | undefined> {
    const node = this.#node(nodeId);
    let connection = this.#inProcess.get(node);
    if (!connection) {
      const largestFrame = this.#options.settings.number('socket.request.max.bytes');
      const { respond } = this.#dispatcher;
      connection = new Connection(new Socket(), node, false, largestFrame, respond, this.#options.onError);
      this.#authentication.accept(connection);
      this.#inProcess.set(node, connection);
    }
    const answer = await this.#dispatcher.respond(frame, connection);
    return Array.isArray(answer) ? Buffer.concat(answer).subarray(4) : undefined;
  }

  createTopic({ name, partitions, configs }: Parameters<Broker['createTopic']>[0]): void {
    this.#cluster.createTopic(name, partitions ?? 1, stringify(configs ?? {}));
  }

  get connections(): Broker['connections'] {
    return [...this.#connections].map(({ id, clientId, software, node }) => ({
      id,
      clientId,
      software,
      node: node.id,
    }));
  }

  disconnect(clientId?: string): number {
    const chosen = [...this.#connections].filter(
      (connection) => clientId === undefined || connection.clientId === clientId,
    );
    for (const connection of chosen) connection.destroy();
    return chosen.length;
  }

  async stopNode(id: number): Promise<void> {
    const node = this.#node(id);
    if (this.#cluster.live.length === 1) throw new TypeError(`node ${id} is the last one; stop the broker instead`);
    this.#cluster.stopNode(node);
    const server = this.#servers.get(node);
    this.#servers.delete(node);
    const closed = new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
    for (const connection of this.#connections) if (connection.node === node) connection.destroy();
    await closed;
  }

  async startNode(id: number): Promise<void> {
    const node = this.#node(id);
    if (this.#servers.has(node)) return;
    await this.#listen(node, node.port, this.#options.host);
    this.#cluster.startNode(node);
  }

  #node(id: number): Node {
    const node = this.#cluster.nodes.find((candidate) => candidate.id === id);
    if (!node) throw new TypeError(`there is no node ${id}`);
    return node;
  }

  async stop(): Promise<void> {
    for (const task of this.#tasks) task.stop();
    const closed = [...this.#servers.values()].map(
      (server) => new Promise<void>((resolve) => (server.listening ? server.close(() => resolve()) : resolve())),
    );
    this.control.resumeAll();
    this.faults.close();
    for (const connection of this.#connections) connection.destroy();
    this.#groups.close();
    this.#transactions.close();
    await Promise.all(closed);
    this.#storage?.close();
    this.#storage = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
