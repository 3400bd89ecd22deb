import { type HeadraceError, toHeadraceError } from '../errors.ts';
import { Backoff, sleep } from './backoff.ts';
import type { Cluster } from './cluster.ts';
import type { Connection } from './connection.ts';
import type { CommitResult, OffsetCommit } from './contract.ts';
import { type CommittedOffset, type GroupIdentity, offsetCommit, offsetFetch } from './group-requests.ts';
import type { Membership } from './membership.ts';
import { brokerError, errorName, KafkaCode, needsCoordinator } from './protocol-errors.ts';

/** A commit that did not succeed after this long is given up; the next one carries higher offsets anyway. */
const COMMIT_TIMEOUT_MILLISECONDS = 30_000;

const committed: CommitResult = { kind: 'committed' };

/** Errors after which the generation or epoch is not the current one; the partition may still be ours. */
const staleCodes = new Set<number>([
  KafkaCode.ILLEGAL_GENERATION,
  KafkaCode.REBALANCE_IN_PROGRESS,
  KafkaCode.STALE_MEMBER_EPOCH,
]);

const fencedCodes = new Set<number>([
  KafkaCode.UNKNOWN_MEMBER_ID,
  KafkaCode.FENCED_INSTANCE_ID,
  KafkaCode.FENCED_MEMBER_EPOCH,
]);

const passingCodes = new Set<number>([
  KafkaCode.UNKNOWN_TOPIC_OR_PARTITION,
  KafkaCode.REQUEST_TIMED_OUT,
  KafkaCode.LEADER_NOT_AVAILABLE,
  KafkaCode.NOT_LEADER_OR_FOLLOWER,
]);

/** Commits and reads the offsets of one group. */
export class OffsetCommitter {
  readonly #cluster: Cluster;
  readonly #membership: () => Membership;
  readonly #purpose: string;
  readonly #closed: AbortSignal;

  constructor(cluster: Cluster, membership: () => Membership, purpose: string, closed: AbortSignal) {
    this.#cluster = cluster;
    this.#membership = membership;
    this.#purpose = purpose;
    this.#closed = closed;
  }

  /**
   * Commits in one request. What is refused for a reason that passes is tried again, as long as `isOwned` says that the
   * partition is still ours, by the same assignment; one that is not is never committed. `isOwned` gets the index.
   */
  async commit(
    offsets: readonly OffsetCommit[],
    isOwned: (index: number) => boolean,
  ): Promise<readonly CommitResult[]> {
    const results = new Array<CommitResult | undefined>(offsets.length);
    /** The last code that each was refused with as stale: the reason, should the partition turn out to be gone. */
    const refusals = new Array<number | undefined>(offsets.length);
    const { clock } = this.#cluster.options;
    const deadline = clock.now() + COMMIT_TIMEOUT_MILLISECONDS;
    const backoff = new Backoff(50, 1_000);
    let last: HeadraceError | undefined;
    for (;;) {
      const open: number[] = [];
      for (let index = 0; index < offsets.length; index++) {
        if (results[index] === undefined && !isOwned(index)) {
          const code = refusals[index];
          results[index] = { kind: 'fenced', reason: code === undefined ? 'NOT_ASSIGNED' : errorName(code) };
        }
        if (results[index] === undefined) open.push(index);
      }
      if (open.length === 0) return results as CommitResult[];
      const left = deadline - clock.now();
      if (left <= 0 || this.#closed.aborted) {
        const error = last ?? brokerError(KafkaCode.REBALANCE_IN_PROGRESS, 'commit');
        return results.map((result) => result ?? { kind: 'failed', error });
      }

      const membership = this.#membership();
      const { identity } = membership;
      if (identity === undefined) {
        await this.#nextIdentity(membership, left);
        continue;
      }
      let isStale = false;
      let isUnknown = false;
      try {
        const connection = await membership.coordinator.connection(`${this.#purpose}/offsets`);
        // A coordinator may be looked for and connected to for long: what went meanwhile is not committed any more.
        if (membership.identity !== identity || !open.every((index) => isOwned(index))) continue;
        const codes = await this.#send(
          connection,
          identity,
          open.map((index) => offsets[index]!),
        );
        open.forEach((index, position) => {
          const code = codes[position]!;
          if (code === 0) results[index] = committed;
          else if (fencedCodes.has(code)) {
            results[index] = { kind: 'fenced', reason: errorName(code) };
            membership.suspect();
          } else if (staleCodes.has(code)) {
            isStale = true;
            refusals[index] = code;
            last = brokerError(code, 'commit');
          } else if (needsCoordinator(code) || passingCodes.has(code)) {
            if (needsCoordinator(code)) membership.coordinator.failed();
            if (code === KafkaCode.UNKNOWN_TOPIC_OR_PARTITION) isUnknown = true;
            last = brokerError(code, 'commit');
          } else {
            const { topic, partition } = offsets[index]!;
            results[index] = { kind: 'failed', error: brokerError(code, `commit of ${topic}-${partition}`) };
          }
        });
      } catch (error) {
        last = toHeadraceError(error, 'KAFKA_PROTOCOL');
        membership.coordinator.failed();
        if (!last.retryable) {
          const failure = last;
          return results.map((result) => result ?? { kind: 'failed', error: failure });
        }
      }
      if (!results.includes(undefined)) return results as CommitResult[];
      // The topic may be made anew before the next attempt: `isOwned` has to know.
      if (isUnknown)
        await this.#cluster.refresh([...new Set(offsets.map(({ topic }) => topic))].sort()).catch(() => {});
      // A new generation of the group has begun: with it the same commit is right, if the partition is still ours.
      if (isStale && membership.identity === identity) {
        membership.suspect();
        await this.#nextIdentity(membership, Math.min(left, 1_000));
      } else if (!isStale) await backoff.wait(this.#closed, clock);
    }
  }

