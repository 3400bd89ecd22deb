/**
 * Share groups (KIP-932): the three requests that a member sends. Records are acquired instead of assigned, and
 * acknowledged one by one instead of committed.
 */
import { readAssignment, type TopicIdPartitions } from './group-requests.ts';
import type { KafkaRequest, WireReader, WireWriter } from './wire.ts';

/** What becomes of an acquired record. A gap is an offset without a record; `renew` (version 2) keeps the lock. */
export const AcknowledgeType = { GAP: 0, ACCEPT: 1, RELEASE: 2, REJECT: 3, RENEW: 4 } as const;

/** A range of offsets, both ends included; one type for all, or one an offset. */
export interface AcknowledgementBatch {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly types: readonly number[];
}

export interface SharePartition {
  readonly topicId: string;
  readonly partition: number;
  readonly acknowledgements: readonly AcknowledgementBatch[];
}

export interface ShareGroupHeartbeatAnswer {
  readonly error: number;
  readonly message: string | null;
  readonly memberId: string | null;
  readonly memberEpoch: number;
  readonly intervalMilliseconds: number;
  /** Null: as before. */
  readonly assignment: readonly TopicIdPartitions[] | null;
}

/** Epoch 0 joins, -1 leaves; the member makes its own id (a UUID). `topics` null: as before. */
export function shareGroupHeartbeat(request: {
  readonly groupId: string;
  readonly memberId: string;
  readonly memberEpoch: number;
  readonly rackId: string | null;
  readonly topics: readonly string[] | null;
}): KafkaRequest<ShareGroupHeartbeatAnswer> {
  return {
    name: 'ShareGroupHeartbeat',
    key: 76,
    version: 1,
    flexible: true,
    write(writer) {
      writer.string(request.groupId).string(request.memberId).int32(request.memberEpoch).string(request.rackId);
      writer.array(request.topics, (topic) => writer.string(topic)).tags();
    },
    read(reader) {
      reader.int32();
      const error = reader.int16();
      const message = reader.nullableString();
      const memberId = reader.nullableString();
      const memberEpoch = reader.int32();
      const intervalMilliseconds = reader.int32();
      const assignment = readAssignment(reader);
      return { error, message, memberId, memberEpoch, intervalMilliseconds, assignment };
    },
  };
}

function writePartitions(writer: WireWriter, partitions: readonly SharePartition[]): void {
  const topics = new Map<string, SharePartition[]>();
  for (const partition of partitions) {
    const list = topics.get(partition.topicId);
    if (list === undefined) topics.set(partition.topicId, [partition]);
    else list.push(partition);
  }
  writer.array([...topics], ([topicId, list]) => {
    writer.uuid(topicId).array(list, ({ partition, acknowledgements }) => {
      writer.int32(partition);
      writer.array(acknowledgements, ({ firstOffset, lastOffset, types }) => {
        writer
          .int64(firstOffset)
          .int64(lastOffset)
          .array(types, (type) => writer.int8(type))
          .tags();
      });
      writer.tags();
    });
    writer.tags();
  });
}

export interface AcquiredRange {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly deliveryCount: number;
}

export interface SharedPartition {
  readonly topicId: string;
  readonly partition: number;
  readonly error: number;
  readonly message: string | null;
  readonly acknowledgeError: number;
  readonly acknowledgeMessage: string | null;
  readonly leaderId: number;
  readonly leaderEpoch: number;
  /** Where the raw batches lie in the response. Only records inside of `acquired` may be processed. */
  readonly start: number;
  readonly end: number;
  readonly acquired: readonly AcquiredRange[];
}

export interface ShareFetchAnswer {
  readonly error: number;
  readonly message: string | null;
  readonly lockMilliseconds: number;
  readonly partitions: readonly SharedPartition[];
}

/**
 * Fetches and acknowledges in one, from one broker. `sessionEpoch` 0 opens the session of member and broker, each
 * request of either kind then counts one up, -1 closes it (and may only acknowledge). Version 1 or 2; the response is
 * read by `readShareFetch`, where it lies.
 */
