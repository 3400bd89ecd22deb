/** A mapping's options, compiled once a change: what the hot path needs, validated, with no default left open. */
import type { StartingPosition } from '../kafka/contract.ts';
import { DEFAULT_WINDOW_MILLISECONDS, PAYLOAD_LIMIT_BYTES } from './batching.ts';
import type { MappingDefinition } from './definition.ts';
import { eventHead } from './event-writer.ts';
import type { RecordFilter } from './filter-record.ts';
import { type Backoff, retryLimit, type SettlementRules } from './settlement.ts';

export interface MappingOptions {
  readonly definition: MappingDefinition;
  readonly uuid: string;
  readonly functionArn: string;
  readonly batchSize: number;
  readonly windowMilliseconds: number;
  readonly payloadLimitBytes: number;
  readonly filter: RecordFilter | undefined;
  readonly rules: SettlementRules;
  readonly destination: string | undefined;
  readonly bootstrapServers: readonly string[];
  /** The event up to its records. */
  readonly eventHead: Buffer;
  readonly minimumPollers: number;
  readonly maximumPollers: number;
  /** How many invocations one poller keeps in flight: five in provisioned mode (spec ESM 6.4), else one. */
  readonly invocationsPerPoller: number;
}

/** What may be set for the whole engine, mostly by tests. */
export interface EngineOptions {
  /** Default 500 ms doubling to 60 s, with full jitter. */
  readonly backoff?: Backoff;
  /** Commits are held back for at most this long. Default 100 ms. */
  readonly commitIntervalMilliseconds?: number;
  /** How long a revoked partition may wait for its invocation in flight. Default 55 s, below the rebalance timeout. */
  readonly revokeTimeoutMilliseconds?: number;
  /** Default 6 MiB, Lambda's. */
  readonly payloadLimitBytes?: number;
  /** A poller is taken away after the load was gone for so long. Default 15 s. */
  readonly scaleDownAfterMilliseconds?: number;
  /** Payload and assembly bytes of all mappings together, see {@link MemoryBudget}. Default 128 MiB. */
  readonly memoryLimitBytes?: number;
}

const DEFAULT_BACKOFF: Backoff = { initialMilliseconds: 500, maximumMilliseconds: 60_000 };

export function compileMapping(
  definition: MappingDefinition,
  bootstrapServers: readonly string[],
  filter: RecordFilter | undefined,
  engine: EngineOptions = {},
): MappingOptions {
  const destination = definition.onFailureDestination === '' ? undefined : definition.onFailureDestination;
  const provisioned = definition.provisionedPollerConfig;
  const isProvisioned = provisioned !== undefined && Object.keys(provisioned).length > 0;
  const age = definition.maximumRecordAgeInSeconds ?? -1;
  return Object.freeze({
    definition,
    uuid: definition.uuid,
    functionArn: definition.functionArn,
    batchSize: definition.batchSize,
    windowMilliseconds:
      definition.maximumBatchingWindowInSeconds === undefined
        ? DEFAULT_WINDOW_MILLISECONDS
        : definition.maximumBatchingWindowInSeconds * 1000,
    payloadLimitBytes: engine.payloadLimitBytes ?? PAYLOAD_LIMIT_BYTES,
    filter,
    rules: {
      maximumRetries: retryLimit(definition.maximumRetryAttempts, destination !== undefined),
      maximumAgeMilliseconds: age < 0 ? Number.POSITIVE_INFINITY : age * 1000,
      bisect: definition.bisectBatchOnFunctionError === true,
      reportBatchItemFailures: definition.functionResponseTypes?.includes('ReportBatchItemFailures') === true,
      hasDestination: destination !== undefined,
      backoff: engine.backoff ?? DEFAULT_BACKOFF,
    },
    destination,
    bootstrapServers,
    eventHead: eventHead({ eventSourceArn: definition.eventSourceArn, bootstrapServers }),
    minimumPollers: isProvisioned ? (provisioned.MinimumPollers ?? 1) : 1,
    maximumPollers: isProvisioned ? (provisioned.MaximumPollers ?? 200) : Number.POSITIVE_INFINITY,
    invocationsPerPoller: isProvisioned ? 5 : 1,
  });
}

/** Where reading begins when the group has no offsets (spec ESM 8.1). */
export function startingPosition(definition: MappingDefinition): StartingPosition {
  switch (definition.startingPosition) {
    case 'LATEST':
      return { kind: 'LATEST' };
    case 'AT_TIMESTAMP':
      return { kind: 'AT_TIMESTAMP', timestamp: Math.round((definition.startingPositionTimestamp ?? 0) * 1000) };
    case 'TRIM_HORIZON':
      return { kind: 'TRIM_HORIZON' };
  }
}

/** True when a change needs a new connection or a new place in the group; everything else is swapped while running. */
export function needsNewConsumer(before: MappingDefinition, after: MappingDefinition): boolean {
  const source = (definition: MappingDefinition): string =>
    JSON.stringify([
      definition.eventSourceArn,
      definition.bootstrapServers,
      definition.topics,
      definition.consumerGroupId,
      definition.sourceAccessConfigurations,
    ]);
  return source(before) !== source(after);
}
