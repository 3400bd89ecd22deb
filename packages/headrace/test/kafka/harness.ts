import { RecordCursor } from '@headrace/kafka-records';
import { eventually } from '@headrace/testing';
import { Admin, Producer } from '@platformatic/kafka';
import type { HeadraceError } from '../../src/errors.ts';
import { Cluster } from '../../src/kafka/cluster.ts';
import type {
  AssignedPartition,
  ClusterConfiguration,
  CommitResult,
  GroupConsumer,
  GroupConsumerOptions,
  TopicPartition,
} from '../../src/kafka/contract.ts';
import { createKafkaCluster, type KafkaClusterOptions } from '../../src/kafka/index.ts';
import { lookUpOffsets } from '../../src/kafka/offset-lookup.ts';

export interface SeenRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** A consumer that takes all there is and remembers it; commits when told. */
export class Recorder {
  readonly consumer: GroupConsumer;
  readonly records: SeenRecord[] = [];
  readonly assigned: AssignedPartition[] = [];
  readonly revoked: AssignedPartition[] = [];
  readonly lost: AssignedPartition[] = [];
  readonly statuses: (HeadraceError | undefined)[] = [];
  readonly skipped: (TopicPartition & { from: number; to: number; reason: string })[] = [];
  /** Next offset by partition: what a commit would carry. */
  readonly positions = new Map<string, { topic: string; partition: number; offset: number; leaderEpoch: number }>();
  /** Called for each chunk; may pause. */
  onChunk: (partition: AssignedPartition, records: number) => void = () => {};
  /** Awaited before partitions are given up; by default everything is committed. */
  onRevoking: (partitions: readonly AssignedPartition[]) => Promise<unknown> = (partitions) => this.commit(partitions);
  keepsRecords = true;
  isTaking = true;
  count = 0;
  readonly #cluster: ReturnType<typeof createKafkaCluster>;
  readonly #cursor = new RecordCursor();

  constructor(
    configuration: ClusterConfiguration,
    options: Partial<GroupConsumerOptions> & { topics: readonly string[] },
    clusterOptions: KafkaClusterOptions = {},
  ) {
    this.#cluster = createKafkaCluster(configuration, { metadataAgeMilliseconds: 500, ...clusterOptions });
    this.consumer = this.#cluster.createGroupConsumer(
      { groupId: `group-${crypto.randomUUID()}`, startingPosition: { kind: 'TRIM_HORIZON' }, ...options },
      {
        onAssigned: (partitions) => {
          this.assigned.push(...partitions);
          for (const { topic, partition, startOffset } of partitions) {
            this.positions.set(`${topic}/${partition}`, { topic, partition, offset: startOffset, leaderEpoch: -1 });
          }
        },
        onRevoking: async (partitions) => {
          await this.onRevoking(partitions);
          this.revoked.push(...partitions);
        },
        onLost: (partitions) => void this.lost.push(...partitions),
        onRecords: () => this.drain(),
        onStatus: (error) => void this.statuses.push(error),
        onSkipped: (skipped) => void this.skipped.push(skipped),
      },
    );
  }

  start(): this {
    this.consumer.start();
    return this;
  }

  get status(): HeadraceError | undefined {
    return this.statuses.at(-1);
  }

  drain(): void {
    if (!this.isTaking) return;
    for (const partition of this.consumer.partitions) {
      for (let chunk = partition.take(); chunk !== undefined; chunk = partition.take()) {
        const { topic, partition: index } = partition;
        let count = 0;
        const cursor = this.#cursor;
        const text = (start: number, end: number): string | null =>
          start < 0 ? null : cursor.bytes.toString('utf8', start, end);
        for (cursor.reset(chunk); cursor.next(); ) {
          count++;
          if (!this.keepsRecords) continue;
          this.records.push({
            topic,
            partition: index,
            offset: cursor.offset,
            timestamp: cursor.timestamp,
            key: text(cursor.keyStart, cursor.keyEnd),
            value: text(cursor.valueStart, cursor.valueEnd),
          });
        }
        this.count += count;
        const { nextOffset: offset, leaderEpoch } = chunk;
        this.positions.set(`${topic}/${index}`, { topic, partition: index, offset, leaderEpoch });
        chunk.release();
        this.onChunk(partition, count);
      }
    }
  }

  commit(
    partitions: readonly TopicPartition[] = this.consumer.partitions,
    metadata = '',
  ): Promise<readonly CommitResult[]> {
    const offsets = partitions.flatMap(({ topic, partition }) => {
      const position = this.positions.get(`${topic}/${partition}`);
      return position === undefined ? [] : [{ ...position, metadata }];
    });
    return this.consumer.commit(offsets);
  }

  async close(): Promise<void> {
    await this.consumer.close({ timeoutMilliseconds: 10_000 });
    await this.#cluster.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

export async function createTopics(
  bootstrapServers: string,
  topics: string[],
  partitions: number,
  configs: { name: string; value: string }[] = [],
): Promise<void> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [bootstrapServers] });
  try {
    await admin.createTopics({ topics, partitions, replicas: 1, configs });
  } finally {
    await admin.close();
  }
  // Metadata knows a topic before its partitions can be used, and the producer would write some records twice.
  const cluster = new Cluster({ bootstrapServers: [bootstrapServers] });
  try {
    await eventually(async () => {
      const queries = topics.flatMap((topic) =>
        Array.from({ length: partitions }, (_, partition) => ({ topic, partition, timestamp: -1 })),
      );
      await cluster.refresh(topics);
      return await lookUpOffsets(cluster, 'test', queries, 0);
    });
  } finally {
    cluster.close();
  }
}

export async function produce(
  bootstrapServers: string,
  messages: readonly { topic: string; partition?: number; key?: string; value?: string; timestamp?: bigint }[],
  compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd' = 'none',
): Promise<void> {
  const producer = new Producer({ clientId: 'test', bootstrapBrokers: [bootstrapServers] });
  try {
    for (let start = 0; start < messages.length; start += 1000) {
      await producer.send({
        acks: -1,
        compression,
        messages: messages.slice(start, start + 1000).map(({ key, value, ...rest }) => ({
          ...rest,
          ...(key === undefined ? {} : { key: Buffer.from(key) }),
          ...(value === undefined ? {} : { value: Buffer.from(value) }),
        })),
      });
    }
  } finally {
    await producer.close();
  }
}
