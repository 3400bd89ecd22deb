import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import {
  CreateEndpointCommand,
  CreateEndpointConfigCommand,
  CreateModelCommand,
  CreateTrainingJobCommand,
  type CreateTrainingJobCommandInput,
  DeleteEndpointCommand,
  DeleteEndpointConfigCommand,
  DeleteModelCommand,
  DescribeEndpointCommand,
  DescribeEndpointConfigCommand,
  DescribeModelCommand,
  DescribeTrainingJobCommand,
  ListEndpointConfigsCommand,
  ListEndpointsCommand,
  ListModelsCommand,
  ListTrainingJobsCommand,
  SageMakerClient,
  UpdateEndpointCommand,
  waitUntilEndpointDeleted,
  waitUntilEndpointInService,
  waitUntilTrainingJobCompletedOrStopped,
} from '@aws-sdk/client-sagemaker';
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { needs, pythonEnvironment, runCommand } from '@headrace/testing';
import { createSageMakerRuntime, type SageMakerRuntime } from '../src/sagemaker-api/index.ts';
import { serveApi } from './sagemaker-server.ts';

const IMAGE = '382416733822.dkr.ecr.us-east-1.amazonaws.com/randomcutforest:1';
const ROLE = 'arn:aws:iam::123456789012:role/sagemaker';

let folder: string;
let runtime: SageMakerRuntime;
let server: Awaited<ReturnType<typeof serveApi>>;
let control: SageMakerClient;
let client: SageMakerRuntimeClient;

const connect = async (): Promise<void> => {
  runtime = createSageMakerRuntime({ dataDirectory: join(folder, 'data') });
  server = await serveApi(runtime);
  const options = {
    endpoint: server.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    maxAttempts: 1,
  };
  control = new SageMakerClient(options);
  client = new SageMakerRuntimeClient(options);
};

const disconnect = async (): Promise<void> => {
  control.destroy();
  client.destroy();
  await server.close();
  await runtime.close();
};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headrace-test-'));
  await mkdir(join(folder, 'train'));
  const rows = Array.from({ length: 1200 }, (_, t) => [Math.sin(t / 9), Math.cos(t / 7), (t * 37) % 5]);
  await writeFile(
    join(folder, 'train', 'part-0.csv'),
    rows
      .slice(0, 700)
      .map((row) => `${row.join(',')}\n`)
      .join(''),
  );
  await writeFile(
    join(folder, 'train', 'part-1.csv'),
    rows
      .slice(700)
      .map((row) => row.join(','))
      .join('\r\n'),
  );
  const labelled = rows.map((row, t) => (t % 100 === 50 ? [1, 30, -30, 2] : [0, ...row]));
  await writeFile(join(folder, 'test.csv'), labelled.map((row) => row.join(',')).join('\n'));
  await connect();
});

after(async () => {
  await disconnect();
  await rm(folder, { recursive: true });
});

const trainingJob = (name: string, change: Partial<CreateTrainingJobCommandInput> = {}): CreateTrainingJobCommand =>
  new CreateTrainingJobCommand({
    TrainingJobName: name,
    RoleArn: ROLE,
    AlgorithmSpecification: { TrainingImage: IMAGE, TrainingInputMode: 'File' },
    HyperParameters: { feature_dim: '3', num_trees: '50', num_samples_per_tree: '128' },
    InputDataConfig: [
      {
        ChannelName: 'train',
        ContentType: 'text/csv;label_size=0',
        DataSource: {
          S3DataSource: {
            S3DataType: 'S3Prefix',
            S3Uri: pathToFileURL(join(folder, 'train')).href,
            S3DataDistributionType: 'ShardedByS3Key',
          },
        },
      },
      {
        ChannelName: 'test',
        ContentType: 'text/csv;label_size=1',
        DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: pathToFileURL(join(folder, 'test.csv')).href } },
      },
    ],
    OutputDataConfig: { S3OutputPath: pathToFileURL(join(folder, 'output')).href },
    ResourceConfig: { InstanceType: 'ml.m5.large', InstanceCount: 1, VolumeSizeInGB: 10 },
    StoppingCondition: { MaxRuntimeInSeconds: 600 },
    ...change,
  });

