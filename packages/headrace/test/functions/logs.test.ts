import assert from 'node:assert/strict';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { eventually, temporaryFolder } from '@headrace/testing';
import { LogFiles } from '../../src/functions/log-files.ts';
import { type LogPage, listGroups, listStreams, queryLog } from '../../src/functions/log-reader.ts';
import { functionLogChannel } from '../../src/telemetry/channels.ts';
import { Workbench } from './support.ts';

const folder = temporaryFolder('logs');
after(() => rmSync(folder, { recursive: true, force: true }));

test('an invocation writes INIT_START, START, its output, END and REPORT, in this order, to files and to the channel', async () => {
  const bench = await Workbench.start();
  await bench.add('f', {
    'index.mjs': `import { writeSync } from 'node:fs'; export const handler = async (event, context) => { console.log('one', { two: 2 }); console.error('three\\nlines\\nlong'); process.stdout.write('no line end'); };`,
  });
  const seen: string[] = [];
  const listen = (message: unknown): void => void seen.push((message as { line: string }).line);
  functionLogChannel.subscribe(listen);
  after(() => functionLogChannel.unsubscribe(listen));
  const outcome = await bench.invoke('f', {}, { logTail: true });
  assert.ok(outcome.kind === 'success');
  const id = outcome.requestId;
  const time = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z';
  const patterns = [
    /^INIT_START Runtime Version: nodejs:24\.headrace\tRuntime Version ARN: arn:aws:lambda:eu-central-1::runtime:/,
    new RegExp(`^START RequestId: ${id} Version: \\$LATEST$`),
    new RegExp(`^${time}\t${id}\tINFO\tone \\{ two: 2 \\}$`),
    new RegExp(`^${time}\t${id}\tERROR\tthree\nlines\nlong$`),
    /^no line end$/,
    new RegExp(`^END RequestId: ${id}$`),
    new RegExp(
      `^REPORT RequestId: ${id}\tDuration: \\d+\\.\\d\\d ms\tBilled Duration: \\d+ ms\tMemory Size: 256 MB\tMax Memory Used: [1-9]\\d* MB\tInit Duration: \\d+\\.\\d\\d ms\t$`,
    ),
  ];
  assert.equal(seen.length, patterns.length, seen.join('\n'));
  for (const [index, pattern] of patterns.entries()) assert.match(seen[index]!, pattern);
  assert.equal(
    outcome.logTail!.toString(),
    seen
      .slice(1)
      .map((line) => `${line}\n`)
      .join(''),
  );
  const logs = join(bench.directory, 'data/logs');
  const events = await eventually(async () => {
    const found = await queryLog(logs, '/aws/lambda/f', {});
    return found?.events.length === seen.length && found.events;
  });
  assert.deepEqual(
    events.map((event) => event.message),
    seen,
  );
  assert.deepEqual(await listGroups(logs), ['/aws/lambda/f']);
});

test('the second invocation has no Init Duration, and the tail holds the last 4 KB', async () => {
  const bench = await Workbench.start();
  await bench.add('f', {
    'index.mjs': `export const handler = async (n) => { for (let i = 0; i < n; i++) console.log('line ' + i); };`,
  });
  await bench.result('f', 0);
  const outcome = await bench.invoke('f', 1_000, { logTail: true });
  assert.ok(outcome.kind === 'success');
  const tail = outcome.logTail!.toString();
  assert.equal(outcome.logTail!.length, 4_096);
  assert.match(tail, /line 999\nEND RequestId: \S+\nREPORT RequestId: [^\n]+ MB\t\n$/);
  assert.ok(!tail.includes('Init Duration'));
});

