import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RandomCutForest } from '@headrace/random-cut-forest';
import { needs, pythonEnvironment, runCommand, startMoto } from '@headrace/testing';
import { createSageMakerRuntime } from '../src/sagemaker-api/index.ts';
import { serveApi } from './sagemaker-server.ts';

// Training data in a bucket, artifact to a bucket, model from it: a script as it would be written for AWS.
const SCRIPT = `
import boto3, json, os, time

s3 = boto3.client('s3', endpoint_url=os.environ['S3'])
sagemaker = boto3.client('sagemaker')
runtime = boto3.client('sagemaker-runtime')
s3.create_bucket(Bucket='measurements')
rows = json.loads(os.environ['ROWS'])
csv = lambda part: '\\n'.join(','.join(map(str, row)) for row in part).encode()
s3.put_object(Bucket='measurements', Key='train/', Body=b'')
s3.put_object(Bucket='measurements', Key='train/a/part-0.csv', Body=csv(rows[:500]))
s3.put_object(Bucket='measurements', Key='train/b/part-1.csv', Body=csv(rows[500:]))
s3.put_object(Bucket='measurements', Key='other/ignored.csv', Body=b'not,numbers,at all')

def train(name, prefix):
    sagemaker.create_training_job(
        TrainingJobName=name, RoleArn='arn:aws:iam::123456789012:role/sagemaker',
        AlgorithmSpecification={'TrainingImage': '382416733822.dkr.ecr.us-east-1.amazonaws.com/randomcutforest:1', 'TrainingInputMode': 'File'},
        HyperParameters={'feature_dim': '3', 'num_trees': '50', 'num_samples_per_tree': '128'},
        InputDataConfig=[{'ChannelName': 'train', 'ContentType': 'text/csv;label_size=0', 'DataSource': {'S3DataSource': {
            'S3DataType': 'S3Prefix', 'S3Uri': prefix, 'S3DataDistributionType': 'ShardedByS3Key'}}}],
        OutputDataConfig={'S3OutputPath': 's3://measurements/models'},
        ResourceConfig={'InstanceType': 'ml.m5.large', 'InstanceCount': 1, 'VolumeSizeInGB': 10},
        StoppingCondition={'MaxRuntimeInSeconds': 600})
    while True:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        if job['TrainingJobStatus'] in ('Completed', 'Failed'):
            return job
        time.sleep(0.05)

job = train('from-a-bucket', 's3://measurements/train')
artifact = job['ModelArtifacts']['S3ModelArtifacts']
sagemaker.create_model(ModelName='m', ExecutionRoleArn='arn:aws:iam::123456789012:role/sagemaker',
    PrimaryContainer={'Image': '382416733822.dkr.ecr.us-east-1.amazonaws.com/randomcutforest:1', 'ModelDataUrl': artifact})
sagemaker.create_endpoint_config(EndpointConfigName='c', ProductionVariants=[{
    'VariantName': 'AllTraffic', 'ModelName': 'm', 'InitialInstanceCount': 1, 'InstanceType': 'ml.m5.large'}])
sagemaker.create_endpoint(EndpointName='e', EndpointConfigName='c')
sagemaker.get_waiter('endpoint_in_service').wait(EndpointName='e', WaiterConfig={'Delay': 1, 'MaxAttempts': 60})
answer = runtime.invoke_endpoint(EndpointName='e', ContentType='text/csv', Body=csv(rows[::100]))
print(json.dumps({
    'status': job['TrainingJobStatus'], 'artifact': artifact,
    'objects': [o['Key'] for o in s3.list_objects_v2(Bucket='measurements', Prefix='models/')['Contents']],
    'scores': [datum['score'] for datum in json.loads(answer['Body'].read())['scores']],
    'empty': train('of-nothing', 's3://measurements/nowhere').get('FailureReason'),
    'missing': train('no-bucket', 's3://no-such-bucket/train').get('FailureReason'),
    'unreadable': train('bad-rows', 's3://measurements/other/').get('FailureReason'),
}))
`;

test('boto3 trains on rows of a bucket and serves the artifact that came of it', {
  skip: needs('python'),
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-test-'));
  const { python } = await pythonEnvironment(['boto3==1.40.0']);
  await using moto = await startMoto();
  const own = { AWS_ENDPOINT_URL_S3: moto.endpoint, AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };
  Object.assign(process.env, own, { AWS_REGION: 'us-east-1' });
  const runtime = createSageMakerRuntime({ dataDirectory: join(folder, 'data') });
  const server = await serveApi(runtime);
  const rows = Array.from({ length: 1200 }, (_, t) => [Math.sin(t / 9), Math.cos(t / 7), (t * 37) % 5]);
  try {
    const { stdout } = await runCommand(python, ['-c', SCRIPT], {
      env: {
        ...process.env,
        ...own,
        AWS_DEFAULT_REGION: 'us-east-1',
        AWS_ENDPOINT_URL_SAGEMAKER: server.endpoint,
        AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: server.endpoint,
        S3: moto.endpoint,
        ROWS: JSON.stringify(rows),
      },
    });
    const result = JSON.parse(stdout) as Record<string, string> & { objects: string[]; scores: number[] };
    assert.equal(result['status'], 'Completed');
    assert.deepEqual(
      result.objects.map((key) => `s3://measurements/${key}`),
      [result['artifact']],
    );
    // The same rows in the order of their objects, learnt here: the same scores to the ten decimals of the answer.
    using forest = new RandomCutForest({
      dimensions: 3,
      numberOfTrees: 50,
      sampleSize: 128,
      timeDecay: 0,
      outputAfter: 1,
      randomSeed: createHash('sha256').update('from-a-bucket').digest().readUInt32LE(0),
    });
    for (const row of rows) forest.update(row);
    assert.deepEqual(
      result.scores,
      rows.filter((_, t) => t % 100 === 0).map((row) => Math.round(forest.score(row) * 1e10) / 1e10),
    );
    assert.match(result['empty']!, /holds no rows/);
    assert.match(result['missing']!, /bucket/i);
    assert.match(result['unreadable']!, /other\/ignored\.csv/);
  } finally {
    await server.close();
    await runtime.close();
    await rm(folder, { recursive: true });
  }
});
