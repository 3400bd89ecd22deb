import { type HeadraceError, toHeadraceError } from '../errors.ts';
import { Backoff } from './backoff.ts';
import type { Cluster } from './cluster.ts';
import type { Connection } from './connection.ts';
import { EndWatch } from './end-watch.ts';
import { type FetchedPartition, type FetchPartition, fetch, readFetch } from './fetch-request.ts';
import { FetchSession } from './fetch-session.ts';
import { offsetForLeaderEpoch } from './metadata-requests.ts';
import type { PartitionOwner, PartitionReader } from './partition-reader.ts';
import { pollWait, SHORT_WAIT, sidePollWait, USUAL_WAIT } from './poll-waits.ts';
import { brokerError, KafkaCode, needsMetadata } from './protocol-errors.ts';
import { responseMemory } from './receive-memory.ts';

export interface FetcherOptions {
  /** Keeps this consumer's connections apart from others'. */
  readonly purpose: string;
  readonly topics: readonly string[];
  readonly isolation: 0 | 1;
  readonly rackId: string;
  readonly maximumPartitionBytes: number;
  readonly maximumBufferedBytes: number;
  /** Of a long poll. Default 500, and up to 10,000 where nothing has come for a while. */
  readonly maximumWaitMilliseconds?: number;
  /** Of one response. Default 4 MiB less 64 KiB: with what surrounds the records it fits a block of 4 MiB. */
  readonly maximumResponseBytes?: number;
}

export interface FetcherEvents {
  onRecords(): void;
  /** Trouble with a source (a broker, a partition); undefined: it is over. */
  onTrouble(source: string, error: HeadraceError | undefined): void;
  /** The fetch offset is not in the log. `isSeeking` is set until the owner has sought. */
  onOutOfRange(partition: PartitionReader): void;
  /** The topic was deleted and made anew: offsets mean something else. `isSeeking` is set until the owner has sought. */
  onMadeAnew(partition: PartitionReader): void;
  /** The log was truncated below the position (KIP-320); it goes on at `endOffset`. `isSeeking` is set. */
  onTruncated(partition: PartitionReader, endOffset: number): void;
}

/** All consumers and readers of the process together, what was taken and not released included. */
const MAXIMUM_PROCESS_BYTES = 512 << 20;
/** A partition with nothing buffered may always fetch this much, so that full buffers of others never stop it. */
const LEAST_BYTES = 64 << 10;
const PARTITION_RETRY_MILLISECONDS = 100;
/** After an error that only a person can mend. */
const CONFIGURATION_RETRY_MILLISECONDS = 1_000;
const EMPTY_RETRY_MILLISECONDS = 2;
const PREFERRED_REPLICA_MILLISECONDS = 300_000;
const RESPONSE_BYTES = (4 << 20) - (64 << 10);

/** One connection to one broker with at most one Fetch under way. */
interface Lane {
  readonly purpose: string;
  isBusy: boolean;
}

interface BrokerLanes {
  /** Two: while a long poll waits for new records on one, what has become ready is fetched at once on the other. */
  readonly lanes: readonly [Lane, Lane];
  /** Of the long polls. */
  readonly session: FetchSession;
  /** How long the poll under way waits, ms; 0 when there is none. */
  pollingFor: number;
  /** Polls in a row without a record. */
  emptyPolls: number;
  /** Of those beside the idle poll under way. */
  emptySidePolls: number;
  readonly backoff: Backoff;
  retryAt: number;
  /** Something is wrong with it, and was told. */
  hasTrouble: boolean;
}

/**
 * Fetches for many partitions: few requests, each with many partitions, over at most two connections a broker. One loop
 * (`#pump`) looks at the state and sends what can be sent; everything else only wakes it.
 */
