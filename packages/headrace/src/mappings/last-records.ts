// The last records of a topic, read without a group and without a commit.

import { HeaderCursor, RecordCursor } from '@headrace/kafka-records';
import { HeadraceError } from '../errors.ts';
import type { AssignedPartition, RecordChunk } from '../kafka/contract.ts';
import type { ReadableCluster, ReaderOptions } from '../kafka/index.ts';
import type { FilterRecord } from './filter-record.ts';

/** How long a cluster may be silent before it is given up. */
const silenceMilliseconds = 15_000;

/**
 * The `count` youngest records of the topic by their timestamps, oldest first; fewer when it has fewer. Rejects with
 * HeadraceError: what ails the cluster, or KAFKA_TIMEOUT.
 */
export async function readLastRecords(cluster: ReadableCluster, topic: string, count: number): Promise<FilterRecord[]> {
  const ends = new Map<number, number>();
  await readUntil(cluster, { topics: [topic], start: { kind: 'LATEST' } }, (partitions) => {
    for (const { partition, startOffset } of partitions) ends.set(partition, startOffset);
    return true;
  });
  const wanted = [...ends].filter(([, end]) => end > 0);
  if (wanted.length === 0) return [];
  const records: FilterRecord[] = [];
  const positions = new Map(wanted.map(([partition, end]) => [partition, Math.max(0, end - count)]));
  const options: ReaderOptions = {
    topics: [topic],
    partitions: wanted.map(([partition]) => ({ topic, partition })),
    start: ({ partition }) => ({ kind: 'OFFSET', offset: positions.get(partition)! }),
  };
  await readUntil(
    cluster,
    options,
    (partitions) => {
      for (const place of partitions) {
        for (let chunk = place.take(); chunk !== undefined; chunk = place.take()) {
          for (const record of recordsOf(place, chunk)) {
            if (Number(record.offset) < ends.get(place.partition)!) records.push(record);
          }
          positions.set(place.partition, chunk.nextOffset);
          chunk.release();
        }
      }
      return wanted.every(([partition, end]) => positions.get(partition)! >= end);
    },
    ({ partition, to }) => positions.set(partition, Math.max(positions.get(partition)!, to)),
  );
  return records.sort((a, b) => a.timestamp - b.timestamp).slice(-count);
}

/** Runs a reader until `look`, called at every sign of life, says that it has seen enough. */
function readUntil(
  cluster: ReadableCluster,
  options: ReaderOptions,
  look: (partitions: readonly AssignedPartition[]) => boolean,
  onSkipped: (skipped: { partition: number; to: number }) => void = () => {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    let trouble: HeadraceError | undefined;
    const end = (error?: unknown): void => {
      clearTimeout(timer);
      void reader.close();
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = setTimeout(() => {
      const topic = options.topics.join();
      end(trouble ?? new HeadraceError('KAFKA_TIMEOUT', `${topic}: nothing came for ${silenceMilliseconds} ms`));
    }, silenceMilliseconds);
    const lookAgain = (): void => {
      timer.refresh();
      try {
        if (look(reader.partitions)) end();
      } catch (error) {
        end(error);
      }
    };
    const reader = cluster.createReader(options, {
      onAssigned: lookAgain,
      onRecords: lookAgain,
      onStatus(error) {
        trouble = error;
        // A dry run does not wait for a topic to appear or for a network to heal.
        if (error !== undefined && (!error.retryable || error.code === 'KAFKA_TOPIC_MISSING')) end(error);
      },
      onSkipped(skipped) {
        onSkipped(skipped);
        lookAgain();
      },
    });
    reader.start();
  });
}

function* recordsOf(place: AssignedPartition, chunk: RecordChunk): Generator<FilterRecord> {
  const cursor = new RecordCursor().reset(chunk);
  const { topic, partition } = place;
  while (cursor.next()) {
    const headers = headersOf(cursor);
    yield {
      topic,
      partition,
      offset: cursor.offset,
      timestamp: cursor.timestamp,
      timestampType: chunk.timestampType,
      key: cursor.keyStart < 0 ? null : Uint8Array.from(cursor.bytes.subarray(cursor.keyStart, cursor.keyEnd)),
      value: cursor.valueStart < 0 ? null : Uint8Array.from(cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd)),
      headers: () => headers,
    };
  }
}

function headersOf(cursor: RecordCursor): { key: string; value: Uint8Array | null }[] {
  const headers: { key: string; value: Uint8Array | null }[] = [];
  for (const header = new HeaderCursor().reset(cursor); header.next(); ) {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd } = header;
    headers.push({
      key: bytes.toString('utf8', keyStart, keyEnd),
      value: valueStart < 0 ? null : Uint8Array.from(bytes.subarray(valueStart, valueEnd)),
    });
  }
  return headers;
}
