import { once } from 'node:events';
import { ZipFile } from 'yazl';
import type { InvokeOptions, InvokeOutcome } from '../src/functions/outcome.ts';
import { createGateway, type Gateway, type GatewayOptions } from '../src/gateway/server.ts';
import { createLambdaApi, type LambdaApi, type LambdaApiOptions } from '../src/lambda-api/api.ts';
import type { ApiEngine } from '../src/lambda-api/context.ts';
import {
  type MappingDefinition,
  MappingInUse,
  type MappingSnapshot,
  type MappingState,
  type MappingStore,
  type MappingSupervisor,
  type StoredMapping,
} from '../src/mappings/definition.ts';
import { openStore, type Store } from '../src/store/store.ts';

/** Keeps mappings and their states and polls nothing: a change settles at the next turn of the event loop. */
export class QuietSupervisor implements MappingSupervisor {
  readonly #store: MappingStore;
  readonly #mappings = new Map<string, StoredMapping>();
  /** Changes stay in transition while this is true. */
  hold = false;

  constructor(store: MappingStore) {
    this.#store = store;
  }

  start(): void {
    for (const mapping of this.#store.all()) this.#mappings.set(mapping.definition.uuid, mapping);
  }

  create(definition: MappingDefinition): StoredMapping {
    return this.#change(definition, 'Creating');
  }

  update(definition: MappingDefinition): StoredMapping {
    const before = this.#settled(definition.uuid);
    if (before.enabled === definition.enabled) return this.#change(definition, 'Updating');
    return this.#change(definition, definition.enabled ? 'Enabling' : 'Disabling');
  }

  delete(uuid: string): StoredMapping {
    return this.#change(this.#settled(uuid), 'Deleting');
  }

  get(uuid: string): StoredMapping | undefined {
    return this.#mappings.get(uuid);
  }

  list(): StoredMapping[] {
    return [...this.#mappings.values()];
  }

  snapshot(uuid: string): MappingSnapshot | undefined {
    const mapping = this.#mappings.get(uuid);
    if (mapping === undefined) return undefined;
    const { definition, status } = mapping;
    const { functionArn, topics, consumerGroupId } = definition;
    const counts = {
      received: 0,
      filtered: 0,
      invocations: 0,
      succeeded: 0,
      failedInvocations: 0,
      throttles: 0,
      dropped: 0,
      toDestination: 0,
      committed: 0,
      rebalances: 0,
      pollingErrors: 0,
      receivedBytes: 0,
      invokedRecords: 0,
      failedRecords: 0,
      destinationErrors: 0,
    };
    return { uuid, functionArn, topics, consumerGroupId, ...status, pollers: 0, partitions: [], warnings: [], counts };
  }

  async stop(): Promise<{ committed: []; uncommitted: [] }> {
    return { committed: [], uncommitted: [] };
  }

  #settled(uuid: string): MappingDefinition {
    const { definition, status } = this.#mappings.get(uuid)!;
    if (status.state !== 'Enabled' && status.state !== 'Disabled') throw new MappingInUse(uuid);
    return definition;
  }

  #change(definition: MappingDefinition, state: MappingState): StoredMapping {
    const mapping = this.#put(definition, state);
    setImmediate(() => {
      if (this.hold) return;
      if (state !== 'Deleting') this.#put(definition, definition.enabled ? 'Enabled' : 'Disabled');
      else if (this.#mappings.delete(definition.uuid)) this.#store.remove(definition.uuid);
    });
    return mapping;
  }

  #put(definition: MappingDefinition, state: MappingState): StoredMapping {
    const mapping: StoredMapping = {
      definition,
      status: {
        state,
        stateTransitionReason: 'USER_INITIATED',
        lastProcessingResult: 'No records processed',
        lastModified: Date.now() / 1_000,
      },
    };
    this.#mappings.set(definition.uuid, mapping);
    this.#store.put(mapping);
    return mapping;
  }
}