export class Fetcher implements PartitionOwner {
  readonly #cluster: Cluster;
  readonly #options: FetcherOptions;
  readonly #events: FetcherEvents;
  /** In the order in which they are asked for next: who got records goes to the end. */
  readonly #partitions = new Set<PartitionReader>();
  readonly #brokers = new Map<number, BrokerLanes>();
  #inFlightBytes = 0;
  #isScheduled = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #refreshing = false;
  readonly #endWatch: EndWatch;
  readonly #refreshBackoff = new Backoff();

  constructor(cluster: Cluster, options: FetcherOptions, events: FetcherEvents) {
    this.#cluster = cluster;
    this.#options = options;
    this.#events = events;
    this.#endWatch = new EndWatch(cluster, options.purpose, () =>
      [...this.#partitions].filter(
        ({ isPaused, bufferedBytes, isInFlight, isSeeking }) =>
          (isPaused || bufferedBytes > 0) && !isInFlight && !isSeeking,
      ),
    );
  }

  add(partitions: Iterable<PartitionReader>): void {
    for (const partition of partitions) {
      partition.topicId = this.#cluster.topicIdOf(partition.topic);
      this.#partitions.add(partition);
    }
    this.wake();
  }

  remove(partitions: Iterable<PartitionReader>): void {
    for (const partition of partitions) {
      this.#partitions.delete(partition);
      this.#trouble(partition, undefined);
    }
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#endWatch.close();
    this.#partitions.clear();
    this.#cluster.closeConnections(this.#options.purpose);
  }

  wake(): void {
    if (this.#isScheduled || this.#isClosed) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (!this.#isClosed) this.#pump();
    });
  }

  onCorrupt(partition: PartitionReader, error: HeadraceError): void {
    this.#trouble(partition, error);
    this.#wakeAt(partition.retryAt);
  }

  onMended(partition: PartitionReader): void {
    this.#trouble(partition, undefined);
  }

  #trouble(partition: PartitionReader, error: HeadraceError | undefined): void {
    if (error === undefined && !partition.hasTrouble) return;
    partition.hasTrouble = error !== undefined;
    this.#events.onTrouble(sourceOf(partition), error);
  }

  #brokerTrouble(nodeId: number, broker: BrokerLanes, error: HeadraceError | undefined): void {
    if (error === undefined && !broker.hasTrouble) return;
    broker.hasTrouble = error !== undefined;
    this.#events.onTrouble(`broker ${nodeId}`, error);
  }

  #wakeAt(time: number): void {
    if (time >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = time;
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Number.POSITIVE_INFINITY;
        this.wake();
      },
      Math.max(time - performance.now(), 0) + 1,
    );
  }

  #pump(): void {
    const now = performance.now();
    let buffered = this.#inFlightBytes;
    for (const partition of this.#partitions) buffered += partition.bufferedBytes;
    const room = Math.min(
      this.#options.maximumBufferedBytes - buffered,
      MAXIMUM_PROCESS_BYTES - responseMemory.usedBytes - this.#inFlightBytes,
    );

    const ready = new Map<number, PartitionReader[]>();
    let isLeaderMissing = false;
    for (const partition of this.#partitions) {
      if (!this.#wants(partition, room, now) || this.#isMadeAnew(partition)) continue;
      const leader = this.#cluster.leaderOf(partition.topic, partition.partition);
      if (leader === undefined) {
        isLeaderMissing = true;
        continue;
      }
      if (leader.epoch !== partition.validatedEpoch && this.#mustValidate(partition, leader.epoch)) {
        void this.#validate(partition, leader);
        continue;
      }
      const follower = partition.preferredUntil > now ? partition.preferredReplica : -1;
      const node = follower >= 0 ? follower : leader.nodeId;
      const list = ready.get(node);
      if (list === undefined) ready.set(node, [partition]);
      else list.push(partition);
    }
    if (isLeaderMissing) void this.#refreshMetadata();
    for (const [node, partitions] of ready) this.#send(node, partitions, room, now);
    for (const [node, broker] of this.#brokers) {
      // Nothing is read from it any more: it may never be asked again, and then its trouble is nobody's.
      const isAsked = ready.has(node) || broker.lanes.some(({ isBusy }) => isBusy);
      if (broker.hasTrouble && !isAsked) this.#brokerTrouble(node, broker, undefined);
    }
  }

  #wants(partition: PartitionReader, room: number, now: number): boolean {
    if (partition.isPaused) this.#endWatch.need();
    if (partition.isPaused || partition.isInFlight || partition.isSeeking || partition.isDead) return false;
    if (partition.retryAt > now) {
      this.#wakeAt(partition.retryAt);
      return false;
    }
    const { bufferedBytes } = partition;
    if (bufferedBytes === 0 || (room > 0 && bufferedBytes <= this.#options.maximumPartitionBytes / 2)) return true;
    // Left out now, so a long poll for it would be no use when it has room again: there will be something.
    partition.isHungry = true;
    this.#endWatch.need();
    return false;
  }

  /** Fetches go by name: another topic of the same name would answer, from the offset where the former one was left. */
  #isMadeAnew(partition: PartitionReader): boolean {
    const id = this.#cluster.topicIdOf(partition.topic);
    if (partition.topicId === '') partition.topicId = id;
    if (id === '' || id === partition.topicId) return false;
    partition.isSeeking = true;
    this.#events.onMadeAnew(partition);
    return true;
  }

  #send(nodeId: number, partitions: PartitionReader[], room: number, now: number): void {
    let broker = this.#brokers.get(nodeId);
    if (broker === undefined) {
      const lane = (name: string): Lane => ({ purpose: `${this.#options.purpose}/${name}`, isBusy: false });
      broker = {
        lanes: [lane('fetch-1'), lane('fetch-2')],
        session: new FetchSession(),
        pollingFor: 0,
        emptyPolls: 0,
        emptySidePolls: 0,
        backoff: new Backoff(),
        retryAt: 0,
        hasTrouble: false,
      };
      this.#brokers.set(nodeId, broker);
    }
    if (broker.retryAt > now) {
      this.#wakeAt(broker.retryAt);
      return;
    }
    const lane = broker.lanes.find(({ isBusy }) => !isBusy);
    if (lane === undefined) return;
    const responseBytes = Math.min(this.#options.maximumResponseBytes ?? RESPONSE_BYTES, Math.max(room, LEAST_BYTES));
    const { chosen, kind } = choose(
      partitions,
      responseBytes,
      this.#options.maximumPartitionBytes,
      pollOf(broker.pollingFor),
    );
    if (chosen.length === 0) return;
    lane.isBusy = true;
    const wait = this.#waitOf(kind, broker);
    if (isPoll(kind)) broker.pollingFor = Math.max(wait, 1);
    const { maximumPartitionBytes } = this.#options;
    const entries: FetchPartition[] = chosen.map((partition) => ({
      topic: partition.topic,
      partition: partition.partition,
      leaderEpoch: this.#cluster.leaderOf(partition.topic, partition.partition)?.epoch ?? -1,
      offset: partition.fetchOffset,
      maximumBytes: room > 0 ? Math.max(maximumPartitionBytes - partition.bufferedBytes, LEAST_BYTES) : LEAST_BYTES,
    }));
    for (const partition of chosen) partition.isInFlight = true;
    this.#inFlightBytes += responseBytes;
    void this.#fetch(nodeId, broker, lane, chosen, entries, responseBytes, kind, wait);
    // The rest may find room on the other lane.
    if (chosen.length < partitions.length) this.wake();
  }

  async #fetch(
    nodeId: number,
    broker: BrokerLanes,
    lane: Lane,
    partitions: readonly PartitionReader[],
    entries: readonly FetchPartition[],
    maximumBytes: number,
    kind: Choice['kind'],
    maximumWaitMilliseconds: number,
  ): Promise<void> {
    const inSession = isPoll(kind);
    try {
      const connection = await this.#cluster.connection(nodeId, lane.purpose);
      const version = connection.bestVersion(1, 'Fetch', 11, 12);
      const { isolation, rackId } = this.#options;
      const { requestTimeoutMilliseconds } = this.#cluster.options;
      const what = inSession ? broker.session.next(entries) : entries;
      const response = await connection.sendRaw(
        fetch(version, what, { maximumWaitMilliseconds, minimumBytes: 1, maximumBytes, isolation, rackId }),
        requestTimeoutMilliseconds + maximumWaitMilliseconds,
      );
      try {
        const { error, sessionId, partitions: fetched } = readFetch(response.reader);
        const isUnknown = error === KafkaCode.FETCH_SESSION_ID_NOT_FOUND;
        if (inSession && (isUnknown || error === KafkaCode.INVALID_FETCH_SESSION_EPOCH)) {
          // Asked for again at once, in full.
          broker.session.refused(!isUnknown);
          return;
        }
        if (error !== 0) throw brokerError(error, `Fetch from broker ${nodeId}`);
        if (inSession) broker.session.accepted(sessionId);
        const isNew = this.#settle(partitions, fetched, response.reader.bytes, response.block, nodeId);
        if (isNew) {
          broker.emptyPolls = 0;
          broker.emptySidePolls = 0;
        } else if (kind === 'poll') broker.emptyPolls += 1;
        else if (kind === 'side poll') broker.emptySidePolls += 1;
      } finally {
        response.block.release();
      }
      broker.backoff.reset();
      this.#brokerTrouble(nodeId, broker, undefined);
    } catch (error) {
      const failure = toHeadraceError(error, 'KAFKA_PROTOCOL');
      if (inSession) broker.session.lost();
      broker.retryAt = performance.now() + broker.backoff.next();
      for (const partition of partitions) partition.preferredUntil = 0;
      // A connection may end at any time; only when the next one fails too is it trouble.
      const isHarmless = failure.code === 'KAFKA_DISCONNECTED' && broker.backoff.attempts === 1;
      if (!this.#isClosed && !isHarmless) this.#brokerTrouble(nodeId, broker, failure);
      void this.#refreshMetadata();
    } finally {
      lane.isBusy = false;
      if (inSession) {
        broker.pollingFor = 0;
        broker.emptySidePolls = 0;
      }
      this.#inFlightBytes -= maximumBytes;
      for (const partition of partitions) partition.isInFlight = false;
      this.wake();
    }
  }

  #settle(
    asked: readonly PartitionReader[],
    fetched: readonly FetchedPartition[],
    bytes: Buffer,
    block: Parameters<PartitionReader['append']>[2],
    nodeId: number,
  ): boolean {
    const byName = new Map(asked.map((partition) => [`${partition.topic}-${partition.partition}`, partition]));
    let isNew = false;
    for (const answer of fetched) {
      const name = `${answer.topic}-${answer.partition}`;
      const partition = byName.get(name);
      byName.delete(name);
      // Revoked while the request was under way: what came belongs to nobody.
      if (partition === undefined || partition.isDead || partition.isSeeking) continue;
      // It may be the other topic's, and no fetch may be wanted for long.
      if (this.#isMadeAnew(partition)) continue;
      if (answer.error !== 0) {
        this.#partitionError(partition, answer.error, nodeId);
        continue;
      }
      partition.highWatermark = answer.highWatermark;
      partition.logStartOffset = answer.logStartOffset;
      if (answer.preferredReplica >= 0 && answer.preferredReplica !== nodeId) {
        partition.preferredReplica = answer.preferredReplica;
        partition.preferredUntil = performance.now() + PREFERRED_REPLICA_MILLISECONDS;
        continue;
      }
      if (partition.append(answer, bytes, block, this.#options.isolation === 1)) {
        isNew = true;
        this.#partitions.delete(partition);
        this.#partitions.add(partition);
      }
      partition.readLimit = this.#options.isolation === 1 ? answer.lastStableOffset : answer.highWatermark;
      // What is corrupt comes again as it was: only what can be read of it tells that it is not so any more.
      if (!partition.isCorrupt) this.#trouble(partition, undefined);
      this.#setHungry(partition, answer.end > answer.start);
    }
    // A session's answer leaves out what has no news.
    for (const partition of byName.values()) {
      if (!partition.isCorrupt) this.#trouble(partition, undefined);
      this.#setHungry(partition, false);
    }
    if (isNew) {
      this.#relieve();
      this.#events.onRecords();
    }
    return isNew;
  }

  #waitOf(kind: Choice['kind'], broker: BrokerLanes): number {
    if (kind === 'fetch') return 0;
    const longest = this.#options.maximumWaitMilliseconds ?? pollWait(broker.emptyPolls);
    if (kind === 'poll') return longest;
    return Math.min(longest, kind === 'side poll' ? sidePollWait(broker.emptySidePolls) : SHORT_WAIT);
  }

  #setHungry(partition: PartitionReader, hasAnswer: boolean): void {
    partition.isHungry = partition.fetchOffset < partition.readLimit;
    // Left without a byte by the limits of the response: not asked for again in a busy loop.
    if (partition.isHungry && !hasAnswer) partition.retryAt = performance.now() + EMPTY_RETRY_MILLISECONDS;
  }

  /** Slow partitions may hold whole blocks by a few batches: then those are copied out. */
  #relieve(): void {
    if (responseMemory.usedBytes <= 2 * this.#options.maximumBufferedBytes + (32 << 20)) return;
    for (const partition of this.#partitions) if (partition.bufferedBytes > 0) partition.detach();
  }

  #partitionError(partition: PartitionReader, code: number, nodeId: number): void {
    const leader = this.#cluster.leaderOf(partition.topic, partition.partition);
    if (leader !== undefined && leader.nodeId !== nodeId) {
      // The follower cannot serve it: back to the leader, which knows the truth.
      partition.preferredUntil = 0;
      partition.retryAt = performance.now() + PARTITION_RETRY_MILLISECONDS;
      return;
    }
    if (code === KafkaCode.OFFSET_OUT_OF_RANGE) {
      partition.isSeeking = true;
      this.#events.onOutOfRange(partition);
      return;
    }
    partition.retryAt = performance.now() + PARTITION_RETRY_MILLISECONDS;
    if (needsMetadata(code)) void this.#refreshMetadata();
    // Elections take a moment and are nobody's trouble; a topic that is gone, or forbidden, is.
    const isPassing = code !== KafkaCode.UNKNOWN_TOPIC_OR_PARTITION && code !== KafkaCode.UNKNOWN_TOPIC_ID;
    if (isPassing && (needsMetadata(code) || code === KafkaCode.OFFSET_NOT_AVAILABLE)) return;
    partition.retryAt = performance.now() + CONFIGURATION_RETRY_MILLISECONDS;
    const what = `Fetch of ${partition.topic}-${partition.partition}`;
    this.#trouble(partition, brokerError(code, what));
  }

  /** The position was read under another leader: its log may be shorter than what was read. */
  #mustValidate(partition: PartitionReader, leaderEpoch: number): boolean {
    if (partition.lastEpoch < 0 || leaderEpoch < 0 || partition.lastEpoch >= leaderEpoch) {
      partition.validatedEpoch = leaderEpoch;
      return false;
    }
    return true;
  }

  async #validate(
    partition: PartitionReader,
    leader: { readonly nodeId: number; readonly epoch: number },
  ): Promise<void> {
    partition.isSeeking = true;
    let isTruncated = false;
    try {
      const { topic, partition: index, lastEpoch } = partition;
      const connection: Connection = await this.#cluster.connection(leader.nodeId, `${this.#options.purpose}/control`);
      const supported = connection.versionsOf(23);
      if (supported === undefined || supported.max < 3) {
        partition.validatedEpoch = leader.epoch;
        return;
      }
      const [answer] = await connection.send(
        offsetForLeaderEpoch([{ topic, partition: index, currentLeaderEpoch: leader.epoch, leaderEpoch: lastEpoch }]),
      );
      const code = answer?.error ?? KafkaCode.UNKNOWN_TOPIC_OR_PARTITION;
      if (code !== 0) throw brokerError(code, `OffsetForLeaderEpoch of ${topic}-${index}`);
      partition.validatedEpoch = leader.epoch;
      if (answer!.endOffset >= 0 && answer!.endOffset < partition.fetchOffset && !partition.isDead) {
        isTruncated = true;
        this.#events.onTruncated(partition, answer!.endOffset);
      }
    } catch {
      // It is tried again with fresh metadata; nothing is fetched before it succeeds.
      partition.retryAt = performance.now() + PARTITION_RETRY_MILLISECONDS;
      void this.#refreshMetadata();
    } finally {
      if (!isTruncated) partition.isSeeking = false;
      this.wake();
    }
  }

  /** Looks who leads now; one request at a time, with pauses that grow while it does not help. */
  async #refreshMetadata(): Promise<void> {
    if (this.#refreshing || this.#isClosed) return;
    this.#refreshing = true;
    let isKnown = false;
    try {
      const answer = await this.#cluster.refresh([...this.#options.topics].sort());
      isKnown = true;
      this.#events.onTrouble('metadata', undefined);
      const isComplete = answer.topics.every(
        (topic) => topic.error === 0 && topic.partitions.every((partition) => partition.leader >= 0),
      );
      if (isComplete) this.#refreshBackoff.reset();
    } catch (error) {
      if (!this.#isClosed) this.#events.onTrouble('metadata', toHeadraceError(error, 'KAFKA_UNREACHABLE'));
    }
    const pause = this.#refreshBackoff.next();
    setTimeout(() => {
      this.#refreshing = false;
      if (isKnown) this.wake();
      else void this.#refreshMetadata();
    }, pause).unref();
    this.wake();
  }
}

