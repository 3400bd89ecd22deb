import type { Authorizer } from '../authorize.ts';
import type { Clock } from '../clock.ts';
import type { Cluster, Node } from '../cluster/cluster.ts';
import type { Partition } from '../cluster/topic.ts';
import type { PartitionFaults } from '../faults/partition-faults.ts';
import type { ShareGroup } from '../groups/share-group.ts';
import { AcknowledgeType } from '../groups/share-partition.ts';
import type { LogWaiter } from '../log/partition-log.ts';
import { ErrorCode, RequestError } from '../protocol/errors.ts';
import { shareAcknowledge } from '../protocol/messages/share-acknowledge.ts';
import {
  type PartitionData,
  type ShareFetchRequest,
  type ShareFetchResponse,
  shareFetch,
} from '../protocol/messages/share-fetch.ts';
import type { Registry, RequestContext } from './registry.ts';
import { CLOSES, type ShareSession, ShareSessions } from './share-sessions.ts';
import { attempt } from './topics.ts';

export interface ShareFetchServices {
  clock: Clock;
  cluster: Cluster;
  authorizer: Authorizer;
  faults: PartitionFaults;
  maximumSessions: number;
  lockDurationMs(group: string): number;
  /** The group, made if need be. @throws RequestError GROUP_ID_NOT_FOUND when the id is of another kind of group */
  groupOf(groupId: string): ShareGroup;
}

interface Acknowledgement {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly acknowledgeTypes: number[];
}

const STRICT = 1;

export function registerShareFetch(registry: Registry, services: ShareFetchServices): void {
  const { cluster, authorizer } = services;
  const sessionsOf = new Map<Node, ShareSessions>();
  const use = (context: RequestContext, groupId: string, memberId: string, epoch: number): ShareSession => {
    let sessions = sessionsOf.get(context.node);
    if (!sessions) sessionsOf.set(context.node, (sessions = new ShareSessions(services.maximumSessions)));
    return sessions.use(groupId, memberId, epoch);
  };
  const led = (context: RequestContext, topicId: string, index: number): Partition => {
    const topic = cluster.topicById(topicId);
    if (!topic) throw new RequestError('UNKNOWN_TOPIC_ID');
    const partition = topic.partitions[index];
    if (!partition) throw new RequestError('UNKNOWN_TOPIC_OR_PARTITION');
    if (!authorizer.allows(context, 'READ', 'TOPIC', topic.name)) throw new RequestError('TOPIC_AUTHORIZATION_FAILED');
    services.faults.checkPartition(context, topic.name, index);
    if (partition.leader !== context.node.id) throw new RequestError('NOT_LEADER_OR_FOLLOWER');
    return partition;
  };
  const leaderOf = (topicId: string, index: number) => {
    const partition = cluster.topicById(topicId)?.partitions[index];
    return { leaderId: partition?.leader ?? -1, leaderEpoch: partition?.leaderEpoch ?? -1 };
  };
  const settle = (
    context: RequestContext,
    group: ShareGroup,
    memberId: string,
    topicId: string,
    index: number,
    batches: readonly Acknowledgement[],
  ) =>
    attempt(() => {
      const share = group.sharePartition(led(context, topicId, index));
      for (const { firstOffset, lastOffset, acknowledgeTypes } of batches) {
        if (context.version < 2 && acknowledgeTypes.includes(AcknowledgeType.RENEW))
          throw new RequestError('INVALID_REQUEST');
        share.acknowledge(memberId, firstOffset, lastOffset, acknowledgeTypes);
      }
    });
  const close = (group: ShareGroup, memberId: string): void => {
    for (const partition of group.partitions.values()) partition.releaseAll(memberId);
  };
  const opened = (
    request: { groupId: string | null; memberId: string | null; shareSessionEpoch: number },
    context: RequestContext,
  ) => {
    const groupId = request.groupId ?? '';
    const memberId = request.memberId ?? '';
    if (groupId === '' || memberId === '') throw new RequestError('INVALID_REQUEST', 'group and member id are needed');
    if (!authorizer.allows(context, 'READ', 'GROUP', groupId)) throw new RequestError('GROUP_AUTHORIZATION_FAILED');
    const session = use(context, groupId, memberId, request.shareSessionEpoch);
    return { group: services.groupOf(groupId), memberId, session };
  };

  registry.on(shareAcknowledge, (request, context) => {
    let state: ReturnType<typeof opened> | undefined;
    const checked = attempt(() => {
      if (request.shareSessionEpoch === 0) throw new RequestError('INVALID_SHARE_SESSION_EPOCH');
      state = opened(request, context);
    });
    if (!state) return { ...checked, responses: [], nodeEndpoints: [] };
    const { group, memberId } = state;
    const responses = request.topics.map(({ topicId, partitions }) => ({
      topicId,
      partitions: partitions.map(({ partitionIndex, acknowledgementBatches }) => ({
        partitionIndex,
        ...settle(context, group, memberId, topicId, partitionIndex, acknowledgementBatches),
        currentLeader: leaderOf(topicId, partitionIndex),
      })),
    }));
    if (request.shareSessionEpoch === CLOSES) close(group, memberId);
    const acquisitionLockTimeoutMs = services.lockDurationMs(group.id);
    return { errorCode: 0, errorMessage: null, acquisitionLockTimeoutMs, responses, nodeEndpoints: [] };
  });

  registry.on(shareFetch, (request, context) => {
    let state: ReturnType<typeof opened> | undefined;
    const checked = attempt(() => {
      const hasAcknowledgements = request.topics.some(({ partitions }) =>
        partitions.some(({ acknowledgementBatches }) => acknowledgementBatches.length > 0),
      );
      if (request.shareSessionEpoch === 0 && hasAcknowledgements) throw new RequestError('INVALID_REQUEST');
      state = opened(request, context);
    });
    if (!state) return { ...checked, acquisitionLockTimeoutMs: 0, responses: [], nodeEndpoints: [] };
    const { group, memberId, session } = state;
    const answers = new Map<string, PartitionData & { topicId: string }>();
    const answerOf = (topicId: string, partitionIndex: number) => {
      const key = `${topicId}/${partitionIndex}`;
      let answer = answers.get(key);
      if (!answer) {
        const currentLeader = leaderOf(topicId, partitionIndex);
        const records = Buffer.alloc(0);
        answer = {
          topicId,
          partitionIndex,
          errorCode: 0,
          acknowledgeErrorCode: 0,
          currentLeader,
          records,
          acquiredRecords: [],
        };
        answers.set(key, answer);
      }
      return answer;
    };
    for (const { topicId, partitions } of request.topics) {
      for (const { partitionIndex, partitionMaxBytes, acknowledgementBatches } of partitions) {
        session.targets.set(`${topicId}/${partitionIndex}`, partitionMaxBytes);
        if (acknowledgementBatches.length === 0) continue;
        const result = settle(context, group, memberId, topicId, partitionIndex, acknowledgementBatches);
        const answer = answerOf(topicId, partitionIndex);
        answer.acknowledgeErrorCode = result.errorCode;
        answer.acknowledgeErrorMessage = result.errorMessage;
      }
    }
    for (const { topicId, partitions } of request.forgottenTopicsData) {
      for (const index of partitions) session.targets.delete(`${topicId}/${index}`);
    }
    const respond = (): ShareFetchResponse => {
      const responses = new Map<string, PartitionData[]>();
      for (const { topicId, ...data } of answers.values()) {
        responses.set(topicId, [...(responses.get(topicId) ?? []), data]);
      }
      return {
        errorCode: 0,
        errorMessage: null,
        acquisitionLockTimeoutMs: services.lockDurationMs(group.id),
        responses: [...responses].map(([topicId, partitions]) => ({ topicId, partitions })),
        nodeEndpoints: [],
      };
    };
    if (request.shareSessionEpoch === CLOSES) {
      close(group, memberId);
      return respond();
    }
    // A request that only renews does not fetch.
    if (request.isRenewAck) return respond();
    const fetchOnce = (): boolean =>
      acquireAll(request, group, memberId, session, (topicId, index) => led(context, topicId, index), answerOf);
    if (fetchOnce() || answers.size > 0 || request.maxWaitMs <= 0) return respond();
    return waitFor(services.clock, request.maxWaitMs, context, watchedOf(cluster, group, session), fetchOnce).then(
      respond,
    );
  });
}

