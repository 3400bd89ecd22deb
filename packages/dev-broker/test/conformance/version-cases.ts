import assert from 'node:assert/strict';
import { createHmac, pbkdf2Sync, randomUUID } from 'node:crypto';
import { addOffsetsToTxn } from '../../src/protocol/messages/add-offsets-to-txn.ts';
import { alterUserScramCredentials } from '../../src/protocol/messages/alter-user-scram-credentials.ts';
import { createPartitions } from '../../src/protocol/messages/create-partitions.ts';
import { createTopics } from '../../src/protocol/messages/create-topics.ts';
import { deleteGroups } from '../../src/protocol/messages/delete-groups.ts';
import { deleteRecords } from '../../src/protocol/messages/delete-records.ts';
import { deleteTopics } from '../../src/protocol/messages/delete-topics.ts';
import { describeUserScramCredentials } from '../../src/protocol/messages/describe-user-scram-credentials.ts';
import { endTxn } from '../../src/protocol/messages/end-txn.ts';
import { heartbeat } from '../../src/protocol/messages/heartbeat.ts';
import { apis } from '../../src/protocol/messages/index.ts';
import { initProducerId } from '../../src/protocol/messages/init-producer-id.ts';
import { joinGroup } from '../../src/protocol/messages/join-group.ts';
import { leaveGroup } from '../../src/protocol/messages/leave-group.ts';
import { metadata } from '../../src/protocol/messages/metadata.ts';
import { offsetFetch } from '../../src/protocol/messages/offset-fetch.ts';
import { syncGroup } from '../../src/protocol/messages/sync-group.ts';
import { txnOffsetCommit } from '../../src/protocol/messages/txn-offset-commit.ts';
import type { Api, ApiSchema } from '../../src/protocol/schema.ts';
import type { Case } from './case.ts';
import { batchOf, connectTo, coordinatorReady, newTopic, settled } from './helpers.ts';

/** Every `errorCode` within an answer. */
function* errorCodes(value: unknown): Generator<number> {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return;
  for (const [name, item] of Object.entries(value)) {
    if (name === 'errorCode') yield item as number;
    else yield* errorCodes(item);
  }
}

