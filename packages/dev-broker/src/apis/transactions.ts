import type { Authorizer } from '../authorize.ts';
import type { Cluster, Node } from '../cluster/cluster.ts';
import type { Partition } from '../cluster/topic.ts';
import type { PartitionFaults } from '../faults/partition-faults.ts';
import type { GroupCoordinator } from '../groups/coordinator.ts';
import { matchingNames } from '../groups/pattern.ts';
import { ErrorCode, RequestError } from '../protocol/errors.ts';
import { addOffsetsToTxn } from '../protocol/messages/add-offsets-to-txn.ts';
import { type AddPartitionsToTxnTopic, addPartitionsToTxn } from '../protocol/messages/add-partitions-to-txn.ts';
import { describeProducers, type PartitionResponse } from '../protocol/messages/describe-producers.ts';
import { describeTransactions } from '../protocol/messages/describe-transactions.ts';
import { endTxn } from '../protocol/messages/end-txn.ts';
import { initProducerId } from '../protocol/messages/init-producer-id.ts';
import { listTransactions } from '../protocol/messages/list-transactions.ts';
import { txnOffsetCommit } from '../protocol/messages/txn-offset-commit.ts';
import type { TransactionCoordinator } from '../transactions/coordinator.ts';
import { checkCommit, commitProblem } from './group-offsets.ts';
import type { Registry, RequestContext } from './registry.ts';
import { attempt } from './topics.ts';

export interface TransactionServices {
  cluster: Cluster;
  groups: GroupCoordinator;
  transactions: TransactionCoordinator;
  authorizer: Authorizer;
  faults: PartitionFaults;
}

/** Error of a partition that was fine in a request of which others were not. */
const OPERATION_NOT_ATTEMPTED = 55;

