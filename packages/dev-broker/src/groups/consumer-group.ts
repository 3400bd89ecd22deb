import type { ChecksMembers } from '../apis/group-offsets.ts';
import type { Clock } from '../clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { RequestError } from '../protocol/errors.ts';
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from '../protocol/messages/consumer-group-heartbeat.ts';
import { assignors, common, count, each, has, minus, type Partitions, put } from './assignors.ts';
import { ConsumerMember } from './consumer-member.ts';
import type { ManagedGroup } from './coordinator.ts';
import { matchingNames } from './pattern.ts';

export interface ConsumerGroupOptions {
  clock: Clock;
  cluster: Cluster;
  maximumSize: number;
  heartbeatIntervalMs(group: string): number;
  sessionTimeoutMs(group: string): number;
}

/** Epochs with a meaning of their own. */
const JOIN = 0;
const LEAVE = -1;
const LEAVE_STATIC = -2;

export const toWire = (partitions: Partitions) =>
  [...partitions].map(([topicId, indexes]) => ({ topicId, partitions: [...indexes] }));

/**
 * A group of the consumer protocol (KIP-848): the broker assigns, members follow by heartbeats. Whenever members or
 * topics change, the group's epoch rises and a new target is made; each member then first gives up what is no longer
 * meant for it, and gets the rest once others have given it up.
 */
export class ConsumerGroup implements ManagedGroup, ChecksMembers {
  readonly id: string;
  readonly members = new Map<string, ConsumerMember>();
  readonly #static = new Map<string, string>();
  readonly #options: ConsumerGroupOptions;
  epoch = 0;
  #target = new Map<string, Partitions>();
  #areTopicsStale = false;
  /** Topics and partition numbers that the target was made for. */
  #knownTopics = '';

  constructor(id: string, options: ConsumerGroupOptions) {
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
    if (this.isEmpty) return 'Empty';
    for (const { epoch, isStable } of this.members.values())
      if (epoch !== this.epoch || !isStable) return 'Reconciling';
    return 'Stable';
  }
  get assignorName(): string {
    const votes = new Map<string, number>();
    for (const { serverAssignor } of this.members.values()) {
      if (serverAssignor) votes.set(serverAssignor, (votes.get(serverAssignor) ?? 0) + 1);
    }
    return [...votes].sort((left, right) => right[1] - left[1])[0]?.[0] ?? 'uniform';
  }
  targetOf(memberId: string): Partitions {
    return this.#target.get(memberId) ?? new Map();
  }

  topicsChanged(): void {
    this.#areTopicsStale = true;
  }

  heartbeat(
    request: ConsumerGroupHeartbeatRequest,
    client: { id: string; host: string },
  ): ConsumerGroupHeartbeatResponse {
    if (request.memberEpoch === LEAVE || request.memberEpoch === LEAVE_STATIC) return this.#leave(request);
    const isJoining = request.memberEpoch === JOIN;
    const member = isJoining ? this.#join(request) : this.#known(request);
    member.clientId = client.id;
    member.clientHost = client.host;
    const hadEpoch = member.epoch;
    const isChanged = this.#subscribe(member, request);
    if (isChanged || isJoining || this.#areTopicsStale) this.#retarget(isChanged || isJoining);
    const before = member.assigned;
    this.#reconcile(member, request);
    if (member.epoch !== hadEpoch) member.previousEpoch = hadEpoch;
    this.#touch(member);
    const isFull = isJoining || request.topicPartitions !== null || request.subscribedTopicNames !== null;
    const hasNews = isFull || !isSame(before, member.assigned);
    return {
      errorCode: 0,
      errorMessage: null,
      memberId: member.id,
      memberEpoch: member.epoch,
      heartbeatIntervalMs: this.#options.heartbeatIntervalMs(this.id),
      assignment: hasNews ? { topicPartitions: toWire(member.assigned) } : null,
    };
  }

  #join(request: ConsumerGroupHeartbeatRequest): ConsumerMember {
    const { memberId, instanceId } = request;
    const known = this.members.get(memberId);
    if (known) return known;
    if (this.members.size >= this.#options.maximumSize) throw new RequestError('GROUP_MAX_SIZE_REACHED');
    const member = new ConsumerMember(memberId, instanceId);
    const oldId = instanceId === null ? undefined : this.#static.get(instanceId);
    if (oldId !== undefined) {
      const old = this.members.get(oldId)!;
      if (old.epoch !== LEAVE_STATIC) {
        const reason = `Static member ${oldId} with instance id ${instanceId} has not left`;
        throw new RequestError('UNRELEASED_INSTANCE_ID', reason);
      }
      // It takes over what its predecessor had.
      member.assigned = old.assigned;
      this.#target.set(member.id, this.targetOf(oldId));
      this.#forget(old);
    }
    this.members.set(memberId, member);
    if (instanceId !== null) this.#static.set(instanceId, memberId);
    return member;
  }

  #known(request: ConsumerGroupHeartbeatRequest): ConsumerMember {
    const { memberId, instanceId, memberEpoch } = request;
    this.#checkInstance(memberId, instanceId);
    const member = this.members.get(memberId);
    if (!member) throw new RequestError('UNKNOWN_MEMBER_ID', `Member ${memberId} is not a member of group ${this.id}.`);
    if (memberEpoch > member.epoch) {
      throw new RequestError('FENCED_MEMBER_EPOCH', `The member's epoch is ${member.epoch}, not ${memberEpoch}`);
    }
    if (memberEpoch < member.epoch) {
      // The answer that told the new epoch may have been lost: fine as long as it owns nothing that it should not.
      const isLost = memberEpoch === member.previousEpoch;
      const owned = fromWire(request.topicPartitions ?? []);
      if (!isLost || request.topicPartitions === null || count(minus(owned, member.assigned)) > 0) {
        throw new RequestError('FENCED_MEMBER_EPOCH', `The member's epoch is ${member.epoch}, not ${memberEpoch}`);
      }
    }
    return member;
  }

