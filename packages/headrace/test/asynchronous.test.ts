import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CreateFunctionCommand, InvokeCommand, LambdaClient, waitUntilFunctionActiveV2 } from '@aws-sdk/client-lambda';
import { eventually } from '@headrace/testing';
import { createAsynchronousInvocations, type EventRules } from '../src/asynchronous/index.ts';
import { decide, lambdaDelays } from '../src/asynchronous/rules.ts';
import { systemClock } from '../src/clock.ts';
import { HeadraceError } from '../src/errors.ts';
import type { InvokeOutcome } from '../src/functions/outcome.ts';
import { openStore } from '../src/store/store.ts';
import { zipFolder } from '../src/templates/code-package.ts';

const rules: EventRules = {
  functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST',
  maximumRetryAttempts: 2,
  maximumEventAgeMilliseconds: 21_600_000,
  onSuccess: undefined,
  onFailure: undefined,
  deadLetterTarget: undefined,
  isDisabled: false,
};

const executed = { requestId: 'r', executedVersion: '$LATEST', durationMilliseconds: 1 };
const success: InvokeOutcome = { kind: 'success', ...executed, payload: Buffer.from('{"ok":1}') };
const failure: InvokeOutcome = {
  kind: 'function-error',
  ...executed,
  functionError: 'Unhandled',
  reason: 'error',
  payload: Buffer.from('{"errorMessage":"no","errorType":"Error"}'),
};
const throttled: InvokeOutcome = { kind: 'throttled', reason: 'ConcurrentInvocationLimitExceeded' };

it('waits as Lambda does: a minute, two minutes, then over; throttles double from 1 s to 5 min and spend no attempt', () => {
  const event = { acceptedAt: 0, attempts: 1, delays: 0 };
  const after = (outcome: InvokeOutcome, changes: object, now = 0) =>
    decide(outcome, { ...event, ...changes }, rules, now, lambdaDelays);
  assert.deepEqual(after(failure, { attempts: 1 }), { kind: 'retry', dueAt: 60_000, spendsAttempt: true });
  assert.deepEqual(after(failure, { attempts: 2 }), { kind: 'retry', dueAt: 120_000, spendsAttempt: true });
  assert.deepEqual(after(failure, { attempts: 3 }), { kind: 'over', condition: 'RetriesExhausted' });
  assert.deepEqual(after(success, { attempts: 3 }), { kind: 'over', condition: 'Success' });
  const waits = [0, 1, 2, 8, 9, 100].map((delays) => after(throttled, { attempts: 0, delays }));
  assert.deepEqual(
    waits,
    [1_000, 2_000, 4_000, 256_000, 300_000, 300_000].map((dueAt) => ({ kind: 'retry', dueAt, spendsAttempt: false })),
  );
  // Look-ahead: the next try would come after the age limit.
  assert.deepEqual(after(failure, {}, 21_550_000), { kind: 'over', condition: 'EventAgeExceeded' });
  assert.deepEqual(after(throttled, {}, 21_599_500), { kind: 'over', condition: 'EventAgeExceeded' });
  assert.deepEqual(decide(failure, event, { ...rules, maximumRetryAttempts: 0 }, 0, lambdaDelays), {
    kind: 'over',
    condition: 'RetriesExhausted',
  });
});

it('decides in one place what is not even tried, what is forgotten, and how long a result waits for its destination', () => {
  const event = { acceptedAt: 0, attempts: 1, delays: 3 };
  const due = (changes: Partial<EventRules> | undefined, now: number) =>
    decide({ kind: 'due' }, event, changes && { ...rules, ...changes }, now, lambdaDelays);
  assert.deepEqual(due({}, 21_600_000), { kind: 'invoke' });
  // Nobody was there to try it in time.
  assert.deepEqual(due({}, 21_600_001), { kind: 'over', condition: 'EventAgeExceeded' });
  assert.deepEqual(due({ isDisabled: true }, 21_600_001), { kind: 'over', condition: 'ZeroReservedConcurrency' });
  assert.deepEqual(due(undefined, 0), { kind: 'forget' });
  const gone: InvokeOutcome = { kind: 'not-found', message: 'no such function' };
  assert.deepEqual(decide(gone, event, rules, 0, lambdaDelays), { kind: 'forget' });
  const tooLarge: InvokeOutcome = { kind: 'too-large', limitBytes: 1 };
  assert.deepEqual(decide(tooLarge, event, rules, 0, lambdaDelays), { kind: 'over', condition: 'RetriesExhausted' });
  const undelivered = (now: number) => decide({ kind: 'undelivered' }, event, undefined, now, lambdaDelays);
  assert.deepEqual(undelivered(21_900_000), { kind: 'retry', dueAt: 21_908_000, spendsAttempt: false });
  assert.deepEqual(undelivered(21_900_001), { kind: 'forget' });
});

