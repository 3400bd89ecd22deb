import { type SessionPart, withoutSession } from './fetch-session.ts';
import { byTopic } from './metadata-requests.ts';
import type { KafkaRequest, WireReader } from './wire.ts';

export interface FetchPartition {
  readonly topic: string;
  readonly partition: number;
  /** -1: not known. */
  readonly leaderEpoch: number;
  readonly offset: number;
  readonly maximumBytes: number;
}

export interface FetchOptions {
  readonly maximumWaitMilliseconds: number;
  readonly minimumBytes: number;
  readonly maximumBytes: number;
  readonly isolation: 0 | 1;
  readonly rackId: string;
}

/** Versions 11 and 12. The response is read by `readFetch`, where it lies. */
export function fetch(
  version: number,
  what: readonly FetchPartition[] | SessionPart,
  options: FetchOptions,
): KafkaRequest<undefined> {
  const session = 'partitions' in what ? what : withoutSession(what);
  return {
    name: 'Fetch',
    key: 1,
    version,
    flexible: version >= 12,
    write(writer) {
      writer.int32(-1).int32(options.maximumWaitMilliseconds).int32(options.minimumBytes).int32(options.maximumBytes);
      writer.int8(options.isolation).int32(session.id).int32(session.epoch);
      writer.array(byTopic(session.partitions), ([topic, list]) => {
        writer.string(topic).array(list, ({ partition, leaderEpoch, offset, maximumBytes }) => {
          writer.int32(partition).int32(leaderEpoch).int64(offset);
          if (version >= 12) writer.int32(-1);
          writer.int64(-1).int32(maximumBytes).tags();
        });
        writer.tags();
      });
      writer.array(byTopic(session.forgotten), ([topic, list]) => {
        writer.string(topic).array(list, ({ partition }) => writer.int32(partition));
        writer.tags();
      });
      writer.string(options.rackId).tags();
    },
    read: () => undefined,
  };
}

export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

export interface FetchedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly error: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  /** Null under read_uncommitted. */
  readonly aborted: readonly AbortedTransaction[] | null;
  /** -1: go on with this broker. */
  readonly preferredReplica: number;
  /** Where the raw batches lie in the response. */
  readonly start: number;
  readonly end: number;
}

/** Reads what surrounds the records of a Fetch response; the records themselves are left as they lie. */
export function readFetch(reader: WireReader): { error: number; sessionId: number; partitions: FetchedPartition[] } {
  reader.int32();
  const error = reader.int16();
  const sessionId = reader.int32();
  const partitions = reader
    .array(() => {
      const topic = reader.string();
      const list = reader.array(() => {
        const partition = reader.int32();
        const partitionError = reader.int16();
        const highWatermark = reader.int64();
        const lastStableOffset = reader.int64();
        const logStartOffset = reader.int64();
        const aborted = reader.nullableArray(() => {
          const transaction = { producerId: reader.int64(), firstOffset: reader.int64() };
          reader.tags();
          return transaction;
        });
        const preferredReplica = reader.int32();
        const records = reader.flexible ? reader.unsignedVarint() - 1 : reader.int32();
        const length = Math.max(records, 0);
        const start = reader.skip(length);
        reader.tags();
        return {
          topic,
          partition,
          error: partitionError,
          highWatermark,
          lastStableOffset,
          logStartOffset,
          aborted,
          preferredReplica,
          start,
          end: start + length,
        };
      });
      reader.tags();
      return list;
    })
    .flat();
  return { error, sessionId, partitions };
}
