import assert from 'node:assert/strict';
import { alterShareGroupOffsets } from '../../src/protocol/messages/alter-share-group-offsets.ts';
import { deleteShareGroupOffsets } from '../../src/protocol/messages/delete-share-group-offsets.ts';
import { describeShareGroupOffsets } from '../../src/protocol/messages/describe-share-group-offsets.ts';
import { incrementalAlterConfigs } from '../../src/protocol/messages/incremental-alter-configs.ts';
import { metadata } from '../../src/protocol/messages/metadata.ts';
import { shareGroupDescribe } from '../../src/protocol/messages/share-group-describe.ts';
import type { RawClient } from '../raw-client.ts';
import type { Case } from './case.ts';
import { batchOf, connectTo, coordinatorReady, newTopic, produceTo } from './helpers.ts';
import { ShareMember } from './share-member.ts';

const [ACCEPT, RELEASE, REJECT, RENEW] = [1, 2, 3, 4];

/** A topic, a group that reads it from the beginning, and members of it. */
const start = async (client: RawClient, target: Parameters<Case['run']>[0], configs: Record<string, string> = {}) => {
  const topic = await newTopic(client, target);
  const groupId = target.name('share');
  await coordinatorReady(client, groupId);
  const all = { 'share.auto.offset.reset': 'earliest', ...configs };
  const altered = await client.send(incrementalAlterConfigs, 1, {
    resources: [
      {
        resourceType: 32,
        resourceName: groupId,
        configs: Object.entries(all).map(([name, value]) => ({ name, configOperation: 0, value })),
      },
    ],
  });
  assert.equal(altered.responses[0]!.errorCode, 0, altered.responses[0]!.errorMessage ?? '');
  const topicId = (await client.send(metadata, 12, { topics: [{ name: topic }] })).topics[0]!.topicId!;
  return { topic, groupId, topicId, newMember: (other = client) => new ShareMember(other, groupId, topic, topicId) };
};