test('JSON logs: platform records by level, application records with their message', async () => {
  const bench = await Workbench.start();
  const source = `export const handler = async (event) => { console.debug('quiet'); console.log({ a: 1n.toString() }); console.warn('w %d', 5, new TypeError('t')); if (event === 'fail') throw new RangeError('r'); };`;
  const tail = async (name: string, event: unknown): Promise<Record<string, unknown>[]> => {
    const outcome = await bench.invoke(name, event, { logTail: true });
    assert.ok('logTail' in outcome);
    return outcome
      .logTail!.toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  };
  await bench.add('info', { 'index.mjs': source }, { logging: { format: 'JSON', applicationLevel: 'INFO' } });
  const [start, log, warning, failure, report] = (await tail('info', 'fail')) as Record<string, never>[];
  assert.equal(start!['type'], 'platform.start');
  assert.deepEqual([log!['level'], log!['message']], ['INFO', { a: '1' }]);
  assert.deepEqual([warning!['level'], warning!['errorType'], warning!['errorMessage']], ['WARN', 'TypeError', 't']);
  assert.match(warning!['message'], /^w 5 TypeError: t/);
  assert.deepEqual([failure!['level'], failure!['message']['errorType']], ['ERROR', 'RangeError']);
  assert.equal(report!['type'], 'platform.report');
  const record = report!['record'] as Record<string, unknown>;
  assert.deepEqual([record['status'], record['errorType']], ['error', 'Runtime.Unknown']);
  assert.deepEqual(Object.keys(record['metrics'] as object), [
    'durationMs',
    'billedDurationMs',
    'memorySizeMB',
    'maxMemoryUsedMB',
    'initDurationMs',
  ]);
  await bench.add(
    'debug',
    { 'index.mjs': source },
    { logging: { format: 'JSON', systemLevel: 'DEBUG', applicationLevel: 'ERROR' } },
  );
  assert.deepEqual(
    (await tail('debug', 1)).map((each) => each['type']),
    ['platform.start', 'platform.runtimeDone', 'platform.report'],
  );
  await bench.add(
    'warn',
    { 'index.mjs': source },
    { logging: { format: 'JSON', systemLevel: 'WARN', applicationLevel: 'ERROR' } },
  );
  assert.equal(((await bench.invoke('warn', 1, { logTail: true })) as { logTail: Buffer }).logTail.length, 0);
  assert.deepEqual(
    (await tail('warn', 'fail')).map((each) => each['type'] ?? each['level']),
    ['ERROR', 'platform.report'],
  );
});

test('JSON logs at DEBUG tell of the initialisation and of the runtime, too', async () => {
  const bench = await Workbench.start();
  await bench.add(
    'f',
    { 'index.mjs': 'export const handler = async () => 1;' },
    { logging: { format: 'JSON', systemLevel: 'DEBUG' } },
  );
  await bench.result('f');
  const lines = await eventually(async () => {
    const found = await queryLog(join(bench.directory, 'data/logs'), '/aws/lambda/f', {});
    return found?.events.length === 6 && found.events.map(({ message }) => JSON.parse(message));
  });
  assert.deepEqual(
    lines.map(({ type }) => type.replace('platform.', '')),
    ['initStart', 'initRuntimeDone', 'initReport', 'start', 'runtimeDone', 'report'],
  );
  const common = { initializationType: 'on-demand', phase: 'init', status: 'success' };
  assert.deepEqual(lines[1].record, common);
  const { metrics, ...report } = lines[2].record;
  assert.deepEqual(report, common);
  assert.ok(metrics.durationMs > 0);
  assert.deepEqual(Object.keys(lines[4].record.metrics), ['durationMs', 'producedBytes']);
});

test('files rotate and a group stays within its bounds', async () => {
  const directory = join(folder, 'bounded');
  const logs = new LogFiles(directory, { fileBytes: 10_000, groupBytes: 50_000, groupStreams: 5 });
  const line = 'x'.repeat(80);
  for (let stream = 0; stream < 12; stream++) {
    const writer = logs.open('/aws/lambda/f', `2026/01/01/[$LATEST]${stream}`);
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 30; i++) writer.append(1_700_000_000_000 + i, `${line} ${round}`);
      await logs.flush();
    }
  }
  const files = readdirSync(join(directory, '%2Faws%2Flambda%2Ff')).filter((name) => /\.log/.test(name));
  const bytes = files.reduce((sum, name) => sum + statSync(join(directory, '%2Faws%2Flambda%2Ff', name)).size, 0);
  assert.ok(files.length <= 6, files.join(' '));
  assert.ok(bytes <= 60_000, `${bytes} bytes`);
  const streams = await listStreams(directory, '/aws/lambda/f');
  assert.equal(streams!.at(-1)?.name.slice(-2), ']9');
  const found = await queryLog(directory, '/aws/lambda/f', { streams: ['2026/01/01/[$LATEST]11'] });
  assert.equal(found!.events.at(-1)?.message, `${line} 9`);
  assert.equal(logs.lastError, undefined);
});

