import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { shareAcknowledge } from '../../src/protocol/messages/share-acknowledge.ts';
import { shareFetch } from '../../src/protocol/messages/share-fetch.ts';
import { shareGroupHeartbeat } from '../../src/protocol/messages/share-group-heartbeat.ts';
import { type RawClient, readValues } from '../raw-client.ts';
import { settled } from './helpers.ts';

const RENEW = 4;

/** A share consumer, step by step. */
export class ShareMember {
  readonly id = randomUUID();
  epoch = 0;
  sessionEpoch = 0;
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

  async beat(memberEpoch = this.epoch) {
    const answer = await settled(() =>
      this.client.send(shareGroupHeartbeat, 1, {
        groupId: this.groupId,
        memberId: this.id,
        memberEpoch,
        rackId: null,
        subscribedTopicNames: memberEpoch === 0 ? [this.topic] : null,
      }),
    );
    if (answer.errorCode === 0 && memberEpoch >= 0) this.epoch = answer.memberEpoch;
    return answer;
  }

  async joined(): Promise<this> {
    const deadline = Date.now() + 15_000;
    for (let isAssigned = false; !isAssigned; ) {
      const { assignment, errorCode } = await this.beat();
      assert.equal(errorCode, 0);
      isAssigned = (assignment?.topicPartitions.length ?? 0) > 0;
      assert.ok(Date.now() < deadline, 'no assignment');
      if (!isAssigned) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this;
  }

  async fetch(
    options: {
      acknowledge?: [number, number, number[]][];
      maxRecords?: number;
      strict?: boolean;
      maxWaitMs?: number;
      epoch?: number;
      renew?: boolean;
    } = {},
  ) {
    const shareSessionEpoch = options.epoch ?? this.sessionEpoch;
    const answer = await this.client.send(shareFetch, 2, {
      groupId: this.groupId,
      memberId: this.id,
      shareSessionEpoch,
      maxWaitMs: options.maxWaitMs ?? 500,
      minBytes: 1,
      maxBytes: 1_000_000,
      maxRecords: options.maxRecords ?? 500,
      batchSize: 500,
      shareAcquireMode: options.strict ? 1 : 0,
      isRenewAck: options.renew ?? false,
      topics:
        shareSessionEpoch === 0 || options.acknowledge
          ? [
              {
                topicId: this.topicId,
                partitions: [
                  {
                    partitionIndex: 0,
                    partitionMaxBytes: 1_000_000,
                    acknowledgementBatches: (options.acknowledge ?? []).map(
                      ([firstOffset, lastOffset, acknowledgeTypes]) => ({
                        firstOffset,
                        lastOffset,
                        acknowledgeTypes,
                      }),
                    ),
                  },
                ],
              },
            ]
          : [],
    });
    if (answer.errorCode === 0 && options.epoch === undefined) this.sessionEpoch++;
    const partition = answer.responses[0]?.partitions[0];
    return {
      errorCode: answer.errorCode,
      acknowledgeErrorCode: partition?.acknowledgeErrorCode,
      acquired:
        partition?.acquiredRecords.map((range) => [range.firstOffset, range.lastOffset, range.deliveryCount]) ?? [],
      values: readValues(partition?.records).map(({ value }) => value),
    };
  }

  /** Fetches until something is acquired. */
  async fetchSome(options: { maxRecords?: number; strict?: boolean } = {}) {
    const deadline = Date.now() + 20_000;
    for (;;) {
      const answer = await this.fetch(options);
      if (answer.acquired.length > 0) return answer;
      assert.ok(Date.now() < deadline, `nothing acquired, error ${answer.errorCode}`);
    }
  }

  async acknowledge(first: number, last: number, types: number[], epoch?: number) {
    const answer = await this.client.send(shareAcknowledge, 2, {
      groupId: this.groupId,
      memberId: this.id,
      shareSessionEpoch: epoch ?? this.sessionEpoch,
      isRenewAck: types.includes(RENEW!),
      topics: [
        {
          topicId: this.topicId,
          partitions: [
            {
              partitionIndex: 0,
              acknowledgementBatches: [{ firstOffset: first, lastOffset: last, acknowledgeTypes: types }],
            },
          ],
        },
      ],
    });
    if (answer.errorCode === 0 && epoch === undefined) this.sessionEpoch++;
    return answer.errorCode === 0 ? answer.responses[0]!.partitions[0]!.errorCode : answer.errorCode;
  }
}
