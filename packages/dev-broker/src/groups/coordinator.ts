import type { Clock } from '../clock.ts';
import type { Cluster, Node } from '../cluster/cluster.ts';
import { RequestError } from '../protocol/errors.ts';
import { ClassicGroup } from './classic-group.ts';
import { type CommittedOffset, GroupOffsets } from './offsets.ts';
import type { StoredMembers } from './stored.ts';

export type GroupType = 'classic' | 'consumer' | 'share';

/** What the coordinator needs of a group of the newer protocols. */
export interface ManagedGroup {
  readonly state: string;
  readonly isEmpty: boolean;
  readonly memberIds: readonly string[];
  /** Topics changed: members may have to be reassigned. */
  topicsChanged(): void;
  /** Whether a member subscribes to the topic. */
  isSubscribed(topic: string): boolean;
  toStored(): StoredMembers;
  /** Ends a member's session now. */
  expire(memberId: string): boolean;
  close(): void;
}

/** One group id: its committed offsets, and its members by one of the protocols. */
export interface Group {
  readonly id: string;
  type: GroupType;
  readonly offsets: GroupOffsets;
  classic: ClassicGroup;
  /** The consumer (KIP-848) or share (KIP-932) group, when `type` says so. */
  managed: ManagedGroup | undefined;
}

export interface CoordinatorOptions {
  clock: Clock;
  cluster: Cluster;
  minimumSessionTimeoutMs: number;
  maximumSessionTimeoutMs: number;
  initialRebalanceDelayMs: number;
  maximumSize: number;
  offsetsRetentionMs: number;
  /** offset.metadata.max.bytes */
  maximumMetadataBytes: number;
}

/** Told of what must outlive the process. */
export interface GroupStore {
  offsetCommitted(group: string, topic: string, partition: number, position: CommittedOffset | undefined): void;
  pendingCommitted(
    group: string,
    producerId: number,
    topic: string,
    partition: number,
    position: CommittedOffset,
  ): void;
  pendingEnded(group: string, producerId: number, isCommit: boolean): void;
  groupDeleted(group: string): void;
  /** Members have come, gone, or got something else to read. */
  membersChanged(group: string, members: StoredMembers): void;
}

/** Stable hash of a group's or transaction's id, for its coordinator's node. */
function hashOf(text: string): number {
  let hash = 0;
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0;
  return Math.abs(hash);
}

/** The owner of all groups, and of which node coordinates what. */
export class GroupCoordinator {
  readonly options: CoordinatorOptions;
  readonly groups = new Map<string, Group>();
  /** Coordinators that a test moved, by `type:key`. */
  readonly #moved = new Map<string, number>();
  store: GroupStore | undefined;

  constructor(options: CoordinatorOptions) {
    this.options = options;
    options.cluster.deletionListeners.add((topic) => {
      for (const group of this.groups.values()) group.offsets.deleteTopic(topic.name);
    });
    options.cluster.changeListeners.add(() => {
      for (const group of this.groups.values()) group.managed?.topicsChanged();
    });
  }

  /** The node that coordinates a group (or `transaction`). */
  coordinatorOf(kind: 'group' | 'transaction', key: string): Node {
    const nodes = this.options.cluster.live;
    const moved = this.#moved.get(`${kind}:${key}`);
    return nodes.find(({ id }) => id === moved) ?? nodes[hashOf(key) % nodes.length]!;
  }

  /** Members of a moved group find out by NOT_COORDINATOR; what they had stays. */
  moveCoordinator(kind: 'group' | 'transaction', key: string, nodeId: number): void {
    this.#moved.set(`${kind}:${key}`, nodeId);
  }

  /** @throws RequestError NOT_COORDINATOR, INVALID_GROUP_ID */
  check(groupId: string, node: Node, mayBeEmpty = false): void {
    if (groupId === '' && !mayBeEmpty) throw new RequestError('INVALID_GROUP_ID', 'The group id is empty');
    if (this.coordinatorOf('group', groupId) !== node) throw new RequestError('NOT_COORDINATOR');
  }

  get(groupId: string): Group | undefined {
    return this.groups.get(groupId);
  }

