import { RandomCutForest } from '@headrace/random-cut-forest';
import type { ApiRequest, ApiResponse } from '../gateway/route.ts';
import { unpackArtifact } from './artifact.ts';
import { resourceInUse, resourceNotFound, validationException } from './control-errors.ts';
import {
  channelsOf,
  containerOf,
  type Input,
  list,
  member,
  nameOf,
  parseInput,
  seconds,
  variantOf,
  wrong,
} from './control-input.ts';
import { type EndpointRecord, type PlainRecord, RecordBook, type TrainingJobRecord } from './control-records.ts';
import type { Endpoint, EndpointModel } from './endpoints.ts';
import { SageMakerError } from './errors.ts';
import { isStorageUri, readObject } from './storage.ts';
import { streamingModelOf } from './streaming-environment.ts';
import { parseHyperParameters, train } from './training.ts';

/** Where endpoints go that can be invoked; the runtime. */
export interface EndpointHost {
  /** Makes the endpoint answer, in place of what answered under its name. */
  put(endpoint: Endpoint): void;
  /** Nothing answers under the name; what it learnt is forgotten with `forget`. */
  remove(name: string, forget: boolean): Promise<void>;
  /** The endpoint exists but its model is being loaded. */
  setPending(name: string): void;
}

/** A record before and after an operation. */
export interface ControlChange {
  readonly kind: string;
  readonly id: string;
  readonly before: object | undefined;
  readonly after: object | undefined;
}

/** Told of each operation that changed something, before it is answered. */
export type AuditControl = (request: ApiRequest, operation: string, change: ControlChange) => Promise<void>;

/** What an operation that changes something is about. */
const subjects = {
  TrainingJob: 'trainingJobs',
  Model: 'models',
  EndpointConfig: 'endpointConfigs',
  Endpoint: 'endpoints',
} as const;
const mutation = /^(?:Create|Update|Delete|Stop)(TrainingJob|Model|EndpointConfig|Endpoint)$/;

const TARGET = 'SageMaker.';
const CONTENT_TYPE = 'application/x-amz-json-1.1';

/**
 * The control operations that a script needs to train a forest and put it behind an endpoint. Owns the records of
 * training jobs, models, configurations and endpoints.
 */
export class Control {
  private readonly host: EndpointHost;
  private readonly book: RecordBook;
  private readonly accountId: string;
  private readonly region: string;
  /** Jobs and loads at work; awaited at the end. */
  private readonly working = new Set<Promise<void>>();
  private stopped = false;

  private readonly audit: AuditControl | undefined;

  constructor(host: EndpointHost, path: string | undefined, accountId: string, region: string, audit?: AuditControl) {
    this.host = host;
    this.audit = audit;
    this.book = new RecordBook(path);
    this.accountId = accountId;
    this.region = region;
    for (const job of Object.values(this.book.records.trainingJobs)) {
      if (job.status !== 'InProgress' && job.status !== 'Stopping') continue;
      job.status = 'Failed';
      job.failure = 'InternalServerError: the training was interrupted by a restart';
    }
    for (const [name, endpoint] of Object.entries(this.book.records.endpoints)) {
      if (endpoint.status === 'Failed') continue;
      endpoint.status = 'Creating';
      this.bringUp(name, endpoint);
    }
  }

  /** Undefined: not a control operation. */
  async handle(request: ApiRequest): Promise<ApiResponse | undefined> {
    const target = request.headers['x-amz-target'];
    if (request.method !== 'POST' || request.path !== '/' || !target?.startsWith(TARGET)) return undefined;
    try {
      const operation = operations[target.slice(TARGET.length)];
      if (!operation)
        throw new SageMakerError(400, 'UnknownOperationException', `${target} is not an operation that is known here.`);
      const input = parseInput(request.body);
      const output = await this.audited(request, target.slice(TARGET.length), input, () => operation(this, input));
      return { status: 200, headers: { 'content-type': CONTENT_TYPE }, body: Buffer.from(JSON.stringify(output)) };
    } catch (error) {
      if (error instanceof SageMakerError) return error.toResponse(CONTENT_TYPE);
      throw error;
    }
  }

  private async audited(
    request: ApiRequest,
    operation: string,
    input: Input,
    run: () => Promise<unknown> | unknown,
  ): Promise<unknown> {
    const kind = mutation.exec(operation)?.[1] as keyof typeof subjects | undefined;
    if (this.audit === undefined || kind === undefined) return await run();
    const id = String(input[`${kind}Name`]);
    // Records change in place.
    const record = (): object | undefined => structuredClone(this.book.records[subjects[kind]][id]);
    const before = record();
    const output = await run();
    await this.audit(request, operation, { kind: `sagemaker-${kind}`, id, before, after: record() });
    return output;
  }

