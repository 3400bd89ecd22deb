import type { Authorizer } from '../authorize.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { PartitionFaults } from '../faults/partition-faults.ts';
import type { Group, GroupCoordinator } from '../groups/coordinator.ts';
import { GroupOffsets } from '../groups/offsets.ts';
import { ErrorCode, type ErrorName, RequestError } from '../protocol/errors.ts';
import { type OffsetCommitRequest, offsetCommit } from '../protocol/messages/offset-commit.ts';
import { offsetDelete } from '../protocol/messages/offset-delete.ts';
import { offsetFetch } from '../protocol/messages/offset-fetch.ts';
import { ZERO_UUID } from '../protocol/reader.ts';
import type { Registry } from './registry.ts';
import { attempt } from './topics.ts';

export interface GroupOffsetServices {
  groups: GroupCoordinator;
  cluster: Cluster;
  authorizer: Authorizer;
  faults: PartitionFaults;
}

interface WantedTopic {
  name: string;
  topicId?: string;
  partitionIndexes: number[];
}

/** A group of a newer protocol that checks who commits or reads offsets. */
export interface ChecksMembers {
  /** @throws RequestError UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH */
  checkMember(memberId: string, epoch: number, instanceId: string | null): void;
  /** The same, but an older epoch is left to `commitProblem`. @throws RequestError UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH */
  checkCommitter(memberId: string, epoch: number, instanceId: string | null): void;
  /** Why the member may not commit for this partition under this epoch, or undefined. */
  commitProblem(memberId: string, epoch: number, topicId: string, index: number): ErrorName | undefined;
}

const checksMembers = (managed: unknown): managed is ChecksMembers =>
  typeof managed === 'object' && managed !== null && 'checkMember' in managed;

export function registerGroupOffsets(registry: Registry, services: GroupOffsetServices): void {
  const { groups, cluster, authorizer, faults } = services;

  registry.on(offsetCommit, (request, context) => {
    let group: Group | undefined;
    const checked = attempt(() => {
      groups.check(request.groupId, context.node, true);
      if (!authorizer.allows(context, 'READ', 'GROUP', request.groupId))
        throw new RequestError('GROUP_AUTHORIZATION_FAILED');
      group = checkCommit(groups, request, context.version);
    });
    const committedAt = services.groups.options.clock.now();
    // Versions 2 to 4 may say how long.
    const { retentionTimeMs } = request;
    const expiry = retentionTimeMs >= 0 ? { expiresAt: committedAt + retentionTimeMs } : {};
    return {
      topics: request.topics.map(({ name, topicId, partitions }) => {
        const topic = context.version >= 10 ? cluster.topicById(topicId) : cluster.topics.get(name);
        const unknown = context.version >= 10 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
        return {
          name,
          topicId,
          partitions: partitions.map((position) => {
            const { partitionIndex, committedOffset, committedLeaderEpoch } = position;
            const metadata = position.committedMetadata ?? '';
            let { errorCode } = checked;
            if (errorCode !== 0 || !group) return { partitionIndex, errorCode };
            const purpose = attempt(() => faults.checkPartition(context, topic?.name ?? name, partitionIndex));
            const problem = topic && commitProblem(group, request, topic.id, partitionIndex);
            if (purpose.errorCode !== 0) errorCode = purpose.errorCode;
            else if (!topic) errorCode = unknown;
            else if (problem) errorCode = ErrorCode[problem];
            else if (!authorizer.allows(context, 'READ', 'TOPIC', topic.name))
              errorCode = ErrorCode.TOPIC_AUTHORIZATION_FAILED;
            else if (!topic.partitions[partitionIndex]) errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
            else if (Buffer.byteLength(metadata) > groups.options.maximumMetadataBytes) {
              errorCode = ErrorCode.OFFSET_METADATA_TOO_LARGE;
            } else {
              const leaderEpoch = committedLeaderEpoch;
              group.offsets.set(topic.name, partitionIndex, {
                offset: committedOffset,
                leaderEpoch,
                metadata,
                committedAt,
                ...expiry,
              });
            }
            return { partitionIndex, errorCode };
          }),
        };
      }),
    };
  });

  registry.on(offsetFetch, (request, context) => {
    const fetchGroup = (
      groupId: string,
      topics: readonly WantedTopic[] | null,
      memberId: string | null,
      memberEpoch: number,
    ) => {
      const checked = attempt(() => {
        groups.check(groupId, context.node, true);
        if (!authorizer.allows(context, 'DESCRIBE', 'GROUP', groupId))
          throw new RequestError('GROUP_AUTHORIZATION_FAILED');
        const managed = groups.get(groupId)?.managed;
        if (checksMembers(managed) && memberId && memberEpoch >= 0) managed.checkMember(memberId, memberEpoch, null);
      });
      if (checked.errorCode !== 0) return { groupId, errorCode: checked.errorCode, topics: [] };
      const offsets = groups.get(groupId)?.offsets ?? new GroupOffsets();
      const wanted: readonly WantedTopic[] =
        topics ??
        [...offsets.positions].map(([name, partitions]) => ({ name, partitionIndexes: [...partitions.keys()] }));
      return {
        groupId,
        errorCode: 0,
        topics: wanted.map((topic) => {
          const usesIds = context.version >= 10 && topics !== null;
          const name = usesIds ? cluster.topicById(topic.topicId ?? ZERO_UUID)?.name : topic.name;
          const topicId = (name === undefined ? undefined : cluster.topics.get(name)?.id) ?? topic.topicId ?? ZERO_UUID;
          return {
            name: name ?? '',
            topicId,
            partitions: topic.partitionIndexes.map((partitionIndex) => {
              const position = name === undefined ? undefined : offsets.get(name, partitionIndex);
              const isUnstable = request.requireStable && name !== undefined && offsets.isPending(name, partitionIndex);
              const purpose = attempt(() => faults.checkPartition(context, name ?? '', partitionIndex));
              const errorCode =
                purpose.errorCode !== 0
                  ? purpose.errorCode
                  : name === undefined
                    ? ErrorCode.UNKNOWN_TOPIC_ID
                    : isUnstable
                      ? ErrorCode.UNSTABLE_OFFSET_COMMIT
                      : ErrorCode.NONE;
              const isKnown = position !== undefined && errorCode === 0;
              return {
                partitionIndex,
                committedOffset: isKnown ? position.offset : -1,
                committedLeaderEpoch: isKnown ? position.leaderEpoch : -1,
                metadata: isKnown ? position.metadata : '',
                errorCode,
              };
            }),
          };
        }),
      };
    };
    if (context.version >= 8) {
      return {
        groups: request.groups.map(({ groupId, topics, memberId, memberEpoch }) =>
          fetchGroup(groupId, topics, memberId, memberEpoch),
        ),
      };
    }
    const { topics, errorCode } = fetchGroup(request.groupId, request.topics, null, -1);
    if (errorCode === 0 || context.version >= 2) return { topics, errorCode, groups: [] };
    // Version 1 has no place for the error but the partitions.
    const failed = (request.topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => ({
        partitionIndex,
        committedOffset: -1,
        metadata: '',
        errorCode,
      })),
    }));
    return { topics: failed, errorCode, groups: [] };
  });

  registry.on(offsetDelete, (request, context) => {
    let group: Group | undefined;
    const { errorCode } = attempt(() => {
      groups.check(request.groupId, context.node);
      group = groups.get(request.groupId);
      if (!group) throw new RequestError('GROUP_ID_NOT_FOUND');
      if (!authorizer.allows(context, 'DELETE', 'GROUP', group.id))
        throw new RequestError('GROUP_AUTHORIZATION_FAILED');
      // Without knowing what its members read, no offset of theirs may go.
      const isConsumer = group.type === 'classic' && group.classic.protocolType === 'consumer';
      if (group.type === 'classic' && !group.classic.isEmpty && !isConsumer) throw new RequestError('NON_EMPTY_GROUP');
    });
    if (errorCode !== 0 || !group) return { errorCode, topics: [] };
    const { offsets } = group;
    const known = group;
    return {
      errorCode: 0,
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => {
          if (groups.isSubscribed(known, name))
            return { partitionIndex, errorCode: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC };
          offsets.delete(name, partitionIndex);
          return { partitionIndex, errorCode: 0 };
        }),
      })),
    };
  });
}

