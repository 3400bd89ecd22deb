import { type Authorizer, authorizedOperations } from '../authorize.ts';
import type { Cluster, Node } from '../cluster/cluster.ts';
import type { Partition, Topic } from '../cluster/topic.ts';
import { topicNameProblem } from '../cluster/topic.ts';
import type { PartitionFaults } from '../faults/partition-faults.ts';
import { ErrorCode, RequestError } from '../protocol/errors.ts';
import { describeCluster } from '../protocol/messages/describe-cluster.ts';
import { describeTopicPartitions } from '../protocol/messages/describe-topic-partitions.ts';
import { type MetadataResponseTopic, metadata } from '../protocol/messages/metadata.ts';
import { ZERO_UUID } from '../protocol/reader.ts';
import type { Registry, RequestContext } from './registry.ts';
import { attempt } from './topics.ts';

export interface MetadataServices {
  cluster: Cluster;
  authorizer: Authorizer;
  faults: PartitionFaults;
}

const describeNode = ({ id, host, port, rack }: Node) => ({ nodeId: id, host, port, rack });

/** Replicas on stopped nodes are offline and out of sync. */
const describePartition = (partition: Partition, live: ReadonlySet<number>) => ({
  errorCode: partition.leader < 0 ? ErrorCode.LEADER_NOT_AVAILABLE : 0,
  partitionIndex: partition.index,
  leaderId: partition.leader,
  leaderEpoch: partition.leaderEpoch,
  replicaNodes: partition.replicas,
  isrNodes: partition.replicas.filter((id) => live.has(id)),
  offlineReplicas: partition.replicas.filter((id) => !live.has(id)),
});

export function registerMetadata(registry: Registry, services: MetadataServices): void {
  const { cluster, authorizer, faults } = services;

  registry.on(metadata, (request, context) => {
    const operations = request.includeTopicAuthorizedOperations
      ? authorizedOperations.topic
      : authorizedOperations.unknown;
    const live = new Set(cluster.live.map(({ id }) => id));
    const describe = (topic: Topic): MetadataResponseTopic => ({
      errorCode: attempt(() => faults.checkPartition(context, topic.name, -1)).errorCode,
      name: topic.name,
      topicId: topic.id,
      isInternal: topic.isInternal,
      partitions: topic.partitions.map((partition) => describePartition(partition, live)),
      topicAuthorizedOperations: operations,
    });
    // Version 0 has no null: there the empty list stands for all.
    const wantsAll = request.topics === null || (context.version === 0 && request.topics.length === 0);
    const topics = wantsAll
      ? [...cluster.topics.values()]
          .filter((topic) => authorizer.allows(context, 'DESCRIBE', 'TOPIC', topic.name))
          .map(describe)
      : request.topics!.map(({ name, topicId }) =>
          describeWanted(services, context, name, topicId, request.allowAutoTopicCreation, describe),
        );
    return {
      brokers: cluster.live.map(describeNode),
      clusterId: cluster.options.clusterId,
      controllerId: cluster.controller.id,
      topics,
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
        ? authorizedOperations.cluster
        : authorizedOperations.unknown,
    };
  });

  registry.on(describeCluster, (request) => ({
    errorCode: 0,
    errorMessage: null,
    endpointType: request.endpointType,
    clusterId: cluster.options.clusterId,
    controllerId: cluster.controller.id,
    brokers: cluster.live.map(({ id, host, port, rack }) => ({ brokerId: id, host, port, rack, isFenced: false })),
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
      ? authorizedOperations.cluster
      : authorizedOperations.unknown,
  }));

  registry.on(describeTopicPartitions, (request) => {
    const names = request.topics.length > 0 ? request.topics.map(({ name }) => name) : [...cluster.topics.keys()];
    names.sort();
    const live = new Set(cluster.live.map(({ id }) => id));
    let left = request.responsePartitionLimit;
    let nextCursor: { topicName: string; partitionIndex: number } | null = null;
    const topics = [];
    for (const name of names) {
      if (request.cursor && name < request.cursor.topicName) continue;
      if (left <= 0) {
        nextCursor = { topicName: name, partitionIndex: 0 };
        break;
      }
      const topic = cluster.topics.get(name);
      if (!topic) {
        topics.push({
          errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
          name,
          topicId: ZERO_UUID,
          isInternal: false,
          partitions: [],
          topicAuthorizedOperations: authorizedOperations.unknown,
        });
        continue;
      }
      const from = request.cursor?.topicName === name ? Math.max(request.cursor.partitionIndex, 0) : 0;
      const partitions = topic.partitions.slice(from, from + left).map((partition) => ({
        ...describePartition(partition, live),
        eligibleLeaderReplicas: [],
        lastKnownElr: [],
      }));
      left -= partitions.length;
      topics.push({
        errorCode: 0,
        name,
        topicId: topic.id,
        isInternal: topic.isInternal,
        partitions,
        topicAuthorizedOperations: authorizedOperations.topic,
      });
      if (from + partitions.length < topic.partitions.length) {
        nextCursor = { topicName: name, partitionIndex: from + partitions.length };
        break;
      }
    }
    return { topics, nextCursor };
  });
}

function describeWanted(
  { cluster, authorizer }: MetadataServices,
  context: RequestContext,
  name: string | null,
  topicId: string,
  mayCreate: boolean,
  describe: (topic: Topic) => MetadataResponseTopic,
): MetadataResponseTopic {
  const missing = (errorCode: number): MetadataResponseTopic => ({
    errorCode,
    name,
    topicId,
    isInternal: false,
    partitions: [],
    topicAuthorizedOperations: authorizedOperations.unknown,
  });
  if (name === null || (topicId !== ZERO_UUID && name === '')) {
    const topic = cluster.topicById(topicId);
    return topic ? describe(topic) : missing(ErrorCode.UNKNOWN_TOPIC_ID);
  }
  if (!authorizer.allows(context, 'DESCRIBE', 'TOPIC', name)) return missing(ErrorCode.TOPIC_AUTHORIZATION_FAILED);
  const topic = cluster.topics.get(name);
  if (topic) return describe(topic);
  if (topicNameProblem(name)) return missing(ErrorCode.INVALID_TOPIC_EXCEPTION);
  // Before version 4 the request cannot say whether it may create; then the broker's setting decides alone.
  if (!cluster.options.autoCreateTopics || !(mayCreate || context.version < 4)) {
    return missing(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  }
  try {
    return describe(cluster.createTopic(name, cluster.options.defaultPartitions));
  } catch (error) {
    if (error instanceof RequestError) return missing(error.code);
    throw error;
  }
}
