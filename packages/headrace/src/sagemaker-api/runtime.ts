import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Api, ApiRequest, ApiResponse } from '../gateway/route.ts';
import { endpointInvocationChannel, endpointWarningChannel } from '../telemetry/channels.ts';
import { chooseAnswerType, writeAnswer } from './answer.ts';
import { parseAttributes, type RequestAttributes } from './attributes.ts';
import { type AuditControl, Control, type EndpointHost } from './control.ts';
import { checkName, type Endpoint } from './endpoints.ts';
import { modelError, SageMakerError, validationError } from './errors.ts';
import { ModelStore } from './model-store.ts';
import { type Payload, parsePayload } from './payload.ts';
import type { RowIdentity, RowResult, StreamingModel, StreamingOptions } from './streaming-model.ts';

// InvokeEndpoint of SageMaker Runtime (API version 2017-05-13). What a client sends to have each record learnt once is
// in attributes.ts and docs/sagemaker-endpoint.md:
//
//   X-Amzn-SageMaker-Custom-Attributes: topic=app-logs;offsets=0:100-149,155,2:77     rows in their order
//   X-Amzn-SageMaker-Inference-Id: any text                                           the request as a whole

export interface SageMakerRuntimeOptions {
  /** Where models are kept; undefined keeps them until the process ends. */
  readonly dataDirectory: string | undefined;
  /** Bytes that the models in memory may take together. Default 256 MiB. */
  readonly memoryLimit?: number;
  /** Milliseconds between two snapshots of the models that changed. Default 10,000. */
  readonly snapshotInterval?: number;
  /** Account number in messages. Default 123456789012. */
  readonly accountId?: string;
  /** Region in ARNs. Default: that of the environment, else us-east-1. */
  readonly region?: string;
  /** Told of each control operation that changed something, before it is answered. */
  readonly audit?: AuditControl;
}

/** Options of {@link SageMakerRuntime.ensureStreamingEndpoint}; all have defaults. */
export interface StreamingEndpointOptions {
  /** Numbers in a row. Default: as many as the first row has. */
  readonly featureDim?: number;
  /** Rows joined to a point. Default 1. */
  readonly shingleSize?: number;
  /** Default 50. */
  readonly numTrees?: number;
  /** Default 256. */
  readonly numSamplesPerTree?: number;
  /** Default 1 / (10 numSamplesPerTree). */
  readonly timeDecay?: number;
  /** Default: follows from the endpoint's name and the key. */
  readonly randomSeed?: number;
  /** Rows that each model remembers at least. Default 16,384; 0 remembers none. */
  readonly deduplicationWindow?: number;
  /** Column of a row that holds its key. Default none. */
  readonly keyColumn?: number;
  /** `lenient` also takes bare arrays. Default lenient. */
  readonly payloadCompat?: 'lenient' | 'strict';
}

export interface RuntimeStatistics {
  readonly invocations: number;
  readonly rows: number;
  readonly duplicateRows: number;
  /** Time in streaming models, which nothing else runs beside: their share of the thread. */
  readonly scoringSeconds: number;
  readonly bareArrayRequests: number;
  readonly errors: number;
  readonly residentModels: number;
  readonly residentModelBytes: number;
}

export interface SageMakerRuntime extends Api {
  /** Makes a streaming endpoint if there is none of this name; its models, if any are saved, go on. */
  ensureStreamingEndpoint(name: string, options?: StreamingEndpointOptions): void;
  /** Writes the models that changed. */
  save(): Promise<void>;
  statistics(): RuntimeStatistics;
  /** Refuses further requests, writes the models and lets go of everything. */
  close(): Promise<void>;
}

const INVOCATIONS = /^\/endpoints\/([^/]+)\/(invocations|async-invocations|invocations-response-stream)$/;
const MOST_BYTES = 6_291_456;
/** Rows that are scored before others get a turn: 6 MB hold a million rows, which would hold everything up for seconds. */
const ROWS_A_TURN = 2048;

/** Headers with their limits in characters, by the service's API model. */
const HEADERS: Readonly<Record<string, readonly [field: string, limit: number]>> = {
  'content-type': ['ContentType', 1024],
  accept: ['Accept', 1024],
  'x-amzn-sagemaker-custom-attributes': ['CustomAttributes', 1024],
  'x-amzn-sagemaker-target-model': ['TargetModel', 1024],
  'x-amzn-sagemaker-target-variant': ['TargetVariant', 63],
  'x-amzn-sagemaker-target-container-hostname': ['TargetContainerHostname', 63],
  'x-amzn-sagemaker-inference-id': ['InferenceId', 64],
  'x-amzn-sagemaker-enable-explanations': ['EnableExplanations', 64],
  'x-amzn-sagemaker-inference-component': ['InferenceComponentName', 63],
  'x-amzn-sagemaker-session-id': ['SessionId', 256],
};

