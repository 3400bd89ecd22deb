/**
 * What the rest of Headrace sees of Kafka: partitions that hand out raw chunks of records, and commits. The real
 * consumer (`group-consumer.ts`), the reader without a group and the simulated world of the tests implement it; the
 * poller knows nothing else.
 *
 * Offsets are JavaScript numbers: Kafka's are int64, and 2^53 records a partition are out of reach (285 years at a million
 * a second); values beyond it are refused as corrupt where they are decoded. Timestamps are whatever a producer wrote
 * (nanoseconds are beyond it): numbers too, the nearest ones, and to the last digit in the event.
 */
import type { RecordChunk } from '@headrace/kafka-records';
import type { HeadraceError } from '../errors.ts';

export type { RecordChunk };

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/**
 * One assigned partition. Made at assignment, dead after revocation: a partition that comes back is a new object with a
 * higher `epoch`, so that late results of the former life can be told apart and ignored.
 */
export interface AssignedPartition extends TopicPartition {
  /** Counts assignments in this process; never reused. */
  readonly epoch: number;
  /** The offset that reading begins at: the committed one, else by the starting position. */
  readonly startOffset: number;
  /** What the last commit carried as metadata; '' when none. */
  readonly committedMetadata: string;
  /** High watermark of the last fetch; -1 before the first. */
  readonly highWatermark: number;
  readonly logStartOffset: number;
  /**
   * Timestamp (ms) of the oldest buffered record not yet taken. Where nothing is buffered, since when records are known
   * that cannot be read; -1: none is known.
   */
  readonly oldestBufferedTimestamp: number;
  /** Bytes fetched and not yet taken. */
  readonly bufferedBytes: number;
  /**
   * The next chunk in offset order, or undefined when nothing is buffered. Control records and aborted transactions are
   * already skipped; a chunk may hold no record and only move the position. The taker owns it until `chunk.release()`,
   * which gives its memory back to the fetcher. Nothing comes any more once the partition is being revoked.
   */
  take(): RecordChunk | undefined;
  /** Stops fetching of this partition alone; what is buffered stays. */
  pause(): void;
  resume(): void;
}

export interface OffsetCommit extends TopicPartition {
  /** The next offset to read: last settled + 1. */
  readonly offset: number;
  readonly leaderEpoch: number;
  /** At most 4096 bytes. */
  readonly metadata: string;
}

/**
 * Result of one partition's commit. A fenced one must not be repeated: the partition belongs to another member. `reason`
 * is the name of the broker's error code, such as UNKNOWN_MEMBER_ID or ILLEGAL_GENERATION, or NOT_ASSIGNED where the
 * partition was gone before the broker was asked.
 */
export type CommitResult =
  | { readonly kind: 'committed' }
  | { readonly kind: 'fenced'; readonly reason: string }
  | { readonly kind: 'failed'; readonly error: HeadraceError };

/** Calls into the owner of a consumer. None may throw; all are made from the event loop, never re-entrantly. */
export interface ConsumerListener {
  onAssigned(partitions: readonly AssignedPartition[]): void;
  /** The rebalance waits for the promise, bounded by the rebalance timeout: finish or hand back, commit, then resolve. */
  onRevoking(partitions: readonly AssignedPartition[]): Promise<void>;
  /** Gone without a chance to commit: session expired, fenced, stopped by force. Late results must be ignored. */
  onLost(partitions: readonly AssignedPartition[]): void;
  /** Something can be taken that could not before. */
  onRecords(): void;
  /** Trouble and recovery of the source: the mapping's state follows from it. `undefined` means all is well again. */
  onStatus(error: HeadraceError | undefined): void;
  /** Records that can never be read: expired before they were, or lost by truncation. */
  onSkipped(skipped: TopicPartition & { readonly from: number; readonly to: number; readonly reason: string }): void;
}

