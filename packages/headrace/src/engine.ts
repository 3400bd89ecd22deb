// The composition root: the only file that knows every room. It makes the parts, gives each what it may know of the
// others, and takes them down in the order in which nothing is lost.
import { join } from 'node:path';
import { type Broker, ErrorCode, RequestError } from '@headrace/dev-broker';
import {
  type AsynchronousInvocations,
  createAsynchronousInvocations,
  createResultDelivery,
  newRequestId,
} from './asynchronous/index.ts';
import { systemClock } from './clock.ts';
import { createClusterResolver } from './clusters.ts';
import { AwsClients, createDestinations } from './destinations/index.ts';
import { startDevelopmentBroker } from './development-broker.ts';
import { createDynamoDbApi } from './dynamodb/api.ts';
import { compileEngineOptions, type EngineConfiguration, type EngineOptions } from './engine-options.ts';
import type { FunctionEngine } from './functions/definition.ts';
import { createFunctionEngine } from './functions/engine.ts';
import { anyOf, readCredentials, type TemporaryKey, TemporaryKeys } from './gateway/credentials.ts';
import { functionEnvironment } from './gateway/function-environment.ts';
import { createOperatorApi } from './gateway/operator-api.ts';
import { ProfileCredentials } from './gateway/profile-credentials.ts';
import { createGateway } from './gateway/server.ts';
import { walkToResolved } from './kafka/index.ts';
import { createLambdaApi, type LambdaApi } from './lambda-api/api.ts';
import { createLogsApi } from './logs-api/api.ts';
import type { MappingSupervisor } from './mappings/definition.ts';
import { createMappingSupervisor } from './mappings/supervisor.ts';
import { createSageMakerRuntime } from './sagemaker-api/index.ts';
import { openStore } from './store/store.ts';
import { createStsApi } from './sts-api/api.ts';
import { createIamApi } from './sts-api/iam.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { logNotices } from './telemetry/notices.ts';

export type { EngineOptions } from './engine-options.ts';

type CommittedOffsets = Awaited<ReturnType<MappingSupervisor['stop']>>;

/** A running engine. */
export interface Engine {
  /** `http://127.0.0.1:PORT`: what `AWS_ENDPOINT_URL` is set to. */
  readonly endpoint: string;
  readonly bootstrapServers: readonly string[];
  readonly region: string;
  readonly accountId: string;
  readonly mappings: MappingSupervisor;
  readonly functions: FunctionEngine;
  /** Keys that this engine's own clients sign with. */
  clientCredentials(): TemporaryKey;
  /** Seconds of the engine's thread that models have taken so far. */
  modelSeconds(): number;
  /** Makes a streaming SageMaker endpoint if there is none of this name. */
  ensureStreamingEndpoint(name: string): void;
  /** On the development broker: makes the topic if there is none of this name. */
  ensureTopic(name: string, partitions: number): void;
  /** Drains: fetching stops, what is in flight ends or is handed back, offsets are committed, groups are left. */
  stop(): Promise<CommittedOffsets>;
}

export async function startEngine(options: EngineOptions = {}): Promise<Engine> {
  const configuration = compileEngineOptions(options);
  const undo: (() => void | Promise<void>)[] = [];
  try {
    return await assemble(configuration, undo);
  } catch (error) {
    // Nothing half-started stays behind; the first error is the one that counts.
    for (const step of undo.reverse()) await Promise.resolve(step()).catch(() => {});
    throw error;
  }
}