export function createSageMakerRuntime(options: SageMakerRuntimeOptions): SageMakerRuntime {
  return new Runtime(options);
}

class Runtime implements SageMakerRuntime, EndpointHost {
  readonly service = 'sagemaker';
  private readonly endpoints = new Map<string, Endpoint>();
  /** Endpoints whose model is being loaded. */
  private readonly pending = new Set<string>();
  private readonly control: Control;
  private readonly store: ModelStore;
  private readonly accountId: string;
  private readonly temporary: string | undefined;
  private readonly timer: NodeJS.Timeout;
  /** Requests being answered; close waits for them, so that what they learn is saved. */
  private readonly running = new Set<Promise<ApiResponse>>();
  /** Endpoints whose first bare array was told about. */
  private readonly told = new Set<string>();
  private closing = false;
  private invocations = 0;
  private rows = 0;
  private duplicateRows = 0;
  private scoringMilliseconds = 0;
  private bareArrayRequests = 0;
  private errors = 0;

  constructor(options: SageMakerRuntimeOptions) {
    this.temporary = options.dataDirectory === undefined ? mkdtempSync(join(tmpdir(), 'headrace-models-')) : undefined;
    const directory = this.temporary ?? join(options.dataDirectory!, 'sagemaker', 'models');
    this.store = new ModelStore({ directory, memoryLimit: options.memoryLimit ?? 256 * 1024 * 1024 });
    this.accountId = options.accountId ?? '123456789012';
    this.control = new Control(
      this,
      options.dataDirectory === undefined ? undefined : join(options.dataDirectory, 'sagemaker', 'control.json'),
      this.accountId,
      options.region ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'] ?? 'us-east-1',
      options.audit,
    );
    this.timer = setInterval(() => {
      if (this.temporary === undefined) void this.snapshot();
    }, options.snapshotInterval ?? 10_000);
    this.timer.unref();
  }

  ensureStreamingEndpoint(name: string, options: StreamingEndpointOptions = {}): void {
    checkName('endpointName', name);
    if (this.endpoints.has(name) || this.pending.has(name)) return;
    const streaming: StreamingOptions = {
      featureDim: options.featureDim,
      shingleSize: options.shingleSize ?? 1,
      numTrees: options.numTrees ?? 50,
      numSamplesPerTree: options.numSamplesPerTree ?? 256,
      timeDecay: options.timeDecay,
      randomSeed: options.randomSeed,
      deduplicationWindow: options.deduplicationWindow ?? 16_384,
    };
    this.endpoints.set(name, {
      name,
      variant: 'AllTraffic',
      payloadCompat: options.payloadCompat ?? 'lenient',
      model: { kind: 'streaming', options: streaming, keyColumn: options.keyColumn },
      featureDim: options.featureDim,
    });
  }

  async handle(request: ApiRequest): Promise<ApiResponse | undefined> {
    const match = INVOCATIONS.exec(request.path);
    if (!match || request.method !== 'POST') return this.control.handle(request);
    const answer = this.answer(match[1]!, match[2]!, request);
    this.running.add(answer);
    try {
      return await answer;
    } finally {
      this.running.delete(answer);
    }
  }

  private async answer(name: string, path: string, request: ApiRequest): Promise<ApiResponse> {
    this.invocations++;
    try {
      if (this.closing) throw new SageMakerError(503, 'ServiceUnavailable', 'The service is shutting down.');
      if (path !== 'invocations') throw validationError(`${path} is not supported; use invocations.`);
      return await this.invoke(decodeURIComponent(name), request);
    } catch (error) {
      this.errors++;
      if (error instanceof SageMakerError) return error.toResponse();
      if (error instanceof URIError)
        return validationError('The name of the endpoint is not percent-encoded text.').toResponse();
      throw error;
    }
  }

  put(endpoint: Endpoint): void {
    this.pending.delete(endpoint.name);
    const before = this.endpoints.get(endpoint.name);
    this.endpoints.set(endpoint.name, endpoint);
    if (before?.model.kind === 'trained') before.model.forest.dispose();
  }

