import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, needs } from '@headrace/testing';
import { operations } from '../src/lambda-api/model.ts';
import { handlers } from '../src/lambda-api/operations.ts';
import { type ApiWorld, accountId, call, region, role, startApi, zipOf } from './api-world.ts';
import { badInputs, differences, readServiceModel, type ServiceModel, wireRequest } from './service-model.ts';

const skip = needs('python');
let world: ApiWorld;
let model: ServiceModel;
let zip: string;

before(async () => {
  if (skip) return;
  model = await readServiceModel();
  zip = (await zipOf({ 'index.mjs': 'export const handler = async () => 1;' })).toString('base64');
  world = await startApi();
});

after(() => world?.[Symbol.asyncDispose]());

type Body = Record<string, unknown>;

async function send(operation: string, input: Body): Promise<Awaited<ReturnType<typeof call>>> {
  const { method, path, headers, body } = wireRequest(model, model.operations[operation]!, input);
  return await call(world.endpoint, method, path, body, { ...headers });
}

/** What the model calls by another status, and why. */
const statuses: Readonly<Record<string, number>> = { DeleteFunction: 204 };

/** Sends, checks status and shape, and gives the body back. */
async function succeed(operation: string, input: Body): Promise<Body> {
  const { http, output } = model.operations[operation]!;
  const answer = await send(operation, input);
  assert.equal(
    answer.status,
    statuses[operation] ?? http.responseCode ?? 200,
    `${operation}: ${JSON.stringify(answer.body)}`,
  );
  const shape = output === undefined ? undefined : model.shapes[output.shape];
  if (shape !== undefined && shape.payload === undefined && answer.status !== 204) {
    const found = differences(model, output!.shape, answer.body, operation);
    assert.deepEqual(
      found.filter((difference) => !recordedReason.test(difference)),
      [],
    );
  }
  called.add(operation);
  if (http.method !== 'GET' && operation !== 'Invoke') checkAudit(operation, answer);
  return answer.body;
}

/** What the router calls a mutation left who, what, before and after. */
function checkAudit(operation: string, { headers }: Awaited<ReturnType<typeof call>>): void {
  const [entry] = world.store.audit({ limit: 1 });
  assert.deepEqual(
    [entry?.operation, entry?.requestId, entry?.principal],
    [`lambda:${operation}`, headers.get('x-amzn-requestid'), 'anonymous'],
  );
  assert.ok(entry!.changes.length > 0, operation);
  for (const { kind, id, before, after } of entry!.changes) {
    assert.ok(before !== undefined || after !== undefined, `${operation}: ${kind} ${id}`);
    assert.ok(Object.keys({ ...before, ...after }).length > 0, `${operation}: ${kind} ${id} did not change`);
  }
  audited.add(operation);
}

/** AWS was recorded to answer updates with this reason, which the model's enum lacks. */
const recordedReason = /LastUpdateStatusReasonCode: one of .* wanted, not "Creating"$/;

const called = new Set<string>();
const audited = new Set<string>();
const FunctionName = 'modelled';
const functionArn = `arn:aws:lambda:${region}:${accountId}:function:${FunctionName}`;
const topic = (name: string): Body => ({
  FunctionName,
  Topics: [name],
  SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: ['127.0.0.1:9092'] } },
});
const settled = async (): Promise<void> => {
  await send('GetFunction', { FunctionName });
};