export function shareFetch(
  version: 1 | 2,
  request: {
    readonly groupId: string;
    readonly memberId: string;
    readonly sessionEpoch: number;
    readonly maximumWaitMilliseconds: number;
    readonly maximumBytes: number;
    readonly maximumRecords: number;
    readonly batchSize: number;
    readonly partitions: readonly SharePartition[];
    readonly forgotten: readonly TopicIdPartitions[];
    /** Version 2: some acknowledgements renew. */
    readonly isRenewing?: boolean;
  },
): KafkaRequest<undefined> {
  return {
    name: 'ShareFetch',
    key: 78,
    version,
    flexible: true,
    write(writer) {
      writer.string(request.groupId).string(request.memberId).int32(request.sessionEpoch);
      writer.int32(request.maximumWaitMilliseconds).int32(1).int32(request.maximumBytes);
      writer.int32(request.maximumRecords).int32(request.batchSize);
      if (version >= 2) writer.int8(0).boolean(request.isRenewing === true);
      writePartitions(writer, request.partitions);
      writer.array(request.forgotten, ({ topicId, partitions }) => {
        writer
          .uuid(topicId)
          .array(partitions, (partition) => writer.int32(partition))
          .tags();
      });
      writer.tags();
    },
    read: () => undefined,
  };
}

/** Reads what surrounds the records of a ShareFetch response; the records themselves are left as they lie. */
export function readShareFetch(reader: WireReader): ShareFetchAnswer {
  reader.int32();
  const error = reader.int16();
  const message = reader.nullableString();
  const lockMilliseconds = reader.int32();
  const partitions = reader
    .array(() => {
      const topicId = reader.uuid();
      const list = reader.array(() => {
        const head = {
          topicId,
          partition: reader.int32(),
          error: reader.int16(),
          message: reader.nullableString(),
          acknowledgeError: reader.int16(),
          acknowledgeMessage: reader.nullableString(),
          leaderId: reader.int32(),
          leaderEpoch: reader.int32(),
        };
        reader.tags();
        const length = Math.max(reader.unsignedVarint() - 1, 0);
        const start = reader.skip(length);
        const acquired = reader.array(() => {
          const range = {
            firstOffset: reader.int64(),
            lastOffset: reader.int64(),
            deliveryCount: reader.int16(),
          };
          reader.tags();
          return range;
        });
        reader.tags();
        return { ...head, start, end: start + length, acquired };
      });
      reader.tags();
      return list;
    })
    .flat();
  return { error, message, lockMilliseconds, partitions };
}

export interface ShareAcknowledgeAnswer {
  readonly error: number;
  readonly message: string | null;
  readonly partitions: readonly {
    readonly topicId: string;
    readonly partition: number;
    readonly error: number;
    readonly message: string | null;
  }[];
}

/** Acknowledges without fetching. Version 1 or 2. */
export function shareAcknowledge(
  version: 1 | 2,
  request: {
    readonly groupId: string;
    readonly memberId: string;
    readonly sessionEpoch: number;
    readonly partitions: readonly SharePartition[];
    /** Version 2: some acknowledgements renew. */
    readonly isRenewing?: boolean;
  },
): KafkaRequest<ShareAcknowledgeAnswer> {
  return {
    name: 'ShareAcknowledge',
    key: 79,
    version,
    flexible: true,
    write(writer) {
      writer.string(request.groupId).string(request.memberId).int32(request.sessionEpoch);
      if (version >= 2) writer.boolean(request.isRenewing === true);
      writePartitions(writer, request.partitions);
      writer.tags();
    },
    read(reader) {
      reader.int32();
      const error = reader.int16();
      const message = reader.nullableString();
      // The time that renewed locks last.
      if (version >= 2) reader.int32();
      const partitions = reader
        .array(() => {
          const topicId = reader.uuid();
          const list = reader.array(() => {
            const answer = {
              topicId,
              partition: reader.int32(),
              error: reader.int16(),
              message: reader.nullableString(),
            };
            reader.int32();
            reader.int32();
            reader.tags();
            reader.tags();
            return answer;
          });
          reader.tags();
          return list;
        })
        .flat();
      return { error, message, partitions };
    },
  };
}