export function registerTransactions(registry: Registry, services: TransactionServices): void {
  const { cluster, groups, transactions, authorizer, faults } = services;

  const check = (transactionalId: string | null, context: RequestContext): void => {
    if (transactionalId === null) return;
    const node: Node = groups.coordinatorOf('transaction', transactionalId);
    if (node !== context.node) throw new RequestError('NOT_COORDINATOR');
    if (!authorizer.allows(context, 'WRITE', 'TRANSACTIONAL_ID', transactionalId)) {
      throw new RequestError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED');
    }
  };
  /** Older versions know a fenced producer under an older name. */
  const forVersion = (errorCode: number, context: RequestContext, since: number): number =>
    errorCode === ErrorCode.PRODUCER_FENCED && context.version < since ? ErrorCode.INVALID_PRODUCER_EPOCH : errorCode;

  registry.on(initProducerId, (request, context) => {
    let producer = { producerId: -1, epoch: -1 };
    const { errorCode } = attempt(() => {
      check(request.transactionalId, context);
      const { transactionalId, transactionTimeoutMs, producerId, producerEpoch } = request;
      producer = transactions.initialize(transactionalId, transactionTimeoutMs, producerId, producerEpoch);
    });
    return {
      errorCode: forVersion(errorCode, context, 4),
      producerId: producer.producerId,
      producerEpoch: producer.epoch,
    };
  });

  const addTopics = (
    transactionalId: string,
    producerId: number,
    producerEpoch: number,
    topics: readonly AddPartitionsToTxnTopic[],
    context: RequestContext,
  ) => {
    const partitions: Partition[] = [];
    let hasUnknown = false;
    for (const { name, partitions: indexes } of topics) {
      for (const index of indexes) {
        const partition = cluster.partition(name, index);
        if (partition) partitions.push(partition);
        else hasUnknown = true;
      }
    }
    const { errorCode } = attempt(() => {
      check(transactionalId, context);
      if (!hasUnknown) transactions.addPartitions(transactionalId, producerId, producerEpoch, partitions);
    });
    const failed = forVersion(errorCode, context, 2);
    return topics.map(({ name, partitions: indexes }) => ({
      name,
      resultsByPartition: indexes.map((partitionIndex) => {
        const isUnknown = !cluster.partition(name, partitionIndex);
        const unknown = isUnknown ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : OPERATION_NOT_ATTEMPTED;
        return { partitionIndex, partitionErrorCode: failed !== 0 ? failed : hasUnknown ? unknown : 0 };
      }),
    }));
  };

  registry.on(addPartitionsToTxn, (request, context) => {
    if (context.version < 4) {
      const { v3AndBelowTransactionalId: id, v3AndBelowProducerId, v3AndBelowProducerEpoch } = request;
      const topics = request.v3AndBelowTopics;
      const results = addTopics(id, v3AndBelowProducerId, v3AndBelowProducerEpoch, topics, context);
      return { errorCode: 0, resultsByTopicV3AndBelow: results, resultsByTransaction: [] };
    }
    return {
      errorCode: 0,
      resultsByTopicV3AndBelow: [],
      resultsByTransaction: request.transactions.map(({ transactionalId, producerId, producerEpoch, topics }) => ({
        transactionalId,
        topicResults: addTopics(transactionalId, producerId, producerEpoch, topics, context),
      })),
    };
  });

  registry.on(addOffsetsToTxn, (request, context) => {
    const { errorCode } = attempt(() => {
      check(request.transactionalId, context);
      transactions.addGroup(request.transactionalId, request.producerId, request.producerEpoch, request.groupId);
    });
    return { errorCode: forVersion(errorCode, context, 2) };
  });

  registry.on(txnOffsetCommit, (request, context) => {
    const { transactionalId, groupId, producerId, producerEpoch } = request;
    const { errorCode } = attempt(() => {
      groups.check(groupId, context.node);
      if (!authorizer.allows(context, 'READ', 'GROUP', groupId)) throw new RequestError('GROUP_AUTHORIZATION_FAILED');
      const { memberId, groupInstanceId, generationId } = request;
      // Who names no member (old clients, or an assignment of one's own) is not checked against the group.
      if (generationId >= 0 || memberId !== '') {
        const generationIdOrMemberEpoch = generationId;
        checkCommit(groups, { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch }, 0);
      }
      transactions.checkOffsets(transactionalId, producerId, producerEpoch, groupId, context.version >= 5);
    });
    const failed = errorCode === ErrorCode.PRODUCER_FENCED ? ErrorCode.INVALID_PRODUCER_EPOCH : errorCode;
    const committedAt = groups.options.clock.now();
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata }) => {
          const purpose = attempt(() => faults.checkPartition(context, name, partitionIndex));
          if (failed !== 0 || purpose.errorCode !== 0)
            return { partitionIndex, errorCode: failed || purpose.errorCode };
          const partition = cluster.partition(name, partitionIndex);
          if (!partition) return { partitionIndex, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION };
          const { memberId, generationId: generationIdOrMemberEpoch } = request;
          const group = groups.getOrCreate(groupId);
          const problem = commitProblem(
            group,
            { memberId, generationIdOrMemberEpoch },
            partition.topic.id,
            partitionIndex,
          );
          if (problem) return { partitionIndex, errorCode: ErrorCode[problem] };
          const metadata = committedMetadata ?? '';
          if (Buffer.byteLength(metadata) > groups.options.maximumMetadataBytes) {
            return { partitionIndex, errorCode: ErrorCode.OFFSET_METADATA_TOO_LARGE };
          }
          const position = { offset: committedOffset, leaderEpoch: committedLeaderEpoch, metadata, committedAt };
          group.offsets.setPending(producerId, name, partitionIndex, position);
          return { partitionIndex, errorCode: 0 };
        }),
      })),
    };
  });

  registry.on(endTxn, (request, context) => {
    let producer = { producerId: -1, epoch: -1 };
    const { errorCode } = attempt(() => {
      check(request.transactionalId, context);
      const { transactionalId, producerId, producerEpoch, committed } = request;
      producer = transactions.end(transactionalId, producerId, producerEpoch, committed, context.version >= 5);
    });
    return {
      errorCode: forVersion(errorCode, context, 2),
      producerId: producer.producerId,
      producerEpoch: producer.epoch,
    };
  });

  registry.on(listTransactions, (request, context) => {
    const now = groups.options.clock.now();
    const { stateFilters, producerIdFilters, durationFilter, transactionalIdPattern } = request;
    const known = ['Empty', 'Ongoing', 'PrepareCommit', 'PrepareAbort', 'CompleteCommit', 'CompleteAbort'];
    const ids = [...transactions.transactions.keys()];
    const matching = transactionalIdPattern ? matchingNames(transactionalIdPattern, ids) : ids;
    if (!matching) {
      return { errorCode: ErrorCode.INVALID_REGULAR_EXPRESSION, unknownStateFilters: [], transactionStates: [] };
    }
    const listed = [...transactions.transactions.values()].filter(
      ({ id, state, producerId, startedAt }) =>
        groups.coordinatorOf('transaction', id) === context.node &&
        (stateFilters.length === 0 || stateFilters.includes(state)) &&
        (producerIdFilters.length === 0 || producerIdFilters.includes(producerId)) &&
        (durationFilter < 0 || (startedAt >= 0 && now - startedAt > durationFilter)) &&
        matching.includes(id),
    );
    return {
      errorCode: 0,
      unknownStateFilters: stateFilters.filter((state) => !known.includes(state)),
      transactionStates: listed.map(({ id, producerId, state }) => ({
        transactionalId: id,
        producerId,
        transactionState: state,
      })),
    };
  });

  registry.on(describeTransactions, (request, context) => ({
    transactionStates: request.transactionalIds.map((transactionalId) => {
      const transaction = transactions.transactions.get(transactionalId);
      const { errorCode } = attempt(() => {
        check(transactionalId, context);
        if (!transaction) throw new RequestError('TRANSACTIONAL_ID_NOT_FOUND');
      });
      const topics = new Map<string, number[]>();
      for (const { topic, index } of transaction?.partitions ?? []) {
        topics.set(topic.name, [...(topics.get(topic.name) ?? []), index]);
      }
      return {
        errorCode,
        transactionalId,
        transactionState: transaction?.state ?? '',
        transactionTimeoutMs: transaction?.timeoutMs ?? 0,
        transactionStartTimeMs: transaction?.startedAt ?? -1,
        producerId: transaction?.producerId ?? -1,
        producerEpoch: transaction?.epoch ?? -1,
        topics: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
      };
    }),
  }));

  registry.on(describeProducers, (request, context) => ({
    topics: request.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex): PartitionResponse => {
        const partition = cluster.partition(name, partitionIndex);
        const result = attempt(() => {
          if (!partition) throw new RequestError('UNKNOWN_TOPIC_OR_PARTITION');
          if (partition.leader !== context.node.id) throw new RequestError('NOT_LEADER_OR_FOLLOWER');
        });
        if (result.errorCode !== 0 || !partition) return { partitionIndex, ...result, activeProducers: [] };
        const activeProducers = [...partition.log.producers.entries.values()].map((entry) => ({
          producerId: entry.producerId,
          producerEpoch: entry.epoch,
          lastSequence: entry.batches.at(-1)?.lastSequence ?? -1,
          lastTimestamp: entry.lastTimestamp,
          coordinatorEpoch: 0,
          currentTxnStartOffset: entry.transactionStart,
        }));
        return { partitionIndex, ...result, activeProducers };
      }),
    })),
  }));
}
