/** What must hold of a group's members, seen from outside: who may own, who may commit, who must let go. */
import { type MembershipScenario, REBALANCE_TIMEOUT, SESSION_TIMEOUT } from './membership-scenario.ts';
import type { SentRequest } from './simulated-network.ts';
import { Violation } from './trace.ts';

/** Refusals that say: you are no member any more. */
const FENCED = new Set([22, 25, 82, 110]);
const REBALANCE_SHARE = 0.8;
/** Longest time that a member which hears nothing keeps its partitions. */
const LONGEST_SILENCE = {
  // A JoinGroup that is never answered (request and rebalance time-outs), then a heartbeat that waits for a session.
  classic: 5_000 + REBALANCE_TIMEOUT + 2 * SESSION_TIMEOUT + 10_000,
  // A heartbeat that is never answered, and a pause before the next.
  consumer: SESSION_TIMEOUT + 5_000 + 10_000,
};

/** A process's ownership of one partition, from its assignment to its end. */
export interface Life {
  readonly member: WatchedMember;
  readonly partition: number;
  readonly startOffset: number;
  position: number;
  /** When it was asked to give the partition up. */
  revokedAt: number | undefined;
  isClosing: boolean;
  /**
   * The member missed a generation of a classic group while its name and its commits kept its place (its JoinGroup was
   * lost): others may own the partition since, and it does not know before it has joined again. What it commits then
   * the coordinator takes, whoever owns the partition: a known limit, of the classic protocol alone.
   */
  isOvertaken: boolean;
  isOver: boolean;
}

/** A process as it is seen on the network. */
export interface WatchedMember {
  readonly id: number;
  readonly lives: Set<Life>;
  memberId: string;
  /** Of the last assignment that it heard. */
  generation: number;
  /** Generation of the last JoinGroup that the broker answered. */
  joined: number;
  lastJoinSentAt: number;
  lastHeardAt: number;
  isPaused: boolean;
  isDead: boolean;
}

export class MembershipChecker {
  readonly #scenario: MembershipScenario;
  readonly #now: () => number;
  /** Member ids of the group in the coordinator's view. */
  readonly #members: () => readonly string[];
  readonly #everybody: readonly WatchedMember[];
  /** Runs once everything of this instant has happened. */
  readonly #afterwards: (check: () => void) => void;
  readonly #accepted = new Map<
    number,
    { member: number; generation: number; offset: number; at: number; isOvertaken: boolean }
  >();
  readonly #acceptedBy = new Set<string>();
  #generation = 0;
  commits = 0;
  losses = 0;

  constructor(
    scenario: MembershipScenario,
    now: () => number,
    members: () => readonly string[],
    everybody: readonly WatchedMember[],
    afterwards: (check: () => void) => void,
  ) {
    this.#scenario = scenario;
    this.#now = now;
    this.#members = members;
    this.#everybody = everybody;
    this.#afterwards = afterwards;
  }

  committedOffset(partition: number): number {
    return this.#accepted.get(partition)?.offset ?? 0;
  }

  /** When the broker last took a commit of the partition. */
  committedAt(partition: number): number {
    return this.#accepted.get(partition)?.at ?? 0;
  }

  /** The member is in the group, and has heard of its present generation. */
  #isCurrent(member: WatchedMember): boolean {
    if (member.isDead || !this.#members().includes(member.memberId)) return false;
    return this.#scenario.protocol === 'consumer' || member.generation === this.#generation;
  }