/**
 * The group that a commit goes to.
 *
 * @throws RequestError when it comes from nobody who may commit
 */
export function checkCommit(
  groups: GroupCoordinator,
  request: Pick<OffsetCommitRequest, 'groupId' | 'memberId' | 'groupInstanceId' | 'generationIdOrMemberEpoch'>,
  version: number,
): Group {
  const { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch: generation } = request;
  const known = groups.get(groupId);
  if (!known) {
    // An unknown group with a generation: the broker has forgotten it.
    if (generation >= 0) throw new RequestError(version >= 9 ? 'GROUP_ID_NOT_FOUND' : 'ILLEGAL_GENERATION');
    return groups.getOrCreate(groupId);
  }
  if (known.managed) {
    if (checksMembers(known.managed)) {
      if (!(generation < 0 && known.managed.isEmpty)) {
        known.managed.checkCommitter(memberId, generation, groupInstanceId);
      }
      return known;
    }
    throw new RequestError('GROUP_ID_NOT_FOUND', `Group ${groupId} is a share group`);
  }
  const { classic } = known;
  if (generation < 0 && classic.isEmpty) return known;
  if (generation >= 0 || memberId !== '' || groupInstanceId !== null) {
    const problem = classic.memberProblem(memberId, groupInstanceId);
    if (problem) throw new RequestError(problem);
    if (generation !== classic.generation) throw new RequestError('ILLEGAL_GENERATION');
  } else throw new RequestError('UNKNOWN_MEMBER_ID');
  if (classic.state === 'CompletingRebalance') throw new RequestError('REBALANCE_IN_PROGRESS');
  classic.touch(classic.members.get(memberId)!);
  return known;
}

/** Why who passed `checkCommit` may not commit for this partition, or undefined. */
export function commitProblem(
  { managed }: Group,
  request: Pick<OffsetCommitRequest, 'memberId' | 'generationIdOrMemberEpoch'>,
  topicId: string,
  index: number,
): ErrorName | undefined {
  if (!checksMembers(managed)) return undefined;
  return managed.commitProblem(request.memberId, request.generationIdOrMemberEpoch, topicId, index);
}