const waiting = { maxWaitTime: 60, minDelay: 1, maxDelay: 1 };

async function score(endpoint: string, rows: number[][]): Promise<number[]> {
  const answer = await client.send(
    new InvokeEndpointCommand({
      EndpointName: endpoint,
      ContentType: 'text/csv',
      Body: rows.map((row) => row.join(',')).join('\n'),
    }),
  );
  const document = JSON.parse(Buffer.from(answer.Body!).toString()) as { scores: { score: number }[] };
  return document.scores.map((datum) => datum.score);
}

test('a script trains a forest, serves it, updates and deletes the endpoint, with the AWS SDK unchanged', async () => {
  const created = await control.send(trainingJob('job-1'));
  assert.equal(created.TrainingJobArn, 'arn:aws:sagemaker:us-east-1:123456789012:training-job/job-1');
  await waitUntilTrainingJobCompletedOrStopped({ client: control, ...waiting }, { TrainingJobName: 'job-1' });
  const job = await control.send(new DescribeTrainingJobCommand({ TrainingJobName: 'job-1' }));
  assert.equal(job.TrainingJobStatus, 'Completed');
  assert.deepEqual(job.HyperParameters, { feature_dim: '3', num_trees: '50', num_samples_per_tree: '128' });
  assert.ok(job.CreationTime instanceof Date);
  const f1 = job.FinalMetricDataList?.find((metric) => metric.MetricName === 'test:f1')?.Value ?? 0;
  assert.ok(f1 > 0.9, `f1 ${f1}`);

  const artifact = job.ModelArtifacts!.S3ModelArtifacts!;
  for (const name of ['model-1', 'model-2']) {
    await control.send(
      new CreateModelCommand({
        ModelName: name,
        ExecutionRoleArn: ROLE,
        PrimaryContainer: { Image: IMAGE, ModelDataUrl: artifact },
      }),
    );
    await control.send(
      new CreateEndpointConfigCommand({
        EndpointConfigName: `config-${name}`,
        ProductionVariants: [
          {
            VariantName: name === 'model-1' ? 'AllTraffic' : 'second',
            ModelName: name,
            InitialInstanceCount: 1,
            InstanceType: 'ml.t2.medium',
          },
        ],
      }),
    );
  }
  await control.send(new CreateEndpointCommand({ EndpointName: 'trained', EndpointConfigName: 'config-model-1' }));
  await waitUntilEndpointInService({ client: control, ...waiting }, { EndpointName: 'trained' });
  const probe = [
    [0.1, 0.2, 1],
    [50, 50, 50],
  ];
  const scores = await score('trained', probe);
  assert.ok(scores[0]! < 1.5 && scores[1]! > 3, `${scores}`);
  assert.deepEqual(await score('trained', probe), scores, 'frozen: the same rows score the same');

  await control.send(new UpdateEndpointCommand({ EndpointName: 'trained', EndpointConfigName: 'config-model-2' }));
  await waitUntilEndpointInService({ client: control, ...waiting }, { EndpointName: 'trained' });
  const described = await control.send(new DescribeEndpointCommand({ EndpointName: 'trained' }));
  assert.equal(described.EndpointConfigName, 'config-model-2');
  assert.equal(described.ProductionVariants?.[0]?.VariantName, 'second');

  assert.equal(
    (await control.send(new DescribeModelCommand({ ModelName: 'model-1' }))).PrimaryContainer?.ModelDataUrl,
    artifact,
  );
  assert.equal(
    (await control.send(new DescribeEndpointConfigCommand({ EndpointConfigName: 'config-model-1' }))).ProductionVariants
      ?.length,
    1,
  );
  assert.deepEqual(
    (await control.send(new ListEndpointsCommand({}))).Endpoints?.map((each) => each.EndpointName),
    ['trained'],
  );
  assert.equal((await control.send(new ListModelsCommand({ NameContains: 'model-' }))).Models?.length, 2);
  const first = await control.send(
    new ListEndpointConfigsCommand({ MaxResults: 1, SortBy: 'Name', SortOrder: 'Ascending' }),
  );
  assert.equal(first.EndpointConfigs?.[0]?.EndpointConfigName, 'config-model-1');
  const second = await control.send(
    new ListEndpointConfigsCommand({
      MaxResults: 1,
      SortBy: 'Name',
      SortOrder: 'Ascending',
      NextToken: first.NextToken,
    }),
  );
  assert.equal(second.EndpointConfigs?.[0]?.EndpointConfigName, 'config-model-2');
  assert.equal(second.NextToken, undefined);
  assert.equal(
    (await control.send(new ListTrainingJobsCommand({ StatusEquals: 'Completed' }))).TrainingJobSummaries?.length,
    1,
  );

  // Restarted: the endpoint answers as before.
  await disconnect();
  await connect();
  await waitUntilEndpointInService({ client: control, ...waiting }, { EndpointName: 'trained' });
  assert.deepEqual(await score('trained', probe), scores);

  await control.send(new DeleteEndpointCommand({ EndpointName: 'trained' }));
  await waitUntilEndpointDeleted({ client: control, ...waiting }, { EndpointName: 'trained' });
  await assert.rejects(score('trained', probe), { name: 'ValidationError', message: /not found/ });
  await control.send(new DeleteEndpointConfigCommand({ EndpointConfigName: 'config-model-1' }));
  await control.send(new DeleteModelCommand({ ModelName: 'model-1' }));
  await assert.rejects(control.send(new DescribeModelCommand({ ModelName: 'model-1' })), {
    name: 'ValidationException',
  });
});