  setPending(name: string): void {
    this.pending.add(name);
  }

  async remove(name: string, forget: boolean): Promise<void> {
    this.pending.delete(name);
    const endpoint = this.endpoints.get(name);
    this.endpoints.delete(name);
    if (endpoint?.model.kind === 'trained') endpoint.model.forest.dispose();
    if (forget) await this.store.remove(name);
  }

  save(): Promise<void> {
    return this.store.save();
  }

  statistics(): RuntimeStatistics {
    return {
      invocations: this.invocations,
      rows: this.rows,
      duplicateRows: this.duplicateRows,
      scoringSeconds: this.scoringMilliseconds / 1000,
      bareArrayRequests: this.bareArrayRequests,
      errors: this.errors,
      residentModels: this.store.residentModels,
      residentModelBytes: this.store.residentBytes,
    };
  }

  /** The timer's save: nobody waits for it, so a failure is told. The models stay in memory and are tried again. */
  private async snapshot(): Promise<void> {
    await this.store.save();
    const { saveError } = this.store;
    if (saveError) endpointWarningChannel.publish({ warning: `models cannot be saved: ${saveError.message}` });
  }

  async close(): Promise<void> {
    this.closing = true;
    clearInterval(this.timer);
    await Promise.allSettled(this.running);
    await this.control.close();
    if (this.temporary !== undefined) {
      rmSync(this.temporary, { recursive: true, force: true });
      return;
    }
    await this.store.save();
    if (this.store.saveError) throw this.store.saveError;
  }

  private async invoke(name: string, request: ApiRequest): Promise<ApiResponse> {
    checkName('endpointName', name);
    const { headers, body } = request;
    for (const header of Object.keys(HEADERS)) {
      const value = headers[header];
      const [field, limit] = HEADERS[header]!;
      if (value !== undefined && value.length > limit) {
        throw validationError(
          `1 validation error detected: Value at '${field}' failed to satisfy constraint: ` +
            `Member must have length less than or equal to ${limit}`,
        );
      }
    }
    const started = performance.now();
    const endpoint = this.endpoints.get(name);
    if (!endpoint && this.pending.has(name)) {
      throw new SageMakerError(429, 'ModelNotReadyException', `The model of endpoint ${name} is being loaded.`);
    }
    if (!endpoint) throw validationError(`Endpoint ${name} of account ${this.accountId} not found.`);
    const variant = headers['x-amzn-sagemaker-target-variant'];
    if (variant !== undefined && variant !== endpoint.variant) {
      throw validationError(`Variant ${variant} of endpoint ${name} not found.`);
    }
    if (body.length === 0) throw validationError('The body of the request is empty.');
    if (body.length > MOST_BYTES) {
      throw validationError(`The body of the request has ${body.length} bytes; the most is ${MOST_BYTES}.`);
    }
    const answerType = chooseAnswerType(headers['accept']);
    const streaming = endpoint.model.kind === 'streaming' ? endpoint.model : undefined;
    const payload = parsePayload(headers['content-type'], body, {
      compat: endpoint.payloadCompat,
      keyColumn: streaming?.keyColumn,
    });
    const width = payload.rows[0]!.length;
    const wanted = endpoint.model.kind === 'trained' ? endpoint.model.featureDim : endpoint.featureDim;
    if (wanted !== undefined && width !== wanted) {
      throw modelError(`row 1: it has ${width} values, feature_dim is ${wanted}`);
    }

    let duplicateRows = 0;
    const scores: number[] = [];
    const notes: string[] = [];
    if (endpoint.model.kind === 'trained') {
      const { rows } = payload;
      for (let from = 0; from < rows.length; from += ROWS_A_TURN) {
        if (from > 0) await this.letOthersRun(endpoint);
        for (const score of endpoint.model.forest.scoreBatch(rows.slice(from, from + ROWS_A_TURN))) scores.push(score);
      }
    } else {
      const attributes = parseAttributes(headers['x-amzn-sagemaker-custom-attributes']);
      const identify = identifier(attributes, headers['x-amzn-sagemaker-inference-id'], payload);
      const key = attributes.key ?? headers['x-amzn-sagemaker-target-model'] ?? '';
      duplicateRows = await this.learn(endpoint, endpoint.model.options, payload, key, identify, scores, notes);
    }
    this.rows += payload.rows.length;
    if (payload.bare) {
      this.bareArrayRequests++;
      notes.push('payload-compat=bare-array');
      if (!this.told.has(name)) {
        this.told.add(name);
        const warning =
          'a request was a bare array, which SageMaker refuses; the portable form is {"instances":[{"features":[…]}]}';
        endpointWarningChannel.publish({ endpointName: name, warning });
      }
    }
    if (endpointInvocationChannel.hasSubscribers) {
      endpointInvocationChannel.publish({
        endpointName: name,
        status: 200,
        rows: payload.rows.length,
        duplicateRows,
        bareArray: payload.bare,
        durationMilliseconds: performance.now() - started,
      });
    }
    return {
      status: 200,
      headers: {
        'content-type': payload.bare ? 'application/json' : answerType,
        'x-amzn-invoked-production-variant': endpoint.variant,
        ...(notes.length > 0 ? { 'x-amzn-sagemaker-custom-attributes': notes.join(';') } : {}),
      },
      body: writeAnswer(scores, answerType, payload.bare),
    };
  }

