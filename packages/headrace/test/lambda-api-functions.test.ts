import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  CreateAliasCommand,
  CreateFunctionCommand,
  DeleteFunctionCommand,
  GetFunctionCommand,
  GetFunctionConcurrencyCommand,
  InvokeCommand,
  LambdaClient,
  PublishVersionCommand,
  PutFunctionConcurrencyCommand,
  paginateListFunctions,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { repositoryRoot } from '@headrace/testing';
import { renderOperationsPage } from '../../../scripts/operations-page.ts';
import { type ApiWorld, accountId, call, region, role, startApi, zipOf } from './api-world.ts';

let world: ApiWorld;
let client: LambdaClient;
let zip: Buffer;

before(async () => {
  world = await startApi();
  client = new LambdaClient({
    region,
    endpoint: world.endpoint,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
  zip = await zipOf({ 'index.mjs': 'export const handler = async () => 1;' });
});

after(async () => {
  client.destroy();
  await world[Symbol.asyncDispose]();
});

const create = async (name: string, more: object = {}): Promise<void> => {
  await client.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Role: role,
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Code: { ZipFile: zip },
      ...more,
    }),
  );
  await waitUntilFunctionActiveV2({ client, maxWaitTime: 5 }, { FunctionName: name });
};

test('a new function answers Pending with every default, then is Active with another revision', async () => {
  const made = await client.send(
    new CreateFunctionCommand({
      FunctionName: 'fresh',
      Role: role,
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Code: { ZipFile: zip },
      Tags: { team: 'a' },
    }),
  );
  const { $metadata, LastModified, RevisionId, RuntimeVersionConfig, ...rest } = made;
  assert.equal($metadata.httpStatusCode, 201);
  assert.match(LastModified!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$/);
  assert.match(RuntimeVersionConfig!.RuntimeVersionArn!, /^arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}$/);
  assert.deepEqual(rest, {
    FunctionName: 'fresh',
    FunctionArn: `arn:aws:lambda:${region}:${accountId}:function:fresh`,
    Runtime: 'nodejs22.x',
    Role: role,
    Handler: 'index.handler',
    CodeSize: zip.length,
    Description: '',
    Timeout: 3,
    MemorySize: 128,
    CodeSha256: createHash('sha256').update(zip).digest('base64'),
    Version: '$LATEST',
    TracingConfig: { Mode: 'PassThrough' },
    State: 'Pending',
    StateReason: 'The function is being created.',
    StateReasonCode: 'Creating',
    PackageType: 'Zip',
    Architectures: ['x86_64'],
    EphemeralStorage: { Size: 512 },
    SnapStart: { ApplyOn: 'None', OptimizationStatus: 'Off' },
    LoggingConfig: { LogFormat: 'Text', LogGroup: '/aws/lambda/fresh' },
  });
  const found = await client.send(new GetFunctionCommand({ FunctionName: 'fresh' }));
  assert.equal(found.Configuration!.State, 'Active');
  assert.equal(found.Configuration!.LastUpdateStatus, 'Successful');
  assert.notEqual(found.Configuration!.RevisionId, RevisionId);
  assert.deepEqual(found.Tags, { team: 'a' });
  const download = await fetch(found.Code!.Location!);
  assert.deepEqual(Buffer.from(await download.arrayBuffer()), zip);
  const tampered = await fetch(found.Code!.Location!.replace(/expires=\d/, 'expires=9'));
  assert.equal(tampered.status, 403);
});

test('an update shows InProgress, refuses a second one meanwhile, and replaces only the members that it names', async () => {
  let now = Date.now();
  await using still = await startApi({ lambda: { now: () => now } });
  const path = '/2015-03-31/functions';
  const request = { FunctionName: 'updated', Role: role, Runtime: 'nodejs22.x', Handler: 'index.handler' };
  const Environment = { Variables: { GREETING: 'hello' } };
  const Code = { ZipFile: zip.toString('base64') };
  await call(still.endpoint, 'POST', path, { ...request, Code, Environment, Timeout: 10 });
  now += 1_000;
  const first = await call(still.endpoint, 'PUT', `${path}/updated/configuration`, { MemorySize: 1024 });
  assert.deepEqual([first.body['State'], first.body['LastUpdateStatus']], ['Active', 'InProgress']);
  const second = await call(still.endpoint, 'PUT', `${path}/updated/configuration`, { Timeout: 5 });
  assert.deepEqual(
    [second.status, second.type, second.body['message']],
    [
      409,
      'ResourceConflictException',
      `The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda:${region}:${accountId}:function:updated`,
    ],
  );
  now += 1_000;
  const { body } = await call(still.endpoint, 'GET', `${path}/updated/configuration`);
  assert.deepEqual(
    [body['LastUpdateStatus'], body['MemorySize'], body['Timeout'], body['Environment']],
    ['Successful', 1024, 10, Environment],
  );
  assert.notEqual(body['RevisionId'], first.body['RevisionId']);
  assert.deepEqual(still.engine.refreshed, ['updated']);
});