  #checkInstance(memberId: string, instanceId: string | null): void {
    if (instanceId === null) return;
    const current = this.#static.get(instanceId);
    if (current === undefined) throw new RequestError('UNKNOWN_MEMBER_ID', `Instance id ${instanceId} is unknown.`);
    if (current !== memberId) throw new RequestError('FENCED_INSTANCE_ID');
  }

  /** Takes over what the request says of the subscription. @returns whether it changed */
  #subscribe(member: ConsumerMember, request: ConsumerGroupHeartbeatRequest): boolean {
    let isChanged = false;
    const { subscribedTopicNames, subscribedTopicRegex, serverAssignor, rackId, rebalanceTimeoutMs } = request;
    if (subscribedTopicNames !== null) {
      const names = [...subscribedTopicNames].sort();
      isChanged ||= names.join() !== member.topicNames.join();
      member.topicNames = names;
    }
    if (subscribedTopicRegex !== null && subscribedTopicRegex !== member.topicPattern) {
      if (subscribedTopicRegex !== '' && matchingNames(subscribedTopicRegex, []) === undefined) {
        throw new RequestError(
          'INVALID_REGULAR_EXPRESSION',
          `SubscribedTopicRegex \`${subscribedTopicRegex}\` is not valid`,
        );
      }
      member.topicPattern = subscribedTopicRegex;
      isChanged = true;
    }
    if (serverAssignor !== null && serverAssignor !== member.serverAssignor) {
      member.serverAssignor = serverAssignor;
      isChanged = true;
    }
    if (rackId !== null) member.rackId = rackId;
    if (rebalanceTimeoutMs > 0) member.rebalanceTimeoutMs = rebalanceTimeoutMs;
    return isChanged;
  }

  #topicsOf(member: ConsumerMember): Set<string> {
    const { topics } = this.#options.cluster;
    const names = new Set(member.topicNames);
    if (member.topicPattern !== '') {
      for (const name of matchingNames(member.topicPattern, [...topics.keys()]) ?? []) names.add(name);
    }
    const ids = new Set<string>();
    for (const name of names) {
      const topic = topics.get(name);
      if (topic) ids.add(topic.id);
    }
    return ids;
  }

  isSubscribed(topic: string): boolean {
    const id = this.#options.cluster.topics.get(topic)?.id;
    return id !== undefined && [...this.members.values()].some((member) => this.#topicsOf(member).has(id));
  }

  /** Makes a new target under a new epoch, if anything it depends on has changed. */
  #retarget(haveMembersChanged: boolean): void {
    this.#areTopicsStale = false;
    const { cluster } = this.#options;
    const topics = new Map<string, number>();
    const subscribers = [...this.members.values()].map((member) => {
      const wanted = this.#topicsOf(member);
      for (const id of wanted) topics.set(id, cluster.topicById(id)!.partitions.length);
      return { id: member.id, topics: wanted, current: this.#target.get(member.id) ?? member.assigned };
    });
    const known = [...topics]
      .map(([id, size]) => `${id}:${size}`)
      .sort()
      .join();
    if (!haveMembersChanged && known === this.#knownTopics) return;
    this.#knownTopics = known;
    this.epoch++;
    this.#target = assignors[this.assignorName]!(subscribers, topics);
  }

  /** Brings a member one step nearer to its target. */
  #reconcile(member: ConsumerMember, request: ConsumerGroupHeartbeatRequest): void {
    if (count(member.revoking) > 0) {
      if (request.topicPartitions === null) return;
      if (count(common(fromWire(request.topicPartitions), member.revoking)) > 0) return;
      member.revoking = new Map();
      this.#options.clock.clearTimeout(member.rebalanceTimer);
    }
    const target = this.targetOf(member.id);
    const surplus = minus(member.assigned, target);
    if (count(surplus) > 0 && member.epoch > 0) {
      member.assigned = common(member.assigned, target);
      member.revoking = surplus;
      member.isStable = false;
      // Who does not give up in time is taken out, so that others get on.
      member.rebalanceTimer = this.#options.clock.setTimeout(() => this.#remove(member), member.rebalanceTimeoutMs);
      return;
    }
    const next = common(member.assigned, target);
    let isMissing = false;
    for (const [topic, index] of each(minus(target, next))) {
      if (this.#isHeldByOther(member, topic, index)) isMissing = true;
      else put(next, topic, index);
    }
    member.assigned = next;
    member.isStable = !isMissing;
    member.epoch = this.epoch;
  }

  #isHeldByOther(member: ConsumerMember, topic: string, index: number): boolean {
    for (const other of this.members.values()) {
      if (other !== member && (has(other.assigned, topic, index) || has(other.revoking, topic, index))) return true;
    }
    return false;
  }

  #touch(member: ConsumerMember): void {
    const { clock } = this.#options;
    clock.clearTimeout(member.sessionTimer);
    member.sessionTimer = clock.setTimeout(() => this.#remove(member), this.#options.sessionTimeoutMs(this.id));
  }

  #leave(request: ConsumerGroupHeartbeatRequest): ConsumerGroupHeartbeatResponse {
    const { memberId, instanceId, memberEpoch } = request;
    this.#checkInstance(memberId, instanceId);
    const member = this.members.get(memberId);
    if (!member) throw new RequestError('UNKNOWN_MEMBER_ID', `Member ${memberId} is not a member of group ${this.id}.`);
    if (memberEpoch === LEAVE_STATIC && instanceId !== null) {
      // Its place is kept until its session ends.
      member.epoch = LEAVE_STATIC;
      member.revoking = new Map();
      this.#touch(member);
    } else this.#remove(member);
    return { errorCode: 0, errorMessage: null, memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null };
  }

  #forget(member: ConsumerMember): void {
    const { clock } = this.#options;
    clock.clearTimeout(member.sessionTimer);
    clock.clearTimeout(member.rebalanceTimer);
    this.members.delete(member.id);
    this.#target.delete(member.id);
    if (member.instanceId !== null && this.#static.get(member.instanceId) === member.id) {
      this.#static.delete(member.instanceId);
    }
  }

  #remove(member: ConsumerMember): void {
    if (this.members.get(member.id) !== member) return;
    this.#forget(member);
    this.#retarget(true);
  }

  expire(memberId: string): boolean {
    const member = this.members.get(memberId);
    if (member) this.#remove(member);
    return member !== undefined;
  }

  checkMember(memberId: string, epoch: number, instanceId: string | null): void {
    this.#checkInstance(memberId, instanceId);
    const member = this.members.get(memberId);
    if (!member) throw new RequestError('UNKNOWN_MEMBER_ID');
    if (epoch !== member.epoch) throw new RequestError('STALE_MEMBER_EPOCH');
  }

  close(): void {
    for (const member of [...this.members.values()]) this.#forget(member);
  }
}

function fromWire(topics: readonly { topicId: string; partitions: readonly number[] }[]): Partitions {
  const partitions: Partitions = new Map();
  for (const { topicId, partitions: indexes } of topics) for (const index of indexes) put(partitions, topicId, index);
  return partitions;
}

const isSame = (left: Partitions, right: Partitions): boolean =>
  count(left) === count(right) && count(minus(left, right)) === 0;
