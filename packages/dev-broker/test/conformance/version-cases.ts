import assert from 'node:assert/strict';
import { createHmac, pbkdf2Sync, randomUUID } from 'node:crypto';
import { alterUserScramCredentials } from '../../src/protocol/messages/alter-user-scram-credentials.ts';
import { describeUserScramCredentials } from '../../src/protocol/messages/describe-user-scram-credentials.ts';
import { apis } from '../../src/protocol/messages/index.ts';
import { metadata } from '../../src/protocol/messages/metadata.ts';
import type { Api } from '../../src/protocol/schema.ts';
import type { Case } from './case.ts';
import { batchOf, connectTo, coordinatorReady, newTopic } from './helpers.ts';

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