test('a streaming model goes behind an endpoint by the same operations, and forgets with it', async () => {
  const make = async (environment: Record<string, string>): Promise<void> => {
    await control.send(
      new CreateModelCommand({
        ModelName: 'streaming',
        ExecutionRoleArn: ROLE,
        PrimaryContainer: { Image: IMAGE, Environment: environment },
      }),
    );
  };
  await assert.rejects(make({ HEADRACE_MODE: 'streaming', num_trees: '0' }), {
    name: 'ValidationException',
    message: /num_trees is "0"; it must be a whole number from 1 to 1000/,
  });
  await assert.rejects(make({}), { name: 'ValidationException', message: /ModelDataUrl is required/ });
  await make({ HEADRACE_MODE: 'streaming', num_trees: '10', num_samples_per_tree: '64', feature_dim: '2' });
  await control.send(
    new CreateEndpointConfigCommand({
      EndpointConfigName: 'streaming',
      ProductionVariants: [{ VariantName: 'AllTraffic', ModelName: 'streaming' }],
    }),
  );
  for (let round = 0; round < 2; round++) {
    await control.send(new CreateEndpointCommand({ EndpointName: 'stream', EndpointConfigName: 'streaming' }));
    await waitUntilEndpointInService({ client: control, ...waiting }, { EndpointName: 'stream' });
    const scores = await score(
      'stream',
      Array.from({ length: 40 }, (_, t) => [t % 7, t % 3]),
    );
    assert.deepEqual(scores.slice(0, 16), new Array(16).fill(0));
    assert.ok(scores[20]! > 0);
    await assert.rejects(score('stream', [[1, 2, 3]]), { name: 'ModelError', message: /feature_dim is 2/ });
    await control.send(new DeleteEndpointCommand({ EndpointName: 'stream' }));
  }
});

