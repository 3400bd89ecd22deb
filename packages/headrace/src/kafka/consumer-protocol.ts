/** What members of a classic consumer group tell each other through the coordinator (Kafka's ConsumerProtocol). */
import type { TopicPartition } from './contract.ts';
import { byTopic } from './metadata-requests.ts';
import { WireReader, WireWriter } from './wire.ts';

export interface Subscription {
  readonly topics: readonly string[];
  readonly owned: readonly TopicPartition[];
  /** Generation that `owned` is of; -1 unknown. */
  readonly generation: number;
}

/** Version 2: topics, owned partitions and their generation. */
export function encodeSubscription(subscription: Subscription): Buffer {
  const writer = new WireWriter(false);
  writer.int16(2);
  writer.array(subscription.topics, (topic) => writer.string(topic));
  writer.byteArray(null);
  writePartitions(writer, subscription.owned);
  writer.int32(subscription.generation);
  return writer.written;
}

/** Any version: later ones only add at the end. */
export function decodeSubscription(bytes: Buffer): Subscription {
  const reader = new WireReader(bytes, 0, bytes.length, false);
  const version = reader.int16();
  const topics = reader.array(() => reader.string());
  reader.nullableBytes();
  const owned = version >= 1 ? readPartitions(reader) : [];
  const generation = version >= 2 ? reader.int32() : -1;
  return { topics, owned, generation };
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const writer = new WireWriter(false);
  writer.int16(0);
  writePartitions(writer, partitions);
  writer.byteArray(null);
  return writer.written;
}

/** An empty answer is an empty assignment. */
export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return [];
  const reader = new WireReader(bytes, 0, bytes.length, false);
  reader.int16();
  return readPartitions(reader);
}

function writePartitions(writer: WireWriter, partitions: readonly TopicPartition[]): void {
  writer.array(byTopic(partitions), ([topic, list]) => {
    writer.string(topic).array(list, ({ partition }) => writer.int32(partition));
  });
}

function readPartitions(reader: WireReader): TopicPartition[] {
  return reader
    .array(() => {
      const topic = reader.string();
      return reader.array(() => ({ topic, partition: reader.int32() }));
    })
    .flat();
}
