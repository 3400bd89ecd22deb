import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { RandomCutForest } from '@headrace/random-cut-forest';
import { createSageMakerRuntime, type SageMakerRuntime } from '../src/sagemaker-api/index.ts';
import { decodeRecords } from '../src/sagemaker-api/record-io.ts';
import { serveApi } from './sagemaker-server.ts';

interface Answer {
  status: number;
  headers: Readonly<Record<string, string>>;
  text: string;
  bytes: Buffer;
}

/** Sends a request as the gateway would. */
async function invoke(
  runtime: SageMakerRuntime,
  body: string | Buffer,
  headers: Record<string, string> = {},
  endpoint = 'e',
): Promise<Answer> {
  const answer = await runtime.handle({
    method: 'POST',
    path: `/endpoints/${endpoint}/invocations`,
    query: new URLSearchParams(),
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(body),
    requestId: 'test',
    principal: undefined,
  });
  assert.ok(answer, 'the route is known');
  const bytes = answer.body as Buffer;
  return { status: answer.status, headers: answer.headers ?? {}, text: bytes.toString(), bytes };
}

const rowOf = (t: number): number[] => [200 + ((t * 37) % 11), 5 + ((t * 13) % 7), (t * 7) % 3];

async function warmRuntime(): Promise<SageMakerRuntime> {
  const runtime = createSageMakerRuntime({ dataDirectory: undefined });
  runtime.ensureStreamingEndpoint('e', { randomSeed: 1 });
  const rows = Array.from({ length: 300 }, (_, t) => rowOf(t));
  const { status } = await invoke(runtime, JSON.stringify({ instances: rows.map((features) => ({ features })) }));
  assert.equal(status, 200);
  return runtime;
}

/** What the endpoint must answer to these rows after the warm rows, by the forest itself. */
function expectedScores(rows: readonly number[][]): number[] {
  const forest = new RandomCutForest({ dimensions: 3, randomSeed: 1 });
  for (let t = 0; t < 300; t++) forest.update(rowOf(t));
  return rows.map((row) => Math.round(forest.scoreAndUpdate(row) * 1e10) / 1e10);
}

const probe = [
  [203, 6, 1],
  [900, 6, 1],
];
const official = `{"scores":[${expectedScores(probe)
  .map((score) => `{"score":${score}}`)
  .join(',')}]}`;

for (const [what, contentType, body] of [
  ['CSV', 'text/csv', '203,6,1\n900,6,1\n'],
  ['CSV with a label size and Windows lines', 'text/csv;label_size=0', '203, 6, 1\r\n9.0e2,6,1'],
  ['dense JSON', 'application/json', '{"instances":[{"features":[203,6,1]},{"features":[900,6,1]}]}'],
  [
    'the long and the short JSON form mixed',
    'application/json; charset=utf-8',
    '{"instances":[{"data":{"features":{"values":[203,6,1]}}},{"features":[900,6,1]}]}',
  ],
  [
    'sparse JSON',
    'application/json',
    '{"instances":[{"data":{"features":{"keys":[2,0,1],"shape":[3],"values":[1,203,6]}}},{"features":[900,6,1]}]}',
  ],
  ['lenient arrays under instances', 'application/json', '{"instances":[[203,6,1],[900,6,1]]}'],
  ['JSON Lines', 'application/jsonlines', '{"features":[203,6,1]}\n{"features":[900,6,1]}\n'],
  ['RecordIO-protobuf of 32-bit floats', 'application/x-recordio-protobuf', recordIo(probe, 2)],
  ['RecordIO-protobuf of 64-bit floats', 'application/x-recordio-protobuf', recordIo(probe, 3)],
  ['RecordIO-protobuf of integers', 'application/x-recordio-protobuf', recordIo(probe, 7)],
] as const) {
  test(`${what} is answered in the official form, to the byte`, async () => {
    const runtime = await warmRuntime();
    const answer = await invoke(runtime, body, { 'content-type': contentType });
    assert.equal(answer.text, official);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(answer.headers['x-amzn-invoked-production-variant'], 'AllTraffic');
    assert.equal(answer.headers['x-amzn-sagemaker-custom-attributes'], undefined);
    await runtime.close();
  });
}

