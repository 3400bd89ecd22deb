import assert from 'node:assert/strict';
import { deleteGroups } from '../../src/protocol/messages/delete-groups.ts';
import { describeGroups } from '../../src/protocol/messages/describe-groups.ts';
import { heartbeat } from '../../src/protocol/messages/heartbeat.ts';
import { joinGroup } from '../../src/protocol/messages/join-group.ts';
import { leaveGroup } from '../../src/protocol/messages/leave-group.ts';
import { listGroups } from '../../src/protocol/messages/list-groups.ts';
import { offsetCommit } from '../../src/protocol/messages/offset-commit.ts';
import { offsetDelete } from '../../src/protocol/messages/offset-delete.ts';
import { offsetFetch } from '../../src/protocol/messages/offset-fetch.ts';
import { syncGroup } from '../../src/protocol/messages/sync-group.ts';
import type { RawClient } from '../raw-client.ts';
import type { Case } from './case.ts';
import { connectTo, coordinatorReady, newTopic, settled } from './helpers.ts';

const subscription = Buffer.from('0000000000010005746f706963ffffffff', 'hex');

const join = (
  client: RawClient,
  groupId: string,
  memberId: string,
  options: {
    instanceId?: string;
    metadata?: Buffer;
    sessionTimeoutMs?: number;
    protocols?: string[];
    version?: number;
  } = {},
) =>
  settled(() =>
    client.send(joinGroup, options.version ?? 9, {
      groupId,
      memberId,
      groupInstanceId: options.instanceId ?? null,
      protocolType: 'consumer',
      sessionTimeoutMs: options.sessionTimeoutMs ?? 10_000,
      rebalanceTimeoutMs: 10_000,
      protocols: (options.protocols ?? ['range']).map((name) => ({ name, metadata: options.metadata ?? subscription })),
      reason: null,
    }),
  );

const sync = (
  client: RawClient,
  groupId: string,
  memberId: string,
  generationId: number,
  assignments: Record<string, string> = {},
  instanceId: string | null = null,
) =>
  client.send(syncGroup, 5, {
    groupId,
    memberId,
    generationId,
    groupInstanceId: instanceId,
    protocolType: 'consumer',
    protocolName: 'range',
    assignments: Object.entries(assignments).map(([id, text]) => ({ memberId: id, assignment: Buffer.from(text) })),
  });

const beat = async (
  client: RawClient,
  groupId: string,
  memberId: string,
  generationId: number,
  instanceId: string | null = null,
) => (await client.send(heartbeat, 4, { groupId, memberId, generationId, groupInstanceId: instanceId })).errorCode;

const commit = async (
  client: RawClient,
  groupId: string,
  topic: string,
  offset: number,
  options: { memberId?: string; generation?: number; metadata?: string; partition?: number } = {},
) => {
  const { topics } = await client.send(offsetCommit, 9, {
    groupId,
    memberId: options.memberId ?? '',
    generationIdOrMemberEpoch: options.generation ?? -1,
    groupInstanceId: null,
    topics: [
      {
        name: topic,
        partitions: [
          {
            partitionIndex: options.partition ?? 0,
            committedOffset: offset,
            committedLeaderEpoch: -1,
            committedMetadata: options.metadata ?? null,
          },
        ],
      },
    ],
  });
  return topics[0]!.partitions[0]!.errorCode;
};

const committed = async (client: RawClient, groupId: string, topic: string) => {
  const { groups } = await client.send(offsetFetch, 9, {
    groups: [{ groupId, memberId: null, memberEpoch: -1, topics: [{ name: topic, partitionIndexes: [0] }] }],
    requireStable: true,
  });
  const { committedOffset, metadata, errorCode } = groups![0]!.topics![0]!.partitions![0]!;
  return { offset: committedOffset, metadata, errorCode };
};

/** Joins as the only member, through to a stable group. */
const joinAlone = async (client: RawClient, groupId: string, instanceId?: string) => {
  const options = instanceId === undefined ? {} : { instanceId };
  let answer = await join(client, groupId, '', options);
  if (answer.errorCode === 79) answer = await join(client, groupId, answer.memberId, options);
  assert.equal(answer.errorCode, 0);
  const { memberId, generationId } = answer;
  const synced = await sync(client, groupId, memberId, generationId!, { [memberId]: 'all' }, instanceId ?? null);
  assert.equal(synced.errorCode, 0);
  return { memberId, generation: generationId! };
};

