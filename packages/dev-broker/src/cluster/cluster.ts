import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { compact } from '../log/compaction.ts';
import { RequestError } from '../protocol/errors.ts';
import { Partition, Topic, topicNameProblem } from './topic.ts';
import { checkConfig, topicConfigs } from './topic-configs.ts';

/** A node that clients see. All nodes of a broker share one log. */
export interface Node {
  readonly id: number;
  readonly host: string;
  /** Known once it listens. */
  port: number;
  readonly rack: string | null;
}

/** Told of every change that must outlive the process, after it was made. */
export interface ClusterStore {
  topicChanged(topic: Topic): void;
  topicDeleted(topic: Topic): void;
  partitionAdded(partition: Partition): void;
}

export interface ClusterOptions {
  clock: Clock;
  clusterId: string;
  /** Bytes of memory that all logs may hold together; the oldest segments go. */
  retentionBytes: number;
  defaultPartitions: number;
  autoCreateTopics: boolean;
}

const MAXIMUM_PARTITIONS = 10_000;
const COMPACTION_SLICE_MS = 20;

/** The owner of nodes, topics and leadership. */
export class Cluster {
  readonly options: ClusterOptions;
  readonly nodes: Node[] = [];
  readonly topics = new Map<string, Topic>();
  readonly #stopped = new Set<Node>();
  readonly #byId = new Map<string, Topic>();
  /** Names in Kafka's metrics form, where `a.b` and `a_b` collide. */
  readonly #collisions = new Map<string, string>();
  readonly deletionListeners = new Set<(topic: Topic) => void>();
  /** Told when topics or their partitions change, so that group members may be reassigned. */
  readonly changeListeners = new Set<() => void>();
  store: ClusterStore | undefined;
  memoryBytes = 0;

  constructor(options: ClusterOptions) {
    this.options = options;
  }

  /** Nodes that clients are told of. */
  get live(): readonly Node[] {
    return this.#stopped.size === 0 ? this.nodes : this.nodes.filter((node) => !this.#stopped.has(node));
  }

  get controller(): Node {
    return this.live[0]!;
  }

  /** What the node led goes to the next replica that lives. */
  stopNode(node: Node): void {
    this.#stopped.add(node);
    const live = new Set(this.live.map(({ id }) => id));
    for (const topic of this.topics.values()) {
      for (const partition of topic.partitions) {
        if (partition.leader !== node.id) continue;
        this.elect(partition, partition.replicas.find((id) => live.has(id)) ?? -1);
      }
    }
  }

  startNode(node: Node): void {
    this.#stopped.delete(node);
    for (const topic of this.topics.values()) {
      for (const partition of topic.partitions) {
        if (partition.leader === -1 && partition.replicas.includes(node.id)) this.elect(partition, node.id);
      }
    }
  }

  topicById(id: string): Topic | undefined {
    return this.#byId.get(id);
  }

  partition(topic: string, index: number): Partition | undefined {
    return this.topics.get(topic)?.partitions[index];
  }

  /** @throws RequestError INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS */
  checkNewTopic(name: string): void {
    const problem = topicNameProblem(name);
    if (problem) throw new RequestError('INVALID_TOPIC_EXCEPTION', problem);
    if (this.topics.has(name)) throw new RequestError('TOPIC_ALREADY_EXISTS', `Topic '${name}' already exists.`);
    const collision = this.#collisions.get(name.replaceAll('.', '_'));
    if (collision) {
      throw new RequestError('INVALID_TOPIC_EXCEPTION', `Topic '${name}' collides with existing topic: ${collision}`);
    }
  }

