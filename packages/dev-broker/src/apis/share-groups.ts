import { type Authorizer, authorizedOperations } from '../authorize.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { GroupCoordinator } from '../groups/coordinator.ts';
import { ShareGroup, type ShareGroupOptions } from '../groups/share-group.ts';
import { ErrorCode, RequestError } from '../protocol/errors.ts';
import { alterShareGroupOffsets } from '../protocol/messages/alter-share-group-offsets.ts';
import { deleteShareGroupOffsets } from '../protocol/messages/delete-share-group-offsets.ts';
import { describeShareGroupOffsets } from '../protocol/messages/describe-share-group-offsets.ts';
import { type DescribedGroup, shareGroupDescribe } from '../protocol/messages/share-group-describe.ts';
import { type ShareGroupHeartbeatResponse, shareGroupHeartbeat } from '../protocol/messages/share-group-heartbeat.ts';
import { ZERO_UUID } from '../protocol/reader.ts';
import type { Registry } from './registry.ts';
import { attempt } from './topics.ts';

export interface ShareGroupServices {
  groups: GroupCoordinator;
  cluster: Cluster;
  authorizer: Authorizer;
  shareGroups: Omit<ShareGroupOptions, 'changed'>;
}

/** The share group of this id, made if need be. @throws RequestError GROUP_ID_NOT_FOUND when it is of another kind */
export function shareGroupOf(
  { groups, shareGroups }: Pick<ShareGroupServices, 'groups' | 'shareGroups'>,
  groupId: string,
): ShareGroup {
  const known = groups.get(groupId);
  if (known?.managed instanceof ShareGroup) return known.managed;
  // Ids are not shared between the kinds of groups, also when empty.
  if (known && (known.managed || !known.classic.isEmpty || !known.offsets.isEmpty)) {
    throw new RequestError('GROUP_ID_NOT_FOUND', `Group ${groupId} is not a share group.`);
  }
  const group = groups.getOrCreate(groupId);
  const managed = new ShareGroup(groupId, { ...shareGroups, changed: (id) => groups.membersChanged(id) });
  groups.toManaged(group, 'share', managed);
  return managed;
}

