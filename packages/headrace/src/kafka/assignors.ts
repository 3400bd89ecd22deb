/** How the leader of a classic group spreads partitions over members. Pure. */
import type { Subscription } from './consumer-protocol.ts';
import type { TopicPartition } from './contract.ts';

export interface GroupMember extends Subscription {
  readonly memberId: string;
}

/** Partitions by member id; every member is in it. */
export type Assignment = Map<string, TopicPartition[]>;

const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;
const compareIds = (a: { memberId: string }, b: { memberId: string }): number =>
  a.memberId < b.memberId ? -1 : a.memberId > b.memberId ? 1 : 0;

/**
 * Balanced, and as few partitions as possible change hands. Members keep what they own; what is left goes to who has
 * least; then partitions move from those with most to those with least until they differ by at most one (as far as
 * subscriptions allow).
 */
function assignSticky(members: readonly GroupMember[], counts: ReadonlyMap<string, number>): Assignment {
  const sorted = [...members].sort(compareIds);
  const assignment: Assignment = new Map(sorted.map(({ memberId }) => [memberId, []]));
  const subscribed = new Map(sorted.map(({ memberId, topics }) => [memberId, new Set(topics)]));
  const owners = claimedOwners(sorted);

  const unassigned: TopicPartition[] = [];
  const topics = [...new Set(sorted.flatMap((member) => member.topics))].sort();
  for (const topic of topics) {
    const count = counts.get(topic) ?? 0;
    for (let partition = 0; partition < count; partition++) {
      const place = { topic, partition };
      const owner = owners.get(nameOf(place));
      if (owner !== undefined && subscribed.get(owner)?.has(topic) === true) assignment.get(owner)!.push(place);
      else unassigned.push(place);
    }
  }

  const load = (memberId: string): number => assignment.get(memberId)!.length;
  const least = (topic: string): string | undefined => {
    let best: string | undefined;
    for (const { memberId } of sorted) {
      if (!subscribed.get(memberId)!.has(topic)) continue;
      if (best === undefined || load(memberId) < load(best)) best = memberId;
    }
    return best;
  };
  for (const place of unassigned) {
    const member = least(place.topic);
    if (member !== undefined) assignment.get(member)!.push(place);
  }

  for (let isMoving = true; isMoving; ) {
    isMoving = false;
    const fromMost = [...sorted].sort((a, b) => load(b.memberId) - load(a.memberId) || compareIds(a, b));
    for (const { memberId } of fromMost) {
      const held = assignment.get(memberId)!;
      for (let index = held.length - 1; index >= 0; index--) {
        const target = least(held[index]!.topic);
        if (target === undefined || target === memberId || load(target) + 1 >= held.length) continue;
        assignment.get(target)!.push(...held.splice(index, 1));
        isMoving = true;
      }
    }
  }
  return assignment;
}

/**
 * As `assignSticky`, for cooperative rebalances (KIP-429): a partition that somebody still owns is given to nobody else
 * in this round. The owner gives it up and rejoins; then it is free.
 */
function assignCooperatively(members: readonly GroupMember[], counts: ReadonlyMap<string, number>): Assignment {
  const assignment = assignSticky(members, counts);
  const claims = new Map<string, Set<string>>();
  for (const { memberId, owned } of members) {
    for (const place of owned) {
      const name = nameOf(place);
      const claimants = claims.get(name);
      if (claimants === undefined) claims.set(name, new Set([memberId]));
      else claimants.add(memberId);
    }
  }
  for (const [memberId, places] of assignment) {
    const free = places.filter((place) => {
      const claimants = claims.get(nameOf(place));
      return claimants === undefined || (claimants.size === 1 && claimants.has(memberId));
    });
    assignment.set(memberId, free);
  }
  return assignment;
}

/** Of several who claim a partition the one of the latest generation owns it; nobody where they are of the same. */
function claimedOwners(members: readonly GroupMember[]): Map<string, string> {
  const claims = new Map<string, { memberId: string; generation: number; isContested: boolean }>();
  for (const { memberId, owned, generation } of members) {
    for (const place of owned) {
      const name = nameOf(place);
      const known = claims.get(name);
      if (known === undefined || generation > known.generation) {
        claims.set(name, { memberId, generation, isContested: false });
      } else if (generation === known.generation) known.isContested = true;
    }
  }
  const owners = new Map<string, string>();
  for (const [name, claim] of claims) if (!claim.isContested) owners.set(name, claim.memberId);
  return owners;
}

/** Kafka's RangeAssignor: per topic, neighbouring partitions to each subscriber in order of member ids. */
function assignRange(members: readonly GroupMember[], counts: ReadonlyMap<string, number>): Assignment {
  const sorted = [...members].sort(compareIds);
  const assignment: Assignment = new Map(sorted.map(({ memberId }) => [memberId, []]));
  for (const topic of [...new Set(sorted.flatMap((member) => member.topics))].sort()) {
    const subscribers = sorted.filter((member) => member.topics.includes(topic));
    const count = counts.get(topic) ?? 0;
    const share = Math.floor(count / subscribers.length);
    const extra = count % subscribers.length;
    let partition = 0;
    subscribers.forEach(({ memberId }, index) => {
      const end = partition + share + (index < extra ? 1 : 0);
      for (; partition < end; partition++) assignment.get(memberId)!.push({ topic, partition });
    });
  }
  return assignment;
}

/** Kafka's RoundRobinAssignor: all partitions in order, one after another to the next subscriber. */
function assignRoundRobin(members: readonly GroupMember[], counts: ReadonlyMap<string, number>): Assignment {
  const sorted = [...members].sort(compareIds);
  const assignment: Assignment = new Map(sorted.map(({ memberId }) => [memberId, []]));
  let next = 0;
  for (const topic of [...new Set(sorted.flatMap((member) => member.topics))].sort()) {
    for (let partition = 0; partition < (counts.get(topic) ?? 0); partition++) {
      while (!sorted[next % sorted.length]!.topics.includes(topic)) next++;
      assignment.get(sorted[next % sorted.length]!.memberId)!.push({ topic, partition });
      next++;
    }
  }
  return assignment;
}

export const assignors = {
  'cooperative-sticky': assignCooperatively,
  range: assignRange,
  roundrobin: assignRoundRobin,
  sticky: assignSticky,
} as const;

export type AssignorName = keyof typeof assignors;
