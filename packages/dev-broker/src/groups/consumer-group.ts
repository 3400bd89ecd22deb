import type { ChecksMembers } from '../apis/group-offsets.ts';
import type { Clock } from '../clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type ErrorName, RequestError } from '../protocol/errors.ts';
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from '../protocol/messages/consumer-group-heartbeat.ts';
import {
  assignors,
  common,
  count,
  each,
  fromWire,
  has,
  isSame,
  minus,
  type Partitions,
  put,
  toWire,
} from './assignors.ts';
import { restoredProtocols, storedProtocols } from './classic-member.ts';
import { ConsumerMember } from './consumer-member.ts';
import type { ManagedGroup } from './coordinator.ts';
import { matchingNames } from './pattern.ts';
import type { StoredConsumerGroup } from './stored.ts';

export interface ConsumerGroupOptions {
  clock: Clock;
  cluster: Cluster;
  maximumSize: number;
  heartbeatIntervalMs(group: string): number;
  sessionTimeoutMs(group: string): number;
  /** Called when there is something new that should outlive the process. */
  changed(group: string): void;
  /** Called when members of the classic protocol are all that is left: the group is theirs again. */
  allClassic(group: ConsumerGroup): void;
}

/** Epochs with a meaning of their own. */
const JOIN = 0;
const LEAVE = -1;
const LEAVE_STATIC = -2;

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
  /** Something is new since `changed` was called last. */
  #isDirty = false;
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
    // Who came by the classic protocol and now beats by this one has been upgraded.
    member.classic = undefined;
    const isChanged = this.#subscribe(member, request);
    const before = member.assigned;
    const owned = request.topicPartitions && fromWire(request.topicPartitions);
    this.advance(member, owned, isChanged || isJoining);
    const { rebalanceTimeoutMs, subscribedTopicNames, subscribedTopicRegex } = request;
    const isFull =
      isJoining ||
      (rebalanceTimeoutMs !== -1 && owned !== null && (subscribedTopicNames !== null || subscribedTopicRegex !== null));
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

  /** Brings a member that has said something new nearer to what is meant for it. */
  advance(member: ConsumerMember, owned: Partitions | null, hasChanged: boolean): void {
    const hadEpoch = member.epoch;
    if (hasChanged || this.#areTopicsStale) this.#retarget(hasChanged);
    this.#reconcile(member, owned);
    if (member.epoch !== hadEpoch) member.previousEpoch = hadEpoch;
    this.touch(member);
    this.#tell();
  }

  /** Has what is new kept. */
  #tell(): void {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    this.#options.changed(this.id);
  }

  #join(request: ConsumerGroupHeartbeatRequest): ConsumerMember {
    const { memberId, instanceId } = request;
    const known = this.members.get(memberId);
    if (known) return known;
    const old = this.staticMember(instanceId);
    if (old && old.epoch !== LEAVE_STATIC) {
      const reason = `Static member ${old.id} with instance id ${instanceId} has not left`;
      throw new RequestError('UNRELEASED_INSTANCE_ID', reason);
    }
    return this.add(memberId, instanceId);
  }

  /** @throws RequestError GROUP_MAX_SIZE_REACHED */
  add(memberId: string, instanceId: string | null): ConsumerMember {
    if (this.members.size >= this.#options.maximumSize) throw new RequestError('GROUP_MAX_SIZE_REACHED');
    const member = new ConsumerMember(memberId, instanceId);
    const old = this.staticMember(instanceId);
    if (old) {
      // It takes over what its predecessor had.
      member.assigned = old.assigned;
      this.#target.set(member.id, this.targetOf(old.id));
      this.#forget(old);
    }
    this.#place(member);
    this.#isDirty = true;
    return member;
  }

  #place(member: ConsumerMember): void {
    this.members.set(member.id, member);
    if (member.instanceId !== null) this.#static.set(member.instanceId, member.id);
  }

  staticMember(instanceId: string | null): ConsumerMember | undefined {
    const id = instanceId === null ? undefined : this.#static.get(instanceId);
    return id === undefined ? undefined : this.members.get(id);
  }

  /** Starts with the members of a classic group, and what they had there. */
  adopt(epoch: number, members: readonly ConsumerMember[]): void {
    this.epoch = epoch;
    for (const member of members) {
      this.#place(member);
      for (const [topic, index] of each(member.assigned)) member.assignedSince.set(`${topic}/${index}`, epoch);
      this.#target.set(member.id, member.assigned);
      this.touch(member);
    }
    this.#isDirty = true;
  }

  #known(request: ConsumerGroupHeartbeatRequest): ConsumerMember {
    const { memberId, instanceId, memberEpoch } = request;
    this.checkInstance(memberId, instanceId);
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

  checkInstance(memberId: string, instanceId: string | null): void {
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
    if (isChanged) this.#isDirty = true;
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
    this.#isDirty = true;
    this.epoch++;
    this.#target = assignors[this.assignorName]!(subscribers, topics);
  }

  /** Brings a member one step nearer to its target. @param owned what it says that it has; null when it says nothing */
  #reconcile(member: ConsumerMember, owned: Partitions | null): void {
    if (count(member.revoking) > 0) {
      if (owned === null || count(common(owned, member.revoking)) > 0) return;
      member.revoking = new Map();
      this.#isDirty = true;
      this.stopRebalanceTimer(member);
    }
    const target = this.targetOf(member.id);
    const surplus = minus(member.assigned, target);
    // What it says that it no longer has needs not be given up first.
    if (count(owned ? common(owned, surplus) : surplus) > 0 && member.epoch > 0) {
      member.assigned = common(member.assigned, target);
      member.revoking = surplus;
      member.isStable = false;
      this.#isDirty = true;
      // Who does not give up in time is taken out, so that others get on.
      this.startRebalanceTimer(member);
      return;
    }
    const next = common(member.assigned, target);
    let isMissing = false;
    for (const [topic, index] of each(minus(target, next))) {
      if (this.#isHeldByOther(member, topic, index)) isMissing = true;
      else {
        put(next, topic, index);
        member.assignedSince.set(`${topic}/${index}`, this.epoch);
      }
    }
    if (member.epoch !== this.epoch || !isSame(next, member.assigned)) this.#isDirty = true;
    member.assigned = next;
    member.isStable = !isMissing;
    member.epoch = this.epoch;
  }

  /** Whether something that is meant for the member is still with another. */
  isWaiting(member: ConsumerMember): boolean {
    for (const [topic, index] of each(minus(this.targetOf(member.id), member.assigned))) {
      if (this.#isHeldByOther(member, topic, index)) return true;
    }
    return false;
  }

  /** The member must take its next step of the rebalance within its rebalance timeout. */
  startRebalanceTimer(member: ConsumerMember): void {
    const { clock } = this.#options;
    clock.clearTimeout(member.rebalanceTimer);
    member.rebalanceTimer = clock.setTimeout(() => this.remove(member), member.rebalanceTimeoutMs);
  }

  stopRebalanceTimer(member: ConsumerMember): void {
    this.#options.clock.clearTimeout(member.rebalanceTimer);
    member.rebalanceTimer = undefined;
  }

  #isHeldByOther(member: ConsumerMember, topic: string, index: number): boolean {
    for (const other of this.members.values()) {
      if (other !== member && (has(other.assigned, topic, index) || has(other.revoking, topic, index))) return true;
    }
    return false;
  }

  /** Starts the member's session anew. */
  touch(member: ConsumerMember): void {
    const { clock, sessionTimeoutMs } = this.#options;
    clock.clearTimeout(member.sessionTimer);
    const timeout = member.classic?.sessionTimeoutMs ?? sessionTimeoutMs(this.id);
    member.sessionTimer = clock.setTimeout(() => this.remove(member), timeout);
  }

  #leave(request: ConsumerGroupHeartbeatRequest): ConsumerGroupHeartbeatResponse {
    const { memberId, instanceId, memberEpoch } = request;
    this.checkInstance(memberId, instanceId);
    const member = this.members.get(memberId);
    if (!member) throw new RequestError('UNKNOWN_MEMBER_ID', `Member ${memberId} is not a member of group ${this.id}.`);
    if (memberEpoch === LEAVE_STATIC && instanceId !== null) {
      // Its place is kept until its session ends.
      member.epoch = LEAVE_STATIC;
      member.revoking = new Map();
      this.stopRebalanceTimer(member);
      this.touch(member);
      this.#isDirty = true;
      this.#tell();
    } else this.remove(member);
    return { errorCode: 0, errorMessage: null, memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null };
  }

  #forget(member: ConsumerMember): void {
    const { clock } = this.#options;
    clock.clearTimeout(member.sessionTimer);
    clock.clearTimeout(member.rebalanceTimer);
    this.members.delete(member.id);
    this.#isDirty = true;
    this.#target.delete(member.id);
    if (member.instanceId !== null && this.#static.get(member.instanceId) === member.id) {
      this.#static.delete(member.instanceId);
    }
  }

  /** Takes a member out, as when it leaves or its session ends. */
  remove(member: ConsumerMember): void {
    if (this.members.get(member.id) !== member) return;
    this.#forget(member);
    if (member.classic === undefined && this.isAllClassic) {
      this.#options.allClassic(this);
      return;
    }
    this.#retarget(true);
    this.#tell();
  }

  /** There are members, and all speak the classic protocol. */
  get isAllClassic(): boolean {
    return this.members.size > 0 && [...this.members.values()].every(({ classic }) => classic !== undefined);
  }

  expire(memberId: string): boolean {
    const member = this.members.get(memberId);
    if (member) this.remove(member);
    return member !== undefined;
  }

  checkMember(memberId: string, epoch: number, instanceId: string | null): void {
    this.checkInstance(memberId, instanceId);
    const member = this.members.get(memberId);
    if (!member) throw new RequestError('UNKNOWN_MEMBER_ID');
    if (epoch !== member.epoch) throw new RequestError(member.classic ? 'ILLEGAL_GENERATION' : 'STALE_MEMBER_EPOCH');
  }

  checkCommitter(memberId: string, epoch: number, instanceId: string | null): void {
    const member = this.members.get(memberId);
    // An older epoch may do for some partitions.
    this.checkMember(memberId, member ? Math.max(epoch, member.epoch) : epoch, instanceId);
  }

  /** Since KIP-1251 an older epoch will do for a partition that the member has had since then. */
  commitProblem(memberId: string, epoch: number, topicId: string, index: number): ErrorName | undefined {
    const member = this.members.get(memberId);
    if (!member || epoch === member.epoch) return undefined;
    const isHeld = has(member.assigned, topicId, index) || has(member.revoking, topicId, index);
    const since = member.assignedSince.get(`${topicId}/${index}`) ?? member.epoch;
    if (isHeld && epoch >= since) return undefined;
    return member.classic ? 'ILLEGAL_GENERATION' : 'STALE_MEMBER_EPOCH';
  }

  toStored(): StoredConsumerGroup {
    const members = [...this.members.values()].map((member) => {
      const { sessionTimer: _session, rebalanceTimer: _rebalance, assignedSince: _since, classic, ...rest } = member;
      return {
        ...rest,
        assigned: toWire(member.assigned),
        revoking: toWire(member.revoking),
        target: toWire(this.targetOf(member.id)),
        classic: classic
          ? { sessionTimeoutMs: classic.sessionTimeoutMs, protocols: storedProtocols(classic.protocols) }
          : null,
      };
    });
    return { kind: 'consumer', epoch: this.epoch, knownTopics: this.#knownTopics, members };
  }

  /** Takes members back, with sessions that begin now. */
  restore({ epoch, knownTopics, members }: StoredConsumerGroup): void {
    this.epoch = epoch;
    this.#knownTopics = knownTopics;
    for (const { id, instanceId, assigned, revoking, target, classic, topicNames, ...rest } of members) {
      const member = new ConsumerMember(id, instanceId);
      Object.assign(member, rest);
      member.topicNames = [...topicNames];
      member.assigned = fromWire(assigned);
      member.revoking = fromWire(revoking);
      if (classic) member.classic = { ...classic, protocols: restoredProtocols(classic.protocols) };
      this.#target.set(id, fromWire(target));
      this.#place(member);
      this.touch(member);
      if (count(member.revoking) > 0) this.startRebalanceTimer(member);
    }
    // Topics may have changed while nobody looked.
    this.#areTopicsStale = true;
  }

  close(): void {
    for (const member of [...this.members.values()]) this.#forget(member);
  }
}
