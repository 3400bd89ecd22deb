import { randomUUID } from 'node:crypto';
import type { Cluster } from '../cluster/cluster.ts';
import { type ErrorName, RequestError } from '../protocol/errors.ts';
import type { JoinGroupRequest, JoinGroupResponse } from '../protocol/messages/join-group.ts';
import type { SyncGroupRequest, SyncGroupResponse } from '../protocol/messages/sync-group.ts';
import { count, type Partitions, put } from './assignors.ts';
import { joinError, syncError } from './classic-errors.ts';
import type { ClassicGroup } from './classic-group.ts';
import { ClassicMember, copyProtocols } from './classic-member.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { ConsumerMember } from './consumer-member.ts';
import { readAssignment, readSubscription, type TopicPartitions, writeAssignment } from './consumer-protocol.ts';
import type { StoredClassicGroup } from './stored.ts';

/**
 * Members of the classic protocol in a group of the newer one, as during an upgrade member by member (KIP-848, "online
 * migration"). The broker assigns for all. A classic member hears of a change as of any rebalance, by
 * REBALANCE_IN_PROGRESS; it gives up and gets partitions by joining again, under its member epoch as generation.
 */

const CONSUMER = 'consumer';

function byId(topics: readonly TopicPartitions[], cluster: Cluster): Partitions {
  const partitions: Partitions = new Map();
  for (const { topic, partitions: indexes } of topics) {
    const known = cluster.topics.get(topic);
    for (const index of indexes) if (known?.partitions[index]) put(partitions, known.id, index);
  }
  return partitions;
}

const byName = (partitions: Partitions, cluster: Cluster): TopicPartitions[] =>
  [...partitions].flatMap(([id, indexes]) => {
    const topic = cluster.topicById(id);
    return topic ? [{ topic: topic.name, partitions: [...indexes].sort((left, right) => left - right) }] : [];
  });

/** The members of a classic group as the newer protocol has them; undefined when they do not speak as consumers do. */
export function adoptable(classic: ClassicGroup, cluster: Cluster): ConsumerMember[] | undefined {
  if (classic.protocolType !== CONSUMER) return undefined;
  const members: ConsumerMember[] = [];
  for (const each of classic.members.values()) {
    const subscription = readSubscription(each.protocols[0]?.metadata ?? Buffer.alloc(0));
    const assignment = readAssignment(each.assignment);
    if (!subscription || !assignment) return undefined;
    const member = new ConsumerMember(each.id, each.instanceId);
    member.clientId = each.clientId;
    member.clientHost = each.clientHost;
    member.epoch = classic.generation;
    member.rebalanceTimeoutMs = each.rebalanceTimeoutMs;
    member.topicNames = [...subscription.topics].sort();
    member.assigned = byId(assignment, cluster);
    member.isStable = true;
    member.classic = { sessionTimeoutMs: each.sessionTimeoutMs, protocols: each.protocols };
    members.push(member);
  }
  return members;
}

/** The members of a group in which all speak the classic protocol, as that protocol has them. */
export function toClassicGroup(group: ConsumerGroup, cluster: Cluster): StoredClassicGroup {
  const members = [...group.members.values()].map((member) => {
    const { id, instanceId, clientId, clientHost, rebalanceTimeoutMs } = member;
    const { sessionTimeoutMs, protocols } = member.classic!;
    const request = { groupInstanceId: instanceId, protocolType: CONSUMER, sessionTimeoutMs, rebalanceTimeoutMs };
    const classic = new ClassicMember(id, { ...request, protocols }, clientId, clientHost);
    classic.assignment = writeAssignment(versionOf(member), byName(group.targetOf(id), cluster));
    return classic.toStored();
  });
  return {
    kind: 'classic',
    generation: group.epoch,
    protocolType: CONSUMER,
    protocolName: protocolOf([...group.members.values()][0]!),
    leaderId: members[0]!.id,
    emptySince: 0,
    members,
  };
}

const protocolOf = ({ classic }: ConsumerMember): string => classic!.protocols[0]!.name;
const versionOf = ({ classic }: ConsumerMember): number =>
  readSubscription(classic!.protocols[0]!.metadata)?.version ?? 0;

/** Whether all classic members of the group know one of these protocols. */
function isSupported(group: ConsumerGroup, { memberId, protocolType, protocols }: JoinGroupRequest): boolean {
  if (protocolType !== CONSUMER || protocols.length === 0) return false;
  const others = [...group.members.values()].filter(({ id, classic }) => classic && id !== memberId);
  return protocols.some(({ name }) => others.every(({ classic }) => classic!.protocols.some((p) => p.name === name)));
}

