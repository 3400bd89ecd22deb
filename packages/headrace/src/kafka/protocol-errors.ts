import { type ErrorCode, HeadraceError } from '../errors.ts';

/** Error codes of the protocol that are acted on by number (https://kafka.apache.org/protocol#protocol_error_codes). */
export const KafkaCode = {
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER_OR_FOLLOWER: 6,
  REQUEST_TIMED_OUT: 7,
  REPLICA_NOT_AVAILABLE: 9,
  OFFSET_METADATA_TOO_LARGE: 12,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  INVALID_TOPIC: 17,
  ILLEGAL_GENERATION: 22,
  INCONSISTENT_GROUP_PROTOCOL: 23,
  INVALID_GROUP_ID: 24,
  UNKNOWN_MEMBER_ID: 25,
  INVALID_SESSION_TIMEOUT: 26,
  REBALANCE_IN_PROGRESS: 27,
  TOPIC_AUTHORIZATION_FAILED: 29,
  GROUP_AUTHORIZATION_FAILED: 30,
  CLUSTER_AUTHORIZATION_FAILED: 31,
  UNSUPPORTED_SASL_MECHANISM: 33,
  ILLEGAL_SASL_STATE: 34,
  UNSUPPORTED_VERSION: 35,
  KAFKA_STORAGE_ERROR: 56,
  SASL_AUTHENTICATION_FAILED: 58,
  GROUP_ID_NOT_FOUND: 69,
  FETCH_SESSION_ID_NOT_FOUND: 70,
  INVALID_FETCH_SESSION_EPOCH: 71,
  FENCED_LEADER_EPOCH: 74,
  UNKNOWN_LEADER_EPOCH: 75,
  OFFSET_NOT_AVAILABLE: 78,
  MEMBER_ID_REQUIRED: 79,
  GROUP_MAX_SIZE_REACHED: 81,
  FENCED_INSTANCE_ID: 82,
  UNSTABLE_OFFSET_COMMIT: 88,
  UNKNOWN_TOPIC_ID: 100,
  FENCED_MEMBER_EPOCH: 110,
  UNRELEASED_INSTANCE_ID: 111,
  UNSUPPORTED_ASSIGNOR: 112,
  STALE_MEMBER_EPOCH: 113,
} as const;

const names = new Map<number, string>(Object.entries(KafkaCode).map(([name, code]) => [code, name]));
for (const [code, name] of [
  [-1, 'UNKNOWN_SERVER_ERROR'],
  [2, 'CORRUPT_MESSAGE'],
  [4, 'INVALID_FETCH_SIZE'],
  [8, 'BROKER_NOT_AVAILABLE'],
  [10, 'MESSAGE_TOO_LARGE'],
  [13, 'NETWORK_EXCEPTION'],
  [28, 'INVALID_COMMIT_OFFSET_SIZE'],
  [32, 'INVALID_TIMESTAMP'],
  [36, 'TOPIC_ALREADY_EXISTS'],
  [37, 'INVALID_PARTITIONS'],
  [41, 'NOT_CONTROLLER'],
  [42, 'INVALID_REQUEST'],
  [43, 'UNSUPPORTED_FOR_MESSAGE_FORMAT'],
  [44, 'POLICY_VIOLATION'],
  [72, 'LISTENER_NOT_FOUND'],
  [76, 'UNSUPPORTED_COMPRESSION_TYPE'],
  [84, 'FENCED_STATE_EPOCH'],
  [87, 'INVALID_RECORD'],
  [89, 'THROTTLING_QUOTA_EXCEEDED'],
  [121, 'INVALID_RECORD_STATE'],
  [122, 'SHARE_SESSION_NOT_FOUND'],
  [123, 'INVALID_SHARE_SESSION_EPOCH'],
  [133, 'SHARE_SESSION_LIMIT_REACHED'],
] as const) {
  names.set(code, name);
}

/** Name of an error code, such as NOT_COORDINATOR. */
export const errorName = (code: number): string => names.get(code) ?? `error ${code}`;

const refreshing = new Set<number>([
  KafkaCode.UNKNOWN_TOPIC_OR_PARTITION,
  KafkaCode.LEADER_NOT_AVAILABLE,
  KafkaCode.NOT_LEADER_OR_FOLLOWER,
  KafkaCode.REPLICA_NOT_AVAILABLE,
  KafkaCode.KAFKA_STORAGE_ERROR,
  KafkaCode.FENCED_LEADER_EPOCH,
  KafkaCode.UNKNOWN_LEADER_EPOCH,
  KafkaCode.UNKNOWN_TOPIC_ID,
]);

/** True for errors that say: who leads the partition has changed, ask again. */
export const needsMetadata = (code: number): boolean => refreshing.has(code);

const coordinating = new Set<number>([
  KafkaCode.COORDINATOR_LOAD_IN_PROGRESS,
  KafkaCode.COORDINATOR_NOT_AVAILABLE,
  KafkaCode.NOT_COORDINATOR,
]);

/** True for errors that say: the coordinator of the group is not there (now). */
export const needsCoordinator = (code: number): boolean => coordinating.has(code);

const catalogue = new Map<number, ErrorCode>([
  [KafkaCode.UNKNOWN_TOPIC_OR_PARTITION, 'KAFKA_TOPIC_MISSING'],
  [KafkaCode.UNKNOWN_TOPIC_ID, 'KAFKA_TOPIC_MISSING'],
  [KafkaCode.INVALID_TOPIC, 'KAFKA_TOPIC_MISSING'],
  [KafkaCode.OFFSET_OUT_OF_RANGE, 'KAFKA_OFFSET_OUT_OF_RANGE'],
  [KafkaCode.TOPIC_AUTHORIZATION_FAILED, 'KAFKA_AUTHORIZATION'],
  [KafkaCode.GROUP_AUTHORIZATION_FAILED, 'KAFKA_AUTHORIZATION'],
  [KafkaCode.CLUSTER_AUTHORIZATION_FAILED, 'KAFKA_AUTHORIZATION'],
  [KafkaCode.UNSUPPORTED_SASL_MECHANISM, 'KAFKA_AUTHENTICATION'],
  [KafkaCode.ILLEGAL_SASL_STATE, 'KAFKA_AUTHENTICATION'],
  [KafkaCode.SASL_AUTHENTICATION_FAILED, 'KAFKA_AUTHENTICATION'],
  [KafkaCode.UNSUPPORTED_VERSION, 'KAFKA_UNSUPPORTED'],
  [KafkaCode.FENCED_INSTANCE_ID, 'KAFKA_FENCED'],
  [KafkaCode.UNRELEASED_INSTANCE_ID, 'KAFKA_FENCED'],
  [KafkaCode.FENCED_MEMBER_EPOCH, 'KAFKA_FENCED'],
]);

/** An error code of a broker as an error of the catalogue; `what` says what was asked for. */
export function brokerError(code: number, what: string, message?: string | null): HeadraceError {
  const text = `${what}: ${errorName(code)}${message ? ` (${message})` : ''}`;
  return new HeadraceError(catalogue.get(code) ?? 'KAFKA_PROTOCOL', text, { details: { kafkaCode: code } });
}

/** The protocol's error code inside an error that `brokerError` made; 0 for others. */
export const kafkaCodeOf = (error: unknown): number => {
  const code = HeadraceError.is(error) ? error.details['kafkaCode'] : undefined;
  return typeof code === 'number' ? code : 0;
};
