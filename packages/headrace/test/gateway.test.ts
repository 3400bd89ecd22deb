import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Sha256 } from '@aws-crypto/sha256-js';
import { GetFunctionCommand, LambdaClient, ListFunctionsCommand } from '@aws-sdk/client-lambda';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { temporaryFolder } from '@headrace/testing';
import { SignatureV4 } from '@smithy/signature-v4';
import { anyOf, readCredentials, TemporaryKeys } from '../src/gateway/credentials.ts';
import type { Api, ApiRequest } from '../src/gateway/route.ts';
import { createGateway } from '../src/gateway/server.ts';
import { operations } from '../src/lambda-api/model.ts';
import { createStsApi } from '../src/sts-api/api.ts';
import { accountId, call, region, role, startApi, zipOf } from './api-world.ts';

const owner = { accessKeyId: 'AKIAOWNER', secretAccessKey: 'correct horse battery staple' };
const keyFile = `[default]\naws_access_key_id = ${owner.accessKeyId}\naws_secret_access_key=${owner.secretAccessKey}\n`;

function credentialsFile(text: string): { file: string; remove: () => void } {
  const folder = temporaryFolder('credentials');
  const file = join(folder, 'credentials');
  writeFileSync(file, text);
  return { file, remove: () => rmSync(folder, { recursive: true }) };
}

