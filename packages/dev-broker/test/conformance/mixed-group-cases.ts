import assert from 'node:assert/strict';
import { Consumer, GroupProtocols, Producer, stringSerializers } from '@platformatic/kafka';
import { Kafka, logLevel } from 'kafkajs';
import { consumerGroupDescribe } from '../../src/protocol/messages/consumer-group-describe.ts';
import { describeGroups } from '../../src/protocol/messages/describe-groups.ts';
import { listGroups } from '../../src/protocol/messages/list-groups.ts';
import type { RawClient } from '../raw-client.ts';
import type { Case } from './case.ts';
import { connectTo, newTopic } from './helpers.ts';
import { assignable, ClassicMember, start, until } from './members.ts';

const typeOf = async (client: RawClient, groupId: string): Promise<string | undefined> => {
  const { groups } = await client.send(listGroups, 5, { statesFilter: [], typesFilter: [] });
  return groups.find((group) => group.groupId === groupId)?.groupType?.toLowerCase();
};

const REBALANCE_IN_PROGRESS = 27;
const ILLEGAL_GENERATION = 22;

export const mixedGroupCases: Case[] = [
  {
    name: 'a classic group is upgraded member by member, and downgraded, without a partition in two hands',
    run: async (target) => {
      using client = await connectTo(target);
      // The other's requests must not wait behind a JoinGroup.
      using other = await connectTo(target);
      const topic = await newTopic(client, target, 4);
      const groupId = target.name('mixed');
      const newMember = await start(client, topic, groupId);
      await assignable(client, topic, 4, target.name('probe'));
      const classic = new ClassicMember(other, groupId, topic);
      await classic.join();
      assert.deepEqual(await classic.sync([0, 1, 2, 3]), [0, 1, 2, 3]);
      assert.equal(await typeOf(client, groupId), 'classic');

      const modern = newMember();
      assert.equal((await modern.send()).errorCode, 0);
      assert.equal(await typeOf(client, groupId), 'consumer');
      const { groups } = await client.send(consumerGroupDescribe, 1, { groupIds: [groupId] });
      assert.deepEqual(groups[0]!.members.map(({ memberType }) => memberType).sort(), [0, 1]);

      // The classic member is told to join again, keeps two, and gives up the others before they go on.
      assert.equal(await classic.beat(), REBALANCE_IN_PROGRESS);
      await classic.join();
      const kept = await classic.sync();
      assert.equal(kept.length, 2);
      assert.deepEqual(await modern.follow(), []);
      assert.equal(await classic.beat(), REBALANCE_IN_PROGRESS);
      await classic.join();
      assert.deepEqual(await classic.sync(), kept);
      await until(async () => (await modern.follow()).length === 2);
      assert.deepEqual([...classic.owned, ...modern.owned].sort(), [0, 1, 2, 3]);
      assert.equal(await classic.beat(), 0);
      assert.equal(await classic.commit(5), 0);
      // KIP-1251: a generation that is over will do for what was kept since then.
      assert.equal(await classic.commit(6, classic.generation - 1, kept[0]), 0);
      assert.equal(await classic.commit(6, classic.generation - 1, modern.owned[0]), ILLEGAL_GENERATION);
      assert.equal(await classic.commit(6, classic.generation + 1), ILLEGAL_GENERATION);

      // With the last of the newer protocol gone the group is a classic one again.
      await modern.send({ memberEpoch: -1 });
      assert.equal(await typeOf(client, groupId), 'classic');
      assert.equal(await classic.beat(), REBALANCE_IN_PROGRESS);
      const joined = await classic.join();
      assert.equal(joined.leader, classic.id);
      assert.deepEqual(await classic.sync([0, 1, 2, 3]), [0, 1, 2, 3]);
      const described = await client.send(describeGroups, 5, { groups: [groupId] });
      assert.equal(described.groups[0]!.groupState, 'Stable');
      assert.equal(await classic.leave(), 0);
    },
  },
  {
    name: 'a classic member joins a group of the newer protocol and leaves it',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 2);
      const groupId = target.name('mixed');
      const newMember = await start(client, topic, groupId);
      const modern = newMember();
      await until(async () => (await modern.follow()).length === 2);
      const classic = new ClassicMember(client, groupId, topic);
      const joined = await classic.join();
      assert.equal(joined.leader, '');
      assert.deepEqual(await classic.sync(), []);
      assert.equal(await classic.beat(), 0);
      await until(async () => (await modern.follow()).length === 1);
      await modern.follow();
      // What the other gave up is fetched by joining again.
      await until(async () => (await classic.beat()) === REBALANCE_IN_PROGRESS);
      await classic.join();
      assert.equal((await classic.sync()).length, 1);
      assert.deepEqual([...classic.owned, ...modern.owned].sort(), [0, 1]);
      assert.equal(await classic.leave(), 0);
      await until(async () => (await modern.follow()).length === 2);
      await modern.send({ memberEpoch: -1 });
    },
  },
  {
    name: 'clients of both protocols read one topic in one group, each record once',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 4);
      const groupId = target.name('mixed');
      await start(client, topic, groupId);
      await assignable(client, topic, 4, target.name('probe'));
      const kafka = new Kafka({ brokers: [target.bootstrapServers], clientId: 'kafkajs', logLevel: logLevel.NOTHING });
      const seen = new Map<string, string[]>();
      const note = (value: string, reader: string): void => void seen.set(value, [...(seen.get(value) ?? []), reader]);
      const old = kafka.consumer({ groupId, heartbeatInterval: 200, maxWaitTimeInMs: 100 });
      await old.connect();
      await old.subscribe({ topic, fromBeginning: true });
      let assigned = 0;
      old.on('consumer.group_join', ({ payload }) => {
        assigned = payload.memberAssignment[topic]?.length ?? 0;
      });
      await old.run({ eachMessage: async ({ message }) => note(String(message.value), 'kafkajs') });
      await until(async () => assigned === 4);
      const modern = new Consumer({
        clientId: 'modern',
        bootstrapBrokers: [target.bootstrapServers],
        groupId,
        groupProtocol: GroupProtocols.CONSUMER,
        maxWaitTime: 100,
      });
      const stream = await modern.consume({ topics: [topic], mode: 'earliest', autocommit: false });
      stream.on('data', ({ value }: { value: Buffer }) => note(String(value), 'modern'));
      const readers = async () => {
        const { groups } = await client.send(consumerGroupDescribe, 1, { groupIds: [groupId] });
        return groups[0]!.members.map(
          ({ assignment }) => assignment.topicPartitions.flatMap(({ partitions }) => partitions).length,
        );
      };
      await until(async () => (await readers()).join() === '2,2' && assigned === 2);
      const producer = new Producer({
        clientId: 'p',
        bootstrapBrokers: [target.bootstrapServers],
        serializers: stringSerializers,
      });
      const messages = Array.from({ length: 40 }, (_, index) => ({ topic, value: `v${index}`, partition: index % 4 }));
      await producer.send({ messages });
      await producer.close();
      await until(async () => seen.size === 40);
      const counts = new Map<string, number>();
      for (const [value, by] of seen) {
        assert.equal(by.length, 1, value);
        counts.set(by[0]!, (counts.get(by[0]!) ?? 0) + 1);
      }
      assert.deepEqual(Object.fromEntries(counts), { kafkajs: 20, modern: 20 });
      await old.disconnect();
      await modern.close(true);
    },
  },
  {
    name: 'KIP-848 version 0: the broker gives the member its id, and tells of groups in version 0',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 2);
      const groupId = target.name('group');
      const newMember = await start(client, topic, groupId);
      const member = newMember();
      member.version = 0;
      member.id = '';
      await until(async () => (await member.follow()).length === 2);
      assert.notEqual(member.id, '');
      const { groups } = await client.send(consumerGroupDescribe, 0, { groupIds: [groupId, 'unknown'] });
      assert.deepEqual(
        groups.map(({ errorCode: code, members }) => [code, members.length]),
        [
          [0, 1],
          [69, 0],
        ],
      );
      await member.send({ memberEpoch: -1 });
    },
  },
];
