import { RequestError } from '../protocol/errors.ts';

/** Types of config values as DescribeConfigs numbers them. */
export const ConfigType = { BOOLEAN: 1, STRING: 2, INT: 3, SHORT: 4, LONG: 5, DOUBLE: 6, LIST: 7, CLASS: 8 } as const;

export interface ConfigDefinition {
  readonly type: keyof typeof ConfigType;
  readonly default: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly oneOf?: readonly string[];
  /** False: taken and shown, but nothing in a single-node broker follows from it. */
  readonly isHonoured?: false;
}

const LONG_MAX = '9223372036854775807';
const codecs = ['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'];

/** Topic configs with Apache Kafka 4.3's defaults (org.apache.kafka.common.config.TopicConfig, LogConfig). */
export const topicConfigs: Readonly<Record<string, ConfigDefinition>> = {
  'cleanup.policy': { type: 'LIST', default: 'delete', oneOf: ['delete', 'compact'] },
  'compression.gzip.level': { type: 'INT', default: '-1', isHonoured: false },
  'compression.lz4.level': { type: 'INT', default: '9', isHonoured: false },
  'compression.type': { type: 'STRING', default: 'producer', oneOf: codecs },
  'compression.zstd.level': { type: 'INT', default: '3', isHonoured: false },
  'delete.retention.ms': { type: 'LONG', default: '86400000', minimum: 0 },
  'file.delete.delay.ms': { type: 'LONG', default: '60000', minimum: 0, isHonoured: false },
  'flush.messages': { type: 'LONG', default: LONG_MAX, minimum: 1, isHonoured: false },
  'flush.ms': { type: 'LONG', default: LONG_MAX, minimum: 0, isHonoured: false },
  'follower.replication.throttled.replicas': { type: 'LIST', default: '', isHonoured: false },
  'index.interval.bytes': { type: 'INT', default: '4096', minimum: 0, isHonoured: false },
  'leader.replication.throttled.replicas': { type: 'LIST', default: '', isHonoured: false },
  'local.retention.bytes': { type: 'LONG', default: '-2', isHonoured: false },
  'local.retention.ms': { type: 'LONG', default: '-2', isHonoured: false },
  'max.compaction.lag.ms': { type: 'LONG', default: LONG_MAX, minimum: 1, isHonoured: false },
  'max.message.bytes': { type: 'INT', default: '1048588', minimum: 0 },
  'message.timestamp.after.max.ms': { type: 'LONG', default: '3600000', minimum: 0 },
  'message.timestamp.before.max.ms': { type: 'LONG', default: LONG_MAX, minimum: 0 },
  'message.timestamp.type': { type: 'STRING', default: 'CreateTime', oneOf: ['CreateTime', 'LogAppendTime'] },
  'min.cleanable.dirty.ratio': { type: 'DOUBLE', default: '0.5', minimum: 0, maximum: 1 },
  'min.compaction.lag.ms': { type: 'LONG', default: '0', minimum: 0, isHonoured: false },
  'min.insync.replicas': { type: 'INT', default: '1', minimum: 1, isHonoured: false },
  preallocate: { type: 'BOOLEAN', default: 'false', isHonoured: false },
  'remote.log.copy.disable': { type: 'BOOLEAN', default: 'false', isHonoured: false },
  'remote.log.delete.on.disable': { type: 'BOOLEAN', default: 'false', isHonoured: false },
  'remote.storage.enable': { type: 'BOOLEAN', default: 'false', isHonoured: false },
  'retention.bytes': { type: 'LONG', default: '-1', minimum: -1 },
  'retention.ms': { type: 'LONG', default: '604800000', minimum: -1 },
  'segment.bytes': { type: 'INT', default: '1073741824', minimum: 1048576, isHonoured: false },
  'segment.index.bytes': { type: 'INT', default: '10485760', minimum: 4, isHonoured: false },
  'segment.jitter.ms': { type: 'LONG', default: '0', minimum: 0, isHonoured: false },
  'segment.ms': { type: 'LONG', default: '604800000', minimum: 1, isHonoured: false },
  'unclean.leader.election.enable': { type: 'BOOLEAN', default: 'false', isHonoured: false },
};

