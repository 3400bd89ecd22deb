import { randomUUID } from 'node:crypto';
import type {
  DeleteEventSourceMappingRequest,
  GetEventSourceMappingRequest,
  ListEventSourceMappingsRequest,
} from '@aws-sdk/client-lambda';
import { HeadraceError } from '../errors.ts';
import { type MappingDefinition, MappingInUse, type StoredMapping } from '../mappings/definition.ts';
import { type Context, operation } from './context.ts';
import { versionId } from './documents.ts';
import { conflict, invalidParameter, LambdaError, notFound } from './errors.ts';
import {
  type CreateRequest,
  checkKafka,
  checkSource,
  definitionOf,
  type UpdateRequest,
  updatedDefinition,
} from './mapping-rules.ts';
import { functionArn, functionReference, mappingArn, type Place } from './names.ts';
import { page } from './pagination.ts';
import { checkTags } from './tags.ts';

export const createEventSourceMapping = operation<CreateRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    checkSource(input);
    const target = targetArn(context, input.FunctionName!);
    checkKafka(input);
    checkTags(input.Tags);
    const definition = definitionOf(input, randomUUID(), target, context.now());
    refuseGroupThatIsForgotten(context, definition);
    refuseDuplicate(context, definition);
    const stored = supervised(() => context.mappings.create(definition));
    if (input.Tags !== undefined && Object.keys(input.Tags).length > 0) {
      context.documents.tags.put(mappingArn(context, definition.uuid), input.Tags);
    }
    return render(context, stored);
  }),
);

export const getEventSourceMapping = operation<GetEventSourceMappingRequest>(({ context }, { UUID }) =>
  render(context, requireMapping(context, UUID!)),
);

const mappingsPerPage = 100;

export const listEventSourceMappings = operation<ListEventSourceMappingsRequest>(({ context }, input) => {
  const target = input.FunctionName === undefined ? undefined : referenceArn(context, input.FunctionName);
  const found = context.mappings
    .list()
    .filter(
      ({ definition }) =>
        (target === undefined || definition.functionArn === target) &&
        (input.EventSourceArn === undefined || definition.eventSourceArn === input.EventSourceArn),
    )
    .sort((a, b) => (a.definition.uuid < b.definition.uuid ? -1 : 1));
  const { items, nextMarker } = page(found, {
    keyOf: ({ definition }) => definition.uuid,
    limit: mappingsPerPage,
    marker: input.Marker,
    maxItems: input.MaxItems,
  });
  return {
    EventSourceMappings: items.map((mapping) => render(context, mapping)),
    ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }),
  };
});

export const updateEventSourceMapping = operation<UpdateRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { definition: before } = requireMapping(context, input.UUID!);
    const target = input.FunctionName === undefined ? before.functionArn : targetArn(context, input.FunctionName);
    const after = updatedDefinition(before, input, target);
    if (target !== before.functionArn) refuseDuplicate(context, after);
    return render(
      context,
      supervised(() => context.mappings.update(after), 'update'),
    );
  }),
);

export const deleteEventSourceMapping = operation<DeleteEventSourceMappingRequest>((call, { UUID }) =>
  call.transaction(() => {
    const { context } = call;
    const { definition } = requireMapping(context, UUID!);
    const stored = supervised(() => context.mappings.delete(definition.uuid), 'delete');
    context.documents.tags.delete(mappingArn(context, definition.uuid));
    return render(context, stored);
  }),
);

function requireMapping(context: Context, uuid: string): StoredMapping {
  const mapping = context.mappings.get(uuid.toLowerCase());
  if (mapping === undefined) throw notFound('The resource you requested does not exist.');
  return mapping;
}

/** The supervisor's refusals in the API's words. */
function supervised(change: () => StoredMapping, verb = 'create'): StoredMapping {
  try {
    return change();
  } catch (error) {
    if (error instanceof MappingInUse) {
      throw new LambdaError('ResourceInUseException', `Cannot ${verb} the event source mapping because it is in use.`);
    }
    if (HeadraceError.is(error) && error.code === 'CONFIGURATION') throw invalidParameter(error.message);
    throw error;
  }
}

/** The ARN of the target, qualified when the request named a qualifier; the target must be there. */
function targetArn(context: Context, text: string): string {
  const { name, qualifier } = functionReference(context, text);
  const document = context.documents.functions.get(name);
  const wanted = qualifier ?? '$LATEST';
  const version = document?.aliases[wanted]?.functionVersion ?? wanted;
  if (document === undefined || !context.documents.versions.has(versionId(name, version))) {
    throw invalidParameter('Function does not exist');
  }
  return functionArn(context, name, qualifier);
}

