import { randomInt } from 'node:crypto';
import { ErrorCode } from '../protocol/errors.ts';
import type { FetchRequest } from '../protocol/messages/fetch.ts';

/** One partition that a client reads, as the request or its session says. */
export interface FetchTarget {
  topicName: string;
  topicId: string;
  partition: number;
  fetchOffset: number;
  maxBytes: number;
  currentLeaderEpoch: number;
  lastFetchedEpoch: number;
  /** What the session's last answer said, to tell what has changed; -1 before the first. */
  sentHighWatermark: number;
  sentLogStartOffset: number;
}

/** Targets that a client has told once and does not repeat with every request (KIP-227). */
export interface FetchSession {
  readonly id: number;
  epoch: number;
  readonly usesTopicIds: boolean;
  /** In the order in which they are served: what gave data goes to the end. */
  readonly targets: Map<string, FetchTarget>;
}

const MAXIMUM_SESSIONS = 1000;
const MAXIMUM_TARGETS = 100_000;

const keyOf = (topic: string, topicId: string, partition: number, usesTopicIds: boolean): string =>
  `${usesTopicIds ? topicId : topic}/${partition}`;

/** Fetch sessions of one node. The oldest gives way when there are too many. */
export class FetchSessions {
  readonly #sessions = new Map<number, FetchSession>();

  /** What this request reads: from itself, from its session, or from both; or the error that it gets. */
  open(
    request: FetchRequest,
    usesTopicIds: boolean,
  ): { targets: Map<string, FetchTarget>; session: FetchSession | undefined; isFull: boolean } | { errorCode: number } {
    if (request.sessionEpoch === 0 || request.sessionEpoch === -1) {
      // Both begin anew; 0 asks for a session, -1 wants none.
      this.#sessions.delete(request.sessionId);
      const targets = new Map<string, FetchTarget>();
      this.#update(targets, request, usesTopicIds);
      const session = request.sessionEpoch === 0 ? this.#create(targets, usesTopicIds) : undefined;
      return { targets, session, isFull: true };
    }
    const session = this.#sessions.get(request.sessionId);
    if (!session) return { errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND };
    if (session.epoch !== request.sessionEpoch) return { errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH };
    if (session.usesTopicIds !== usesTopicIds) return { errorCode: ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR };
    session.epoch = session.epoch === 0x7fff_ffff ? 1 : session.epoch + 1;
    for (const topic of request.forgottenTopicsData) {
      for (const partition of topic.partitions) {
        session.targets.delete(keyOf(topic.topic, topic.topicId, partition, usesTopicIds));
      }
    }
    this.#update(session.targets, request, usesTopicIds);
    // The latest used goes to the end, away from being dropped.
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
    return { targets: session.targets, session, isFull: false };
  }

  #create(targets: Map<string, FetchTarget>, usesTopicIds: boolean): FetchSession | undefined {
    if (targets.size === 0 || targets.size > MAXIMUM_TARGETS) return undefined;
    if (this.#sessions.size >= MAXIMUM_SESSIONS) this.#sessions.delete(this.#sessions.keys().next().value!);
    let id: number;
    do id = randomInt(1, 0x7fff_ffff);
    while (this.#sessions.has(id));
    const session = { id, epoch: 1, usesTopicIds, targets };
    this.#sessions.set(id, session);
    return session;
  }

  #update(targets: Map<string, FetchTarget>, request: FetchRequest, usesTopicIds: boolean): void {
    for (const topic of request.topics) {
      for (const partition of topic.partitions) {
        const key = keyOf(topic.topic, topic.topicId, partition.partition, usesTopicIds);
        const known = targets.get(key);
        if (known) {
          known.fetchOffset = partition.fetchOffset;
          known.maxBytes = partition.partitionMaxBytes;
          known.currentLeaderEpoch = partition.currentLeaderEpoch;
          known.lastFetchedEpoch = partition.lastFetchedEpoch;
          continue;
        }
        if (targets.size >= MAXIMUM_TARGETS) return;
        targets.set(key, {
          topicName: topic.topic,
          topicId: topic.topicId,
          partition: partition.partition,
          fetchOffset: partition.fetchOffset,
          maxBytes: partition.partitionMaxBytes,
          currentLeaderEpoch: partition.currentLeaderEpoch,
          lastFetchedEpoch: partition.lastFetchedEpoch,
          sentHighWatermark: -1,
          sentLogStartOffset: -1,
        });
      }
    }
  }
}
