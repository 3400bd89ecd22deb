import type { Authorizer } from '../authorize.ts';
import type { Clock } from '../clock.ts';
import type { Cluster, Node } from '../cluster/cluster.ts';
import type { Partition } from '../cluster/topic.ts';
import type { PartitionFaults } from '../faults/partition-faults.ts';
import type { LogWaiter } from '../log/partition-log.ts';
import { ErrorCode, type ErrorName } from '../protocol/errors.ts';
import { type FetchRequest, type FetchResponse, fetch, type PartitionData } from '../protocol/messages/fetch.ts';
import { type FetchSession, FetchSessions, type FetchTarget } from './fetch-sessions.ts';
import type { Registry, RequestContext } from './registry.ts';
import { attempt } from './topics.ts';

export interface FetchServices {
  clock: Clock;
  cluster: Cluster;
  authorizer: Authorizer;
  faults: PartitionFaults;
}

const READ_COMMITTED = 1;
/** Least bytes of an answer that the socket should not be asked to hold more of, whatever the client allows. */
const LARGEST_ANSWER = 64 << 20;

/** What one target gave. */
interface Outcome {
  target: FetchTarget;
  partition: Partition | undefined;
  data: PartitionData;
  bytes: number;
}

export function registerFetch(registry: Registry, services: FetchServices): void {
  const sessionsOf = new Map<Node, FetchSessions>();
  registry.on(fetch, (request, context) => {
    let sessions = sessionsOf.get(context.node);
    if (!sessions) sessionsOf.set(context.node, (sessions = new FetchSessions()));
    const opened = sessions.open(request, context.version >= 13);
    if ('errorCode' in opened) return { errorCode: opened.errorCode, sessionId: 0, responses: [] };
    return new PendingFetch(services, request, context, opened.targets, opened.session, opened.isFull).start();
  });
}

/** One fetch request until it is answered: read at once, or wait until enough is there or time is up. */
class PendingFetch implements LogWaiter {
  readonly #services: FetchServices;
  readonly #request: FetchRequest;
  readonly #context: RequestContext;
  readonly #targets: Map<string, FetchTarget>;
  readonly #session: FetchSession | undefined;
  readonly #isFull: boolean;
  /** Bytes that must still come before looking again pays. */
  #missing = 0;
  #resolve: ((response: FetchResponse) => void) | undefined;
  #timer: unknown;
  readonly #watched: Partition[] = [];

  constructor(
    services: FetchServices,
    request: FetchRequest,
    context: RequestContext,
    targets: Map<string, FetchTarget>,
    session: FetchSession | undefined,
    isFull: boolean,
  ) {
    this.#services = services;
    this.#request = request;
    this.#context = context;
    this.#targets = targets;
    this.#session = session;
    this.#isFull = isFull;
  }