test('a bare array is answered with plain numbers and says so', async () => {
  const scores = expectedScores(probe);
  for (const [body, wanted] of [
    [JSON.stringify(probe), `{"scores":[${scores.join(',')}]}`],
    [JSON.stringify(probe[0]), `{"scores":[${scores[0]}]}`],
  ] as const) {
    const runtime = await warmRuntime();
    const answer = await invoke(runtime, body);
    assert.equal(answer.text, wanted);
    assert.equal(answer.headers['x-amzn-sagemaker-custom-attributes'], 'payload-compat=bare-array');
    assert.equal(runtime.statistics().bareArrayRequests, 1);
    await runtime.close();
  }
});

test('the accept header chooses the form of the answer', async () => {
  const scores = expectedScores(probe);
  const body = JSON.stringify({ instances: probe.map((features) => ({ features })) });
  for (const accept of ['', '*/*', 'application/json', 'text/html, application/json;q=0.9']) {
    const runtime = await warmRuntime();
    assert.equal((await invoke(runtime, body, { accept })).text, official);
  }
  const lines = await invoke(await warmRuntime(), body, { accept: 'application/jsonlines' });
  assert.equal(lines.text, scores.map((score) => `{"score":${score}}\n`).join(''));
  const records = await invoke(await warmRuntime(), body, { accept: 'application/x-recordio-protobuf' });
  assert.equal(records.headers['content-type'], 'application/x-recordio-protobuf');
  // Two frames of 19 bytes, padded to 20: record { label: { score: { float32_tensor: { values: [x] } } } }.
  assert.equal(records.bytes.length, 2 * 28);
  assert.equal(records.bytes.readUInt32LE(0), 0xced7230a);
  assert.equal(records.bytes.readUInt32LE(4), 19);
  assert.equal(records.bytes.toString('latin1', 8, 23), '\x12\x11\x0a\x05score\x12\x08\x12\x06\x0a\x04');
  assert.equal(records.bytes.readFloatLE(23), Math.fround(scores[0]!));
  assert.equal(records.bytes.readFloatLE(28 + 23), Math.fround(scores[1]!));
  const csv = await invoke(await warmRuntime(), body, { accept: 'text/csv' });
  assert.equal(csv.status, 424);
});

for (const [what, contentType, body, message] of [
  ['text', 'application/json', 'hello', /the body is not JSON/],
  ['an object without instances', 'application/json', '{"rows":[]}', /no list of instances/],
  ['no instances', 'application/json', '{"instances":[]}', /no row to score/],
  ['an empty array', 'application/json', '[]', /no values|no row/],
  ['strings of digits', 'application/json', '[["203","6","1"]]', /row 1: value 1 is "203", not a number/],
  ['null among numbers', 'application/json', '{"instances":[{"features":[1,null,2]}]}', /value 2 is null/],
  ['numbers beyond 32-bit floats', 'application/json', '[[1e39,1,1]]', /value 1 is not a finite/],
  [
    'a number that 32 bits round up to 2^127',
    'application/json',
    '[[1,2,3],[1.7014118e38,1,1]]',
    /row 2: value 1 is not/,
  ],
  ['infinite JSON numbers', 'application/json', '[[1e999,1,1]]', /value 1 is not a finite/],
  ['rows of mixed lengths', 'application/json', '[[1,2,3],[1,2]]', /row 2: it has 2 values, row 1 has 3/],
  ['rows of another length than before', 'text/csv', '1,2', /row 1: it has 2 values, feature_dim is 3/],
  ['a CSV header', 'text/csv', 'a,b,c\n1,2,3', /row 1: column 1 is "a", not a number/],
  ['an empty CSV cell', 'text/csv', '1,,3', /column 2 is "", not a number/],
  ['NaN in CSV', 'text/csv', '1,NaN,3', /column 2 is "NaN"/],
  ['labelled CSV', 'text/csv;label_size=1', '1,2,3', /label_size is 1/],
  ['an unknown content type', 'application/xml', '<a/>', /content type "application\/xml" is not one of/],
  [
    'a sparse key outside the shape',
    'application/json',
    '{"instances":[{"data":{"features":{"keys":[3],"shape":[3],"values":[1]}}}]}',
    /key 3/,
  ],
  ['truncated RecordIO', 'application/x-recordio-protobuf', recordIo(probe, 2).subarray(0, 50), /record 2/],
  ['RecordIO of noise', 'application/x-recordio-protobuf', Buffer.alloc(64, 7), /RecordIO header/],
] as const) {
  test(`${what}: refused as the real service does, and nothing is learnt`, async () => {
    const runtime = await warmRuntime();
    const answer = await invoke(runtime, body, { 'content-type': contentType });
    assert.equal(answer.status, 424);
    assert.equal(answer.headers['x-amzn-errortype'], 'ModelError');
    const error = JSON.parse(answer.text) as Record<string, string>;
    assert.match(error['OriginalMessage']!, message);
    assert.match(
      error['Message']!,
      /^Received client error \(4\d\d\) from model with message "unable to evaluate payload provided/,
    );
    assert.equal(error['LogStreamArn'], '');
    const after = await invoke(runtime, JSON.stringify({ instances: probe.map((features) => ({ features })) }));
    assert.equal(after.text, official);
    await runtime.close();
  });
}