export const shareGroupCases: Case[] = [
  {
    name: 'share groups: accepted records are done, released ones come again and count, rejected ones do not',
    run: async (target) => {
      using client = await connectTo(target);
      const { topic, groupId, newMember } = await start(client, target);
      await produceTo(client, topic, batchOf(['a', 'b', 'c', 'd']));
      const member = await newMember().joined();
      const first = await member.fetchSome();
      assert.deepEqual(first.acquired, [[0, 3, 1]]);
      assert.deepEqual(first.values, ['a', 'b', 'c', 'd']);
      assert.equal(await member.acknowledge(0, 3, [ACCEPT!, RELEASE!, REJECT!, RELEASE!]), 0);
      const second = await member.fetchSome();
      assert.deepEqual(second.acquired, [
        [1, 1, 2],
        [3, 3, 2],
      ]);
      // What is not held cannot be settled.
      assert.equal(await member.acknowledge(2, 2, [ACCEPT!]), 121);
      // Below the start everything is settled anyway.
      assert.equal(await member.acknowledge(0, 0, [ACCEPT!]), 0);
      assert.equal(await member.acknowledge(1, 1, [ACCEPT!]), 0);
      const { acknowledgeErrorCode } = await member.fetch({ acknowledge: [[3, 3, [ACCEPT!]]], maxWaitMs: 0 });
      assert.equal(acknowledgeErrorCode, 0);
      const described = await client.send(shareGroupDescribe, 1, { groupIds: [groupId] });
      assert.equal(described.groups[0]!.groupState, 'Stable');
      assert.equal(described.groups[0]!.members.length, 1);
      assert.equal((await member.fetch({ epoch: -1, maxWaitMs: 0 })).errorCode, 0);
      assert.equal((await member.beat(-1)).errorCode, 0);
    },
  },
  {
    name: 'share groups: a record that was delivered five times is not delivered again',
    run: async (target) => {
      using client = await connectTo(target);
      const { topic, newMember } = await start(client, target);
      await produceTo(client, topic, batchOf(['poison']));
      const member = await newMember().joined();
      for (let delivery = 1; delivery <= 5; delivery++) {
        assert.deepEqual((await member.fetchSome()).acquired, [[0, 0, delivery]]);
        assert.equal(await member.acknowledge(0, 0, [RELEASE!]), 0);
      }
      await produceTo(client, topic, batchOf(['next']));
      assert.deepEqual((await member.fetchSome()).acquired, [[1, 1, 1]]);
      await member.beat(-1);
    },
  },
  {
    name: 'share groups: two members of one partition get different records; locks end',
    run: async (target) => {
      using client = await connectTo(target);
      using other = await connectTo(target);
      const { topic, newMember } = await start(client, target, { 'share.record.lock.duration.ms': '15000' });
      await produceTo(client, topic, batchOf(['a', 'b', 'c', 'd']));
      const [one, two] = [await newMember().joined(), await newMember(other).joined()];
      const mine = await one.fetchSome({ maxRecords: 2, strict: true });
      assert.deepEqual(mine.acquired, [[0, 1, 1]]);
      const others = await two.fetchSome();
      assert.deepEqual(others.acquired, [[2, 3, 1]]);
      assert.equal(await two.acknowledge(0, 1, [ACCEPT!]), 121);
      assert.equal(await one.acknowledge(0, 1, [RENEW!]), 0);
      // Closing a session gives everything back.
      await one.fetch({ epoch: -1, maxWaitMs: 0 });
      assert.equal((await two.fetchSome()).acquired[0]![0], 0);
      await one.beat(-1);
      await two.beat(-1);
    },
  },
  {
    name: 'share groups: sessions count every request, members have epochs',
    run: async (target) => {
      using client = await connectTo(target);
      const { topic, newMember } = await start(client, target);
      await produceTo(client, topic, batchOf(['a']));
      const member = newMember();
      assert.equal((await member.fetch({ epoch: 4, maxWaitMs: 0 })).errorCode, 122);
      await member.joined();
      await member.fetchSome();
      assert.equal((await member.fetch({ epoch: member.sessionEpoch + 5, maxWaitMs: 0 })).errorCode, 123);
      assert.equal(await member.acknowledge(0, 0, [ACCEPT!], member.sessionEpoch + 5), 123);
      assert.equal((await member.beat(member.epoch + 10)).errorCode, 110);
      assert.equal((await newMember().beat(7)).errorCode, 25);
      await member.beat(-1);
    },
  },
  {
    name: 'share groups: start offsets are described, set and deleted while nobody reads',
    run: async (target) => {
      using client = await connectTo(target);
      const { topic, groupId, newMember } = await start(client, target);
      await produceTo(client, topic, batchOf(['a', 'b', 'c']));
      const member = await newMember().joined();
      await member.fetchSome();
      await member.acknowledge(0, 1, [ACCEPT!]);
      const alter = (startOffset: number) =>
        client.send(alterShareGroupOffsets, 0, {
          groupId,
          topics: [{ topicName: topic, partitions: [{ partitionIndex: 0, startOffset }] }],
        });
      assert.equal((await alter(1)).errorCode, 68);
      await member.fetch({ epoch: -1, maxWaitMs: 0 });
      await member.beat(-1);
      // Apache Kafka writes what the closed session left behind its answer, so that may come after the first try.
      const deadline = Date.now() + 10_000;
      for (let startOffset = -1; startOffset !== 1; ) {
        const altered = await alter(1);
        assert.deepEqual([altered.errorCode, altered.responses[0]!.partitions[0]!.errorCode], [0, 0]);
        const { groups } = await client.send(describeShareGroupOffsets, 1, {
          groups: [{ groupId, topics: [{ topicName: topic, partitions: [0] }] }],
        });
        startOffset = groups[0]!.topics[0]!.partitions[0]!.startOffset;
        assert.ok(Date.now() < deadline, `start offset ${startOffset}`);
      }
      const removed = await client.send(deleteShareGroupOffsets, 0, { groupId, topics: [{ topicName: topic }] });
      assert.deepEqual([removed.errorCode, removed.responses[0]!.errorCode], [0, 0]);
    },
  },
];