  #lifeOf(member: WatchedMember, partition: number): Life | undefined {
    for (const life of member.lives) if (life.partition === partition) return life;
    return undefined;
  }

  assigned(member: WatchedMember, partition: number, startOffset: number): Life {
    if (this.#lifeOf(member, partition) !== undefined) {
      throw new Violation(`process ${member.id} gets partition ${partition} that it has`);
    }
    if (this.#isCurrent(member)) {
      for (const other of this.#everybody) {
        if (other === member || (this.#lifeOf(other, partition)?.isOvertaken ?? true)) continue;
        if (this.#isCurrent(other)) {
          throw new Violation(`partition ${partition} goes to process ${member.id} while ${other.id} has it`);
        }
      }
      const committed = this.committedOffset(partition);
      if (startOffset !== committed) {
        throw new Violation(`partition ${partition} begins at ${startOffset}; ${committed} is committed`);
      }
    }
    const life = {
      member,
      partition,
      startOffset,
      position: startOffset,
      revokedAt: undefined,
      isClosing: false,
      isOvertaken: false,
      isOver: false,
    };
    member.lives.add(life);
    return life;
  }

  /** `isRevoked`: the hook ended, and in time; else the partition was lost. */
  ended(life: Life, isRevoked: boolean): void {
    if (life.isOver) throw new Violation(`partition ${life.partition} goes from process ${life.member.id} twice`);
    life.isOver = true;
    life.member.lives.delete(life);
    if (isRevoked) return;
    this.losses++;
    const hasWaited = life.revokedAt !== undefined && this.#now() - life.revokedAt >= this.#limit(false);
    if (this.#scenario.isCalm && !hasWaited) {
      throw new Violation(`process ${life.member.id} loses partition ${life.partition} although all is well`);
    }
  }

  #limit(isClosing: boolean): number {
    return isClosing ? REBALANCE_TIMEOUT : REBALANCE_TIMEOUT * REBALANCE_SHARE;
  }

  sent(member: WatchedMember, request: SentRequest): void {
    if (request.name === 'JoinGroup' || (request.name === 'ConsumerGroupHeartbeat' && request.generation === 0)) {
      member.lastJoinSentAt = request.sentAt;
    }
    if (request.memberId !== '' && request.name !== 'OffsetCommit') member.memberId = request.memberId;
    for (const { partition } of request.commits) {
      if (this.#lifeOf(member, partition) === undefined) {
        throw new Violation(`process ${member.id} commits partition ${partition} that it does not own`);
      }
    }
    if (!request.tells) return;
    for (const life of member.lives) {
      if (life.revokedAt === undefined || life.isClosing) continue;
      throw new Violation(
        `process ${member.id} sends ${request.name} while partition ${life.partition} is still being given up`,
      );
    }
  }

  executed(member: WatchedMember, request: SentRequest, answer: unknown): void {
    if (request.name === 'JoinGroup') {
      const { error, generation } = answer as { error: number; generation: number };
      if (error === 0) {
        this.#generation = Math.max(this.#generation, generation);
        if (generation > member.joined + 1) for (const life of member.lives) life.isOvertaken = true;
        member.joined = generation;
      }
    }
    if (request.name !== 'OffsetCommit') return;
    const codes = answer as readonly { partition: number; error: number }[];
    for (const { partition, offset } of request.commits) {
      if (codes.find((each) => each.partition === partition)?.error !== 0) continue;
      this.#accept(member, partition, offset, request.generation);
    }
  }

  #accept(member: WatchedMember, partition: number, offset: number, generation: number): void {
    const known = this.#accepted.get(partition);
    const isOvertaken = this.#lifeOf(member, partition)?.isOvertaken ?? false;
    const before = isOvertaken || known?.isOvertaken === true ? undefined : known;
    if (before !== undefined && generation < before.generation && member.id !== before.member) {
      throw new Violation(
        `partition ${partition}: process ${member.id} commits in generation ${generation}, after ${before.generation}`,
      );
    }
    if (before !== undefined && offset < before.offset) {
      throw new Violation(`partition ${partition}: process ${member.id} commits ${offset} after ${before.offset}`);
    }
    for (const other of this.#everybody) {
      if (other === member || this.#lifeOf(member, partition) !== undefined) continue;
      if (this.#lifeOf(other, partition) !== undefined && this.#isCurrent(other)) {
        throw new Violation(`process ${member.id} commits partition ${partition} that process ${other.id} has by now`);
      }
    }
    this.commits++;
    this.#accepted.set(partition, { member: member.id, generation, offset, at: this.#now(), isOvertaken });
    this.#acceptedBy.add(`${member.id} ${partition} ${offset}`);
  }

  /** What the engine was told of its commit. */
  committed(life: Life, offset: number): void {
    if (!this.#acceptedBy.has(`${life.member.id} ${life.partition} ${offset}`)) {
      throw new Violation(`process ${life.member.id} takes ${offset} of ${life.partition} for committed; it is not`);
    }
  }

  delivered(member: WatchedMember, request: SentRequest, answer: unknown): void {
    const code = codeOf(request, answer);
    if (code === undefined) return;
    if (code === 0 || code === 27) member.lastHeardAt = this.#now();
    if (code === 0 && request.name === 'SyncGroup') member.generation = request.generation;
    if (!FENCED.has(code)) return;
    // A heartbeat's answer that a later join has overtaken speaks of a former membership.
    if (request.name === 'Heartbeat' && member.lastJoinSentAt > request.sentAt) return;
    const fenced = [...member.lives];
    this.#afterwards(() => {
      const kept = fenced.find((life) => !life.isOver);
      if (kept === undefined || member.isPaused || member.isDead) return;
      throw new Violation(`process ${member.id} was told ${code} and keeps partition ${kept.partition}`);
    });
  }

  /** From time to time. */
  look(): void {
    const now = this.#now();
    for (const member of this.#everybody) {
      if (member.isPaused || member.isDead || member.lives.size === 0) continue;
      if (now - member.lastHeardAt > LONGEST_SILENCE[this.#scenario.protocol]) {
        throw new Violation(
          `process ${member.id} keeps partitions ${now - member.lastHeardAt} ms after the last answer`,
        );
      }
      for (const life of member.lives) {
        if (life.revokedAt !== undefined && now - life.revokedAt > this.#limit(life.isClosing) + 1_000) {
          throw new Violation(`process ${member.id} waits for ever to give partition ${life.partition} up`);
        }
      }
    }
  }
}

function codeOf(request: SentRequest, answer: unknown): number | undefined {
  switch (request.name) {
    case 'Heartbeat':
      return answer as number;
    case 'JoinGroup':
    case 'SyncGroup':
    case 'ConsumerGroupHeartbeat':
      return request.generation < 0 && request.name === 'ConsumerGroupHeartbeat'
        ? undefined
        : (answer as { error: number }).error;
    default:
      return undefined;
  }
}
