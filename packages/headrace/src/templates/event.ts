import type { CreateEventSourceMappingCommandInput } from '@aws-sdk/client-lambda';
import { isMap, type TemplateMap, templateError } from './document.ts';
import { Properties } from './properties.ts';

/** A SAM event of type MSK or SelfManagedKafka as the CreateEventSourceMapping call that it stands for. */
export function planMapping(
  event: TemplateMap,
  place: string,
  functionName: string,
): CreateEventSourceMappingCommandInput {
  const outer = new Properties(event, place);
  const type = outer.requiredString('Type');
  if (type !== 'MSK' && type !== 'SelfManagedKafka')
    throw templateError(`${place}: the event type ${type} is not supported yet`);
  const properties = outer.nested('Properties');
  if (!properties) throw templateError(`${place}.Properties is missing`);
  outer.finish();
  const topics = properties.strings('Topics');
  if (topics?.length !== 1) throw templateError(`${place}.Topics must name one topic`);
  const group = properties.string('ConsumerGroupId');
  const filters = properties.nested('FilterCriteria');
  const patterns = filters?.list('Filters')?.map((filter, index) => {
    if (!isMap(filter)) throw templateError(`${place}.FilterCriteria.Filters[${index}] must be a map`);
    return { Pattern: new Properties(filter, `${place}.FilterCriteria.Filters[${index}]`).requiredString('Pattern') };
  });
  filters?.finish();
  const destination = properties.nested('DestinationConfig')?.nested('OnFailure')?.requiredString('Destination');
  const pollers = properties.nested('ProvisionedPollerConfig');
  const timestamp = properties.number('StartingPositionTimestamp');
  const access = properties.list('SourceAccessConfigurations')?.map((each, index) => {
    if (!isMap(each)) throw templateError(`${place}.SourceAccessConfigurations[${index}] must be a map`);
    const entry = new Properties(each, `${place}.SourceAccessConfigurations[${index}]`);
    return { Type: entry.requiredString('Type') as 'SASL_SCRAM_512_AUTH', URI: entry.requiredString('URI') };
  });
  const input: CreateEventSourceMappingCommandInput = {
    FunctionName: functionName,
    Topics: topics,
    BatchSize: properties.integer('BatchSize'),
    MaximumBatchingWindowInSeconds: properties.integer('MaximumBatchingWindowInSeconds'),
    StartingPosition: properties.string('StartingPosition') as CreateEventSourceMappingCommandInput['StartingPosition'],
    Enabled: properties.boolean('Enabled'),
    MaximumRetryAttempts: properties.integer('MaximumRetryAttempts'),
    MaximumRecordAgeInSeconds: properties.integer('MaximumRecordAgeInSeconds'),
    BisectBatchOnFunctionError: properties.boolean('BisectBatchOnFunctionError'),
    FunctionResponseTypes: properties.strings(
      'FunctionResponseTypes',
    ) as CreateEventSourceMappingCommandInput['FunctionResponseTypes'],
    ...(timestamp === undefined ? {} : { StartingPositionTimestamp: new Date(timestamp * 1000) }),
    ...(patterns ? { FilterCriteria: { Filters: patterns } } : {}),
    ...(destination === undefined ? {} : { DestinationConfig: { OnFailure: { Destination: destination } } }),
    ...(access ? { SourceAccessConfigurations: access } : {}),
    ...(pollers
      ? {
          ProvisionedPollerConfig: {
            MinimumPollers: pollers.integer('MinimumPollers'),
            MaximumPollers: pollers.integer('MaximumPollers'),
          },
        }
      : {}),
    ...(type === 'MSK'
      ? {
          EventSourceArn: properties.requiredString('Stream'),
          ...(group === undefined ? {} : { AmazonManagedKafkaEventSourceConfig: { ConsumerGroupId: group } }),
        }
      : {
          SelfManagedEventSource: {
            Endpoints: { KAFKA_BOOTSTRAP_SERVERS: properties.strings('KafkaBootstrapServers') ?? [] },
          },
          ...(group === undefined ? {} : { SelfManagedKafkaEventSourceConfig: { ConsumerGroupId: group } }),
        }),
  };
  pollers?.finish();
  properties.finish();
  return input;
}
