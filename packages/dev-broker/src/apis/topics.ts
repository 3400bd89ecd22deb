import type { Authorizer } from '../authorize.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Topic } from '../cluster/topic.ts';
import { topicConfigs } from '../cluster/topic-configs.ts';
import { ErrorCode, RequestError } from '../protocol/errors.ts';
import { createPartitions } from '../protocol/messages/create-partitions.ts';
import { type CreatableTopic, type CreatableTopicResult, createTopics } from '../protocol/messages/create-topics.ts';
import { deleteTopics } from '../protocol/messages/delete-topics.ts';
import { listPartitionReassignments } from '../protocol/messages/list-partition-reassignments.ts';
import { ZERO_UUID } from '../protocol/reader.ts';
import { describeTopicConfigs } from './configs.ts';
import type { Registry, RequestContext } from './registry.ts';

export interface TopicServices {
  cluster: Cluster;
  authorizer: Authorizer;
}

/** Runs `action`; a RequestError becomes code and message. */
export function attempt(action: () => void): { errorCode: number; errorMessage: string | null } {
  try {
    action();
    return { errorCode: 0, errorMessage: null };
  } catch (error) {
    if (error instanceof RequestError) return { errorCode: error.code, errorMessage: error.message };
    throw error;
  }
}

export function registerTopics(registry: Registry, services: TopicServices): void {
  const { cluster, authorizer } = services;

  registry.on(createTopics, (request, context) => {
    const counts = new Map<string, number>();
    for (const { name } of request.topics) counts.set(name, (counts.get(name) ?? 0) + 1);
    const unique = request.topics.filter(
      ({ name }, index) => request.topics.findIndex((t) => t.name === name) === index,
    );
    return {
      topics: unique.map((wanted) => {
        if (counts.get(wanted.name)! > 1) {
          const errorMessage = 'Duplicate topic name.';
          return { name: wanted.name, errorCode: ErrorCode.INVALID_REQUEST, errorMessage, configs: null };
        }
        return createOne(services, wanted, request.validateOnly, context);
      }),
    };
  });

  registry.on(deleteTopics, (request, context) => {
    const wanted =
      context.version >= 6 ? request.topics : request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
    return {
      responses: wanted.map(({ name, topicId }) => {
        const topic = name === null ? cluster.topicById(topicId) : cluster.topics.get(name);
        const result = attempt(() => {
          if (name !== null && topicId !== ZERO_UUID)
            throw new RequestError('INVALID_REQUEST', 'Give a name or an id, not both');
          if (!topic) throw new RequestError(name === null ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION');
          if (!authorizer.allows(context, 'DELETE', 'TOPIC', topic.name))
            throw new RequestError('TOPIC_AUTHORIZATION_FAILED');
          cluster.deleteTopic(topic);
        });
        return { name: name ?? topic?.name ?? null, topicId: topic?.id ?? topicId, ...result };
      }),
    };
  });

  registry.on(createPartitions, (request, context) => ({
    results: request.topics.map((wanted) => ({
      name: wanted.name,
      ...attempt(() => {
        const topic = cluster.topics.get(wanted.name);
        if (!topic) throw new RequestError('UNKNOWN_TOPIC_OR_PARTITION');
        if (!authorizer.allows(context, 'ALTER', 'TOPIC', topic.name))
          throw new RequestError('TOPIC_AUTHORIZATION_FAILED');
        const current = topic.partitions.length;
        if (wanted.count <= current) {
          const reason =
            wanted.count === current
              ? `Topic already has ${current} partition(s).`
              : `The topic ${wanted.name} currently has ${current} partition(s); ${wanted.count} would not be an increase.`;
          throw new RequestError('INVALID_PARTITIONS', reason);
        }
        if (wanted.count > 10_000) throw new RequestError('INVALID_PARTITIONS', 'At most 10000 partitions a topic');
        const assignments = wanted.assignments?.map(({ brokerIds }) => brokerIds);
        if (assignments) checkAssignments(cluster, assignments, wanted.count - current);
        if (!request.validateOnly) cluster.addPartitions(topic, wanted.count, assignments);
      }),
    })),
  }));

  // Nothing is ever being moved.
  registry.on(listPartitionReassignments, () => ({ errorCode: 0, errorMessage: null, topics: [] }));
}

function checkAssignments(cluster: Cluster, assignments: readonly number[][], partitions: number): void {
  if (assignments.length !== partitions) {
    throw new RequestError(
      'INVALID_REPLICA_ASSIGNMENT',
      `Attempted to add ${partitions} additional partition(s), but only ${assignments.length} assignment(s) were specified.`,
    );
  }
  const known = new Set(cluster.nodes.map(({ id }) => id));
  for (const brokers of assignments) {
    if (brokers.length === 0 || new Set(brokers).size !== brokers.length || !brokers.every((id) => known.has(id))) {
      throw new RequestError(
        'INVALID_REPLICA_ASSIGNMENT',
        `The assignment [${brokers}] names no, unknown or repeated brokers`,
      );
    }
  }
}

function createOne(
  { cluster, authorizer }: TopicServices,
  wanted: CreatableTopic,
  validateOnly: boolean,
  context: RequestContext,
): CreatableTopicResult {
  let topic: Topic | undefined;
  let partitions = wanted.numPartitions === -1 ? cluster.options.defaultPartitions : wanted.numPartitions;
  const result = attempt(() => {
    if (!authorizer.allows(context, 'CREATE', 'TOPIC', wanted.name))
      throw new RequestError('TOPIC_AUTHORIZATION_FAILED');
    cluster.checkNewTopic(wanted.name);
    let assignments: number[][] | undefined;
    if (wanted.assignments.length > 0) {
      if (wanted.numPartitions !== -1 || wanted.replicationFactor !== -1) {
        const reason = 'Partition count and replication factor must be -1 where an assignment is given.';
        throw new RequestError('INVALID_REQUEST', reason);
      }
      partitions = wanted.assignments.length;
      assignments = [];
      for (const { partitionIndex, brokerIds } of wanted.assignments) assignments[partitionIndex] = brokerIds;
      if (Object.keys(assignments).length !== partitions || assignments.length !== partitions) {
        throw new RequestError(
          'INVALID_REPLICA_ASSIGNMENT',
          'Partitions should be a consecutive 0-based integer sequence',
        );
      }
      checkAssignments(cluster, assignments, partitions);
    } else {
      if (partitions < 1) {
        throw new RequestError('INVALID_PARTITIONS', 'Number of partitions was set to an invalid non-positive value.');
      }
      const factor = wanted.replicationFactor === -1 ? cluster.nodes.length : wanted.replicationFactor;
      if (factor < 1 || factor > cluster.nodes.length) {
        throw new RequestError(
          'INVALID_REPLICATION_FACTOR',
          `Unable to replicate the partition ${wanted.replicationFactor} time(s): only ${cluster.nodes.length} broker(s) are registered.`,
        );
      }
    }
    const configs = new Map<string, string>();
    for (const { name, value } of wanted.configs) {
      if (value === null)
        throw new RequestError('INVALID_CONFIG', `Null value not supported for topic config: ${name}`);
      configs.set(name, value);
    }
    topic = cluster.createTopic(wanted.name, partitions, configs, assignments, undefined, validateOnly);
  });
  if (!topic) return { name: wanted.name, configs: null, numPartitions: -1, replicationFactor: -1, ...result };
  const configs = describeTopicConfigs(topic, Object.keys(topicConfigs)).map(
    ({ name, value, isDefault, source, isSensitive }) => ({
      name,
      value,
      readOnly: false,
      configSource: isDefault ? 5 : source,
      isSensitive,
    }),
  );
  const replicationFactor = topic.partitions[0]?.replicas.length ?? cluster.nodes.length;
  return { name: wanted.name, topicId: topic.id, numPartitions: partitions, replicationFactor, configs, ...result };
}