  /**
   * @param assignments node ids a partition; by default all nodes, the leaders going around
   * @throws RequestError
   */
  createTopic(
    name: string,
    partitions: number,
    configs: ReadonlyMap<string, string> = new Map(),
    assignments?: readonly number[][],
    id = randomBytes(16).toString('base64url'),
    validateOnly = false,
  ): Topic {
    this.checkNewTopic(name);
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > MAXIMUM_PARTITIONS) {
      throw new RequestError(
        'INVALID_PARTITIONS',
        `Number of partitions was set to an invalid value: ${partitions} (1 to ${MAXIMUM_PARTITIONS}).`,
      );
    }
    for (const [key, value] of configs) checkConfig(topicConfigs, key, value);
    const topic = new Topic(name, id, configs);
    if (validateOnly) return topic;
    this.topics.set(name, topic);
    this.#byId.set(topic.id, topic);
    this.#collisions.set(name.replaceAll('.', '_'), name);
    for (let index = 0; index < partitions; index++) this.#addPartition(topic, assignments?.[index]);
    this.store?.topicChanged(topic);
    for (const listener of this.changeListeners) listener();
    return topic;
  }

  #addPartition(topic: Topic, assignment: readonly number[] | undefined): void {
    const index = topic.partitions.length;
    const ids = this.nodes.map((node) => node.id);
    // Leaders go around, from another node for each topic, so that small topics do not all lie on the first.
    const start = (index + this.topics.size) % ids.length;
    const replicas = assignment ? [...assignment] : [...ids.slice(start), ...ids.slice(0, start)];
    const partition = new Partition(topic, index, replicas);
    partition.log.onMemory = (bytes) => this.#memory(bytes);
    topic.partitions.push(partition);
    this.store?.partitionAdded(partition);
  }

  /** Applies the memory limit and the topic's own one as segments come. */
  #memory(bytes: number): void {
    this.memoryBytes += bytes;
    while (this.memoryBytes > this.options.retentionBytes) {
      let oldest: Partition | undefined;
      for (const topic of this.topics.values()) {
        for (const partition of topic.partitions) {
          const { segments } = partition.log;
          if (segments.length < 2) continue;
          if (!oldest || segments[0]!.appendedAt < oldest.log.segments[0]!.appendedAt) oldest = partition;
        }
      }
      if (!oldest?.log.dropOldestSegment()) return;
    }
  }

  /** Takes back a topic that was stored. */
  restore(topic: Topic): void {
    this.topics.set(topic.name, topic);
    this.#byId.set(topic.id, topic);
    this.#collisions.set(topic.name.replaceAll('.', '_'), topic.name);
    for (const { log } of topic.partitions) {
      log.onMemory = (bytes) => this.#memory(bytes);
      for (const segment of log.segments) this.#memory(segment.bytes.length);
    }
  }

  addPartitions(topic: Topic, total: number, assignments?: readonly number[][]): void {
    const before = topic.partitions.length;
    for (let index = before; index < total; index++) this.#addPartition(topic, assignments?.[index - before]);
    this.store?.topicChanged(topic);
    for (const listener of this.changeListeners) listener();
  }

  deleteTopic(topic: Topic): void {
    this.topics.delete(topic.name);
    this.#byId.delete(topic.id);
    this.#collisions.delete(topic.name.replaceAll('.', '_'));
    for (const partition of topic.partitions) {
      partition.leader = -1;
      for (const segment of partition.log.segments) this.memoryBytes -= segment.bytes.length;
      partition.log.notify(0);
    }
    this.store?.topicDeleted(topic);
    for (const listener of this.deletionListeners) listener(topic);
    for (const listener of this.changeListeners) listener();
  }

  setConfig(topic: Topic, name: string, value: string | undefined): void {
    topic.setConfig(name, value);
    this.store?.topicChanged(topic);
  }

  /** A new leader, or the same one elected anew: the leader epoch rises either way. */
  elect(partition: Partition, nodeId: number): void {
    partition.leader = nodeId;
    partition.leaderEpoch++;
    this.store?.topicChanged(partition.topic);
    // Fetches that wait must hear of it.
    partition.log.notify(0);
  }

  /** Cleans compacted topics, at most for some milliseconds at a time, so that nobody waits long for it. */
  applyCompaction(): void {
    const started = performance.now();
    for (const topic of this.topics.values()) {
      if (!topic.config.isCompacted) continue;
      for (const partition of topic.partitions) {
        if (performance.now() - started > COMPACTION_SLICE_MS) return;
        compact(partition, this.options.clock.now());
      }
    }
  }

  /** Retention by age and by bytes; whole segments go. */
  applyRetention(): void {
    const now = this.options.clock.now();
    for (const topic of this.topics.values()) {
      if (!topic.config.isDeleted) continue;
      const { retentionMs, retentionBytes } = topic.config;
      for (const { log } of topic.partitions) {
        while (log.segments.length > 1 && log.size - log.segments[0]!.size >= retentionBytes) log.dropOldestSegment();
        while (log.segments.length > 0) {
          const segment = log.segments[0]!;
          const latest = segment.maxTimestamp >= 0 ? segment.maxTimestamp : segment.appendedAt;
          if (segment.batchCount === 0 || now - latest <= retentionMs) break;
          if (log.segments.length > 1) log.dropOldestSegment();
          else if (log.producers.firstOpenOffset === undefined) log.moveStart(log.endOffset);
          else break;
        }
      }
    }
  }
}
