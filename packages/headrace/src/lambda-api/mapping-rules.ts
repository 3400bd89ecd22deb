import type { CreateEventSourceMappingRequest, UpdateEventSourceMappingRequest } from '@aws-sdk/client-lambda';
import { HeadraceError } from '../errors.ts';
import { validateAccess } from '../kafka/index.ts';
import type { MappingDefinition } from '../mappings/definition.ts';
import { compileFilterCriteria, InvalidFilterError } from '../mappings/filter.ts';
import { invalidParameter, LambdaError } from './errors.ts';

/** A bound CreateEventSourceMapping: timestamps are seconds, as on the wire. */
export type CreateRequest = Omit<CreateEventSourceMappingRequest, 'StartingPositionTimestamp'> & {
  readonly StartingPositionTimestamp?: number;
};
export type UpdateRequest = UpdateEventSourceMappingRequest;
type Settings = CreateRequest | UpdateRequest;

type KafkaConfig = {
  readonly ConsumerGroupId?: string;
  readonly SchemaRegistryConfig?: Readonly<Record<string, unknown>>;
  readonly ConsumptionMode?: string;
};

const defaultBatchSize = 100;
/** Account quota, raised: 5 by default on AWS, 10 on request. */
const maximumFilters = 10;
const shortestRecordAge = 60;
const mostPollers = 2_000;
const defaultMaximumPollers = 200;

const unsupported = (parameter: string): LambdaError =>
  invalidParameter(`Unsupported '${parameter}' parameter for given event source mapping type.`);
const missing = (parameter: string): LambdaError => invalidParameter(`Required '${parameter}' parameter is missing.`);
const isGiven = (value: object | undefined): boolean => value !== undefined && Object.keys(value).length > 0;

/** Refuses a request without a source, before anything else is looked at. */
export function checkSource(request: CreateRequest): void {
  const hasServers = request.SelfManagedEventSource?.Endpoints !== undefined;
  if (!request.EventSourceArn && !hasServers) throw invalidParameter('Unrecognized event source.');
  if (request.EventSourceArn && hasServers) {
    throw invalidParameter('Only one of eventSourceArn and selfManagedEventSource can be specified.');
  }
}

/** Refuses sources that exist on AWS and not here, by name. */
export function checkKafka({ EventSourceArn, StartingPosition }: CreateRequest): void {
  if (!EventSourceArn) return;
  const service = EventSourceArn.split(':')[2] ?? '';
  if (service === 'kafka') return;
  if ((service === 'kinesis' || service === 'dynamodb') && StartingPosition === undefined) {
    throw invalidParameter(
      "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.",
    );
  }
  throw new LambdaError(
    'NotImplementedException',
    `Event source mappings of ${service} are not implemented by Headrace: sources are Amazon MSK and self-managed Apache Kafka.`,
  );
}

/** The definition of a new mapping. `now` in milliseconds. Throws in the service's words. */
export function definitionOf(
  request: CreateRequest,
  uuid: string,
  functionArn: string,
  now: number,
): MappingDefinition {
  const isManaged = Boolean(request.EventSourceArn);
  const topics = request.Topics;
  if (topics === undefined || topics.length === 0) throw missing('topics');
  checkSettings(request, isManaged, topics);
  const kafka = kafkaConfig(request, isManaged);
  if (kafka?.ConsumptionMode !== undefined && kafka.ConsumptionMode !== 'Stream') {
    throw invalidParameter("Unsupported 'ConsumptionMode' parameter for given event source mapping type");
  }
  return {
    uuid,
    functionArn,
    enabled: request.Enabled ?? true,
    ...(isManaged ? { eventSourceArn: request.EventSourceArn! } : { bootstrapServers: serversOf(request) }),
    topics,
    consumerGroupId: kafka?.ConsumerGroupId ?? uuid,
    batchSize: request.BatchSize ?? defaultBatchSize,
    ...startingPosition(request, now),
    ...changes(request, kafka, undefined),
  };
}

