import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { awsCli2, eventually, needs, pythonEnvironment, runCommand, temporaryFolder } from '@headrace/testing';
import { startEngine } from '../src/engine.ts';
import { filterLogEvents } from '../src/logs-api/client.ts';
import { compileFilterPattern } from '../src/logs-api/filter-pattern.ts';
import { HeadraceProcess } from './demo/headrace-process.ts';
import { createFolderFunction } from './support/folder-function.ts';

const folder = temporaryFolder('logs-api');
mkdirSync(join(folder, 'code'));
writeFileSync(
  join(folder, 'code', 'index.mjs'),
  `export const handler = async (event) => { for (const line of event.lines) console.log(line); };`,
);
const engine = await startEngine({
  port: 0,
  dataDirectory: join(folder, 'data'),
  codeFolders: [folder],
  region: 'us-east-1',
});
after(async () => {
  await engine.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});
await createFolderFunction(engine, 'noisy', join(folder, 'code'));
const keys = { accessKeyId: 'test', secretAccessKey: 'test' };
const client = { endpoint: engine.endpoint, region: 'us-east-1', credentials: keys };
const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  HOME: folder,
  AWS_ENDPOINT_URL: engine.endpoint,
  AWS_REGION: 'us-east-1',
  AWS_DEFAULT_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  ...more,
});

async function log(...lines: string[]): Promise<void> {
  const outcome = await engine.functions.invoke('noisy', Buffer.from(JSON.stringify({ lines })));
  assert.ok(outcome.kind === 'success');
  // Files are written behind the function's back: the last line is there when all others are.
  await eventually(async () => {
    for await (const { message } of filterLogEvents(client, { logGroupName: '/aws/lambda/noisy' })) {
      if (message.startsWith(`REPORT RequestId: ${outcome.requestId}`)) return true;
    }
    return false;
  });
}

/** One call of the API, unsigned parts and all. */
async function call(operation: string, input: object): Promise<{ status: number; body: Record<string, never> }> {
  const response = await fetch(engine.endpoint, {
    method: 'POST',
    headers: { 'x-amz-target': `Logs_20140328.${operation}`, 'content-type': 'application/x-amz-json-1.1' },
    body: JSON.stringify(input),
  });
  return { status: response.status, body: (await response.json()) as Record<string, never> };
}

test('GetLogEvents pages forward and backward without losing or repeating an event', async () => {
  await log(...Array.from({ length: 25 }, (_, n) => `number ${n}.`));
  const logGroupName = '/aws/lambda/noisy';
  const streams = (await call('DescribeLogStreams', { logGroupName })).body as {
    logStreams?: { logStreamName: string }[];
  };
  const logStreamName = streams.logStreams![0]!.logStreamName;
  type Page = { events: { message: string }[]; nextForwardToken: string; nextBackwardToken: string };
  const page = async (more: object): Promise<Page> =>
    (await call('GetLogEvents', { logGroupName, logStreamName, limit: 10, ...more })).body as unknown as Page;
  const forward: string[] = [];
  let current = await page({ startFromHead: true });
  while (current.events.length > 0) {
    forward.push(...current.events.map((event) => event.message));
    const next = await page({ nextToken: current.nextForwardToken });
    if (next.events.length === 0)
      assert.equal(next.nextForwardToken, current.nextForwardToken, 'the end keeps its token');
    current = next;
  }
  const backward: string[] = [];
  for (
    current = await page({});
    current.events.length > 0;
    current = await page({ nextToken: current.nextBackwardToken })
  ) {
    backward.unshift(...current.events.map((event) => event.message));
  }
  assert.deepEqual(backward, forward);
  assert.equal(forward.filter((message) => /number \d+\.$/.test(message)).length, 25);
});

