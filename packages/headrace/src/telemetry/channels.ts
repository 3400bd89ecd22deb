/**
 * Names of the diagnostics channels that the core publishes to. Nothing here is computed unless somebody listens
 * (`channel.hasSubscribers`); metrics, logs and traces subscribe, nothing imports them.
 */
import { channel } from 'node:diagnostics_channel';

/** A batch was closed and is handed to invoke: `{ uuid, records, bytes, partitions }`. */
export const batchChannel = channel('headrace:mapping:batch');
/** An invocation by a mapping ended: `{ uuid, functionArn, outcome, records, durationMilliseconds }`. */
export const mappingInvocationChannel = channel('headrace:mapping:invocation');
/** Offsets were committed: `{ uuid, offsets: [{ topic, partition, offset }], results }`. */
export const commitChannel = channel('headrace:mapping:commit');
/**
 * The broker refused a commit, for good: the partition is another member's. `{ uuid, topic, partition, offset, reason }`,
 * `reason` being the name of the broker's error code, such as UNKNOWN_MEMBER_ID.
 */
export const commitRefusedChannel = channel('headrace:mapping:commit-refused');
/**
 * A function's result came after its partition was lost and settled nothing: `{ uuid, topic, partition, from, to }`,
 * offsets from `from` up to (not including) `to`.
 */
export const lateResultChannel = channel('headrace:mapping:late-result');
/** Partitions came or went: `{ uuid, assigned, revoked, lost, rebalances }`. */
export const rebalanceChannel = channel('headrace:mapping:rebalance');
/** Records were dropped by the filter: `{ uuid, matched, filtered }`. */
export const filterChannel = channel('headrace:mapping:filter');
/** Lag, about once a second a mapping: `{ uuid, partitions: [{ topic, partition, lag, lagSeconds }] }`. */
export const lagChannel = channel('headrace:mapping:lag');
/** The last processing result changed: `{ uuid, status: { result, reason }, error? }`. */
export const mappingStatusChannel = channel('headrace:mapping:status');
/** Something a person should know about a mapping, once: `{ uuid, warning }`. */
export const mappingWarningChannel = channel('headrace:mapping:warning');
/** An operator moved past a record: `{ uuid, action: 'skip' | 'park', record, to? }`. */
export const mappingAuditChannel = channel('headrace:mapping:audit');
/** Any invocation ended: `{ functionName, functionArn, version, outcome, durationMilliseconds, coldStart }`. */
export const functionInvocationChannel = channel('headrace:function:invocation');
/** A line of a function's log: `{ functionName, logStream, line, timestamp }`. */
export const functionLogChannel = channel('headrace:function:log');
/** A SageMaker endpoint answered: `{ endpointName, status, rows, duplicateRows, bareArray, durationMilliseconds }`. */
export const endpointInvocationChannel = channel('headrace:endpoint:invocation');
/** Something a person should know about the endpoints' models: `{ endpointName?, warning }`. */
export const endpointWarningChannel = channel('headrace:endpoint:warning');
