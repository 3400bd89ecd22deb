import assert from 'node:assert/strict';
import { BatchView } from '@headrace/kafka-records';
import { apiVersions } from '../../src/protocol/messages/api-versions.ts';
import { deleteRecords } from '../../src/protocol/messages/delete-records.ts';
import { fetch } from '../../src/protocol/messages/fetch.ts';
import { listOffsets } from '../../src/protocol/messages/list-offsets.ts';
import { metadata } from '../../src/protocol/messages/metadata.ts';
import { offsetForLeaderEpoch } from '../../src/protocol/messages/offset-for-leader-epoch.ts';
import { produce } from '../../src/protocol/messages/produce.ts';
import { ClosedError, encodeRequest, type RawClient, readValues } from '../raw-client.ts';
import type { Case } from './case.ts';
import { batchOf, connectTo, fetchFrom, newTopic, produceTo } from './helpers.ts';

const offsetAt = async (client: RawClient, topic: string, timestamp: number, version = 7, isolationLevel = 0) => {
  const { topics } = await client.send(listOffsets, version, {
    replicaId: -1,
    isolationLevel,
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp }] }],
  });
  const { errorCode, offset, timestamp: found } = topics[0]!.partitions[0]!;
  return { errorCode, offset, timestamp: found };
};

export const logCases: Case[] = [
  {
    name: 'a fetch returns whole batches, from the one that holds the offset',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      assert.equal((await produceTo(client, topic, batchOf(['a', 'b', 'c']))).baseOffset, 0);
      assert.equal((await produceTo(client, topic, batchOf(['d', 'e']))).baseOffset, 3);
      const data = await fetchFrom(client, topic, 1);
      assert.equal(data.highWatermark, 5);
      assert.equal(data.abortedTransactions, null);
      assert.deepEqual(
        readValues(data.records).map(({ offset, value }) => `${offset}${value}`),
        ['0a', '1b', '2c', '3d', '4e'],
      );
      const later = await fetchFrom(client, topic, 4);
      assert.deepEqual(
        readValues(later.records).map(({ offset }) => offset),
        [3, 4],
      );
    },
  },
  {
    name: 'the first batch comes whole whatever the limits, later ones may be cut',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const batch = batchOf(['x'.repeat(500)]);
      for (let index = 0; index < 3; index++) await produceTo(client, topic, batchOf(['x'.repeat(500)]));
      const small = await fetchFrom(client, topic, 0, { partitionMaxBytes: 10 });
      assert.equal((small.records as Buffer).length, batch.length);
      const cut = await fetchFrom(client, topic, 0, { partitionMaxBytes: batch.length + 100 });
      assert.equal((cut.records as Buffer).length, batch.length + 100);
      const tiny = await fetchFrom(client, topic, 0, { maxBytes: 1 });
      assert.equal((tiny.records as Buffer).length, batch.length);
    },
  },
  {
    name: 'a fetch outside of the log is error 1 with watermark -1',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      await produceTo(client, topic, batchOf(['a']));
      for (const offset of [2, 1000]) {
        const { errorCode, highWatermark } = await fetchFrom(client, topic, offset);
        assert.deepEqual({ errorCode, highWatermark }, { errorCode: 1, highWatermark: -1 });
      }
      const atEnd = await fetchFrom(client, topic, 1, { maxWaitMs: 0 });
      assert.equal(atEnd.errorCode, 0);
      assert.equal(readValues(atEnd.records).length, 0);
      assert.equal((await fetchFrom(client, topic, 0, { currentLeaderEpoch: 50 })).errorCode, 75);
    },
  },
  {
    name: 'a fetch waits for records, at most as long as it says',
    run: async (target) => {
      using reader = await connectTo(target);
      using writer = await connectTo(target);
      const topic = await newTopic(writer, target);
      const started = Date.now();
      const empty = await fetchFrom(reader, topic, 0, { maxWaitMs: 150 });
      assert.equal(readValues(empty.records).length, 0);
      assert.ok(Date.now() - started >= 140);
      const waiting = fetchFrom(reader, topic, 0, { maxWaitMs: 20_000, minBytes: 150 });
      await produceTo(writer, topic, batchOf(['one']));
      await produceTo(writer, topic, batchOf(['two']));
      await produceTo(writer, topic, batchOf(['three']));
      const values = readValues((await waiting).records).map(({ value }) => value);
      assert.deepEqual(values.slice(0, 2), ['one', 'two']);
      assert.ok(Date.now() - started < 15_000);
    },
  },
  {
    name: 'batches that are not as they should be are refused with their own errors',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 1, { 'max.message.bytes': '1000000' });
      const corrupt = batchOf(['a']);
      corrupt[corrupt.length - 2]! ^= 0xff;
      assert.equal((await produceTo(client, topic, corrupt)).errorCode, 2);
      const two = Buffer.concat([batchOf(['a']), batchOf(['b'])]);
      assert.equal((await produceTo(client, topic, two)).errorCode, 87);
      assert.equal(
        (await produceTo(client, topic, batchOf(['a'], { compression: 'zstd' }), { version: 6 })).errorCode,
        76,
      );
      assert.equal(
        (await produceTo(client, topic, batchOf(['a'], { compression: 'zstd' }), { version: 7 })).errorCode,
        0,
      );
      assert.equal((await produceTo(client, topic, batchOf(['a']), { acks: 2 })).errorCode, 21);
      assert.equal((await produceTo(client, topic, batchOf(['a']), { partition: 9 })).errorCode, 3);
      assert.equal((await produceTo(client, target.name('missing'), batchOf(['a']))).errorCode, 3);
      const future = batchOf(['a'], {
        baseTimestamp: Date.now() + 7_200_000,
        maxTimestamp: Date.now() + 7_200_000,
        records: [{ value: 'a', timestamp: Date.now() + 7_200_000 }],
      });
      assert.equal((await produceTo(client, topic, future)).errorCode, 32);
      assert.equal((await produceTo(client, topic, batchOf(['x'.repeat(1_100_000)]))).errorCode, 10);
      const { offset } = await offsetAt(client, topic, -1);
      assert.equal(offset, 1);
    },
  },
  {
    name: 'without acknowledgements an error closes the connection, success answers nothing',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const request = (index: number) => ({
        transactionalId: null,
        acks: 0,
        timeoutMs: 1000,
        topicData: [{ name: topic, partitionData: [{ index, records: batchOf(['a']) }] }],
      });
      client.tell(produce, 9, request(0));
      // The next answer on the connection is the fetch's.
      assert.equal(readValues((await fetchFrom(client, topic, 0)).records).length, 1);
      client.tell(produce, 9, request(7));
      await client.closed();
    },
  },
  {
    name: 'idempotent batches: repeated, with a gap, of an old epoch',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const send = (baseSequence: number, producerEpoch = 3, producerId = 77_001) =>
        produceTo(client, topic, batchOf(['a', 'b'], { producerId, producerEpoch, baseSequence }));
      assert.equal((await send(0)).baseOffset, 0);
      assert.equal((await send(2)).baseOffset, 2);
      const repeated = await send(0);
      assert.deepEqual([repeated.errorCode, repeated.baseOffset], [0, 0]);
      assert.equal((await send(6)).errorCode, 45);
      assert.equal((await send(4, 2)).errorCode, 47);
      assert.equal((await send(4, 4)).errorCode, 45);
      assert.equal((await send(0, 4)).baseOffset, 4);
      for (let sequence = 2; sequence <= 12; sequence += 2) assert.equal((await send(sequence, 4)).errorCode, 0);
      // Older than the last five: no longer known as a repetition.
      assert.equal((await send(0, 4)).errorCode, 45);
      // A producer that the broker does not know may begin anywhere.
      assert.equal((await send(50, 0, 77_002)).errorCode, 0);
    },
  },
  {
    name: 'ListOffsets: by time and by every special timestamp',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const now = Date.now();
      const at = (times: readonly number[]) =>
        batchOf([], { records: times.map((timestamp) => ({ value: 'v', timestamp })) });
      await produceTo(client, topic, at([now - 5000, now - 4000]));
      await produceTo(client, topic, at([now - 1000, now - 3000, now - 2000]));
      assert.deepEqual(await offsetAt(client, topic, -2), { errorCode: 0, offset: 0, timestamp: -1 });
      assert.deepEqual(await offsetAt(client, topic, -1), { errorCode: 0, offset: 5, timestamp: -1 });
      assert.deepEqual(await offsetAt(client, topic, now - 4500), { errorCode: 0, offset: 1, timestamp: now - 4000 });
      assert.deepEqual(await offsetAt(client, topic, now - 3500), { errorCode: 0, offset: 2, timestamp: now - 1000 });
      assert.deepEqual(await offsetAt(client, topic, now + 1), { errorCode: 0, offset: -1, timestamp: -1 });
      assert.deepEqual(await offsetAt(client, topic, -3), { errorCode: 0, offset: 2, timestamp: now - 1000 });
      assert.deepEqual(await offsetAt(client, topic, -4, 8), { errorCode: 0, offset: 0, timestamp: -1 });
      assert.equal((await offsetAt(client, topic, -5, 9)).offset, -1);
    },
  },
  {
    name: 'LogAppendTime: the broker writes its time, and says so',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 1, { 'message.timestamp.type': 'LogAppendTime' });
      const before = Date.now();
      const { logAppendTimeMs } = await produceTo(
        client,
        topic,
        batchOf([], { records: [{ value: 'a', timestamp: 1 }] }),
      );
      assert.ok(logAppendTimeMs! >= before);
      const { records } = await fetchFrom(client, topic, 0);
      const view = new BatchView(records as Buffer);
      assert.equal(view.timestampType, 'LOG_APPEND_TIME');
      assert.equal(view.maxTimestamp, logAppendTimeMs);
      assert.equal(view.isCrcValid, true);
      assert.equal(readValues(records)[0]!.timestamp, logAppendTimeMs);
    },
  },
  {
    name: 'compression.type makes the broker compress; without it every codec is kept',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 1, { 'compression.type': 'gzip' });
      await produceTo(client, topic, batchOf(['a'.repeat(1000)]));
      assert.equal(new BatchView((await fetchFrom(client, topic, 0)).records as Buffer).compression, 'gzip');
      const kept = await newTopic(client, target);
      for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
        const { baseOffset } = await produceTo(client, kept, batchOf([compression], { compression }));
        const { records } = await fetchFrom(client, kept, baseOffset);
        assert.equal(new BatchView(records as Buffer).compression, compression);
        assert.equal(readValues(records)[0]!.value, compression);
      }
    },
  },
  {
    name: 'DeleteRecords moves the start, also into a batch',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      await produceTo(client, topic, batchOf(['a', 'b', 'c', 'd']));
      const remove = async (offset: number) => {
        const { topics } = await client.send(deleteRecords, 2, {
          topics: [{ name: topic, partitions: [{ partitionIndex: 0, offset }] }],
          timeoutMs: 5000,
        });
        const { errorCode, lowWatermark } = topics[0]!.partitions[0]!;
        return { errorCode, lowWatermark };
      };
      assert.deepEqual(await remove(2), { errorCode: 0, lowWatermark: 2 });
      assert.equal((await fetchFrom(client, topic, 1)).errorCode, 1);
      const data = await fetchFrom(client, topic, 2);
      assert.equal(data.logStartOffset, 2);
      assert.equal(readValues(data.records)[0]!.offset, 0);
      assert.equal((await remove(9)).errorCode, 1);
      assert.deepEqual(await remove(-1), { errorCode: 0, lowWatermark: 4 });
      assert.equal((await offsetAt(client, topic, -2)).offset, 4);
    },
  },
  {
    name: 'fetch sessions: only news, epochs in order',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target, 2);
      const topicId = (await client.send(metadata, 12, { topics: [{ name: topic }] })).topics[0]!.topicId!;
      const ask = (sessionId: number, sessionEpoch: number, partitions: number[], fetchOffset = 0) =>
        client.send(fetch, 13, {
          replicaId: -1,
          maxWaitMs: 50,
          minBytes: 1,
          maxBytes: 1_000_000,
          sessionId,
          sessionEpoch,
          topics:
            partitions.length === 0
              ? []
              : [
                  {
                    topicId,
                    partitions: partitions.map((partition) => ({
                      partition,
                      currentLeaderEpoch: -1,
                      fetchOffset,
                      lastFetchedEpoch: -1,
                      partitionMaxBytes: 100_000,
                    })),
                  },
                ],
        });
      const full = await ask(0, 0, [0, 1]);
      assert.ok(full.sessionId! > 0);
      assert.equal(full.responses[0]!.partitions.length, 2);
      await produceTo(client, topic, batchOf(['a']), { partition: 1 });
      const news = await ask(full.sessionId!, 1, []);
      assert.deepEqual(
        news.responses.flatMap(({ partitions }) => partitions.map(({ partitionIndex }) => partitionIndex)),
        [1],
      );
      assert.equal((await ask(full.sessionId!, 2, [1], 1)).responses.length, 0);
      assert.equal((await ask(full.sessionId!, 9, [])).errorCode, 71);
      assert.equal((await ask(999_999_999, 1, [])).errorCode, 70);
    },
  },
  {
    name: 'the leader epoch tells where it ends',
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      await produceTo(client, topic, batchOf(['a', 'b']));
      const ask = async (leaderEpoch: number) => {
        const { topics } = await client.send(offsetForLeaderEpoch, 4, {
          replicaId: -2,
          topics: [{ topic, partitions: [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch }] }],
        });
        const { errorCode, leaderEpoch: epoch, endOffset } = topics[0]!.partitions[0]!;
        return [errorCode, epoch, endOffset];
      };
      assert.deepEqual(await ask(0), [0, 0, 2]);
      assert.deepEqual(await ask(5), [0, -1, -1]);
    },
  },
  {
    name: 'unknown versions and keys: ApiVersions answers, everything else hangs up',
    run: async (target) => {
      using client = await connectTo(target);
      for (const version of ['0005', '0063']) {
        const frame = await client.exchange(Buffer.from(`000000110012${version}00000007000372617700010100`, 'hex'));
        assert.equal(frame.readInt32BE(0), 7);
        assert.equal(frame.readInt16BE(4), 35);
        assert.equal(frame.readInt32BE(6), 1);
        assert.equal(frame.readInt16BE(10), 18);
      }
      const answer = await client.send(apiVersions, 4, { clientSoftwareName: 'suite', clientSoftwareVersion: '1' });
      assert.equal(answer.errorCode, 0);
      const levels = Object.fromEntries(
        answer.finalizedFeatures!.map(({ name, maxVersionLevel }) => [name, maxVersionLevel]),
      );
      assert.equal(levels['transaction.version'], 2);
      assert.equal(levels['group.version'], 1);
      assert.equal(levels['share.version'], 1);
      const unknownKey = encodeRequest(metadata, 9, { topics: [] } as never, 1);
      unknownKey.writeInt16BE(999, 4);
      await assert.rejects(client.exchange(unknownKey), ClosedError);
      using second = await connectTo(target);
      const unknownVersion = encodeRequest(metadata, 9, { topics: [] } as never, 1);
      unknownVersion.writeInt16BE(90, 6);
      await assert.rejects(second.exchange(unknownVersion), ClosedError);
    },
  },
];
