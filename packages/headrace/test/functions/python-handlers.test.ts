import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs } from '@headrace/testing';
import { type VersionChanges, Workbench } from './support.ts';

const skip = needs('python');
const bench = await Workbench.start();
let count = 0;

async function add(source: string, changes: VersionChanges = {}, file = 'app.py'): Promise<string> {
  const name = `p${++count}`;
  await bench.add(name, { [file]: source }, { runtime: 'python3.12', handler: 'app.handler', ...changes });
  return name;
}

test('a Python handler gets the event and the context', { skip }, async () => {
  const name = await add(`
def handler(event, context):
    return dict(event=event, id=context.aws_request_id, group=context.log_group_name, stream=context.log_stream_name,
                name=context.function_name, memory=context.memory_limit_in_mb, version=context.function_version,
                arn=context.invoked_function_arn, tenant=context.tenant_id, custom=context.client_context.custom,
                title=context.client_context.client.app_title, identity=context.identity.cognito_identity_id,
                left=context.get_remaining_time_in_millis())
`);
  const clientContext = Buffer.from('{"custom":{"k":"ü"},"client":{"app_title":"t"}}').toString('base64');
  const requestId = '11111111-2222-4333-8444-555555555555';
  const result = await bench.result(name, { a: ['ü', 1] }, { clientContext, requestId });
  const { stream, left, ...rest } = result as Record<string, unknown>;
  assert.match(String(stream), /^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/);
  assert.ok(Number(left) > 9_000 && Number(left) <= 10_000);
  assert.deepEqual(rest, {
    event: { a: ['ü', 1] },
    id: requestId,
    group: `/aws/lambda/${name}`,
    name,
    memory: '256',
    version: '$LATEST',
    arn: `arn:aws:lambda:eu-central-1:123456789012:function:${name}`,
    tenant: null,
    custom: { k: 'ü' },
    title: 't',
    identity: null,
  });
});

test('an invocation without client context has None', { skip }, async () => {
  assert.equal(await bench.result(await add('def handler(e, c):\n    return c.client_context is None')), true);
});

