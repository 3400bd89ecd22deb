import type { Api } from '../protocol/schema.ts';

/** APIs whose handlers ask for faults partition by partition. */
export const partitionedApis = new Set([
  'Produce',
  'Fetch',
  'ListOffsets',
  'OffsetForLeaderEpoch',
  'DeleteRecords',
  'Metadata',
  'OffsetCommit',
  'OffsetFetch',
  'TxnOffsetCommit',
  'ShareFetch',
  'ShareAcknowledge',
]);

type Struct = Record<string, unknown>;

/** APIs that answer item by item: the request's items, the answer's, and the fields that name an item. */
const itemized: Record<string, { from: string; to: string; keep: readonly string[] }> = {
  CreateTopics: { from: 'topics', to: 'topics', keep: ['name'] },
  DeleteTopics: { from: 'topics', to: 'responses', keep: ['name', 'topicId'] },
  CreatePartitions: { from: 'topics', to: 'results', keep: ['name'] },
  DescribeGroups: { from: 'groups', to: 'groups', keep: ['groupId'] },
  ConsumerGroupDescribe: { from: 'groupIds', to: 'groups', keep: ['groupId'] },
  ShareGroupDescribe: { from: 'groupIds', to: 'groups', keep: ['groupId'] },
  DeleteGroups: { from: 'groupsNames', to: 'results', keep: ['groupId'] },
  FindCoordinator: { from: 'coordinatorKeys', to: 'coordinators', keep: ['key'] },
  DescribeConfigs: { from: 'resources', to: 'results', keep: ['resourceType', 'resourceName'] },
  AlterConfigs: { from: 'resources', to: 'responses', keep: ['resourceType', 'resourceName'] },
  IncrementalAlterConfigs: { from: 'resources', to: 'responses', keep: ['resourceType', 'resourceName'] },
  DescribeTransactions: { from: 'transactionalIds', to: 'transactionStates', keep: ['transactionalId'] },
};

/** An answer that says this error for all of a request; fields that are not there get their defaults when written. */
export function errorAnswer(api: Api<unknown, unknown>, request: unknown, errorCode: number): unknown {
  const items = itemized[api.name];
  if (!items) return { errorCode };
  const wanted = ((request as Struct)[items.from] ?? []) as unknown[];
  const answers = wanted.map((item) => {
    const kept = items.keep.map((field) => [
      field,
      typeof item === 'object' && item !== null ? (item as Struct)[field] : item,
    ]);
    return { ...Object.fromEntries(kept), errorCode };
  });
  return { errorCode, nodeId: -1, port: -1, [items.to]: answers };
}
