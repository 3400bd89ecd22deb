import { type Authorizer, authorizedOperations } from '../authorize.ts';
import { joinError, syncError } from '../groups/classic-errors.ts';
import { ConsumerGroup } from '../groups/consumer-group.ts';
import type { Group, GroupCoordinator } from '../groups/coordinator.ts';
import { heartbeat as heartbeatInMixed, join as joinMixed, sync as syncInMixed } from '../groups/mixed-group.ts';
import { ErrorCode, type ErrorName, RequestError } from '../protocol/errors.ts';
import { deleteGroups } from '../protocol/messages/delete-groups.ts';
import { type DescribedGroup, describeGroups } from '../protocol/messages/describe-groups.ts';
import { type Coordinator, findCoordinator } from '../protocol/messages/find-coordinator.ts';
import { heartbeat } from '../protocol/messages/heartbeat.ts';
import { joinGroup } from '../protocol/messages/join-group.ts';
import { leaveGroup, type MemberIdentity } from '../protocol/messages/leave-group.ts';
import { listGroups } from '../protocol/messages/list-groups.ts';
import { syncGroup } from '../protocol/messages/sync-group.ts';
import type { Registry, RequestContext } from './registry.ts';
import { attempt } from './topics.ts';

export interface GroupServices {
  groups: GroupCoordinator;
  authorizer: Authorizer;
}

const KeyType = { GROUP: 0, TRANSACTION: 1, SHARE: 2 } as const;

const toErrorName = (error: unknown): ErrorName => {
  if (!(error instanceof RequestError)) throw error;
  return Object.entries(ErrorCode).find(([, code]) => code === error.code)![0] as ErrorName;
};