  async #nextIdentity(membership: Membership, milliseconds: number): Promise<void> {
    const ended = new AbortController();
    const signal = AbortSignal.any([ended.signal, this.#closed]);
    await Promise.race([membership.changed(), sleep(milliseconds, signal, this.#cluster.options.clock)]);
    ended.abort();
  }

  async #send(
    connection: Connection,
    identity: GroupIdentity,
    offsets: readonly OffsetCommit[],
  ): Promise<readonly number[]> {
    const version = connection.bestVersion(8, 'OffsetCommit', 8, 9);
    const answer = await connection.send(offsetCommit(version, identity, offsets));
    const codes = new Map(answer.map(({ topic, partition, error }) => [`${topic}/${partition}`, error]));
    return offsets.map(({ topic, partition }) => codes.get(`${topic}/${partition}`) ?? -1);
  }

  /** The committed offsets of partitions; offset -1 where there is none. @throws HeadraceError to be tried again */
  async fetch(
    partitions: readonly { readonly topic: string; readonly partition: number }[],
    groupId: string,
  ): Promise<readonly CommittedOffset[]> {
    const membership = this.#membership();
    const connection = await membership.coordinator.connection(`${this.#purpose}/offsets`);
    const best = connection.bestVersion(9, 'OffsetFetch', 6, 9);
    // The classic protocol's generation is not checked here: the group need not exist yet.
    const identity = { groupId, memberId: '', generation: -1, instanceId: null };
    const answer = await connection.send(offsetFetch(best, identity, partitions));
    if (needsCoordinator(answer.error)) membership.coordinator.failed();
    if (answer.error !== 0) throw brokerError(answer.error, `committed offsets of group ${groupId}`);
    const failed = answer.offsets.find((offset) => offset.error !== 0);
    if (failed !== undefined) throw brokerError(failed.error, `offset of ${failed.topic}-${failed.partition}`);
    const found = new Map(answer.offsets.map((offset) => [`${offset.topic}/${offset.partition}`, offset]));
    return partitions.map(
      ({ topic, partition }) =>
        found.get(`${topic}/${partition}`) ?? { topic, partition, offset: -1, leaderEpoch: -1, metadata: '', error: 0 },
    );
  }
}