/** The definition after an update: absent members keep their value, lists and blocks are replaced. */
export function updatedDefinition(
  before: MappingDefinition,
  request: UpdateRequest,
  functionArn: string,
): MappingDefinition {
  const isManaged = before.eventSourceArn !== undefined;
  checkSettings(request, isManaged, before.topics);
  const kafka = kafkaConfig(request, isManaged);
  if (kafka?.ConsumerGroupId !== undefined) {
    throw unsupported(`${isManaged ? 'amazonManaged' : 'selfManaged'}KafkaEventSourceConfig.consumerGroupId`);
  }
  const { uuid, topics, consumerGroupId, startingPosition, startingPositionTimestamp, bootstrapServers } = before;
  const after: MappingDefinition = {
    uuid,
    functionArn,
    enabled: request.Enabled ?? before.enabled,
    ...(before.eventSourceArn === undefined ? {} : { eventSourceArn: before.eventSourceArn }),
    ...(bootstrapServers === undefined ? {} : { bootstrapServers }),
    topics,
    consumerGroupId,
    batchSize: request.BatchSize ?? before.batchSize,
    startingPosition,
    ...(startingPositionTimestamp === undefined ? {} : { startingPositionTimestamp }),
    ...changes(request, kafka, before),
  };
  if (isGiven(before.provisionedPollerConfig) && !isGiven(after.provisionedPollerConfig) && hasRegistry(after)) {
    throw invalidParameter(
      'Provisioned mode cannot be turned off while a schema registry is configured. Remove SchemaRegistryConfig first.',
    );
  }
  return after;
}

const hasRegistry = (definition: MappingDefinition): boolean =>
  isGiven(definition.other?.['SchemaRegistryConfig'] as object | undefined);

/** Members that create and update share. */
function changes(
  request: Settings,
  kafka: KafkaConfig | undefined,
  before: MappingDefinition | undefined,
): Partial<MappingDefinition> {
  const filters =
    request.FilterCriteria === undefined ? before?.filterCriteria?.Filters : request.FilterCriteria.Filters;
  const destination =
    request.DestinationConfig === undefined
      ? before?.onFailureDestination
      : request.DestinationConfig.OnFailure?.Destination;
  const pollers =
    request.ProvisionedPollerConfig === undefined
      ? before?.provisionedPollerConfig
      : { ...before?.provisionedPollerConfig, ...request.ProvisionedPollerConfig };
  const isProvisioned =
    request.ProvisionedPollerConfig === undefined ? isGiven(pollers) : isGiven(request.ProvisionedPollerConfig);
  if (isProvisioned) checkPollers(pollers ?? {});
  const access = request.SourceAccessConfigurations ?? before?.sourceAccessConfigurations;
  const window = request.MaximumBatchingWindowInSeconds ?? before?.maximumBatchingWindowInSeconds;
  const attempts = request.MaximumRetryAttempts ?? before?.maximumRetryAttempts;
  const age = request.MaximumRecordAgeInSeconds ?? before?.maximumRecordAgeInSeconds;
  const bisect = request.BisectBatchOnFunctionError ?? before?.bisectBatchOnFunctionError;
  const responses = request.FunctionResponseTypes ?? before?.functionResponseTypes;
  const other = otherMembers(request, kafka, before);
  return {
    ...(filters === undefined || filters.length === 0
      ? {}
      : { filterCriteria: { Filters: filters.map(({ Pattern }) => ({ Pattern: Pattern ?? '' })) } }),
    ...(destination ? { onFailureDestination: destination } : {}),
    ...(isProvisioned ? { provisionedPollerConfig: withoutEmptyGroup(pollers ?? {}) } : {}),
    ...(access === undefined || access.length === 0
      ? {}
      : { sourceAccessConfigurations: access.map(({ Type, URI }) => ({ Type: Type ?? '', URI: URI ?? '' })) }),
    ...(window === undefined ? {} : { maximumBatchingWindowInSeconds: window }),
    ...(attempts === undefined ? {} : { maximumRetryAttempts: attempts }),
    ...(age === undefined ? {} : { maximumRecordAgeInSeconds: age }),
    ...(bisect === undefined ? {} : { bisectBatchOnFunctionError: bisect }),
    ...(responses === undefined ? {} : { functionResponseTypes: responses as readonly 'ReportBatchItemFailures'[] }),
    ...(Object.keys(other).length === 0 ? {} : { other }),
  };
}

