import { setMaxListeners } from 'node:events';
import { type Clock, monotonicClock } from '../clock.ts';
import { HeadraceError } from '../errors.ts';
import { connectToAny, parseAddress } from './bootstrap.ts';
import { type Address, Connection, type ConnectionOptions } from './connection.ts';
import type { ClusterConfiguration } from './contract.ts';
import {
  type BrokerNode,
  findCoordinator,
  type Metadata,
  metadata,
  NO_TOPIC_ID,
  type TopicMetadata,
} from './metadata-requests.ts';
import { brokerError } from './protocol-errors.ts';

export interface ClusterOptions {
  /** Default 'headrace'. */
  readonly clientId?: string;
  /** Default 'unknown'. */
  readonly clientVersion?: string;
  /** Default 10,000. */
  readonly connectTimeoutMilliseconds?: number;
  /** Default 30,000; requests that may wait long (JoinGroup, Fetch) add what they wait. */
  readonly requestTimeoutMilliseconds?: number;
  /** How often topics are looked at again without a reason. Default 30,000. */
  readonly metadataAgeMilliseconds?: number;
  /** Time of the group membership and of commits; the simulation gives a virtual one. Default the monotonic clock. */
  readonly clock?: Clock;
}

/**
 * What is known of a cluster, and its connections: brokers, leaders, coordinators. Connections are shared by nobody
 * unless they are asked for by the same purpose.
 */
export class Cluster {
  readonly options: Required<ClusterOptions>;
  readonly #connectionOptions: ConnectionOptions;
  readonly #bootstrap: readonly Address[];
  #brokers = new Map<number, BrokerNode>();
  readonly #topics = new Map<string, TopicMetadata>();
  readonly #connections = new Map<string, Promise<Connection>>();
  #control: Promise<Connection> | undefined;
  #isClosed = false;
  /** What is still being opened at the end would otherwise keep the process alive until its time-out. */
  readonly #opening = new AbortController();