test('what cannot be made is refused, or fails with the reason', async () => {
  await assert.rejects(control.send(trainingJob('job-1')), { name: 'ResourceInUse' });
  for (const [change, message] of [
    [{ HyperParameters: {} }, /feature_dim is null; it must be a whole number from 1 to 10000/],
    [
      { HyperParameters: { feature_dim: '3', num_trees: '49' } },
      /num_trees is "49"; it must be a whole number from 50 to 1000/,
    ],
    [{ HyperParameters: { feature_dim: '3', depth: '4' } }, /depth is not known/],
    [{ InputDataConfig: [] }, /channel named train/],
    [{ OutputDataConfig: { S3OutputPath: '/tmp' } }, /S3OutputPath/],
    [{ AlgorithmSpecification: { TrainingImage: 'xgboost:1', TrainingInputMode: 'File' } }, /randomcutforest/],
  ] as const) {
    const job = trainingJob('job-bad', change as unknown as Partial<CreateTrainingJobCommandInput>);
    await assert.rejects(control.send(job), { name: 'ValidationException', message });
  }
  await control.send(trainingJob('job-failing', { HyperParameters: { feature_dim: '4', num_trees: '50' } }));
  const failed = waitUntilTrainingJobCompletedOrStopped(
    { client: control, ...waiting },
    { TrainingJobName: 'job-failing' },
  );
  await assert.rejects(failed);
  const { TrainingJobStatus, FailureReason } = await control.send(
    new DescribeTrainingJobCommand({ TrainingJobName: 'job-failing' }),
  );
  assert.equal(TrainingJobStatus, 'Failed');
  assert.match(FailureReason!, /part-0\.csv: rows have 3 values, feature_dim is 4/);
  await assert.rejects(control.send(new CreateEndpointCommand({ EndpointName: 'x', EndpointConfigName: 'nothing' })), {
    name: 'ValidationException',
  });
  await assert.rejects(control.send(new DescribeEndpointCommand({ EndpointName: 'constructor' })), {
    name: 'ValidationException',
    message: /Could not find endpoint/,
  });

  await writeFile(join(folder, 'broken.tar.gz'), 'not a model');
  await control.send(
    new CreateModelCommand({
      ModelName: 'broken',
      ExecutionRoleArn: ROLE,
      PrimaryContainer: { Image: IMAGE, ModelDataUrl: pathToFileURL(join(folder, 'broken.tar.gz')).href },
    }),
  );
  await control.send(
    new CreateEndpointConfigCommand({
      EndpointConfigName: 'broken',
      ProductionVariants: [{ VariantName: 'AllTraffic', ModelName: 'broken' }],
    }),
  );
  await control.send(new CreateEndpointCommand({ EndpointName: 'broken', EndpointConfigName: 'broken' }));
  await assert.rejects(waitUntilEndpointInService({ client: control, ...waiting }, { EndpointName: 'broken' }));
  const broken = await control.send(new DescribeEndpointCommand({ EndpointName: 'broken' }));
  assert.equal(broken.EndpointStatus, 'Failed');
  assert.match(broken.FailureReason!, /not a gzipped tar archive/);
});

// What tutorials write: a bare list of lists in, the first score taken for a number, kept as a decimal.
const NAIVE_HANDLER = `
import json
from decimal import Decimal
import boto3

runtime = boto3.client('sagemaker-runtime')

def score(features):
    response = runtime.invoke_endpoint(EndpointName='rcf-anomaly-endpoint', ContentType='application/json', Body=json.dumps([features]))
    result = json.loads(response['Body'].read().decode())
    value = result['scores'][0]
    return value > 3.0, Decimal(str(value))

for t in range(300):
    flagged, _ = score([0.2 + (t % 7) / 100, 200, 512 + t % 5])
    assert not flagged
flagged, stored = score([25.0, 500, 9000])
assert flagged, stored
print(stored)
control = boto3.client('sagemaker')
print([each['EndpointName'] for each in control.list_endpoints(NameContains='broken')['Endpoints']])
try:
    runtime.invoke_endpoint(EndpointName='rcf-anomaly-endpoint', ContentType='application/json', Body=b'{}')
except runtime.exceptions.ModelError as error:
    print(error.response['OriginalStatusCode'])
`;

test('the handler of the tutorials runs unchanged with boto3', { skip: needs('python') }, async () => {
  const { python } = await pythonEnvironment(['boto3==1.40.0']);
  runtime.ensureStreamingEndpoint('rcf-anomaly-endpoint');
  const { stdout } = await runCommand(python, ['-c', NAIVE_HANDLER], {
    env: {
      ...process.env,
      AWS_ENDPOINT_URL: server.endpoint,
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'a',
      AWS_SECRET_ACCESS_KEY: 'b',
    },
  });
  const [stored, endpoints, status] = stdout.trim().split('\n');
  assert.match(stored!, /^\d\.\d{1,10}$/);
  assert.equal(endpoints, "['broken']");
  assert.equal(status, '400');
});
