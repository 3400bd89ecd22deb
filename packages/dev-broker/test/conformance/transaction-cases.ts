import assert from 'node:assert/strict';
import { BatchView, controlType } from '@headrace/kafka-records';
import { addOffsetsToTxn } from '../../src/protocol/messages/add-offsets-to-txn.ts';
import { addPartitionsToTxn } from '../../src/protocol/messages/add-partitions-to-txn.ts';
import { describeProducers } from '../../src/protocol/messages/describe-producers.ts';
import { describeTransactions } from '../../src/protocol/messages/describe-transactions.ts';
import { endTxn } from '../../src/protocol/messages/end-txn.ts';
import { initProducerId } from '../../src/protocol/messages/init-producer-id.ts';
import { listOffsets } from '../../src/protocol/messages/list-offsets.ts';
import { listTransactions } from '../../src/protocol/messages/list-transactions.ts';
import { metadata } from '../../src/protocol/messages/metadata.ts';
import { offsetFetch } from '../../src/protocol/messages/offset-fetch.ts';
import { produce } from '../../src/protocol/messages/produce.ts';
import { txnOffsetCommit } from '../../src/protocol/messages/txn-offset-commit.ts';
import type { RawClient } from '../raw-client.ts';
import type { Case } from './case.ts';
import { batchOf, connectTo, coordinatorReady, fetchFrom, newTopic, produceTo, settled } from './helpers.ts';

interface Producer {
  producerId: number;
  producerEpoch: number;
}

const initialize = async (client: RawClient, transactionalId: string | null, version = 4, before?: Producer) =>
  settled(() =>
    client.send(initProducerId, version, {
      transactionalId,
      transactionTimeoutMs: 30_000,
      producerId: before?.producerId ?? -1,
      producerEpoch: before?.producerEpoch ?? -1,
    }),
  ) as Promise<Producer & { errorCode: number }>;

const add = async (client: RawClient, transactionalId: string, producer: Producer, topic: string) => {
  const ask = async () => {
    const answer = await client.send(addPartitionsToTxn, 3, {
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: producer.producerId,
      v3AndBelowProducerEpoch: producer.producerEpoch,
      v3AndBelowTopics: [{ name: topic, partitions: [0] }],
    });
    return { errorCode: answer.resultsByTopicV3AndBelow![0]!.resultsByPartition[0]!.partitionErrorCode };
  };
  return (await settled(ask)).errorCode;
};

const end = (client: RawClient, transactionalId: string, producer: Producer, committed: boolean, version = 4) =>
  settled(() => client.send(endTxn, version, { transactionalId, ...producer, committed }));

const write = async (
  client: RawClient,
  transactionalId: string,
  topic: string,
  producer: Producer,
  baseSequence: number,
) =>
  produceTo(client, topic, batchOf(['a', 'b'], { ...producer, baseSequence, isTransactional: true }), {
    transactionalId,
    version: 9,
  });

/** Control records come behind the answer to EndTxn on Apache Kafka. */
const until = async (client: RawClient, topic: string, endOffset: number) => {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const data = await fetchFrom(client, topic, 0, { isolationLevel: 1, maxWaitMs: 100 });
    if (data.lastStableOffset === endOffset) return data;
    assert.ok(Date.now() < deadline, `last stable offset ${data.lastStableOffset}, not ${endOffset}`);
  }
};

