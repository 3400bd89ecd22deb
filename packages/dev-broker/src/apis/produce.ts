import { BATCH_HEADER_BYTES, BatchView, RecordsError } from '@headrace/kafka-records';
import type { Authorizer } from '../authorize.ts';
import type { Clock } from '../clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Partition } from '../cluster/topic.ts';
import type { PartitionFaults } from '../faults/partition-faults.ts';
import { prepareBatch } from '../log/prepare-batch.ts';
import { ErrorCode, RequestError } from '../protocol/errors.ts';
import { type PartitionProduceData, type PartitionProduceResponse, produce } from '../protocol/messages/produce.ts';
import type { Registry, RequestContext } from './registry.ts';

/** What a produce request asks of the transaction coordinator. */
export interface ProduceTransactions {
  /** @throws RequestError when the partition is not part of the producer's open transaction and may not become so. */
  checkProduce(transactionalId: string | null, batch: BatchView, partition: Partition, mayAdd: boolean): void;
}

export interface ProduceServices {
  clock: Clock;
  cluster: Cluster;
  authorizer: Authorizer;
  transactions: ProduceTransactions;
  faults: PartitionFaults;
}

const ZSTD = 4;

export function registerProduce(registry: Registry, services: ProduceServices): void {
  registry.on(produce, (request, context) => {
    const { acks } = request;
    const areAcksValid = acks === 0 || acks === 1 || acks === -1;
    let hasError = false;
    const pauses: Promise<void>[] = [];
    const responses = request.topicData.map((topicData) => {
      const topic =
        context.version >= 13
          ? services.cluster.topicById(topicData.topicId)
          : services.cluster.topics.get(topicData.name);
      const unknown = context.version >= 13 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
      const partitionResponses: PartitionProduceResponse[] = [];
      for (const data of topicData.partitionData) {
        const answer: PartitionProduceResponse = { index: data.index, errorCode: 0, baseOffset: -1 };
        partitionResponses.push(answer);
        const partition = topic?.partitions[data.index];
        const attempt = (): void => {
          if (partition === undefined) answer.errorCode = topic ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : unknown;
          else if (!areAcksValid) answer.errorCode = ErrorCode.INVALID_REQUIRED_ACKS;
          else produceOne(services, request.transactionalId, partition, data, context, answer);
          hasError ||= answer.errorCode !== 0;
        };
        const pause = partition?.pause ?? partition?.slowness?.wait();
        if (pause) pauses.push(pause.then(attempt));
        else attempt();
      }
      return { name: topicData.name, topicId: topicData.topicId, partitionResponses };
    });
    const finish = () => {
      // Without acknowledgements an error can only be told by hanging up.
      if (acks === 0) return hasError ? ('close' as const) : null;
      return { responses };
    };
    return pauses.length === 0 ? finish() : Promise.all(pauses).then(finish);
  });
}

function produceOne(
  services: ProduceServices,
  transactionalId: string | null,
  partition: Partition,
  data: PartitionProduceData,
  context: RequestContext,
  answer: PartitionProduceResponse,
): void {
  try {
    if (!services.authorizer.allows(context, 'WRITE', 'TOPIC', partition.topic.name)) {
      throw new RequestError('TOPIC_AUTHORIZATION_FAILED');
    }
    services.faults.checkPartition(context, partition.topic.name, partition.index);
    if (partition.leader !== context.node.id) throw new RequestError('NOT_LEADER_OR_FOLLOWER');
    const batch = data.records as Buffer | null;
    if (batch === null || batch.length < BATCH_HEADER_BYTES) {
      throw new RequestError('INVALID_RECORD', 'Produce requests must have exactly one record batch per partition');
    }
    const view = validate(batch, context.version);
    const { log, topic } = partition;
    if (batch.length > topic.config.maxMessageBytes) {
      throw new RequestError(
        'MESSAGE_TOO_LARGE',
        `The record batch size in the append is ${batch.length} bytes which exceeds the maximum configured value of ${topic.config.maxMessageBytes}.`,
      );
    }
    answer.logStartOffset = log.startOffset;
    if (view.producerId >= 0) {
      const repeated = log.producers.check(view);
      if (repeated) {
        answer.baseOffset = repeated.baseOffset;
        answer.logAppendTimeMs = topic.config.usesLogAppendTime ? repeated.timestamp : -1;
        return;
      }
      if (view.isTransactional) {
        services.transactions.checkProduce(transactionalId, view, partition, context.version >= 12);
      }
    }
    const now = services.clock.now();
    const prepared = prepareBatch(batch, view, topic.config, now);
    answer.baseOffset = log.append(prepared, partition.leaderEpoch, now);
    answer.logAppendTimeMs = topic.config.usesLogAppendTime ? now : -1;
    if (log.size - (log.segments[0]?.size ?? 0) >= topic.config.retentionBytes) trim(partition);
  } catch (error) {
    if (error instanceof RequestError) {
      answer.errorCode = error.code;
      answer.errorMessage = error.message;
    } else if (error instanceof RecordsError) {
      answer.errorCode = error.code === 'CORRUPT' ? ErrorCode.CORRUPT_MESSAGE : ErrorCode.INVALID_RECORD;
      answer.errorMessage = error.message;
    } else throw error;
  }
}

/** Bytes beyond the topic's retention go at once instead of at the next sweep, since memory holds them. */
function trim({ log, topic }: Partition): void {
  if (!topic.config.isDeleted) return;
  while (log.segments.length > 1 && log.size - log.segments[0]!.size >= topic.config.retentionBytes) {
    log.dropOldestSegment();
  }
}

function validate(batch: Buffer, version: number): BatchView {
  const view = new BatchView(batch);
  if (view.magic !== 2) {
    const reason = `Produce requests with version ${version} are only allowed to contain record batches with magic version 2`;
    throw new RequestError('INVALID_RECORD', reason);
  }
  view.validate(batch.length);
  if (view.size !== batch.length) {
    const reason = `Produce requests with version ${version} are only allowed to contain exactly one record batch per partition`;
    throw new RequestError('INVALID_RECORD', reason);
  }
  if (!view.isCrcValid) throw new RequestError('CORRUPT_MESSAGE', 'Record is corrupt: the checksum differs');
  if (view.isControl) throw new RequestError('INVALID_RECORD', 'Clients are not allowed to write control records');
  if (view.count < 1 || view.count !== view.lastOffsetDelta + 1) {
    throw new RequestError(
      'INVALID_RECORD',
      `The batch has ${view.count} records in ${view.lastOffsetDelta + 1} offsets`,
    );
  }
  if ((view.attributes & 7) === ZSTD && version < 7) {
    throw new RequestError('UNSUPPORTED_COMPRESSION_TYPE', `Produce version ${version} does not know zstd`);
  }
  if (view.isTransactional && view.producerId < 0) {
    throw new RequestError('INVALID_RECORD', 'A transactional batch needs a producer id');
  }
  if (view.producerId >= 0 && (view.baseSequence < 0 || view.producerEpoch < 0)) {
    throw new RequestError('INVALID_RECORD', 'An idempotent batch needs a sequence and an epoch');
  }
  return view;
}
