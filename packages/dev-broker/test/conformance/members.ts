import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readAssignment, writeAssignment } from '../../src/groups/consumer-protocol.ts';
import {
  type ConsumerGroupHeartbeatRequest,
  consumerGroupHeartbeat,
} from '../../src/protocol/messages/consumer-group-heartbeat.ts';
import { heartbeat } from '../../src/protocol/messages/heartbeat.ts';
import { joinGroup } from '../../src/protocol/messages/join-group.ts';
import { leaveGroup } from '../../src/protocol/messages/leave-group.ts';
import { metadata } from '../../src/protocol/messages/metadata.ts';
import { offsetCommit } from '../../src/protocol/messages/offset-commit.ts';
import { syncGroup } from '../../src/protocol/messages/sync-group.ts';
import type { Partially, RawClient } from '../raw-client.ts';
import { coordinatorReady, settled } from './helpers.ts';

/** A member of the newer protocol (KIP-848), step by step as the test says. */
export class Member {
  id: string = randomUUID();
  epoch = 0;
  owned: number[] = [];
  version = 1;
  readonly client: RawClient;
  readonly groupId: string;
  readonly topic: string;
  readonly topicId: string;

  constructor(client: RawClient, groupId: string, topic: string, topicId: string) {
    this.client = client;
    this.groupId = groupId;
    this.topic = topic;
    this.topicId = topicId;
  }

  async send(extra: Partially<ConsumerGroupHeartbeatRequest> = {}) {
    const isJoining = this.epoch === 0;
    const answer = await settled(() =>
      this.client.send(consumerGroupHeartbeat, this.version, {
        groupId: this.groupId,
        memberId: this.id,
        memberEpoch: this.epoch,
        instanceId: null,
        rackId: null,
        rebalanceTimeoutMs: isJoining ? 10_000 : -1,
        subscribedTopicNames: isJoining ? [this.topic] : null,
        subscribedTopicRegex: null,
        serverAssignor: null,
        topicPartitions: isJoining ? [] : null,
        ...extra,
      }),
    );
    if (answer.errorCode === 0 && answer.memberEpoch > 0) this.epoch = answer.memberEpoch;
    // In version 0 the broker gives the id.
    if (answer.errorCode === 0) this.id = answer.memberId ?? this.id;
    return answer;
  }

  /** Beats, takes what it is given, and reports what it owns. */
  async follow(): Promise<number[]> {
    const topicPartitions = this.epoch === 0 ? [] : [{ topicId: this.topicId, partitions: this.owned }];
    const { assignment, errorCode } = await this.send({ topicPartitions });
    assert.equal(errorCode, 0);
    if (assignment) this.owned = assignment.topicPartitions.flatMap(({ partitions }) => partitions).sort();
    return this.owned;
  }
}

export const start = async (client: RawClient, topic: string, groupId: string) => {
  await coordinatorReady(client, groupId);
  const topicId = (await client.send(metadata, 12, { topics: [{ name: topic }] })).topics[0]!.topicId!;
  return () => new Member(client, groupId, topic, topicId);
};

export const until = async (done: () => Promise<boolean>): Promise<void> => {
  const deadline = Date.now() + 15_000;
  while (!(await done())) {
    assert.ok(Date.now() < deadline, 'it does not come to that');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

/** Waits until the coordinator can assign the topic: on Apache Kafka it knows new topics a little later than others do. */
export async function assignable(client: RawClient, topic: string, partitions: number, groupId: string): Promise<void> {
  const probe = (await start(client, topic, groupId))();
  await until(async () => (await probe.follow()).length === partitions);
  await probe.send({ memberEpoch: -1 });
}

/** ConsumerProtocolSubscription of version 1: what a member wants and what it has. */
function subscriptionOf(topic: string, owned: readonly number[]): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt16BE(1, 0);
  head.writeInt32BE(1, 2);
  head.writeInt16BE(Buffer.byteLength(topic), 6);
  // User data (none) and then the owned partitions, which lie there as in an assignment without its end.
  const partitions = writeAssignment(0, owned.length > 0 ? [{ topic, partitions: owned }] : []);
  const nothing = Buffer.from('ffffffff', 'hex');
  return Buffer.concat([head, Buffer.from(topic), nothing, partitions.subarray(2, partitions.length - 4)]);
}

/** A cooperative member of the classic protocol, step by step as the test says. It assigns itself all that it leads. */
export class ClassicMember {
  id = '';
  generation = -1;
  owned: number[] = [];
  instanceId: string | null = null;
  readonly client: RawClient;
  readonly groupId: string;
  readonly topic: string;

  constructor(client: RawClient, groupId: string, topic: string) {
    this.client = client;
    this.groupId = groupId;
    this.topic = topic;
  }

  async joinOnce() {
    return await settled(() =>
      this.client.send(joinGroup, 9, {
        groupId: this.groupId,
        memberId: this.id,
        groupInstanceId: this.instanceId,
        protocolType: 'consumer',
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 10_000,
        protocols: [{ name: 'cooperative-sticky', metadata: subscriptionOf(this.topic, this.owned) }],
        reason: null,
      }),
    );
  }

  /** Joins, under the id that it gets. */
  async join() {
    let answer = await this.joinOnce();
    if (answer.errorCode === 79) {
      this.id = answer.memberId;
      answer = await this.joinOnce();
    }
    assert.equal(answer.errorCode, 0);
    this.id = answer.memberId;
    this.generation = answer.generationId!;
    return answer;
  }

  /** Syncs, and takes what it is given. @param assigned what it assigns to itself when it leads */
  async sync(assigned?: readonly number[]): Promise<number[]> {
    const assignments = assigned
      ? [{ memberId: this.id, assignment: writeAssignment(1, [{ topic: this.topic, partitions: assigned }]) }]
      : [];
    const answer = await this.client.send(syncGroup, 5, {
      groupId: this.groupId,
      memberId: this.id,
      generationId: this.generation,
      groupInstanceId: this.instanceId,
      protocolType: 'consumer',
      protocolName: 'cooperative-sticky',
      assignments,
    });
    assert.equal(answer.errorCode, 0);
    this.owned = readAssignment(answer.assignment)!
      .flatMap(({ partitions }) => [...partitions])
      .sort();
    return this.owned;
  }

  async beat(): Promise<number> {
    const { groupId, id: memberId, instanceId: groupInstanceId, generation: generationId } = this;
    return (await this.client.send(heartbeat, 4, { groupId, memberId, groupInstanceId, generationId })).errorCode;
  }

  async commit(offset: number, generation = this.generation, partitionIndex = 0): Promise<number> {
    const position = { partitionIndex, committedOffset: offset, committedLeaderEpoch: -1, committedMetadata: '' };
    const answer = await this.client.send(offsetCommit, 9, {
      groupId: this.groupId,
      memberId: this.id,
      generationIdOrMemberEpoch: generation,
      groupInstanceId: this.instanceId,
      topics: [{ name: this.topic, partitions: [position] }],
    });
    return answer.topics[0]!.partitions[0]!.errorCode;
  }

  async leave(): Promise<number> {
    const members = [{ memberId: this.id, groupInstanceId: this.instanceId, reason: null }];
    const answer = await this.client.send(leaveGroup, 5, { groupId: this.groupId, members });
    return answer.errorCode || (answer.members?.[0]?.errorCode ?? 0);
  }
}
