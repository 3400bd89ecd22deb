import type { Cluster } from './cluster/cluster.ts';
import type { Partition } from './cluster/topic.ts';
import { Slowness } from './faults/slowness.ts';
import type { GroupCoordinator } from './groups/coordinator.ts';
import { compact } from './log/compaction.ts';

/** A partition as it is now. */
export interface PartitionState {
  readonly partition: number;
  /** Offset of the first record that is kept. */
  readonly startOffset: number;
  /** Offset that the next record gets. */
  readonly endOffset: number;
  /** Where readers of committed records stop. */
  readonly lastStableOffset: number;
  readonly leader: number;
  readonly leaderEpoch: number;
  /** Bytes of its records. */
  readonly size: number;
}

export interface GroupState {
  readonly state: string;
  readonly type: 'classic' | 'consumer' | 'share';
  readonly members: readonly string[];
  /** Committed offsets, by topic and partition. */
  readonly offsets: Readonly<Record<string, Readonly<Record<number, { offset: number; metadata: string }>>>>;
}

/** What a test does to a running broker beside answering requests wrongly. */
export class Control {
  readonly #cluster: Cluster;
  readonly #groups: GroupCoordinator;
  readonly #resume = new Map<Partition, () => void>();
  readonly #slow = new Set<Partition>();

  constructor(cluster: Cluster, groups: GroupCoordinator) {
    this.#cluster = cluster;
    this.#groups = groups;
  }

  #partition(topic: string, index: number): Partition {
    const partition = this.#cluster.partition(topic, index);
    if (!partition) throw new TypeError(`there is no partition ${index} of a topic '${topic}'`);
    return partition;
  }

  /** The topic's partitions, undefined where there is no such topic. */
  topic(name: string): PartitionState[] | undefined {
    return this.#cluster.topics.get(name)?.partitions.map(({ index, leader, leaderEpoch, log }) => ({
      partition: index,
      startOffset: log.startOffset,
      endOffset: log.endOffset,
      lastStableOffset: log.lastStableOffset,
      leader,
      leaderEpoch,
      size: log.size,
    }));
  }

  group(id: string): GroupState | undefined {
    const group = this.#groups.get(id);
    if (!group) return undefined;
    const offsets: Record<string, Record<number, { offset: number; metadata: string }>> = {};
    for (const [topic, partitions] of group.offsets.positions) {
      const positions: Record<number, { offset: number; metadata: string }> = {};
      for (const [partition, { offset, metadata }] of partitions) positions[partition] = { offset, metadata };
      offsets[topic] = positions;
    }
    const members = group.managed ? group.managed.memberIds : [...group.classic.members.keys()];
    return { state: this.#groups.stateOf(group), type: group.type, members, offsets };
  }

  /** Elects a leader, by default the present one anew; the leader epoch rises by one. */
  electLeader(topic: string, index: number, nodeId?: number): void {
    const partition = this.#partition(topic, index);
    const id = nodeId ?? partition.leader;
    if (!this.#cluster.nodes.some((node) => node.id === id)) throw new TypeError(`there is no node ${id}`);
    this.#cluster.elect(partition, id);
  }

  /** Moves a group's, or a transactional id's, coordinator. Members hear NOT_COORDINATOR and find the new one. */
  moveCoordinator(kind: 'group' | 'transaction', key: string, nodeId: number): void {
    if (!this.#cluster.nodes.some((node) => node.id === nodeId)) throw new TypeError(`there is no node ${nodeId}`);
    this.#groups.moveCoordinator(kind, key, nodeId);
  }

  /**
   * Cuts the log's end off from the batch that holds `offset`, as an unclean election does: the leader epoch rises, and
   * readers beyond the new end must find out that their offset is gone.
   */
  truncate(topic: string, index: number, offset: number): void {
    const partition = this.#partition(topic, index);
    partition.log.truncate(offset);
    this.#cluster.elect(partition, partition.leader);
  }

  /** Holds a partition up: fetches find nothing new, produce requests wait, until it is resumed. */
  pause(topic: string, index: number): void {
    const partition = this.#partition(topic, index);
    if (partition.pause) return;
    partition.pause = new Promise((resolve) => this.#resume.set(partition, resolve));
  }

  resume(topic: string, index: number): void {
    const partition = this.#partition(topic, index);
    partition.pause = undefined;
    this.#resume.get(partition)?.();
    this.#resume.delete(partition);
    partition.log.notify(0);
  }

  /**
   * Makes a partition slow, others not: records can be read `delayMs` after they were appended, and produce requests are
   * handled `delayMs` late, on the broker's clock. 0 makes it as fast as before.
   */
  slow(topic: string, index: number, delayMs: number): void {
    if (!(delayMs >= 0)) throw new TypeError(`delayMs must be 0 or more, not ${delayMs}`);
    const partition = this.#partition(topic, index);
    partition.slowness?.stop();
    const { clock } = this.#cluster.options;
    partition.slowness = delayMs > 0 ? new Slowness(partition.log, delayMs, clock) : undefined;
    if (partition.slowness) this.#slow.add(partition);
    else this.#slow.delete(partition);
    partition.log.notify(0);
  }

  /** Cleans a compacted partition now, its newest records too. @returns whether anything was removed */
  compact(topic: string, index: number): boolean {
    return compact(this.#partition(topic, index), this.#cluster.options.clock.now(), true);
  }

  /** Ends a group member's session now, as if its heartbeats had stopped. False when there is no such member. */
  expireMember(group: string, memberId: string): boolean {
    return this.#groups.expireMember(group, memberId);
  }

  resumeAll(): void {
    for (const [partition, resolve] of this.#resume) {
      partition.pause = undefined;
      resolve();
    }
    this.#resume.clear();
    for (const partition of this.#slow) partition.slowness?.stop();
    this.#slow.clear();
  }
}
