import { randomBytes } from 'node:crypto';
import { type Authorizer, authorizedOperations } from '../authorize.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { assignors, type Partitions } from '../groups/assignors.ts';
import { ConsumerGroup, type ConsumerGroupOptions } from '../groups/consumer-group.ts';
import type { Group, GroupCoordinator } from '../groups/coordinator.ts';
import { adoptable, toClassicGroup } from '../groups/mixed-group.ts';
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
  consumerGroups: Omit<ConsumerGroupOptions, 'changed' | 'allClassic'>;
}

const MemberType = { CLASSIC: 0, CONSUMER: 1 } as const;

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
          memberType: member.classic ? MemberType.CLASSIC : MemberType.CONSUMER,
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

function groupOf(services: ConsumerGroupServices, groupId: string, mayCreate: boolean): ConsumerGroup {
  const { groups, cluster } = services;
  const known: Group | undefined = groups.get(groupId);
  if (known?.managed instanceof ConsumerGroup) return known.managed;
  if (known?.type === 'share') throw new RequestError('GROUP_ID_NOT_FOUND', `Group ${groupId} is a share group.`);
  if (!known && !mayCreate) throw new RequestError('GROUP_ID_NOT_FOUND', `Group ${groupId} is not found.`);
  if (!known || groups.isEmpty(known)) {
    if (!mayCreate) throw new RequestError('UNKNOWN_MEMBER_ID');
    return consumerGroupOf(services, groupId);
  }
  const adopted = mayCreate ? adoptable(known.classic, cluster) : undefined;
  if (!adopted) throw new RequestError('GROUP_ID_NOT_FOUND', `Group ${groupId} is not a consumer group.`);
  const { generation } = known.classic;
  const managed = consumerGroupOf(services, groupId);
  managed.adopt(generation, adopted);
  return managed;
}

/** The group of this id as one of this protocol, made if need be. Members of the classic one are gone, if there were any. */
export function consumerGroupOf(services: ConsumerGroupServices, groupId: string): ConsumerGroup {
  const { groups, cluster, consumerGroups } = services;
  const group = groups.getOrCreate(groupId);
  if (group.managed instanceof ConsumerGroup) return group.managed;
  const managed = new ConsumerGroup(groupId, {
    ...consumerGroups,
    changed: (id) => groups.membersChanged(id),
    allClassic: (left) => {
      const members = toClassicGroup(left, cluster);
      groups.toClassic(group);
      group.classic.restore(members);
      group.classic.rebalance();
      groups.membersChanged(groupId);
    },
  });
  groups.toManaged(group, 'consumer', managed);
  return managed;
}