test('FilterLogEvents filters by text and time and pages', async () => {
  await log('ERROR first', 'WARN second', 'ERROR third end');
  const found: string[] = [];
  for await (const event of filterLogEvents(client, {
    logGroupName: '/aws/lambda/noisy',
    filterPattern: 'ERROR -first',
  })) {
    found.push(event.message.split('\t').at(-1)!);
  }
  assert.deepEqual(found, ['ERROR third end']);
  const seen = new Set<string>();
  let nextToken: string | undefined;
  let pages = 0;
  do {
    const { body } = await call('FilterLogEvents', {
      logGroupName: '/aws/lambda/noisy',
      limit: 5,
      ...(nextToken ? { nextToken } : {}),
    });
    const result = body as unknown as { events: { eventId: string }[]; nextToken?: string };
    for (const { eventId } of result.events) {
      assert.match(eventId, /^\d{56}$/);
      assert.ok(!seen.has(eventId));
      seen.add(eventId);
    }
    nextToken = result.nextToken;
    pages++;
  } while (nextToken !== undefined);
  assert.ok(pages > 2);
  const none = await call('FilterLogEvents', { logGroupName: '/aws/lambda/noisy', startTime: Date.now() + 60_000 });
  assert.deepEqual(none.body['events'], []);
});

test('what is wrong is refused by name', async () => {
  for (const [operation, input, type, message] of [
    [
      'FilterLogEvents',
      { logGroupName: '/none' },
      'ResourceNotFoundException',
      'The specified log group does not exist.',
    ],
    [
      'GetLogEvents',
      { logGroupName: '/aws/lambda/noisy', logStreamName: 'none' },
      'ResourceNotFoundException',
      'The specified log stream does not exist.',
    ],
    ['FilterLogEvents', {}, 'InvalidParameterException', 'logGroupName is missing'],
    [
      'FilterLogEvents',
      { logGroupName: '/aws/lambda/noisy', limit: 0 },
      'InvalidParameterException',
      'limit must be a whole number from 1 to 10000',
    ],
    [
      'FilterLogEvents',
      { logGroupName: '/aws/lambda/noisy', filterPattern: '{ $.a = 1 }' },
      'InvalidParameterException',
      'Invalid filter pattern: patterns for JSON and for columns are not supported here',
    ],
    [
      'FilterLogEvents',
      { logGroupName: '../../etc' },
      'ResourceNotFoundException',
      'The specified log group does not exist.',
    ],
    ['StartLiveTail', {}, 'UnknownOperationException', 'StartLiveTail is not implemented by Headrace.'],
    ['PutLogEvents', {}, 'UnknownOperationException', 'PutLogEvents is not implemented by Headrace.'],
  ] as const) {
    const { status, body } = await call(operation, input);
    assert.deepEqual([status, body['__type'], body['message']], [400, type, message]);
  }
});

test('filter patterns: terms, phrases, exclusions and alternatives', () => {
  for (const [pattern, yes, no] of [
    ['a b', ['a b', 'xbya'], ['a', 'b']],
    ['"a b"', ['xa by'], ['b a']],
    ['a -b', ['a c'], ['a b', 'c']],
    ['?a ?b', ['a', 'b'], ['c']],
    ['"say \\"hi\\""', ['I say "hi"'], ['say hi']],
    ['ERROR', ['ERROR'], ['error']],
  ] as const) {
    const matches = compileFilterPattern(pattern);
    for (const text of yes) assert.ok(matches(text), `${pattern} takes ${text}`);
    for (const text of no) assert.ok(!matches(text), `${pattern} leaves ${text}`);
  }
});

test('headrace logs prints, filters, follows and gives JSON', async () => {
  await log('marker one', 'marker two\nwith a second line');
  using plain = new HeadraceProcess(['logs', 'noisy', '--since', '1h', '--filter', 'marker'], environment());
  const printed = await plain.ended;
  assert.equal(printed.code, 0, printed.stderr);
  assert.equal(printed.stdout.match(/marker/g)?.length, 2);
  using asJson = new HeadraceProcess(['logs', 'noisy', '--filter', 'marker two', '--json'], environment());
  const [line] = (await asJson.ended).stdout.trim().split('\n');
  assert.match(JSON.parse(line!).message, /marker two\nwith a second line$/);
  using follow = new HeadraceProcess(
    ['logs', 'noisy', '--follow', '--since', '5m', '--filter', 'later'],
    environment(),
  );
  await eventually(() => follow.child.pid !== undefined);
  await log('later on');
  await eventually(() => follow.stdout.includes('later on'));
  follow.child.kill('SIGINT');
  await follow.ended;
  assert.equal(follow.stdout.match(/later on/g)?.length, 1);
  using unknown = new HeadraceProcess(['logs', 'nobody'], environment());
  const refused = await unknown.ended;
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /ResourceNotFoundException: The specified log group does not exist\. .*first invocation/,
  );
});