describe('the queue of asynchronous invocations', () => {
  const quick = { retryMilliseconds: [1, 2], throttleFirstMilliseconds: 1, throttleLongestMilliseconds: 5 };

  async function run(
    outcomes: readonly InvokeOutcome[],
    changes: Partial<EventRules>,
    failDeliveries = 0,
  ): Promise<{ requestIds: string[]; delivered: [string, unknown][]; dead: [string, string][] }> {
    const store = openStore({ dataDirectory: ':memory:' });
    const requestIds: string[] = [];
    const delivered: [string, unknown][] = [];
    const dead: [string, string][] = [];
    let failing = failDeliveries;
    const invocations = createAsynchronousInvocations({
      queue: store.events,
      clock: systemClock,
      delays: quick,
      rulesOf: () => ({ ...rules, ...changes }),
      invoke: async (_reference, _payload, options) => {
        requestIds.push(options?.requestId ?? '');
        return outcomes[requestIds.length - 1] ?? success;
      },
      delivery: {
        async toDestination(arn, _event, result) {
          if (failing-- > 0) throw new HeadraceError('DESTINATION', 'down');
          delivered.push([arn, JSON.parse(result.record)]);
        },
        async toDeadLetter(arn, event, result) {
          dead.push([arn, `${event.payload} ${result.error?.statusCode} ${result.error?.message}`]);
        },
      },
      log: () => {},
    });
    invocations.start();
    invocations.submit({
      requestId: 'request-1',
      functionName: 'f',
      qualifier: '$LATEST',
      payload: Buffer.from('{"a":1}'),
    });
    await eventually(() => store.events.size === 0);
    await invocations.stop();
    store.close();
    return { requestIds, delivered, dead };
  }

  it('tries three times under one request id, then fills dead-letter queue and destination with the exact record', async () => {
    const { requestIds, delivered, dead } = await run([failure, throttled, failure, failure], {
      onFailure: 'arn:aws:sqs:us-east-1:123456789012:failed',
      deadLetterTarget: 'arn:aws:sqs:us-east-1:123456789012:dead',
    });
    assert.deepEqual(requestIds, Array(4).fill('request-1'));
    assert.deepEqual(dead, [['arn:aws:sqs:us-east-1:123456789012:dead', '{"a":1} 200 no']]);
    const [[arn, record] = []] = delivered;
    assert.equal(arn, 'arn:aws:sqs:us-east-1:123456789012:failed');
    assert.deepEqual(record, {
      version: '1.0',
      timestamp: (record as { timestamp: string }).timestamp,
      requestContext: {
        requestId: 'request-1',
        functionArn: rules.functionArn,
        condition: 'RetriesExhausted',
        approximateInvokeCount: 3,
      },
      requestPayload: { a: 1 },
      responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
      responsePayload: { errorMessage: 'no', errorType: 'Error' },
    });
    assert.deepEqual(Object.keys(record as object), [
      'version',
      'timestamp',
      'requestContext',
      'requestPayload',
      'responseContext',
      'responsePayload',
    ]);
  });

  it('a result waits for a destination that is down, and is invoked once all the same', async () => {
    const { requestIds, delivered } = await run([success], { onSuccess: 'arn:aws:sns:us-east-1:123456789012:done' }, 3);
    assert.equal(requestIds.length, 1);
    assert.equal(delivered.length, 1);
    assert.deepEqual((delivered[0]![1] as { requestContext: object }).requestContext, {
      requestId: 'request-1',
      functionArn: rules.functionArn,
      condition: 'Success',
      approximateInvokeCount: 1,
    });
  });

  it('reserved concurrency 0 sends the event to the failure target without an attempt', async () => {
    const { requestIds, delivered } = await run([], { isDisabled: true, onFailure: 'arn:aws:s3:::failed' });
    assert.deepEqual(requestIds, []);
    const record = delivered[0]?.[1] as Record<string, { condition?: string; approximateInvokeCount?: number }>;
    assert.equal(record['requestContext']?.condition, 'ZeroReservedConcurrency');
    assert.equal(record['requestContext']?.approximateInvokeCount, 0);
    assert.ok(!('responseContext' in record) && !('responsePayload' in record));
  });
});