/** Runs nothing: answers each event with itself, and writes down what it was told. */
export class EchoEngine implements ApiEngine {
  readonly calls: { functionRef: string; payload: string; options: InvokeOptions | undefined }[] = [];
  readonly reserved = new Map<string, number | undefined>();
  readonly provisioned = new Map<string, number>();
  readonly refreshed: string[] = [];
  /** Answered instead of the echo. */
  outcome: InvokeOutcome | undefined;

  async invoke(functionRef: string, payload: Uint8Array, options?: InvokeOptions): Promise<InvokeOutcome> {
    this.calls.push({ functionRef, payload: Buffer.from(payload).toString(), options });
    return (
      this.outcome ?? {
        kind: 'success',
        requestId: options?.requestId ?? '',
        executedVersion: '$LATEST',
        payload: Buffer.from(payload),
        durationMilliseconds: 1,
        ...(options?.logTail ? { logTail: Buffer.from('END\n') } : {}),
      }
    );
  }

  async invokeWithResponseStream(
    functionRef: string,
    payload: Uint8Array,
    sink: Parameters<ApiEngine['invokeWithResponseStream']>[2],
    options?: InvokeOptions,
  ): Promise<InvokeOutcome> {
    const outcome = await this.invoke(functionRef, payload, options);
    sink.start({ contentType: 'application/octet-stream', headers: {} });
    if ('payload' in outcome) sink.write(outcome.payload);
    return outcome;
  }

  refresh(functionName: string): void {
    this.refreshed.push(functionName);
  }

  remove(functionName: string): void {
    this.reserved.delete(functionName);
  }

  setReservedConcurrency(functionName: string, reserved: number | undefined): void {
    this.reserved.set(functionName, reserved);
  }

  setProvisionedConcurrency(functionName: string, version: string, provisioned: number): void {
    this.provisioned.set(`${functionName}:${version}`, provisioned);
  }
}

export const accountId = '123456789012';
export const region = 'us-east-1';
export const role = `arn:aws:iam::${accountId}:role/lambda`;

export interface ApiWorld extends AsyncDisposable {
  readonly store: Store;
  readonly engine: EchoEngine;
  readonly mappings: QuietSupervisor;
  readonly api: LambdaApi;
  readonly gateway: Gateway;
  readonly endpoint: string;
}

/** The API behind its gateway, on a store in memory unless `dataDirectory` says where. */
export async function startApi(
  options: {
    readonly dataDirectory?: string;
    readonly lambda?: Partial<LambdaApiOptions>;
    readonly gateway?: Partial<GatewayOptions>;
  } = {},
): Promise<ApiWorld> {
  const store = openStore({ dataDirectory: options.dataDirectory ?? ':memory:' });
  const engine = new EchoEngine();
  const mappings = new QuietSupervisor(store.mappings);
  mappings.start();
  let endpoint = '';
  const api = createLambdaApi({
    store,
    engine,
    mappings,
    region,
    accountId,
    endpoint: () => endpoint,
    isOwnBroker: () => true,
    ...options.lambda,
  });
  const gateway = await createGateway({
    ...options.gateway,
    apis: [api, ...(options.gateway?.apis ?? [])],
  });
  endpoint = gateway.endpoint;
  return {
    store,
    engine,
    mappings,
    api,
    gateway,
    endpoint,
    async [Symbol.asyncDispose]() {
      await gateway.close(0);
      store.close();
    },
  };
}

/** A code package of these files. */
export async function zipOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const zip = new ZipFile();
  for (const [name, text] of Object.entries(files)) zip.addBuffer(Buffer.from(text), name);
  zip.end();
  const chunks: Buffer[] = [];
  zip.outputStream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(zip.outputStream, 'end');
  return Buffer.concat(chunks);
}

/** A request without a client, for what clients hide. */
export async function call(
  endpoint: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; type: string | null; body: Record<string, unknown>; headers: Headers }> {
  const response = await fetch(`${endpoint}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    type: response.headers.get('x-amzn-errortype'),
    body: text === '' ? {} : JSON.parse(text),
    headers: response.headers,
  };
}