  async close(): Promise<void> {
    this.stopped = true;
    await Promise.allSettled(this.working);
    await this.book.save();
  }

  // ---- training jobs -----------------------------------------------------------------------------------------------

  async createTrainingJob(input: Input): Promise<unknown> {
    const { trainingJobs } = this.book.records;
    const name = nameOf(input, 'TrainingJobName');
    if (trainingJobs[name])
      throw resourceInUse(
        `Training job names must be unique within an AWS account and region, but a training job named ${name} already exists.`,
      );
    const image = member(input, 'AlgorithmSpecification', 'TrainingImage');
    if (typeof image !== 'string' || !/randomcutforest/i.test(image)) {
      throw validationException(
        'AlgorithmSpecification.TrainingImage must be that of the built-in algorithm randomcutforest.',
      );
    }
    const output = member(input, 'OutputDataConfig', 'S3OutputPath');
    if (!isStorageUri(output))
      throw validationException('OutputDataConfig.S3OutputPath must be s3://bucket/prefix or file:///folder.');
    const channels = channelsOf(input);
    const trainChannel = channels.get('train');
    if (!trainChannel) throw validationException('InputDataConfig must have a channel named train.');
    const hyperParameters = wrong(() => parseHyperParameters((input['HyperParameters'] ?? {}) as Input));
    const now = seconds();
    const job: TrainingJobRecord = {
      request: input,
      arn: this.arn('training-job', name),
      created: now,
      modified: now,
      status: 'InProgress',
    };
    trainingJobs[name] = job;
    await this.book.save();
    const artifactUri = `${output.replace(/\/$/, '')}/${name}/output/model.tar.gz`;
    const plan = { name, hyperParameters, train: trainChannel, test: channels.get('test'), artifactUri };
    this.work(async () => {
      try {
        job.metrics = await train(plan, () => this.stopped || job.status === 'Stopping');
        job.status = 'Completed';
        job.artifact = artifactUri;
      } catch (error) {
        if (job.status === 'Stopping') job.status = 'Stopped';
        else {
          job.status = 'Failed';
          job.failure = (error instanceof Error ? error.message : String(error)).slice(0, 1024);
        }
      }
      job.modified = seconds();
      await this.book.save();
    });
    return { TrainingJobArn: job.arn };
  }

  describeTrainingJob(input: Input): unknown {
    const name = nameOf(input, 'TrainingJobName');
    const job = this.book.records.trainingJobs[name];
    if (!job) throw validationException('Requested resource not found.');
    const ended = job.status === 'Completed' || job.status === 'Failed' || job.status === 'Stopped';
    return {
      ...job.request,
      TrainingJobArn: job.arn,
      TrainingJobStatus: job.status,
      SecondaryStatus: job.status === 'InProgress' ? 'Training' : job.status,
      CreationTime: job.created,
      TrainingStartTime: job.created,
      LastModifiedTime: job.modified,
      ...(ended ? { TrainingEndTime: job.modified } : {}),
      ...(job.failure ? { FailureReason: job.failure } : {}),
      ...(job.artifact ? { ModelArtifacts: { S3ModelArtifacts: job.artifact } } : {}),
      ...(job.metrics?.length
        ? { FinalMetricDataList: job.metrics.map((metric) => ({ ...metric, Timestamp: job.modified })) }
        : {}),
    };
  }

  async stopTrainingJob(input: Input): Promise<unknown> {
    const job = this.book.records.trainingJobs[nameOf(input, 'TrainingJobName')];
    if (!job) throw validationException('Requested resource not found.');
    if (job.status !== 'InProgress')
      throw validationException(`The training job is ${job.status}; only one in progress can be stopped.`);
    job.status = 'Stopping';
    await this.book.save();
    return {};
  }

  listTrainingJobs(input: Input): unknown {
    return list(input, this.book.records.trainingJobs, 'TrainingJobSummaries', (name, job) => ({
      TrainingJobName: name,
      TrainingJobArn: job.arn,
      CreationTime: job.created,
      LastModifiedTime: job.modified,
      TrainingJobStatus: job.status,
    }));
  }

  // ---- models and configurations -----------------------------------------------------------------------------------

  async createModel(input: Input): Promise<unknown> {
    const name = nameOf(input, 'ModelName');
    if (this.book.records.models[name])
      throw validationException(`Cannot create already existing model "${this.arn('model', name)}".`);
    const container = containerOf(input);
    if (container['ModelDataUrl'] === undefined) wrong(() => streamingModelOf(container['Environment']));
    else if (!isStorageUri(container['ModelDataUrl'])) {
      throw validationException('PrimaryContainer.ModelDataUrl must be s3://bucket/key or file:///path.');
    }
    return { ModelArn: (await this.add('models', 'model', name, input)).arn };
  }

