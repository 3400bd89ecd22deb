import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startBroker } from '@headrace/dev-broker';
import { Admin, Producer } from '@platformatic/kafka';
import type { DryRunReport } from '../src/mappings/filter-dry-run.ts';
import { HeadraceProcess } from './demo/headrace-process.ts';

const pattern = '{"value":{"kind":["reading"],"celsius":[{"numeric":[">",30]}]}}';
const values = [
  ...Array.from({ length: 7 }, (_, n) => `{"kind":"reading","celsius":${31 + n}}`),
  ...Array.from({ length: 12 }, (_, n) => `{"kind":"reading","celsius":${n}}`),
  '{"kind":"status","celsius":99}',
  '{"kind":"status","celsius":1}',
  'plain text',
  '[2026-01-01] a log line',
];

async function filterTest(files: Record<string, string>, ...words: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-filter-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const inFolder = words.map((word) => (word.replace('@', '') in files ? word.replace(/^@?/, `$&${folder}/`) : word));
    using headrace = new HeadraceProcess(['filter', 'test', ...inFolder]);
    return await headrace.ended;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('filter test on a file counts matches, near misses by clause, and format mismatches', async () => {
  const { code, stdout, stderr } = await filterTest(
    { 'values.jsonl': `${values.join('\n')}\n` },
    '--pattern',
    pattern,
    '--event',
    'values.jsonl',
    '--json',
  );
  assert.equal(code, 0, stderr);
  const report = JSON.parse(stdout) as DryRunReport;
  assert.equal(report.records, values.length);
  assert.equal(report.matched.records, 7);
  assert.equal(report.matched.examples.length, 5);
  assert.deepEqual(
    report.nearMisses.map(({ filter, path, rule, records }) => ({ filter, path, rule, records })),
    [
      { filter: 0, path: 'value.celsius', rule: '[{"numeric":[">",30]}]', records: 12 },
      { filter: 0, path: 'value.kind', rule: '["reading"]', records: 1 },
    ],
  );
  assert.deepEqual(report.nearMisses[0]!.examples[0], {
    topic: 'values.jsonl',
    partition: 0,
    offset: '7',
    value: '{"kind":"reading","celsius":0}',
    found: ['0'],
  });
  assert.equal(report.nearMisses[0]!.examples.length, 5);
  assert.equal(report.formatMismatches.records, 2);
});

test('filter test says it to people as well, and ends with 1 when nothing matches', async () => {
  const { code, stdout, stderr } = await filterTest(
    { 'one.json': '{\n  "kind": "status",\n  "celsius": 40\n}\n', 'pattern.json': pattern },
    '--pattern',
    '@pattern.json',
    '--pattern',
    '{"data":["x"]}',
    '--event',
    'one.json',
  );
  assert.equal(code, 1);
  assert.match(stdout, /1 record read, 0 match/);
  assert.match(
    stdout,
    /1 record would match but for filter 1: "value\.kind": \["reading"\]\n {2}one\.json-0@0 {2}has "status"/,
  );
  assert.match(stderr, /Filters\[1\]: the pattern can never match a Kafka record: a record has no "data"/);
});

test('filter test reads a Kafka event as Lambda sends it', async () => {
  const event = {
    eventSource: 'aws:kafka',
    records: {
      'orders-1': [
        {
          topic: 'orders',
          partition: 1,
          offset: 15,
          timestamp: 1,
          timestampType: 'CREATE_TIME',
          key: Buffer.from('k').toString('base64'),
          value: Buffer.from('{"a":1}').toString('base64'),
          headers: [{ h: [-36] }],
        },
      ],
    },
  };
  const { code, stdout, stderr } = await filterTest(
    { 'event.json': JSON.stringify(event) },
    '--pattern',
    '{"topic":["orders"],"partition":[1],"key":["k"],"value":{"a":[1]},"headers":{"h":[-36]}}',
    '--event',
    'event.json',
    '--json',
  );
  assert.equal(code, 0, stderr + stdout);
  assert.equal((JSON.parse(stdout) as DryRunReport).matched.records, 1);
});

test('filter test tells what is wrong with its words', async () => {
  for (const [words, message] of [
    [[], /--pattern is missing/],
    [['--pattern', '{"a":"x"}', '--event', 'f'], /"a" must be a list of values or an object/],
    [['--pattern', pattern], /give either --event or --topic/],
    [['--pattern', pattern, '--event', 'f', '--topic', 't'], /give either --event or --topic/],
    [['--pattern', pattern, '--topic', 't'], /--topic needs --bootstrap-servers/],
    [['--pattern', pattern, '--event', 'f', '--last', '5'], /--last goes with --topic/],
    [
      ['--pattern', pattern, '--format-mismatch', 'x', '--event', 'f'],
      /--format-mismatch must be one of drop, deliver/,
    ],
  ] as const) {
    const { code, stderr } = await filterTest({}, ...words);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  }
  const { code, stderr } = await filterTest({}, '--pattern', pattern, '--event', 'missing.json');
  assert.equal(code, 1);
  assert.match(stderr, /--event: missing\.json cannot be read/);
});

test('filter test on a topic reads its last records, without a group and without a commit', async (context) => {
  const broker = await startBroker();
  context.after(() => broker.stop());
  const bootstrapBrokers = broker.bootstrapServers.split(',');
  const admin = new Admin({ clientId: 'test', bootstrapBrokers });
  await admin.createTopics({ topics: ['readings', 'empty'], partitions: 3 });
  const producer = new Producer<Buffer, Buffer, Buffer, Buffer>({ clientId: 'test', bootstrapBrokers });
  await producer.send({
    messages: values.map((value, n) => ({
      topic: 'readings',
      partition: n % 3,
      value: Buffer.from(value),
      timestamp: BigInt(1_700_000_000_000 + n),
    })),
  });
  await producer.close();
  const onTopic = (...words: string[]) =>
    filterTest({}, '--pattern', pattern, '--bootstrap-servers', broker.bootstrapServers, '--json', ...words);
  const all = await onTopic('--topic', 'readings');
  assert.equal(all.code, 0, all.stderr);
  const report = JSON.parse(all.stdout) as DryRunReport;
  assert.deepEqual(
    [report.records, report.matched.records, report.formatMismatches.records, report.nearMisses[0]!.records],
    [values.length, 7, 2, 12],
  );
  const last = JSON.parse((await onTopic('--topic', 'readings', '--last', '3')).stdout) as DryRunReport;
  assert.equal(last.records, 3);
  assert.deepEqual(
    last.formatMismatches.examples.map(({ value }) => value),
    ['plain text', '[2026-01-01] a log line'],
  );
  const none = await onTopic('--topic', 'empty');
  assert.equal(none.code, 1, none.stderr);
  assert.equal((JSON.parse(none.stdout) as DryRunReport).records, 0);
  const missing = await onTopic('--topic', 'missing');
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /KAFKA_TOPIC_MISSING/);
  assert.equal((await admin.listGroups()).size, 0);
  await admin.close();
});