async function assemble(configuration: EngineConfiguration, undo: (() => void | Promise<void>)[]): Promise<Engine> {
  const { region, accountId, log } = configuration;
  const store = openStore({ dataDirectory: configuration.dataDirectory });
  undo.push(() => store.close());
  const keptIn = store.isPersistent ? store.directory : undefined;

  const broker: Broker | undefined =
    configuration.bootstrapServers === undefined
      ? await startDevelopmentBroker({
          directory: configuration.brokerDirectory ?? (keptIn === undefined ? undefined : join(keptIn, 'broker')),
          port: configuration.brokerPort,
        })
      : undefined;
  if (broker !== undefined) undo.push(() => broker.stop());
  const bootstrapServers = configuration.bootstrapServers ?? broker!.bootstrapServers.split(',');

  const clusters = createClusterResolver({
    ...configuration,
    bootstrapServers,
    isDevelopmentBroker: broker !== undefined,
  });

  const tables = createDynamoDbApi({
    ...(keptIn === undefined ? {} : { dataDirectory: join(keptIn, 'dynamodb') }),
    region,
    accountId,
  });
  undo.push(() => tables.stop());
  const tablesStarted = tables.start();
  tablesStarted.catch(() => {}); // reported where it is awaited
  const sageMaker = createSageMakerRuntime({
    dataDirectory: keptIn,
    accountId,
    region,
    audit: ({ principal = 'anonymous', requestId }, operation, change) => {
      store.record({ principal, operation: `sagemaker:${operation}`, requestId }, [change]);
      return store.flushed();
    },
  });
  undo.push(() => sageMaker.close());

  const temporaryKeys = new TemporaryKeys();
  const ownKey = temporaryKeys.issue('headrace');
  const { credentialsFile, functionCredentials } = configuration;
  const profile =
    functionCredentials === undefined
      ? undefined
      : await ProfileCredentials.load({ profile: functionCredentials, onRenewed: () => functions.recycle(), log });
  undo.push(() => profile?.close());
  let endpoint = '';
  const functions: FunctionEngine = createFunctionEngine({
    resolve: (functionRef) => lambda.resolve(functionRef),
    ...(keptIn === undefined ? {} : { dataDirectory: keptIn }),
    sandbox: configuration.sandbox,
    region,
    accountId,
    baseEnvironment: ({ functionName }) =>
      functionEnvironment({
        endpoint,
        keys: profile?.keys ?? temporaryKeys.issue(functionName),
        isProfile: profile !== undefined,
        processEnvironment: process.env,
      }),
  });
  const aws = new AwsClients();
  undo.push(() => aws.close());
  const destinations = createDestinations({ aws, clusterConfiguration: clusters.configurationOf });
  undo.push(() => destinations.close());
  const mappings = createMappingSupervisor({
    store: store.mappings,
    clusters: clusters.clusterOf,
    restartIdentity: store.identity,
    destinations,
    invoke: functions.invoke,
    warm: functions.warm,
    clock: systemClock,
    random: Math.random,
    functionTimeout: (functionArn) => {
      const resolved = lambda.resolve(functionArn);
      return resolved.kind === 'found' ? resolved.version.timeoutSeconds : undefined;
    },
  });
  const asynchronous: AsynchronousInvocations = createAsynchronousInvocations({
    queue: store.events,
    invoke: functions.invoke,
    rulesOf: (functionName, qualifier) => lambda.eventRules(functionName, qualifier),
    delivery: createResultDelivery(aws, (functionArn, payload) => {
      const [, , , , , , functionName = '', qualifier = '$LATEST'] = functionArn.split(':');
      asynchronous.submit({ requestId: newRequestId(), functionName, qualifier, payload });
    }),
    clock: systemClock,
    log,
  });
  const lambda: LambdaApi = createLambdaApi({
    submitEvent: (event) => asynchronous.submit(event),
    codeFolders: configuration.codeFolders,
    store,
    engine: functions,
    mappings,
    region,
    accountId,
    endpoint: () => endpoint,
    isOwnBroker: (definition) => broker !== undefined && readsBroker(definition.bootstrapServers, bootstrapServers),
  });
  for (const [functionName, target] of Object.entries(configuration.backends)) {
    const code = target.startsWith('arn:')
      ? { kind: 'aws' as const, arn: target }
      : { kind: 'http' as const, url: target };
    lambda.registerFunction({ functionName, code });
  }
  const endNotices = logNotices(log);
  undo.push(endNotices);
  const metrics = createMetrics({ mappings, functions });
  undo.push(() => metrics.close());
  const gateway = await createGateway({
    host: configuration.host,
    port: configuration.port,
    apis: [
      metrics,
      lambda,
      sageMaker,
      tables,
      createLogsApi({ region, accountId, logDirectory: () => functions.logDirectory }),
      createStsApi({ accountId, issueKey: (name, expiresAt) => temporaryKeys.issue(name, expiresAt) }),
      createIamApi({ store, accountId }),
      createOperatorApi({
        mappings,
        check: (definition) =>
          walkToResolved(
            definition.eventSourceArn ?? definition.bootstrapServers?.join(',') ?? '',
            () => clusters.configurationOf(definition),
            { topics: definition.topics, groupId: definition.consumerGroupId },
          ),
        environments: () => functions.snapshot(),
        audit: (page) => store.audit(page),
        keepMove: async (uuid, context, move) => {
          const kept = store.transaction(() => {
            const moved = move();
            const { topic, partition, offset } = moved.record;
            store.collection('moved-record').put(`${uuid}/${topic}-${partition}/${offset}`, moved);
            return moved;
          }, context);
          await store.flushed();
          return kept;
        },
      }),
    ],
    ...(credentialsFile === undefined
      ? {}
      : { credentials: anyOf(temporaryKeys, ...(profile ? [profile] : []), readCredentials(credentialsFile)) }),
    onError: (error, { requestId, path }) =>
      log(
        `defect in ${path} (request ${requestId}): ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      ),
  });
  undo.push(() => gateway.close());
  endpoint = gateway.endpoint;
  // After the endpoint is known: provisioned environments start at once and are told of it.
  await functions.start();
  undo.push(() => functions.stop());
  log(
    broker === undefined
      ? `MSK clusters stand for ${bootstrapServers.join(',')}`
      : `development broker at ${bootstrapServers.join(',')}: every MSK ARN stands for it`,
  );
  await tablesStarted;
  lambda.collectCode();
  mappings.start();
  asynchronous.start();

  return {
    endpoint,
    bootstrapServers,
    region,
    accountId,
    mappings,
    functions,
    clientCredentials: () => ownKey,
    modelSeconds: () => sageMaker.statistics().scoringSeconds,
    ensureStreamingEndpoint: (name) => sageMaker.ensureStreamingEndpoint(name),
    ensureTopic(name, partitions) {
      try {
        broker?.createTopic({ name, partitions });
      } catch (error) {
        if (!(error instanceof RequestError) || error.code !== ErrorCode.TOPIC_ALREADY_EXISTS) throw error;
      }
    },
    async stop() {
      // What is in flight still calls model and table, so the mappings end first and the door closes late.
      const committed = await mappings.stop({ drainTimeoutMilliseconds: configuration.drainTimeoutMilliseconds });
      await asynchronous.stop();
      await destinations.close();
      aws.close();
      await functions.stop();
      await gateway.close();
      profile?.close();
      metrics.close();
      endNotices();
      await Promise.all([sageMaker.close(), tables.stop()]);
      await broker?.stop();
      store.close();
      return committed;
    },
  };
}

/** Whether a mapping reads the broker of this process: an MSK ARN stands for it, a host and port may name it. */
function readsBroker(named: readonly string[] | undefined, own: readonly string[]): boolean {
  return named === undefined || named.some((server) => own.includes(server));
}
