import { randomUUID } from 'node:crypto';
import { HeadraceError, toHeadraceError } from '../errors.ts';
import { Backoff, sleep } from './backoff.ts';
import type { Cluster } from './cluster.ts';
import type { TopicPartition } from './contract.ts';
import { GroupCoordinator } from './group-coordinator.ts';
import {
  type ConsumerGroupHeartbeatAnswer,
  consumerGroupHeartbeat,
  type GroupIdentity,
  type TopicIdPartitions,
} from './group-requests.ts';
import {
  difference,
  type Membership,
  type MembershipEnd,
  type MembershipHost,
  type MembershipOptions,
  PASSING_ATTEMPTS,
  Signal,
} from './membership.ts';
import { brokerError, KafkaCode, needsCoordinator } from './protocol-errors.ts';

/**
 * Membership by the protocol of KIP-848: one heartbeat says what is owned and hears what should be. The coordinator
 * gives a partition to its new owner when the old one has said that it gave it up.
 */
export class ConsumerGroupMembership implements Membership {
  readonly coordinator: GroupCoordinator;
  readonly #cluster: Cluster;
  readonly #options: MembershipOptions;
  readonly #host: MembershipHost;
  readonly #stopping = new AbortController();
  readonly #identityChanged = new Signal();
  #beat: (() => void) | undefined;
  /**
   * The same after a restart: who joins with it at epoch 0 gets its partitions back at once. No instance id goes with it:
   * Kafka refuses that one (UNRELEASED_INSTANCE_ID) until the session of the dead process has run out.
   */
  readonly #memberId: string;
  #epoch = 0;
  #identity: GroupIdentity | undefined;
  #interval = 1_000;
  #lastHeard = 0;
  /** What the coordinator wants this member to own; undefined before it said so. */
  #target: readonly TopicIdPartitions[] | undefined;
  #isReconciling = false;
  /** Say in the next heartbeat what is owned. */
  #mustTell = true;
  /**
   * An answer was lost, and the coordinator tells an assignment only once: the next request is a full one, whose answer
   * has it again. Else a partition given by the lost answer would be read by nobody.
   */
  #isUncertain = false;
  #hasJoined = false;
  #running: Promise<MembershipEnd> | undefined;

  constructor(cluster: Cluster, options: MembershipOptions, host: MembershipHost) {
    this.#cluster = cluster;
    this.#options = options;
    this.coordinator = new GroupCoordinator(cluster, options.groupId);
    this.#host = host;
    this.#memberId =
      options.restartIdentity ?? Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url');
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
    this.#beat?.();
    await this.#running;
    const identity = this.#identity;
    this.#setIdentity(undefined);
    if (identity === undefined) return;
    try {
      // A static member says that it will be back, and keeps its place within the session timeout.
      await this.#heartbeat(this.#options.instanceId === null ? -1 : -2, null, false, 5_000);
    } catch {
      // Nobody to tell: the session runs out by itself.
    }
  }

