import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { eventually } from '@headrace/testing';
import type { Invocation } from '../../src/functions/invocation.ts';
import { normalErrorType, RuntimeApi, type RuntimeDelegate } from '../../src/functions/runtime-api.ts';
import { functionVersion, Workbench } from './support.ts';

/** A Runtime API whose environment only writes down what it hears. */
class Station implements RuntimeDelegate {
  readonly heard: string[] = [];
  readonly api = new RuntimeApi(this, { request: () => false, closed: () => {} });

  static async open(): Promise<Station> {
    const station = new Station();
    await station.api.listen();
    after(() => station.api.close());
    return station;
  }

  runtimeNext(): void {
    this.heard.push('next');
  }
  runtimeResponse(body: Buffer): void {
    this.heard.push(`response ${body.length > 40 ? body.length : body}`);
  }
  runtimeResponseTooLarge(): void {
    this.heard.push('too large');
  }
  runtimeStream(head: { contentType: string }) {
    this.heard.push(`stream ${head.contentType}`);
    return {
      data: (piece: Buffer) => void this.heard.push(`piece ${piece}`),
      end: (error: { errorType: string; body: Buffer } | undefined) =>
        void this.heard.push(error === undefined ? 'end' : `end ${error.errorType} ${error.body}`),
    };
  }
  runtimeError(errorType: string, body: Buffer): void {
    this.heard.push(`error ${errorType} ${body}`);
  }
  runtimeInitError(errorType: string, body: Buffer): void {
    this.heard.push(`init error ${errorType} ${body}`);
  }

  deliver(requestId: string, payload = '{}'): void {
    const version = functionVersion('f', {});
    const invocation: Invocation = {
      requestId,
      version,
      invokedFunctionArn: version.functionArn,
      payload: Buffer.from(payload),
      clientContext: undefined,
      traceHeader: 'Root=1-2-3',
      headRoomBytes: 0,
      logTail: false,
      sink: undefined,
      settle: () => {},
    };
    this.api.deliver(invocation, 1_700_000_000_000);
  }
}

class Client {
  readonly #socket: Socket;
  received = '';
  closed = false;

  constructor(station: Station) {
    this.#socket = connect(Number(station.api.address.split(':')[1]), '127.0.0.1');
    this.#socket.on('data', (chunk) => (this.received += chunk.toString('latin1')));
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => (this.closed = true));
    after(() => this.#socket.destroy());
  }

  send(text: string | Buffer): this {
    this.#socket.write(typeof text === 'string' ? text.replaceAll('\n', '\r\n') : text);
    return this;
  }

  get(path: string): this {
    return this.send(`GET /2018-06-01/runtime/${path} HTTP/1.1\nHost: x\n\n`);
  }

