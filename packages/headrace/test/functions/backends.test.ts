import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { after, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { generateCertificates, needs, portOf, temporaryFolder } from '@headrace/testing';
import { functionVersion, Workbench } from './support.ts';

const bench = await Workbench.start();
let count = 0;

async function serve(
  handle: (request: IncomingMessage, body: Buffer, response: ServerResponse) => void,
): Promise<string> {
  const server: Server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => handle(request, Buffer.concat(pieces), response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${portOf(server)}`;
}

function add(url: string, timeoutSeconds = 5): string {
  const name = `h${++count}`;
  bench.set(functionVersion(name, { code: { kind: 'http', url }, timeoutSeconds }));
  return name;
}

test('an HTTP endpoint gets the event as it is, with id, deadline, ARN and trace', async () => {
  let seen: IncomingMessage | undefined;
  let body = '';
  const url = await serve((request, bytes, response) => {
    seen = request;
    body = bytes.toString();
    response.end('{"ok":1}');
  });
  const name = add(`${url}/in?x=1`);
  const event = Buffer.from('{"n":12345678901234567890, "n":1}');
  const outcome = await bench.engine.invoke(name, event, { requestId: 'r-1', traceHeader: 'Root=1-2-3' });
  assert.ok(outcome.kind === 'success');
  assert.equal(outcome.payload.toString(), '{"ok":1}');
  assert.equal(body, event.toString());
  assert.deepEqual([seen?.method, seen?.url], ['POST', '/in?x=1']);
  assert.equal(seen?.headers['content-type'], 'application/json');
  assert.equal(seen?.headers['lambda-runtime-aws-request-id'], 'r-1');
  assert.equal(seen?.headers['lambda-runtime-invoked-function-arn'], functionVersion(name, {}).functionArn);
  assert.equal(seen?.headers['x-amzn-trace-id'], 'Root=1-2-3');
  assert.ok(Math.abs(Number(seen?.headers['lambda-runtime-deadline-ms']) - Date.now() - 5_000) < 3_000);
});

for (const [what, status, headers, body, expected] of [
  ['an empty answer is null', 204, {}, '', { kind: 'success', payload: 'null' }],
  [
    'the function error header',
    200,
    { 'X-Amz-Function-Error': 'Unhandled' },
    '{"errorType":"E"}',
    { kind: 'function-error', reason: 'error', payload: '{"errorType":"E"}' },
  ],
  [
    "a time-out of the other end's function",
    200,
    { 'X-Amz-Function-Error': 'Unhandled' },
    '{"errorType":"Sandbox.Timedout"}',
    { kind: 'function-error', reason: 'timeout' },
  ],
  ['429 with Retry-After', 429, { 'Retry-After': '7' }, '', { kind: 'throttled', retryAfterMilliseconds: 7_000 }],
  ['429 without', 429, {}, '', { kind: 'throttled', retryAfterMilliseconds: undefined }],
  ['413', 413, {}, '', { kind: 'too-large', limitBytes: 6_291_456 }],
  ['408', 408, {}, '', { kind: 'throttled' }],
  ['425', 425, {}, '', { kind: 'throttled' }],
  ['502', 502, {}, '', { kind: 'unavailable', status: 502 }],
  ['503', 503, {}, '', { kind: 'unavailable', status: 503 }],
  ['504', 504, {}, '', { kind: 'unavailable', status: 504 }],
  ['400', 400, {}, 'bad', { kind: 'function-error', reason: 'error' }],
  ['500', 500, {}, 'oops', { kind: 'function-error', reason: 'error' }],
  ['a redirect', 302, { Location: 'http://127.0.0.1:1/' }, '', { kind: 'function-error', reason: 'error' }],
  ['an answer over 6 MB', 200, {}, 'x'.repeat(6_291_557), { kind: 'function-error', reason: 'response-too-large' }],
] as const) {
  test(`an HTTP endpoint's answer: ${what}`, async () => {
    const url = await serve((_request, _body, response) => response.writeHead(status, headers).end(body));
    const outcome = (await bench.invoke(add(url))) as unknown as Record<string, unknown>;
    for (const [key, value] of Object.entries(expected)) {
      assert.deepEqual(key === 'payload' ? String(outcome[key]) : outcome[key], value, key);
    }
  });
}

test('an endpoint that cannot be reached or breaks off is unavailable', async () => {
  assert.equal((await bench.invoke(add('http://127.0.0.1:1/'))).kind, 'unavailable');
  const url = await serve((request) => request.socket.destroy());
  assert.equal((await bench.invoke(add(url))).kind, 'unavailable');
  const halfway = await serve((_request, _body, response) => {
    response.writeHead(200, { 'Content-Length': '10' });
    response.write('12345', () => response.destroy());
  });
  assert.equal((await bench.invoke(add(halfway))).kind, 'unavailable');
});

