/**
 * A mapping as it was asked for: validated, defaults filled in, ARNs resolved. `lambda-api/` makes it, the supervisor
 * runs it, the store keeps it. Members are named as in Lambda's CreateEventSourceMapping.
 */
export interface MappingDefinition {
  readonly uuid: string;
  /** Full function ARN, with the qualifier if one was given. */
  readonly functionArn: string;
  readonly enabled: boolean;
  readonly eventSourceArn?: string;
  /** `SelfManagedEventSource.Endpoints.KAFKA_BOOTSTRAP_SERVERS`. */
  readonly bootstrapServers?: readonly string[];
  readonly topics: readonly string[];
  readonly consumerGroupId: string;
  /** 1 to 10,000; default 100. */
  readonly batchSize: number;
  /** 0 to 300; absent means Kafka's 500 ms (spec ESM 6.1). */
  readonly maximumBatchingWindowInSeconds?: number;
  readonly startingPosition: 'TRIM_HORIZON' | 'LATEST' | 'AT_TIMESTAMP';
  /** Seconds since the epoch, with fraction. */
  readonly startingPositionTimestamp?: number;
  readonly filterCriteria?: { readonly Filters: readonly { readonly Pattern: string }[] };
  /** SQS, SNS, S3 ARN or `kafka://topic`; absent: none. */
  readonly onFailureDestination?: string;
  /** -1 (no limit), 0 to 10,000; absent: -1. */
  readonly maximumRetryAttempts?: number;
  /** -1 (no limit), 60 to 604,800; absent: -1. */
  readonly maximumRecordAgeInSeconds?: number;
  readonly bisectBatchOnFunctionError?: boolean;
  readonly functionResponseTypes?: readonly 'ReportBatchItemFailures'[];
  readonly sourceAccessConfigurations?: readonly { readonly Type: string; readonly URI: string }[];
  readonly provisionedPollerConfig?: {
    readonly MinimumPollers?: number;
    readonly MaximumPollers?: number;
    readonly PollerGroupName?: string;
  };
  /** Members that are kept and echoed, and act elsewhere or not yet (KMSKeyArn, MetricsConfig, LoggingConfig, schema registry...). */
  readonly other?: Readonly<Record<string, unknown>>;
}

export type MappingState = 'Creating' | 'Enabling' | 'Enabled' | 'Disabling' | 'Disabled' | 'Updating' | 'Deleting';

export interface MappingStatus {
  readonly state: MappingState;
  readonly stateTransitionReason: string;
  readonly lastProcessingResult: string;
  /** Seconds since the epoch, with fraction; changes on update and on state change. */
  readonly lastModified: number;
}

export interface StoredMapping {
  readonly definition: MappingDefinition;
  readonly status: MappingStatus;
}

/** Where the supervisor keeps mappings; `store/` implements it. Every call is durable when it returns. */
export interface MappingStore {
  all(): StoredMapping[];
  put(mapping: StoredMapping): void;
  remove(uuid: string): void;
}

/** What a partition of a mapping looks like right now; offsets are Kafka's. */
export interface PartitionSnapshot {
  readonly topic: string;
  readonly partition: number;
  /** Everything below is settled. */
  readonly settledOffset: number;
  readonly committedOffset: number;
  /** Next offset to be taken into a batch. */
  readonly position: number;
  readonly highWatermark: number;
  /** Records not yet settled. */
  readonly lag: number;
  /** Age of the oldest unsettled record; 0 when there is none. */
  readonly lagSeconds: number;
  readonly inFlight: number;
  readonly bufferedBytes: number;
  readonly blockedBy?: BlockingRecord;
}

/** The record that keeps a partition from going on. */
export interface BlockingRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Base64; null when the record has none. */
  readonly key: string | null;
  /** ISO 8601. */
  readonly firstFailure: string;
  readonly attempts: number;
  readonly error: { readonly type: string; readonly message: string; readonly logTail?: string };
  /** ISO 8601; when it is tried next. */
  readonly nextAttempt?: string;
}

export interface MappingSnapshot extends MappingStatus {
  readonly uuid: string;
  readonly functionArn: string;
  readonly topics: readonly string[];
  readonly consumerGroupId: string;
  readonly pollers: number;
  readonly partitions: readonly PartitionSnapshot[];
  readonly warnings: readonly string[];
  readonly counts: {
    readonly received: number;
    readonly filtered: number;
    readonly invocations: number;
    readonly succeeded: number;
    readonly failedInvocations: number;
    readonly throttles: number;
    readonly dropped: number;
    readonly toDestination: number;
    readonly committed: number;
    readonly rebalances: number;
    /** As fetched, uncompressed. */
    readonly receivedBytes: number;
    /** In all invocations; who is tried again counts again. */
    readonly invokedRecords: number;
    /** In invocations that failed; of a partial response what it names. */
    readonly failedRecords: number;
    /** Attempts to deliver to the on-failure destination that failed. */
    readonly destinationErrors: number;
    readonly pollingErrors: number;
  };
}

/** What `lambda-api/` and the operator API see of mappings. Errors of state are thrown as `MappingInUse`. */
export interface MappingSupervisor {
  /** Takes over what the store holds and begins to poll. */
  start(): void;
  create(definition: MappingDefinition): StoredMapping;
  /** `definition` is complete: what changed is found by comparison. Applies without leaving the group where it can. */
  update(definition: MappingDefinition): StoredMapping;
  delete(uuid: string): StoredMapping;
  get(uuid: string): StoredMapping | undefined;
  list(): StoredMapping[];
  snapshot(uuid: string): MappingSnapshot | undefined;
  /** Stops fetching, finishes or hands back what is in flight within the bound, commits, leaves the groups. */
  stop(options?: { readonly drainTimeoutMilliseconds?: number }): Promise<{
    readonly committed: readonly GroupOffset[];
    /** What was settled up to these offsets comes again: the commit failed or took too long. */
    readonly uncommitted: readonly GroupOffset[];
  }>;
}

/** The next offset of a partition for a group. */
export interface GroupOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly consumerGroupId: string;
}

/** One record of a topic. */
export interface RecordPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** What an operator can see and do about records that block a partition. Errors are of the catalogue. */
export interface MappingOperations {
  /** Records that block partitions in this process; of one mapping, or of all. */
  blocked(uuid?: string): readonly (BlockingRecord & { readonly uuid: string })[];
  /**
   * Gives the record up and goes on behind it. The record must be in the batch that blocks its partition. With `dryRun`
   * nothing changes; the answer is the record that would be given up.
   */
  skip(uuid: string, place: RecordPlace, options?: { readonly dryRun?: boolean }): BlockingRecord;
  /** The same, but the record goes to a topic of the mapping's cluster first; it blocks until it is there. */
  park(uuid: string, place: RecordPlace, topic: string, options?: { readonly dryRun?: boolean }): BlockingRecord;
}

/** An update or delete while the mapping is in transition (Lambda's ResourceInUseException). */
export class MappingInUse extends Error {
  override readonly name = 'MappingInUse';
}