export function registerShareGroups(registry: Registry, services: ShareGroupServices): void {
  const { groups, cluster, authorizer } = services;
  const existing = (groupId: string): ShareGroup => {
    const managed = groups.get(groupId)?.managed;
    if (!(managed instanceof ShareGroup)) throw new RequestError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`);
    return managed;
  };

  registry.on(shareGroupHeartbeat, (request, context) => {
    let response: ShareGroupHeartbeatResponse | undefined;
    const failed = attempt(() => {
      const { groupId, memberId, memberEpoch, subscribedTopicNames } = request;
      groups.check(groupId, context.node);
      if (!authorizer.allows(context, 'READ', 'GROUP', groupId)) throw new RequestError('GROUP_AUTHORIZATION_FAILED');
      if (memberId === '') throw new RequestError('INVALID_REQUEST', 'MemberId can not be empty.');
      if (memberEpoch < -1) throw new RequestError('INVALID_REQUEST', `MemberEpoch ${memberEpoch} is invalid.`);
      if (memberEpoch === 0 && (subscribedTopicNames === null || subscribedTopicNames.length === 0)) {
        throw new RequestError('INVALID_REQUEST', 'SubscribedTopicNames must be set in first request.');
      }
      const group = memberEpoch === 0 ? shareGroupOf(services, groupId) : existing(groupId);
      response = group.heartbeat(request, { id: context.clientId, host: `/${context.connection.remoteHost}` });
    });
    return (
      response ?? { ...failed, memberId: request.memberId, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null }
    );
  });

  registry.on(shareGroupDescribe, (request, context) => ({
    groups: request.groupIds.map((groupId): DescribedGroup => {
      let group: ShareGroup | undefined;
      const failed = attempt(() => {
        groups.check(groupId, context.node);
        group = existing(groupId);
      });
      const operations = request.includeAuthorizedOperations
        ? authorizedOperations.group
        : authorizedOperations.unknown;
      const base = { ...failed, groupId, authorizedOperations: operations };
      if (!group) return { ...base, groupState: '', groupEpoch: 0, assignmentEpoch: 0, assignorName: '', members: [] };
      return {
        ...base,
        groupState: group.state,
        groupEpoch: group.epoch,
        assignmentEpoch: group.epoch,
        assignorName: 'simple',
        members: [...group.members.values()].map((member) => ({
          memberId: member.id,
          rackId: member.rackId,
          memberEpoch: member.epoch,
          clientId: member.clientId,
          clientHost: member.clientHost,
          subscribedTopicNames: member.topicNames,
          assignment: {
            topicPartitions: [...member.assigned].map(([topicId, indexes]) => ({
              topicId,
              topicName: cluster.topicById(topicId)?.name ?? '',
              partitions: [...indexes],
            })),
          },
        })),
      };
    }),
  }));

  registry.on(describeShareGroupOffsets, (request, context) => ({
    groups: request.groups.map(({ groupId, topics }) => {
      let group: ShareGroup | undefined;
      const failed = attempt(() => {
        groups.check(groupId, context.node);
        group = existing(groupId);
      });
      if (!group) return { groupId, topics: [], ...failed };
      const known = group.partitions;
      const names =
        topics ??
        [...new Set([...known.keys()].map(({ topic }) => topic.name))].map((topicName) => ({
          topicName,
          partitions: [...known.keys()].filter(({ topic }) => topic.name === topicName).map(({ index }) => index),
        }));
      return {
        groupId,
        ...failed,
        topics: names.map(({ topicName, partitions }) => ({
          topicName,
          topicId: cluster.topics.get(topicName)?.id ?? ZERO_UUID,
          partitions: partitions.map((partitionIndex) => {
            const partition = cluster.partition(topicName, partitionIndex);
            if (!partition) {
              const errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
              return { partitionIndex, startOffset: -1, leaderEpoch: 0, errorCode, errorMessage: null };
            }
            const share = known.get(partition);
            return {
              partitionIndex,
              startOffset: share?.startOffset ?? -1,
              leaderEpoch: share ? partition.leaderEpoch : 0,
              lag: share?.lag ?? -1,
              errorCode: 0,
              errorMessage: null,
            };
          }),
        })),
      };
    }),
  }));

  registry.on(alterShareGroupOffsets, (request, context) => {
    let group: ShareGroup | undefined;
    const failed = attempt(() => {
      groups.check(request.groupId, context.node);
      group = shareGroupOf(services, request.groupId);
      if (!group.isEmpty) throw new RequestError('NON_EMPTY_GROUP');
    });
    if (failed.errorCode !== 0 || !group) return { ...failed, responses: [] };
    const known = group;
    const responses = request.topics.map(({ topicName, partitions }) => ({
      topicName,
      topicId: cluster.topics.get(topicName)?.id ?? ZERO_UUID,
      partitions: partitions.map(({ partitionIndex, startOffset }) => ({
        partitionIndex,
        ...attempt(() => {
          const partition = cluster.partition(topicName, partitionIndex);
          if (!partition) throw new RequestError('UNKNOWN_TOPIC_OR_PARTITION');
          known.reset(partition, startOffset);
        }),
      })),
    }));
    return { ...failed, responses };
  });

  registry.on(deleteShareGroupOffsets, (request, context) => {
    let group: ShareGroup | undefined;
    const failed = attempt(() => {
      groups.check(request.groupId, context.node);
      group = existing(request.groupId);
      if (!group.isEmpty) throw new RequestError('NON_EMPTY_GROUP');
    });
    if (failed.errorCode !== 0 || !group) return { ...failed, responses: [] };
    const known = group;
    const responses = request.topics.map(({ topicName }) => {
      const topic = cluster.topics.get(topicName);
      for (const partition of topic?.partitions ?? []) known.forget(partition);
      const errorCode = topic ? 0 : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
      return { topicName, topicId: topic?.id ?? ZERO_UUID, errorCode, errorMessage: null };
    });
    return { ...failed, responses };
  });
}