/** Answers a JoinGroup; `'classic'` when the group has become one of the classic protocol, which must answer it then. */
export function join(
  group: ConsumerGroup,
  request: JoinGroupRequest,
  client: { id: string; host: string; requiresKnownMemberId: boolean },
  cluster: Cluster,
): JoinGroupResponse | 'classic' {
  const { groupInstanceId, protocols } = request;
  const subscription = readSubscription(protocols[0]?.metadata ?? Buffer.alloc(0));
  if (!subscription || !isSupported(group, request)) {
    return joinError('INCONSISTENT_GROUP_PROTOCOL', request.memberId);
  }
  const isNew = request.memberId === '';
  const memberId = isNew ? randomUUID() : request.memberId;
  if (isNew && groupInstanceId === null && client.requiresKnownMemberId)
    return joinError('MEMBER_ID_REQUIRED', memberId);
  const old = group.staticMember(groupInstanceId);
  if (!isNew && groupInstanceId !== null) group.checkInstance(memberId, groupInstanceId);
  if (isNew && old && old.classic === undefined && isLastOfItsKind(group, old)) {
    // The last that spoke the newer protocol comes back with the classic one.
    group.remove(old);
    return 'classic';
  }
  const member = group.members.get(memberId) ?? group.add(memberId, groupInstanceId);
  const topicNames = [...subscription.topics].sort();
  const hasChanged = member.epoch <= 0 || topicNames.join() !== member.topicNames.join();
  member.topicNames = topicNames;
  member.topicPattern = '';
  member.clientId = client.id;
  member.clientHost = client.host;
  member.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
  member.classic = { sessionTimeoutMs: request.sessionTimeoutMs, protocols: copyProtocols(protocols) };
  // It has joined; now it must sync.
  group.stopRebalanceTimer(member);
  group.advance(member, byId(subscription.owned, cluster), hasChanged);
  group.startRebalanceTimer(member);
  return {
    errorCode: 0,
    generationId: member.epoch,
    protocolType: CONSUMER,
    protocolName: protocolOf(member),
    leader: '',
    memberId,
    members: [],
  };
}

const isLastOfItsKind = (group: ConsumerGroup, { id }: ConsumerMember): boolean =>
  group.members.size > 1 && [...group.members.values()].every((each) => each.classic !== undefined || each.id === id);

/** @throws RequestError when it is no classic member of the group, or of another generation */
function classicMember(
  group: ConsumerGroup,
  memberId: string,
  instanceId: string | null,
  generation: number,
): ConsumerMember {
  group.checkInstance(memberId, instanceId);
  const member = group.members.get(memberId);
  if (!member?.classic) throw new RequestError('UNKNOWN_MEMBER_ID');
  if (generation !== member.epoch) throw new RequestError('ILLEGAL_GENERATION');
  return member;
}

/** @throws RequestError */
export function sync(group: ConsumerGroup, request: SyncGroupRequest, cluster: Cluster): SyncGroupResponse {
  const member = classicMember(group, request.memberId, request.groupInstanceId, request.generationId);
  const protocolName = protocolOf(member);
  if (
    (request.protocolType !== null && request.protocolType !== CONSUMER) ||
    (request.protocolName !== null && request.protocolName !== protocolName)
  ) {
    return syncError('INCONSISTENT_GROUP_PROTOCOL');
  }
  group.touch(member);
  // Who has something to give up must be told of it first, under the epoch that it has.
  if (member.epoch < group.epoch && count(member.revoking) === 0) {
    group.startRebalanceTimer(member);
    return syncError('REBALANCE_IN_PROGRESS');
  }
  if (count(member.revoking) === 0) group.stopRebalanceTimer(member);
  const assignment = writeAssignment(versionOf(member), byName(member.assigned, cluster));
  return { errorCode: 0, protocolType: CONSUMER, protocolName, assignment };
}

/** @throws RequestError REBALANCE_IN_PROGRESS when there is something to give up or to get, and others */
export function heartbeat(group: ConsumerGroup, memberId: string, instanceId: string | null, generation: number): void {
  const member = classicMember(group, memberId, instanceId, generation);
  group.touch(member);
  const isBehind = member.epoch < group.epoch || count(member.revoking) > 0;
  if (!isBehind && (member.isStable || group.isWaiting(member))) return;
  if (member.rebalanceTimer === undefined) group.startRebalanceTimer(member);
  throw new RequestError('REBALANCE_IN_PROGRESS' satisfies ErrorName);
}
