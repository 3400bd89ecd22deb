import type { Clock } from '../clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Partition } from '../cluster/topic.ts';
import { RequestError } from '../protocol/errors.ts';
import type {
  ShareGroupHeartbeatRequest,
  ShareGroupHeartbeatResponse,
} from '../protocol/messages/share-group-heartbeat.ts';
import { fromWire, type Partitions, put, toWire } from './assignors.ts';
import type { ManagedGroup } from './coordinator.ts';
import { type ShareLimits, SharePartition } from './share-partition.ts';
import type { StoredShareGroup, StoredShareRange } from './stored.ts';

export interface ShareGroupOptions {
  clock: Clock;
  cluster: Cluster;
  heartbeatIntervalMs(group: string): number;
  sessionTimeoutMs(group: string): number;
  limits(group: string): ShareLimits;
  /** Where a partition begins that the group has not read before. */
  initialOffset(group: string, partition: Partition): number;
  /** Called when there is something new about the members that should outlive the process. */
  changed(group: string): void;
  /** Called with what is new of a partition: where nothing is settled yet, and the records that changed. */
  partitionChanged(
    group: string,
    partition: Partition,
    startOffset: number,
    records: readonly StoredShareRange[],
  ): void;
  /** The group starts over in this partition. */
  partitionForgotten(group: string, partition: Partition): void;
}

export interface ShareMember {
  readonly id: string;
  clientId: string;
  clientHost: string;
  rackId: string | null;
  epoch: number;
  topicNames: string[];
  assigned: Partitions;
  timer: unknown;
}

/** A share group (KIP-932): members share partitions, and the broker keeps account of every single record. */
export class ShareGroup implements ManagedGroup {
  readonly id: string;
  readonly members = new Map<string, ShareMember>();
  readonly partitions = new Map<Partition, SharePartition>();
  readonly #options: ShareGroupOptions;
  epoch = 0;
  #areTopicsStale = false;

  constructor(id: string, options: ShareGroupOptions) {
    this.id = id;
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.members.size === 0;
  }
  get memberIds(): readonly string[] {
    return [...this.members.keys()];
  }
  get state(): string {
    return this.isEmpty ? 'Empty' : 'Stable';
  }

