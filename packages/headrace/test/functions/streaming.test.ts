import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { eventually, temporaryFolder } from '@headrace/testing';
import { startEngine } from '../../src/engine.ts';
import type { InvokeOutcome } from '../../src/functions/outcome.ts';
import { createFolderFunction } from '../support/folder-function.ts';
import { region, Workbench, writeFiles } from './support.ts';

const bench = await Workbench.start();
let count = 0;

async function add(handler: string, runtime = 'nodejs24.x'): Promise<string> {
  const name = `s${++count}`;
  await bench.add(
    name,
    { 'index.mjs': `export const handler = awslambda.streamifyResponse(${handler});` },
    { runtime },
  );
  return name;
}

interface Streamed {
  readonly outcome: InvokeOutcome;
  readonly contentType: string | undefined;
  readonly pieces: string[];
}

async function stream(
  name: string,
  event: unknown = {},
  onPiece: (piece: string) => void = () => {},
): Promise<Streamed> {
  const pieces: string[] = [];
  let contentType: string | undefined;
  const outcome = await bench.engine.invokeWithResponseStream(name, Buffer.from(JSON.stringify(event)), {
    start: (head) => {
      contentType = head.contentType;
    },
    write: (bytes) => {
      pieces.push(bytes.toString());
      onPiece(bytes.toString());
    },
  });
  return { outcome, contentType, pieces };
}

for (const runtime of ['nodejs22.x', 'nodejs24.x']) {
  test(`a streamed answer arrives while the function still runs (${runtime})`, async () => {
    // The function goes on when the first piece has arrived, and not before.
    const seen = join(bench.directory, `seen-${runtime}`);
    const name = await add(
      `async (event, stream) => { const { existsSync } = await import('node:fs'); stream.setContentType('text/plain'); stream.write('first'); while (!existsSync(event)) await new Promise((r) => setTimeout(r, 5)); stream.write('second'); stream.end(); }`,
      runtime,
    );
    const { outcome, contentType, pieces } = await stream(name, seen, () => writeFileSync(seen, ''));
    assert.equal(outcome.kind, 'success');
    assert.equal(contentType, 'text/plain');
    assert.deepEqual(pieces, ['first', 'second']);
    assert.equal((await stream(name, seen)).outcome.kind, 'success');
    assert.equal(bench.engine.snapshot().find((each) => each.functionName === name)?.invocations, 2);
  });
}

test('through the ordinary invoke the same bytes come as one payload', async () => {
  const name = await add(
    `async (event, stream) => { stream.write('one '); stream.write(Buffer.from('two')); stream.end(' three'); }`,
  );
  const outcome = await bench.invoke(name);
  assert.equal(outcome.kind === 'success' && outcome.payload.toString(), 'one two three');
});

test('an HTTP prelude is JSON and eight NUL bytes', async () => {
  const name = await add(
    `async (event, stream) => { const http = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' } }); http.write('body'); http.end(); }`,
  );
  const { contentType, pieces } = await stream(name);
  assert.equal(contentType, 'application/vnd.awslambda.http-integration-response');
  assert.equal(pieces.join(''), `{"statusCode":201,"headers":{"a":"b"}}${'\0'.repeat(8)}body`);
});

test('more than 6 MB can be streamed, and no more than 6 MB comes through the ordinary invoke', async () => {
  const name = await add(
    `async (event, stream) => { const block = Buffer.alloc(1 << 20, 120); for (let i = 0; i < 8; i++) if (!stream.write(block)) await new Promise((r) => stream.once('drain', r)); stream.end(); }`,
  );
  const { outcome, pieces } = await stream(name);
  assert.equal(outcome.kind, 'success');
  assert.equal(
    pieces.reduce((sum, piece) => sum + piece.length, 0),
    8 << 20,
  );
  const buffered = await bench.invoke(name);
  assert.equal(buffered.kind === 'function-error' && buffered.reason, 'response-too-large');
});

test('a function that streams faster than the caller reads is held back', async () => {
  const name = await add(
    `async (event, stream) => { const block = Buffer.alloc(1 << 20, 120); for (let i = 0; i < 32; i++) if (!stream.write(block)) await new Promise((r) => stream.once('drain', r)); stream.end(); }`,
  );
  let taken = 0;
  let held: (() => void) | undefined;
  const running = bench.engine.invokeWithResponseStream(name, Buffer.from('{}'), {
    start: () => {},
    write: (bytes) => {
      taken += bytes.length;
      return taken < 4 << 20 || held !== undefined ? undefined : new Promise((resolve) => (held = resolve));
    },
  });
  await eventually(() => held !== undefined);
  const before = taken;
  // Invocations of another function go their way meanwhile.
  await bench.add('other', { 'index.mjs': `export const handler = async () => 1;` });
  for (let i = 0; i < 50; i++) assert.equal(await bench.result('other'), 1);
  assert.ok(taken - before < 1 << 20, `${taken - before} bytes more came`);
  held!();
  assert.equal((await running).kind, 'success');
  assert.equal(taken, 32 << 20);
});