test('a request that names no endpoint, has no body or too much of it is a ValidationError', async () => {
  const runtime = await warmRuntime();
  const missing = await invoke(runtime, '[[1,2,3]]', {}, 'nowhere');
  assert.equal(missing.status, 400);
  assert.equal(JSON.parse(missing.text).Message, 'Endpoint nowhere of account 123456789012 not found.');
  for (const answer of [
    await invoke(runtime, '[[1,2,3]]', {}, '-a'),
    await invoke(runtime, '[[1,2,3]]', {}, 'a'.repeat(64)),
    await invoke(runtime, '[[1,2,3]]', {}, '%E0%A4%A'),
    await invoke(runtime, ''),
    await invoke(runtime, Buffer.alloc(10_000_000, '1')),
    await invoke(runtime, '[[1,2,3]]', { 'x-amzn-sagemaker-inference-id': 'a'.repeat(65) }),
    await invoke(runtime, '[[1,2,3]]', { 'x-amzn-sagemaker-target-variant': 'other' }),
  ]) {
    assert.equal(answer.status, 400);
    assert.equal(answer.headers['x-amzn-errortype'], 'ValidationError');
  }
  assert.equal(
    await runtime.handle({
      method: 'GET',
      path: '/other',
      query: new URLSearchParams(),
      headers: {},
      body: Buffer.alloc(0),
      requestId: 't',
      principal: undefined,
    }),
    undefined,
  );
  await runtime.close();
});

test('a strict endpoint refuses what the real service refuses', async () => {
  const runtime = createSageMakerRuntime({ dataDirectory: undefined });
  runtime.ensureStreamingEndpoint('e', { payloadCompat: 'strict' });
  for (const body of ['[[1,2,3]]', '[1,2,3]', '{"instances":[[1,2,3]]}']) {
    assert.equal((await invoke(runtime, body)).status, 424);
  }
  assert.equal((await invoke(runtime, '{"instances":[{"features":[1,2,3]}]}')).status, 200);
  await runtime.close();
});

test('scores are 0 while the model warms up, and the answer says so', async () => {
  const runtime = createSageMakerRuntime({ dataDirectory: undefined });
  runtime.ensureStreamingEndpoint('e');
  for (let t = 0; t < 70; t++) {
    const answer = await invoke(runtime, JSON.stringify({ instances: [{ features: rowOf(t) }] }));
    const attributes = answer.headers['x-amzn-sagemaker-custom-attributes'];
    if (t < 64) assert.deepEqual([answer.text, attributes], ['{"scores":[{"score":0}]}', 'warmup=true']);
    else assert.ok(!attributes && JSON.parse(answer.text).scores[0].score > 0);
  }
  await runtime.close();
});