interface Choice {
  readonly chosen: readonly PartitionReader[];
  /** `side poll`: outside of the session, beside a poll that may take long. */
  readonly kind: 'poll' | 'short poll' | 'side poll' | 'fetch';
}

const isPoll = (kind: Choice['kind']): boolean => kind === 'poll' || kind === 'short poll';
const pollOf = (wait: number): 'none' | 'usual' | 'idle' =>
  wait === 0 ? 'none' : wait > USUAL_WAIT ? 'idle' : 'usual';

/**
 * What the next request asks for. One request a broker is a poll: it waits for new records, in a session. While more is
 * there already than one response holds, others fetch that, each from as many partitions as fill it, in turns.
 * Partitions that come while an idle poll waits long are polled beside it until the next one takes them along.
 */
function choose(
  partitions: readonly PartitionReader[],
  responseBytes: number,
  partitionBytes: number,
  poll: 'none' | 'usual' | 'idle',
): Choice {
  const isBehind = ({ isHungry, fetchOffset, readLimit }: PartitionReader): boolean =>
    isHungry && fetchOffset < readLimit;
  const behind = partitions.filter(isBehind);
  const others = partitions.filter((partition) => !isBehind(partition));
  if (poll === 'none') {
    if (behind.length * partitionBytes <= responseBytes) return { chosen: partitions, kind: 'poll' };
    if (others.length > 0) return { chosen: others, kind: 'short poll' };
  }
  // Of some it is not known yet whether there is anything.
  const unknown = others.filter(({ isHungry }) => isHungry);
  // Who comes while an idle poll waits would wait as long.
  if (poll === 'idle' && unknown.length === 0 && behind.length === 0) return { chosen: others, kind: 'side poll' };
  return { chosen: [...unknown, ...behind.slice(0, Math.ceil(responseBytes / partitionBytes))], kind: 'fetch' };
}

const sourceOf = (partition: PartitionReader): string => `${partition.topic}-${partition.partition}`;