type Pollers = NonNullable<MappingDefinition['provisionedPollerConfig']>;

/** An empty group name takes the mapping out of its group. */
function withoutEmptyGroup({ PollerGroupName, ...pollers }: Pollers): Pollers {
  return PollerGroupName ? { ...pollers, PollerGroupName } : pollers;
}

function otherMembers(
  request: Settings,
  kafka: KafkaConfig | undefined,
  before: MappingDefinition | undefined,
): Record<string, unknown> {
  const other: Record<string, unknown> = { ...before?.other };
  if (request.KMSKeyArn !== undefined) other['KMSKeyArn'] = request.KMSKeyArn;
  if (other['KMSKeyArn'] === '') delete other['KMSKeyArn'];
  if (request.MetricsConfig !== undefined) other['MetricsConfig'] = request.MetricsConfig;
  if ('LoggingConfig' in request && isGiven(request.LoggingConfig)) other['LoggingConfig'] = request.LoggingConfig;
  if (kafka?.ConsumptionMode !== undefined) other['ConsumptionMode'] = kafka.ConsumptionMode;
  if (kafka?.SchemaRegistryConfig !== undefined) {
    if (isGiven(kafka.SchemaRegistryConfig)) other['SchemaRegistryConfig'] = kafka.SchemaRegistryConfig;
    else delete other['SchemaRegistryConfig'];
  }
  return other;
}

function kafkaConfig(request: Settings, isManaged: boolean): KafkaConfig | undefined {
  const own = isManaged ? request.AmazonManagedKafkaEventSourceConfig : request.SelfManagedKafkaEventSourceConfig;
  const foreign = isManaged ? request.SelfManagedKafkaEventSourceConfig : request.AmazonManagedKafkaEventSourceConfig;
  if (isGiven(foreign)) {
    throw unsupported(`${isManaged ? 'selfManaged' : 'amazonManaged'}KafkaEventSourceConfig`);
  }
  const config = own as KafkaConfig | undefined;
  const registry = config?.SchemaRegistryConfig;
  if (isGiven(registry) && !isGiven(registry?.['SchemaValidationConfigs'] as object | undefined)) {
    throw invalidParameter('SchemaValidationConfigs is required when a schema registry is configured.');
  }
  return config;
}

function serversOf(request: CreateRequest): string[] {
  const servers = request.SelfManagedEventSource?.Endpoints?.['KAFKA_BOOTSTRAP_SERVERS'];
  if (servers === undefined) throw missing('selfManagedEventSource.endpoints.KAFKA_BOOTSTRAP_SERVERS');
  return servers;
}

/** Recorded: for self-managed Kafka a missing position is TRIM_HORIZON. */
function startingPosition(
  { StartingPosition, StartingPositionTimestamp }: CreateRequest,
  now: number,
): Pick<MappingDefinition, 'startingPosition' | 'startingPositionTimestamp'> {
  if (StartingPosition !== 'AT_TIMESTAMP') {
    if (StartingPositionTimestamp !== undefined) {
      throw invalidParameter("'startingPositionTimestamp' is only valid with startingPosition AT_TIMESTAMP.");
    }
    return { startingPosition: StartingPosition ?? 'TRIM_HORIZON' };
  }
  if (StartingPositionTimestamp === undefined) {
    throw invalidParameter(
      "1 validation error detected: Value null at 'startingPositionTimestamp' failed to satisfy constraint: Member must not be null.",
    );
  }
  if (StartingPositionTimestamp * 1_000 > now) {
    throw invalidParameter("'startingPositionTimestamp' must not be in the future.");
  }
  return { startingPosition: StartingPosition, startingPositionTimestamp: StartingPositionTimestamp };
}