  async createEndpointConfig(input: Input): Promise<unknown> {
    const name = nameOf(input, 'EndpointConfigName');
    if (this.book.records.endpointConfigs[name]) {
      throw validationException(
        `Cannot create already existing endpoint configuration "${this.arn('endpoint-config', name)}".`,
      );
    }
    const { model } = variantOf(input);
    if (!this.book.records.models[model])
      throw validationException(`Could not find model "${this.arn('model', model)}".`);
    return { EndpointConfigArn: (await this.add('endpointConfigs', 'endpoint-config', name, input)).arn };
  }

  describe(kind: 'models' | 'endpointConfigs', input: Input): unknown {
    const { name, record, arnField } = this.found(kind, input);
    return {
      ...record.request,
      [kind === 'models' ? 'ModelName' : 'EndpointConfigName']: name,
      [arnField]: record.arn,
      CreationTime: record.created,
    };
  }

  listPlain(kind: 'models' | 'endpointConfigs', input: Input): unknown {
    const what = kind === 'models' ? 'Model' : 'EndpointConfig';
    return list(input, this.book.records[kind], `${what}s`, (name, record) => ({
      [`${what}Name`]: name,
      [`${what}Arn`]: record.arn,
      CreationTime: record.created,
    }));
  }

  async deletePlain(kind: 'models' | 'endpointConfigs', input: Input): Promise<unknown> {
    const { name } = this.found(kind, input);
    delete this.book.records[kind][name];
    await this.book.save();
    return {};
  }

  // ---- endpoints ---------------------------------------------------------------------------------------------------

  async createEndpoint(input: Input): Promise<unknown> {
    const name = nameOf(input, 'EndpointName');
    if (this.book.records.endpoints[name])
      throw validationException(`Cannot create already existing endpoint "${this.arn('endpoint', name)}".`);
    const now = seconds();
    const endpoint: EndpointRecord = {
      arn: this.arn('endpoint', name),
      created: now,
      modified: now,
      config: this.configOf(input),
      status: 'Creating',
    };
    this.book.records.endpoints[name] = endpoint;
    await this.book.save();
    this.bringUp(name, endpoint);
    return { EndpointArn: endpoint.arn };
  }

  async updateEndpoint(input: Input): Promise<unknown> {
    const { name, endpoint } = this.endpointOf(input);
    endpoint.config = this.configOf(input);
    endpoint.status = 'Updating';
    await this.book.save();
    this.bringUp(name, endpoint);
    return { EndpointArn: endpoint.arn };
  }

  describeEndpoint(input: Input): unknown {
    const { name, endpoint } = this.endpointOf(input);
    const config = this.book.records.endpointConfigs[endpoint.config];
    return {
      EndpointName: name,
      EndpointArn: endpoint.arn,
      EndpointConfigName: endpoint.config,
      EndpointStatus: endpoint.status,
      CreationTime: endpoint.created,
      LastModifiedTime: endpoint.modified,
      ...(config
        ? {
            ProductionVariants: [
              { VariantName: variantOf(config.request).variant, CurrentInstanceCount: 1, DesiredInstanceCount: 1 },
            ],
          }
        : {}),
      ...(endpoint.failure ? { FailureReason: endpoint.failure } : {}),
    };
  }

  listEndpoints(input: Input): unknown {
    return list(input, this.book.records.endpoints, 'Endpoints', (name, endpoint) => ({
      EndpointName: name,
      EndpointArn: endpoint.arn,
      CreationTime: endpoint.created,
      LastModifiedTime: endpoint.modified,
      EndpointStatus: endpoint.status,
    }));
  }

  async deleteEndpoint(input: Input): Promise<unknown> {
    const { name } = this.endpointOf(input);
    delete this.book.records.endpoints[name];
    await this.book.save();
    await this.host.remove(name, true);
    return {};
  }

  /** Loads the model of an endpoint, then lets it answer. What answered before goes on until then. */
  private bringUp(name: string, record: EndpointRecord): void {
    if (record.status !== 'Updating') this.host.setPending(name);
    const { config } = record;
    this.work(async () => {
      try {
        const { model, variant } = variantOf(this.required('endpointConfigs', config).request);
        const container = containerOf(this.required('models', model).request);
        const loaded = await load(container);
        // Deleted, or updated again, while the model was read.
        if (this.book.records.endpoints[name] !== record || record.config !== config) return;
        const { payloadCompat, featureDim, ...rest } = loaded;
        this.host.put({ name, variant, payloadCompat, featureDim, ...rest });
        record.status = 'InService';
        delete record.failure;
      } catch (error) {
        if (this.book.records.endpoints[name] !== record) return;
        // A failed update leaves the endpoint with what it had.
        record.failure = error instanceof Error ? error.message : String(error);
        if (record.status === 'Updating') record.status = 'InService';
        else {
          record.status = 'Failed';
          await this.host.remove(name, false);
        }
      }
      record.modified = seconds();
      await this.book.save();
    });
  }

