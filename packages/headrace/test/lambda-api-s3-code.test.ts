import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import {
  CreateFunctionCommand,
  GetFunctionCommand,
  GetLayerVersionCommand,
  LambdaClient,
  PublishLayerVersionCommand,
  UpdateFunctionCodeCommand,
} from '@aws-sdk/client-lambda';
import { CreateBucketCommand, PutBucketVersioningCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type Moto, needs, startMoto } from '@headrace/testing';
import { ZipFile } from 'yazl';
import { region, role, startApi, zipOf } from './api-world.ts';

const skip = needs('python');
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
let moto: Moto;
let world: Awaited<ReturnType<typeof startApi>>;
let client: LambdaClient;
let s3: S3Client;

before(async () => {
  if (skip) return;
  moto = await startMoto();
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_S3: moto.endpoint,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  });
  world = await startApi();
  client = new LambdaClient({ region, endpoint: world.endpoint, credentials, maxAttempts: 1 });
  s3 = new S3Client({ region, endpoint: moto.endpoint, credentials, forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: 'code' }));
  const VersioningConfiguration = { Status: 'Enabled' as const };
  await s3.send(new PutBucketVersioningCommand({ Bucket: 'code', VersioningConfiguration }));
});

after(async () => {
  if (skip) return;
  s3.destroy();
  client.destroy();
  await world[Symbol.asyncDispose]();
  await moto.stop();
});

/** Puts a package with this text and says under which version, and what its digest is. */
async function put(Key: string, Body: Buffer): Promise<{ S3ObjectVersion: string; digest: string }> {
  const { VersionId } = await s3.send(new PutObjectCommand({ Bucket: 'code', Key, Body }));
  return { S3ObjectVersion: VersionId!, digest: createHash('sha256').update(Body).digest('base64') };
}

const packageOf = (text: string): Promise<Buffer> => zipOf({ 'index.mjs': text });

const create = (FunctionName: string, Code: { S3Bucket: string; S3Key: string; S3ObjectVersion?: string }) =>
  client.send(
    new CreateFunctionCommand({ FunctionName, Role: role, Runtime: 'nodejs22.x', Handler: 'index.handler', Code }),
  );

test('code comes from a bucket, in the version that is named', { skip }, async () => {
  const [first, second] = await Promise.all([packageOf('export const handler = 1;'), packageOf('2')]);
  const old = await put('function.zip', first);
  const newest = await put('function.zip', second);
  const made = await create('from-s3', { S3Bucket: 'code', S3Key: 'function.zip' });
  assert.deepEqual([made.CodeSha256, made.CodeSize], [newest.digest, second.length]);
  const { Code } = await client.send(new GetFunctionCommand({ FunctionName: 'from-s3' }));
  const download = await fetch(Code!.Location!);
  assert.deepEqual(Buffer.from(await download.arrayBuffer()), second);
  const { S3ObjectVersion } = old;
  const changed = await client.send(
    new UpdateFunctionCodeCommand({
      FunctionName: 'from-s3',
      S3Bucket: 'code',
      S3Key: 'function.zip',
      S3ObjectVersion,
    }),
  );
  assert.equal(changed.CodeSha256, old.digest);
});

test('a layer comes from a bucket', { skip }, async () => {
  const layer = await zipOf({ 'nodejs/node_modules/word/index.mjs': "export default 'word';" });
  const { digest } = await put('layers/word.zip', layer);
  const Content = { S3Bucket: 'code', S3Key: 'layers/word.zip' };
  const made = await client.send(new PublishLayerVersionCommand({ LayerName: 'word', Content }));
  assert.deepEqual([made.Version, made.Content?.CodeSha256, made.Content?.CodeSize], [1, digest, layer.length]);
  const found = await client.send(new GetLayerVersionCommand({ LayerName: 'word', VersionNumber: 1 }));
  const download = await fetch(found.Content!.Location!);
  assert.deepEqual(Buffer.from(await download.arrayBuffer()), layer);
});

test("a bucket, a key or an object that cannot be used is the caller's error, in AWS's words", { skip }, async () => {
  await put('text.txt', Buffer.from('no zip'));
  const refused = async (S3Bucket: string, S3Key: string, message: RegExp): Promise<void> => {
    await assert.rejects(create('refused', { S3Bucket, S3Key }), { name: 'InvalidParameterValueException', message });
  };
  await refused(
    'code',
    'nowhere.zip',
    /^Error occurred while GetObject\. S3 Error Code: NoSuchKey\. S3 Error Message: /,
  );
  await refused('no-such-bucket', 'a.zip', /^Error occurred while GetObject\. S3 Error Code: NoSuchBucket\. /);
  await refused('code', 'text.txt', /^Could not unzip uploaded file\. /);
  await assert.rejects(client.send(new GetFunctionCommand({ FunctionName: 'refused' })), {
    name: 'ResourceNotFoundException',
  });
});

test('a package from a bucket may be larger than one in a request; what cannot fit is not read', { skip }, async () => {
  const zip = new ZipFile();
  zip.addBuffer(Buffer.alloc(51 << 20), 'zeros', { compress: false });
  zip.end();
  const large = await buffer(zip.outputStream);
  assert.ok(large.length > 52_428_800, `${large.length} bytes`);
  await put('large.zip', large);
  const made = await create('large', { S3Bucket: 'code', S3Key: 'large.zip' });
  assert.equal(made.CodeSize, large.length);
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': 300_000_000 }).write('PK');
  }).listen(0, '127.0.0.1');
  const before = process.env['AWS_ENDPOINT_URL_S3'];
  try {
    await new Promise((resolve) => server.once('listening', resolve));
    process.env['AWS_ENDPOINT_URL_S3'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await assert.rejects(create('huge', { S3Bucket: 'code', S3Key: 'huge.zip' }), {
      message: 'Unzipped size must be smaller than 262144000 bytes',
    });
  } finally {
    process.env['AWS_ENDPOINT_URL_S3'] = before;
    server.closeAllConnections();
    server.close();
  }
});