  async #run(): Promise<MembershipEnd> {
    const { signal } = this.#stopping;
    const backoff = new Backoff();
    while (!signal.aborted) {
      try {
        const end = await this.#round();
        if (end !== undefined) return end;
        backoff.reset();
        this.#host.onTrouble(undefined);
      } catch (error) {
        if (signal.aborted) break;
        const failure = toHeadraceError(error, 'KAFKA_PROTOCOL');
        this.coordinator.failed();
        if (backoff.attempts >= PASSING_ATTEMPTS || !isPassing(failure)) this.#host.onTrouble(failure);
        this.#loseWhenSilent();
        await backoff.wait(signal, this.#cluster.options.clock);
        continue;
      }
      const pause = this.#mustTell && !this.#isReconciling ? 0 : this.#interval;
      await Promise.race([
        sleep(pause, signal, this.#cluster.options.clock),
        new Promise<void>((resolve) => {
          this.#beat = resolve;
        }),
      ]);
    }
    return 'stopped';
  }

  /** One heartbeat and what it brings. */
  async #round(): Promise<MembershipEnd | undefined> {
    if (this.#loseWhenSilent()) return undefined;
    const isJoining = this.#epoch === 0;
    const isFull = isJoining || (this.#isUncertain && !this.#isReconciling);
    // What is owned is told when it changed, and never while it is changing.
    const tells = isFull || (this.#mustTell && !this.#isReconciling);
    const owned = isJoining ? [] : tells ? await this.#ownedById() : null;
    if (tells) this.#mustTell = false;
    let answer: ConsumerGroupHeartbeatAnswer;
    try {
      answer = await this.#heartbeat(this.#epoch, owned, isFull);
    } catch (error) {
      this.#isUncertain = true;
      if (tells) this.#mustTell = true;
      if (isJoining && !this.#hasJoined && HeadraceError.is(error) && error.code === 'KAFKA_UNSUPPORTED') {
        return 'unsupported';
      }
      throw error;
    }
    if (answer.error !== 0) return this.#refused(answer, tells);

    this.#lastHeard = this.#cluster.options.clock.now();
    if (isFull) this.#isUncertain = false;
    this.#hasJoined = true;
    this.#interval = Math.max(answer.intervalMilliseconds, 50);
    if (answer.memberEpoch !== this.#epoch || this.#identity === undefined) {
      this.#epoch = answer.memberEpoch;
      const { groupId, instanceId } = this.#options;
      this.#setIdentity({ groupId, generation: answer.memberEpoch, memberId: this.#memberId, instanceId });
    }
    if (answer.assignment !== null) this.#target = answer.assignment;
    if (this.#target !== undefined && !this.#isReconciling) void this.#reconcile();
    return undefined;
  }

  #refused(answer: ConsumerGroupHeartbeatAnswer, tells: boolean): MembershipEnd | undefined {
    const { error: code } = answer;
    if (tells) this.#mustTell = true;
    switch (code) {
      case KafkaCode.FENCED_MEMBER_EPOCH:
      case KafkaCode.UNKNOWN_MEMBER_ID:
        this.#lose();
        return undefined;
      case KafkaCode.UNSUPPORTED_VERSION:
      case KafkaCode.GROUP_ID_NOT_FOUND:
        // Not enabled on this cluster, or the group is a classic one that cannot be converted.
        if (!this.#hasJoined) return 'unsupported';
        break;
      case KafkaCode.FENCED_INSTANCE_ID:
        this.#lose();
        this.#host.onTrouble(brokerError(code, `group ${this.#options.groupId}`, answer.message));
        return 'fenced';
    }
    throw brokerError(code, `group ${this.#options.groupId}`, answer.message);
  }

  async #heartbeat(
    epoch: number,
    owned: readonly TopicIdPartitions[] | null,
    isFull: boolean,
    timeoutMilliseconds?: number,
  ): Promise<ConsumerGroupHeartbeatAnswer> {
    const connection = await this.coordinator.connection(`${this.#options.purpose}/group`);
    connection.bestVersion(68, 'ConsumerGroupHeartbeat', 1, 1);
    const { groupId, instanceId, rackId, topics, rebalanceTimeoutMilliseconds } = this.#options;
    const answer = await connection.send(
      consumerGroupHeartbeat({
        groupId,
        memberId: this.#memberId,
        memberEpoch: epoch,
        instanceId,
        rackId: isFull ? rackId : null,
        rebalanceTimeout: isFull ? rebalanceTimeoutMilliseconds : -1,
        topics: isFull ? [...topics].sort() : null,
        owned,
      }),
      timeoutMilliseconds,
    );
    if (needsCoordinator(answer.error)) this.coordinator.failed();
    return answer;
  }

  async #ownedById(): Promise<TopicIdPartitions[]> {
    const byId = new Map<string, number[]>();
    for (const { topic, partition } of this.#host.owned()) {
      const id = this.#cluster.topic(topic)?.topicId;
      // A topic that was deleted meanwhile has no id to be named by.
      if (id === undefined) continue;
      const list = byId.get(id);
      if (list === undefined) byId.set(id, [partition]);
      else list.push(partition);
    }
    return [...byId].map(([topicId, partitions]) => ({ topicId, partitions }));
  }

  /** Gives up what is not wanted, takes what is new, then says so. Heartbeats go on meanwhile. */
  async #reconcile(): Promise<void> {
    this.#isReconciling = true;
    const target = this.#target!;
    try {
      const wanted = await this.#names(target);
      if (wanted === undefined || this.#identity === undefined) return;
      const owned = this.#host.owned();
      const revoked = difference(owned, wanted);
      const added = difference(wanted, owned);
      if (revoked.length === 0 && added.length === 0) {
        if (this.#target === target) this.#target = undefined;
        return;
      }
      if (revoked.length > 0) await this.#host.revoke(revoked);
      if (this.#identity === undefined || this.#stopping.signal.aborted) return;
      if (added.length > 0) this.#host.assign(added);
      if (this.#target === target) this.#target = undefined;
      this.#mustTell = true;
      this.#host.onRebalanced();
    } finally {
      this.#isReconciling = false;
      if (this.#mustTell) this.#beat?.();
    }
  }

  /** Names for topic ids; undefined where one is not known yet: the next heartbeat tries again. */
  async #names(assignment: readonly TopicIdPartitions[]): Promise<TopicPartition[] | undefined> {
    if (assignment.some(({ topicId }) => this.#cluster.nameOf(topicId) === undefined)) {
      try {
        await this.#cluster.refresh([...this.#options.topics].sort());
      } catch {
        return undefined;
      }
    }
    const places: TopicPartition[] = [];
    for (const { topicId, partitions } of assignment) {
      const topic = this.#cluster.nameOf(topicId);
      if (topic === undefined) return undefined;
      for (const partition of partitions) places.push({ topic, partition });
    }
    return places;
  }

  /** After a session's length without an answer the coordinator has given the partitions away. */
  #loseWhenSilent(): boolean {
    if (this.#identity === undefined) return false;
    const silence = this.#cluster.options.clock.now() - this.#lastHeard;
    if (silence <= this.#options.sessionTimeoutMilliseconds) return false;
    this.#lose();
    return true;
  }

  #lose(): void {
    this.#epoch = 0;
    this.#target = undefined;
    this.#mustTell = true;
    this.#setIdentity(undefined);
    this.#host.lose();
  }

  #setIdentity(identity: GroupIdentity | undefined): void {
    this.#identity = identity;
    this.#identityChanged.notify();
  }
}

const isPassing = (error: HeadraceError): boolean =>
  error.code === 'KAFKA_DISCONNECTED' || needsCoordinator(Number(error.details['kafkaCode'] ?? 0));