test('an invocation hands over the very bytes, and gives back version, log and request id', async () => {
  await create('echo');
  const payload = '{"a": 12345678901234567890, "a": 1}';
  const answer = await client.send(
    new InvokeCommand({ FunctionName: 'echo', Payload: Buffer.from(payload), LogType: 'Tail' }),
  );
  assert.equal(Buffer.from(answer.Payload!).toString(), payload);
  assert.equal(answer.ExecutedVersion, '$LATEST');
  assert.equal(Buffer.from(answer.LogResult!, 'base64').toString(), 'END\n');
  assert.equal(world.engine.calls.at(-1)!.options!.requestId, answer.$metadata.requestId);
  const empty = await call(world.endpoint, 'POST', '/2015-03-31/functions/echo/invocations');
  assert.deepEqual([empty.status, empty.body], [200, {}]);
  const broken = await call(world.endpoint, 'POST', '/2015-03-31/functions/echo/invocations', '{"a":');
  assert.deepEqual([broken.status, broken.type], [400, 'InvalidRequestContentException']);
  const dry = await call(world.endpoint, 'POST', '/2015-03-31/functions/echo/invocations', '{}', {
    'x-amz-invocation-type': 'DryRun',
  });
  assert.equal(dry.status, 204);
});

test('throttling is 429 with its reason, a function error is 200 with its header', async () => {
  await create('limited');
  world.engine.outcome = { kind: 'throttled', reason: 'ReservedFunctionConcurrentInvocationLimitExceeded' };
  const throttled = await call(world.endpoint, 'POST', '/2015-03-31/functions/limited/invocations', '{}');
  assert.deepEqual(
    [throttled.status, throttled.body],
    [429, { Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded', Type: 'User', message: 'Rate Exceeded.' }],
  );
  assert.equal(throttled.headers.get('retry-after'), '1');
  const payload = Buffer.from('{"errorType":"Error","errorMessage":"no"}');
  const executed = { requestId: 'r', executedVersion: '$LATEST', durationMilliseconds: 1, payload };
  world.engine.outcome = { ...executed, kind: 'function-error', functionError: 'Unhandled', reason: 'error' };
  const failed = await client.send(new InvokeCommand({ FunctionName: 'limited' }));
  assert.deepEqual([failed.StatusCode, failed.FunctionError], [200, 'Unhandled']);
  world.engine.outcome = undefined;
});

test('a version keeps its code and settings, and publishing without a change gives the same one', async () => {
  await create('versioned', { Description: 'one' });
  const first = await client.send(new PublishVersionCommand({ FunctionName: 'versioned' }));
  assert.equal(first.Version, '1');
  assert.equal(first.FunctionArn, `arn:aws:lambda:${region}:${accountId}:function:versioned:1`);
  assert.equal((await client.send(new PublishVersionCommand({ FunctionName: 'versioned' }))).Version, '1');
  const other = await zipOf({ 'index.mjs': 'export const handler = async () => 2;' });
  await client.send(new UpdateFunctionCodeCommand({ FunctionName: 'versioned', ZipFile: other }));
  await waitUntilFunctionUpdatedV2({ client, maxWaitTime: 5 }, { FunctionName: 'versioned' });
  assert.equal((await client.send(new PublishVersionCommand({ FunctionName: 'versioned' }))).Version, '2');
  const alias = { FunctionName: 'versioned', Name: 'live', FunctionVersion: '1' };
  await client.send(new CreateAliasCommand({ ...alias, RoutingConfig: { AdditionalVersionWeights: { 2: 0.25 } } }));
  const shares = { '1': 0, '2': 0 };
  for (let draw = 0; draw < 1_000; draw += 1) {
    const found = world.api.resolve('versioned:live');
    assert.ok(found.kind === 'found');
    assert.equal(found.invokedFunctionArn, `arn:aws:lambda:${region}:${accountId}:function:versioned:live`);
    shares[found.version.version as '1' | '2'] += 1;
  }
  assert.ok(shares['2'] > 150 && shares['2'] < 350, JSON.stringify(shares));
  await assert.rejects(client.send(new DeleteFunctionCommand({ FunctionName: 'versioned', Qualifier: '1' })), {
    name: 'ResourceConflictException',
  });
});

test('reserved concurrency is kept, handed to the engine, and bounded by the account', async () => {
  await create('reserved');
  const target = { FunctionName: 'reserved' };
  assert.deepEqual((await call(world.endpoint, 'GET', '/2019-09-30/functions/reserved/concurrency')).body, {});
  await client.send(new PutFunctionConcurrencyCommand({ ...target, ReservedConcurrentExecutions: 50 }));
  assert.equal(world.engine.reserved.get('reserved'), 50);
  const found = await client.send(new GetFunctionConcurrencyCommand(target));
  assert.equal(found.ReservedConcurrentExecutions, 50);
  const refused = await call(world.endpoint, 'PUT', '/2017-10-31/functions/reserved/concurrency', {
    ReservedConcurrentExecutions: 901,
  });
  assert.deepEqual(refused.body, {
    message:
      "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
  });
});

test('lists have pages of fifty that hold every function once', async () => {
  const names = Array.from({ length: 60 }, (_, index) => `page-${String(index).padStart(2, '0')}`);
  await Promise.all(names.map((name) => create(name)));
  const seen: string[] = [];
  for await (const page of paginateListFunctions({ client }, {})) {
    assert.ok(page.Functions!.length <= 50);
    for (const listed of page.Functions!) {
      assert.equal(listed.State, undefined);
      seen.push(listed.FunctionName!);
    }
  }
  assert.deepEqual(
    seen.filter((name) => name.startsWith('page-')),
    names,
  );
});

const refusals: readonly [string, string, string, unknown, number, string, object][] = [
  [
    'an unknown function',
    'GET',
    '/2015-03-31/functions/nowhere',
    undefined,
    404,
    'ResourceNotFoundException',
    { Type: 'User', Message: `Function not found: arn:aws:lambda:${region}:${accountId}:function:nowhere` },
  ],
  [
    'an invocation of an unknown function',
    'POST',
    '/2015-03-31/functions/nowhere/invocations',
    {},
    404,
    'ResourceNotFoundException',
    { Type: 'User', Message: `Function not found: arn:aws:lambda:${region}:${accountId}:function:nowhere:$LATEST` },
  ],
  [
    'a function of another region',
    'GET',
    `/2015-03-31/functions/${encodeURIComponent(`arn:aws:lambda:eu-west-1:${accountId}:function:f`)}`,
    undefined,
    404,
    'ResourceNotFoundException',
    { Type: 'User', Message: "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')" },
  ],
  [
    'a contradicting qualifier',
    'GET',
    '/2015-03-31/functions/f:1?Qualifier=2',
    undefined,
    400,
    'InvalidParameterValueException',
    {
      Type: 'User',
      message: 'The derived qualifier from the function name does not match the specified qualifier.',
    },
  ],
  [
    'a bad role',
    'POST',
    '/2015-03-31/functions',
    { FunctionName: 'f', Role: 'r1', Code: {}, Runtime: 'nodejs22.x', Handler: 'a.b' },
    400,
    'ValidationException',
    {
      message:
        "1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+",
    },
  ],
  [
    'two architectures',
    'POST',
    '/2015-03-31/functions',
    { FunctionName: 'f', Role: role, Code: {}, Architectures: ['x86_64', 'arm64'] },
    400,
    'ValidationException',
    {
      message:
        "1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1",
    },
  ],
  [
    'what is no zip',
    'POST',
    '/2015-03-31/functions',
    { FunctionName: 'f', Role: role, Code: { ZipFile: 'bm8=' }, Runtime: 'nodejs22.x', Handler: 'a.b' },
    400,
    'InvalidParameterValueException',
    { Type: 'User', message: 'Could not unzip uploaded file. Please check your file, then try to upload again.' },
  ],
  [
    'a wrong list',
    'GET',
    '/2015-03-31/functions/?FunctionVersion=invalid',
    undefined,
    400,
    'ValidationException',
    {
      message:
        "1 validation error detected: Value 'invalid' at 'functionVersion' failed to satisfy constraint: Member must satisfy enum value set: [ALL]",
    },
  ],
  [
    'reserved environment keys',
    'POST',
    '/2015-03-31/functions',
    {
      FunctionName: 'f',
      Role: role,
      Code: {},
      Runtime: 'nodejs22.x',
      Handler: 'a.b',
      Environment: { Variables: { AWS_REGION: 'x', AWS_ACCESS_KEY_ID: 'y' } },
    },
    400,
    'InvalidParameterValueException',
    {
      Type: 'User',
      message:
        'Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION, AWS_ACCESS_KEY_ID',
    },
  ],
  [
    'an operation of another time',
    'GET',
    '/2025-11-30/capacity-providers',
    undefined,
    501,
    'NotImplementedException',
    { Type: 'Service', message: 'ListCapacityProviders is not implemented by Headrace.' },
  ],
];

for (const [what, method, path, body, status, type, expected] of refusals) {
  test(`${what} is refused to the letter`, async () => {
    const answer = await call(world.endpoint, method, path, body);
    assert.deepEqual([answer.status, answer.type, answer.body], [status, type, expected]);
    assert.match(answer.headers.get('x-amzn-requestid')!, /^[0-9a-f-]{36}$/);
  });
}

test('docs/lambda-api.md lists the operations that are offered, and those that are not', () => {
  const page = readFileSync(join(repositoryRoot, 'docs', 'lambda-api.md'), 'utf8');
  assert.equal(page, renderOperationsPage(), 'run: node scripts/run.js scripts/operations-page.ts');
});

test('a published version is not changed, nor is $LATEST in its place', async () => {
  await create('published', { Publish: true });
  const named = { FunctionName: 'published:1' };
  const message = /^Current operation does not support versions other than \$LATEST\. /;
  const refusal = { name: 'InvalidParameterValueException', message };
  await assert.rejects(client.send(new UpdateFunctionConfigurationCommand({ ...named, Timeout: 9 })), refusal);
  await assert.rejects(client.send(new UpdateFunctionCodeCommand({ ...named, ZipFile: zip })), refusal);
  const { Configuration } = await client.send(new GetFunctionCommand({ FunctionName: 'published' }));
  assert.equal(Configuration?.Timeout, 3);
});
