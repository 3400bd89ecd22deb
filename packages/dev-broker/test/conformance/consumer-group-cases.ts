import assert from 'node:assert/strict';
import { consumerGroupDescribe } from '../../src/protocol/messages/consumer-group-describe.ts';
import { listGroups } from '../../src/protocol/messages/list-groups.ts';
import { offsetCommit } from '../../src/protocol/messages/offset-commit.ts';
import type { Case } from './case.ts';
import { connectTo, newTopic } from './helpers.ts';
import { start, until } from './members.ts';

export const consumerGroupCases: Case[] = [
  {
    name: 'KIP-848: a partition goes to a new member only after the old one gave it up',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 4);
      const groupId = target.name('group');
      const newMember = await start(client, topic, groupId);
      const first = newMember();
      await until(async () => (await first.follow()).length === 4);
      const second = newMember();
      await second.follow();
      assert.deepEqual(second.owned, []);
      // The first is told to keep two, and nothing moves before it says that it does.
      let kept: number[] | undefined;
      await until(async () => {
        const { assignment } = await first.send();
        kept = assignment?.topicPartitions.flatMap(({ partitions }) => partitions);
        return kept !== undefined;
      });
      assert.equal(kept!.length, 2);
      await second.follow();
      assert.deepEqual(second.owned, []);
      first.owned = kept!.sort();
      await first.follow();
      await until(async () => (await second.follow()).length === 2);
      assert.deepEqual([...first.owned, ...second.owned].sort(), [0, 1, 2, 3]);
      assert.equal((await second.send()).assignment, null);
      const { groups } = await client.send(consumerGroupDescribe, 1, { groupIds: [groupId] });
      assert.equal(groups[0]!.groupState, 'Stable');
      assert.equal(groups[0]!.assignorName, 'uniform');
      assert.equal(groups[0]!.members.length, 2);
      const listed = await client.send(listGroups, 5, { statesFilter: [], typesFilter: ['consumer'] });
      assert.ok(listed.groups.some((group) => group.groupId === groupId));
      await first.send({ memberEpoch: -1 });
      await until(async () => (await second.follow()).length === 4);
      await second.send({ memberEpoch: -1 });
    },
  },
  {
    name: 'KIP-848: wrong epochs, unknown members and requests that make no sense',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 2);
      const groupId = target.name('group');
      const newMember = await start(client, topic, groupId);
      const member = newMember();
      await until(async () => (await member.follow()).length === 2);
      assert.equal((await member.send({ memberEpoch: member.epoch + 5 })).errorCode, 110);
      assert.equal((await newMember().send({ memberEpoch: 3 })).errorCode, 25);
      assert.equal((await newMember().send({ serverAssignor: 'nobody' })).errorCode, 112);
      assert.equal((await newMember().send({ rebalanceTimeoutMs: -1 })).errorCode, 42);
      assert.equal(
        (await newMember().send({ topicPartitions: [{ topicId: member.topicId, partitions: [0] }] })).errorCode,
        42,
      );
      assert.equal((await newMember().send({ subscribedTopicNames: null, subscribedTopicRegex: '(' })).errorCode, 128);
      const commit = async (memberId: string, epoch: number) => {
        const { topics } = await client.send(offsetCommit, 9, {
          groupId,
          memberId,
          generationIdOrMemberEpoch: epoch,
          groupInstanceId: null,
          topics: [
            {
              name: topic,
              partitions: [{ partitionIndex: 0, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata: '' }],
            },
          ],
        });
        return topics[0]!.partitions[0]!.errorCode;
      };
      assert.equal(await commit(member.id, member.epoch), 0);
      assert.equal(await commit(member.id, member.epoch + 1), 113);
      assert.equal(await commit('nobody', member.epoch), 25);
      assert.equal(await commit('', -1), 25);
      await member.send({ memberEpoch: -1 });
    },
  },
  {
    name: 'KIP-848: a static member that comes back gets its partitions again',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 2);
      const groupId = target.name('group');
      const newMember = await start(client, topic, groupId);
      const member = newMember();
      await until(async () => {
        const joined = await member.send({ instanceId: 'one', topicPartitions: member.epoch === 0 ? [] : null });
        return (joined.assignment?.topicPartitions[0]?.partitions.length ?? 0) === 2;
      });
      const early = await newMember().send({ instanceId: 'one' });
      assert.equal(early.errorCode, 111);
      await member.send({ instanceId: 'one', memberEpoch: -2 });
      const again = newMember();
      const back = await again.send({ instanceId: 'one' });
      assert.equal(back.errorCode, 0);
      assert.deepEqual(back.assignment!.topicPartitions.flatMap(({ partitions }) => partitions).sort(), [0, 1]);
      assert.equal((await member.send({ instanceId: 'one' })).errorCode, 82);
      await again.send({ instanceId: 'one', memberEpoch: -1 });
    },
  },
  {
    name: 'KIP-848: a subscription by pattern follows new topics',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 2);
      const groupId = target.name('group');
      const newMember = await start(client, topic, groupId);
      const member = newMember();
      const pattern = { subscribedTopicNames: null, subscribedTopicRegex: `${topic}.*` };
      await until(async () => {
        const { assignment } = await member.send(member.epoch === 0 ? pattern : {});
        return assignment?.topicPartitions.length === 1;
      });
      await member.send({ memberEpoch: -1 });
    },
  },
];
