/** Requests to a group's coordinator: membership by both protocols, and offsets. */
import { byTopic } from './metadata-requests.ts';
import type { KafkaRequest, WireReader } from './wire.ts';

export interface JoinAnswer {
  readonly error: number;
  readonly generation: number;
  readonly protocol: string;
  readonly leader: string;
  /** The leader is not to assign: a static member came back, and the assignment stands (KIP-814). */
  readonly skipAssignment: boolean;
  readonly memberId: string;
  readonly members: readonly { readonly memberId: string; readonly metadata: Buffer }[];
}

/** Versions 6 to 9. */
export function joinGroup(
  version: number,
  request: {
    readonly groupId: string;
    readonly sessionTimeout: number;
    readonly rebalanceTimeout: number;
    readonly memberId: string;
    readonly instanceId: string | null;
    readonly protocols: readonly { readonly name: string; readonly metadata: Buffer }[];
  },
): KafkaRequest<JoinAnswer> {
  return {
    name: 'JoinGroup',
    key: 11,
    version,
    flexible: true,
    write(writer) {
      writer.string(request.groupId).int32(request.sessionTimeout).int32(request.rebalanceTimeout);
      writer.string(request.memberId).string(request.instanceId).string('consumer');
      writer.array(request.protocols, ({ name, metadata }) => writer.string(name).byteArray(metadata).tags());
      // No reason is given.
      if (version >= 8) writer.string(null);
      writer.tags();
    },
    read(reader) {
      reader.int32();
      const error = reader.int16();
      const generation = reader.int32();
      if (version >= 7) reader.nullableString();
      return {
        error,
        generation,
        protocol: reader.string(),
        leader: reader.string(),
        skipAssignment: version >= 9 && reader.boolean(),
        memberId: reader.string(),
        members: reader.array(() => {
          const memberId = reader.string();
          reader.nullableString();
          const metadata = Buffer.from(reader.byteArray());
          reader.tags();
          return { memberId, metadata };
        }),
      };
    },
  };
}

export interface GroupIdentity {
  readonly groupId: string;
  readonly generation: number;
  readonly memberId: string;
  readonly instanceId: string | null;
}

export function syncGroup(
  identity: GroupIdentity,
  assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[],
): KafkaRequest<{ error: number; assignment: Buffer }> {
  return {
    name: 'SyncGroup',
    key: 14,
    version: 4,
    flexible: true,
    write(writer) {
      writer.string(identity.groupId).int32(identity.generation).string(identity.memberId).string(identity.instanceId);
      writer.array(assignments, ({ memberId, assignment }) => writer.string(memberId).byteArray(assignment).tags());
      writer.tags();
    },
    read(reader) {
      reader.int32();
      return { error: reader.int16(), assignment: Buffer.from(reader.byteArray()) };
    },
  };
}

export function heartbeat(identity: GroupIdentity): KafkaRequest<number> {
  return {
    name: 'Heartbeat',
    key: 12,
    version: 4,
    flexible: true,
    write(writer) {
      writer.string(identity.groupId).int32(identity.generation).string(identity.memberId);
      writer.string(identity.instanceId).tags();
    },
    read(reader) {
      reader.int32();
      return reader.int16();
    },
  };
}

export function leaveGroup(identity: Omit<GroupIdentity, 'generation'>): KafkaRequest<number> {
  return {
    name: 'LeaveGroup',
    key: 13,
    version: 4,
    flexible: true,
    write(writer) {
      writer.string(identity.groupId);
      writer.array([identity], ({ memberId, instanceId }) => writer.string(memberId).string(instanceId).tags());
      writer.tags();
    },
    read(reader) {
      reader.int32();
      return reader.int16();
    },
  };
}

/** By topic id. */
export interface TopicIdPartitions {
  readonly topicId: string;
  readonly partitions: readonly number[];
}

export interface ConsumerGroupHeartbeatAnswer {
  readonly error: number;
  readonly message: string | null;
  readonly memberId: string;
  readonly memberEpoch: number;
  readonly intervalMilliseconds: number;
  /** Null: as before. */
  readonly assignment: readonly TopicIdPartitions[] | null;
}