  getOrCreate(groupId: string): Group {
    const known = this.groups.get(groupId);
    if (known) return known;
    const offsets = new GroupOffsets();
    offsets.onCommit = (topic, partition, position) => this.store?.offsetCommitted(groupId, topic, partition, position);
    offsets.onPending = (producerId, topic, partition, position) =>
      this.store?.pendingCommitted(groupId, producerId, topic, partition, position);
    offsets.onPendingEnd = (producerId, isCommit) => this.store?.pendingEnded(groupId, producerId, isCommit);
    const classic = this.#newClassic(groupId);
    const group: Group = { id: groupId, type: 'classic', offsets, classic, managed: undefined };
    this.groups.set(groupId, group);
    return group;
  }

  #newClassic(groupId: string): ClassicGroup {
    return new ClassicGroup(groupId, this.options, () => this.membersChanged(groupId));
  }

  /** Keeps a group's members as they are now. */
  membersChanged(groupId: string): void {
    const group = this.groups.get(groupId);
    if (group) this.store?.membersChanged(groupId, (group.managed ?? group.classic).toStored());
  }

  /** The group's members go over to one of the newer protocols. What the classic one was waiting for is over. */
  toManaged(group: Group, type: Exclude<GroupType, 'classic'>, managed: ManagedGroup): void {
    group.classic.close('REBALANCE_IN_PROGRESS');
    group.classic = this.#newClassic(group.id);
    group.type = type;
    group.managed = managed;
  }

  /** The group serves the classic protocol again. */
  toClassic(group: Group): void {
    group.managed?.close();
    group.managed = undefined;
    group.type = 'classic';
  }

  /** Whether a member of the group reads the topic. */
  isSubscribed(group: Group, topic: string): boolean {
    return (group.managed ?? group.classic).isSubscribed(topic);
  }

  isEmpty(group: Group): boolean {
    return group.managed ? group.managed.isEmpty : group.classic.isEmpty;
  }

  stateOf(group: Group): string {
    return group.managed ? group.managed.state : group.classic.state;
  }

  /** @throws RequestError GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP */
  delete(groupId: string): void {
    const group = this.groups.get(groupId);
    if (!group) throw new RequestError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`);
    if (!this.isEmpty(group)) throw new RequestError('NON_EMPTY_GROUP');
    this.#forget(group);
  }

  #forget(group: Group): void {
    this.groups.delete(group.id);
    group.classic.close('COORDINATOR_NOT_AVAILABLE');
    group.managed?.close();
    this.store?.groupDeleted(group.id);
  }

  /** Ends a member's session now, as if its heartbeats had stopped. */
  expireMember(groupId: string, memberId: string): boolean {
    const group = this.groups.get(groupId);
    if (!group) return false;
    if (group.managed) return group.managed.expire(memberId);
    return group.classic.remove(memberId);
  }

  /**
   * Offsets go after the retention time: of a group without members since it has none, of one with members where nobody
   * subscribes to the topic any more. What nobody has or reads goes altogether.
   */
  expireOffsets(): void {
    const now = this.options.clock.now();
    const limit = now - this.options.offsetsRetentionMs;
    for (const group of [...this.groups.values()]) {
      if (group.type === 'share') continue;
      const isEmpty = this.isEmpty(group);
      const isFresh = isEmpty && group.type === 'classic' && group.classic.emptySince > limit;
      for (const [topic, partitions] of [...group.offsets.positions]) {
        if (!isEmpty && this.isSubscribed(group, topic)) continue;
        for (const [partition, { committedAt, expiresAt }] of [...partitions]) {
          const isOver = expiresAt === undefined ? !isFresh && committedAt <= limit : expiresAt <= now;
          if (isOver && !group.offsets.isPending(topic, partition)) group.offsets.delete(topic, partition);
        }
      }
      if (isEmpty && !isFresh && group.offsets.isEmpty) this.#forget(group);
    }
  }

  close(): void {
    for (const group of this.groups.values()) {
      group.classic.close('COORDINATOR_NOT_AVAILABLE');
      group.managed?.close();
    }
  }
}