  topicsChanged(): void {
    this.#areTopicsStale = true;
    for (const partition of this.partitions.keys()) {
      if (this.#options.cluster.topicById(partition.topic.id) === undefined) this.forget(partition);
    }
  }

  sharePartition(partition: Partition, startOffset?: number): SharePartition {
    let known = this.partitions.get(partition);
    if (!known) {
      const { clock, limits, initialOffset, partitionChanged } = this.#options;
      const start = startOffset ?? initialOffset(this.id, partition);
      known = new SharePartition(partition, start, clock, () => limits(this.id));
      known.onChanged = (offset, records) => partitionChanged(this.id, partition, offset, records);
      this.partitions.set(partition, known);
      partitionChanged(this.id, partition, start, []);
    }
    return known;
  }

  /** Forgets what was settled of a partition. */
  forget(partition: Partition): void {
    const known = this.partitions.get(partition);
    if (!known) return;
    known.onChanged = undefined;
    known.close();
    this.partitions.delete(partition);
    this.#options.partitionForgotten(this.id, partition);
  }

  /** Starts over from an offset. */
  reset(partition: Partition, offset: number): void {
    this.#options.partitionForgotten(this.id, partition);
    this.sharePartition(partition, offset).reset(offset);
  }

  isSubscribed(topic: string): boolean {
    return [...this.members.values()].some(({ topicNames }) => topicNames.includes(topic));
  }

  heartbeat(request: ShareGroupHeartbeatRequest, client: { id: string; host: string }): ShareGroupHeartbeatResponse {
    const { memberId, memberEpoch, subscribedTopicNames } = request;
    let member = this.members.get(memberId);
    if (memberEpoch === -1) {
      if (!member)
        throw new RequestError('UNKNOWN_MEMBER_ID', `Member ${memberId} is not a member of group ${this.id}.`);
      this.#remove(member);
      return { errorCode: 0, errorMessage: null, memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null };
    }
    if (!member) {
      if (memberEpoch > 0) {
        throw new RequestError('UNKNOWN_MEMBER_ID', `Member ${memberId} is not a member of group ${this.id}.`);
      }
      const assigned: Partitions = new Map();
      member = {
        id: memberId,
        clientId: '',
        clientHost: '',
        rackId: null,
        epoch: 0,
        topicNames: [],
        assigned,
        timer: undefined,
      };
      this.members.set(memberId, member);
    } else if (memberEpoch > member.epoch) {
      throw new RequestError('FENCED_MEMBER_EPOCH', `The member's epoch is ${member.epoch}, not ${memberEpoch}`);
    }
    member.clientId = client.id;
    member.clientHost = client.host;
    if (request.rackId !== null) member.rackId = request.rackId;
    const names = subscribedTopicNames && [...subscribedTopicNames].sort();
    const isChanged = memberEpoch === 0 || (names !== null && names.join() !== member.topicNames.join());
    if (names) member.topicNames = names;
    if (isChanged || this.#areTopicsStale) this.#assign();
    const hasNews = memberEpoch === 0 || member.epoch !== this.epoch || names !== null;
    const isNew = isChanged || member.epoch !== this.epoch;
    member.epoch = this.epoch;
    this.#touch(member);
    if (isNew) this.#options.changed(this.id);
    return {
      errorCode: 0,
      errorMessage: null,
      memberId,
      memberEpoch: member.epoch,
      heartbeatIntervalMs: this.#options.heartbeatIntervalMs(this.id),
      assignment: hasNews ? { topicPartitions: toWire(member.assigned) } : null,
    };
  }

  /** Every partition goes to at least one member, and every member gets one, as long as there is any. */
  #assign(): void {
    this.#areTopicsStale = false;
    this.epoch++;
    for (const member of this.members.values()) member.assigned = new Map();
    const names = new Set([...this.members.values()].flatMap(({ topicNames }) => topicNames));
    for (const name of names) {
      const topic = this.#options.cluster.topics.get(name);
      if (!topic) continue;
      const subscribers = [...this.members.values()].filter(({ topicNames }) => topicNames.includes(name));
      const size = topic.partitions.length;
      for (let turn = 0; turn < Math.max(size, subscribers.length); turn++) {
        put(subscribers[turn % subscribers.length]!.assigned, topic.id, turn % size);
      }
    }
  }

  #touch(member: ShareMember): void {
    const { clock, sessionTimeoutMs } = this.#options;
    clock.clearTimeout(member.timer);
    member.timer = clock.setTimeout(() => this.#remove(member), sessionTimeoutMs(this.id));
  }

  #remove(member: ShareMember): void {
    if (this.members.get(member.id) !== member) return;
    this.#options.clock.clearTimeout(member.timer);
    this.members.delete(member.id);
    for (const partition of this.partitions.values()) partition.releaseAll(member.id);
    this.#assign();
    this.#options.changed(this.id);
  }

  toStored(): StoredShareGroup {
    const members = [...this.members.values()].map(({ timer: _timer, assigned, ...rest }) => ({
      ...rest,
      assigned: toWire(assigned),
    }));
    return { kind: 'share', epoch: this.epoch, members };
  }

  /** Takes members back, with sessions that begin now. */
  restore({ epoch, members }: StoredShareGroup): void {
    this.epoch = epoch;
    for (const { assigned, topicNames, ...rest } of members) {
      const member = { ...rest, topicNames: [...topicNames], assigned: fromWire(assigned), timer: undefined };
      this.members.set(member.id, member);
      this.#touch(member);
    }
    // Topics may have changed while nobody looked.
    this.#areTopicsStale = true;
  }

  expire(memberId: string): boolean {
    const member = this.members.get(memberId);
    if (member) this.#remove(member);
    return member !== undefined;
  }

  close(): void {
    for (const { timer } of this.members.values()) this.#options.clock.clearTimeout(timer);
    for (const partition of this.partitions.values()) partition.close();
    this.members.clear();
  }
}
