import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type ApiWorld, accountId, call, region, role, startApi, zipOf } from './api-world.ts';

/*
 * Errors as AWS was recorded to word them: status, type, and the whole body. The function `fn` has version 1 and the
 * alias `live`; `other` and the layer `layer` (version 1) are there too.
 */

const arn = `arn:aws:lambda:${region}:${accountId}:function`;
const layerArn = `arn:aws:lambda:${region}:${accountId}:layer`;
const csc = `arn:aws:lambda:${region}:${accountId}:code-signing-config:csc-00000000000000000`;
const functions = '/2015-03-31/functions';
const encoded = encodeURIComponent;
let world: ApiWorld;
let ZipFile: string;

before(async () => {
  world = await startApi();
  ZipFile = (await zipOf({ 'index.mjs': 'export const handler = 1;' })).toString('base64');
  for (const FunctionName of ['fn', 'other']) await ok('POST', functions, { ...common(), FunctionName });
  await ok('GET', `${functions}/fn`);
  await ok('POST', `${functions}/fn/versions`, {});
  await ok('POST', `${functions}/fn/aliases`, { Name: 'live', FunctionVersion: '1' });
  await ok('POST', '/2018-10-31/layers/layer/versions', { Content: { ZipFile } });
  await ok('POST', '/2018-10-31/layers/layer/versions', { Content: { ZipFile } });
  const statement = { StatementId: 's3', Action: 'lambda:InvokeFunction', Principal: 's3.amazonaws.com' };
  await ok('POST', `${functions}/fn/policy`, statement);
  const layerStatement = { StatementId: 's1', Action: 'lambda:GetLayerVersion', Principal: '*' };
  await ok('POST', '/2018-10-31/layers/layer/versions/1/policy', layerStatement);
  await ok('POST', '/2021-10-31/functions/fn/url', { AuthType: 'NONE' });
  await ok('PUT', '/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=1', {
    ProvisionedConcurrentExecutions: 2,
  });
  await ok('GET', `${functions}/fn`);
});

after(() => world[Symbol.asyncDispose]());

async function ok(method: string, path: string, body?: unknown): Promise<void> {
  const answer = await call(world.endpoint, method, path, body);
  assert.ok(answer.status < 300, `${method} ${path}: ${JSON.stringify(answer.body)}`);
}

const common = (): Record<string, unknown> => ({
  FunctionName: 'new',
  Role: role,
  Runtime: 'nodejs22.x',
  Handler: 'index.handler',
  Code: { ZipFile },
});

const statusOf: Readonly<Record<string, number>> = {
  InvalidParameterValueException: 400,
  ValidationException: 400,
  ResourceNotFoundException: 404,
  ProvisionedConcurrencyConfigNotFoundException: 404,
  CodeSigningConfigNotFoundException: 404,
  ResourceConflictException: 409,
  PreconditionFailedException: 412,
};
const capital = new Set(['ResourceNotFoundException', 'CodeSigningConfigNotFoundException']);
const untyped = new Set(['ValidationException', 'CodeSigningConfigNotFoundException']);

type Case = readonly [method: string, path: string, body: (() => unknown) | undefined, type: string, message: string];
const invalid = 'InvalidParameterValueException';
const missing = 'ResourceNotFoundException';
const validation = 'ValidationException';
const conflict = 'ResourceConflictException';
const precondition = 'PreconditionFailedException';
const one = (text: string): string => `1 validation error detected: ${text}`;
const derived = 'The derived qualifier from the function name does not match the specified qualifier.';
const gone = 'The resource you requested does not exist.';
const runtimes =
  'nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2';
const revision = '00000000-0000-4000-8000-000000000000';
const grant = (more: object = {}) => ({
  StatementId: 's9',
  Action: 'lambda:InvokeFunction',
  Principal: 's3.amazonaws.com',
  ...more,
});
const urlQualifier = (value: string): string =>
  one(
    `Value '${value}' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)`,
  );