/** Configs of consumer and share groups (ConfigResource type GROUP), defaults of Apache Kafka 4.3. */
export const groupConfigs: Readonly<Record<string, ConfigDefinition>> = {
  'consumer.heartbeat.interval.ms': { type: 'INT', default: '5000', minimum: 1 },
  'consumer.session.timeout.ms': { type: 'INT', default: '45000', minimum: 1 },
  'share.auto.offset.reset': { type: 'STRING', default: 'latest' },
  'share.delivery.count.limit': { type: 'INT', default: '5', minimum: 2, maximum: 10 },
  'share.heartbeat.interval.ms': { type: 'INT', default: '5000', minimum: 1 },
  'share.isolation.level': {
    type: 'STRING',
    default: 'read_uncommitted',
    oneOf: ['read_committed', 'read_uncommitted'],
  },
  'share.partition.max.record.locks': { type: 'INT', default: '2000', minimum: 100, maximum: 10000 },
  'share.record.lock.duration.ms': { type: 'INT', default: '30000', minimum: 1000, maximum: 3600000 },
  'share.session.timeout.ms': { type: 'INT', default: '45000', minimum: 1 },
  'streams.heartbeat.interval.ms': { type: 'INT', default: '5000', minimum: 1, isHonoured: false },
  'streams.num.standby.replicas': { type: 'INT', default: '0', minimum: 0, isHonoured: false },
  'streams.session.timeout.ms': { type: 'INT', default: '45000', minimum: 1, isHonoured: false },
};

const integerBits = { INT: 32, SHORT: 16, LONG: 64 };

/** To the last digit: Kafka's largest LONG, which is many a default, is no number of JavaScript's. */
function isInteger(type: keyof typeof integerBits, value: string): boolean {
  return /^[+-]?\d{1,40}$/.test(value) && BigInt.asIntN(integerBits[type], BigInt(value)) === BigInt(value);
}

/**
 * Checks one value.
 *
 * @throws RequestError INVALID_CONFIG, naming the config and its legal values
 */
export function checkConfig(
  definitions: Readonly<Record<string, ConfigDefinition>>,
  name: string,
  value: string,
): void {
  const definition = definitions[name];
  if (definition === undefined) throw new RequestError('INVALID_CONFIG', `Unknown config name: ${name}`);
  const fail = (reason: string): never => {
    throw new RequestError('INVALID_CONFIG', `Invalid value ${value} for configuration ${name}: ${reason}`);
  };
  const { type, oneOf, minimum, maximum } = definition;
  if (type === 'BOOLEAN' && value !== 'true' && value !== 'false') fail('Expected value to be either true or false');
  if (type === 'INT' || type === 'SHORT' || type === 'LONG' || type === 'DOUBLE') {
    const number = Number(value);
    const isSound = type === 'DOUBLE' ? value.trim() !== '' && !Number.isNaN(number) : isInteger(type, value);
    if (!isSound) fail(`Not a number of type ${type}`);
    if (minimum !== undefined && number < minimum) fail(`Value must be at least ${minimum}`);
    if (maximum !== undefined && number > maximum) fail(`Value must be no more than ${maximum}`);
  }
  if (oneOf) {
    const values = type === 'LIST' ? value.split(',').map((item) => item.trim()) : [value];
    for (const item of values) if (!oneOf.includes(item)) fail(`String must be one of: ${oneOf.join(', ')}`);
  }
  if (name === 'share.auto.offset.reset' && !/^(earliest|latest|by_duration:P.+)$/.test(value)) {
    fail('must be earliest, latest or by_duration:<ISO-8601 duration>');
  }
}

/** A topic's configs as numbers and flags, made once a change. */
export interface CompiledTopicConfig {
  readonly isCompacted: boolean;
  readonly isDeleted: boolean;
  readonly compression: 'producer' | 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  readonly maxMessageBytes: number;
  readonly usesLogAppendTime: boolean;
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
  /** Infinity for no limit. */
  readonly retentionBytes: number;
  readonly retentionMs: number;
  readonly deleteRetentionMs: number;
  readonly minCleanableRatio: number;
}

export function compileTopicConfig(values: ReadonlyMap<string, string>): CompiledTopicConfig {
  const text = (name: string): string => values.get(name) ?? topicConfigs[name]!.default;
  const number = (name: string): number => Number(text(name));
  const limit = (name: string): number => (number(name) < 0 ? Number.POSITIVE_INFINITY : number(name));
  const policies = text('cleanup.policy')
    .split(',')
    .map((policy) => policy.trim());
  const compression = text('compression.type');
  return {
    isCompacted: policies.includes('compact'),
    isDeleted: policies.includes('delete'),
    compression: compression === 'uncompressed' ? 'none' : (compression as CompiledTopicConfig['compression']),
    maxMessageBytes: number('max.message.bytes'),
    usesLogAppendTime: text('message.timestamp.type') === 'LogAppendTime',
    timestampBeforeMaxMs: number('message.timestamp.before.max.ms'),
    timestampAfterMaxMs: number('message.timestamp.after.max.ms'),
    retentionBytes: limit('retention.bytes'),
    retentionMs: limit('retention.ms'),
    deleteRetentionMs: number('delete.retention.ms'),
    minCleanableRatio: number('min.cleanable.dirty.ratio'),
  };
}