test('over HTTP, too; and a caller that goes away does not keep the function', async () => {
  const folder = temporaryFolder('streaming');
  const engine = await startEngine({ port: 0, dataDirectory: join(folder, 'data'), codeFolders: [folder], region });
  after(async () => {
    await engine.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  const progress = join(folder, 'progress');
  await writeFiles(join(folder, 'code'), {
    'index.mjs': `import { writeFileSync } from 'node:fs';
      export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
        stream.write(JSON.stringify([context.clientContext, process.env._X_AMZN_TRACE_ID]));
        const block = Buffer.alloc(1 << 20, 120);
        for (let i = 1; i <= 48; i++) {
          if (!stream.write(block)) await new Promise((r) => stream.once('drain', r));
          writeFileSync(${JSON.stringify(progress)}, String(i));
        }
        stream.end();
      });`,
  });
  await createFolderFunction(engine, 'flow', join(folder, 'code'), { timeoutSeconds: 60 });
  const open = async (): Promise<IncomingMessage> => {
    const outgoing = request(`${engine.endpoint}/2021-11-15/functions/flow/response-streaming-invocations`, {
      method: 'POST',
      headers: {
        'X-Amz-Client-Context': Buffer.from('{"custom":7}').toString('base64'),
        'X-Amzn-Trace-Id': 'Root=1-5-6',
      },
    });
    outgoing.on('error', () => {});
    outgoing.end('{}');
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    return response;
  };
  const made = (): number => Number(existsSync(progress) ? readFileSync(progress, 'utf8') : 0);
  const slow = await open();
  // Socket buffers of both ends fill; then the function stands still.
  let last = -1;
  await eventually(() => made() > 0 && last === (last = made()), { everyMs: 500 });
  assert.ok(last < 40, `${last} MiB were made for a caller who reads nothing`);
  let length = 0;
  let first: Buffer | undefined;
  for await (const piece of slow) {
    first ??= piece as Buffer;
    length += (piece as Buffer).length;
  }
  assert.ok(length > 48 << 20);
  assert.match(first!.toString('latin1'), /\[\{"custom":7\},"Root=1-5-6"\]/);
  rmSync(progress);
  const gone = await open();
  await eventually(() => made() > 0);
  gone.destroy();
  await eventually(() => made() === 48);
});

test('an error before the first byte is an ordinary error, one after it ends the stream', async () => {
  const early = await stream(await add(`async () => { throw new TypeError('early'); }`));
  assert.ok(early.outcome.kind === 'function-error');
  assert.equal(JSON.parse(early.outcome.payload.toString()).errorType, 'TypeError');
  assert.deepEqual(early.pieces, []);
  const name = await add(
    `async (event, stream) => { stream.write('some'); await new Promise((r) => setTimeout(r, 20)); throw new RangeError('late'); }`,
  );
  const late = await stream(name);
  assert.deepEqual(late.pieces, ['some']);
  assert.ok(late.outcome.kind === 'function-error');
  assert.equal(JSON.parse(late.outcome.payload.toString()).errorMessage, 'late');
  assert.equal((await stream(name)).outcome.kind, 'function-error', 'the environment lives on');
});

test('a stream that is not ended, and a handler that is not async, are errors', async () => {
  const open = await stream(await add(`async (event, stream) => { stream.write('x'); }`));
  assert.ok(open.outcome.kind === 'function-error');
  assert.equal(JSON.parse(open.outcome.payload.toString()).errorMessage, 'Response stream is not finished.');
  const plain = await stream(await add(`(event, stream) => { stream.end('x'); }`));
  assert.ok(plain.outcome.kind === 'function-error');
  assert.match(plain.outcome.payload.toString(), /Streaming does not support non-async handlers\./);
});

test('a time-out in the middle of a stream is a time-out', async () => {
  const name = `s${++count}`;
  await bench.add(
    name,
    {
      'index.mjs': `export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('x'); await new Promise((r) => setTimeout(r, 60000)); });`,
    },
    { timeoutSeconds: 1 },
  );
  const { outcome, pieces } = await stream(name);
  assert.deepEqual(pieces, ['x']);
  assert.equal(outcome.kind === 'function-error' && outcome.reason, 'timeout');
});

test('a function that does not stream answers a streaming invoke with one payload', async () => {
  await bench.add('plain', { 'index.mjs': `export const handler = async () => 'whole';` });
  const { outcome, pieces } = await stream('plain');
  assert.equal(outcome.kind === 'success' && outcome.payload.toString(), '"whole"');
  assert.deepEqual(pieces, []);
});