export const versionCases: Case[] = [
  {
    name: 'every version of every request that changes nothing is answered without an error',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const groupId = target.name('group');
      await coordinatorReady(client, groupId);
      const topicId = (await client.send(metadata, 12, { topics: [{ name: topic }] })).topics[0]!.topicId!;
      const partitions = [
        {
          partitionIndex: 0,
          partition: 0,
          index: 0,
          currentLeaderEpoch: -1,
          timestamp: -1,
          leaderEpoch: 0,
          fetchOffset: 0,
          partitionMaxBytes: 1000,
          lastFetchedEpoch: -1,
        },
      ];
      const requests: Record<string, Record<string, unknown>> = {
        Produce: {
          transactionalId: null,
          acks: -1,
          timeoutMs: 5000,
          topicData: [{ name: topic, topicId, partitionData: [{ index: 0, records: batchOf(['a']) }] }],
        },
        Fetch: {
          replicaId: -1,
          sessionEpoch: -1,
          maxWaitMs: 0,
          maxBytes: 1000,
          topics: [{ topic, topicId, partitions }],
        },
        ListOffsets: { replicaId: -1, topics: [{ name: topic, partitions }] },
        Metadata: { topics: [{ name: topic }], allowAutoTopicCreation: true },
        OffsetCommit: {
          groupId,
          generationIdOrMemberEpoch: -1,
          memberId: '',
          retentionTimeMs: -1,
          topics: [
            {
              name: topic,
              topicId,
              partitions: [{ partitionIndex: 0, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata: '' }],
            },
          ],
        },
        OffsetFetch: {
          groupId,
          topics: [{ name: topic, partitionIndexes: [0] }],
          groups: [
            { groupId, memberId: null, memberEpoch: -1, topics: [{ name: topic, topicId, partitionIndexes: [0] }] },
          ],
        },
        FindCoordinator: { key: groupId, keyType: 0, coordinatorKeys: [groupId] },
        DescribeGroups: { groups: [groupId] },
        ListGroups: {},
        ApiVersions: { clientSoftwareName: 'suite', clientSoftwareVersion: '1' },
        InitProducerId: { transactionalId: null, transactionTimeoutMs: 1000, producerId: -1, producerEpoch: -1 },
        OffsetForLeaderEpoch: { replicaId: -2, topics: [{ topic, partitions }] },
        DescribeConfigs: { resources: [{ resourceType: 2, resourceName: topic, configurationKeys: null }] },
        DescribeLogDirs: { topics: null },
        DescribeCluster: { endpointType: 1 },
        ListTransactions: { durationFilter: -1 },
        DescribeProducers: { topics: [{ name: topic, partitionIndexes: [0] }] },
        ListConfigResources: {},
      };
      for (const api of apis as readonly unknown[] as readonly Api<unknown, unknown>[]) {
        const request = requests[api.name];
        if (!request) continue;
        const [low, high] = api.schema.versions;
        for (let version = low; version <= high; version++) {
          // Keys of FindCoordinator version 0 and topics by name or by id are told apart by the codec.
          let answer = await client.send(api, version, request);
          // Apache Kafka loads its coordinators when they are first asked.
          const deadline = Date.now() + 10_000;
          while ([...errorCodes(answer)].some((code) => code === 14 || code === 15)) {
            assert.ok(Date.now() < deadline, api.name);
            answer = await client.send(api, version, request);
          }
          for (const code of errorCodes(answer))
            assert.equal(code, 0, `${api.name} ${version}: ${JSON.stringify(answer)}`);
        }
      }
    },
  },
  {
    name: 'topics are made, grown, emptied and deleted in every version',
    run: async (target) => {
      using client = await connectTo(target);
      const over = async (
        api: { readonly schema: ApiSchema },
        request: (version: number) => unknown,
      ): Promise<void> => {
        const [low, high] = api.schema.versions;
        for (let version = low; version <= high; version++) {
          const answer = await client.send(api as Api<unknown, unknown>, version, request(version) as object);
          for (const code of errorCodes(answer))
            assert.equal(code, 0, `${api.schema.name} ${version}: ${JSON.stringify(answer)}`);
        }
      };
      const made: string[] = [];
      await over(createTopics, () => {
        made.push(target.name('old'));
        return { topics: [{ name: made.at(-1), numPartitions: 1, replicationFactor: 1 }], timeoutMs: 10_000 };
      });
      const topic = await newTopic(client, target);
      await over(createPartitions, (version) => ({
        topics: [{ name: topic, count: 2 + version, assignments: null }],
        timeoutMs: 10_000,
      }));
      await over(deleteRecords, () => ({
        topics: [{ name: topic, partitions: [{ partitionIndex: 0, offset: 0 }] }],
        timeoutMs: 10_000,
      }));
      await over(deleteTopics, (version) => {
        const name = made.pop();
        return version >= 6 ? { topics: [{ name }], timeoutMs: 10_000 } : { topicNames: [name], timeoutMs: 10_000 };
      });
    },
  },
  {
    name: 'members join, sync, beat and leave in every version',
    run: async (target) => {
      using client = await connectTo(target);
      for (let version = 2; version <= 9; version++) {
        const groupId = target.name('group');
        await coordinatorReady(client, groupId);
        const request = {
          groupId,
          sessionTimeoutMs: 10_000,
          rebalanceTimeoutMs: 10_000,
          groupInstanceId: null,
          protocolType: 'consumer',
          protocols: [{ name: 'range', metadata: Buffer.alloc(6) }],
          reason: null,
        };
        let joined = await client.send(joinGroup, version, { ...request, memberId: '' });
        // From version 4 on the id comes first.
        assert.equal(joined.errorCode, version >= 4 ? 79 : 0);
        if (version >= 4) joined = await client.send(joinGroup, version, { ...request, memberId: joined.memberId });
        const { memberId, generationId } = joined;
        const known = { groupId, memberId, generationId: generationId!, groupInstanceId: null };
        const assignments = [{ memberId, assignment: Buffer.from('all') }];
        const protocol = { protocolType: 'consumer', protocolName: 'range' };
        const synced = await client.send(syncGroup, Math.min(version - 2, 5), { ...known, ...protocol, assignments });
        assert.equal(synced.assignment.toString(), 'all');
        assert.equal((await client.send(heartbeat, Math.min(version - 2, 4), known)).errorCode, 0);
        const left = await client.send(leaveGroup, Math.min(version - 2, 5), {
          groupId,
          memberId,
          members: [{ memberId, groupInstanceId: null, reason: null }],
        });
        assert.deepEqual(
          [left.errorCode, left.members?.map(({ errorCode }) => errorCode).join('') ?? ''],
          [0, version >= 5 ? '0' : ''],
        );
        const removed = await client.send(deleteGroups, version % 3, { groupsNames: [groupId] });
        assert.equal(removed.results[0]!.errorCode, 0);
      }
    },
  },
  {
    name: 'transactions are made and ended in every version',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const groupId = target.name('group');
      await coordinatorReady(client, groupId);
      for (let version = 0; version <= 5; version++) {
        const transactionalId = target.name('transaction');
        await coordinatorReady(client, transactionalId, 1);
        const made = await settled(() =>
          client.send(initProducerId, version, {
            transactionalId,
            transactionTimeoutMs: 30_000,
            producerId: -1,
            producerEpoch: -1,
          }),
        );
        assert.equal(made.errorCode, 0);
        const producer = { transactionalId, producerId: made.producerId!, producerEpoch: made.producerEpoch };
        // From TxnOffsetCommit version 5 on the group joins the transaction by it alone.
        if (version < 5) {
          const added = await settled(() => client.send(addOffsetsToTxn, version, { ...producer, groupId }));
          assert.equal(added.errorCode, 0, `AddOffsetsToTxn ${version}`);
        }
        const topics = [
          {
            name: topic,
            partitions: [
              { partitionIndex: 0, committedOffset: version, committedLeaderEpoch: -1, committedMetadata: '' },
            ],
          },
        ];
        const sent = await settled(async () => {
          const answer = await client.send(txnOffsetCommit, version, {
            ...producer,
            groupId,
            generationId: -1,
            memberId: '',
            groupInstanceId: null,
            topics,
          });
          return answer.topics[0]!.partitions[0]!;
        });
        assert.equal(sent.errorCode, 0, `TxnOffsetCommit ${version}`);
        const ended = await settled(() => client.send(endTxn, version, { ...producer, committed: true }));
        assert.equal(ended.errorCode, 0, `EndTxn ${version}`);
        const deadline = Date.now() + 10_000;
        for (let offset = -1; offset !== version; ) {
          const { groups } = await client.send(offsetFetch, 8, {
            groups: [{ groupId, topics: [{ name: topic, partitionIndexes: [0] }] }],
            requireStable: true,
          });
          offset = groups![0]!.topics![0]!.partitions![0]!.committedOffset!;
          assert.ok(Date.now() < deadline, `offset ${offset} of version ${version}`);
        }
      }
    },
  },
  {
    name: 'SCRAM credentials are set, described and deleted',
    run: async (target) => {
      using client = await connectTo(target);
      const name = target.name('user');
      const salt = Buffer.from(randomUUID());
      const saltedPassword = pbkdf2Sync('secret', salt, 4096, 32, 'sha256');
      assert.equal(createHmac('sha256', saltedPassword).digest().length, 32);
      const alter = async (upsertions: { iterations: number; mechanism: number }[], deletions: number[]) => {
        const { results } = await client.send(alterUserScramCredentials, 0, {
          upsertions: upsertions.map((each) => ({ name, salt, saltedPassword, ...each })),
          deletions: deletions.map((mechanism) => ({ name, mechanism })),
        });
        return results[0]!.errorCode;
      };
      const describe = async () => {
        const { results } = await client.send(describeUserScramCredentials, 0, { users: [{ name }] });
        return [
          results[0]!.errorCode,
          results[0]!.credentialInfos.map(({ mechanism, iterations }) => [mechanism, iterations]),
        ];
      };
      assert.deepEqual(await describe(), [91, []]);
      assert.equal(await alter([{ mechanism: 1, iterations: 4095 }], []), 93);
      assert.equal(await alter([{ mechanism: 7, iterations: 4096 }], []), 33);
      assert.equal(await alter([{ mechanism: 1, iterations: 4096 }], []), 0);
      const deadline = Date.now() + 5000;
      while ((await describe())[0] !== 0) assert.ok(Date.now() < deadline);
      assert.deepEqual(await describe(), [0, [[1, 4096]]]);
      assert.equal(await alter([], [1]), 0);
      while ((await describe())[0] !== 91) assert.ok(Date.now() < deadline);
      assert.equal(await alter([], [1]), 91);
    },
  },
];