export function registerGroups(registry: Registry, services: GroupServices): void {
  const { groups, authorizer } = services;

  const checkMembership = (groupId: string, context: RequestContext): void => {
    groups.check(groupId, context.node);
    if (!authorizer.allows(context, 'READ', 'GROUP', groupId)) throw new RequestError('GROUP_AUTHORIZATION_FAILED');
  };

  registry.on(findCoordinator, (request, context) => {
    const find = (key: string): Coordinator => {
      const missing = { key, nodeId: -1, host: '', port: -1 };
      if (request.keyType === KeyType.SHARE && key.split(':').length < 3) {
        return {
          ...missing,
          errorCode: ErrorCode.INVALID_REQUEST,
          errorMessage: 'a share key is group:topicId:partition',
        };
      }
      const isGroup = request.keyType !== KeyType.TRANSACTION;
      const type = isGroup ? 'GROUP' : 'TRANSACTIONAL_ID';
      if (!authorizer.allows(context, 'DESCRIBE', type, key)) {
        const name = isGroup ? 'GROUP_AUTHORIZATION_FAILED' : 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED';
        return { ...missing, errorCode: ErrorCode[name], errorMessage: name };
      }
      const { id, host, port } = groups.coordinatorOf(isGroup ? 'group' : 'transaction', key);
      return { key, nodeId: id, host, port, errorCode: 0, errorMessage: null };
    };
    if (context.version >= 4) return { coordinators: request.coordinatorKeys.map(find) };
    return { ...find(request.key), coordinators: [] };
  });

  registry.on(joinGroup, (request, context) => {
    const { groupId, memberId, sessionTimeoutMs } = request;
    try {
      checkMembership(groupId, context);
      const { minimumSessionTimeoutMs, maximumSessionTimeoutMs } = groups.options;
      if (sessionTimeoutMs < minimumSessionTimeoutMs || sessionTimeoutMs > maximumSessionTimeoutMs) {
        throw new RequestError('INVALID_SESSION_TIMEOUT');
      }
      if (!groups.get(groupId) && memberId !== '') throw new RequestError('UNKNOWN_MEMBER_ID');
      const group = groups.getOrCreate(groupId);
      // Before version 1 the rebalance timeout is the session timeout.
      if (request.rebalanceTimeoutMs < 0) request.rebalanceTimeoutMs = sessionTimeoutMs;
      const client = {
        id: context.clientId,
        host: `/${context.connection.remoteHost}`,
        requiresKnownMemberId: context.version >= 4,
      };
      if (group.managed && groups.isEmpty(group)) groups.toClassic(group);
      if (group.managed instanceof ConsumerGroup) {
        const answer = joinMixed(group.managed, request, client, groups.options.cluster);
        if (answer !== 'classic') return answer;
      } else if (group.managed) throw new RequestError('INCONSISTENT_GROUP_PROTOCOL');
      return group.classic.join(request, client);
    } catch (error) {
      return joinError(toErrorName(error), memberId);
    }
  });

  registry.on(syncGroup, (request, context) => {
    try {
      checkMembership(request.groupId, context);
      const group = groups.get(request.groupId);
      if (group?.managed instanceof ConsumerGroup) return syncInMixed(group.managed, request, groups.options.cluster);
      if (group?.type !== 'classic') return syncError('UNKNOWN_MEMBER_ID');
      return group.classic.sync(request);
    } catch (error) {
      return syncError(toErrorName(error));
    }
  });

  registry.on(heartbeat, (request, context) =>
    attempt(() => {
      checkMembership(request.groupId, context);
      const { memberId, groupInstanceId, generationId } = request;
      const group = groups.get(request.groupId);
      if (group?.managed instanceof ConsumerGroup) {
        heartbeatInMixed(group.managed, memberId, groupInstanceId, generationId);
        return;
      }
      if (group?.type !== 'classic') throw new RequestError('UNKNOWN_MEMBER_ID');
      const result = group.classic.heartbeat(memberId, groupInstanceId, generationId);
      if (result !== 'NONE') throw new RequestError(result);
    }),
  );

  registry.on(leaveGroup, (request, context) => {
    const leave = ({ memberId, groupInstanceId }: MemberIdentity) => {
      const { errorCode } = attempt(() => leaveOne(groups.get(request.groupId), memberId, groupInstanceId));
      return { memberId, groupInstanceId, errorCode };
    };
    const result = attempt(() => checkMembership(request.groupId, context));
    if (result.errorCode !== 0) return { errorCode: result.errorCode, members: [] };
    if (context.version >= 3) return { errorCode: 0, members: request.members.map(leave) };
    const { errorCode } = leave({ memberId: request.memberId, groupInstanceId: null, reason: null });
    return { errorCode, members: [] };
  });

  registry.on(listGroups, (request, context) => {
    const states = request.statesFilter.map((state) => state.toLowerCase());
    const types = request.typesFilter.map((type) => type.toLowerCase());
    const listed = [];
    for (const group of groups.groups.values()) {
      if (groups.coordinatorOf('group', group.id) !== context.node) continue;
      if (!authorizer.allows(context, 'DESCRIBE', 'GROUP', group.id)) continue;
      const groupState = groups.stateOf(group);
      if (states.length > 0 && !states.includes(groupState.toLowerCase())) continue;
      if (types.length > 0 && !types.includes(group.type)) continue;
      const groupType = { classic: 'classic', consumer: 'consumer', share: 'share' }[group.type];
      listed.push({ groupId: group.id, protocolType: protocolTypeOf(group), groupState, groupType });
    }
    return { errorCode: 0, groups: listed };
  });

  registry.on(describeGroups, (request, context) => ({
    groups: request.groups.map((groupId): DescribedGroup => {
      const group = groups.get(groupId);
      const base = { groupId, protocolType: '', protocolData: '', members: [] };
      const operations = request.includeAuthorizedOperations
        ? authorizedOperations.group
        : authorizedOperations.unknown;
      const checked = attempt(() => groups.check(groupId, context.node));
      if (checked.errorCode !== 0) return { ...base, groupState: '', ...checked, authorizedOperations: operations };
      if (group?.type !== 'classic') {
        const isModern = context.version >= 6;
        return {
          ...base,
          groupState: 'Dead',
          errorCode: isModern ? ErrorCode.GROUP_ID_NOT_FOUND : 0,
          errorMessage: isModern ? `Group ${groupId} ${group ? 'is not a classic group' : 'not found'}.` : null,
          authorizedOperations: operations,
        };
      }
      const { classic } = group;
      const isStable = classic.state === 'Stable';
      return {
        errorCode: 0,
        errorMessage: null,
        groupId,
        groupState: classic.state,
        protocolType: classic.protocolType,
        protocolData: isStable ? (classic.protocolName ?? '') : '',
        members: [...classic.members.values()].map((member) => ({
          memberId: member.id,
          groupInstanceId: member.instanceId,
          clientId: member.clientId,
          clientHost: member.clientHost,
          memberMetadata: isStable ? member.metadataOf(classic.protocolName) : Buffer.alloc(0),
          memberAssignment: isStable ? member.assignment : Buffer.alloc(0),
        })),
        authorizedOperations: operations,
      };
    }),
  }));

  registry.on(deleteGroups, (request, context) => ({
    results: request.groupsNames.map((groupId) => {
      const { errorCode } = attempt(() => {
        groups.check(groupId, context.node);
        if (!authorizer.allows(context, 'DELETE', 'GROUP', groupId))
          throw new RequestError('GROUP_AUTHORIZATION_FAILED');
        groups.delete(groupId);
      });
      return { groupId, errorCode };
    }),
  }));
}

const protocolTypeOf = (group: Group): string =>
  group.type === 'share' ? 'share' : group.type === 'consumer' ? 'consumer' : group.classic.protocolType;

function leaveOne(group: Group | undefined, memberId: string, instanceId: string | null): void {
  if (group?.type !== 'classic') {
    const { managed } = group ?? {};
    if (managed instanceof ConsumerGroup && instanceId !== null) {
      const current = managed.staticMember(instanceId);
      if (!current) throw new RequestError('UNKNOWN_MEMBER_ID');
      if (memberId !== '' && memberId !== current.id) throw new RequestError('FENCED_INSTANCE_ID');
      managed.remove(current);
      return;
    }
    // The Java admin client takes members of the newer protocol out the same way.
    if (managed?.expire(memberId)) return;
    throw new RequestError('UNKNOWN_MEMBER_ID');
  }
  const { classic } = group;
  if (instanceId !== null) {
    const current = classic.staticMembers.get(instanceId);
    if (current === undefined) throw new RequestError('UNKNOWN_MEMBER_ID');
    if (memberId !== '' && memberId !== current) throw new RequestError('FENCED_INSTANCE_ID');
    classic.remove(current);
    return;
  }
  if (!classic.remove(memberId)) throw new RequestError('UNKNOWN_MEMBER_ID');
}
