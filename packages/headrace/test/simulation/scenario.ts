/** What a run is about: everything is drawn from the seed before it begins. */
import type { SeededRandom } from '@headrace/testing';
import type { MappingDefinition } from '../../src/mappings/definition.ts';

export interface Scenario {
  readonly definition: MappingDefinition;
  readonly partitions: number;
  readonly records: number;
  readonly processes: number;
  /** Virtual milliseconds during which things go wrong. */
  readonly faultMilliseconds: number;
  readonly crashes: number;
  readonly freezes: number;
  readonly joins: number;
  /** Times that a partition is lost and assigned anew to the same process. */
  readonly flaps: number;
  readonly brokerOutages: number;
  readonly reconfigurations: number;
  /** Times that the mapping is disabled in a process, and enabled again. */
  readonly toggles: number;
  /** Times that an operator skips or parks whatever blocks. */
  readonly moves: number;
  readonly commitFailure: number;
  readonly delay: number;
  readonly filter: boolean;
  /** Share of records that make the function fail whenever they are in a batch. */
  readonly poison: number;
  /** Whether poison stays poison, or is cured when the faults end. */
  readonly poisonForEver: boolean;
  /** Chances of an invocation. */
  readonly functionError: number;
  readonly throttle: number;
  readonly unavailable: number;
  readonly malformed: number;
  readonly latency: number;
  /** Chance that an invocation takes longer than a rebalance waits. */
  readonly stall: number;
  readonly destinationFailure: number;
  /** Chance that a record alone is larger than the payload limit. */
  readonly oversized: number;
  readonly payloadLimitBytes: number;
  /** Larger events of more than one record are refused by the function as too large. */
  readonly functionLimitBytes: number;
  /** Longest time (ms) that a throttle asks to wait for. */
  readonly retryAfter: number;
}

export function drawScenario(random: SeededRandom): Scenario {
  const maybe = (probability: number, most: number): number => (random.chance(probability) ? random.next() * most : 0);
  const hasDestination = random.chance(0.4);
  const maximumRetryAttempts = random.pick([-1, -1, 0, 1, 3]);
  const maximumRecordAgeInSeconds = random.pick([-1, -1, -1, 60]);
  const givesUp = hasDestination || maximumRetryAttempts >= 0;
  const filter = random.chance(0.3);
  const window = random.pick([0, 0, undefined, 1]);
  const definition: MappingDefinition = {
    uuid: '00000000-0000-4000-8000-000000000001',
    functionArn: 'arn:aws:lambda:us-east-1:000000000000:function:simulated',
    enabled: true,
    bootstrapServers: ['simulated:9092'],
    topics: ['orders'],
    consumerGroupId: 'simulated',
    batchSize: random.pick([1, 2, 5, 8, 20, 100]),
    startingPosition: 'TRIM_HORIZON',
    maximumRetryAttempts,
    maximumRecordAgeInSeconds,
    bisectBatchOnFunctionError: random.chance(0.4),
    ...(window === undefined ? {} : { maximumBatchingWindowInSeconds: window }),
    ...(random.chance(0.4) ? { functionResponseTypes: ['ReportBatchItemFailures'] as const } : {}),
    ...(hasDestination ? { onFailureDestination: 'arn:aws:sqs:us-east-1:000000000000:failed' } : {}),
    ...(filter
      ? { filterCriteria: { Filters: [{ Pattern: '{"value":[{"anything-but":{"prefix":"unwanted"}}]}' }] } }
      : {}),
    ...(random.chance(0.3) ? { provisionedPollerConfig: { MinimumPollers: 1, MaximumPollers: 3 } } : {}),
  };
  return {
    definition,
    partitions: random.integer(1, 4),
    records: random.integer(10, 120),
    processes: random.pick([1, 1, 2, 3]),
    faultMilliseconds: 30_000,
    crashes: random.pick([0, 0, 1, 3]),
    freezes: random.pick([0, 0, 1, 2]),
    joins: random.pick([0, 0, 1, 4]),
    flaps: random.pick([0, 0, 0, 8]),
    brokerOutages: random.pick([0, 0, 1]),
    reconfigurations: random.pick([0, 0, 2]),
    toggles: random.pick([0, 0, 0, 2]),
    moves: random.pick([0, 0, 0, 8]),
    commitFailure: maybe(0.3, 0.3),
    delay: random.pick([0, 5, 50]),
    filter,
    poison: maybe(0.4, 0.1),
    poisonForEver: givesUp && random.chance(0.7),
    functionError: maybe(0.4, 0.3),
    throttle: maybe(0.3, 0.3),
    unavailable: maybe(0.3, 0.2),
    malformed: maybe(0.3, 0.2),
    latency: random.pick([0, 20, 300]),
    stall: maybe(0.2, 0.03),
    destinationFailure: maybe(0.4, 0.5),
    oversized: maybe(0.15, 0.05),
    payloadLimitBytes: random.pick([1200, 6 * 1024 * 1024]),
    functionLimitBytes: random.chance(0.1) ? 900 : Number.POSITIVE_INFINITY,
    retryAfter: random.pick([0, 2000]),
  };
}
