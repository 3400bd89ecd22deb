import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { InvokeWithResponseStreamCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  eventually,
  goProgram,
  needs,
  type PythonEnvironment,
  pythonEnvironment,
  repositoryRoot,
  runCommand,
  temporaryFolder,
} from '@headrace/testing';
import { Kafka, logLevel } from 'kafkajs';
import { command as start } from '../src/cli/commands/start.ts';
import { startApi, zipOf } from './api-world.ts';

const skip = needs('python');
const handler = (collector: string): string => `export const handler = async (event) => {
  const records = Object.values(event.records ?? {}).flat();
  const keys = records.map(({ partition, offset }) => partition + ':' + offset);
  await fetch('${collector}', { method: 'POST', body: JSON.stringify(keys) });
  return event;
};
`;

let python: PythonEnvironment;
let folder: string;
let engine: ChildProcess;
let endpoint: string;
let kafka: Kafka;
let collector: Server;
const batches: string[][] = [];
let together = 0;
/** What asks for `/hold` waits until it is released, each time. */
let held = Promise.withResolvers<void>();
const release = (): void => held.resolve();
let mostTogether = 0;

before(async () => {
  if (skip) return;
  python = await pythonEnvironment(['awscli==1.46.3', 'boto3==1.44.5']);
  folder = temporaryFolder('clients');
  collector = createServer(async (request, response) => {
    if (request.url === '/hold') {
      await held.promise;
      held = Promise.withResolvers();
      response.end();
      return;
    }
    together += 1;
    mostTogether = Math.max(mostTogether, together);
    let text = '';
    for await (const chunk of request) text += String(chunk);
    batches.push(JSON.parse(text));
    together -= 1;
    response.end();
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const { port } = collector.address() as AddressInfo;
  writeFileSync(join(folder, 'function.zip'), await zipOf({ 'index.mjs': handler(`http://127.0.0.1:${port}`) }));
  writeFileSync(join(folder, 'keys'), '[me]\naws_access_key_id = AKIAME\naws_secret_access_key = s3cr3t/with+signs=\n');
  const launcher = join(repositoryRoot, 'packages', 'headrace', 'bin', 'headrace.js');
  const flags = ['--port', '0', '--data-dir', join(folder, 'data'), '--credentials', join(folder, 'keys'), '--json'];
  flags.push('--code-folder', folder);
  engine = spawn(process.execPath, [launcher, 'start', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  let complaints = '';
  engine.stdout!.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  engine.stderr!.on('data', (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  await eventually(() => printed.includes('\n'), { timeoutMs: 60_000, what: () => `engine not ready: ${complaints}` });
  const ready = JSON.parse(printed);
  endpoint = ready.endpoint;
  kafka = new Kafka({ brokers: [ready.bootstrapServers], logLevel: logLevel.NOTHING });
});

after(async () => {
  if (skip) return;
  collector?.close();
  if (engine !== undefined && engine.exitCode === null) {
    engine.kill('SIGTERM');
    await once(engine, 'exit');
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** What a user has: an endpoint, a region and keys. The engine checks every signature. */
const environment = (): NodeJS.ProcessEnv => ({
  PATH: `${python.bin}:${process.env['PATH']}`,
  HOME: folder,
  AWS_ENDPOINT_URL: endpoint,
  AWS_REGION: 'us-east-1',
  AWS_DEFAULT_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'AKIAME',
  AWS_SECRET_ACCESS_KEY: 's3cr3t/with+signs=',
});

/** Runs a line of the AWS CLI as it would be pasted, and reads what it prints. */
async function aws(line: string): Promise<Record<string, unknown>> {
  const words = line.match(/'[^']*'|\S+/g)!.map((word) => word.replace(/^'(.*)'$/, '$1'));
  assert.equal(words.shift(), 'aws');
  const run = [join(python.bin, 'aws'), ...words];
  const { stdout } = await runCommand(python.python, run, { cwd: folder, env: environment() });
  return stdout.trim() === '' ? {} : JSON.parse(stdout);
}

/** The shell blocks of a guide, as they stand. */
function guide(page: string): string {
  const text = readFileSync(join(repositoryRoot, 'docs', page), 'utf8');
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join('\n');
}

test('the guide, pasted into a shell, deploys, maps and limits a function, which gets every record', {
  skip,
}, async () => {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'my-log-topic', numPartitions: 4 }] });
  await admin.disconnect();
  const script = guide('lambda-api.md');
  assert.match(script, /create-event-source-mapping/);
  await runCommand('sh', ['-eu', '-c', script], { cwd: folder, env: environment(), timeout: 120_000 });
  const { EventSourceMappings } = await aws('aws lambda list-event-source-mappings --function-name my-kafka-lambda');
  const [mapping] = EventSourceMappings as [Record<string, unknown>];
  assert.equal(mapping['BatchSize'], 500);
  const { Configuration, Concurrency } = await aws('aws lambda get-function --function-name my-kafka-lambda');
  const { Timeout, MemorySize } = Configuration as Record<string, unknown>;
  assert.deepEqual([Timeout, MemorySize, Concurrency], [30, 1024, { ReservedConcurrentExecutions: 50 }]);

  const producer = kafka.producer();
  await producer.connect();
  const messages = Array.from({ length: 1_000 }, (_, index) => ({ key: `k${index}`, value: `log line ${index}` }));
  await producer.send({ topic: 'my-log-topic', messages });
  await producer.disconnect();
  const received = (): Set<string> => new Set(batches.flat());
  await eventually(() => received().size === 1_000, {
    timeoutMs: 60_000,
    what: () => `${received().size} of 1,000 records received`,
  });
  assert.ok(batches.every((batch) => batch.length <= 500));
  assert.ok(mostTogether <= 50, `${mostTogether} invocations at a time`);

  const invoked = await aws(
    `aws lambda invoke --function-name my-kafka-lambda --payload '{"records":{}}' --log-type Tail out.json`,
  );
  assert.deepEqual([invoked['StatusCode'], invoked['ExecutedVersion']], [200, '$LATEST']);
  assert.match(Buffer.from(String(invoked['LogResult']), 'base64').toString(), /REPORT RequestId/);
  const identity = await aws('aws sts get-caller-identity');
  assert.equal(identity['Account'], '123456789012');
  const deleted = await aws(`aws lambda delete-event-source-mapping --uuid ${mapping['UUID']}`);
  assert.equal(deleted['State'], 'Deleting');
});

const script = `
import io, json, time, zipfile
import boto3
from botocore.config import Config

client = boto3.client('lambda', config=Config(retries={'total_max_attempts': 1}))
zip = io.BytesIO()
with zipfile.ZipFile(zip, 'w') as file:
    file.writestr('app.py', 'def handler(event, context):\\n    return {"got": event}\\n')
role = 'arn:aws:iam::123456789012:role/lambda'
for name in ['py-%02d' % i for i in range(3)]:
    client.create_function(FunctionName=name, Role=role, Runtime='python3.12', Handler='app.handler',
                           Code={'ZipFile': zip.getvalue()})
    client.get_waiter('function_active_v2').wait(FunctionName=name)
    client.get_waiter('function_exists').wait(FunctionName=name)
client.update_function_configuration(FunctionName='py-00', Timeout=10)
client.get_waiter('function_updated_v2').wait(FunctionName='py-00')
answer = client.invoke(FunctionName='py-00', Payload=json.dumps({'a': 1}))
assert json.load(answer['Payload']) == {'got': {'a': 1}}, answer
names = [f['FunctionName'] for page in client.get_paginator('list_functions').paginate(PaginationConfig={'PageSize': 2})
         for f in page['Functions']]
assert [n for n in names if n.startswith('py-')] == ['py-00', 'py-01', 'py-02'], names
version = client.publish_version(FunctionName='py-00')['Version']
client.get_waiter('published_version_active').wait(FunctionName='py-00', Qualifier=version)
client.create_alias(FunctionName='py-00', Name='live', FunctionVersion=version)
answer = client.invoke(FunctionName='py-00', Qualifier='live', Payload='{}')
assert answer['ExecutedVersion'] == version, answer
for i in range(3):
    client.create_event_source_mapping(FunctionName='py-00', Topics=['boto-%d' % i],
        SelfManagedEventSource={'Endpoints': {'KAFKA_BOOTSTRAP_SERVERS': ['127.0.0.1:1']}})
mappings = [m for page in client.get_paginator('list_event_source_mappings').paginate(
    FunctionName='py-00', PaginationConfig={'PageSize': 2}) for m in page['EventSourceMappings']]
assert len(mappings) == 3 and mappings[0]['LastModified'].year >= 2024, mappings
try:
    client.get_function(FunctionName='nowhere')
    raise AssertionError('found')
except client.exceptions.ResourceNotFoundException as error:
    assert error.response['Error']['Message'].startswith('Function not found: arn:aws:lambda:'), error.response
    assert error.response['ResponseMetadata']['RequestId'], error.response
iam = boto3.client('iam')
trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'sts:AssumeRole', 'Principal': {'Service': 'lambda.amazonaws.com'}}]})
made = iam.create_role(RoleName='lambda-role', AssumeRolePolicyDocument=trust, Tags=[{'Key': 'team', 'Value': 'a & <b>'}])['Role']
iam.get_waiter('role_exists').wait(RoleName='lambda-role')
found = iam.get_role(RoleName='lambda-role')['Role']
assert found['Arn'] == made['Arn'] == 'arn:aws:iam::123456789012:role/lambda-role', found
assert found['AssumeRolePolicyDocument']['Version'] == '2012-10-17' and found['Tags'][0]['Value'] == 'a & <b>', found
iam.put_role_policy(RoleName='lambda-role', PolicyName='inline', PolicyDocument=trust)
iam.attach_role_policy(RoleName='lambda-role', PolicyArn='arn:aws:iam::aws:policy/service-role/AWSLambdaMSKExecutionRole')
assert iam.list_role_policies(RoleName='lambda-role')['PolicyNames'] == ['inline']
assert iam.list_attached_role_policies(RoleName='lambda-role')['AttachedPolicies'][0]['PolicyName'] == 'AWSLambdaMSKExecutionRole'
try:
    iam.get_role(RoleName='nobody')
    raise AssertionError('found')
except iam.exceptions.NoSuchEntityException:
    pass
session = boto3.client('sts').assume_role(RoleArn=made['Arn'], RoleSessionName='test')['Credentials']
assumed = boto3.client('lambda', aws_access_key_id=session['AccessKeyId'], aws_secret_access_key=session['SecretAccessKey'],
    aws_session_token=session['SessionToken'])
assert assumed.get_account_settings()['AccountUsage']['FunctionCount'] > 0
table = boto3.resource('dynamodb').create_table(TableName='from-boto', BillingMode='PAY_PER_REQUEST',
    AttributeDefinitions=[{'AttributeName': 'id', 'AttributeType': 'S'}],
    KeySchema=[{'AttributeName': 'id', 'KeyType': 'HASH'}])
table.wait_until_exists()
table.put_item(Item={'id': 'a', 'n': 1})
assert table.get_item(Key={'id': 'a'})['Item'] == {'id': 'a', 'n': 1}
print('all good')
`;

test('the lines that use a folder in place, pasted into a shell, make a function of it', { skip }, async () => {
  mkdirSync(join(folder, 'orders'));
  writeFileSync(join(folder, 'orders', 'index.mjs'), 'export const handler = async () => "in place";');
  const script = guide('functions.md');
  assert.match(script, /hot-reload/);
  await runCommand('sh', ['-eu', '-c', script], { cwd: folder, env: environment(), timeout: 120_000 });
  await aws('aws lambda wait function-updated-v2 --function-name orders');
  await aws('aws lambda invoke --function-name orders orders.json');
  assert.equal(readFileSync(join(folder, 'orders.json'), 'utf8'), '"in place"');
});

test('boto3 works with its waiters, paginators, resources and exceptions', { skip }, async () => {
  writeFileSync(join(folder, 'script.py'), script);
  const { stdout } = await runCommand(python.python, ['script.py'], { cwd: folder, env: environment() });
  assert.equal(stdout.trim(), 'all good');
});

const caller = `import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { LambdaClient, GetFunctionConfigurationCommand } from '@aws-sdk/client-lambda';
import { STSClient, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
export const handler = async (event, context) => {
  const { Arn } = await new STSClient({}).send(new GetCallerIdentityCommand({}));
  const { TableNames } = await new DynamoDBClient({}).send(new ListTablesCommand({}));
  const own = await new LambdaClient({}).send(
    new GetFunctionConfigurationCommand({ FunctionName: context.functionName }),
  );
  return { Arn, tables: Array.isArray(TableNames), memory: own.MemorySize };
};
`;

test('a function reaches the APIs of its engine with the keys that it was given', { skip }, async () => {
  writeFileSync(join(folder, 'caller.zip'), await zipOf({ 'index.mjs': caller }));
  await aws(
    'aws lambda create-function --function-name caller --runtime nodejs22.x --handler index.handler --timeout 30 --memory-size 256 --role arn:aws:iam::123456789012:role/lambda --zip-file fileb://caller.zip',
  );
  await aws('aws lambda wait function-active-v2 --function-name caller');
  const answer = await aws('aws lambda invoke --function-name caller caller.json');
  const result = JSON.parse(readFileSync(join(folder, 'caller.json'), 'utf8'));
  assert.deepEqual(
    [answer['FunctionError'], result],
    [undefined, { Arn: 'arn:aws:sts::123456789012:assumed-role/caller/caller', tables: true, memory: 256 }],
  );
});

const streamer = (collector: string): string => `
export const handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('first');
  // Goes on when somebody has read that.
  await fetch('${collector}', { method: 'POST', body: '["streamed"]' });
  if (event.fail) throw new RangeError('half way');
  stream.write('second');
  stream.end();
});
`;

test('a streamed answer arrives while the function still works, in the JavaScript SDK and boto3', {
  skip,
}, async () => {
  const { port } = collector.address() as AddressInfo;
  writeFileSync(join(folder, 'streamer.zip'), await zipOf({ 'index.mjs': streamer(`http://127.0.0.1:${port}/hold`) }));
  await aws(
    'aws lambda create-function --function-name streamer --runtime nodejs22.x --handler index.handler --timeout 30 --role arn:aws:iam::123456789012:role/lambda --zip-file fileb://streamer.zip',
  );
  const credentials = { accessKeyId: 'AKIAME', secretAccessKey: 's3cr3t/with+signs=' };
  const client = new LambdaClient({ endpoint, region: 'us-east-1', credentials });
  const read = async (event: object): Promise<unknown[]> => {
    const { EventStream } = await client.send(
      new InvokeWithResponseStreamCommand({ FunctionName: 'streamer', Payload: Buffer.from(JSON.stringify(event)) }),
    );
    const parts: unknown[] = [];
    for await (const { PayloadChunk, InvokeComplete } of EventStream!) {
      if (PayloadChunk !== undefined) parts.push(Buffer.from(PayloadChunk.Payload!).toString());
      // The function waits for this.
      if (parts.length === 1) release();
      if (InvokeComplete !== undefined) parts.push(InvokeComplete.ErrorCode ?? 'complete');
    }
    return parts;
  };
  assert.deepEqual(await read({}), ['first', 'second', 'complete']);
  assert.deepEqual((await read({ fail: true })).slice(0, 1), ['first']);
  assert.equal((await read({ fail: true })).at(-1), 'Unhandled');
  client.destroy();
  release();
  const reader = `
import boto3
answer = boto3.client('lambda').invoke_with_response_stream(FunctionName='streamer', Payload='{}')
parts = [event for event in answer['EventStream']]
assert b''.join(part['PayloadChunk']['Payload'] for part in parts if 'PayloadChunk' in part) == b'firstsecond', parts
assert 'ErrorCode' not in parts[-1]['InvokeComplete'], parts
assert answer['StatusCode'] == 200 and answer['ExecutedVersion'] == '$LATEST', answer
`;
  await runCommand(python.python, ['-c', reader], { cwd: folder, env: environment(), timeout: 60_000 });
});

test("the calls of Terraform's provider create, refresh, change and destroy a function on Kafka", {
  skip,
}, async () => {
  writeFileSync(join(folder, 'terraform.zip'), await zipOf({ 'index.mjs': 'export const handler = async () => 1;' }));
  const words = [join(import.meta.dirname, 'clients', 'terraform_calls.py'), 'terraform.zip', '127.0.0.1:1'];
  const { stdout } = await runCommand(python.python, words, { cwd: folder, env: environment(), timeout: 60_000 });
  assert.equal(stdout.trim(), 'created, refreshed, changed and destroyed');
});

test('a Go program with the AWS SDK deploys, waits, pages, invokes and streams, and reads its errors by type', {
  skip: skip || needs('go'),
}, async () => {
  const program = await goProgram(join(import.meta.dirname, 'clients', 'go'));
  writeFileSync(
    join(folder, 'echo.zip'),
    await zipOf({ 'index.mjs': 'export const handler = async (event) => event;' }),
  );
  const { stdout } = await runCommand(program, [join(folder, 'echo.zip')], { env: environment(), timeout: 60_000 });
  assert.equal(stdout, 'everything as expected\n');
});

test('every API behind the door refuses what is not signed', { skip }, async () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const targeted = (target: string): RequestInit => ({
    method: 'POST',
    headers: { 'x-amz-target': target },
    body: '{}',
  });
  const requests: [string, RequestInit?][] = [
    ['/2015-03-31/functions'],
    ['/2015-03-31/functions/caller/invocations', { method: 'POST', body: '{}' }],
    ['/endpoints/fraud/invocations', { method: 'POST', body: '1,2' }],
    ['/', targeted('SageMaker.ListEndpoints')],
    ['/', targeted('DynamoDB_20120810.ListTables')],
    ['/', targeted('Logs_20140328.DescribeLogGroups')],
    ['/', { method: 'POST', headers: form, body: 'Action=GetCallerIdentity&Version=2011-06-15' }],
    ['/', { method: 'POST', headers: form, body: 'Action=ListRoles&Version=2010-05-08' }],
    ['/headrace/v1/mappings'],
    ['/headrace/v1/audit'],
    ['/headrace/v1/mappings/x/skip', { method: 'POST', body: '{}' }],
    ['/metrics'],
  ];
  for (const [path, init] of requests) {
    const { status, headers } = await fetch(`${endpoint}${path}`, init);
    assert.deepEqual(
      [path, status, headers.get('x-amzn-errortype')],
      [path, 403, 'MissingAuthenticationTokenException'],
    );
    assert.match(headers.get('x-amzn-requestid') ?? '', /^[0-9a-f-]{36}$/);
  }
});

test('the lines of the README and of the help run as pasted on a machine without credentials', { skip }, async () => {
  await using open = await startApi();
  const readme = readFileSync(join(repositoryRoot, 'README.md'), 'utf8');
  const [, pasted] = /^ {4}npx headrace start .*\n((?: {4}\S.*\n)+)/m.exec(readme)!;
  const help = start.examples!.map(({ line }) => line).filter((line) => line.startsWith('aws '));
  assert.ok(help.length > 0);
  const { AWS_ACCESS_KEY_ID: _key, AWS_SECRET_ACCESS_KEY: _secret, PATH, HOME } = environment();
  for (const lines of [pasted!, ...help]) {
    assert.match(lines, /127\.0\.0\.1:9400/);
    const script = lines.replaceAll('http://127.0.0.1:9400', open.endpoint);
    const { stdout } = await runCommand('sh', ['-eu', '-c', script], { cwd: folder, env: { PATH, HOME } });
    assert.match(stdout, /"(Functions|EventSourceMappings)": \[\]/);
  }
});