test('an endpoint that does not answer in time is a time-out', async () => {
  const failure = await bench.failure(add(await serve(() => {}), 1));
  assert.deepEqual([failure.errorType, failure.reason], ['Sandbox.Timedout', 'timeout']);
});

test('an HTTPS endpoint is called when its certificate is good, and not otherwise', {
  skip: needs('openssl'),
}, async () => {
  const folder = temporaryFolder('backends');
  after(() => rmSync(folder, { recursive: true, force: true }));
  const { authority, server: pair } = await generateCertificates(folder);
  let connections = 0;
  const server = createHttpsServer({ key: pair.key, cert: pair.certificate }, (_request, response) =>
    response.end('"safe"'),
  );
  server.on('secureConnection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `https://127.0.0.1:${portOf(server)}/`;
  const refused = await bench.invoke(add(url));
  assert.match(refused.kind === 'unavailable' ? refused.message : '', /cannot be reached: .*certificate/);
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, authority]);
  after(() => setDefaultCACertificates(before));
  const name = add(url);
  assert.equal(await bench.result(name), 'safe');
  const established = connections;
  assert.equal(await bench.result(name), 'safe');
  assert.equal(connections, established, 'the connection is used again');
});

test('reserved concurrency holds for backends too', async () => {
  const waiting: ServerResponse[] = [];
  const name = add(await serve((_request, _body, response) => waiting.push(response)));
  bench.engine.setReservedConcurrency(name, 1);
  const first = bench.invoke(name);
  assert.equal((await bench.invoke(name)).kind, 'throttled');
  while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
  waiting[0]!.end('1');
  assert.equal((await first).kind, 'success');
});

test("a real Lambda function's answers become the same outcomes", async () => {
  const arn = 'arn:aws:lambda:eu-west-1:123456789012:function:far:live';
  let answer: { status: number; headers: Record<string, string>; body: string } = {
    status: 200,
    headers: {},
    body: '',
  };
  const paths: string[] = [];
  const bodies: string[] = [];
  const url = await serve((request, body, response) => {
    paths.push(`${request.method} ${decodeURIComponent(request.url ?? '')}`);
    bodies.push(body.toString());
    response.writeHead(answer.status, {
      'Content-Type': 'application/json',
      'x-amzn-RequestId': 'far-1',
      ...answer.headers,
    });
    response.end(answer.body);
  });
  const saved = { ...process.env };
  Object.assign(process.env, { AWS_ENDPOINT_URL_LAMBDA: url, AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' });
  after(() => {
    for (const key of ['AWS_ENDPOINT_URL_LAMBDA', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) {
      if (saved[key] === undefined) delete process.env[key];
      else process.env[key] = saved[key];
    }
  });
  bench.set(functionVersion('far', { code: { kind: 'aws', arn } }));
  const invoke = async (
    status: number,
    headers: Record<string, string>,
    body: string,
  ): Promise<Record<string, unknown>> => {
    answer = { status, headers, body };
    return (await bench.invoke('far', { e: 1 }, { logTail: true })) as unknown as Record<string, unknown>;
  };
  const success = await invoke(
    200,
    { 'X-Amz-Executed-Version': '5', 'X-Amz-Log-Result': Buffer.from('tail').toString('base64') },
    '[1]',
  );
  assert.deepEqual(
    [
      success['kind'],
      success['requestId'],
      success['executedVersion'],
      String(success['payload']),
      String(success['logTail']),
    ],
    ['success', 'far-1', '5', '[1]', 'tail'],
  );
  assert.deepEqual(paths[0], `POST /2015-03-31/functions/${arn}/invocations`);
  assert.equal(bodies[0], '{"e":1}');
  const failure = await invoke(200, { 'X-Amz-Function-Error': 'Unhandled' }, '{"errorType":"Runtime.ExitError"}');
  assert.deepEqual([failure['kind'], failure['reason']], ['function-error', 'exit']);
  const busy = await invoke(
    429,
    { 'x-amzn-ErrorType': 'TooManyRequestsException', 'Retry-After': '2' },
    '{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}',
  );
  assert.deepEqual(busy, {
    kind: 'throttled',
    reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
    retryAfterMilliseconds: 2_000,
  });
  assert.equal(
    (await invoke(404, { 'x-amzn-ErrorType': 'ResourceNotFoundException' }, '{"Message":"gone"}'))['kind'],
    'not-found',
  );
  assert.equal((await invoke(413, { 'x-amzn-ErrorType': 'RequestTooLargeException' }, '{}'))['kind'], 'too-large');
  const down = await invoke(500, { 'x-amzn-ErrorType': 'ServiceException' }, '{"Message":"m"}');
  assert.deepEqual([down['kind'], down['status'], down['type']], ['unavailable', 500, 'ServiceException']);
  assert.equal(paths.length, 6, 'the SDK does not retry by itself');
});
