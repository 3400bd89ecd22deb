import { HeadraceError, toHeadraceError } from '../errors.ts';
import { type AssignorName, assignors, type GroupMember } from './assignors.ts';
import { Backoff, sleep } from './backoff.ts';
import type { Cluster } from './cluster.ts';
import type { Connection } from './connection.ts';
import { decodeAssignment, decodeSubscription, encodeAssignment, encodeSubscription } from './consumer-protocol.ts';
import type { TopicPartition } from './contract.ts';
import { GroupCoordinator } from './group-coordinator.ts';
import { type GroupIdentity, heartbeat, type JoinAnswer, joinGroup, leaveGroup, syncGroup } from './group-requests.ts';
import {
  difference,
  type Membership,
  type MembershipEnd,
  type MembershipHost,
  type MembershipOptions,
  PASSING_ATTEMPTS,
  Signal,
} from './membership.ts';
import { brokerError, KafkaCode, kafkaCodeOf, needsCoordinator } from './protocol-errors.ts';

const cooperative: readonly AssignorName[] = ['cooperative-sticky'];
const eager: readonly AssignorName[] = ['range', 'roundrobin', 'sticky'];

/**
 * Membership by the classic protocol. It joins with cooperative-sticky alone; where the group already runs another
 * protocol (the coordinator then says INCONSISTENT_GROUP_PROTOCOL) it joins as an eager member. One loop joins, applies
 * the assignment and waits for the next reason to rejoin; heartbeats run beside it, whatever the loop waits for.
 */
export class ClassicMembership implements Membership {
  readonly coordinator: GroupCoordinator;
  readonly #cluster: Cluster;
  readonly #options: MembershipOptions;
  readonly #host: MembershipHost;
  readonly #stopping = new AbortController();
  readonly #identityChanged = new Signal();
  /** Wakes the loop: a rebalance, a loss, the end. */
  readonly #attention = new Signal();
  #identity: GroupIdentity | undefined;
  #memberId = '';
  #instanceId: string | null;
  #isEager = false;
  #mustRejoin = true;
  #isJoining = false;
  #isFenced = false;
  /**
   * Of the last JoinGroup that was answered. Ahead of the identity when SyncGroup failed: a heartbeat of the generation
   * before would be refused, and everything taken for lost although the coordinator knows this member.
   */
  #joinedGeneration = -1;
  /** A JoinGroup was sent: the coordinator may have taken it, whatever was answered. */
  #hasAsked = false;
  #lastHeard = 0;
  #beat: (() => void) | undefined;
  /** As leader: partitions of all subscribed topics at the last assignment. */
  #assignedCounts: ReadonlyMap<string, number> | undefined;
  #running: Promise<MembershipEnd> | undefined;

  constructor(cluster: Cluster, options: MembershipOptions, host: MembershipHost) {
    this.#cluster = cluster;
    this.#options = options;
    this.coordinator = new GroupCoordinator(cluster, options.groupId);
    this.#host = host;
    this.#instanceId = options.instanceId ?? options.restartIdentity;
  }

  get identity(): GroupIdentity | undefined {
    return this.#identity;
  }

  changed(): Promise<void> {
    return this.#identityChanged.wait();
  }

  suspect(): void {
    this.#beat?.();
  }