/** A request with headers that fetch does not let through. */
function rawRequest(
  endpoint: string,
  path: string,
  headers: Record<string, string>,
  method = 'GET',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${endpoint}${path}`, { method, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('error', reject);
    request.end();
  });
}

test('with credentials no route answers an unsigned or wrongly signed request', async (t) => {
  const { file, remove } = credentialsFile(keyFile);
  t.after(remove);
  const sts = createStsApi({ accountId, issueKey: (name) => new TemporaryKeys().issue(name) });
  await using world = await startApi({ gateway: { credentials: readCredentials(file), apis: [sts] } });
  const paths = [...operations.values()].map(({ method, path }) => [method, path.replace(/\{\w+\}/g, 'x')] as const);
  paths.push(['GET', '/headrace/v1/mappings'], ['GET', '/metrics'], ['GET', '/'], ['POST', '/']);
  paths.push(['GET', `/headrace/v1/code/${'0'.repeat(64)}.zip`], ['GET', '/nowhere']);
  for (const [method, path] of paths) {
    const unsigned = await call(world.endpoint, method, path);
    assert.deepEqual(
      [method, path, unsigned.status, unsigned.type],
      [method, path, 403, 'MissingAuthenticationTokenException'],
    );
  }
  const client = (credentials: typeof owner): LambdaClient =>
    new LambdaClient({ region, endpoint: world.endpoint, credentials, maxAttempts: 1 });
  await assert.rejects(client({ ...owner, secretAccessKey: 'wrong' }).send(new ListFunctionsCommand({})), {
    name: 'InvalidSignatureException',
  });
  await assert.rejects(client({ ...owner, accessKeyId: 'AKIANOBODY' }).send(new ListFunctionsCommand({})), {
    name: 'UnrecognizedClientException',
  });
  assert.deepEqual((await client(owner).send(new ListFunctionsCommand({}))).Functions, []);
  const arn = `arn:aws:lambda:${region}:${accountId}:function:no such $name`;
  // A path with characters that are escaped twice is signed rightly too: the refusal is the API's.
  await assert.rejects(client(owner).send(new GetFunctionCommand({ FunctionName: arn })), {
    name: 'ValidationException',
  });
  const identity = await new STSClient({ region, endpoint: world.endpoint, credentials: owner }).send(
    new GetCallerIdentityCommand({}),
  );
  assert.deepEqual([identity.Account, identity.Arn], [accountId, `arn:aws:iam::${accountId}:user/AKIAOWNER`]);
});

test('a changed body, an old date and a signature for another service are refused', async (t) => {
  const { file, remove } = credentialsFile(keyFile);
  t.after(remove);
  await using world = await startApi({ gateway: { credentials: readCredentials(file) } });
  const { host } = new URL(world.endpoint);
  const sign = async (options: { service?: string; signingDate?: Date }): Promise<Record<string, string>> => {
    const signer = new SignatureV4({
      credentials: owner,
      region,
      service: options.service ?? 'lambda',
      sha256: Sha256,
    });
    const request = {
      method: 'POST',
      protocol: 'http:',
      hostname: '127.0.0.1',
      path: '/2015-03-31/functions/',
      headers: { host, 'content-type': 'application/json' },
      body: '{"a":1}',
    };
    const signed = await signer.sign(request, { signingDate: options.signingDate ?? new Date() });
    return signed.headers;
  };
  const send = async (headers: Record<string, string>, body: string): Promise<string> => {
    const { host: _host, ...rest } = headers;
    return (await call(world.endpoint, 'POST', '/2015-03-31/functions/', body, rest)).type ?? '';
  };
  assert.equal(await send(await sign({}), '{"a":1}'), 'ValidationException');
  assert.equal(await send(await sign({}), '{"a":2}'), 'InvalidSignatureException');
  const old = await sign({ signingDate: new Date(Date.now() - 600_000) });
  assert.equal(await send(old, '{"a":1}'), 'InvalidSignatureException');
  assert.equal(await send(await sign({ service: 's3' }), '{"a":1}'), 'InvalidSignatureException');
});

test('a presigned request is good until it expires, and for nothing else', async (t) => {
  const { file, remove } = credentialsFile(keyFile);
  t.after(remove);
  let now = Date.now();
  await using world = await startApi({ gateway: { credentials: readCredentials(file), now: () => now } });
  const { host, port } = new URL(world.endpoint);
  const signer = new SignatureV4({ credentials: owner, region, service: 'lambda', sha256: Sha256 });
  const signed = await signer.presign(
    {
      method: 'GET',
      protocol: 'http:',
      hostname: '127.0.0.1',
      port: Number(port),
      path: '/2015-03-31/functions',
      headers: { host },
    },
    { expiresIn: 60 },
  );
  const query = new URLSearchParams(signed.query as Record<string, string>);
  const listed = await call(world.endpoint, 'GET', `/2015-03-31/functions?${query}`);
  assert.equal(listed.status, 200);
  const other = await call(world.endpoint, 'GET', `/2016-08-19/account-settings?${query}`);
  assert.equal(other.type, 'InvalidSignatureException');
  now += 61_000;
  const late = await call(world.endpoint, 'GET', `/2015-03-31/functions?${query}`);
  assert.equal(late.type, 'InvalidSignatureException');
});

test("an environment's temporary keys are accepted with their token only", async (t) => {
  const { file, remove } = credentialsFile(keyFile);
  t.after(remove);
  const keys = new TemporaryKeys();
  await using world = await startApi({ gateway: { credentials: anyOf(readCredentials(file), keys) } });
  const key = keys.issue('my-function');
  const list = (credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }) =>
    new LambdaClient({ region, endpoint: world.endpoint, credentials, maxAttempts: 1 }).send(
      new ListFunctionsCommand({}),
    );
  assert.deepEqual((await list(key)).Functions, []);
  const { sessionToken: _token, ...bare } = key;
  await assert.rejects(list(bare), { name: 'UnrecognizedClientException' });
  await assert.rejects(list({ ...key, sessionToken: new TemporaryKeys().issue('my-function').sessionToken }), {
    name: 'UnrecognizedClientException',
  });
});

test("a session's keys end when they say, and its token cannot be given another end", () => {
  let now = 1_000;
  const keys = new TemporaryKeys(() => now);
  const { accessKeyId, sessionToken } = keys.issue('role/session', 5_000);
  assert.equal(keys.find(accessKeyId, sessionToken)?.principal, 'function:role/session');
  const [name, , proof] = sessionToken.split('.');
  for (const end of ['', '9000']) assert.equal(keys.find(accessKeyId, `${name}.${end}.${proof}`), undefined);
  now = 5_000;
  assert.equal(keys.find(accessKeyId, sessionToken), undefined);
});

test('a credentials file without a secret is refused by section, and without showing what it holds', (t) => {
  const { file, remove } = credentialsFile('[team]\naws_access_key_id = AKIA\n');
  t.after(remove);
  assert.throws(() => readCredentials(file), { code: 'CONFIGURATION', message: /section \[team\] has no aws_secret/ });
});

test('any address but a loopback one needs credentials', async () => {
  await assert.rejects(createGateway({ apis: [], host: '0.0.0.0' }), {
    code: 'CONFIGURATION',
    message: /give --credentials FILE, or listen on 127\.0\.0\.1/,
  });
});

test('a port that is taken is named', async () => {
  await using world = await startApi();
  await assert.rejects(createGateway({ apis: [], port: world.gateway.port }), { code: 'PORT_IN_USE' });
});

test('web pages of other origins and foreign host names are turned away', async () => {
  await using world = await startApi();
  const { port } = new URL(world.endpoint);
  const path = '/2015-03-31/functions';
  const status = async (headers: Record<string, string>): Promise<number> =>
    (await rawRequest(world.endpoint, path, headers)).status;
  assert.equal(await status({ host: `127.0.0.1:${port}` }), 200);
  assert.equal(await status({ host: `localhost:${port}` }), 200);
  assert.equal(await status({ host: `console.localhost:${port}` }), 200);
  assert.equal(await status({ host: `evil.example.com:${port}` }), 403);
  assert.equal(await status({ host: `127.0.0.1.evil.example.com:${port}` }), 403);
  assert.equal(await status({ host: `127.0.0.1:${port}`, origin: 'http://evil.example.com' }), 403);
  assert.equal(await status({ host: `127.0.0.1:${port}`, origin: 'null' }), 403);
  assert.equal(await status({ host: `127.0.0.1:${port}`, 'sec-fetch-site': 'cross-site' }), 403);
  assert.equal(await status({ host: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}` }), 200);
});

