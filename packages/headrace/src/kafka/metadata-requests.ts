/** Metadata, ListOffsets, OffsetForLeaderEpoch and FindCoordinator. */
import type { KafkaRequest } from './wire.ts';

export interface BrokerNode {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

export interface PartitionMetadata {
  readonly error: number;
  readonly partition: number;
  /** -1: none now. */
  readonly leader: number;
  readonly leaderEpoch: number;
}

export interface TopicMetadata {
  readonly error: number;
  readonly name: string;
  /** 32 hexadecimal digits; zeros from brokers that know none. */
  readonly topicId: string;
  readonly partitions: readonly PartitionMetadata[];
}

export interface Metadata {
  readonly brokers: readonly BrokerNode[];
  readonly clusterId: string | null;
  readonly controllerId: number;
  readonly topics: readonly TopicMetadata[];
}

export const NO_TOPIC_ID = '0'.repeat(32);

/** Versions 9 to 12. Never creates topics. */
export function metadata(version: number, topics: readonly string[] | null): KafkaRequest<Metadata> {
  return {
    name: 'Metadata',
    key: 3,
    version,
    flexible: true,
    write(writer) {
      writer.array(topics, (topic) => {
        if (version >= 10) writer.uuid(NO_TOPIC_ID);
        writer.string(topic).tags();
      });
      writer.boolean(false);
      if (version <= 10) writer.boolean(false);
      writer.boolean(false).tags();
    },
    read(reader) {
      reader.int32();
      const brokers = reader.array(() => {
        const nodeId = reader.int32();
        const host = reader.string();
        const port = reader.int32();
        const rack = reader.nullableString();
        reader.tags();
        return { nodeId, host, port, rack };
      });
      const clusterId = reader.nullableString();
      const controllerId = reader.int32();
      const found = reader.array(() => {
        const error = reader.int16();
        const name = reader.string();
        const topicId = version >= 10 ? reader.uuid() : NO_TOPIC_ID;
        reader.boolean();
        const partitions = reader.array(() => {
          const partitionError = reader.int16();
          const partition = reader.int32();
          const leader = reader.int32();
          const leaderEpoch = reader.int32();
          for (let list = 0; list < 3; list++) reader.array(() => reader.int32());
          reader.tags();
          return { error: partitionError, partition, leader, leaderEpoch };
        });
        reader.int32();
        reader.tags();
        return { error, name, topicId, partitions };
      });
      return { brokers, clusterId, controllerId, topics: found };
    },
  };
}

export interface Coordinator {
  readonly error: number;
  readonly message: string | null;
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export function findCoordinator(groupId: string): KafkaRequest<Coordinator> {
  return {
    name: 'FindCoordinator',
    key: 10,
    version: 3,
    flexible: true,
    write: (writer) => void writer.string(groupId).int8(0).tags(),
    read(reader) {
      reader.int32();
      return {
        error: reader.int16(),
        message: reader.nullableString(),
        nodeId: reader.int32(),
        host: reader.string(),
        port: reader.int32(),
      };
    },
  };
}

export interface OffsetQuery {
  readonly topic: string;
  readonly partition: number;
  /** -1 latest, -2 earliest, else milliseconds. */
  readonly timestamp: number;
}

export interface OffsetAnswer {
  readonly topic: string;
  readonly partition: number;
  readonly error: number;
  /** -1: no record at or after the time. */
  readonly offset: number;
  readonly timestamp: number;
  readonly leaderEpoch: number;
}

export const LATEST_OFFSET = -1;
export const EARLIEST_OFFSET = -2;

/** With `isolation` 1 "latest" is the last stable offset. */
export function listOffsets(queries: readonly OffsetQuery[], isolation: 0 | 1): KafkaRequest<OffsetAnswer[]> {
  return {
    name: 'ListOffsets',
    key: 2,
    version: 5,
    flexible: false,
    write(writer) {
      writer.int32(-1).int8(isolation);
      writer.array(byTopic(queries), ([topic, partitions]) => {
        writer.string(topic).array(partitions, ({ partition, timestamp }) => {
          writer.int32(partition).int32(-1).int64(timestamp);
        });
      });
    },
    read(reader) {
      reader.int32();
      return reader
        .array(() => {
          const topic = reader.string();
          return reader.array(() => ({
            topic,
            partition: reader.int32(),
            error: reader.int16(),
            timestamp: reader.nearestInt64(),
            offset: reader.int64(),
            leaderEpoch: reader.int32(),
          }));
        })
        .flat();
    },
  };
}

export interface EpochQuery {
  readonly topic: string;
  readonly partition: number;
  readonly currentLeaderEpoch: number;
  /** Of the last record that was read. */
  readonly leaderEpoch: number;
}

export interface EpochAnswer {
  readonly topic: string;
  readonly partition: number;
  readonly error: number;
  readonly leaderEpoch: number;
  /** Where that epoch's records end; -1 unknown. */
  readonly endOffset: number;
}

/** KIP-320: where the records of an epoch end in the leader's log now. */
export function offsetForLeaderEpoch(queries: readonly EpochQuery[]): KafkaRequest<EpochAnswer[]> {
  return {
    name: 'OffsetForLeaderEpoch',
    key: 23,
    version: 3,
    flexible: false,
    write(writer) {
      writer.int32(-1);
      writer.array(byTopic(queries), ([topic, partitions]) => {
        writer.string(topic).array(partitions, ({ partition, currentLeaderEpoch, leaderEpoch }) => {
          writer.int32(partition).int32(currentLeaderEpoch).int32(leaderEpoch);
        });
      });
    },
    read(reader) {
      reader.int32();
      return reader
        .array(() => {
          const topic = reader.string();
          return reader.array(() => ({
            error: reader.int16(),
            topic,
            partition: reader.int32(),
            leaderEpoch: reader.int32(),
            endOffset: reader.int64(),
          }));
        })
        .flat();
    },
  };
}

/** Groups by topic, in order of first appearance. */
export function byTopic<T extends { readonly topic: string }>(entries: readonly T[]): [string, T[]][] {
  const topics = new Map<string, T[]>();
  for (const entry of entries) {
    const list = topics.get(entry.topic);
    if (list === undefined) topics.set(entry.topic, [entry]);
    else list.push(entry);
  }
  return [...topics];
}