describe('kill -9 of the engine', { timeout: 120_000 }, () => {
  const launcher = fileURLToPath(new URL('../bin/headrace.js', import.meta.url));
  async function start(folder: string): Promise<{ child: ChildProcess; endpoint: string }> {
    const child = spawn(
      process.execPath,
      [launcher, 'start', '--json', '--port', '0', '--data-dir', join(folder, 'data')],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    const line = await eventually(() => out.split('\n').find((each) => each.includes('"ready"')), {
      timeoutMs: 60_000,
      what: 'the engine is ready',
    });
    return { child, endpoint: (JSON.parse(line) as { endpoint: string }).endpoint };
  }

  it('every accepted event is run, also those that were running or waiting when the engine died', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'headrace-asynchronous-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const code = join(folder, 'code');
    const journal = join(folder, 'journal');
    const gate = join(folder, 'gate');
    await writeFile(journal, '');
    await mkdir(code);
    await writeFile(
      join(code, 'index.mjs'),
      `import { appendFileSync, existsSync } from 'node:fs';
       export const handler = async ({ number }) => {
         appendFileSync(${JSON.stringify(journal)}, 'began ' + number + '\\n');
         while (!existsSync(${JSON.stringify(gate)})) await new Promise((resolve) => setTimeout(resolve, 20));
         appendFileSync(${JSON.stringify(journal)}, 'ended ' + number + '\\n');
       };`,
    );
    const first = await start(folder);
    let second: Awaited<ReturnType<typeof start>> | undefined;
    try {
      const client = (endpoint: string) =>
        new LambdaClient({ endpoint, region: 'us-east-1', credentials: { accessKeyId: 'x', secretAccessKey: 'y' } });
      const lambda = client(first.endpoint);
      await lambda.send(
        new CreateFunctionCommand({
          FunctionName: 'f',
          Role: 'arn:aws:iam::123456789012:role/r',
          Runtime: 'nodejs24.x',
          Handler: 'index.handler',
          Timeout: 60,
          Code: { ZipFile: await zipFolder(code) },
        }),
      );
      await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 20 }, { FunctionName: 'f' });
      const numbers = Array.from({ length: 10 }, (_, index) => index);
      for (const number of numbers) {
        const { StatusCode } = await lambda.send(
          new InvokeCommand({ FunctionName: 'f', InvocationType: 'Event', Payload: JSON.stringify({ number }) }),
        );
        assert.equal(StatusCode, 202);
      }
      await eventually(async () => (await readFile(journal, 'utf8')).includes('began'), { timeoutMs: 20_000 });
      lambda.destroy();
      first.child.kill('SIGKILL');
      await new Promise((resolve) => first.child.once('exit', resolve));
      assert.ok(!(await readFile(journal, 'utf8')).includes('ended'), 'nothing had ended');

      second = await start(folder);
      await appendFile(gate, '');
      await eventually(
        async () => {
          const text = await readFile(journal, 'utf8');
          return numbers.every((number) => text.includes(`ended ${number}\n`));
        },
        { timeoutMs: 30_000, what: 'every event ended' },
      );
    } finally {
      first.child.kill('SIGKILL');
      second?.child.kill('SIGTERM');
      if (second) await new Promise((resolve) => second?.child.once('exit', resolve));
    }
  });
});
