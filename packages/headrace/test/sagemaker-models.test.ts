import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '@headrace/testing';
import { parseAttributes } from '../src/sagemaker-api/attributes.ts';
import { IdentityWindow } from '../src/sagemaker-api/identity-window.ts';
import {
  createSageMakerRuntime,
  type SageMakerRuntime,
  type StreamingEndpointOptions,
} from '../src/sagemaker-api/index.ts';

interface Scored {
  scores: number[];
  attributes: string;
  status: number;
  text: string;
}

async function invoke(
  runtime: SageMakerRuntime,
  rows: readonly (readonly number[])[],
  headers: Record<string, string> = {},
  keys?: readonly string[],
): Promise<Scored> {
  const instances = rows.map((features, k) => (keys ? { key: keys[k], features } : { features }));
  const answer = await runtime.handle({
    method: 'POST',
    path: '/endpoints/e/invocations',
    query: new URLSearchParams(),
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(JSON.stringify({ instances })),
    requestId: 'test',
    principal: undefined,
  });
  const text = (answer!.body as Buffer).toString();
  const document = JSON.parse(text) as { scores?: { score: number }[] };
  return {
    status: answer!.status,
    text,
    scores: document.scores?.map(({ score }) => score) ?? [],
    attributes: answer!.headers?.['x-amzn-sagemaker-custom-attributes'] ?? '',
  };
}

const rowOf = (t: number): number[] => [(Math.sin(t * 12.9898) * 43758.5453) % 1, (Math.cos(t * 78.233) * 1000) % 1];
const rows = (from: number, to: number): number[][] => Array.from({ length: to - from }, (_, k) => rowOf(from + k));
const attributes = (text: string): Record<string, string> => ({ 'x-amzn-sagemaker-custom-attributes': text });

async function withRuntime(
  options: StreamingEndpointOptions,
  body: (runtime: SageMakerRuntime) => Promise<void>,
): Promise<void> {
  const runtime = createSageMakerRuntime({ dataDirectory: undefined });
  runtime.ensureStreamingEndpoint('e', { randomSeed: 7, ...options });
  await body(runtime);
  await runtime.close();
}

test('the list of offsets reads as the documentation says', () => {
  const positions = (text: string): string[] =>
    parseAttributes(`topic=t;offsets=${text}`).positions!.map(({ partition, offset }) => `${partition}:${offset}`);
  assert.deepEqual(positions('0:7'), ['0:7']);
  assert.equal(positions('0:100-149,155,160-170,2:77').length, 63);
  assert.deepEqual(positions('0:1-3,5,2:9'), ['0:1', '0:2', '0:3', '0:5', '2:9']);
  assert.deepEqual(positions('1:1234567890,+2,+5-+1'), [
    '1:1234567890',
    '1:1234567892',
    '1:1234567897',
    '1:1234567898',
  ]);
  assert.deepEqual(positions('3:5,3:4'), ['3:5', '3:4']);
  for (const wrong of ['', '5', '0:', '0:5-4', '0:+1', '0:1,2:+1', 'a:1', '0:1-99999999999', '0:1--2', '0:1.5']) {
    assert.throws(() => positions(wrong), { code: 'ModelError' }, wrong);
  }
  assert.deepEqual(parseAttributes('c000b4f9-df62-4c85-a0bf-7c525f9104a4').positions, undefined);
  assert.deepEqual(parseAttributes('trace=1;key=web%2F1').key, 'web/1');
  assert.throws(() => parseAttributes('offsets=0:1'), { code: 'ModelError' });
  assert.throws(() => parseAttributes('topic=a b;offsets=0:1'), { code: 'ModelError' });
  assert.throws(() => parseAttributes('key=%E0%A4%A'), { code: 'ModelError' });
});

test('records that are delivered again are not learnt again and get the same scores', async () => {
  await withRuntime({}, async (once) => {
    await withRuntime({}, async (twice) => {
      for (let batch = 0; batch < 10; batch++) {
        const from = batch * 30;
        const list = attributes(`topic=logs;offsets=3:${from}-${from + 29}`);
        const first = await invoke(once, rows(from, from + 30), list);
        const again = await invoke(twice, rows(from, from + 30), list);
        assert.deepEqual(again.scores, first.scores);
        // Redelivered in another batch, partly known and partly new.
        if (batch > 0) {
          const overlap = await invoke(
            twice,
            rows(from - 10, from + 10),
            attributes(`topic=logs;offsets=3:${from - 10}-${from + 9}`),
          );
          assert.match(overlap.attributes, /duplicates=20/);
          assert.deepEqual(overlap.scores.slice(10), first.scores.slice(0, 10));
        }
      }
      assert.equal(twice.statistics().duplicateRows, 180);
    });
  });
});