test('the remaining time is never below zero, and context.log writes to the log', { skip }, async () => {
  const name = await add(
    'import time\ndef handler(e, c):\n    c.log("said\\n")\n    c._deadline = 0\n    return [c.get_remaining_time_in_millis(), repr(c)]',
  );
  const outcome = await bench.invoke(name, {}, { logTail: true });
  assert.ok(outcome.kind === 'success');
  const [left, shown] = JSON.parse(outcome.payload.toString());
  assert.equal(left, 0);
  assert.match(shown, /^LambdaContext\(\[aws_request_id=/);
  assert.match(outcome.logTail!.toString(), /^said$/m);
});

test('a client context that is no object is Runtime.LambdaContextUnmarshalError', { skip }, async () => {
  const clientContext = Buffer.from('5').toString('base64');
  const name = await add('def handler(e, c): return 1');
  const outcome = await bench.invoke(name, {}, { clientContext });
  assert.ok(outcome.kind === 'function-error');
  assert.equal(JSON.parse(outcome.payload.toString()).errorType, 'Runtime.LambdaContextUnmarshalError');
  assert.equal(await bench.result(name), 1);
});

for (const [what, body, runtime, expected] of [
  ['None is null', 'return None', 'python3.12', 'null'],
  [
    'a Decimal keeps its digits',
    'from decimal import Decimal; return {"d": Decimal("1.10"), "n": Decimal("12345678901234567890.123456789")}',
    'python3.12',
    '{"d": 1.10, "n": 12345678901234567890.123456789}',
  ],
  ['bytes are posted verbatim', 'return b"\\x01raw"', 'python3.12', '\x01raw'],
  ['from 3.12 on text is written as it is', 'return "ü"', 'python3.12', '"ü"'],
  ['before 3.12 text is escaped', 'return "ü"', 'python3.11', '"\\u00fc"'],
  ['NaN is written', 'return float("nan")', 'python3.12', 'NaN'],
] as const) {
  test(`Python results: ${what}`, { skip }, async () => {
    const outcome = await bench.invoke(await add(`def handler(event, context):\n    ${body}\n`, { runtime }));
    assert.equal(outcome.kind, 'success');
    assert.equal('payload' in outcome && outcome.payload.toString(), expected);
  });
}

test('a raised exception has message, type, request id and stack trace in this order', { skip }, async () => {
  const name = await add(
    'class Mine(Exception):\n    pass\n\ndef inner():\n    raise Mine("bad ü")\n\ndef handler(event, context):\n    inner()\n',
  );
  const requestId = '11111111-2222-4333-8444-555555555556';
  const outcome = await bench.invoke(name, {}, { requestId });
  assert.ok(outcome.kind === 'function-error');
  const payload = JSON.parse(outcome.payload.toString());
  assert.deepEqual(Object.keys(payload), ['errorMessage', 'errorType', 'requestId', 'stackTrace']);
  assert.deepEqual([payload.errorMessage, payload.errorType, payload.requestId], ['bad ü', 'Mine', requestId]);
  assert.equal(payload.stackTrace.length, 2);
  assert.match(payload.stackTrace[0], /^ {2}File ".*app\.py", line 8, in handler\n {4}inner\(\)\n/);
  const again = await bench.invoke(name);
  assert.equal(again.kind, 'function-error');
  assert.equal(bench.engine.snapshot().find((each) => each.functionName === name)?.invocations, 2);
});

for (const [what, body, type, message] of [
  [
    'a result that is not JSON',
    'return object()',
    'Runtime.MarshalError',
    /^Unable to marshal response: Object of type object is not JSON serializable$/,
  ],
  ['sys.exit', 'import sys; sys.exit(4)', 'Runtime.ExitError', /Runtime exited with error: exit status 4$/],
  ['KeyboardInterrupt', 'raise KeyboardInterrupt()', 'Runtime.ExitError', /Runtime exited with error: /],
  [
    'a segmentation fault',
    'import os, signal; os.kill(os.getpid(), signal.SIGSEGV)',
    'Runtime.ExitError',
    /signal: segmentation fault/,
  ],
] as const) {
  test(`Python invocations fail: ${what}`, { skip }, async () => {
    const failure = await bench.failure(await add(`def handler(event, context):\n    ${body}\n`));
    assert.equal(failure.errorType, type);
    assert.match(failure.errorMessage, message);
  });
}

test('an async def handler is a marshal error', { skip }, async () => {
  const failure = await bench.failure(await add('async def handler(event, context):\n    return 1\n'));
  assert.equal(failure.errorType, 'Runtime.MarshalError');
});

for (const [what, source, handler, type, message] of [
  [
    'no dot',
    'handler = 1',
    'app',
    'Runtime.MalformedHandlerName',
    /^Bad handler 'app': not enough values to unpack \(expected 2, got 1\)$/,
  ],
  [
    'a built-in module',
    'handler = 1',
    'sys.handler',
    'Runtime.BuiltInModuleConflict',
    /^Cannot use built-in module sys as a handler module$/,
  ],
  [
    'a missing module',
    'handler = 1',
    'other.handler',
    'Runtime.ImportModuleError',
    /^Unable to import module 'other': No module named 'other'$/,
  ],
  [
    'a missing dependency',
    'import not_there',
    'app.handler',
    'Runtime.ImportModuleError',
    /^Unable to import module 'app': No module named 'not_there'$/,
  ],
  [
    'a syntax error',
    'def handler(:\n',
    'app.handler',
    'Runtime.UserCodeSyntaxError',
    /^Syntax error in module 'app': /,
  ],
  [
    'a missing function',
    'x = 1',
    'app.handler',
    'Runtime.HandlerNotFound',
    /^Handler 'handler' missing on module 'app'$/,
  ],
  ['an exception at import', 'raise KeyError("k")', 'app.handler', 'KeyError', /^'k'$/],
] as const) {
  test(`Python init fails: ${what}`, { skip }, async () => {
    const failure = await bench.failure(await add(source, { handler }));
    assert.equal(failure.reason, 'init');
    assert.equal(failure.requestId, '');
    assert.equal(failure.errorType, type);
    assert.match(failure.errorMessage, message);
  });
}

test('a missing boto3 is named with the command that installs it', { skip }, async () => {
  const source = `raise ModuleNotFoundError("No module named 'boto3'", name='boto3')`;
  const failure = await bench.failure(await add(source));
  assert.equal(failure.errorType, 'Runtime.ImportModuleError');
  assert.match(
    failure.errorMessage,
    /^Unable to import module 'app': No module named 'boto3' \(.*python3 -m pip install boto3\)$/,
  );
});

test('a module in a folder is found by slash or dot', { skip }, async () => {
  assert.equal(await bench.result(await add('def run(e, c): return 1', { handler: 'src/main.run' }, 'src/main.py')), 1);
  assert.equal(await bench.result(await add('def run(e, c): return 1', { handler: 'src.main.run' }, 'src/main.py')), 1);
});

test('an event of a megabyte arrives whole', { skip }, async () => {
  const text = 'ü'.repeat(500_000);
  assert.equal(await bench.result(await add('def handler(e, c): return len(e)'), text), 500_000);
});

test('the log has print and logging lines between START and END', { skip }, async () => {
  const name = await add(
    'import logging\ndef handler(e, c):\n    print("printed")\n    logging.getLogger().warning("two\\nlines")\n    logging.getLogger().info("quiet")\n    raise ValueError("v")\n',
  );
  const outcome = await bench.invoke(name, {}, { logTail: true });
  assert.ok(outcome.kind === 'function-error');
  const lines = outcome.logTail!.toString().split('\n');
  const id = outcome.requestId;
  assert.equal(lines[0], `START RequestId: ${id} Version: $LATEST`);
  assert.equal(lines[1], 'printed');
  assert.match(
    lines[2]!,
    new RegExp(`^\\[WARNING\\]\\t\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z\\t${id}\\ttwo$`),
  );
  assert.equal(lines[3], 'lines');
  assert.equal(lines[4], '[ERROR] ValueError: v');
  assert.equal(lines[5], 'Traceback (most recent call last):');
  assert.match(lines[6]!, /^\u00a0\u00a0File ".*app\.py", line 6, in handler$/);
  assert.ok(lines.includes(`END RequestId: ${id}`));
  assert.match(lines.find((line) => line.startsWith('REPORT'))!, /\tInit Duration: \d+\.\d\d ms\t$/);
});

test("a JSON log record has Lambda's members", { skip }, async () => {
  const name = await add(
    'import logging\ndef handler(e, c):\n    logging.getLogger().warning("w", extra={"k": 1})\n    raise ValueError("v")\n',
    { logging: { format: 'JSON', applicationLevel: 'INFO' } },
  );
  const outcome = await bench.invoke(name, {}, { logTail: true });
  assert.ok(outcome.kind === 'function-error');
  const records = outcome
    .logTail!.toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const { timestamp, ...warning } = records[1];
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.deepEqual(warning, { level: 'WARNING', message: 'w', logger: 'root', requestId: outcome.requestId, k: 1 });
  assert.deepEqual([records[2].log_level, records[2].errorType, records[2].errorMessage], ['ERROR', 'ValueError', 'v']);
  assert.deepEqual(records.map((record) => record.type).filter(Boolean), ['platform.start', 'platform.report']);
});