  constructor(configuration: ClusterConfiguration, options: ClusterOptions = {}) {
    if (configuration.bootstrapServers.length === 0) {
      throw new HeadraceError('CONFIGURATION', 'bootstrapServers: at least one HOST:PORT is needed');
    }
    this.#bootstrap = configuration.bootstrapServers.map(parseAddress);
    this.options = {
      clientId: options.clientId ?? 'headrace',
      clientVersion: options.clientVersion ?? 'unknown',
      connectTimeoutMilliseconds: options.connectTimeoutMilliseconds ?? 10_000,
      requestTimeoutMilliseconds: options.requestTimeoutMilliseconds ?? 30_000,
      metadataAgeMilliseconds: options.metadataAgeMilliseconds ?? 30_000,
      clock: options.clock ?? monotonicClock,
    };
    setMaxListeners(0, this.#opening.signal);
    this.#connectionOptions = {
      ...this.options,
      tls: configuration.tls,
      sasl: configuration.sasl,
      signal: this.#opening.signal,
    };
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Brokers of the last metadata. */
  get brokers(): readonly BrokerNode[] {
    return [...this.#brokers.values()];
  }

  /** The topic as it was last seen. */
  topic(name: string): TopicMetadata | undefined {
    return this.#topics.get(name);
  }

  /** Id of the topic as last seen; '' where it is not there, or the broker knows none. */
  topicIdOf(name: string): string {
    const id = this.#topics.get(name)?.topicId;
    return id === undefined || id === NO_TOPIC_ID ? '' : id;
  }

  /** Leader and epoch as last seen; undefined where there is none now. */
  leaderOf(topic: string, partition: number): { readonly nodeId: number; readonly epoch: number } | undefined {
    const found = this.#topics.get(topic)?.partitions.find((each) => each.partition === partition);
    return found === undefined || found.leader < 0 ? undefined : { nodeId: found.leader, epoch: found.leaderEpoch };
  }

  /** Name of a topic id that was seen; undefined for others. */
  nameOf(topicId: string): string | undefined {
    for (const topic of this.#topics.values()) if (topic.topicId === topicId) return topic.name;
    return undefined;
  }

  /** Asks for brokers and these topics (null: all) and remembers the answer, topics with an error excepted. */
  async refresh(topics: readonly string[] | null): Promise<Metadata> {
    const connection = await this.control();
    const version = connection.bestVersion(3, 'Metadata', 9, 12);
    let answer: Metadata;
    try {
      answer = await connection.send(metadata(version, topics));
    } catch (error) {
      throw this.#explain(error);
    }
    if (answer.brokers.length > 0) {
      this.#brokers = new Map(answer.brokers.map((broker) => [broker.nodeId, broker]));
    }
    for (const topic of answer.topics) {
      if (topic.error === 0) this.#topics.set(topic.name, this.#keepNewerEpochs(topic));
      else if (topic.error === 3) this.#topics.delete(topic.name);
    }
    return answer;
  }

  /** Partitions of a topic. @throws HeadraceError KAFKA_TOPIC_MISSING, KAFKA_AUTHORIZATION, KAFKA_UNREACHABLE ... */
  async partitionCount(topic: string): Promise<number> {
    const answer = await this.refresh([topic]);
    const found = answer.topics.find((each) => each.name === topic);
    if (found === undefined || found.error !== 0) throw brokerError(found?.error ?? 3, `topic ${topic}`);
    return found.partitions.length;
  }

  /**
   * A connection to a broker for one kind of work, made when it is not there. `purpose` keeps long polls and commits
   * apart, and consumers from each other.
   */
  connection(nodeId: number, purpose: string): Promise<Connection> {
    const key = `${purpose}@${nodeId}`;
    const known = this.#connections.get(key);
    if (known !== undefined) return known;
    const broker = this.#brokers.get(nodeId);
    if (broker === undefined) {
      return Promise.reject(
        new HeadraceError('KAFKA_UNREACHABLE', `broker ${nodeId} is not in the cluster's metadata`),
      );
    }
    // Brokers move: once this one is closed, the next goes to where the metadata then says.
    const opening = Connection.open(broker, this.#connectionOptions);
    this.#connections.set(key, opening);
    const forget = (): void => {
      if (this.#connections.get(key) === opening) this.#connections.delete(key);
    };
    opening.then((connection) => {
      if (this.#isClosed) connection.close();
      connection.onClose(forget);
    }, forget);
    return opening;
  }

  /** The connection for metadata and coordinators: to a broker that is known, else to one of the bootstrap list. */
  control(): Promise<Connection> {
    if (this.#isClosed) return Promise.reject(new HeadraceError('KAFKA_DISCONNECTED', 'the cluster was closed'));
    if (this.#control !== undefined) return this.#control;
    const opening = this.#openControl();
    this.#control = opening;
    const forget = (): void => {
      if (this.#control === opening) this.#control = undefined;
    };
    opening.then((connection) => {
      if (this.#isClosed) connection.close();
      connection.onClose(forget);
    }, forget);
    return opening;
  }

  async #openControl(): Promise<Connection> {
    try {
      return await connectToAny(this.#bootstrap, this.#connectionOptions);
    } catch (error) {
      // The whole bootstrap list may have moved on while the cluster lives.
      const known = this.brokers;
      if (known.length === 0 || (HeadraceError.is(error) && error.code === 'KAFKA_AUTHENTICATION')) throw error;
      return await connectToAny(known, this.#connectionOptions);
    }
  }

  /** The node that coordinates a group. @throws HeadraceError also while there is none */
  async coordinator(groupId: string): Promise<number> {
    const connection = await this.control();
    connection.bestVersion(10, 'FindCoordinator', 3, 3);
    const answer = await connection.send(findCoordinator(groupId)).catch((error: unknown) => {
      throw this.#explain(error);
    });
    if (answer.error !== 0) {
      const what = `coordinator of group ${groupId}`;
      throw brokerError(answer.error, what, answer.message);
    }
    this.#brokers.set(answer.nodeId, {
      rack: this.#brokers.get(answer.nodeId)?.rack ?? null,
      nodeId: answer.nodeId,
      host: answer.host,
      port: answer.port,
    });
    return answer.nodeId;
  }

  /** Closes the connections whose purpose begins so. */
  closeConnections(purpose: string): void {
    for (const [key, opening] of this.#connections) {
      if (!key.startsWith(purpose)) continue;
      this.#connections.delete(key);
      opening.then(
        (connection) => connection.close(),
        () => {},
      );
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#opening.abort();
    this.closeConnections('');
    this.#control?.then(
      (connection) => connection.close(),
      () => {},
    );
  }

  /** An old broker's metadata must not undo what a newer one said (KIP-320). */
  #keepNewerEpochs(topic: TopicMetadata): TopicMetadata {
    const before = this.#topics.get(topic.name);
    if (before === undefined || before.topicId !== topic.topicId) return topic;
    const partitions = topic.partitions.map((partition) => {
      const known = before.partitions.find((each) => each.partition === partition.partition);
      return known !== undefined && known.leaderEpoch > partition.leaderEpoch ? known : partition;
    });
    return { ...topic, partitions };
  }

  /** Brokers close a connection that should have authenticated without a word. */
  #explain(error: unknown): unknown {
    if (HeadraceError.is(error) && error.code === 'KAFKA_DISCONNECTED' && error.details['withoutSasl'] === true) {
      const isFirst = this.#brokers.size === 0;
      if (isFirst) {
        return new HeadraceError(
          'KAFKA_AUTHENTICATION',
          `${error.message} at the first request: the listener probably asks for SASL, and no credentials were given`,
          { cause: error },
        );
      }
    }
    return error;
  }
}