  run(): Promise<MembershipEnd> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#attention.notify();
    // The coordinator may hold JoinGroup back for the whole rebalance timeout.
    if (this.#isJoining) this.#cluster.closeConnections(`${this.#options.purpose}/group`);
    await this.#running;
    const isMember = this.#identity !== undefined;
    this.#setIdentity(undefined);
    // A static member keeps its place: it is expected back within the session timeout (KIP-345).
    if (this.#options.instanceId !== null) return;
    // With a name of its own even an answer to JoinGroup that never came can be taken back: by the name alone.
    if (!isMember && (this.#instanceId === null || !this.#hasAsked)) return;
    try {
      const connection = await this.#connection();
      const { groupId } = this.#options;
      const memberId = isMember ? this.#memberId : '';
      await connection.send(leaveGroup({ groupId, memberId, instanceId: this.#instanceId }), 5_000);
    } catch {
      // Nobody to tell: the session runs out by itself.
    }
  }

  async #run(): Promise<MembershipEnd> {
    void this.#heartbeats();
    void this.#watchTopics();
    const backoff = new Backoff();
    while (!this.#stopping.signal.aborted && !this.#isFenced) {
      try {
        if (this.#mustRejoin) await this.#rejoin();
        backoff.reset();
        this.#host.onTrouble(undefined);
        if (!this.#mustRejoin && !this.#stopping.signal.aborted) await this.#attention.wait();
      } catch (error) {
        if (this.#stopping.signal.aborted) break;
        const failure = toHeadraceError(error, 'KAFKA_PROTOCOL');
        this.#mustRejoin = true;
        if (failure.code === 'KAFKA_UNSUPPORTED') {
          this.#host.onTrouble(failure);
        } else if (backoff.attempts >= PASSING_ATTEMPTS || !isPassing(failure)) this.#host.onTrouble(failure);
        // Who had its name from us alone goes on without it.
        if (this.#isFenced) break;
        await backoff.wait(this.#stopping.signal, this.#cluster.options.clock);
      }
    }
    return this.#isFenced ? 'fenced' : 'stopped';
  }

  #connection(): Promise<Connection> {
    return this.coordinator.connection(`${this.#options.purpose}/group`);
  }

  /** One round of the protocol: join, sync, apply. */
  async #rejoin(): Promise<void> {
    if (this.#isEager && this.#host.owned().length > 0) await this.#host.revoke(this.#host.owned());
    if (this.#stopping.signal.aborted || this.#isFenced) return;
    const { groupId } = this.#options;
    const instanceId = this.#instanceId;
    this.#mustRejoin = false;
    this.#isJoining = true;
    let target: TopicPartition[];
    try {
      const joined = await this.#join();
      if (joined === undefined) return;
      const identity = { groupId, generation: joined.generation, memberId: joined.memberId, instanceId };
      target = await this.#sync(joined, identity);
      this.#setIdentity(identity);
    } catch (error) {
      this.#onGroupError(kafkaCodeOf(error), error);
      if (error instanceof HeadraceError && error.code === 'KAFKA_DISCONNECTED') this.coordinator.failed();
      throw error;
    } finally {
      this.#isJoining = false;
    }

    const owned = this.#host.owned();
    const revoked = difference(owned, target);
    const added = difference(target, owned);
    if (revoked.length > 0) {
      await this.#host.revoke(revoked);
      // Only when everybody has given up what is not theirs can it be handed out: once more.
      if (!this.#isEager) this.#mustRejoin = true;
    }
    // Lost in the meantime: what was assigned then is not ours any more.
    if (this.#identity === undefined) return;
    if (added.length > 0) this.#host.assign(added);
    this.#host.onRebalanced();
  }

  /** Undefined: join again at once. */
  async #join(): Promise<JoinAnswer | undefined> {
    const { groupId, topics, sessionTimeoutMilliseconds, rebalanceTimeoutMilliseconds } = this.#options;
    const connection = await this.#connection();
    const version = connection.bestVersion(11, 'JoinGroup', 6, 9);
    const metadata = encodeSubscription({
      topics: [...topics].sort(),
      owned: this.#isEager ? [] : this.#host.owned(),
      generation: this.#identity?.generation ?? -1,
    });
    const request = joinGroup(version, {
      groupId,
      sessionTimeout: sessionTimeoutMilliseconds,
      rebalanceTimeout: rebalanceTimeoutMilliseconds,
      memberId: this.#memberId,
      instanceId: this.#instanceId,
      protocols: (this.#isEager ? eager : cooperative).map((name) => ({ name, metadata })),
    });
    const timeout = this.#cluster.options.requestTimeoutMilliseconds + rebalanceTimeoutMilliseconds;
    this.#hasAsked = true;
    const answer = await connection.send(request, timeout);
    if (answer.error === KafkaCode.MEMBER_ID_REQUIRED) {
      this.#memberId = answer.memberId;
      this.#mustRejoin = true;
      return undefined;
    }
    if (answer.error === KafkaCode.INCONSISTENT_GROUP_PROTOCOL) {
      if (this.#isEager) throw brokerError(answer.error, `group ${groupId} runs none of the known assignors`);
      if (this.#host.owned().length > 0) await this.#host.revoke(this.#host.owned());
      this.#isEager = true;
      this.#mustRejoin = true;
      return undefined;
    }
    if (answer.error !== 0) throw brokerError(answer.error, `joining group ${groupId}`);
    this.#memberId = answer.memberId;
    this.#joinedGeneration = answer.generation;
    this.#lastHeard = this.#cluster.options.clock.now();
    return answer;
  }

  async #sync(joined: JoinAnswer, identity: GroupIdentity): Promise<TopicPartition[]> {
    const isLeader = joined.leader === joined.memberId;
    const assignments = isLeader ? await this.#assign(joined) : [];
    if (!isLeader) this.#assignedCounts = undefined;
    const connection = await this.#connection();
    const timeout = this.#cluster.options.requestTimeoutMilliseconds + this.#options.rebalanceTimeoutMilliseconds;
    const answer = await connection.send(syncGroup(identity, assignments), timeout);
    // Both requests may be held back for long: it is their answers that show that this member is known, a refusal too.
    if (answer.error === 0 || answer.error === KafkaCode.REBALANCE_IN_PROGRESS) {
      this.#lastHeard = this.#cluster.options.clock.now();
    }
    if (answer.error !== 0) throw brokerError(answer.error, `assignment of group ${identity.groupId}`);
    return decodeAssignment(answer.assignment);
  }

  async #assign(joined: JoinAnswer): Promise<{ memberId: string; assignment: Buffer }[]> {
    const members: GroupMember[] = joined.members.map(({ memberId, metadata }) => ({
      memberId,
      ...decodeSubscription(metadata),
    }));
    const counts = await this.#countPartitions(members.flatMap((member) => member.topics));
    if (joined.skipAssignment) {
      // The assignment was made by a life before this one, for counts that are not known: the next look at the topics
      // finds a change and has everybody assigned anew.
      this.#assignedCounts = new Map([...counts.keys()].map((topic) => [topic, -1]));
      return [];
    }
    this.#assignedCounts = counts;
    const assignor = assignors[joined.protocol as AssignorName] ?? assignors.range;
    return [...assignor(members, counts)].map(([memberId, partitions]) => ({
      memberId,
      assignment: encodeAssignment(partitions),
    }));
  }

  async #countPartitions(topics: readonly string[]): Promise<Map<string, number>> {
    const names = [...new Set(topics)].sort();
    const answer = await this.#cluster.refresh(names);
    const missing = answer.topics.find((topic) => topic.error !== 0 && this.#options.topics.includes(topic.name));
    if (missing !== undefined) this.#host.onTrouble(brokerError(missing.error, `topic ${missing.name}`));
    // A topic that cannot be seen for the moment keeps the count it had, or its partitions would be taken from everybody.
    return new Map(
      answer.topics.map((topic) => [
        topic.name,
        topic.error === 0
          ? topic.partitions.length
          : topic.error === KafkaCode.UNKNOWN_TOPIC_OR_PARTITION
            ? 0
            : (this.#cluster.topic(topic.name)?.partitions.length ?? 0),
      ]),
    );
  }

  /** The leader rejoins when partitions were added or a missing topic was created; so everybody is assigned anew. */
  async #watchTopics(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const before = this.#assignedCounts;
      const isIncomplete = before !== undefined && this.#options.topics.some((topic) => (before.get(topic) ?? 0) === 0);
      const { metadataAgeMilliseconds, clock } = this.#cluster.options;
      await sleep(isIncomplete ? Math.min(1_000, metadataAgeMilliseconds) : metadataAgeMilliseconds, signal, clock);
      if (signal.aborted || before === undefined || this.#isJoining) continue;
      try {
        const now = await this.#countPartitions([...before.keys()]);
        const isChanged = [...now].some(([topic, count]) => count !== before.get(topic));
        if (!isChanged || this.#assignedCounts !== before) continue;
        this.#mustRejoin = true;
        this.#attention.notify();
      } catch {
        // Fetching meets the same trouble and tells it.
      }
    }
  }

  async #heartbeats(): Promise<void> {
    const { signal } = this.#stopping;
    const interval = Math.max(this.#options.sessionTimeoutMilliseconds / 15, 100);
    while (!signal.aborted && !this.#isFenced) {
      await Promise.race([
        sleep(Math.min(interval, 3_000), signal, this.#cluster.options.clock),
        new Promise<void>((resolve) => {
          this.#beat = resolve;
        }),
      ]);
      const identity = this.#identity;
      if (identity === undefined || this.#isJoining || signal.aborted) continue;
      await this.#heartbeat(identity);
    }
  }

  async #heartbeat(identity: GroupIdentity): Promise<void> {
    // Asleep for longer than the session (a paused process): the coordinator has given our place away.
    const { clock } = this.#cluster.options;
    if (clock.now() - this.#lastHeard > this.#options.sessionTimeoutMilliseconds) {
      this.#lose();
      return;
    }
    try {
      const connection = await this.#connection();
      const code = await connection.send(
        heartbeat({ ...identity, generation: this.#joinedGeneration }),
        this.#options.sessionTimeoutMilliseconds,
      );
      if (identity !== this.#identity) return;
      if (code === 0 || code === KafkaCode.REBALANCE_IN_PROGRESS) this.#lastHeard = clock.now();
      if (code === KafkaCode.REBALANCE_IN_PROGRESS) {
        this.#mustRejoin = true;
        this.#attention.notify();
      } else if (code !== 0) this.#onGroupError(code, brokerError(code, `heartbeat of group ${identity.groupId}`));
    } catch {
      // The session timeout above decides; until then the coordinator is looked for again.
      this.coordinator.failed();
    }
  }

  #onGroupError(code: number, error: unknown): void {
    if (needsCoordinator(code)) {
      this.coordinator.failed();
    } else if (code === KafkaCode.UNKNOWN_MEMBER_ID) {
      this.#memberId = '';
      this.#lose();
    } else if (code === KafkaCode.ILLEGAL_GENERATION) {
      this.#lose();
    } else if (code === KafkaCode.FENCED_INSTANCE_ID && this.#options.instanceId === null) {
      // Somebody came back under our name although nobody else should have it (a copied data directory). Two that
      // fence each other in turn get nowhere: this one goes on as a member without a name.
      this.#instanceId = null;
      this.#memberId = '';
      this.#lose();
    } else if (code === KafkaCode.FENCED_INSTANCE_ID) {
      this.#isFenced = true;
      this.#lose();
      this.#host.onTrouble(toHeadraceError(error));
    } else if (code !== 0 && code !== KafkaCode.REBALANCE_IN_PROGRESS) {
      this.#host.onTrouble(toHeadraceError(error));
    }
  }

  #lose(): void {
    this.#setIdentity(undefined);
    this.#mustRejoin = true;
    this.#host.lose();
    this.#attention.notify();
  }

  #setIdentity(identity: GroupIdentity | undefined): void {
    this.#identity = identity;
    this.#identityChanged.notify();
  }
}

/** What happens in the life of any group: told only when it goes on. */
const isPassing = (error: HeadraceError): boolean => {
  const code = kafkaCodeOf(error);
  return (
    error.code === 'KAFKA_DISCONNECTED' ||
    needsCoordinator(code) ||
    code === KafkaCode.REBALANCE_IN_PROGRESS ||
    code === KafkaCode.ILLEGAL_GENERATION ||
    code === KafkaCode.UNKNOWN_MEMBER_ID
  );
};