const cases: readonly Case[] = [
  ['POST', functions, () => ({ ...common(), FunctionName: 'fn' }), conflict, 'Function already exist: fn'],
  [
    'POST',
    functions,
    () => ({ ...common(), FunctionName: 'a'.repeat(65) }),
    invalid,
    one(
      `Value '${'a'.repeat(65)}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64`,
    ),
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), FunctionName: 'invalid:function:name' }),
    validation,
    one(
      "Value 'invalid:function:name' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?",
    ),
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), FunctionName: `${arn}:${'a'.repeat(140)}` }),
    validation,
    one(
      `Value '${arn}:${'a'.repeat(140)}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 140`,
    ),
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), FunctionName: `arn:aws:lambda:ap-southeast-1:${accountId}:function:f` }),
    missing,
    `Functions from 'ap-southeast-1' are not reachable in this region ('${region}')`,
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), Runtime: 'PYTHON3.9' }),
    invalid,
    `Value PYTHON3.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [${runtimes}] or be a valid ARN`,
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), Architectures: ['X86_64'] }),
    validation,
    one(
      "Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
    ),
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), SnapStart: { ApplyOn: 'invalidOption' } }),
    validation,
    one(
      "Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy constraint: Member must satisfy enum value set: [PublishedVersions, None]",
    ),
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), VpcConfig: { SubnetIds: ['bad'] } }),
    validation,
    one(
      "Value '[bad]' at 'vpcConfig.subnetIds' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: subnet-[0-9a-z]*]",
    ),
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), Layers: Array.from({ length: 6 }, (_, index) => `${layerArn}:l${index}:1`) }),
    invalid,
    'Cannot reference more than 5 layers.',
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), Layers: [`arn:aws:lambda:eu-west-1:${accountId}:layer:layer:1`] }),
    invalid,
    `Layers are not in the same region as the function. Layers are expected to be in region ${region}.`,
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), Tags: Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`k${index}`, 'v'])) }),
    invalid,
    'Number of tags exceeds resource tag limit.',
  ],
  [
    'POST',
    functions,
    () => ({ ...common(), Environment: { Variables: { LARGE_VAR: 'x'.repeat(4_096) } } }),
    invalid,
    `Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: {"LARGE_VAR":"${'x'.repeat(4_096)}"}`,
  ],
  [
    'PUT',
    `${functions}/other/configuration`,
    () => ({ Layers: [`${layerArn}:layer:9`] }),
    invalid,
    `Layer version ${layerArn}:layer:9 does not exist.`,
  ],
  [
    'PUT',
    `${functions}/other/configuration`,
    () => ({ Layers: [`${layerArn}:layer:1`, `${layerArn}:layer:2`] }),
    invalid,
    `Two different versions of the same layer are not allowed to be referenced in the same function. ${layerArn}:layer:2 and ${layerArn}:layer:1 are versions of the same layer.`,
  ],
  [
    'PUT',
    `${functions}/other/configuration`,
    () => ({ Layers: [`${layerArn}:layer`] }),
    validation,
    one(
      `Value '[${layerArn}:layer]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 2048, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+), Member must not be null]`,
    ),
  ],
  [
    'PUT',
    `${functions}/other/configuration`,
    () => ({ RevisionId: revision }),
    precondition,
    'The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id',
  ],
  [
    'PUT',
    `${functions}/other/code`,
    () => ({ ZipFile, RevisionId: revision }),
    precondition,
    'The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id',
  ],
  ['GET', `${functions}/fn?Qualifier=1221`, undefined, missing, `Function not found: ${arn}:fn:1221`],
  ['GET', `${functions}/fn?Qualifier=nobody`, undefined, missing, `Function not found: ${arn}:fn:nobody`],
  ['GET', `${functions}/nowhere/configuration`, undefined, missing, `Function not found: ${arn}:nowhere`],
  ['GET', `${functions}/some:$LATEST`, undefined, missing, `Function not found: ${arn}:some:$LATEST`],
  ['GET', `${functions}/fn:1/configuration?Qualifier=$LATEST`, undefined, invalid, derived],
  ['DELETE', `${functions}/nowhere`, undefined, missing, `Function not found: ${arn}:nowhere`],
  [
    'DELETE',
    `${functions}/fn?Qualifier=$LATEST`,
    undefined,
    invalid,
    '$LATEST version cannot be deleted without deleting the function.',
  ],
  [
    'POST',
    `${functions}/${encoded(`arn:aws:lambda:${region}:123400000000@function:myfn`)}/invocations`,
    () => ({}),
    validation,
    one(
      `Value 'arn:aws:lambda:${region}:123400000000@function:myfn' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`,
    ),
  ],
  [
    'POST',
    `${functions}/fn/versions`,
    () => ({ RevisionId: revision }),
    precondition,
    'The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id',
  ],
  // Aliases
  [
    'POST',
    `${functions}/fn/aliases`,
    () => ({ Name: 'live', FunctionVersion: '1' }),
    conflict,
    `Alias already exists: ${arn}:fn:live`,
  ],
  [
    'POST',
    `${functions}/fn/aliases`,
    () => ({ Name: 'a', FunctionVersion: '10' }),
    missing,
    `Function not found: ${arn}:fn:10`,
  ],
  [
    'POST',
    `${functions}/unknown/aliases`,
    () => ({ Name: 'a', FunctionVersion: '1' }),
    missing,
    `Function not found: ${arn}:unknown:1`,
  ],
  [
    'POST',
    `${functions}/fn/aliases`,
    () => ({ Name: 'a', FunctionVersion: '1', RoutingConfig: { AdditionalVersionWeights: { 1: 0.5 } } }),
    invalid,
    'Invalid function version 1. Function version 1 is already included in routing configuration.',
  ],
  [
    'POST',
    `${functions}/fn/aliases`,
    () => ({ Name: 'a', FunctionVersion: '1', RoutingConfig: { AdditionalVersionWeights: { 2: 0.5, 3: 0.1 } } }),
    invalid,
    'Number of items in AdditionalVersionWeights cannot be greater than 1',
  ],
  [
    'POST',
    `${functions}/fn/aliases`,
    () => ({ Name: 'a', FunctionVersion: '$LATEST', RoutingConfig: { AdditionalVersionWeights: { 1: 0.5 } } }),
    invalid,
    '$LATEST is not supported for an alias pointing to more than 1 version',
  ],
  [
    'POST',
    `${functions}/fn/aliases`,
    () => ({ Name: 'a', FunctionVersion: '1', RoutingConfig: { AdditionalVersionWeights: { 2: 2 } } }),
    validation,
    one(
      "Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]",
    ),
  ],
  [
    'POST',
    `${functions}/fn/aliases`,
    () => ({ Name: 'a', FunctionVersion: '1', RoutingConfig: { AdditionalVersionWeights: { $LATEST: 0.5 } } }),
    validation,
    one(
      "Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]",
    ),
  ],
  ['GET', `${functions}/fn/aliases/none`, undefined, missing, `Cannot find alias arn: ${arn}:fn:none`],
  ['PUT', `${functions}/fn/aliases/none`, () => ({}), missing, `Alias not found: ${arn}:fn:none`],
  [
    'PUT',
    `${functions}/fn/aliases/live`,
    () => ({ RevisionId: revision }),
    precondition,
    'The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id',
  ],
  // Permissions
  [
    'POST',
    `${functions}/fn/policy?Qualifier=$LATEST`,
    grant,
    invalid,
    'We currently do not support adding policies for $LATEST.',
  ],
  ['POST', `${functions}/fn:1/policy?Qualifier=2`, grant, invalid, derived],
  [
    'POST',
    `${functions}/fn/policy`,
    () => grant({ Principal: 'invalid.nonaws.com' }),
    invalid,
    'The provided principal was invalid. Please check the principal and try again.',
  ],
  [
    'POST',
    `${functions}/fn/policy`,
    () => grant({ StatementId: 'example.com' }),
    validation,
    one(
      "Value 'example.com' at 'statementId' failed to satisfy constraint: Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)",
    ),
  ],
  [
    'POST',
    `${functions}/fn/policy?Qualifier=${encoded('invalid-qualifier-with-?-char')}`,
    grant,
    validation,
    one(
      "Value 'invalid-qualifier-with-?-char' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: \\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+",
    ),
  ],
  ['POST', `${functions}/fn/policy?Qualifier=nobody`, grant, missing, `Cannot find alias arn: ${arn}:fn:nobody`],
  ['POST', `${functions}/fn/policy?Qualifier=42`, grant, missing, `Function not found: ${arn}:fn:42`],
  [
    'POST',
    `${functions}/fn/policy?Qualifier=with-$-inside`,
    grant,
    missing,
    `Function not found: ${arn}:fn:with-$-inside`,
  ],
  ['POST', `${functions}/nowhere/policy`, grant, missing, `Function not found: ${arn}:nowhere`],
  [
    'POST',
    `${functions}/fn/policy`,
    () => grant({ StatementId: 's3' }),
    conflict,
    'The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement.',
  ],
  [
    'POST',
    `${functions}/fn/policy`,
    () => grant({ RevisionId: revision }),
    precondition,
    'The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id',
  ],
  ['GET', `${functions}/other/policy`, undefined, missing, gone],
  ['GET', `${functions}/nowhere/policy`, undefined, missing, gone],
  [
    'DELETE',
    `${functions}/fn/policy/s1?Qualifier=nobody`,
    undefined,
    missing,
    `Cannot find alias arn: ${arn}:fn:nobody`,
  ],
  ['DELETE', `${functions}/nowhere/policy/s1`, undefined, missing, `No policy found for: ${arn}:nowhere`],
  ['DELETE', `${functions}/other/policy/s1`, undefined, missing, 'No policy is associated with the given resource.'],
  ['DELETE', `${functions}/fn/policy/none`, undefined, missing, 'Statement none is not found in resource policy.'],
  // Concurrency
  [
    'PUT',
    `/2017-10-31/functions/fn:1/concurrency`,
    () => ({ ReservedConcurrentExecutions: 1 }),
    invalid,
    'This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.',
  ],
  [
    'PUT',
    '/2017-10-31/functions/nowhere/concurrency',
    () => ({ ReservedConcurrentExecutions: 1 }),
    missing,
    `Function not found: ${arn}:nowhere:$LATEST`,
  ],
  [
    'PUT',
    '/2017-10-31/functions/fn/concurrency',
    () => ({ ReservedConcurrentExecutions: 1 }),
    invalid,
    " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2].",
  ],
  ['GET', '/2019-09-30/functions/nowhere/concurrency', undefined, missing, `Function not found: ${arn}:nowhere`],
  [
    'PUT',
    '/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=$LATEST',
    () => ({ ProvisionedConcurrentExecutions: 1 }),
    invalid,
    'Provisioned Concurrency Configs cannot be applied to unpublished function versions.',
  ],
  [
    'PUT',
    '/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=1',
    () => ({ ProvisionedConcurrentExecutions: 0 }),
    validation,
    one(
      "Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 1",
    ),
  ],
  [
    'PUT',
    '/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=live',
    () => ({ ProvisionedConcurrentExecutions: 1 }),
    conflict,
    "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
  ],
  [
    'PUT',
    '/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=1',
    () => ({ ProvisionedConcurrentExecutions: 1001 }),
    invalid,
    "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [1000].",
  ],
  [
    'PUT',
    '/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=1',
    () => ({ ProvisionedConcurrentExecutions: 901 }),
    invalid,
    "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
  ],
  [
    'PUT',
    '/2019-09-30/functions/nowhere/provisioned-concurrency?Qualifier=none',
    () => ({ ProvisionedConcurrentExecutions: 1 }),
    missing,
    `Cannot find alias arn: ${arn}:nowhere:none`,
  ],
  [
    'GET',
    '/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=live',
    undefined,
    'ProvisionedConcurrencyConfigNotFoundException',
    'No Provisioned Concurrency Config found for this function',
  ],
  [
    'GET',
    '/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=$LATEST',
    undefined,
    invalid,
    'The function resource provided must be an alias or a published version.',
  ],
  [
    'GET',
    '/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=10',
    undefined,
    missing,
    `Function not found: ${arn}:fn:10`,
  ],
  [
    'GET',
    '/2019-09-30/functions/nowhere/provisioned-concurrency?List=ALL',
    undefined,
    missing,
    `Function not found: ${arn}:nowhere`,
  ],
  // Event invoke configurations
  [
    'PUT',
    '/2019-09-25/functions/fn/event-invoke-config',
    () => ({}),
    invalid,
    'You must specify at least one of error handling or destination setting.',
  ],
  [
    'PUT',
    '/2019-09-25/functions/nowhere/event-invoke-config',
    () => ({ MaximumRetryAttempts: 1 }),
    missing,
    "The function doesn't exist.",
  ],
  [
    'PUT',
    '/2019-09-25/functions/fn:live/event-invoke-config?Qualifier=1',
    () => ({ MaximumRetryAttempts: 1 }),
    invalid,
    derived,
  ],
  [
    'PUT',
    '/2019-09-25/functions/fn/event-invoke-config',
    () => ({ DestinationConfig: { OnSuccess: { Destination: `${arn}:nowhere` } } }),
    invalid,
    `The destination ARN ${arn}:nowhere is invalid.`,
  ],
  [
    'PUT',
    '/2019-09-25/functions/fn/event-invoke-config',
    () => ({ DestinationConfig: { OnSuccess: { Destination: `${arn}:fn` } } }),
    invalid,
    "You can't specify the function as a destination for itself.",
  ],
  [
    'PUT',
    '/2019-09-25/functions/fn/event-invoke-config',
    () => ({
      DestinationConfig: { OnSuccess: { Destination: `arn:aws:iam:${region}:${accountId}:function:fn` } },
    }),
    invalid,
    `The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:iam:${region}:${accountId}:function:fn), onFailure=null) is invalid.`,
  ],
  [
    'POST',
    '/2019-09-25/functions/fn/event-invoke-config',
    () => ({ MaximumRetryAttempts: 1 }),
    missing,
    `The function ${arn}:fn:$LATEST doesn't have an EventInvokeConfig`,
  ],
  [
    'GET',
    '/2019-09-25/functions/nowhere/event-invoke-config',
    undefined,
    missing,
    `The function ${arn}:nowhere:$LATEST doesn't have an EventInvokeConfig`,
  ],
  [
    'DELETE',
    '/2019-09-25/functions/fn/event-invoke-config',
    undefined,
    missing,
    `The function ${arn}:fn:$LATEST doesn't have an EventInvokeConfig`,
  ],
  ['GET', '/2019-09-25/functions/nowhere/event-invoke-config/list', undefined, missing, "The function doesn't exist."],
  // Function URLs
  [
    'POST',
    '/2021-10-31/functions/fn/url?Qualifier=$LATEST',
    () => ({ AuthType: 'NONE' }),
    validation,
    urlQualifier('$LATEST'),
  ],
  ['POST', '/2021-10-31/functions/fn/url?Qualifier=1', () => ({ AuthType: 'NONE' }), validation, urlQualifier('1')],
  ['POST', '/2021-10-31/functions/nowhere/url', () => ({ AuthType: 'NONE' }), missing, 'Function does not exist'],
  [
    'POST',
    '/2021-10-31/functions/fn/url',
    () => ({ AuthType: 'NONE' }),
    conflict,
    `Failed to create function url config for [functionArn = ${arn}:fn]. Error message:  FunctionUrlConfig exists for this Lambda function`,
  ],
  ['GET', '/2021-10-31/functions/other/url', undefined, missing, gone],
  ['GET', '/2021-10-31/functions/nowhere/url', undefined, missing, gone],
  ['PUT', '/2021-10-31/functions/other/url', () => ({}), missing, gone],
  ['PUT', '/2021-10-31/functions/nowhere/url', () => ({}), missing, 'Function does not exist'],
  ['DELETE', '/2021-10-31/functions/other/url', undefined, missing, gone],
  ['GET', '/2021-10-31/functions/nowhere/urls', undefined, missing, 'Function does not exist'],
  // Layers
  ['GET', '/2018-10-31/layers/layer/versions/0', undefined, invalid, 'Layer Version Cannot be less than 1'],
  ['GET', '/2018-10-31/layers/layer/versions/7', undefined, missing, gone],
  ['DELETE', '/2018-10-31/layers/layer/versions/-1', undefined, invalid, 'Layer Version Cannot be less than 1'],
  [
    'GET',
    `/2018-10-31/layers?find=LayerVersion&Arn=${encoded(`${layerArn}:layer`)}`,
    undefined,
    validation,
    one(
      `Value '${layerArn}:layer' at 'arn' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)`,
    ),
  ],
  [
    'GET',
    '/2018-10-31/layers?CompatibleArchitecture=archdoesnotexist',
    undefined,
    validation,
    one(
      "Value 'archdoesnotexist' at 'compatibleArchitecture' failed to satisfy constraint: Member must satisfy enum value set: [x86_64, arm64]",
    ),
  ],
  [
    'POST',
    '/2018-10-31/layers/layer/versions',
    () => ({
      Content: { ZipFile },
      CompatibleRuntimes: ['invalidruntime'],
      CompatibleArchitectures: ['invalidarch'],
    }),
    validation,
    `2 validation errors detected: Value '[invalidruntime]' at 'compatibleRuntimes' failed to satisfy constraint: Member must satisfy enum value set: [${runtimes}]; Value '[invalidarch]' at 'compatibleArchitectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]`,
  ],
  [
    'POST',
    '/2018-10-31/layers/layer/versions/1/policy',
    () => ({ StatementId: 's2', Action: '*', Principal: '*' }),
    validation,
    one(
      "Value '*' at 'action' failed to satisfy constraint: Member must satisfy regular expression pattern: lambda:GetLayerVersion",
    ),
  ],
  [
    'POST',
    '/2018-10-31/layers/none/versions/1/policy',
    () => ({ StatementId: 's2', Action: 'lambda:GetLayerVersion', Principal: '*' }),
    missing,
    `Layer version ${layerArn}:none:1 does not exist.`,
  ],
  [
    'POST',
    '/2018-10-31/layers/layer/versions/1/policy',
    () => ({ StatementId: 's1', Action: 'lambda:GetLayerVersion', Principal: '*' }),
    conflict,
    'The statement id (s1) provided already exists. Please provide a new statement id, or remove the existing statement.',
  ],
  [
    'POST',
    `/2018-10-31/layers/layer/versions/1/policy?RevisionId=${revision}`,
    () => ({ StatementId: 's2', Action: 'lambda:GetLayerVersion', Principal: '*' }),
    precondition,
    'The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id',
  ],
  [
    'GET',
    '/2018-10-31/layers/layer/versions/2/policy',
    undefined,
    missing,
    'No policy is associated with the given resource.',
  ],
  [
    'DELETE',
    '/2018-10-31/layers/layer/versions/1/policy/none',
    undefined,
    missing,
    'Statement none is not found in resource policy.',
  ],
  // Tags
  [
    'GET',
    `/2017-03-31/tags/${encoded(`${arn}:fn:live`)}`,
    undefined,
    invalid,
    'Tags on function aliases and versions are not supported. Please specify a function ARN.',
  ],
  ['GET', `/2017-03-31/tags/${encoded(`${arn}:nowhere`)}`, undefined, missing, `Function not found: ${arn}:nowhere`],
  [
    'POST',
    `/2017-03-31/tags/${encoded(`${arn}:fn`)}`,
    () => ({ Tags: {} }),
    invalid,
    'An error occurred and the request cannot be processed.',
  ],
  [
    'DELETE',
    `/2017-03-31/tags/${encoded(`${arn}:fn`)}`,
    undefined,
    validation,
    one("Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"),
  ],
  [
    'GET',
    `/2017-03-31/tags/${encoded(`arn:aws:lambda:${region}:${accountId}:foobar:x`)}`,
    undefined,
    validation,
    one(
      `Value 'arn:aws:lambda:${region}:${accountId}:foobar:x' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)`,
    ),
  ],
  [
    'GET',
    `/2017-03-31/tags/${encoded(`arn:aws:lambda:${region}:${accountId}:capacity-provider:x`)}`,
    undefined,
    missing,
    `Capacity provider not found: arn:aws:lambda:${region}:${accountId}:capacity-provider:x`,
  ],
  // Code signing and recursion
  [
    'GET',
    `/2020-04-22/code-signing-configs/${encoded(csc)}`,
    undefined,
    missing,
    `The Lambda code signing configuration ${csc} can not be found.`,
  ],
  [
    'GET',
    '/2020-06-30/functions/nowhere/code-signing-config',
    undefined,
    missing,
    `Function not found: ${arn}:nowhere`,
  ],
  [
    'PUT',
    '/2020-06-30/functions/fn/code-signing-config',
    () => ({ CodeSigningConfigArn: csc }),
    'CodeSigningConfigNotFoundException',
    `The code signing configuration cannot be found. Check that the provided configuration is not deleted: ${csc}.`,
  ],
  [
    'PUT',
    '/2024-08-31/functions/fn/recursion-config',
    () => ({ RecursiveLoop: 'InvalidValue' }),
    validation,
    one(
      "Value 'InvalidValue' at 'recursiveLoop' failed to satisfy constraint: Member must satisfy enum value set: [Terminate, Allow]",
    ),
  ],
];

for (const [method, path, body, type, message] of cases) {
  test(`${method} ${path.slice(0, 90)}: ${message.slice(0, 60)}`, async () => {
    const answer = await call(world.endpoint, method, path, body?.());
    const member = capital.has(type) ? 'Message' : 'message';
    const expected = { ...(untyped.has(type) ? {} : { Type: 'User' }), [member]: message };
    assert.deepEqual([answer.status, answer.type, answer.body], [statusOf[type], type, expected]);
  });
}