test('a query picks streams, times and messages, and sorts by time', async () => {
  const directory = join(folder, 'query');
  const logs = new LogFiles(directory);
  const a = logs.open('g', 'a');
  const b = logs.open('g', 'b');
  const now = Date.now();
  for (let i = 0; i < 10; i++) (i % 2 === 0 ? a : b).append(now + i, `message ${i}\nof ${i % 2 === 0 ? 'a' : 'b'}`);
  await logs.flush();
  const texts = async (query: Parameters<typeof queryLog>[2]): Promise<string[]> =>
    (await queryLog(directory, 'g', query))!.events.map((event) => event.message.split('\n')[0]!.slice(8));
  assert.deepEqual(await texts({}), ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  assert.deepEqual(await texts({ startTime: now + 3, endTime: now + 6 }), ['3', '4', '5']);
  assert.deepEqual(await texts({ streams: ['b'], startTime: now + 4 }), ['5', '7', '9']);
  assert.deepEqual(await texts({ streamPrefix: 'a', matches: (text) => text.includes('4') }), ['4']);
  assert.equal(await queryLog(directory, 'none', {}), undefined);
});

test('pages of a query are all events once, in order, whatever their size, time and stream', async () => {
  let seed = 11;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const directory = join(folder, 'pages');
  const logs = new LogFiles(directory);
  const writers = ['c', 'a', 'b'].map((name) => logs.open('g', name));
  const now = Date.now();
  const written: string[] = [];
  let time = now;
  for (let i = 0; i < 500; i++) {
    // Many at the same millisecond, some long ones.
    if (random(20) === 0) time += random(5);
    const text = `${i} ${'x'.repeat(random(30) === 0 ? 200_000 : random(40))}`;
    writers[random(3)]!.append(time, text);
    written.push(text);
  }
  await logs.flush();
  const whole = (await queryLog(directory, 'g', {}))!;
  assert.equal(whole.next, undefined);
  assert.deepEqual(new Set(whole.events.map((event) => event.message)), new Set(written));
  for (const limit of [1, 25, 10_000]) {
    const pages: string[] = [];
    let count = 0;
    let place: { startTime?: number; skip?: number } | undefined = { startTime: now };
    while (place !== undefined && pages.length < (limit === 1 ? 30 : written.length + 1)) {
      const page: LogPage = (await queryLog(directory, 'g', { ...place, limit }))!;
      assert.ok(page.events.length <= limit);
      const length = page.events.reduce((sum, { message }) => sum + message.length, 0);
      assert.ok(length <= 1_048_576 || page.events.length === 1, `${length} characters in a page`);
      pages.push(...page.events.map((event) => event.message));
      place = page.next;
      count++;
    }
    const expected = whole.events.slice(0, limit === 1 ? 30 : undefined).map((event) => event.message);
    assert.deepEqual(pages, expected, `limit ${limit}`);
    assert.ok(count >= 2, `${count} pages`);
  }
});

test('the end of a long stream is found wherever reading begins', async () => {
  const directory = join(folder, 'long');
  const logs = new LogFiles(directory);
  const writer = logs.open('g', 's');
  const begin = 1_700_000_000_000;
  // Half an hour in 12 MB, with line ends and characters of several bytes in some events.
  for (let i = 0; i < 20_000; i++) {
    const text = i % 1_000 === 999 ? `ü\nsecond line ${'€'.repeat(200)}` : 'x'.repeat(600);
    writer.append(begin + i * 90, `${i} ${text}`);
    if (i % 1_000 === 0) await logs.flush();
  }
  await logs.flush();
  const whole = (await queryLog(directory, 'g', {}))!.events;
  assert.equal(whole.length, 20_000);
  for (const first of [0, 1, 10_000, 12_999, 19_998, 19_999]) {
    const { events } = (await queryLog(directory, 'g', { startTime: begin + first * 90 }))!;
    assert.deepEqual(events, whole.slice(first), `from ${first}`);
  }
  assert.equal(whole.at(-1)!.message, `19999 ü\nsecond line ${'€'.repeat(200)}`);
});

test('a disk that refuses does not stop the function', async () => {
  const logs = new LogFiles(join(folder, 'query', 'g', 'group.txt'));
  logs.open('g', 's').append(Date.now(), 'lost');
  await logs.flush();
  assert.match(String(logs.lastError), /ENOTDIR/);
});