  private configOf(input: Input): string {
    const config = nameOf(input, 'EndpointConfigName');
    if (!this.book.records.endpointConfigs[config]) {
      throw validationException(`Could not find endpoint configuration "${this.arn('endpoint-config', config)}".`);
    }
    return config;
  }

  private endpointOf(input: Input): { name: string; endpoint: EndpointRecord } {
    const name = nameOf(input, 'EndpointName');
    const endpoint = this.book.records.endpoints[name];
    if (!endpoint) throw validationException(`Could not find endpoint "${this.arn('endpoint', name)}".`);
    return { name, endpoint };
  }

  private found(
    kind: 'models' | 'endpointConfigs',
    input: Input,
  ): { name: string; record: PlainRecord; arnField: string } {
    const what = kind === 'models' ? 'Model' : 'EndpointConfig';
    const name = nameOf(input, `${what}Name`);
    const record = this.book.records[kind][name];
    if (!record) {
      const arn = this.arn(kind === 'models' ? 'model' : 'endpoint-config', name);
      throw validationException(`Could not find ${kind === 'models' ? 'model' : 'endpoint configuration'} "${arn}".`);
    }
    return { name, record, arnField: `${what}Arn` };
  }

  private required(kind: 'models' | 'endpointConfigs', name: string): PlainRecord {
    const record = this.book.records[kind][name];
    if (!record)
      throw resourceNotFound(`${kind === 'models' ? 'Model' : 'Endpoint configuration'} ${name} was deleted.`);
    return record;
  }

  private async add(
    kind: 'models' | 'endpointConfigs',
    type: string,
    name: string,
    request: Input,
  ): Promise<PlainRecord> {
    const record: PlainRecord = { request, arn: this.arn(type, name), created: seconds() };
    this.book.records[kind][name] = record;
    await this.book.save();
    return record;
  }

  private arn(type: string, name: string): string {
    return `arn:aws:sagemaker:${this.region}:${this.accountId}:${type}/${name.toLowerCase()}`;
  }

  private work(body: () => Promise<void>): void {
    const promise = body().finally(() => this.working.delete(promise));
    this.working.add(promise);
    // Failures are in the records; what is left, such as a full disk, shows in the next operation that saves.
    promise.catch(() => undefined);
  }
}

const operations: Readonly<Record<string, (control: Control, input: Input) => unknown>> = {
  CreateTrainingJob: (control, input) => control.createTrainingJob(input),
  DescribeTrainingJob: (control, input) => control.describeTrainingJob(input),
  StopTrainingJob: (control, input) => control.stopTrainingJob(input),
  ListTrainingJobs: (control, input) => control.listTrainingJobs(input),
  CreateModel: (control, input) => control.createModel(input),
  DescribeModel: (control, input) => control.describe('models', input),
  ListModels: (control, input) => control.listPlain('models', input),
  DeleteModel: (control, input) => control.deletePlain('models', input),
  CreateEndpointConfig: (control, input) => control.createEndpointConfig(input),
  DescribeEndpointConfig: (control, input) => control.describe('endpointConfigs', input),
  ListEndpointConfigs: (control, input) => control.listPlain('endpointConfigs', input),
  DeleteEndpointConfig: (control, input) => control.deletePlain('endpointConfigs', input),
  CreateEndpoint: (control, input) => control.createEndpoint(input),
  UpdateEndpoint: (control, input) => control.updateEndpoint(input),
  DescribeEndpoint: (control, input) => control.describeEndpoint(input),
  ListEndpoints: (control, input) => control.listEndpoints(input),
  DeleteEndpoint: (control, input) => control.deleteEndpoint(input),
};

async function load(
  container: Input,
): Promise<{ model: EndpointModel; payloadCompat: 'lenient' | 'strict'; featureDim: number | undefined }> {
  const url = container['ModelDataUrl'];
  if (url === undefined) return streamingModelOf(container['Environment']);
  try {
    const forest = RandomCutForest.fromBytes(unpackArtifact(await readObject(String(url))));
    const featureDim = forest.options.dimensions;
    return { model: { kind: 'trained', forest, featureDim }, payloadCompat: 'lenient', featureDim };
  } catch (error) {
    throw new Error(
      `the model data ${String(url)} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
