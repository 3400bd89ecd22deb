/**
 * Commits the low-water marks of a poller's lanes: coalesced for a moment under load, at once after a quiet time, never
 * two requests at a time. A commit that is fenced is not repeated: the partition belongs to another member by then.
 */
import { HeadraceError } from '../errors.ts';
import type { CommitResult, GroupConsumer } from '../kafka/contract.ts';
import { commitChannel, commitRefusedChannel } from '../telemetry/channels.ts';
import type { Lane } from './lane.ts';
import type { PollerContext } from './poller-context.ts';
import type { PollerCounts } from './poller-counts.ts';

const RETRY_MILLISECONDS = 500;

export interface CommittedOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export class Committer {
  consumer: GroupConsumer | undefined;

  readonly #uuid: string;
  readonly #counts: PollerCounts;
  readonly #context: PollerContext;
  readonly #wake: () => void;
  readonly #onFenced: (lane: Lane) => void;
  readonly #dirty = new Set<Lane>();
  readonly #last = new Map<string, CommittedOffset>();
  #dirtySince = 0;
  #lastCommitAt = Number.NEGATIVE_INFINITY;
  #notBefore = 0;
  #inFlight: Promise<void> | undefined;

  constructor(
    uuid: string,
    counts: PollerCounts,
    context: PollerContext,
    wake: () => void,
    onFenced: (lane: Lane) => void,
  ) {
    this.#uuid = uuid;
    this.#counts = counts;
    this.#context = context;
    this.#wake = wake;
    this.#onFenced = onFenced;
  }

  /** The last acknowledged offset of every partition that this process had. */
  get committed(): CommittedOffset[] {
    return [...this.#last.values()];
  }

  /** The lane's low-water mark may have risen. */
  settled(lane: Lane): void {
    if (lane.tracker.lowWaterMark > lane.requestedCommit) this.#mark(lane);
  }

  /** Commits where the lane stands although nothing was settled: so that a starting position is decided only once. */
  pin(lane: Lane): void {
    lane.requestedCommit = -1;
    this.#mark(lane);
  }

  forget(lane: Lane): void {
    this.#dirty.delete(lane);
  }

  /** Commits when it is time. Returns when to ask again. */
  due(now: number, isIdle: boolean): number {
    if (this.#dirty.size === 0 || this.#inFlight !== undefined || this.consumer === undefined)
      return Number.POSITIVE_INFINITY;
    const interval = this.#context.commitIntervalMilliseconds;
    const since = isIdle ? Math.min(this.#lastCommitAt, this.#dirtySince) : this.#dirtySince;
    const at = Math.max(this.#notBefore, since + interval);
    if (at > now) return at;
    void this.#commit([...this.#dirty]);
    return Number.POSITIVE_INFINITY;
  }

  /** Commits these lanes now, after whatever commit is under way. */
  async flush(lanes: readonly Lane[]): Promise<void> {
    for (let attempt = 0; attempt < 2; attempt++) {
      while (this.#inFlight !== undefined) await this.#inFlight;
      const open = lanes.filter((lane) => !lane.tracker.closed && lane.tracker.lowWaterMark > lane.requestedCommit);
      if (open.length === 0) return;
      await this.#commit(open);
    }
  }

  #mark(lane: Lane): void {
    if (this.#dirty.size === 0) this.#dirtySince = this.#context.clock.now();
    this.#dirty.add(lane);
  }

  #commit(lanes: readonly Lane[]): Promise<void> {
    const commits = lanes.map((lane) => {
      this.#dirty.delete(lane);
      lane.requestedCommit = lane.tracker.lowWaterMark;
      return {
        topic: lane.assigned.topic,
        partition: lane.assigned.partition,
        offset: lane.requestedCommit,
        leaderEpoch: lane.leaderEpoch,
        metadata: '',
      };
    });
    // Who is not among these has waited since before, and goes on waiting from then.
    this.#lastCommitAt = this.#context.clock.now();
    const done = this.consumer!.commit(commits).then((results) => {
      this.#inFlight = undefined;
      let isFailed = false;
      for (let i = 0; i < lanes.length; i++) {
        const result = results[i] ?? missing;
        if (this.#note(lanes[i]!, commits[i]!.offset, result)) isFailed = true;
      }
      if (isFailed) this.#notBefore = this.#context.clock.now() + RETRY_MILLISECONDS;
      if (commitChannel.hasSubscribers) commitChannel.publish({ uuid: this.#uuid, offsets: commits, results });
      this.#wake();
    });
    this.#inFlight = done;
    return done;
  }

  /** True when it has to be tried again. */
  #note(lane: Lane, offset: number, result: CommitResult): boolean {
    if (result.kind === 'committed') {
      this.#counts.committed += lane.tracker.acknowledge(offset);
      const { topic, partition } = lane.assigned;
      this.#last.set(lane.name, { topic, partition, offset });
      return false;
    }
    if (result.kind === 'fenced') {
      const { topic, partition } = lane.assigned;
      if (commitRefusedChannel.hasSubscribers)
        commitRefusedChannel.publish({ uuid: this.#uuid, topic, partition, offset, reason: result.reason });
      if (!lane.tracker.closed) this.#onFenced(lane);
      return false;
    }
    if (lane.tracker.closed) return false;
    lane.requestedCommit = -1;
    this.#mark(lane);
    return true;
  }
}

const missing: CommitResult = {
  kind: 'failed',
  error: new HeadraceError('KAFKA_PROTOCOL', 'The answer to a commit did not name the partition.'),
};