test('every answer has the shape that the service model gives it', { skip }, async () => {
  const target = { FunctionName };
  await succeed('CreateFunction', {
    ...target,
    Role: role,
    Runtime: 'nodejs22.x',
    Handler: 'index.handler',
    Code: { ZipFile: zip },
    Environment: { Variables: { NAME: 'value' } },
    VpcConfig: { SubnetIds: [], SecurityGroupIds: [] },
    DeadLetterConfig: { TargetArn: `arn:aws:sqs:${region}:${accountId}:dead` },
    LoggingConfig: { LogFormat: 'JSON' },
    Tags: { team: 'a' },
  });
  await succeed('GetFunction', target);
  await succeed('GetFunctionConfiguration', target);
  const layer = await succeed('PublishLayerVersion', {
    LayerName: 'layer',
    Content: { ZipFile: zip },
    CompatibleRuntimes: ['nodejs22.x'],
    CompatibleArchitectures: ['x86_64'],
    LicenseInfo: 'MIT',
  });
  await succeed('GetLayerVersion', { LayerName: 'layer', VersionNumber: 1 });
  await succeed('GetLayerVersionByArn', { Arn: layer['LayerVersionArn'] });
  await succeed('ListLayers', { CompatibleRuntime: 'nodejs22.x' });
  await succeed('ListLayerVersions', { LayerName: 'layer' });
  const permission = { StatementId: 's1', Action: 'lambda:GetLayerVersion', Principal: '*' };
  await succeed('AddLayerVersionPermission', { LayerName: 'layer', VersionNumber: 1, ...permission });
  await succeed('GetLayerVersionPolicy', { LayerName: 'layer', VersionNumber: 1 });
  await succeed('RemoveLayerVersionPermission', { LayerName: 'layer', VersionNumber: 1, StatementId: 's1' });
  await succeed('UpdateFunctionConfiguration', { ...target, Layers: [layer['LayerVersionArn']], Timeout: 30 });
  await settled();
  await succeed('UpdateFunctionCode', { ...target, ZipFile: zip, Publish: true });
  await settled();
  await succeed('UpdateFunctionConfiguration', { ...target, Timeout: 31 });
  await settled();
  await succeed('PublishVersion', { ...target, Description: 'two' });
  await succeed('ListVersionsByFunction', target);
  await succeed('ListFunctions', { FunctionVersion: 'ALL', MaxItems: 2 });
  await succeed('CreateAlias', { ...target, Name: 'live', FunctionVersion: '1' });
  await succeed('UpdateAlias', { ...target, Name: 'live', Description: 'now' });
  await succeed('GetAlias', { ...target, Name: 'live' });
  await succeed('ListAliases', target);
  await succeed('PutFunctionConcurrency', { ...target, ReservedConcurrentExecutions: 50 });
  await succeed('GetFunctionConcurrency', target);
  await succeed('PutProvisionedConcurrencyConfig', {
    ...target,
    Qualifier: 'live',
    ProvisionedConcurrentExecutions: 2,
  });
  await succeed('GetProvisionedConcurrencyConfig', { ...target, Qualifier: 'live' });
  await succeed('ListProvisionedConcurrencyConfigs', target);
  await succeed('DeleteProvisionedConcurrencyConfig', { ...target, Qualifier: 'live' });
  await succeed('DeleteFunctionConcurrency', target);
  await succeed('PutFunctionEventInvokeConfig', { ...target, MaximumRetryAttempts: 1 });
  await succeed('UpdateFunctionEventInvokeConfig', { ...target, MaximumEventAgeInSeconds: 60 });
  await succeed('GetFunctionEventInvokeConfig', target);
  await succeed('ListFunctionEventInvokeConfigs', target);
  await succeed('DeleteFunctionEventInvokeConfig', target);
  await succeed('CreateFunctionUrlConfig', { ...target, AuthType: 'NONE', Cors: { AllowOrigins: ['*'] } });
  await succeed('UpdateFunctionUrlConfig', { ...target, InvokeMode: 'RESPONSE_STREAM' });
  await succeed('GetFunctionUrlConfig', target);
  await succeed('ListFunctionUrlConfigs', target);
  await succeed('DeleteFunctionUrlConfig', target);
  const statement = { StatementId: 's1', Action: 'lambda:InvokeFunction', Principal: 's3.amazonaws.com' };
  await succeed('AddPermission', { ...target, ...statement, SourceAccount: accountId });
  await succeed('GetPolicy', target);
  await succeed('RemovePermission', { ...target, StatementId: 's1' });
  await succeed('TagResource', { Resource: functionArn, Tags: { stage: 'b' } });
  await succeed('ListTags', { Resource: functionArn });
  await succeed('UntagResource', { Resource: functionArn, TagKeys: ['stage'] });
  await succeed('PutFunctionRecursionConfig', { ...target, RecursiveLoop: 'Allow' });
  await succeed('GetFunctionRecursionConfig', target);
  await succeed('PutRuntimeManagementConfig', { ...target, UpdateRuntimeOn: 'FunctionUpdate' });
  await succeed('GetRuntimeManagementConfig', target);
  await succeed('GetAccountSettings', {});
  const publishers = { SigningProfileVersionArns: [`arn:aws:signer:${region}:${accountId}:/signing-profiles/p/1`] };
  const made = await succeed('CreateCodeSigningConfig', { AllowedPublishers: publishers });
  const { CodeSigningConfigArn } = made['CodeSigningConfig'] as Body;
  await succeed('GetCodeSigningConfig', { CodeSigningConfigArn });
  await succeed('UpdateCodeSigningConfig', { CodeSigningConfigArn, Description: 'd' });
  await succeed('ListCodeSigningConfigs', {});
  await succeed('PutFunctionCodeSigningConfig', { ...target, CodeSigningConfigArn });
  await succeed('GetFunctionCodeSigningConfig', target);
  await succeed('ListFunctionsByCodeSigningConfig', { CodeSigningConfigArn });
  await succeed('DeleteFunctionCodeSigningConfig', target);
  await succeed('DeleteCodeSigningConfig', { CodeSigningConfigArn });
  const mapping = await succeed('CreateEventSourceMapping', {
    ...topic('shapes'),
    StartingPosition: 'AT_TIMESTAMP',
    StartingPositionTimestamp: 1_700_000_000,
    FilterCriteria: { Filters: [{ Pattern: '{"value":{"a":[1]}}' }] },
    MetricsConfig: { Metrics: ['EventCount'] },
    LoggingConfig: { SystemLogLevel: 'INFO' },
    ProvisionedPollerConfig: { MinimumPollers: 1, MaximumPollers: 2 },
    DestinationConfig: { OnFailure: { Destination: 'kafka://dead-letters' } },
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    MaximumRecordAgeInSeconds: 60,
    MaximumRetryAttempts: 3,
    BisectBatchOnFunctionError: true,
    MaximumBatchingWindowInSeconds: 1,
  });
  const { UUID } = mapping;
  await eventually(async () => (await succeed('GetEventSourceMapping', { UUID }))['State'] === 'Enabled');
  await succeed('UpdateEventSourceMapping', { UUID, BatchSize: 7 });
  await eventually(async () => (await succeed('GetEventSourceMapping', { UUID }))['State'] === 'Enabled');
  await succeed('ListEventSourceMappings', { MaxItems: 1 });
  await succeed('DeleteEventSourceMapping', { UUID });
  await succeed('Invoke', target);
  await succeed('DeleteAlias', { ...target, Name: 'live' });
  await succeed('DeleteLayerVersion', { LayerName: 'layer', VersionNumber: 1 });
  await succeed('DeleteFunction', target);

  // Each operation is either covered above, has no body of JSON, or is refused by its name.
  const streams = ['InvokeWithResponseStream', 'InvokeAsync'];
  for (const name of Object.keys(model.operations)) {
    if (called.has(name) || streams.includes(name)) continue;
    const answer = await send(name, sample(name));
    assert.deepEqual([name, answer.status, answer.type], [name, 501, 'NotImplementedException']);
    assert.equal(answer.body['message'], `${name} is not implemented by Headrace.`);
  }
  // Every mutation of the router's was audited, so that a new one cannot be forgotten.
  const mutations = Object.keys(handlers).filter((name) => operations.get(name)!.method !== 'GET');
  assert.deepEqual(
    mutations.filter((name) => !audited.has(name)),
    ['Invoke', 'InvokeAsync', 'InvokeWithResponseStream'],
  );
});