  start(): FetchResponse | Promise<FetchResponse> {
    const { maxWaitMs, minBytes } = this.#request;
    const { outcomes, bytes, isUrgent } = this.#read();
    if (isUrgent || bytes >= minBytes || maxWaitMs <= 0 || this.#targets.size === 0) return this.#answer(outcomes);
    this.#missing = minBytes - bytes;
    return new Promise((resolve) => {
      this.#resolve = resolve;
      for (const { partition } of outcomes) {
        if (!partition) continue;
        partition.log.waiters.add(this);
        this.#watched.push(partition);
      }
      this.#timer = this.#services.clock.setTimeout(() => this.#finish(), maxWaitMs);
      this.#context.connection.closed.signal.addEventListener('abort', this.#finish, { once: true });
    });
  }

  changed(bytes: number): void {
    this.#missing -= bytes;
    if (bytes > 0 && this.#missing > 0) return;
    const { outcomes, bytes: found, isUrgent } = this.#read();
    if (isUrgent || found >= this.#request.minBytes) this.#finish(outcomes);
    else this.#missing = this.#request.minBytes - found;
  }

  readonly #finish = (known?: unknown): void => {
    const resolve = this.#resolve;
    if (!resolve) return;
    this.#resolve = undefined;
    for (const partition of this.#watched) partition.log.waiters.delete(this);
    this.#services.clock.clearTimeout(this.#timer);
    this.#context.connection.closed.signal.removeEventListener('abort', this.#finish);
    resolve(this.#answer(Array.isArray(known) ? (known as Outcome[]) : this.#read().outcomes));
  };

  #read(): { outcomes: Outcome[]; bytes: number; isUrgent: boolean } {
    let left = Math.min(this.#request.maxBytes, LARGEST_ANSWER);
    let bytes = 0;
    let isUrgent = false;
    const outcomes: Outcome[] = [];
    for (const target of this.#targets.values()) {
      const outcome = this.#readTarget(target, left, bytes === 0);
      outcomes.push(outcome);
      bytes += outcome.bytes;
      left -= outcome.bytes;
      const { errorCode, divergingEpoch, preferredReadReplica } = outcome.data;
      isUrgent ||= errorCode !== 0 || divergingEpoch !== undefined || preferredReadReplica !== undefined;
    }
    return { outcomes, bytes, isUrgent };
  }

  #readTarget(target: FetchTarget, left: number, isFirst: boolean): Outcome {
    const { cluster, authorizer } = this.#services;
    const { version, node } = this.#context;
    const topic = version >= 13 ? cluster.topicById(target.topicId) : cluster.topics.get(target.topicName);
    const partition = topic?.partitions[target.partition];
    const fail = (name: ErrorName): Outcome => ({
      target,
      partition,
      bytes: 0,
      data: { partitionIndex: target.partition, errorCode: ErrorCode[name], highWatermark: -1, records: null },
    });
    if (!topic) return fail(version >= 13 ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION');
    if (!authorizer.allows(this.#context, 'READ', 'TOPIC', topic.name)) return fail('TOPIC_AUTHORIZATION_FAILED');
    if (!partition) return fail('UNKNOWN_TOPIC_OR_PARTITION');
    const purpose = attempt(() => this.#services.faults.checkPartition(this.#context, topic.name, partition.index));
    if (purpose.errorCode !== 0) {
      const outcome = fail('UNKNOWN_SERVER_ERROR');
      outcome.data.errorCode = purpose.errorCode;
      return outcome;
    }
    // Since version 11 followers serve consumers too (KIP-392).
    const isReplica = version >= 11 && partition.leader >= 0 && partition.replicas.includes(node.id);
    if (partition.leader !== node.id && !isReplica) return fail('NOT_LEADER_OR_FOLLOWER');
    if (target.currentLeaderEpoch >= 0) {
      if (target.currentLeaderEpoch < partition.leaderEpoch) return fail('FENCED_LEADER_EPOCH');
      if (target.currentLeaderEpoch > partition.leaderEpoch) return fail('UNKNOWN_LEADER_EPOCH');
    }
    const { log } = partition;
    if (target.fetchOffset < log.startOffset || target.fetchOffset > log.endOffset) return fail('OFFSET_OUT_OF_RANGE');
    const isCommitted = this.#request.isolationLevel === READ_COMMITTED;
    const data: PartitionData = {
      partitionIndex: target.partition,
      errorCode: 0,
      highWatermark: log.endOffset,
      lastStableOffset: log.lastStableOffset,
      logStartOffset: log.startOffset,
      abortedTransactions: isCommitted ? [] : null,
      records: Buffer.alloc(0),
    };
    const outcome: Outcome = { target, partition, data, bytes: 0 };
    if (target.lastFetchedEpoch >= 0) {
      const end = log.epochEnd(target.lastFetchedEpoch, partition.leaderEpoch);
      if (end && (end.epoch < target.lastFetchedEpoch || end.endOffset < target.fetchOffset)) {
        data.divergingEpoch = end;
        return outcome;
      }
    }
    const nearer = this.#nearerReplica(partition);
    if (nearer !== undefined) {
      data.preferredReadReplica = nearer;
      return outcome;
    }
    const end = partition.pause ? target.fetchOffset : partition.readableEnd(isCommitted);
    if (target.fetchOffset >= end) return outcome;
    const { slices, bytes } = log.read(target.fetchOffset, end, Math.max(0, Math.min(target.maxBytes, left)), isFirst);
    data.records = slices;
    outcome.bytes = bytes;
    if (isCommitted && bytes > 0 && log.producers.aborted.length > 0) {
      data.abortedTransactions = log.producers
        .abortedBetween(target.fetchOffset, end)
        .map(({ producerId, firstOffset }) => ({ producerId, firstOffset }));
    }
    return outcome;
  }

  /** A replica in the consumer's rack, when the leader was asked and lies in another (KIP-392). */
  #nearerReplica(partition: Partition): number | undefined {
    const { rackId } = this.#request;
    const { node, version } = this.#context;
    if (version < 11 || rackId === '' || node.id !== partition.leader || node.rack === rackId) return undefined;
    return this.#services.cluster.live.find(({ id, rack }) => rack === rackId && partition.replicas.includes(id))?.id;
  }

  #answer(outcomes: readonly Outcome[]): FetchResponse {
    const responses: FetchResponse['responses'] = [];
    const byTopic = new Map<string, FetchResponse['responses'][number]>();
    for (const { target, data, bytes } of outcomes) {
      if (this.#session) {
        const isNews =
          bytes > 0 ||
          data.errorCode !== 0 ||
          data.divergingEpoch !== undefined ||
          data.preferredReadReplica !== undefined ||
          data.highWatermark !== target.sentHighWatermark ||
          (data.logStartOffset ?? -1) !== target.sentLogStartOffset;
        if (!this.#isFull && !isNews) continue;
        // A partition with an error is told of again with the next answer.
        target.sentHighWatermark = data.errorCode === 0 ? data.highWatermark : -1;
        target.sentLogStartOffset = data.errorCode === 0 ? (data.logStartOffset ?? -1) : -1;
        if (bytes > 0) this.#serveLast(target);
      }
      const key = this.#context.version >= 13 ? target.topicId : target.topicName;
      let topic = byTopic.get(key);
      if (!topic) {
        topic = { topic: target.topicName, topicId: target.topicId, partitions: [] };
        byTopic.set(key, topic);
        responses.push(topic);
      }
      topic.partitions.push(data);
    }
    return { errorCode: 0, sessionId: this.#session?.id ?? 0, responses };
  }

  /** What gave data goes behind the others, so that one busy partition does not starve them. */
  #serveLast(target: FetchTarget): void {
    const { targets, usesTopicIds } = this.#session!;
    const key = `${usesTopicIds ? target.topicId : target.topicName}/${target.partition}`;
    if (!targets.delete(key)) return;
    targets.set(key, target);
  }
}
