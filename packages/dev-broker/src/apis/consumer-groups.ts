import { randomBytes } from 'node:crypto';
import { type Authorizer, authorizedOperations } from '../authorize.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { assignors, type Partitions } from '../groups/assignors.ts';
import { ConsumerGroup, type ConsumerGroupOptions } from '../groups/consumer-group.ts';
import type { Group, GroupCoordinator } from '../groups/coordinator.ts';
import { RequestError } from '../protocol/errors.ts';
import {
  type Assignment,
  consumerGroupDescribe,
  type DescribedGroup,
} from '../protocol/messages/consumer-group-describe.ts';
import {
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  consumerGroupHeartbeat,
} from '../protocol/messages/consumer-group-heartbeat.ts';
import type { Registry, RequestContext } from './registry.ts';
import { attempt } from './topics.ts';

export interface ConsumerGroupServices {
  groups: GroupCoordinator;
  cluster: Cluster;
  authorizer: Authorizer;
  consumerGroups: ConsumerGroupOptions;
}

const invalid = (reason: string): never => {
  throw new RequestError('INVALID_REQUEST', reason);
};

export function registerConsumerGroups(registry: Registry, services: ConsumerGroupServices): void {
  const { groups, cluster, authorizer } = services;

  registry.on(consumerGroupHeartbeat, (request, context) => {
    let response: ConsumerGroupHeartbeatResponse | undefined;
    const failed = attempt(() => {
      groups.check(request.groupId, context.node);
      if (!authorizer.allows(context, 'READ', 'GROUP', request.groupId))
        throw new RequestError('GROUP_AUTHORIZATION_FAILED');
      checkRequest(request, context);
      const group = groupOf(services, request.groupId, request.memberEpoch === 0);
      const client = { id: context.clientId, host: `/${context.connection.remoteHost}` };
      response = group.heartbeat(request, client);
    });
    return (
      response ?? { ...failed, memberId: request.memberId, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null }
    );
  });

  registry.on(consumerGroupDescribe, (request, context) => ({
    groups: request.groupIds.map((groupId): DescribedGroup => {
      const managed = groups.get(groupId)?.managed;
      const failed = attempt(() => {
        groups.check(groupId, context.node);
        if (!(managed instanceof ConsumerGroup))
          throw new RequestError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`);
      });
      const operations = request.includeAuthorizedOperations
        ? authorizedOperations.group
        : authorizedOperations.unknown;
      const base = { ...failed, groupId, authorizedOperations: operations };
      if (!(managed instanceof ConsumerGroup) || failed.errorCode !== 0) {
        return { ...base, groupState: '', groupEpoch: 0, assignmentEpoch: 0, assignorName: '', members: [] };
      }
      const describe = (partitions: Partitions): Assignment => ({
        topicPartitions: [...partitions].map(([topicId, indexes]) => ({
          topicId,
          topicName: cluster.topicById(topicId)?.name ?? '',
          partitions: [...indexes],
        })),
      });
      return {
        ...base,
        groupState: managed.state,
        groupEpoch: managed.epoch,
        assignmentEpoch: managed.epoch,
        assignorName: managed.assignorName,
        members: [...managed.members.values()].map((member) => ({
          memberId: member.id,
          instanceId: member.instanceId,
          rackId: member.rackId,
          memberEpoch: member.epoch,
          clientId: member.clientId,
          clientHost: member.clientHost,
          subscribedTopicNames: member.topicNames,
          subscribedTopicRegex: member.topicPattern === '' ? null : member.topicPattern,
          assignment: describe(member.assigned),
          targetAssignment: describe(managed.targetOf(member.id)),
          memberType: 1,
        })),
      };
    }),
  }));
}

function checkRequest(request: ConsumerGroupHeartbeatRequest, context: RequestContext): void {
  const { memberId, memberEpoch, instanceId, serverAssignor, subscribedTopicNames, subscribedTopicRegex } = request;
  if (memberId === '') {
    // From version 1 on the member makes its id itself.
    if (context.version >= 1 || memberEpoch !== 0) invalid('MemberId can not be empty.');
    request.memberId = randomBytes(16).toString('base64url');
  }
  if (memberEpoch < -2) invalid(`MemberEpoch ${memberEpoch} is invalid.`);
  if (memberEpoch === -2 && instanceId === null) invalid('InstanceId can not be null.');
  if (instanceId === '') invalid('InstanceId can not be empty.');
  if (memberEpoch === 0) {
    if (request.rebalanceTimeoutMs === -1) invalid('RebalanceTimeoutMs must be provided in first request.');
    if (request.topicPartitions === null || request.topicPartitions.length > 0) {
      invalid('TopicPartitions must be empty when (re-)joining.');
    }
    if ((subscribedTopicNames === null || subscribedTopicNames.length === 0) && !subscribedTopicRegex) {
      invalid('Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.');
    }
  }
  if (serverAssignor !== null && !(serverAssignor in assignors)) {
    const reason = `ServerAssignor ${serverAssignor} is not supported. Supported assignors: ${Object.keys(assignors).join(', ')}.`;
    throw new RequestError('UNSUPPORTED_ASSIGNOR', reason);
  }
}

function groupOf(
  { groups, consumerGroups }: ConsumerGroupServices,
  groupId: string,
  mayCreate: boolean,
): ConsumerGroup {
  const known: Group | undefined = groups.get(groupId);
  if (known?.managed instanceof ConsumerGroup) return known.managed;
  const isTaken = known !== undefined && !groups.isEmpty(known);
  if (isTaken || (!known && !mayCreate)) {
    throw new RequestError(
      'GROUP_ID_NOT_FOUND',
      `Group ${groupId} is ${isTaken ? 'not a consumer group' : 'not found'}.`,
    );
  }
  if (known?.type === 'share') throw new RequestError('GROUP_ID_NOT_FOUND', `Group ${groupId} is a share group.`);
  if (!mayCreate) throw new RequestError('UNKNOWN_MEMBER_ID');
  const group = groups.getOrCreate(groupId);
  const managed = new ConsumerGroup(groupId, consumerGroups);
  group.type = 'consumer';
  group.managed = managed;
  return managed;
}