/** A request with something in each label. */
function sample(operation: string): Body {
  const { input } = model.operations[operation]!;
  const members = Object.entries(input === undefined ? {} : (model.shapes[input.shape]!.members ?? {}));
  return Object.fromEntries(members.filter(([, { location }]) => location === 'uri').map(([name]) => [name, 'x']));
}

test('for every constrained member of every request a bad value is a 400 of the right type', { skip }, async () => {
  const base: Body = {
    FunctionName,
    Role: role,
    Runtime: 'nodejs22.x',
    Handler: 'index.handler',
    Code: { ZipFile: zip },
    LayerName: 'bad-layer',
    VersionNumber: 1,
    Content: { ZipFile: zip },
    Name: 'live',
    FunctionVersion: '1',
    StatementId: 's',
    Action: 'lambda:InvokeFunction',
    Principal: '*',
    Resource: functionArn,
    TagKeys: ['a'],
    Tags: { a: 'b' },
    UUID: '6a5c0000-0000-4000-8000-000000000000',
    Arn: `arn:aws:lambda:${region}:${accountId}:layer:x:1`,
    CodeSigningConfigArn: `arn:aws:lambda:${region}:${accountId}:code-signing-config:csc-00000000000000000`,
    AuthType: 'NONE',
    ReservedConcurrentExecutions: 1,
    ProvisionedConcurrentExecutions: 1,
    UpdateRuntimeOn: 'Auto',
    RecursiveLoop: 'Allow',
    AllowedPublishers: { SigningProfileVersionArns: [`arn:aws:signer:${region}:${accountId}:/signing-profiles/p/1`] },
    ...topic('bad'),
  };
  await send('CreateFunction', base);
  await settled();
  let count = 0;
  for (const [name, operation] of Object.entries(model.operations)) {
    if (!called.has(name)) continue;
    const members = model.shapes[operation.input?.shape ?? '']?.members ?? {};
    const valid = Object.fromEntries(Object.entries(base).filter(([member]) => member in members));
    for (const { what, input } of badInputs(model, operation, valid)) {
      const answer = await send(name, input);
      const types = ['ValidationException', 'InvalidParameterValueException', 'SerializationException'];
      assert.ok(
        answer.status === 400 && types.includes(answer.type ?? ''),
        `${name}: ${what} gave ${answer.status} ${answer.type} ${JSON.stringify(answer.body)}`,
      );
      assert.ok(answer.body['message'], `${name}: ${what} has no message`);
      count += 1;
    }
  }
  assert.ok(count > 300, `${count} bad values were tried`);
});

test('no value of a wrong type is a 500', { skip }, async () => {
  const wrong = [null, 1, 'text', true, [], [null], {}, { a: 1 }, -1, 1e300, '\u0000', '__proto__'];
  for (const [name, operation] of Object.entries(model.operations)) {
    if (!called.has(name)) continue;
    const members = model.shapes[operation.input?.shape ?? '']?.members ?? {};
    for (const [member, { location }] of Object.entries(members)) {
      for (const value of wrong) {
        // HTTP itself does not carry it.
        if (location === 'header' && value === '\u0000') continue;
        const input = { ...sample(name), FunctionName: 'none-such', [member]: value };
        const answer = await send(name, input);
        assert.ok(answer.status < 500, `${name}.${member} = ${JSON.stringify(value)}: ${JSON.stringify(answer.body)}`);
      }
    }
  }
});