function checkSettings(request: Settings, isManaged: boolean, topics: readonly string[]): void {
  const { ParallelizationFactor, TumblingWindowInSeconds, ScalingConfig, DocumentDBEventSourceConfig } = request;
  if (ParallelizationFactor !== undefined) throw unsupported('parallelizationFactor');
  if (TumblingWindowInSeconds !== undefined && TumblingWindowInSeconds !== 0) {
    throw unsupported('tumblingWindowInSeconds');
  }
  if (isGiven(ScalingConfig)) throw unsupported('scalingConfig');
  if (isGiven(DocumentDBEventSourceConfig)) throw unsupported('documentDBEventSourceConfig');
  if ('Queues' in request && request.Queues !== undefined) throw unsupported('queues');
  checkDestination(request, topics);
  checkFilters(request);
  checkAccess(request, isManaged);
  const age = request.MaximumRecordAgeInSeconds;
  if (age !== undefined && age !== -1 && age < shortestRecordAge) {
    throw invalidParameter(`maximumRecordAgeInSeconds must be -1 or between ${shortestRecordAge} and 604800.`);
  }
}

/** `pollers` as they will be: an update may name one of the two bounds alone. */
function checkPollers({ MinimumPollers, MaximumPollers = defaultMaximumPollers }: Pollers): void {
  if (MaximumPollers > mostPollers) {
    throw invalidParameter(`maximumPollers must be less than or equal to ${mostPollers}.`);
  }
  if (MinimumPollers !== undefined && MaximumPollers < MinimumPollers) {
    throw invalidParameter('maximumPollers must be greater than or equal to minimumPollers.');
  }
}

function checkDestination({ DestinationConfig }: Settings, topics: readonly string[]): void {
  if (DestinationConfig?.OnSuccess?.Destination) {
    throw invalidParameter('Unsupported DestinationConfig parameter for given event source mapping type.');
  }
  const destination = DestinationConfig?.OnFailure?.Destination;
  if (!destination) return;
  if (destination.startsWith('kafka://')) {
    if (topics.includes(destination.slice('kafka://'.length))) {
      throw invalidParameter('The on-failure destination topic must not be the topic of the event source mapping.');
    }
    return;
  }
  const service = destination.split(':')[2] ?? '';
  if (!['sqs', 'sns', 's3'].includes(service)) {
    throw invalidParameter(
      `The destination ARN ${destination} is invalid: a destination is an SQS queue, an SNS topic, an S3 bucket or kafka://TOPIC.`,
    );
  }
  if (destination.endsWith('.fifo')) {
    throw invalidParameter(`The destination ARN ${destination} is invalid: FIFO queues and topics are not supported.`);
  }
}

/** By the same compiler that the poller uses: what is accepted here can run there. */
function checkFilters({ FilterCriteria }: Settings): void {
  try {
    compileFilterCriteria(FilterCriteria, { maximumFilters });
  } catch (error) {
    if (error instanceof InvalidFilterError) throw new LambdaError(error.exception, error.message);
    throw error;
  }
}

function checkAccess({ SourceAccessConfigurations = [] }: Settings, isManaged: boolean): void {
  const given = SourceAccessConfigurations.map(({ Type = '', URI = '' }) => ({ Type, URI }));
  const has = (type: string): boolean => given.some(({ Type }) => Type === type);
  try {
    validateAccess(isManaged ? 'MSK' : 'SELF_MANAGED', given);
  } catch (error) {
    if (HeadraceError.is(error)) throw invalidParameter(error.message);
    throw error;
  }
  if (has('VPC_SUBNET') !== has('VPC_SECURITY_GROUP')) {
    throw invalidParameter('VPC_SUBNET and VPC_SECURITY_GROUP must be specified together.');
  }
}
