import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  CreateFunctionCommand,
  GetFunctionCommand,
  InvokeCommand,
  LambdaClient,
  UpdateFunctionCodeCommand,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { type Engine, startEngine } from '../src/engine.ts';

let engine: Engine;
let client: LambdaClient;
let allowed: string;
let outside: string;

before(async () => {
  allowed = realpathSync(mkdtempSync(join(tmpdir(), 'headrace-code-')));
  outside = realpathSync(mkdtempSync(join(tmpdir(), 'headrace-outside-')));
  mkdirSync(join(allowed, 'functions', 'hello'), { recursive: true });
  writeFileSync(join(allowed, 'shared.mjs'), "export const word = 'first';");
  writeFileSync(
    join(allowed, 'functions', 'hello', 'index.mjs'),
    "import { word } from '../../shared.mjs';\nexport const handler = async () => word;",
  );
  writeFileSync(join(outside, 'index.mjs'), 'export const handler = async () => 1;');
  symlinkSync(outside, join(allowed, 'way-out'));
  engine = await startEngine({ dataDirectory: ':memory:', port: 0, codeFolders: [allowed] });
  client = clientOf(engine);
});

after(async () => {
  client.destroy();
  await engine.stop();
  for (const folder of [allowed, outside]) rmSync(folder, { recursive: true, force: true });
});

const clientOf = ({ endpoint, region, clientCredentials }: Engine): LambdaClient =>
  new LambdaClient({ endpoint, region, credentials: clientCredentials(), maxAttempts: 1 });

const create = (lambda: LambdaClient, name: string, folder: string, more: object = {}) =>
  lambda.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Role: 'arn:aws:iam::123456789012:role/lambda',
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Code: { S3Bucket: 'hot-reload', S3Key: folder, ...more },
    }),
  );

const invoke = async (name: string): Promise<string> => {
  const { Payload } = await client.send(new InvokeCommand({ FunctionName: name }));
  return Buffer.from(Payload ?? []).toString();
};

test('a function made of a folder uses it in place, imports from above it included; an update takes the edit', async () => {
  const folder = join(allowed, 'functions', 'hello');
  await create(client, 'hello', folder);
  assert.equal(await invoke('hello'), '"first"');
  const { Code } = await client.send(new GetFunctionCommand({ FunctionName: 'hello' }));
  assert.deepEqual([Code?.RepositoryType, Code?.Location], ['Folder', `file://${folder}`]);

  writeFileSync(join(allowed, 'shared.mjs'), "export const word = 'second';");
  await client.send(new UpdateFunctionCodeCommand({ FunctionName: 'hello', S3Bucket: 'hot-reload', S3Key: folder }));
  await waitUntilFunctionUpdatedV2({ client, maxWaitTime: 10 }, { FunctionName: 'hello' });
  assert.equal(await invoke('hello'), '"second"');
});

test('a folder that is not allowed is refused, by whatever way it is named', async () => {
  const refusals: [folder: string, message: RegExp, more?: object][] = [
    [outside, /lies outside the folders that code may be used from: .*--code-folder/],
    [join(allowed, 'way-out'), /lies outside/],
    [join(allowed, '..', outside.split('/').at(-1)!), /lies outside/],
    [`${allowed}-beside`, /there is no folder/],
    [join(allowed, 'shared.mjs'), /there is no folder/],
    [join(allowed, 'nowhere'), /there is no folder/],
    ['functions/hello', /must be the absolute path/],
    [join(allowed, 'functions', 'hello'), /has no versions/, { S3ObjectVersion: '1' }],
  ];
  for (const [folder, message, more] of refusals) {
    await assert.rejects(create(client, 'refused', folder, more), (error: Error) => {
      assert.equal(error.name, 'InvalidParameterValueException', folder);
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(client.send(new GetFunctionCommand({ FunctionName: 'refused' })), /Function not found/);
});

test('without a folder of the operator, none is taken, and the answer names the flag', async () => {
  const closed = await startEngine({ dataDirectory: ':memory:', port: 0 });
  const lambda = clientOf(closed);
  try {
    await assert.rejects(create(lambda, 'hello', allowed), /none is allowed here: start the engine with --code-folder/);
  } finally {
    lambda.destroy();
    await closed.stop();
  }
  await assert.rejects(
    startEngine({ dataDirectory: ':memory:', port: 0, codeFolders: [join(allowed, 'nowhere')] }),
    /--code-folder .*nowhere is not a folder that can be read/,
  );
});