  /** A turn for everything else in the thread; the endpoint may be another, or gone, after it. */
  private async letOthersRun(endpoint: Endpoint): Promise<void> {
    await nextTurn();
    if (this.endpoints.get(endpoint.name) === endpoint) return;
    throw new SageMakerError(503, 'ServiceUnavailable', `Endpoint ${endpoint.name} changed during the request.`);
  }

  /** Scores and learns rows in their order, each with the model of its key; answers how many were known already. */
  private async learn(
    endpoint: Endpoint,
    options: StreamingOptions,
    payload: Payload,
    key: string,
    identify: ((row: number) => RowIdentity) | undefined,
    scores: number[],
    notes: string[],
  ): Promise<number> {
    const { rows, keys } = payload;
    const width = rows[0]!.length;
    let duplicates = 0;
    let warmingUp = false;
    const count = ({ score, ...result }: RowResult): void => {
      scores.push(score);
      if (result.duplicate) duplicates++;
      if (result.warmingUp) warmingUp = true;
    };
    // Rows of one key that follow each other go to their model in one go.
    let untilTurn = ROWS_A_TURN;
    for (let from = 0; from < rows.length; ) {
      const rowKey = keys?.[from] ?? key;
      let to = from + 1;
      while (to < rows.length && to < untilTurn && (keys?.[to] ?? key) === rowKey) to++;
      const take = (model: StreamingModel): void => {
        if (model.featureDim !== width) {
          throw modelError(`row ${from + 1}: it has ${width} values, the model's feature_dim is ${model.featureDim}`);
        }
        const started = performance.now();
        for (let row = from; row < to; row++) count(model.take(rows[row]!, identify?.(row)));
        this.scoringMilliseconds += performance.now() - started;
      };
      if (!this.store.useResident(endpoint.name, rowKey, take)) {
        try {
          await this.store.use(endpoint.name, rowKey, options, width, take);
        } catch (error) {
          if (error instanceof SageMakerError) throw error;
          throw modelError(error instanceof Error ? error.message : String(error), 500);
        }
      }
      from = to;
      if (from === untilTurn && from < rows.length) {
        await this.letOthersRun(endpoint);
        untilTurn += ROWS_A_TURN;
      }
    }
    // Only now: a first request that its saved model refuses must not fix the width.
    endpoint.featureDim ??= width;
    this.duplicateRows += duplicates;
    if (warmingUp) notes.push('warmup=true');
    if (duplicates > 0) notes.push(`duplicates=${duplicates}`);
    return duplicates;
  }
}

/** What identifies the rows of a request; undefined when nothing does. */
function identifier(
  attributes: RequestAttributes,
  inferenceId: string | undefined,
  payload: Payload,
): ((row: number) => RowIdentity) | undefined {
  const { topic, positions } = attributes;
  if (positions) {
    if (positions.length !== payload.rows.length) {
      throw modelError(`the attribute offsets names ${positions.length} rows, the body has ${payload.rows.length}`);
    }
    let partition = -1;
    let stream = '';
    return (row) => {
      const position = positions[row]!;
      if (position.partition !== partition) {
        partition = position.partition;
        stream = `${topic}/${partition}`;
      }
      return { stream, number: position.offset };
    };
  }
  if (inferenceId === undefined || inferenceId === '') return undefined;
  const digest = createHash('sha256').update(inferenceId).digest();
  // 52 bits of the identifier's digest, so that adding the row keeps a whole number.
  const base = digest.readUInt32LE(0) * 2 ** 20 + (digest.readUInt32LE(4) >>> 12);
  return (row) => ({ stream: '', number: base + row });
}