test('what is too large is refused before it is read, and what is too slow is ended', async () => {
  await using world = await startApi({ gateway: { maximumBodyBytes: 1_000, requestTimeoutMilliseconds: 1_000 } });
  const large = await call(world.endpoint, 'POST', '/2015-03-31/functions', 'x'.repeat(2_000));
  assert.deepEqual([large.status, large.type], [413, 'RequestEntityTooLargeException']);
  const chunked = await fetch(`${world.endpoint}/2015-03-31/functions`, {
    method: 'POST',
    body: new Blob(['x'.repeat(2_000)]).stream(),
    duplex: 'half',
  } as RequestInit);
  assert.equal(chunked.status, 413);
  const slow = 'POST /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{';
  const answer = await exchange(world.gateway.port, slow);
  assert.match(answer, /^HTTP\/1\.1 408 .*x-amzn-RequestId: [0-9a-f-]{36}/is);
  for (const [text, status] of [
    ['no request at all\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 403],
  ] as const) {
    const refused = await exchange(world.gateway.port, text);
    assert.match(refused, new RegExp(`^HTTP/1\\.1 ${status} .*x-amzn-RequestId: [0-9a-f-]{36}`, 'is'));
  }
});

/** Sends these bytes and gives back what came until the connection was closed. */
function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

test('without a known key a large body is refused before it is sent, in one piece or in chunks', async (t) => {
  const { file, remove } = credentialsFile(keyFile);
  t.after(remove);
  await using world = await startApi({ gateway: { credentials: readCredentials(file) } });
  const unknown =
    'Authorization: AWS4-HMAC-SHA256 Credential=AKIANOBODY/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, ' +
    `Signature=${'0'.repeat(64)}\r\nX-Amz-Date: 20260101T000000Z\r\n`;
  const send = (headers: string, body: string): Promise<string> =>
    exchange(world.gateway.port, `POST /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n${body}`);
  // The body is never sent: an answer means that nobody waited for it.
  assert.match(await send('Content-Length: 60000000\r\n', ''), /^HTTP\/1\.1 403 .*MissingAuthenticationToken/s);
  assert.match(await send(`Content-Length: 60000000\r\n${unknown}`, ''), /^HTTP\/1\.1 403 .*UnrecognizedClient/s);
  const chunk = `${(2 << 20).toString(16)}\r\n${'x'.repeat(2 << 20)}\r\n`;
  assert.match(await send('Transfer-Encoding: chunked\r\n', chunk), /^HTTP\/1\.1 403 /);
});

test('a request for a service that lives elsewhere says how to reach it', async () => {
  await using world = await startApi();
  const authorization = `AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`;
  const headers = { authorization, 'x-amz-date': '20260101T000000Z' };
  const { status, body } = await call(world.endpoint, 'PUT', '/bucket/key', 'x', headers);
  assert.equal(status, 404);
  assert.match(String(body['message']), /^The service s3 is not offered here: .* AWS_ENDPOINT_URL_S3 /);
});

test('requests are told apart by signature, target header and path', async () => {
  const seen: string[] = [];
  const api = (service: string, paths: string[]): Api => ({
    service,
    async handle({ path }: ApiRequest) {
      seen.push(service);
      return paths.includes(path) ? { status: 200, body: { service } } : undefined;
    },
  });
  const gateway = await createGateway({
    apis: [api('lambda', ['/functions']), api('sagemaker', ['/endpoints/e', '/']), api('dynamodb', ['/'])],
  });
  try {
    const signedFor = (service: string): Record<string, string> => ({
      authorization: `AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`,
      'x-amz-date': '20260101T000000Z',
    });
    const answer = async (path: string, headers: Record<string, string>): Promise<unknown> =>
      (await call(gateway.endpoint, 'GET', path, undefined, headers)).body['service'];
    assert.equal(await answer('/endpoints/e', {}), 'sagemaker');
    assert.equal(await answer('/', signedFor('dynamodb')), 'dynamodb');
    assert.equal(await answer('/', { 'x-amz-target': 'DynamoDB_20120810.ListTables' }), 'dynamodb');
    seen.length = 0;
    const lost = await call(gateway.endpoint, 'GET', '/endpoints/e', undefined, signedFor('lambda'));
    assert.deepEqual([lost.status, lost.type, seen], [404, 'UnknownOperationException', ['lambda']]);
  } finally {
    await gateway.close(0);
  }
});

test('every answer carries its request id, also one to a defect, which is reported with it', async () => {
  const defects: string[] = [];
  const gateway = await createGateway({
    apis: [{ service: 'broken', handle: () => Promise.reject(new Error('a defect')) }],
    onError: (error, { requestId }) => defects.push(`${requestId} ${(error as Error).message}`),
  });
  try {
    const answer = await call(gateway.endpoint, 'GET', '/');
    assert.equal(answer.status, 500);
    assert.doesNotMatch(JSON.stringify(answer.body), /defect/);
    assert.deepEqual(defects, [`${answer.headers.get('x-amzn-requestid')} a defect`]);
  } finally {
    await gateway.close(0);
  }
});

test('a function URL hands the request over in payload format 2.0 and gives the answer back', async () => {
  await using world = await startApi();
  const ZipFile = (await zipOf({ 'index.mjs': '' })).toString('base64');
  const body = { FunctionName: 'web', Role: role, Runtime: 'nodejs22.x', Handler: 'index.handler', Code: { ZipFile } };
  await call(world.endpoint, 'POST', '/2015-03-31/functions', body);
  const made = await call(world.endpoint, 'POST', '/2021-10-31/functions/web/url', {
    AuthType: 'NONE',
    Cors: { AllowOrigins: ['https://app.example.com'] },
  });
  const { host } = new URL(String(made.body['FunctionUrl']));
  const answer = {
    statusCode: 201,
    headers: { 'X-Colour': 'blue' },
    body: Buffer.from('made').toString('base64'),
    isBase64Encoded: true,
  };
  const executed = { requestId: 'r', executedVersion: '$LATEST', durationMilliseconds: 1 };
  world.engine.outcome = { ...executed, kind: 'success', payload: Buffer.from(JSON.stringify(answer)) };
  const served = await rawRequest(
    world.endpoint,
    '/a/b?c=1&c=2',
    { host, origin: 'https://app.example.com', cookie: 'x=1; y=2' },
    'GET',
  );
  assert.deepEqual([served.status, served.body], [201, 'made']);
  const event = JSON.parse(world.engine.calls.at(-1)!.payload);
  assert.deepEqual(
    [event.version, event.rawPath, event.rawQueryString, event.queryStringParameters, event.cookies],
    ['2.0', '/a/b', 'c=1&c=2', { c: '1,2' }, ['x=1', 'y=2']],
  );
  assert.equal(event.requestContext.http.method, 'GET');
  // Names are letters and digits, so either may be the first one.
  const stranger = host.replace(/^./, (first) => (first === '0' ? '1' : '0'));
  assert.equal((await rawRequest(world.endpoint, '/', { host: stranger })).status, 403);
});
