/** What mappings know of on-failure destinations; `destinations/` implements it, tests simulate it. */
import type { MappingDefinition } from './definition.ts';
import type { FailureCondition } from './settlement.ts';

/** Records that the mapping gives up on, all of one batch and for one reason (spec ESM 10). */
export interface FailedBatch {
  readonly mapping: MappingDefinition;
  /** SQS, SNS or S3 ARN, or `kafka://topic`. */
  readonly destination: string;
  readonly condition: FailureCondition;
  /** Of the last invocation; a new one when there was none. */
  readonly requestId: string;
  readonly approximateInvokeCount: number;
  /** Null after MaximumPayloadSizeExceeded; absent after RecordAgeExceeded. */
  readonly responseContext?: {
    readonly statusCode: number;
    readonly executedVersion: string;
    readonly functionError: string | null;
  } | null;
  /** When the mapping gave up (ms). */
  readonly timestamp: number;
  readonly bootstrapServers: readonly string[];
  readonly batchSize: number;
  /** The whole event of these records, as the function would get it; valid until the promise settles. */
  readonly payload: Buffer;
  readonly partitions: readonly FailedPartition[];
}

export interface FailedPartition {
  /** `<topic>-<partition>`. */
  readonly name: string;
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly { readonly offset: number; readonly timestamp: number; readonly key: Buffer | null }[];
}

export interface Destinations {
  /** Resolves once the batch is safe there; rejects with an error of the catalogue, and is called again later. */
  deliver(batch: FailedBatch): Promise<void>;
}