/** @returns whether there is something to tell */
function acquireAll(
  request: ShareFetchRequest,
  group: ShareGroup,
  memberId: string,
  session: ShareSession,
  led: (topicId: string, index: number) => Partition,
  answerOf: (topicId: string, index: number) => PartitionData,
): boolean {
  let left = request.maxRecords > 0 ? request.maxRecords : Number.MAX_SAFE_INTEGER;
  let bytes = request.maxBytes;
  let hasNews = false;
  for (const [key, partitionMaxBytes] of session.targets) {
    if (left <= 0 || bytes <= 0) break;
    const [topicId, index] = [key.slice(0, 22), Number(key.slice(23))];
    const { errorCode, errorMessage } = attempt(() => {
      const partition = led(topicId, index);
      if (partition.pause) return;
      const share = group.sharePartition(partition);
      const limit = partitionMaxBytes > 0 ? Math.min(bytes, partitionMaxBytes) : bytes;
      const acquired = share.acquire(memberId, left, limit, request.shareAcquireMode === STRICT);
      if (!acquired) return;
      const answer = answerOf(topicId, index);
      const read = partition.log.read(acquired.from, acquired.to, Number.MAX_SAFE_INTEGER, true);
      answer.records = read.slices;
      answer.acquiredRecords = acquired.ranges;
      for (const { firstOffset, lastOffset } of acquired.ranges) left -= lastOffset - firstOffset + 1;
      bytes -= read.bytes;
      hasNews = true;
    });
    if (errorCode !== ErrorCode.NONE) {
      Object.assign(answerOf(topicId, index), { errorCode, errorMessage });
      hasNews = true;
    }
  }
  return hasNews;
}

const watchedOf = (cluster: Cluster, group: ShareGroup, session: ShareSession) =>
  [...session.targets.keys()].flatMap((key) => {
    const partition = cluster.topicById(key.slice(0, 22))?.partitions[Number(key.slice(23))];
    return partition ? [group.sharePartition(partition)] : [];
  });

/** Waits until `look` finds something, time is up, or the client is gone. */
function waitFor(
  clock: Clock,
  maxWaitMs: number,
  { connection }: RequestContext,
  watched: ReturnType<typeof watchedOf>,
  look: () => boolean,
): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clock.clearTimeout(timer);
      for (const { waiters, partition } of watched) {
        waiters.delete(check);
        partition.log.waiters.delete(logWaiter);
      }
      connection.closed.signal.removeEventListener('abort', finish);
      resolve();
    };
    const check = (): void => {
      if (!connection.closed.signal.aborted && look()) finish();
    };
    const logWaiter: LogWaiter = { changed: check };
    const timer = clock.setTimeout(finish, maxWaitMs);
    for (const { waiters, partition } of watched) {
      waiters.add(check);
      partition.log.waiters.add(logWaiter);
    }
    connection.closed.signal.addEventListener('abort', finish, { once: true });
  });
}