function referenceArn(context: Context, text: string): string {
  const { name, qualifier } = functionReference(context, text);
  return functionArn(context, name, qualifier);
}

/**
 * One mapping for a function, a topic and a cluster: lists of brokers that overlap are one cluster. A consumer group
 * belongs to one mapping of the account, on whatever cluster: two names may stand for the same one here, and members
 * of one group would share out the records among their functions.
 */
function refuseDuplicate(context: Context, wanted: MappingDefinition): void {
  for (const { definition, status } of context.mappings.list()) {
    if (definition.uuid === wanted.uuid || status.state === 'Deleting') continue;
    const sameCluster =
      wanted.eventSourceArn === undefined
        ? wanted.bootstrapServers!.some((server) => definition.bootstrapServers?.includes(server))
        : wanted.eventSourceArn === definition.eventSourceArn;
    const sameTopics = wanted.topics.join() === definition.topics.join();
    if (sameCluster && sameTopics && wanted.functionArn === definition.functionArn) {
      const source = wanted.eventSourceArn ?? wanted.bootstrapServers!.join(',');
      throw conflict(
        `An event source mapping with event source ("${source}"), function ("${wanted.functionArn}"), topics ("${wanted.topics.join(',')}") already exists. Please update or delete the existing mapping with UUID ${definition.uuid}`,
      );
    }
    if (wanted.consumerGroupId === definition.consumerGroupId) {
      throw conflict(
        `The consumer group ("${wanted.consumerGroupId}") is used by the event source mapping with UUID ${definition.uuid}. Please use another ConsumerGroupId.`,
      );
    }
  }
}

/** Without a store the generated group is forgotten at the end: the next start would reread or skip records. */
function refuseGroupThatIsForgotten({ store, isOwnBroker }: Context, definition: MappingDefinition): void {
  if (store.isPersistent || definition.consumerGroupId !== definition.uuid || isOwnBroker(definition)) return;
  throw invalidParameter(
    'This engine keeps nothing (:memory:), so it needs a ConsumerGroupId for an outside Kafka cluster: a new group at each start would read records again or skip them.',
  );
}

/** EventSourceMappingConfiguration. */
function render(place: Place, { definition, status }: StoredMapping): Record<string, unknown> {
  const isManaged = definition.eventSourceArn !== undefined;
  const { SchemaRegistryConfig, ConsumptionMode, ...other } = definition.other ?? {};
  const kafka = {
    ConsumerGroupId: definition.consumerGroupId,
    ...(SchemaRegistryConfig === undefined ? {} : { SchemaRegistryConfig }),
    ...(ConsumptionMode === undefined ? {} : { ConsumptionMode }),
  };
  return {
    UUID: definition.uuid,
    EventSourceMappingArn: mappingArn(place, definition.uuid),
    StartingPosition: definition.startingPosition,
    StartingPositionTimestamp: definition.startingPositionTimestamp,
    BatchSize: definition.batchSize,
    MaximumBatchingWindowInSeconds: definition.maximumBatchingWindowInSeconds,
    EventSourceArn: definition.eventSourceArn,
    FilterCriteria: definition.filterCriteria,
    FunctionArn: definition.functionArn,
    LastModified: status.lastModified,
    LastProcessingResult: status.lastProcessingResult,
    State: status.state,
    StateTransitionReason: status.stateTransitionReason,
    DestinationConfig:
      definition.onFailureDestination === undefined
        ? undefined
        : { OnFailure: { Destination: definition.onFailureDestination } },
    Topics: definition.topics,
    SourceAccessConfigurations: definition.sourceAccessConfigurations,
    SelfManagedEventSource: isManaged
      ? undefined
      : { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: definition.bootstrapServers } },
    MaximumRecordAgeInSeconds: definition.maximumRecordAgeInSeconds,
    BisectBatchOnFunctionError: definition.bisectBatchOnFunctionError,
    MaximumRetryAttempts: definition.maximumRetryAttempts,
    FunctionResponseTypes: definition.functionResponseTypes,
    AmazonManagedKafkaEventSourceConfig: isManaged ? kafka : undefined,
    SelfManagedKafkaEventSourceConfig: isManaged ? undefined : kafka,
    ProvisionedPollerConfig: definition.provisionedPollerConfig,
    ...other,
  };
}