export const groupCases: Case[] = [
  {
    name: 'a member gets its id first, then joins, syncs, beats and leaves',
    run: async (target) => {
      using client = await connectTo(target);
      const groupId = target.name('group');
      await coordinatorReady(client, groupId);
      const refused = await join(client, groupId, '');
      assert.equal(refused.errorCode, 79);
      assert.match(refused.memberId, /^raw-/);
      const joined = await join(client, groupId, refused.memberId);
      assert.equal(joined.errorCode, 0);
      assert.equal(joined.leader, refused.memberId);
      assert.equal(joined.generationId, 1);
      assert.equal(joined.protocolName, 'range');
      assert.equal(joined.members.length, 1);
      assert.equal(await beat(client, groupId, refused.memberId, 1), 0);
      const synced = await sync(client, groupId, refused.memberId, 1, { [refused.memberId]: 'mine' });
      assert.equal(synced.assignment.toString(), 'mine');
      assert.equal(await beat(client, groupId, refused.memberId, 1), 0);
      const described = await client.send(describeGroups, 5, { groups: [groupId] });
      assert.equal(described.groups[0]!.groupState, 'Stable');
      assert.equal(described.groups[0]!.members[0]!.clientId, 'raw');
      const left = await client.send(leaveGroup, 5, {
        groupId,
        members: [{ memberId: refused.memberId, groupInstanceId: null, reason: null }],
      });
      assert.equal(left.members![0]!.errorCode, 0);
      assert.equal(await beat(client, groupId, refused.memberId, 1), 25);
      const after = await client.send(describeGroups, 5, { groups: [groupId] });
      assert.equal(after.groups[0]!.groupState, 'Empty');
    },
  },
  {
    name: 'members that are wrong about themselves hear what is wrong',
    run: async (target) => {
      using client = await connectTo(target);
      const groupId = target.name('group');
      await coordinatorReady(client, groupId);
      assert.equal((await join(client, groupId, 'nobody')).errorCode, 25);
      assert.equal((await join(client, '', '')).errorCode, 24);
      assert.equal((await join(client, groupId, '', { sessionTimeoutMs: 5 })).errorCode, 26);
      assert.equal((await join(client, groupId, '', { protocols: [] })).errorCode, 23);
      const { memberId, generation } = await joinAlone(client, groupId);
      assert.equal(await beat(client, groupId, memberId, generation + 1), 22);
      assert.equal(await beat(client, groupId, 'nobody', generation), 25);
      assert.equal((await sync(client, groupId, memberId, generation + 1)).errorCode, 22);
      assert.equal((await sync(client, groupId, 'nobody', generation)).errorCode, 25);
      assert.equal((await join(client, groupId, '', { protocols: ['other'] })).errorCode, 23);
      assert.equal((await client.send(deleteGroups, 2, { groupsNames: [groupId] })).results[0]!.errorCode, 68);
      assert.equal(
        (await client.send(deleteGroups, 2, { groupsNames: [target.name('none')] })).results[0]!.errorCode,
        69,
      );
    },
  },
  {
    name: 'a second member makes the first join again, and each gets its own assignment',
    run: async (target) => {
      using first = await connectTo(target);
      using second = await connectTo(target);
      const groupId = target.name('group');
      await coordinatorReady(first, groupId);
      const one = await joinAlone(first, groupId);
      const { memberId: two } = await join(second, groupId, '');
      const joining = join(second, groupId, two);
      const deadline = Date.now() + 5000;
      while ((await beat(first, groupId, one.memberId, one.generation)) !== 27) assert.ok(Date.now() < deadline);
      const [a, b] = await Promise.all([join(first, groupId, one.memberId), joining]);
      assert.deepEqual([a.generationId, b.generationId], [one.generation + 1, one.generation + 1]);
      assert.equal(a.leader, one.memberId);
      assert.equal(b.members.length, 0);
      assert.equal(a.members.length, 2);
      const [mine, others] = await Promise.all([
        sync(first, groupId, one.memberId, a.generationId!, { [one.memberId]: 'left', [two]: 'right' }),
        sync(second, groupId, two, a.generationId!),
      ]);
      assert.deepEqual([mine.assignment.toString(), others.assignment.toString()], ['left', 'right']);
      assert.equal((await sync(first, groupId, one.memberId, one.generation)).errorCode, 22);
    },
  },
  {
    name: 'a returning static member gets its assignment back without disturbing the group',
    run: async (target) => {
      using client = await connectTo(target);
      const groupId = target.name('group');
      await coordinatorReady(client, groupId);
      const { memberId, generation } = await joinAlone(client, groupId, 'instance');
      const again = await join(client, groupId, '', { instanceId: 'instance' });
      assert.deepEqual([again.errorCode, again.generationId], [0, generation]);
      assert.notEqual(again.memberId, memberId);
      assert.equal(again.skipAssignment, true);
      const synced = await sync(client, groupId, again.memberId, generation, {}, 'instance');
      assert.equal(synced.assignment.toString(), 'all');
      // Its predecessor is fenced.
      assert.equal(await beat(client, groupId, memberId, generation, 'instance'), 82);
    },
  },
  {
    name: 'a member that stops beating is taken out when its session ends',
    run: async (target) => {
      using client = await connectTo(target);
      const groupId = target.name('group');
      await coordinatorReady(client, groupId);
      const { memberId } = await join(client, groupId, '', { sessionTimeoutMs: 1000 });
      const { generationId } = await join(client, groupId, memberId, { sessionTimeoutMs: 1000 });
      await sync(client, groupId, memberId, generationId!, { [memberId]: 'all' });
      const deadline = Date.now() + 10_000;
      for (;;) {
        const { groups } = await client.send(describeGroups, 5, { groups: [groupId] });
        if (groups[0]!.groupState === 'Empty') break;
        assert.ok(Date.now() < deadline);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.equal(await beat(client, groupId, memberId, generationId!), 25);
    },
  },
  {
    name: 'offsets are committed with metadata, by members or into empty groups alone',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const groupId = target.name('group');
      await coordinatorReady(client, groupId);
      assert.deepEqual(await committed(client, groupId, topic), { offset: -1, metadata: '', errorCode: 0 });
      assert.equal(await commit(client, groupId, topic, 5, { metadata: 'note' }), 0);
      assert.deepEqual(await committed(client, groupId, topic), { offset: 5, metadata: 'note', errorCode: 0 });
      assert.equal(await commit(client, groupId, topic, 6, { metadata: 'x'.repeat(4097) }), 12);
      assert.equal(await commit(client, groupId, target.name('missing'), 6), 3);
      assert.equal(await commit(client, groupId, topic, 6, { partition: 7 }), 3);
      const { memberId, generation } = await joinAlone(client, groupId);
      assert.equal(await commit(client, groupId, topic, 7), 25);
      assert.equal(await commit(client, groupId, topic, 7, { memberId, generation: generation + 1 }), 22);
      assert.equal(await commit(client, groupId, topic, 7, { memberId: 'nobody', generation }), 25);
      assert.equal(await commit(client, groupId, topic, 7, { memberId, generation }), 0);
      assert.equal((await committed(client, groupId, topic)).offset, 7);
      const all = await client.send(offsetFetch, 8, { groups: [{ groupId, topics: null }], requireStable: false });
      assert.deepEqual(
        all.groups![0]!.topics!.map(({ name }) => name),
        [topic],
      );
    },
  },
  {
    name: 'groups are listed and deleted, offsets too',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const groupId = target.name('group');
      await coordinatorReady(client, groupId);
      await commit(client, groupId, topic, 5);
      const listed = await client.send(listGroups, 5, { statesFilter: ['Empty'], typesFilter: ['classic'] });
      assert.ok(listed.groups.some((group) => group.groupId === groupId && group.groupState === 'Empty'));
      const removed = await client.send(offsetDelete, 0, {
        groupId,
        topics: [{ name: topic, partitions: [{ partitionIndex: 0 }] }],
      });
      assert.equal(removed.topics[0]!.partitions[0]!.errorCode, 0);
      assert.equal((await committed(client, groupId, topic)).offset, -1);
      await commit(client, groupId, topic, 5);
      assert.equal((await client.send(deleteGroups, 2, { groupsNames: [groupId] })).results[0]!.errorCode, 0);
      const gone = await client.send(describeGroups, 6, { groups: [groupId] });
      assert.deepEqual([gone.groups[0]!.errorCode, gone.groups[0]!.groupState], [69, 'Dead']);
    },
  },
];
