import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { type ErrorName, RequestError } from '../protocol/errors.ts';
import type { JoinGroupRequest, JoinGroupResponse } from '../protocol/messages/join-group.ts';
import type { SyncGroupRequest, SyncGroupResponse } from '../protocol/messages/sync-group.ts';
import { joinError, syncError } from './classic-errors.ts';
import { ClassicMember } from './classic-member.ts';
import { readSubscription } from './consumer-protocol.ts';
import type { StoredClassicGroup } from './stored.ts';

export type ClassicState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead';

export interface ClassicGroupOptions {
  clock: Clock;
  /** How long the first member of an empty group waits for more (group.initial.rebalance.delay.ms). */
  initialRebalanceDelayMs: number;
  /** Most members (group.max.size). */
  maximumSize: number;
}

const NO_LEADER = '';
const EMPTY = Buffer.alloc(0);

/**
 * A group of the classic protocol: members join, one of them (the leader) assigns, all sync. Follows the states and
 * errors of Apache Kafka's GroupMetadataManager. Everything here runs within one turn of the event loop.
 */
export class ClassicGroup {
  readonly id: string;
  readonly members = new Map<string, ClassicMember>();
  /** Member id by instance id. */
  readonly staticMembers = new Map<string, string>();
  /** Ids given out with MEMBER_ID_REQUIRED whose owner has not come back yet, with their timers. */
  readonly #pending = new Map<string, unknown>();
  readonly #options: ClassicGroupOptions;
  readonly #onChanged: () => void;
  state: ClassicState = 'Empty';
  generation = 0;
  protocolType = '';
  protocolName: string | null = null;
  leaderId = NO_LEADER;
  /** Since when there has been no member, in milliseconds. */
  emptySince: number;
  #joinTimer: unknown;
  #syncTimer: unknown;
  /** While the initial delay runs, completion waits even when all have joined. */
  #isInitialDelay = false;

  /** @param onChanged called when there is something new that should outlive the process */
  constructor(id: string, options: ClassicGroupOptions, onChanged: () => void) {
    this.id = id;
    this.#options = options;
    this.#onChanged = onChanged;
    this.emptySince = options.clock.now();
  }

  get isEmpty(): boolean {
    return this.members.size === 0;
  }

  join(
    request: JoinGroupRequest,
    client: { id: string; host: string; requiresKnownMemberId: boolean },
  ): JoinGroupResponse | Promise<JoinGroupResponse> {
    const fail = (name: ErrorName, memberId = request.memberId): JoinGroupResponse => joinError(name, memberId);
    if (!this.#supports(request)) return fail('INCONSISTENT_GROUP_PROTOCOL');
    const { memberId, groupInstanceId } = request;
    const isKnown = memberId !== '' && (this.members.has(memberId) || this.#pending.has(memberId));
    if (!isKnown && groupInstanceId === null && this.members.size + this.#pending.size >= this.#options.maximumSize) {
      return fail('GROUP_MAX_SIZE_REACHED');
    }
    if (memberId === '') {
      const newId = `${groupInstanceId ?? client.id}-${randomUUID()}`;
      if (groupInstanceId !== null) return this.#joinStatic(newId, request, client);
      if (client.requiresKnownMemberId) {
        this.#addPending(newId, request.sessionTimeoutMs);
        return fail('MEMBER_ID_REQUIRED', newId);
      }
      return this.#add(new ClassicMember(newId, request, client.id, client.host));
    }
    if (this.#pending.has(memberId)) {
      if (groupInstanceId !== null) throw new RequestError('UNKNOWN_SERVER_ERROR', 'A static member cannot be pending');
      this.#removePending(memberId);
      return this.#add(new ClassicMember(memberId, request, client.id, client.host));
    }
    const problem = this.memberProblem(memberId, groupInstanceId);
    if (problem) return fail(problem);
    return this.#rejoin(this.members.get(memberId)!, request);
  }

  /** Why a request of this member is refused, or undefined. */
  memberProblem(memberId: string, instanceId: string | null): ErrorName | undefined {
    if (instanceId !== null) {
      const current = this.staticMembers.get(instanceId);
      if (current === undefined) return 'UNKNOWN_MEMBER_ID';
      if (current !== memberId) return 'FENCED_INSTANCE_ID';
    }
    return this.members.has(memberId) ? undefined : 'UNKNOWN_MEMBER_ID';
  }

  #supports(request: JoinGroupRequest): boolean {
    if (request.protocols.length === 0 || request.protocolType === '') return false;
    if (this.isEmpty) return true;
    if (request.protocolType !== this.protocolType) return false;
    const others = [...this.members.values()].filter(({ id }) => id !== request.memberId);
    return request.protocols.some(({ name }) =>
      others.every(({ protocols }) => protocols.some((p) => p.name === name)),
    );
  }

  #joinStatic(
    newId: string,
    request: JoinGroupRequest,
    client: { id: string; host: string },
  ): JoinGroupResponse | Promise<JoinGroupResponse> {
    const instanceId = request.groupInstanceId!;
    const oldId = this.staticMembers.get(instanceId);
    const member = new ClassicMember(newId, request, client.id, client.host);
    if (oldId === undefined) return this.#add(member);
    // The same instance came back, perhaps restarted: it takes its predecessor's place, which is fenced from now on.
    const old = this.members.get(oldId)!;
    const isUnchanged = old.matches(request);
    old.join?.(joinError('FENCED_INSTANCE_ID', oldId));
    old.sync?.(syncError('FENCED_INSTANCE_ID'));
    this.#options.clock.clearTimeout(old.sessionTimer);
    this.members.delete(oldId);
    member.assignment = old.assignment;
    member.isNew = false;
    this.members.set(newId, member);
    this.staticMembers.set(instanceId, newId);
    if (this.leaderId === oldId) this.leaderId = newId;
    if (this.state === 'Stable' && isUnchanged) {
      this.touch(member);
      this.#onChanged();
      // A returning leader must not assign anew, or everyone would be disturbed.
      return { ...this.#joined(member, this.leaderId), skipAssignment: this.leaderId === newId };
    }
    if (this.state === 'CompletingRebalance' || this.state === 'Stable') {
      const answer = this.#await(member);
      this.#prepareRebalance();
      return answer;
    }
    return this.#awaitJoin(member);
  }

  #add(member: ClassicMember): Promise<JoinGroupResponse> {
    if (this.isEmpty) this.protocolType = member.protocolType;
    this.members.set(member.id, member);
    if (member.instanceId !== null) this.staticMembers.set(member.instanceId, member.id);
    if (this.leaderId === NO_LEADER) this.leaderId = member.id;
    const answer = this.#await(member);
    this.#prepareRebalance();
    return answer;
  }