test('aws logs filter-log-events, describe and get-log-events read the same', { skip: needs('python') }, async () => {
  const python = await pythonEnvironment(['awscli==1.46.3', 'boto3==1.44.5']);
  await log('for the AWS CLI');
  const aws = async (...words: string[]): Promise<string> =>
    (await runCommand(python.python, [join(python.bin, 'aws'), ...words], { env: environment() })).stdout;
  const events = JSON.parse(
    await aws(
      'logs',
      'filter-log-events',
      '--log-group-name',
      '/aws/lambda/noisy',
      '--filter-pattern',
      '"for the AWS CLI"',
    ),
  );
  assert.equal(events.events.length, 1);
  const groups = JSON.parse(await aws('logs', 'describe-log-groups', '--log-group-name-prefix', '/aws/lambda/'));
  assert.equal(groups.logGroups[0].logGroupName, '/aws/lambda/noisy');
  const streams = JSON.parse(
    await aws(
      'logs',
      'describe-log-streams',
      '--log-group-name',
      '/aws/lambda/noisy',
      '--order-by',
      'LastEventTime',
      '--descending',
    ),
  );
  const stream = streams.logStreams[0].logStreamName;
  const one = JSON.parse(
    await aws(
      'logs',
      'get-log-events',
      '--log-group-name',
      '/aws/lambda/noisy',
      '--log-stream-name',
      stream,
      '--limit',
      '1',
    ),
  );
  assert.equal(one.events.length, 1);
});

test('aws logs tail of the CLI v2 prints, filters and follows', { skip: needs('aws-cli-2') }, async () => {
  const command = awsCli2()!;
  // Debian 12's release is older than AWS_ENDPOINT_URL.
  const tail = ['--endpoint-url', engine.endpoint, 'logs', 'tail', '/aws/lambda/noisy'];
  await log('tailed first', 'tailed second');
  const words = [...tail, '--since', '5m', '--format', 'short', '--filter-pattern', 'tailed'];
  const short = (await runCommand(command, words, { env: environment() })).stdout.trim().split('\n');
  assert.equal(short.length, 2, short.join('\n'));
  assert.match(short[0]!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \S+Z\t[0-9a-f-]{36}\tINFO\ttailed first$/);
  const detailed = (await runCommand(command, [...tail, '--since', '5m'], { env: environment() })).stdout;
  assert.match(detailed, /^\S+\+00:00 \d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32} START RequestId: /m);
  // Into a pipe it prints by blocks of 8 KB otherwise.
  const follow = spawn(command, [...tail, '--follow', '--since', '5m', '--format', 'short'], {
    env: environment({ PYTHONUNBUFFERED: '1' }),
  });
  after(() => follow.kill('SIGKILL'));
  let followed = '';
  follow.stdout.on('data', (chunk: Buffer) => {
    followed += chunk.toString();
  });
  const prints = (text: string): Promise<unknown> =>
    eventually(() => followed.includes(text), { timeoutMs: 60_000, what: text });
  await prints('tailed second');
  // It asks every five seconds.
  await log('tailed third');
  await prints('tailed third');
  const ended = once(follow, 'exit');
  follow.kill('SIGINT');
  await ended;
  const seen = followed.match(/\ttailed \w+$/gm)?.map((line) => line.slice(8));
  assert.deepEqual(seen, ['first', 'second', 'third'], 'every line once, in order');
  await assert.rejects(
    runCommand(command, [...tail.slice(0, -1), '/aws/lambda/nobody'], { env: environment() }),
    /ResourceNotFoundException\) when calling the FilterLogEvents operation: The specified log group does not exist/,
  );
});
