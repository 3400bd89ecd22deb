import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BatchView, openBatch, RecordCursor } from '@headrace/kafka-records';
import { eventually, type Kafka, needs, startKafka } from '@headrace/testing';
import { Admin, ConfigResourceTypes } from '@platformatic/kafka';
import { Cluster } from '../../src/kafka/cluster.ts';
import type { Connection } from '../../src/kafka/connection.ts';
import {
  type AcknowledgementBatch,
  AcknowledgeType,
  type AcquiredRange,
  readShareFetch,
  shareAcknowledge,
  shareFetch,
  shareGroupHeartbeat,
} from '../../src/kafka/share-requests.ts';
import { createTopics, produce } from './harness.ts';

describe('a share group on Apache Kafka', { skip: needs('java', 'maven') }, () => {
  let kafka: Kafka;
  before(async () => {
    kafka = await startKafka();
  });
  after(() => kafka.stop());

  for (const version of [1, 2] as const) {
    test(`records are acquired, accepted, released, rejected and delivered again (version ${version})`, async () => {
      const topic = `shared-${version}`;
      const groupId = `share-${version}`;
      const memberId = crypto.randomUUID();
      await createTopics(kafka.bootstrapServers, [topic], 1);
      const admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] });
      await admin.incrementalAlterConfigs({
        resources: [
          {
            resourceType: ConfigResourceTypes.GROUP,
            resourceName: groupId,
            configs: [{ name: 'share.auto.offset.reset', configOperation: 0, value: 'earliest' }],
          },
        ],
      });
      await admin.close();
      await produce(
        kafka.bootstrapServers,
        Array.from({ length: 5 }, (_, index) => ({ topic, value: `value ${index}` })),
      );
      const cluster = new Cluster({ bootstrapServers: [kafka.bootstrapServers] });
      try {
        await cluster.refresh([topic]);
        const { topicId } = cluster.topic(topic)!;
        let memberEpoch = 0;
        let isAssigned = false;
        await eventually(async () => {
          const coordinator = await cluster.connection(await cluster.coordinator(groupId), 'group');
          const topics = memberEpoch === 0 ? [topic] : null;
          const answer = await coordinator.send(
            shareGroupHeartbeat({ groupId, memberId, memberEpoch, rackId: null, topics }),
          );
          assert.equal(answer.error, 0, String(answer.message));
          memberEpoch = answer.memberEpoch;
          isAssigned ||=
            answer.assignment?.some((entry) => entry.topicId === topicId && entry.partitions[0] === 0) === true;
          return isAssigned;
        });

        const leader: Connection = await cluster.connection(1, 'share');
        let sessionEpoch = 0;
        const fetchShared = async (acknowledgements: AcknowledgementBatch[] = []) => {
          const response = await leader.sendRaw(
            shareFetch(version, {
              ...{ groupId, memberId, maximumWaitMilliseconds: 500, maximumBytes: 1 << 20 },
              ...{ maximumRecords: 500, batchSize: 500, forgotten: [] },
              sessionEpoch: sessionEpoch++,
              partitions: [{ topicId, partition: 0, acknowledgements }],
            }),
          );
          try {
            const answer = readShareFetch(response.reader);
            assert.equal(answer.error, 0, String(answer.message));
            const partition = answer.partitions[0];
            const values: string[] = [];
            const { bytes } = response.reader;
            const acquired = partition?.acquired ?? [];
            for (let at = partition?.start ?? 0; at < (partition?.end ?? 0); ) {
              const view = new BatchView(bytes, at);
              view.validate(partition!.end);
              const chunk = openBatch(view);
              const cursor = new RecordCursor().reset(chunk);
              while (cursor.next()) {
                const { offset } = cursor;
                const isOurs = acquired.some(
                  ({ firstOffset, lastOffset }) => firstOffset <= offset && offset <= lastOffset,
                );
                if (isOurs) values.push(chunk.bytes.toString('utf8', cursor.valueStart, cursor.valueEnd));
              }
              at = view.end;
            }
            return {
              values,
              acquired,
              lockMilliseconds: answer.lockMilliseconds,
              error: partition?.acknowledgeError ?? 0,
            };
          } finally {
            response.block.release();
          }
        };
        const deliveries = (ranges: readonly AcquiredRange[]): [offset: number, count: number][] =>
          ranges.flatMap(({ firstOffset, lastOffset, deliveryCount }) =>
            Array.from({ length: lastOffset - firstOffset + 1 }, (_, index): [number, number] => [
              firstOffset + index,
              deliveryCount,
            ]),
          );

        // The first answers may be empty, until the group's state for the partition is there.
        const first = await eventually(async () => {
          const answer = await fetchShared();
          return answer.values.length > 0 ? answer : undefined;
        });
        assert.deepEqual(first.values, ['value 0', 'value 1', 'value 2', 'value 3', 'value 4']);
        assert.deepEqual(
          deliveries(first.acquired),
          [0, 1, 2, 3, 4].map((offset) => [offset, 1]),
        );
        assert.ok(first.lockMilliseconds > 0);

        // Accepted and rejected ones are done with; released ones come again.
        const { ACCEPT, RELEASE, REJECT } = AcknowledgeType;
        const acknowledged = await leader.send(
          shareAcknowledge(version, {
            ...{ groupId, memberId },
            sessionEpoch: sessionEpoch++,
            partitions: [
              {
                topicId,
                partition: 0,
                acknowledgements: [
                  { firstOffset: 0, lastOffset: 1, types: [ACCEPT] },
                  { firstOffset: 2, lastOffset: 4, types: [RELEASE, REJECT, RELEASE] },
                ],
              },
            ],
          }),
        );
        assert.equal(acknowledged.error, 0, String(acknowledged.message));
        assert.deepEqual(
          acknowledged.partitions.map(({ error, partition }) => [error, partition]),
          [[0, 0]],
        );
        const second = await eventually(async () => {
          const answer = await fetchShared();
          return answer.values.length > 0 ? answer : undefined;
        });
        assert.deepEqual(second.values, ['value 2', 'value 4']);
        assert.deepEqual(deliveries(second.acquired), [
          [2, 2],
          [4, 2],
        ]);

        // Acknowledged with the next fetch: nothing is left.
        const third = await fetchShared([
          { firstOffset: 2, lastOffset: 2, types: [ACCEPT] },
          { firstOffset: 4, lastOffset: 4, types: [ACCEPT] },
        ]);
        assert.deepEqual([third.values, third.error], [[], 0]);
      } finally {
        cluster.close();
      }
    });
  }
});
