import { CreateTableCommand, type DynamoDBClient, ResourceInUseException } from '@aws-sdk/client-dynamodb';
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  type CreateFunctionCommandInput,
  type LambdaClient,
  ListEventSourceMappingsCommand,
  PutFunctionConcurrencyCommand,
  ResourceConflictException,
  UpdateEventSourceMappingCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { zipFolder } from './code-package.ts';
import type { DeployPlan, DeployStep } from './plan.ts';

export interface DeployClients {
  readonly lambda: LambdaClient;
  readonly dynamodb: DynamoDBClient;
}

export interface DeployedThing {
  readonly kind: DeployStep['kind'];
  readonly logicalId: string;
  /** Function name, table name or mapping UUID. */
  readonly physicalId: string;
  readonly action: 'created' | 'updated' | 'kept';
}

/** Makes the calls of a plan, in order; each thing is created, or updated when it is there already. */
export async function deployPlan(
  plan: DeployPlan,
  clients: DeployClients,
  onThing: (thing: DeployedThing) => void = () => {},
): Promise<DeployedThing[]> {
  const things: DeployedThing[] = [];
  for (const step of plan.steps) {
    const thing = await deployStep(step, clients);
    things.push(thing);
    onThing(thing);
  }
  return things;
}

async function deployStep(step: DeployStep, { lambda, dynamodb }: DeployClients): Promise<DeployedThing> {
  const { kind, logicalId } = step;
  if (step.kind === 'table') {
    const physicalId = step.input.TableName ?? logicalId;
    try {
      await dynamodb.send(new CreateTableCommand(step.input));
      return { kind, logicalId, physicalId, action: 'created' };
    } catch (error) {
      if (error instanceof ResourceInUseException) return { kind, logicalId, physicalId, action: 'kept' };
      throw error;
    }
  }
  if (step.kind === 'function') return await deployFunction(step, lambda);
  const existing = await findMapping(step, lambda);
  if (existing !== undefined) {
    const { EventSourceArn: _arn, SelfManagedEventSource: _source, Topics: _topics, Tags: _tags, ...rest } = step.input;
    const {
      StartingPosition: _position,
      StartingPositionTimestamp: _timestamp,
      AmazonManagedKafkaEventSourceConfig: _managed,
      SelfManagedKafkaEventSourceConfig: _selfManaged,
      ...updatable
    } = rest;
    await lambda.send(new UpdateEventSourceMappingCommand({ ...updatable, UUID: existing }));
    return { kind, logicalId, physicalId: existing, action: 'updated' };
  }
  const made = await lambda.send(new CreateEventSourceMappingCommand(step.input));
  return { kind, logicalId, physicalId: made.UUID ?? '', action: 'created' };
}

async function deployFunction(
  step: Extract<DeployStep, { kind: 'function' }>,
  lambda: LambdaClient,
): Promise<DeployedThing> {
  const { kind, logicalId, input } = step;
  const name = input.FunctionName ?? logicalId;
  const zip = await zipFolder(step.codeFolder);
  const wait = { client: lambda, maxWaitTime: 60, minDelay: 0.05, maxDelay: 1 };
  let action: DeployedThing['action'] = 'created';
  try {
    const create: CreateFunctionCommandInput = { ...input, Code: { ZipFile: zip } };
    await lambda.send(new CreateFunctionCommand(create));
  } catch (error) {
    if (!(error instanceof ResourceConflictException)) throw error;
    action = 'updated';
    const { Architectures, ...configuration } = input;
    await lambda.send(new UpdateFunctionConfigurationCommand({ ...configuration, FunctionName: name }));
    await waitUntilFunctionUpdatedV2(wait, { FunctionName: name });
    await lambda.send(new UpdateFunctionCodeCommand({ FunctionName: name, ZipFile: zip, Architectures }));
  }
  await waitUntilFunctionActiveV2(wait, { FunctionName: name });
  if (step.reservedConcurrentExecutions !== undefined) {
    await lambda.send(
      new PutFunctionConcurrencyCommand({
        FunctionName: name,
        ReservedConcurrentExecutions: step.reservedConcurrentExecutions,
      }),
    );
  }
  return { kind, logicalId, physicalId: name, action };
}

/** The mapping that a former deployment made: same function, same source, same topic. */
async function findMapping(
  step: Extract<DeployStep, { kind: 'mapping' }>,
  lambda: LambdaClient,
): Promise<string | undefined> {
  const { FunctionName, EventSourceArn, SelfManagedEventSource, Topics } = step.input;
  const servers = SelfManagedEventSource?.Endpoints?.['KAFKA_BOOTSTRAP_SERVERS']?.join();
  let Marker: string | undefined;
  do {
    const page = await lambda.send(new ListEventSourceMappingsCommand({ FunctionName, ...(Marker ? { Marker } : {}) }));
    for (const mapping of page.EventSourceMappings ?? []) {
      const sameSource =
        mapping.EventSourceArn === EventSourceArn &&
        mapping.SelfManagedEventSource?.Endpoints?.['KAFKA_BOOTSTRAP_SERVERS']?.join() === servers;
      if (sameSource && mapping.Topics?.join() === Topics?.join() && mapping.State !== 'Deleting') return mapping.UUID;
    }
    Marker = page.NextMarker;
  } while (Marker);
  return undefined;
}
