import { type HeadraceError, toHeadraceError } from '../errors.ts';
import { Backoff, sleep } from './backoff.ts';
import { ClassicMembership } from './classic-membership.ts';
import type { Cluster } from './cluster.ts';
import { ConsumerGroupMembership } from './consumer-group-membership.ts';
import type {
  AssignedPartition,
  CommitResult,
  ConsumerListener,
  GroupConsumer,
  GroupConsumerOptions,
  OffsetCommit,
  TopicPartition,
} from './contract.ts';
import { Fetcher } from './fetcher.ts';
import type { Membership, MembershipHost, MembershipOptions } from './membership.ts';
import { EARLIEST_OFFSET, LATEST_OFFSET } from './metadata-requests.ts';
import { OffsetCommitter } from './offset-committer.ts';
import { lookUpOffsets } from './offset-lookup.ts';
import { PartitionReader } from './partition-reader.ts';
import { nextPartitionEpoch, resolvePositions } from './positions.ts';
import { brokerError } from './protocol-errors.ts';
import { TroubleBoard } from './trouble.ts';

/** Which protocol of group membership is spoken. `auto`: KIP-848 where the broker has it, else the classic one. */
export type GroupProtocol = 'auto' | 'classic' | 'consumer';

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

/** How long the coordinator has to take note that a member leaves. */
const GOODBYE_MILLISECONDS = 5_000;

let consumers = 0;

/** What is known of a partition before it is read: where to begin. */
interface Start {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  /** Not from a commit: it is committed at once, so that a restart before the first record begins at the same place. */
  readonly isNew: boolean;
}

/**
 * A member of a consumer group. Owns the assignment: the membership says what to give up and take, the fetcher fills the
 * partitions, the committer commits for those that are owned.
 */
export class KafkaGroupConsumer implements GroupConsumer, MembershipHost {
  rebalances = 0;
  readonly #cluster: Cluster;
  readonly #options: GroupConsumerOptions;
  readonly #listener: ConsumerListener;
  readonly #protocol: GroupProtocol;
  readonly #onClosed: (() => void) | undefined;
  readonly #purpose: string;
  readonly #fetcher: Fetcher;
  readonly #committer: OffsetCommitter;
  readonly #troubles: TroubleBoard;
  readonly #closed = new AbortController();
  #membership: Membership;
  /** Owned by the group's word; the reader is there once the offset to begin at is known. */
  readonly #owned = new Map<string, { readonly place: TopicPartition; reader: PartitionReader | undefined }>();
  /** Partitions that are being given up, and what waits for it. */
  readonly #revoking = new Map<string, Promise<void>>();
  /** Partitions of each topic when it was first seen: later ones begin at the earliest offset. */
  readonly #firstCounts = new Map<string, number>();
  /** The id that each topic had when it was first read: all partitions of another one of that name came later. */
  readonly #firstIds = new Map<string, string>();
  #isStarted = false;
  #closing: Promise<void> | undefined;