export interface GroupConsumer {
  /** Begins to connect, join and fetch. Never throws: trouble goes to `onStatus` and is retried. */
  start(): void;
  /** Commits in one request a coordinator; resolves with one result a partition, in order. Never rejects. */
  commit(offsets: readonly OffsetCommit[]): Promise<readonly CommitResult[]>;
  /** Revokes all (the listener's `onRevoking` is called and awaited within the limit), leaves the group, closes. */
  close(options?: { readonly timeoutMilliseconds?: number }): Promise<void>;
  /** Current assignment. */
  readonly partitions: readonly AssignedPartition[];
  /** Rebalances since the start. */
  readonly rebalances: number;
  /** Requests for records, metadata, offsets or membership that failed and were trouble, since the start. */
  readonly pollingErrors: number;
}

export type StartingPosition =
  | { readonly kind: 'TRIM_HORIZON' }
  | { readonly kind: 'LATEST' }
  /** Milliseconds since the epoch. */
  | { readonly kind: 'AT_TIMESTAMP'; readonly timestamp: number };

/** Whether records of open and aborted transactions are read too. */
export type IsolationLevel = 'READ_UNCOMMITTED' | 'READ_COMMITTED';

export interface GroupConsumerOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly startingPosition: StartingPosition;
  /** Static member id (KIP-345) for restarts without a rebalance; absent: dynamic. */
  readonly groupInstanceId?: string;
  /**
   * A name (at most 249 letters, digits, '.', '_', '-') that this consumer has again after a restart, and that no other
   * living consumer has. With it a consumer that died takes its place in the group again at once, instead of after the
   * session timeout: as static member of a classic group, as the same member of a KIP-848 group. Unlike with
   * `groupInstanceId` an orderly close leaves the group.
   */
  readonly restartIdentity?: string;
  /** Default 'READ_UNCOMMITTED', as the Java client (spec ESM 8.3). */
  readonly isolationLevel?: IsolationLevel;
  /** Default 45,000. */
  readonly sessionTimeoutMilliseconds?: number;
  /** How long a rebalance waits for `onRevoking`. Default 60,000. */
  readonly rebalanceTimeoutMilliseconds?: number;
  /** Prefetch limit of one partition in bytes. Default 1 MiB. */
  readonly maximumPartitionBytes?: number;
  /** Prefetch limit of this consumer in bytes. Default 32 MiB. */
  readonly maximumBufferedBytes?: number;
  readonly clientId?: string;
  readonly rackId?: string;
}

/** A cluster that consumers can be made on. */
export interface KafkaCluster {
  /** `host:port` of the brokers as configured or looked up: what events of MSK mappings carry as `bootstrapServers`. */
  readonly bootstrapServers?: readonly string[];
  createGroupConsumer(options: GroupConsumerOptions, listener: ConsumerListener): GroupConsumer;
  /** Partitions of a topic; rejects with KAFKA_TOPIC_MISSING, KAFKA_UNREACHABLE... */
  partitionCount(topic: string): Promise<number>;
  close(): Promise<void>;
}

/** How to reach a cluster; secrets are already resolved. */
export interface ClusterConfiguration {
  readonly bootstrapServers: readonly string[];
  /** Where this process is, as brokers name it (`broker.rack`): records then come from a replica nearby (KIP-392). */
  readonly rackId?: string;
  /** Default 'READ_UNCOMMITTED'; a consumer's or reader's own option goes before. */
  readonly isolationLevel?: IsolationLevel;
  readonly tls?: {
    readonly certificateAuthority?: string;
    readonly certificate?: string;
    readonly privateKey?: string;
    readonly privateKeyPassword?: string;
    readonly serverName?: string;
    readonly rejectUnauthorized?: boolean;
    /** Default true: the certificate must be made out to the name that is connected to. */
    readonly verifyServerName?: boolean;
  };
  readonly sasl?:
    | {
        readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512';
        readonly username: string;
        readonly password: string;
      }
    | {
        readonly mechanism: 'OAUTHBEARER';
        readonly token: () => Promise<string>;
        readonly extensions?: Readonly<Record<string, string>>;
      }
    | { readonly mechanism: 'AWS_MSK_IAM'; readonly region?: string; readonly profile?: string };
}