  #rejoin(member: ClassicMember, request: JoinGroupRequest): JoinGroupResponse | Promise<JoinGroupResponse> {
    const isUnchanged = member.matches(request);
    switch (this.state) {
      case 'PreparingRebalance':
        member.update(request);
        return this.#awaitJoin(member);
      case 'CompletingRebalance':
        // The answer to its last JoinGroup was lost: it gets the same one again.
        if (isUnchanged) return this.#joined(member, this.leaderId);
        break;
      case 'Stable':
        if (isUnchanged && member.id !== this.leaderId) {
          this.touch(member);
          return this.#joined(member, this.leaderId);
        }
        break;
      default:
        return joinError('UNKNOWN_MEMBER_ID', member.id);
    }
    member.update(request);
    const answer = this.#await(member);
    this.#prepareRebalance();
    return answer;
  }

  #await(member: ClassicMember): Promise<JoinGroupResponse> {
    return new Promise((resolve) => {
      // A newer JoinGroup of the same member replaces the one that waits.
      member.join?.(joinError('UNKNOWN_MEMBER_ID', member.id));
      member.join = resolve;
      this.#options.clock.clearTimeout(member.sessionTimer);
    });
  }

  #awaitJoin(member: ClassicMember): Promise<JoinGroupResponse> {
    const answer = this.#await(member);
    this.#maybeCompleteJoin();
    return answer;
  }

  #prepareRebalance(): void {
    const { clock, initialRebalanceDelayMs } = this.#options;
    if (this.state === 'CompletingRebalance') {
      for (const member of this.members.values()) {
        member.sync?.(syncError('REBALANCE_IN_PROGRESS'));
        member.sync = undefined;
      }
    }
    clock.clearTimeout(this.#syncTimer);
    if (this.state !== 'PreparingRebalance') {
      const wasEmpty = this.state === 'Empty';
      this.state = 'PreparingRebalance';
      clock.clearTimeout(this.#joinTimer);
      if (wasEmpty && initialRebalanceDelayMs > 0) {
        this.#isInitialDelay = true;
        const end = (): void => {
          this.#isInitialDelay = false;
          this.#startJoinTimer();
          this.#maybeCompleteJoin();
        };
        this.#joinTimer = clock.setTimeout(end, initialRebalanceDelayMs);
        return;
      }
      this.#startJoinTimer();
    }
    this.#maybeCompleteJoin();
  }

  #startJoinTimer(): void {
    let timeout = 0;
    for (const member of this.members.values()) timeout = Math.max(timeout, member.rebalanceTimeoutMs);
    this.#joinTimer = this.#options.clock.setTimeout(() => this.#completeJoin(), timeout);
  }

  #maybeCompleteJoin(): void {
    if (this.state !== 'PreparingRebalance' || this.#isInitialDelay || this.#pending.size > 0) return;
    for (const member of this.members.values()) if (!member.join) return;
    this.#completeJoin();
  }

  #completeJoin(): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#joinTimer);
    for (const member of [...this.members.values()]) {
      // Static members may be restarting: only their session's end takes them out.
      if (!member.join && member.instanceId === null) this.#drop(member);
    }
    if (this.isEmpty) {
      this.#becomeEmpty();
      return;
    }
    const leader = this.members.get(this.leaderId);
    if (!leader?.join) {
      const joined = [...this.members.values()].find(({ join }) => join);
      if (!joined) {
        // Only static members that are away: wait for one to return or to expire.
        this.#startJoinTimer();
        return;
      }
      this.leaderId = joined.id;
    }
    this.generation++;
    this.protocolName = this.#selectProtocol();
    this.state = 'CompletingRebalance';
    for (const member of this.members.values()) {
      const { join } = member;
      member.join = undefined;
      member.isNew = false;
      this.touch(member);
      join?.(this.#joined(member, this.leaderId));
    }
    this.#startSyncTimer();
  }

  /** Members that never sync are taken out after the rebalance timeout. */
  #startSyncTimer(): void {
    let timeout = 0;
    for (const member of this.members.values()) timeout = Math.max(timeout, member.rebalanceTimeoutMs);
    const generation = this.generation;
    this.#syncTimer = this.#options.clock.setTimeout(() => {
      if (this.generation !== generation || this.state !== 'CompletingRebalance') return;
      for (const member of [...this.members.values()]) if (!member.sync) this.#drop(member);
      if (this.isEmpty) this.#becomeEmpty();
      else this.#prepareRebalance();
    }, timeout);
  }

  /** The protocol that most members like best among those that all know. */
  #selectProtocol(): string {
    const all = [...this.members.values()];
    const votes = new Map<string, number>();
    for (const { protocols } of all) {
      const favourite = protocols.find(({ name }) =>
        all.every((member) => member.protocols.some((p) => p.name === name)),
      );
      if (favourite) votes.set(favourite.name, (votes.get(favourite.name) ?? 0) + 1);
    }
    let selected = '';
    let most = 0;
    for (const [name, count] of votes) if (count > most) [selected, most] = [name, count];
    return selected;
  }

  #memberList() {
    return [...this.members.values()].map((member) => ({
      memberId: member.id,
      groupInstanceId: member.instanceId,
      metadata: member.metadataOf(this.protocolName),
    }));
  }

  #joined(member: ClassicMember, leader: string): JoinGroupResponse {
    return {
      errorCode: 0,
      generationId: this.generation,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      leader,
      memberId: member.id,
      members: member.id === this.leaderId ? this.#memberList() : [],
    };
  }

  sync(request: SyncGroupRequest): SyncGroupResponse | Promise<SyncGroupResponse> {
    const problem = this.memberProblem(request.memberId, request.groupInstanceId);
    if (problem) return syncError(problem);
    if (request.generationId !== this.generation) return syncError('ILLEGAL_GENERATION');
    const { protocolType, protocolName } = request;
    if (
      (protocolType !== null && protocolType !== this.protocolType) ||
      (protocolName !== null && protocolName !== this.protocolName)
    ) {
      return syncError('INCONSISTENT_GROUP_PROTOCOL');
    }
    const member = this.members.get(request.memberId)!;
    if (this.state === 'PreparingRebalance') return syncError('REBALANCE_IN_PROGRESS');
    if (this.state === 'Stable') {
      this.touch(member);
      return this.#synced(member);
    }
    if (this.state !== 'CompletingRebalance') return syncError('UNKNOWN_MEMBER_ID');
    const answer = new Promise<SyncGroupResponse>((resolve) => {
      member.sync = resolve;
    });
    this.#options.clock.clearTimeout(member.sessionTimer);
    if (member.id === this.leaderId) this.#assign(request);
    return answer;
  }

  #assign(request: SyncGroupRequest): void {
    const assignments = new Map(request.assignments.map(({ memberId, assignment }) => [memberId, assignment]));
    this.state = 'Stable';
    this.#options.clock.clearTimeout(this.#syncTimer);
    for (const member of this.members.values()) {
      member.assignment = Buffer.from(assignments.get(member.id) ?? EMPTY);
    }
    // Kept before anybody is told, as Apache Kafka does: else a restart could know less than the members.
    this.#onChanged();
    for (const member of this.members.values()) {
      const { sync } = member;
      member.sync = undefined;
      this.touch(member);
      sync?.(this.#synced(member));
    }
  }

  #synced(member: ClassicMember): SyncGroupResponse {
    const { protocolType, protocolName } = this;
    return { errorCode: 0, protocolType, protocolName, assignment: member.assignment };
  }

  heartbeat(memberId: string, instanceId: string | null, generation: number): ErrorName | 'NONE' {
    const problem = this.memberProblem(memberId, instanceId);
    if (problem) return problem;
    if (generation !== this.generation) return 'ILLEGAL_GENERATION';
    this.touch(this.members.get(memberId)!);
    return this.state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE';
  }

  /** Starts the member's session anew. */
  touch(member: ClassicMember): void {
    const { clock } = this.#options;
    clock.clearTimeout(member.sessionTimer);
    member.sessionTimer = clock.setTimeout(() => this.#expire(member), member.sessionTimeoutMs);
  }

  #expire(member: ClassicMember): void {
    // Who waits for an answer of ours is alive.
    if (this.members.get(member.id) !== member || member.join || member.sync) return;
    this.remove(member.id);
  }

  /** Takes a member out, as when it leaves or its session ends. */
  remove(memberId: string): boolean {
    if (this.#pending.has(memberId)) {
      this.#removePending(memberId);
      this.#maybeCompleteJoin();
      return true;
    }
    const member = this.members.get(memberId);
    if (!member) return false;
    this.#drop(member);
    if (this.isEmpty && this.state !== 'PreparingRebalance') {
      this.generation++;
      this.#becomeEmpty();
    } else if (this.state === 'Stable' || this.state === 'CompletingRebalance') this.#prepareRebalance();
    else this.#maybeCompleteJoin();
    return true;
  }

  isPending(memberId: string): boolean {
    return this.#pending.has(memberId);
  }

  /** Whether a member reads the topic; true also where members do not say what they read. */
  isSubscribed(topic: string): boolean {
    for (const member of this.members.values()) {
      if (readSubscription(member.metadataOf(this.protocolName))?.topics.includes(topic) ?? true) return true;
    }
    return false;
  }

  #drop(member: ClassicMember): void {
    this.#options.clock.clearTimeout(member.sessionTimer);
    this.members.delete(member.id);
    if (member.instanceId !== null && this.staticMembers.get(member.instanceId) === member.id) {
      this.staticMembers.delete(member.instanceId);
    }
    member.join?.(joinError('UNKNOWN_MEMBER_ID', member.id));
    member.sync?.(syncError('UNKNOWN_MEMBER_ID'));
    if (this.leaderId === member.id) this.leaderId = this.members.keys().next().value ?? NO_LEADER;
  }

  #becomeEmpty(): void {
    if (this.state === 'PreparingRebalance') this.generation++;
    this.state = 'Empty';
    this.protocolName = null;
    this.leaderId = NO_LEADER;
    this.#isInitialDelay = false;
    this.emptySince = this.#options.clock.now();
    this.#options.clock.clearTimeout(this.#joinTimer);
    this.#options.clock.clearTimeout(this.#syncTimer);
    this.#onChanged();
  }

  /** The members of the last complete rebalance: what is under way now is done again by them after a restart. */
  toStored(): StoredClassicGroup {
    const { generation, protocolType, protocolName, leaderId, emptySince } = this;
    const members = [...this.members.values()].map((member) => member.toStored());
    return { kind: 'classic', generation, protocolType, protocolName, leaderId, emptySince, members };
  }

  /** Takes members back, with sessions that begin now. */
  restore({ generation, protocolType, protocolName, leaderId, emptySince, members }: StoredClassicGroup): void {
    this.generation = generation;
    this.protocolType = protocolType;
    this.emptySince = emptySince;
    if (members.length === 0) return;
    this.state = 'Stable';
    this.protocolName = protocolName;
    this.leaderId = leaderId;
    for (const stored of members) {
      const member = ClassicMember.fromStored(stored, protocolType);
      this.members.set(member.id, member);
      if (member.instanceId !== null) this.staticMembers.set(member.instanceId, member.id);
      this.touch(member);
    }
  }

  /** Has all members join again, as when they come from a group of the newer protocol. */
  rebalance(): void {
    if (!this.isEmpty) this.#prepareRebalance();
  }

  #addPending(memberId: string, sessionTimeoutMs: number): void {
    const forget = (): void => {
      this.#pending.delete(memberId);
      this.#maybeCompleteJoin();
    };
    this.#pending.set(memberId, this.#options.clock.setTimeout(forget, sessionTimeoutMs));
  }

  #removePending(memberId: string): void {
    this.#options.clock.clearTimeout(this.#pending.get(memberId));
    this.#pending.delete(memberId);
  }

  /** Ends all timers and waiting requests, when the broker stops or the coordinator moves away. */
  close(error: ErrorName): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#joinTimer);
    clock.clearTimeout(this.#syncTimer);
    for (const timer of this.#pending.values()) clock.clearTimeout(timer);
    this.#pending.clear();
    for (const member of this.members.values()) {
      clock.clearTimeout(member.sessionTimer);
      member.join?.(joinError(error, member.id));
      member.sync?.(syncError(error));
    }
    this.state = 'Dead';
  }
}