  constructor(
    cluster: Cluster,
    options: GroupConsumerOptions,
    listener: ConsumerListener,
    how: { readonly protocol?: GroupProtocol; readonly onClosed?: () => void } = {},
  ) {
    this.#cluster = cluster;
    this.#options = options;
    this.#listener = listener;
    this.#protocol = how.protocol ?? 'auto';
    this.#onClosed = how.onClosed;
    this.#purpose = `consumer-${++consumers}`;
    this.#troubles = new TroubleBoard((error) => {
      if (this.#closing === undefined) listener.onStatus(error);
    });
    this.#fetcher = new Fetcher(
      cluster,
      {
        purpose: this.#purpose,
        topics: options.topics,
        isolation: this.#isolation,
        rackId: options.rackId ?? '',
        maximumPartitionBytes: options.maximumPartitionBytes ?? 1 << 20,
        maximumBufferedBytes: options.maximumBufferedBytes ?? 32 << 20,
      },
      {
        onRecords: () => listener.onRecords(),
        onTrouble: (source, error) => this.#troubles.set(source, error),
        onOutOfRange: (partition) => void this.#outOfRange(partition),
        onMadeAnew: (partition) => void this.#outOfRange(partition, true),
        onTruncated: (partition, endOffset) => this.#truncated(partition, endOffset),
      },
    );
    this.#membership = this.#newMembership(this.#protocol === 'classic');
    this.#committer = new OffsetCommitter(cluster, () => this.#membership, this.#purpose, this.#closed.signal);
  }

  get #isolation(): 0 | 1 {
    return this.#options.isolationLevel === 'READ_COMMITTED' ? 1 : 0;
  }

  get pollingErrors(): number {
    return this.#troubles.errors;
  }

  get partitions(): readonly AssignedPartition[] {
    return [...this.#owned.values()].flatMap(({ reader }) => (reader === undefined ? [] : [reader]));
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    void this.#run();
  }

  async commit(offsets: readonly OffsetCommit[]): Promise<readonly CommitResult[]> {
    if (offsets.length === 0) return [];
    // By assignment, not by name: a commit of a former life that is tried again after the partition went and came back
    // would rewind what another member committed in between, or speak of offsets that mean something else by now.
    const assignments = offsets.map((place) => this.#owned.get(keyOf(place)));
    const readers = assignments.map((assignment) => assignment?.reader);
    // A topic that was missing last may be there again, as another one.
    if (readers.some((reader) => reader !== undefined && reader.topicId !== this.#cluster.topicIdOf(reader.topic)))
      await this.#cluster.refresh([...this.#options.topics].sort()).catch(() => {});
    return await this.#committer.commit(offsets, (index) => {
      const assignment = assignments[index];
      if (assignment === undefined || this.#owned.get(keyOf(offsets[index]!)) !== assignment) return false;
      return assignment.reader === readers[index] && !this.#isOfFormerTopic(assignment.reader);
    });
  }

  /** Its offset would be taken for one of the topic that has the name now, and what is before it there skipped. */
  #isOfFormerTopic(reader: PartitionReader | undefined): boolean {
    if (reader === undefined || reader.topicId === '') return false;
    const id = this.#cluster.topicIdOf(reader.topic);
    return id !== '' && id !== reader.topicId;
  }

  close(options: { readonly timeoutMilliseconds?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMilliseconds ?? this.#rebalanceTimeout);
    return this.#closing;
  }

  get #rebalanceTimeout(): number {
    return this.#options.rebalanceTimeoutMilliseconds ?? 60_000;
  }

  async #close(timeoutMilliseconds: number): Promise<void> {
    // While in-flight work is finished and committed this is still a member: heartbeats go on.
    await this.#revokeWithin(this.owned(), timeoutMilliseconds);
    this.#closed.abort();
    if (this.#isStarted) {
      // A coordinator that does not answer is not waited for: what it is not told it finds out by the session.
      const told = new AbortController();
      const goodbye = this.#membership.stop().finally(() => told.abort());
      await Promise.race([goodbye, sleep(GOODBYE_MILLISECONDS, told.signal, this.#cluster.options.clock)]);
    }
    this.#fetcher.close();
    this.#cluster.closeConnections(this.#purpose);
    this.#onClosed?.();
  }

  #newMembership(isClassic: boolean): Membership {
    const options: MembershipOptions = {
      groupId: this.#options.groupId,
      topics: this.#options.topics,
      instanceId: this.#options.groupInstanceId ?? null,
      restartIdentity: this.#options.restartIdentity ?? null,
      rackId: this.#options.rackId ?? null,
      sessionTimeoutMilliseconds: this.#options.sessionTimeoutMilliseconds ?? 45_000,
      rebalanceTimeoutMilliseconds: this.#rebalanceTimeout,
      purpose: this.#purpose,
    };
    return isClassic
      ? new ClassicMembership(this.#cluster, options, this)
      : new ConsumerGroupMembership(this.#cluster, options, this);
  }

  async #run(): Promise<void> {
    await this.#seeTopics();
    if (this.#closed.signal.aborted) return;
    const end = await this.#membership.run();
    if (end !== 'unsupported' || this.#closed.signal.aborted) return;
    if (this.#protocol === 'consumer') {
      const what = `group ${this.#options.groupId} by the protocol of KIP-848`;
      this.#troubles.set('group', brokerError(35, what));
      return;
    }
    this.#membership = this.#newMembership(true);
    await this.#membership.run();
  }

  /** Connects and looks at the topics once, until the cluster answers: what fails here names the trouble best. */
  async #seeTopics(): Promise<void> {
    const backoff = new Backoff();
    const { signal } = this.#closed;
    while (!signal.aborted) {
      try {
        const answer = await this.#cluster.refresh([...this.#options.topics].sort());
        for (const topic of answer.topics) {
          if (topic.error === 0) this.#firstCounts.set(topic.name, topic.partitions.length);
          const isRefused = topic.error === 3 || topic.error === 17 || topic.error === 29;
          if (isRefused) this.#troubles.set(`topic ${topic.name}`, brokerError(topic.error, `topic ${topic.name}`));
          else this.#troubles.set(`topic ${topic.name}`, undefined);
        }
        this.#troubles.set('connect', undefined);
        // A group is joined only for topics that can be read: otherwise its other members would be disturbed for nothing.
        if (answer.topics.some((topic) => topic.error === 0)) return;
      } catch (error) {
        if (!signal.aborted) this.#troubles.set('connect', toHeadraceError(error, 'KAFKA_UNREACHABLE'));
      }
      await backoff.wait(signal, this.#cluster.options.clock);
    }
  }

  // What the membership asks of its host.

  owned(): readonly TopicPartition[] {
    return [...this.#owned.values()].map(({ place }) => place);
  }

  revoke(partitions: readonly TopicPartition[]): Promise<void> {
    // The coordinator waits for the rebalance timeout and no longer; the join that follows needs some of it.
    return this.#revokeWithin(partitions, this.#rebalanceTimeout * 0.8);
  }

  assign(partitions: readonly TopicPartition[]): void {
    if (this.#closing !== undefined) return;
    for (const place of partitions) this.#owned.set(keyOf(place), { place, reader: undefined });
    this.#troubles.set('listener', undefined);
    void this.#begin(partitions);
  }

  lose(): void {
    const lost = this.partitions;
    this.#owned.clear();
    this.#end(lost);
    if (lost.length > 0) this.#listener.onLost(lost);
  }

  onTrouble(error: HeadraceError | undefined): void {
    this.#troubles.set('group', error);
  }

  onRebalanced(): void {
    this.rebalances++;
  }

  async #revokeWithin(places: readonly TopicPartition[], milliseconds: number): Promise<void> {
    const waiting = new Set<Promise<void>>();
    const readers: PartitionReader[] = [];
    const fresh: TopicPartition[] = [];
    for (const place of places) {
      const key = keyOf(place);
      const known = this.#revoking.get(key);
      if (known !== undefined) {
        waiting.add(known);
        continue;
      }
      const owned = this.#owned.get(key);
      if (owned === undefined) continue;
      fresh.push(place);
      if (owned.reader !== undefined) readers.push(owned.reader);
    }
    if (fresh.length > 0) {
      const revocation = this.#revokeReaders(readers, milliseconds).finally(() => {
        for (const place of fresh) {
          this.#revoking.delete(keyOf(place));
          this.#owned.delete(keyOf(place));
        }
      });
      for (const place of fresh) this.#revoking.set(keyOf(place), revocation);
      waiting.add(revocation);
    }
    await Promise.all(waiting);
  }

  async #revokeReaders(readers: readonly PartitionReader[], milliseconds: number): Promise<void> {
    if (readers.length === 0) return;
    for (const reader of readers) {
      reader.pause();
      reader.isRevoking = true;
    }
    const finished = new AbortController();
    let isInTime = false;
    await Promise.race([
      this.#listener.onRevoking(readers).then(
        () => {
          isInTime = true;
        },
        // A listener must not throw; if it does nothing more can be expected of it.
        (error: unknown) => this.#troubles.set('listener', toHeadraceError(error)),
      ),
      sleep(milliseconds, finished.signal, this.#cluster.options.clock),
    ]);
    finished.abort();
    const alive = readers.filter((reader) => !reader.isDead);
    this.#end(readers);
    if (!isInTime && alive.length > 0) {
      for (const reader of alive) this.#owned.delete(keyOf(reader));
      this.#listener.onLost(alive);
    }
  }

  #end(readers: readonly AssignedPartition[]): void {
    for (const reader of readers as readonly PartitionReader[]) reader.kill();
    this.#fetcher.remove(readers as readonly PartitionReader[]);
  }

  /** Finds where to begin, then hands the partitions to the listener and the fetcher. */
  async #begin(partitions: readonly TopicPartition[]): Promise<void> {
    const backoff = new Backoff();
    let open = this.#stillOpen(partitions);
    while (open.length > 0) {
      try {
        const starts = await this.#starts(open);
        this.#troubles.set('offsets', undefined);
        await this.#pin(open, starts);
        this.#hand(open, starts);
        return;
      } catch (error) {
        if (this.#closed.signal.aborted) return;
        const failure = toHeadraceError(error, 'KAFKA_PROTOCOL');
        if (backoff.attempts > 0 || !failure.retryable) this.#troubles.set('offsets', failure);
        if (failure.code === 'KAFKA_DISCONNECTED' || failure.code === 'KAFKA_TIMEOUT') {
          this.#membership.coordinator.failed();
        }
        await backoff.wait(this.#closed.signal, this.#cluster.options.clock);
        open = this.#stillOpen(partitions);
      }
    }
    this.#troubles.set('offsets', undefined);
  }

  /** Those that are still owned and have no reader. */
  #stillOpen(partitions: readonly TopicPartition[]): TopicPartition[] {
    // By identity: a partition that went and came back in between is begun by its own call.
    return partitions.filter((place) => {
      const owned = this.#owned.get(keyOf(place));
      return owned !== undefined && owned.place === place && owned.reader === undefined;
    });
  }

  async #starts(partitions: readonly TopicPartition[]): Promise<Start[]> {
    const offsets = await this.#committer.fetch(partitions, this.#options.groupId);
    const missing = partitions.filter((_, index) => offsets[index]!.offset < 0);
    const wanted = missing.map((place) => ({
      ...place,
      start: this.#isAddedLater(place) ? ({ kind: 'TRIM_HORIZON' } as const) : this.#options.startingPosition,
    }));
    const begin = await resolvePositions(this.#cluster, this.#purpose, wanted, this.#isolation);
    const found = new Map(missing.map((place, index) => [keyOf(place), begin[index]!]));
    return partitions.map((place, index) => {
      const { offset, leaderEpoch, metadata } = offsets[index]!;
      if (offset >= 0) return { offset, leaderEpoch, metadata, isNew: false };
      return { offset: found.get(keyOf(place))!, leaderEpoch: -1, metadata: '', isNew: true };
    });
  }

  /** Added to a topic that was there before: whatever the starting position, nothing of it may be missed. */
  #isAddedLater({ topic, partition }: TopicPartition): boolean {
    const firstId = this.#firstIds.get(topic);
    const id = this.#cluster.topicIdOf(topic);
    if (firstId !== undefined && id !== '' && id !== firstId) return true;
    const first = this.#firstCounts.get(topic);
    if (first === undefined) {
      this.#firstCounts.set(topic, this.#cluster.topic(topic)?.partitions.length ?? partition + 1);
      return false;
    }
    return partition >= first;
  }

  /**
   * Commits starting positions that move with time, before anything is read: a restart before the first record was
   * settled must begin at the same place, or what came in between would be missed.
   */
  async #pin(places: readonly TopicPartition[], starts: readonly Start[]): Promise<void> {
    if (this.#options.startingPosition.kind === 'TRIM_HORIZON') return;
    const offsets = places.flatMap((place, index) => {
      const { offset, isNew } = starts[index]!;
      return isNew ? [{ ...place, offset, leaderEpoch: -1, metadata: '' }] : [];
    });
    for (const result of await this.commit(offsets)) if (result.kind === 'failed') throw result.error;
  }

  #hand(places: readonly TopicPartition[], starts: readonly Start[]): void {
    const readers: PartitionReader[] = [];
    places.forEach((place, index) => {
      const owned = this.#owned.get(keyOf(place));
      if (owned === undefined || owned.place !== place || this.#revoking.has(keyOf(place))) return;
      const start = starts[index]!;
      const id = this.#cluster.topicIdOf(place.topic);
      if (id !== '' && !this.#firstIds.has(place.topic)) this.#firstIds.set(place.topic, id);
      owned.reader = new PartitionReader({ ...place, epoch: nextPartitionEpoch() }, start, this.#fetcher);
      readers.push(owned.reader);
    });
    if (readers.length === 0) return;
    this.#listener.onAssigned(readers);
    this.#fetcher.add(readers);
  }

  /**
   * Spec ESM 8.4: expired records are passed over and reported; beyond the end the starting position decides. A topic that
   * was made anew while it was read has new partitions: they are read from their beginning.
   */
  async #outOfRange(reader: PartitionReader, isMadeAnew = false): Promise<void> {
    const { topic, partition } = reader;
    const backoff = new Backoff();
    while (!reader.isDead && !this.#closed.signal.aborted) {
      try {
        const query = (timestamp: number) => ({ topic, partition, timestamp });
        const [[earliest], [latest]] = await Promise.all([
          lookUpOffsets(this.#cluster, this.#purpose, [query(EARLIEST_OFFSET)], this.#isolation),
          lookUpOffsets(this.#cluster, this.#purpose, [query(LATEST_OFFSET)], 0),
        ]);
        this.#troubles.set(`${topic}-${partition}`, undefined);
        if (reader.isDead) return;
        const from = reader.fetchOffset;
        if (isMadeAnew) this.#restart(reader, earliest!.offset, 'the topic was made anew');
        else if (from < earliest!.offset) {
          const to = earliest!.offset;
          this.#skipped({
            topic,
            partition,
            from,
            to,
            reason: 'expired: retention removed the records before they were read',
          });
          reader.fetchOffset = to;
          reader.isSeeking = false;
          reader.isHungry = true;
          this.#fetcher.wake();
        } else if (from > latest!.offset) {
          const isLatest = this.#options.startingPosition.kind === 'LATEST';
          this.#restart(
            reader,
            isLatest ? latest!.offset : earliest!.offset,
            'the log ends before the position: the topic was made anew or lost records',
          );
        } else {
          // In range after all: a follower behind, or the log moved on meanwhile.
          reader.isSeeking = false;
          reader.preferredUntil = 0;
          this.#fetcher.wake();
        }
        return;
      } catch (error) {
        if (backoff.attempts > 0) this.#troubles.set(`${topic}-${partition}`, toHeadraceError(error, 'KAFKA_PROTOCOL'));
        await backoff.wait(this.#closed.signal, this.#cluster.options.clock);
      }
    }
    // Given up, lost or closed meanwhile: nobody is in trouble any more.
    this.#troubles.set(`${topic}-${partition}`, undefined);
  }

  #truncated(reader: PartitionReader, endOffset: number): void {
    this.#restart(reader, endOffset, 'truncated: a new leader does not have the records that were read last (KIP-320)');
  }

  /** Offsets begin to mean something else: the listener sees the partition lost and assigned anew. */
  #restart(reader: PartitionReader, offset: number, reason: string): void {
    const { topic, partition, fetchOffset: from } = reader;
    const owned = this.#owned.get(keyOf(reader));
    if (owned === undefined || owned.reader !== reader) return;
    this.#end([reader]);
    owned.reader = undefined;
    this.#listener.onLost([reader]);
    this.#skipped({ topic, partition, from: offset, to: from, reason });
    this.#hand([owned.place], [{ offset, leaderEpoch: -1, metadata: '', isNew: true }]);
  }

  #skipped(report: Parameters<ConsumerListener['onSkipped']>[0]): void {
    this.#listener.onSkipped(report);
  }
}