test('an inference id makes a whole request known; other rows under the same id are new', async () => {
  await withRuntime({}, async (runtime) => {
    await invoke(runtime, rows(0, 200));
    const id = { 'x-amzn-sagemaker-inference-id': 'invoke-1' };
    const first = await invoke(runtime, rows(200, 203), id);
    const second = await invoke(runtime, rows(200, 203), id);
    assert.deepEqual(second.scores, first.scores);
    assert.match(second.attributes, /duplicates=3/);
    const other = await invoke(runtime, rows(300, 303), id);
    assert.equal(other.attributes, '');
  });
});

test('the same offset with other values is another record: the topic was made anew', async () => {
  await withRuntime({}, async (runtime) => {
    await invoke(runtime, rows(0, 100), attributes('topic=t;offsets=0:0-99'));
    const anew = await invoke(runtime, rows(500, 600), attributes('topic=t;offsets=0:0-99'));
    assert.equal(anew.attributes, '');
    assert.equal(runtime.statistics().duplicateRows, 0);
  });
});

test('offsets that do not match the rows in number refuse the request whole', async () => {
  await withRuntime({}, async (runtime) => {
    const { status, text } = await invoke(runtime, rows(0, 3), attributes('topic=t;offsets=0:0-3'));
    assert.equal(status, 424);
    assert.match(text, /names 4 rows, the body has 3/);
  });
});

test('a memory of identities is bounded and keeps at least the last ones', () => {
  const window = new IdentityWindow(1000);
  const stream = window.streamOf('t/0');
  for (let offset = 0; offset < 100_000; offset++) {
    window.add(stream, offset, 1, offset / 10);
    if (offset % 997 === 0) {
      for (let back = 0; back < Math.min(1000, offset); back++) {
        assert.equal(window.find(stream, offset - back, 1), (offset - back) / 10);
      }
    }
  }
  assert.equal(window.find(stream, 99_999, 2), undefined);
  assert.equal(window.find(stream, 50_000, 1), undefined);
  assert.ok(window.byteLength < 200_000);
  const restored = IdentityWindow.fromBytes(window.toBytes(), 1000);
  for (let offset = 99_000; offset < 100_000; offset++) assert.equal(restored.find(stream, offset, 1), offset / 10);
  assert.equal(restored.streamOf('t/0'), stream);
});

test('each key has a model of its own, by member, column, attribute or target model', async () => {
  const alone = await (async () => {
    let scores: number[] = [];
    await withRuntime({}, async (runtime) => {
      await invoke(runtime, rows(0, 100), attributes('key=a'));
      scores = (await invoke(runtime, rows(100, 105), attributes('key=a'))).scores;
    });
    return scores;
  })();
  await withRuntime({}, async (runtime) => {
    const mixed = rows(0, 100).flatMap((row) => [row, [row[0]! * 50, row[1]! * 3]]);
    await invoke(
      runtime,
      mixed,
      {},
      mixed.map((_, k) => (k % 2 === 0 ? 'a' : 'b')),
    );
    assert.equal(runtime.statistics().residentModels, 2);
    const target = await invoke(runtime, rows(100, 105), { 'x-amzn-sagemaker-target-model': 'a' });
    assert.deepEqual(target.scores, alone);
  });
  await withRuntime({ keyColumn: 0 }, async (runtime) => {
    const csv = async (from: number, to: number): Promise<string> => {
      const answer = await runtime.handle({
        method: 'POST',
        path: '/endpoints/e/invocations',
        query: new URLSearchParams(),
        headers: { 'content-type': 'text/csv' },
        body: Buffer.from(
          rows(from, to)
            .map((row) => ['a', ...row].join(','))
            .join('\n'),
        ),
        requestId: 't',
        principal: undefined,
      });
      return (answer!.body as Buffer).toString();
    };
    await csv(0, 100);
    assert.deepEqual(
      JSON.parse(await csv(100, 105)).scores.map(({ score }: { score: number }) => score),
      alone,
    );
  });
});

