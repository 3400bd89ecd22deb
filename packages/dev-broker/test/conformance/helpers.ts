import assert from 'node:assert/strict';
import { type BatchInput, writeBatch } from '@headrace/kafka-records';
import { createTopics } from '../../src/protocol/messages/create-topics.ts';
import { fetch, type PartitionData } from '../../src/protocol/messages/fetch.ts';
import { findCoordinator } from '../../src/protocol/messages/find-coordinator.ts';
import { metadata } from '../../src/protocol/messages/metadata.ts';
import { type PartitionProduceResponse, produce } from '../../src/protocol/messages/produce.ts';
import { RawClient } from '../raw-client.ts';
import type { Target } from './case.ts';

export const batchOf = (values: readonly string[], extra: Partial<BatchInput> = {}): Buffer =>
  writeBatch({ records: values.map((value) => ({ key: 'k', value, timestamp: Date.now() })), ...extra });

/** Creates a topic of the target and waits until it can be used. */
export async function newTopic(
  client: RawClient,
  target: Target,
  partitions = 1,
  configs: Record<string, string> = {},
): Promise<string> {
  const name = target.name('topic');
  const { topics } = await client.send(createTopics, 5, {
    topics: [
      {
        name,
        numPartitions: partitions,
        replicationFactor: 1,
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
      },
    ],
    timeoutMs: 10_000,
  });
  assert.equal(topics[0]!.errorCode, 0, topics[0]!.errorMessage ?? '');
  // Apache Kafka knows a topic before it can be read.
  const deadline = Date.now() + 10_000;
  for (;;) {
    const answer = await client.send(metadata, 9, { topics: [{ name }] });
    if (answer.topics[0]!.errorCode === 0 && answer.topics[0]!.partitions.every(({ leaderId }) => leaderId! >= 0)) {
      const probe = await fetchFrom(client, name, 0, { maxWaitMs: 0 });
      if (probe.errorCode === 0) return name;
    }
    assert.ok(Date.now() < deadline, `topic ${name} cannot be used`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function produceTo(
  client: RawClient,
  topic: string,
  records: Buffer,
  options: { partition?: number; acks?: number; version?: number; transactionalId?: string | null } = {},
): Promise<PartitionProduceResponse> {
  const { partition = 0, acks = -1, version = 9, transactionalId = null } = options;
  const response = await client.send(produce, version, {
    transactionalId,
    acks,
    timeoutMs: 10_000,
    topicData: [{ name: topic, partitionData: [{ index: partition, records }] }],
  });
  return response.responses[0]!.partitionResponses[0]!;
}

export async function fetchFrom(
  client: RawClient,
  topic: string,
  fetchOffset: number,
  options: {
    partition?: number;
    maxWaitMs?: number;
    minBytes?: number;
    maxBytes?: number;
    partitionMaxBytes?: number;
    isolationLevel?: number;
    version?: number;
    currentLeaderEpoch?: number;
  } = {},
): Promise<PartitionData> {
  const { partition = 0, version = 12, currentLeaderEpoch = -1 } = options;
  const response = await client.send(fetch, version, {
    replicaId: -1,
    maxWaitMs: options.maxWaitMs ?? 1000,
    minBytes: options.minBytes ?? 1,
    maxBytes: options.maxBytes ?? 10_000_000,
    isolationLevel: options.isolationLevel ?? 0,
    sessionId: 0,
    sessionEpoch: -1,
    topics: [
      {
        topic,
        partitions: [
          {
            partition,
            currentLeaderEpoch,
            fetchOffset,
            lastFetchedEpoch: -1,
            partitionMaxBytes: options.partitionMaxBytes ?? 10_000_000,
          },
        ],
      },
    ],
  });
  assert.equal(response.errorCode, 0);
  return response.responses[0]!.partitions[0]!;
}

/** Waits until the group's coordinator answers: on Apache Kafka its topic is made when it is first asked for. */
export async function coordinatorReady(client: RawClient, key: string, keyType = 0): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const { coordinators } = await client.send(findCoordinator, 4, { keyType, coordinatorKeys: [key] });
    if (coordinators![0]!.errorCode === 0) return;
    assert.ok(Date.now() < deadline, 'no coordinator');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Asks again while the coordinator is loading (14), not available (15) or not here yet (16). */
export async function settled<T extends { errorCode?: number }>(ask: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (![14, 15, 16, 51].includes(answer.errorCode ?? 0)) return answer;
    assert.ok(Date.now() < deadline, `error ${answer.errorCode} does not go away`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export const connectTo = (target: Target): Promise<RawClient> => RawClient.connect(target.bootstrapServers);