test('the AWS SDK invokes the endpoint unchanged and reads errors as its own classes', async () => {
  const runtime = await warmRuntime();
  const server = await serveApi(runtime);
  const client = new SageMakerRuntimeClient({
    endpoint: server.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    maxAttempts: 1,
  });
  try {
    const answer = await client.send(
      new InvokeEndpointCommand({
        EndpointName: 'e',
        ContentType: 'application/json',
        Accept: 'application/json',
        Body: JSON.stringify({ instances: probe.map((features) => ({ features })) }),
      }),
    );
    assert.equal(Buffer.from(answer.Body!).toString(), official);
    assert.equal(answer.ContentType, 'application/json');
    assert.equal(answer.InvokedProductionVariant, 'AllTraffic');
    const bare = await client.send(
      new InvokeEndpointCommand({ EndpointName: 'e', ContentType: 'application/json', Body: '[[200,5,1]]' }),
    );
    assert.equal(bare.CustomAttributes, 'payload-compat=bare-array');
    await assert.rejects(
      client.send(new InvokeEndpointCommand({ EndpointName: 'e', ContentType: 'application/json', Body: '{}' })),
      { name: 'ModelError', OriginalStatusCode: 400 },
    );
    await assert.rejects(
      client.send(new InvokeEndpointCommand({ EndpointName: 'none', ContentType: 'text/csv', Body: '1' })),
      { name: 'ValidationError', message: /Endpoint none of account/ },
    );
  } finally {
    client.destroy();
    await server.close();
    await runtime.close();
  }
});

/** RecordIO of rows as tensors of a kind: 2 is 32-bit floats, 3 64-bit floats, 7 32-bit integers. */
function recordIo(rows: readonly (readonly number[])[], kind: 2 | 3 | 7): Buffer {
  const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
  const block = (field: number, bytes: readonly number[]): number[] => [
    field * 8 + 2,
    ...varint(bytes.length),
    ...bytes,
  ];
  return Buffer.concat(
    rows.map((row) => {
      const values =
        kind === 7
          ? row.flatMap(varint)
          : [...new Uint8Array((kind === 2 ? new Float32Array(row) : new Float64Array(row)).buffer)];
      const entry = [...block(1, [...Buffer.from('values')]), ...block(2, block(kind, block(1, values)))];
      const record = Buffer.from([...block(1, entry), ...block(3, [...Buffer.from('id')])]);
      const head = Buffer.alloc(8);
      head.writeUInt32LE(0xced7230a, 0);
      head.writeUInt32LE(record.length, 4);
      return Buffer.concat([head, record, Buffer.alloc((4 - (record.length % 4)) % 4)]);
    }),
  );
}

test('RecordIO rows are read back as they were written, whatever the tensor', () => {
  for (const kind of [2, 3, 7] as const)
    assert.deepEqual([...decodeRecords(recordIo([[1, 300, 70000]], kind))], [[1, 300, 70000]]);
});

test('a request of very many rows lets others have their turn, and ends when its endpoint does', async () => {
  const runtime = createSageMakerRuntime({ dataDirectory: undefined });
  runtime.ensureStreamingEndpoint('e', { randomSeed: 1, numTrees: 2 });
  const rows = Array.from({ length: 20_001 }, (_, t) => rowOf(t));
  const body = rows.map((row) => row.join(',')).join('\n');
  let answered = false;
  const answer = invoke(runtime, body, { 'content-type': 'text/csv' }).finally(() => {
    answered = true;
  });
  let turns = 0;
  while (!answered) {
    turns++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(turns >= 9, `${turns} turns`);
  const forest = new RandomCutForest({ dimensions: 3, numberOfTrees: 2, randomSeed: 1 });
  const expected = rows.map((row) => Math.round(forest.scoreAndUpdate(row) * 1e10) / 1e10);
  const { scores } = JSON.parse((await answer).text) as { scores: { score: number }[] };
  assert.deepEqual(
    scores.map(({ score }) => score),
    expected,
  );
  const cut = invoke(runtime, body, { 'content-type': 'text/csv' });
  await (runtime as unknown as { remove(name: string, forget: boolean): Promise<void> }).remove('e', true);
  const { status, text } = await cut;
  assert.equal(status, 503);
  assert.match(text, /Endpoint e changed during the request/);
  await runtime.close();
});