  post(path: string, body: string, headers = ''): this {
    return this.send(
      `POST /2018-06-01/runtime/${path} HTTP/1.1\n${headers}Content-Length: ${Buffer.byteLength(body)}\n\n`,
    ).send(Buffer.from(body));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async expect(pattern: RegExp): Promise<void> {
    await eventually(() => pattern.test(this.received), {
      what: () => `${pattern} in ${JSON.stringify(this.received.slice(-500))}`,
    });
    this.received = '';
  }
}

test('next sends nothing, not even headers, until there is an event; then exactly these headers', async () => {
  const station = await Station.open();
  const client = new Client(station).get('invocation/next');
  await eventually(() => station.heard.includes('next'));
  assert.equal(client.received, '');
  station.deliver('id-1', '{"a":"ü"}');
  await eventually(() => client.received.endsWith('}'));
  assert.deepEqual(Buffer.from(client.received, 'latin1').toString().split('\r\n'), [
    'HTTP/1.1 200 OK',
    'Content-Type: application/json',
    'Lambda-Runtime-Aws-Request-Id: id-1',
    'Lambda-Runtime-Deadline-Ms: 1700000000000',
    'Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:123456789012:function:f',
    'Lambda-Runtime-Trace-Id: Root=1-2-3',
    'Content-Length: 10',
    '',
    '{"a":"ü"}',
  ]);
});

test('a result is accepted once, for the invocation that runs, and in order', async () => {
  const station = await Station.open();
  const client = new Client(station);
  client.post('invocation/id-1/response', '1');
  await client.expect(/^HTTP\/1\.1 403 [\s\S]*"errorType":"InvalidStateTransition"/);
  client.get('invocation/next');
  await eventually(() => station.heard.length === 1);
  station.deliver('id-1');
  await client.expect(/Request-Id: id-1/);
  client.get('invocation/next');
  await client.expect(/Request-Id: id-1/);
  client.post('init/error', '{}');
  await client.expect(
    /^HTTP\/1\.1 403 [\s\S]*State transition from Running to InitError failed for runtime\. Error: State transition is not allowed/,
  );
  client.post('invocation/other/response', '1');
  await client.expect(/^HTTP\/1\.1 400 [\s\S]*\{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"\}$/);
  client.post('invocation/id-1/response', '"one"');
  await client.expect(/^HTTP\/1\.1 202 Accepted\r\n[\s\S]*\{"status":"OK"\}$/);
  client.post('invocation/id-1/response', '"two"');
  await client.expect(/^HTTP\/1\.1 400 /);
  client.get('invocation/next');
  await eventually(() => station.heard.length === 3);
  station.deliver('id-2');
  await client.expect(/Request-Id: id-2/);
  client.post('invocation/id-2/error', '{"errorMessage":"m"}', 'Lambda-Runtime-Function-Error-Type: Function.Mine\n');
  await client.expect(/^HTTP\/1\.1 202 /);
  station.api.abandon();
  client.post('invocation/id-2/response', '1');
  await client.expect(/^HTTP\/1\.1 400 /);
  assert.deepEqual(station.heard, ['next', 'response "one"', 'next', 'error Function.Mine {"errorMessage":"m"}']);
});

test('init/error is accepted before the first next only', async () => {
  const station = await Station.open();
  const client = new Client(station);
  client.post('init/error', '{"errorType":"E"}', 'Lambda-Runtime-Function-Error-Type: Runtime.Broken\n');
  await client.expect(/^HTTP\/1\.1 202 /);
  client.get('invocation/next');
  await client.expect(/^HTTP\/1\.1 403 /);
  assert.deepEqual(station.heard, ['init error Runtime.Broken {"errorType":"E"}']);
});

test('a runtime that lost its connection gets the same event again', async () => {
  const station = await Station.open();
  const first = new Client(station).get('invocation/next');
  await eventually(() => station.heard.length === 1);
  first.destroy();
  const second = new Client(station).get('invocation/next');
  await eventually(() => station.heard.length === 1);
  station.deliver('id-1');
  await second.expect(/Request-Id: id-1/);
  second.destroy();
  const third = new Client(station).get('invocation/next');
  await third.expect(/Request-Id: id-1/);
  third.post('invocation/id-1/response', '1');
  await third.expect(/^HTTP\/1\.1 202/);
});

test('an answer of 6,291,556 bytes passes and one more is 413', async () => {
  const station = await Station.open();
  const client = new Client(station);
  for (const [size, status, heard] of [
    [6_291_556, 202, 'response 6291556'],
    [6_291_557, 413, 'too large'],
  ] as const) {
    client.get('invocation/next');
    await eventually(() => station.heard.at(-1) === 'next');
    station.deliver(`id-${size}`);
    await client.expect(/HTTP\/1\.1 200/);
    client.post(`invocation/id-${size}/response`, 'x'.repeat(size));
    await client.expect(new RegExp(`^HTTP/1\\.1 ${status}`));
    assert.equal(station.heard.at(-1), heard);
  }
});

test('a chunked answer, however it is cut, is the same answer', async () => {
  const station = await Station.open();
  const client = new Client(station);
  const message =
    'POST /2018-06-01/runtime/invocation/ID/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n';
  for (const step of [1, 3, 7, 1_000]) {
    client.get('invocation/next');
    await eventually(() => station.heard.at(-1) === 'next');
    station.deliver(`id-${step}`);
    await client.expect(/HTTP\/1\.1 200/);
    const text = message.replace('ID', `id-${step}`);
    for (let position = 0; position < text.length; position += step) {
      client.send(Buffer.from(text.slice(position, position + step)));
      if (step < 4) await new Promise((resolve) => setImmediate(resolve));
    }
    await client.expect(/^HTTP\/1\.1 202/);
    assert.equal(station.heard.at(-1), 'response hello world');
  }
});

test('a streamed answer comes piece by piece, and its failure in the trailers', async () => {
  const station = await Station.open();
  const client = new Client(station).get('invocation/next');
  await eventually(() => station.heard.length === 1);
  station.deliver('id-1');
  await client.expect(/HTTP\/1\.1 200/);
  const body = Buffer.from('{"errorType":"E"}').toString('base64');
  client.send(
    `POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\nContent-Type: text/plain\nLambda-Runtime-Function-Response-Mode: streaming\nTransfer-Encoding: chunked\nTrailer: Lambda-Runtime-Function-Error-Type\n\n2\nab\n`,
  );
  await eventually(() => station.heard.includes('piece ab'));
  client.send(
    `1\nc\n0\nLambda-Runtime-Function-Error-Type: Function.E\nLambda-Runtime-Function-Error-Body: ${body}\n\n`,
  );
  await client.expect(/^HTTP\/1\.1 202/);
  assert.deepEqual(station.heard.slice(1), [
    'stream text/plain',
    'piece ab',
    'piece c',
    'end Function.E {"errorType":"E"}',
  ]);
});

test('a streamed answer that breaks off is truncated; another mode is refused', async () => {
  const station = await Station.open();
  const client = new Client(station).get('invocation/next');
  await eventually(() => station.heard.length === 1);
  station.deliver('id-1');
  await client.expect(/HTTP\/1\.1 200/);
  client.post('invocation/id-1/response', '1', 'Lambda-Runtime-Function-Response-Mode: slow\n');
  await client.expect(/^HTTP\/1\.1 400 [\s\S]*InvalidFunctionResponseMode/);
  assert.match(station.heard.at(-1)!, /^error Runtime\.InvalidResponseModeHeader /);
  client.get('invocation/next');
  await eventually(() => station.heard.at(-1) === 'next');
  station.deliver('id-2');
  await client.expect(/HTTP\/1\.1 200/);
  client.send(
    'POST /2018-06-01/runtime/invocation/id-2/response HTTP/1.1\nLambda-Runtime-Function-Response-Mode: streaming\nTransfer-Encoding: chunked\n\n2\nab\n',
  );
  await eventually(() => station.heard.includes('piece ab'));
  client.destroy();
  await eventually(() => /^end Runtime\.TruncatedResponse /.test(station.heard.at(-1)!));
});

for (const [what, bytes, answer] of [
  ['no HTTP at all', 'hello\n\n', /^HTTP\/1\.1 400/],
  ['a header line without a colon', 'GET / HTTP/1.1\nbroken\n\n', /^HTTP\/1\.1 400/],
  ['a blank before the colon', 'GET / HTTP/1.1\nContent-Length : 4\n\n', /^HTTP\/1\.1 400/],
  ['two lengths', 'POST / HTTP/1.1\nContent-Length: 4\nContent-Length: 5\n\n', /^HTTP\/1\.1 400/],
  ['length and chunks', 'POST / HTTP/1.1\nContent-Length: 4\nTransfer-Encoding: chunked\n\n', /^HTTP\/1\.1 400/],
  ['a negative length', 'POST / HTTP/1.1\nContent-Length: -1\n\n', /^HTTP\/1\.1 400/],
  ['a chunk size that is no number', 'POST / HTTP/1.1\nTransfer-Encoding: chunked\n\nzz\n', /^HTTP\/1\.1 400/],
  ['a chunk longer than it says', 'POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n1\nabc\n', /^HTTP\/1\.1 400/],
  ['an endless header', `GET / HTTP/1.1\nX: ${'y'.repeat(40_000)}`, /^HTTP\/1\.1 431/],
  ['an unknown path', 'GET /nowhere HTTP/1.1\n\n', /^HTTP\/1\.1 404/],
  ['a wrong method', 'DELETE /2018-06-01/runtime/invocation/next HTTP/1.1\n\n', /^HTTP\/1\.1 405/],
  ['a header called __proto__', 'GET /nowhere HTTP/1.1\n__proto__: x\nconstructor: y\n\n', /^HTTP\/1\.1 404/],
] as const) {
  test(`a hostile client gets an answer and nothing else: ${what}`, async () => {
    const station = await Station.open();
    const hostile = new Client(station).send(bytes);
    await hostile.expect(answer);
    assert.deepEqual(station.heard, []);
    const good = new Client(station).get('invocation/next');
    await eventually(() => station.heard.length === 1);
    station.deliver('id');
    await good.expect(/Request-Id: id/);
  });
}

test('a thousand idle connections are refused beyond 64, and the runtime keeps its own', async () => {
  const station = await Station.open();
  const good = new Client(station).get('invocation/next');
  await eventually(() => station.heard.length === 1);
  const others = Array.from({ length: 200 }, () => new Client(station).send('GET /'));
  await eventually(() => others.filter((each) => each.closed).length >= 130);
  station.deliver('id');
  await good.expect(/Request-Id: id/);
  for (const each of others) each.destroy();
});

test("ping is answered, and an error in AWS's envelope is unpacked, in another left as it is", async () => {
  const station = await Station.open();
  const client = new Client(station).send('GET /2018-06-01/ping HTTP/1.1\n\n');
  await client.expect(/^HTTP\/1\.1 200 OK\r\n/);
  const headers =
    'Content-Type: application/vnd.aws.lambda.error.cause+json\nLambda-Runtime-Function-Error-Type: Function.Bad\n';
  for (const [index, [body, heard]] of (
    [
      ['{"error":{"errorMessage":"m"},"cause":{}}', 'error Function.Bad {"errorMessage":"m"}'],
      ['{"errorMessage":"m"}', 'error Function.Bad {"errorMessage":"m"}'],
      ['no json', 'error Function.Bad no json'],
    ] as const
  ).entries()) {
    client.get('invocation/next');
    await eventually(() => station.heard.at(-1) === 'next');
    station.deliver(`id-${index}`);
    await client.expect(/HTTP\/1\.1 200/);
    client.post(`invocation/id-${index}/error`, body, headers);
    await client.expect(/^HTTP\/1\.1 202 /);
    assert.equal(station.heard.at(-1), heard);
  }
});

test('another process cannot answer for a runtime of ours over the port', async () => {
  const bench = await Workbench.start();
  await bench.add('victim', {
    'index.mjs': `export const handler = async (event, context) => {
      const base = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/';
      const post = await fetch(base + context.awsRequestId + '/response', { method: 'POST', body: '"forged"' });
      const next = await fetch(base + 'next');
      return [post.status, next.status];
    };`,
  });
  assert.deepEqual(await bench.result('victim'), [403, 403]);
});

test('error types are normalised as the emulator does', () => {
  for (const [given, kept] of [
    ['Runtime.UnknownReason', 'Runtime.UnknownReason'],
    ['Function.MyError', 'Function.MyError'],
    ['Function.x', 'Function.Unknown'],
    ['MyError', 'Runtime.Unknown'],
    [undefined, 'Runtime.Unknown'],
  ] as const) {
    assert.equal(normalErrorType(given), kept);
  }
});