test('models beyond the memory limit move to disk and come back with the same scores', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-test-'));
  const options = { numTrees: 10, numSamplesPerTree: 64, randomSeed: 3 };
  const large = createSageMakerRuntime({ dataDirectory: undefined });
  const small = createSageMakerRuntime({ dataDirectory: folder, memoryLimit: 500_000 });
  large.ensureStreamingEndpoint('e', options);
  small.ensureStreamingEndpoint('e', options);
  let most = 0;
  for (let round = 0; round < 6; round++) {
    for (let key = 0; key < 40; key++) {
      const batch = rows(round * 20 + key, round * 20 + key + 20);
      const headers = attributes(`key=source-${key};topic=t;offsets=${key}:${round * 20}-${round * 20 + 19}`);
      const [a, b] = await Promise.all([invoke(large, batch, headers), invoke(small, batch, headers)]);
      assert.deepEqual(b.scores, a.scores);
      most = Math.max(most, small.statistics().residentModels);
    }
  }
  assert.equal(large.statistics().residentModels, 40);
  assert.ok(most < 20, `${most} models were in memory`);
  await small.close();
  assert.equal((await readdir(join(folder, 'sagemaker', 'models', 'e'))).length, 40);

  // Restarted: scores go on, and what was delivered before is still known.
  const restarted = createSageMakerRuntime({ dataDirectory: folder, memoryLimit: 500_000 });
  restarted.ensureStreamingEndpoint('e', options);
  const known = attributes('key=source-3;topic=t;offsets=3:110-119');
  const last = rows(113, 123);
  const [wanted, got] = [await invoke(large, last, known), await invoke(restarted, last, known)];
  assert.match(got.attributes, /duplicates=10/);
  assert.deepEqual(got.scores, wanted.scores);
  const next = attributes('key=source-3;topic=t;offsets=3:120-129');
  assert.deepEqual(
    (await invoke(restarted, rows(900, 910), next)).scores,
    (await invoke(large, rows(900, 910), next)).scores,
  );
  await large.close();
  await restarted.close();
  await rm(folder, { recursive: true });
});

test('a damaged saved model is reported with its path, and left as it is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-test-'));
  const first = createSageMakerRuntime({ dataDirectory: folder });
  first.ensureStreamingEndpoint('e');
  await invoke(first, rows(0, 100));
  await first.close();
  const models = join(folder, 'sagemaker', 'models', 'e');
  const [file] = await readdir(models);
  const path = join(models, file!);
  const bytes = await readFile(path);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(path, bytes);
  const second = createSageMakerRuntime({ dataDirectory: folder });
  second.ensureStreamingEndpoint('e');
  const { status, text } = await invoke(second, rows(0, 1));
  assert.equal(status, 424);
  assert.match(text, /its checksum is wrong; restore the file, or remove it/);
  assert.equal(JSON.parse(text).OriginalStatusCode, 500);
  await second.close();
  assert.deepEqual(await readFile(path), bytes);
  await rm(folder, { recursive: true });
});

test('what an endpoint does can be watched: answers, bare arrays once, and snapshots that fail', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-test-'));
  const answers: { rows: number; duplicateRows: number }[] = [];
  const warnings: string[] = [];
  const onAnswer = (message: unknown) => void answers.push(message as (typeof answers)[number]);
  const onWarning = (message: unknown) => void warnings.push((message as { warning: string }).warning);
  subscribe('headrace:endpoint:invocation', onAnswer);
  subscribe('headrace:endpoint:warning', onWarning);
  const runtime = createSageMakerRuntime({ dataDirectory: folder, snapshotInterval: 20 });
  runtime.ensureStreamingEndpoint('e');
  // A file where the folder of the models should be: nothing can be saved there.
  await writeFile(join(folder, 'sagemaker', 'models'), '');
  const list = attributes('topic=t;offsets=0:0-2');
  const bare = () =>
    runtime.handle({
      method: 'POST',
      path: '/endpoints/e/invocations',
      query: new URLSearchParams(),
      headers: { 'content-type': 'application/json', ...list },
      body: Buffer.from('[[1,2],[3,4],[5,6]]'),
      requestId: 't',
      principal: undefined,
    });
  const first = await bare();
  assert.equal(first!.status, 424, 'the model cannot even be looked for there');
  await rm(join(folder, 'sagemaker', 'models'));
  await bare();
  await bare();
  assert.deepEqual(
    answers.map(({ rows, duplicateRows }) => [rows, duplicateRows]),
    [
      [3, 0],
      [3, 3],
    ],
  );
  assert.equal(warnings.filter((warning) => warning.includes('bare array')).length, 1);
  await eventually(async () => (await readdir(join(folder, 'sagemaker', 'models', 'e'))).length === 1);
  await rm(join(folder, 'sagemaker', 'models'), { recursive: true });
  await writeFile(join(folder, 'sagemaker', 'models'), '');
  await invoke(runtime, [[7, 8]]);
  await eventually(() => warnings.some((warning) => warning.includes('cannot be saved')));
  await rm(join(folder, 'sagemaker', 'models'));
  await runtime.close();
  assert.equal((await readdir(join(folder, 'sagemaker', 'models', 'e'))).length, 1, 'saved at the end after all');
  unsubscribe('headrace:endpoint:invocation', onAnswer);
  unsubscribe('headrace:endpoint:warning', onWarning);
  await rm(folder, { recursive: true });
});