/** KIP-848, version 1: the member makes its own id. Null members of the request mean "as before". */
export function consumerGroupHeartbeat(request: {
  readonly groupId: string;
  readonly memberId: string;
  /** 0 joins, -1 leaves, -2 leaves as a static member that comes back. */
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  /** -1: as before. */
  readonly rebalanceTimeout: number;
  readonly topics: readonly string[] | null;
  readonly owned: readonly TopicIdPartitions[] | null;
}): KafkaRequest<ConsumerGroupHeartbeatAnswer> {
  return {
    name: 'ConsumerGroupHeartbeat',
    key: 68,
    version: 1,
    flexible: true,
    write(writer) {
      writer.string(request.groupId).string(request.memberId).int32(request.memberEpoch);
      writer.string(request.instanceId).string(request.rackId).int32(request.rebalanceTimeout);
      writer.array(request.topics, (topic) => writer.string(topic));
      // Neither a regular expression nor an assignor of our choice.
      writer.string(null).string(null);
      writer.array(request.owned, ({ topicId, partitions }) => {
        writer
          .uuid(topicId)
          .array(partitions, (partition) => writer.int32(partition))
          .tags();
      });
      writer.tags();
    },
    read(reader) {
      reader.int32();
      const error = reader.int16();
      const message = reader.nullableString();
      const memberId = reader.string();
      const memberEpoch = reader.int32();
      const intervalMilliseconds = reader.int32();
      const assignment = readAssignment(reader);
      return { error, message, memberId, memberEpoch, intervalMilliseconds, assignment };
    },
  };
}

/** The assignment in the answer to a heartbeat of KIP-848 or KIP-932; null where it has not changed. */
export function readAssignment(reader: WireReader): TopicIdPartitions[] | null {
  if (reader.int8() < 0) return null;
  const assignment = reader.array(() => {
    const topicId = reader.uuid();
    const partitions = reader.array(() => reader.int32());
    reader.tags();
    return { topicId, partitions };
  });
  reader.tags();
  return assignment;
}

export interface CommitEntry {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
}

/** Versions 8 and 9; `generation` is the member epoch in a KIP-848 group. */
export function offsetCommit(
  version: number,
  identity: GroupIdentity,
  entries: readonly CommitEntry[],
): KafkaRequest<{ topic: string; partition: number; error: number }[]> {
  return {
    name: 'OffsetCommit',
    key: 8,
    version,
    flexible: true,
    write(writer) {
      writer.string(identity.groupId).int32(identity.generation).string(identity.memberId).string(identity.instanceId);
      writer.array(byTopic(entries), ([topic, partitions]) => {
        writer.string(topic).array(partitions, (entry) => {
          writer.int32(entry.partition).int64(entry.offset).int32(entry.leaderEpoch).string(entry.metadata).tags();
        });
        writer.tags();
      });
      writer.tags();
    },
    read(reader) {
      reader.int32();
      return reader
        .array(() => {
          const topic = reader.string();
          const partitions = reader.array(() => {
            const partition = reader.int32();
            const error = reader.int16();
            reader.tags();
            return { topic, partition, error };
          });
          reader.tags();
          return partitions;
        })
        .flat();
    },
  };
}

export interface CommittedOffset {
  readonly topic: string;
  readonly partition: number;
  /** -1: none. */
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly error: number;
}

/**
 * Versions 6, 7 and 9. In version 9 a member of a KIP-848 group names itself and its epoch; others give '' and -1. Asks
 * for stable offsets where the version can: pending ones of a transaction would be taken back.
 */
export function offsetFetch(
  version: number,
  identity: GroupIdentity,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
): KafkaRequest<{ error: number; offsets: CommittedOffset[] }> {
  return {
    name: 'OffsetFetch',
    key: 9,
    version,
    flexible: true,
    write(writer) {
      const topics = (): void => {
        writer.array(byTopic(partitions), ([topic, list]) => {
          writer
            .string(topic)
            .array(list, ({ partition }) => writer.int32(partition))
            .tags();
        });
      };
      if (version >= 8) {
        writer.array([identity.groupId], (groupId) => {
          writer.string(groupId);
          if (version >= 9)
            writer.string(identity.memberId === '' ? null : identity.memberId).int32(identity.generation);
          topics();
          writer.tags();
        });
      } else {
        writer.string(identity.groupId);
        topics();
      }
      if (version >= 7) writer.boolean(true);
      writer.tags();
    },
    read(reader) {
      reader.int32();
      const topics = (): CommittedOffset[] =>
        reader
          .array(() => {
            const topic = reader.string();
            const list = reader.array(() => {
              const partition = reader.int32();
              const offset = reader.int64();
              const leaderEpoch = reader.int32();
              const metadata = reader.nullableString() ?? '';
              const error = reader.int16();
              reader.tags();
              return { topic, partition, offset, leaderEpoch, metadata, error };
            });
            reader.tags();
            return list;
          })
          .flat();
      if (version < 8) {
        const offsets = topics();
        return { error: reader.int16(), offsets };
      }
      const groups = reader.array(() => {
        reader.string();
        const offsets = topics();
        const error = reader.int16();
        reader.tags();
        return { error, offsets };
      });
      return groups[0] ?? { error: 0, offsets: [] };
    },
  };
}