export const transactionCases: Case[] = [
  {
    name: 'readers of committed records stop at an open transaction, and hear of aborted ones',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const id = target.name('transaction');
      await coordinatorReady(client, id, 1);
      const producer = await initialize(client, id);
      assert.equal(producer.errorCode, 0);
      assert.equal((await write(client, id, topic, producer, 0)).errorCode, 48);
      assert.equal(await add(client, id, producer, topic), 0);
      assert.equal((await write(client, id, topic, producer, 0)).errorCode, 0);
      const open = await fetchFrom(client, topic, 0, { isolationLevel: 1, maxWaitMs: 0 });
      assert.deepEqual([open.highWatermark, open.lastStableOffset, (open.records as Buffer).length], [2, 0, 0]);
      const dirty = await fetchFrom(client, topic, 0);
      assert.ok((dirty.records as Buffer).length > 0);
      const latest = await client.send(listOffsets, 7, {
        replicaId: -1,
        isolationLevel: 1,
        topics: [{ name: topic, partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1 }] }],
      });
      assert.equal(latest.topics[0]!.partitions[0]!.offset, 0);
      const producers = await client.send(describeProducers, 0, { topics: [{ name: topic, partitionIndexes: [0] }] });
      const [active] = producers.topics[0]!.partitions[0]!.activeProducers;
      assert.deepEqual([active!.lastSequence, active!.currentTxnStartOffset], [1, 0]);
      assert.equal((await end(client, id, producer, false)).errorCode, 0);
      const aborted = await until(client, topic, 3);
      assert.deepEqual(
        aborted.abortedTransactions!.map(({ firstOffset }) => firstOffset),
        [0],
      );
      const bytes = aborted.records as Buffer;
      const marker = new BatchView(bytes, new BatchView(bytes).size);
      assert.deepEqual(
        [marker.isControl, controlType(marker), marker.producerId],
        [true, 'abort', producer.producerId],
      );

      assert.equal(await add(client, id, producer, topic), 0);
      assert.equal((await write(client, id, topic, producer, 2)).errorCode, 0);
      assert.equal((await end(client, id, producer, true)).errorCode, 0);
      const committed = await until(client, topic, 6);
      assert.equal(committed.abortedTransactions!.length, 1);
    },
  },
  {
    name: 'a new producer of the same id fences its predecessor and aborts what it left open',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const id = target.name('transaction');
      await coordinatorReady(client, id, 1);
      const old = await initialize(client, id);
      await add(client, id, old, topic);
      await write(client, id, topic, old, 0);
      const next = await initialize(client, id);
      assert.equal(next.producerId, old.producerId);
      assert.ok(next.producerEpoch > old.producerEpoch);
      const data = await until(client, topic, 3);
      assert.equal(data.abortedTransactions!.length, 1);
      assert.equal(await add(client, id, old, topic), 90);
      assert.equal((await end(client, id, old, true)).errorCode, 90);
      assert.equal((await write(client, id, topic, old, 2)).errorCode, 47);
      assert.equal((await end(client, id, next, true)).errorCode, 48);
      assert.equal((await end(client, id, { ...next, producerId: 999_999 }, true)).errorCode, 49);
      assert.equal(
        (
          await client.send(initProducerId, 4, {
            transactionalId: id,
            transactionTimeoutMs: 99_999_999,
            producerId: -1,
            producerEpoch: -1,
          })
        ).errorCode,
        50,
      );
    },
  },
  {
    name: 'transactions of version 2: partitions join by being written, each end brings a new epoch',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const topicId = (await client.send(metadata, 12, { topics: [{ name: topic }] })).topics[0]!.topicId!;
      const id = target.name('transaction');
      await coordinatorReady(client, id, 1);
      const producer = await initialize(client, id, 5);
      const send = async (who: Producer, baseSequence: number) => {
        const ask = async () => {
          const records = batchOf(['a'], {
            producerId: who.producerId,
            producerEpoch: who.producerEpoch,
            baseSequence,
            isTransactional: true,
          });
          const answer = await client.send(produce, 13, {
            transactionalId: id,
            acks: -1,
            timeoutMs: 5000,
            topicData: [{ topicId, partitionData: [{ index: 0, records }] }],
          });
          return answer.responses[0]!.partitionResponses[0]!;
        };
        return settled(ask);
      };
      assert.equal((await send(producer, 0)).errorCode, 0);
      const described = await client.send(describeTransactions, 0, { transactionalIds: [id] });
      assert.equal(described.transactionStates[0]!.transactionState, 'Ongoing');
      assert.deepEqual(described.transactionStates[0]!.topics, [{ topic, partitions: [0] }]);
      const listed = await client.send(listTransactions, 1, { stateFilters: ['Ongoing'], durationFilter: -1 });
      assert.ok(listed.transactionStates.some(({ transactionalId }) => transactionalId === id));
      const ended = await end(client, id, producer, true, 5);
      assert.deepEqual(
        [ended.errorCode, ended.producerId, ended.producerEpoch],
        [0, producer.producerId, producer.producerEpoch + 1],
      );
      await until(client, topic, 2);
      const next = { producerId: ended.producerId!, producerEpoch: ended.producerEpoch! };
      assert.equal((await send(producer, 1)).errorCode, 47);
      assert.equal((await send(next, 0)).errorCode, 0);
      const aborted = await end(client, id, next, false, 5);
      assert.equal(aborted.producerEpoch, next.producerEpoch + 1);
      assert.equal((await until(client, topic, 4)).abortedTransactions!.length, 1);
    },
  },
  {
    name: 'offsets of a transaction count when it commits, and are unstable until then',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const id = target.name('transaction');
      const groupId = target.name('group');
      await coordinatorReady(client, id, 1);
      await coordinatorReady(client, groupId);
      const committed = async (requireStable: boolean) => {
        const { groups } = await client.send(offsetFetch, 8, {
          groups: [{ groupId, topics: [{ name: topic, partitionIndexes: [0] }] }],
          requireStable,
        });
        const { errorCode, committedOffset } = groups![0]!.topics![0]!.partitions![0]!;
        return [errorCode, committedOffset];
      };
      for (const [isCommit, expected] of [
        [false, -1],
        [true, 9],
      ] as const) {
        const producer = await initialize(client, id);
        const added = await settled(() =>
          client.send(addOffsetsToTxn, 3, {
            transactionalId: id,
            producerId: producer.producerId,
            producerEpoch: producer.producerEpoch,
            groupId,
          }),
        );
        assert.equal(added.errorCode, 0);
        const sent = await client.send(txnOffsetCommit, 3, {
          transactionalId: id,
          groupId,
          producerId: producer.producerId,
          producerEpoch: producer.producerEpoch,
          generationId: -1,
          memberId: '',
          groupInstanceId: null,
          topics: [
            {
              name: topic,
              partitions: [{ partitionIndex: 0, committedOffset: 9, committedLeaderEpoch: -1, committedMetadata: '' }],
            },
          ],
        });
        assert.equal(sent.topics[0]!.partitions[0]!.errorCode, 0);
        assert.deepEqual(await committed(true), [88, -1]);
        assert.deepEqual(await committed(false), [0, -1]);
        assert.equal((await end(client, id, producer, isCommit)).errorCode, 0);
        const deadline = Date.now() + 10_000;
        while ((await committed(true))[0] === 88) assert.ok(Date.now() < deadline);
        assert.deepEqual(await committed(true), [0, expected]);
      }
    },
  },
];
