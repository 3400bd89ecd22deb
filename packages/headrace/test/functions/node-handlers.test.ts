import assert from 'node:assert/strict';
import { test } from 'node:test';
import { functionLogChannel } from '../../src/telemetry/channels.ts';
import { type VersionChanges, Workbench } from './support.ts';

const bench = await Workbench.start();
let count = 0;

/** A function of one file; answers its name. */
async function add(source: string, changes: VersionChanges = {}, file = 'index.mjs'): Promise<string> {
  const name = `f${++count}`;
  await bench.add(name, { [file]: source }, changes);
  return name;
}
const node22 = { runtime: 'nodejs22.x' };

test('an async handler gets the event and the context and its result is posted', async () => {
  const name = await add(
    `export const handler = async (event, context) => ({ event, ...context, left: context.getRemainingTimeInMillis() });`,
  );
  const clientContext = Buffer.from('{"custom":{"k":"ü"}}').toString('base64');
  const requestId = '11111111-2222-4333-8444-555555555555';
  const result = (await bench.result(
    name,
    { a: ['ü', 1] },
    { clientContext, requestId, traceHeader: 'Root=1-5-6' },
  )) as Record<string, unknown>;
  const { logStreamName, left, ...rest } = result;
  assert.match(String(logStreamName), /^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/);
  assert.ok(Number(left) > 9_000 && Number(left) <= 10_000, `left ${left}`);
  assert.deepEqual(rest, {
    event: { a: ['ü', 1] },
    functionName: name,
    functionVersion: '$LATEST',
    memoryLimitInMB: '256',
    logGroupName: `/aws/lambda/${name}`,
    awsRequestId: requestId,
    invokedFunctionArn: `arn:aws:lambda:eu-central-1:123456789012:function:${name}`,
    clientContext: { custom: { k: 'ü' } },
    xRayTraceId: 'Root=1-5-6',
  });
});

test('the process stays warm: module state is kept from one invocation to the next', async () => {
  const name = await add(`let calls = 0; export const handler = async () => ++calls;`);
  assert.deepEqual([await bench.result(name), await bench.result(name), await bench.result(name)], [1, 2, 3]);
});

for (const [what, source, expected] of [
  ['undefined becomes null', `async () => undefined`, null],
  ['a function becomes null', `async () => () => 1`, null],
  ['a callback result is posted', `(event, context, callback) => { callback(null, 5); }`, 5],
  [
    'a callback waits for the event loop',
    `(event, context, callback) => { const o = { n: 1 }; callback(null, o); setTimeout(() => { o.n = 2; }, 30); }`,
    { n: 2 },
  ],
  [
    'a callback does not wait when told so',
    `(event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; const o = { n: 1 }; callback(null, o); setTimeout(() => { o.n = 2; }, 30); }`,
    { n: 1 },
  ],
  [
    'context.succeed posts at once',
    `(event, context) => { context.succeed('s'); setTimeout(() => {}, 5000).unref(); }`,
    's',
  ],
  ['context.done posts at once', `(event, context) => { context.done(null, 'd'); }`, 'd'],
  [
    'the first completion wins',
    `(event, context) => { context.succeed(1); context.fail(new Error('late')); context.succeed(2); }`,
    1,
  ],
  ['a handler that never calls back gives null', `() => {}`, null],
  ['what a handler that is not async returns is ignored', `() => 7`, null],
  ['a transpiled handler that returns a promise is awaited', `() => Promise.resolve(8)`, 8],
  ['a promise that never settles in a plain handler gives null', `() => new Promise(() => {})`, null],
] as const) {
  test(`Node 22: ${what}`, async () => {
    const name = await add(`export const handler = ${source};`, node22);
    assert.deepEqual(await bench.result(name), expected);
    assert.deepEqual(await bench.result(name), expected, 'the environment is reused');
    assert.equal(bench.engine.snapshot().filter((each) => each.functionName === name).length, 1);
  });
}

for (const [what, source, expected] of [
  ['a thrown error', `async () => { throw new TypeError('bad'); }`, { errorType: 'TypeError', errorMessage: 'bad' }],
  [
    'an error of a class without a name of its own',
    `async () => { throw new (class Mine extends Error {})('m'); }`,
    { errorType: 'Error', errorMessage: 'm' },
  ],
  [
    'an error with a name',
    `async () => { const e = new Error('m'); e.name = 'Named'; throw e; }`,
    { errorType: 'Named', errorMessage: 'm' },
  ],
  ['a synchronous throw', `() => { throw new RangeError('sync'); }`, { errorType: 'RangeError', errorMessage: 'sync' }],
  ['a thrown text', `async () => { throw 'text'; }`, { errorType: 'string', errorMessage: 'text', trace: [] }],
  ['a thrown object', `async () => { throw {}; }`, { errorType: 'object', errorMessage: '[object Object]', trace: [] }],
  [
    'a rejection without a reason',
    `async () => { throw undefined; }`,
    { errorType: 'string', errorMessage: 'handled', trace: [] },
  ],
  [
    'callback(error)',
    `(event, context, callback) => { callback(new Error('cb')); }`,
    { errorType: 'Error', errorMessage: 'cb' },
  ],
  [
    'callback(text)',
    `(event, context, callback) => { callback('cb'); }`,
    { errorType: 'string', errorMessage: 'cb', trace: [] },
  ],
  [
    'context.fail',
    `(event, context) => { context.fail(new Error('cf')); }`,
    { errorType: 'Error', errorMessage: 'cf' },
  ],
  [
    'context.done with an error',
    `(event, context) => { context.done(new Error('cd')); }`,
    { errorType: 'Error', errorMessage: 'cd' },
  ],
  [
    'a result with a cycle',
    `async () => { const o = {}; o.o = o; return o; }`,
    { errorType: 'Error', errorMessage: 'Unable to stringify response body' },
  ],
  [
    'an async handler whose promise never settles',
    `async () => { await new Promise(() => {}); }`,
    { errorType: 'Runtime.NodeJsExit' },
  ],
] as const) {
  test(`Node 22: ${what} is a function error and the environment is reused`, async () => {
    const name = await add(`export const handler = ${source};`, node22);
    const failure = await bench.failure(name);
    assert.equal(failure.reason, 'error');
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(failure[key as 'errorType'], value);
    if (!('trace' in expected)) assert.ok((failure.trace?.length ?? 0) > 0);
    await bench.failure(name);
    const [environment] = bench.engine.snapshot().filter((each) => each.functionName === name);
    assert.equal(environment?.invocations, 2);
    assert.notEqual(environment?.processId, undefined);
  });
}

test('Node 22: a handler with a callback is warned about once an environment, unless told not to', async () => {
  const source = `export const handler = (event, context, callback) => callback(null, 1);`;
  const lines: string[] = [];
  const listen = (message: unknown): void => void lines.push((message as { line: string }).line);
  functionLogChannel.subscribe(listen);
  const name = await add(source, node22);
  assert.equal(await bench.result(name), 1);
  assert.equal(await bench.result(name), 1);
  const quiet = { ...node22, environment: { AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING: 'true' } };
  assert.equal(await bench.result(await add(source, quiet)), 1);
  assert.equal(
    await bench.result(await add(`export const handler = async (event, context, callback) => 1;`, node22)),
    1,
  );
  functionLogChannel.unsubscribe(listen);
  const warnings = lines.filter((line) => line.includes('callback-based'));
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0]!,
    /Z\tundefined\tWARN\tAWS Lambda plans to remove support for callback-based function handlers/,
  );
});

test('Node 24: a synchronous return value is the result', async () => {
  assert.equal(await bench.result(await add(`export const handler = () => 7;`)), 7);
});

test('Node 24: the context has no completion methods', async () => {
  const name = await add(
    `export const handler = (event, context) => ['succeed' in context, 'fail' in context, 'done' in context, 'callbackWaitsForEmptyEventLoop' in context];`,
  );
  assert.deepEqual(await bench.result(name), [false, false, false, false]);
});

test('Node 24: a handler with a callback parameter is refused at init', async () => {
  const failure = await bench.failure(
    await add(`export const handler = (event, context, callback) => callback(null, 1);`),
  );
  assert.equal(failure.reason, 'init');
  assert.equal(failure.errorType, 'Runtime.CallbackHandlerDeprecated');
  assert.match(failure.errorMessage, /^ERROR: AWS Lambda has removed support for callback-based function handlers/);
});

test('Node 24: a promise that never settles ends the process', async () => {
  const failure = await bench.failure(
    await add(`export const handler = async () => { await new Promise(() => {}); };`),
  );
  assert.equal(failure.errorType, 'Runtime.ExitError');
});

test('Node 24: a result that cannot be written as JSON is an error', async () => {
  const failure = await bench.failure(await add(`export const handler = async () => 1n;`));
  assert.equal(failure.errorType, 'Runtime.JSONStringifyError');
});

test('un-awaited work goes on in the next invocation of the same environment', async () => {
  const name = await add(
    `let done = 0; export const handler = async (wait) => { if (wait) { const before = done; while (done === 0) await new Promise((r) => setTimeout(r, 5)); return done; } setTimeout(() => { done = 9; }, 50); return done; };`,
    node22,
  );
  assert.equal(await bench.result(name, false), 0);
  assert.equal(await bench.result(name, true), 9);
});

test('an uncaught exception is posted as the error and the next invocation is a cold start', async () => {
  const name = await add(
    `let calls = 0; export const handler = async (event) => { calls++; if (event === 'fail') { setTimeout(() => { throw new Error('later'); }, 5); await new Promise((r) => setTimeout(r, 5000)); } return calls; };`,
  );
  assert.equal(await bench.result(name), 1);
  const failure = await bench.failure(name, 'fail');
  assert.deepEqual([failure.errorType, failure.errorMessage, failure.reason], ['Error', 'later', 'error']);
  assert.equal(await bench.result(name), 1);
});

test('an unhandled rejection is posted as Runtime.UnhandledPromiseRejection', async () => {
  const name = await add(
    `export const handler = async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 5000)); };`,
  );
  const failure = await bench.failure(name);
  assert.deepEqual([failure.errorType, failure.errorMessage], ['Runtime.UnhandledPromiseRejection', 'Error: lost']);
});

for (const [what, files, handler, runtime] of [
  ['CommonJS', { 'index.js': 'exports.handler = async () => "ok";' }, 'index.handler', 'nodejs22.x'],
  ['CommonJS on Node 24', { 'index.js': 'exports.handler = async () => "ok";' }, 'index.handler', 'nodejs24.x'],
  [
    'CommonJS with exports made at run time',
    { 'index.js': 'const o = {}; o["hand" + "ler"] = async () => "ok"; module.exports = o;' },
    'index.handler',
    'nodejs24.x',
  ],
  ['.cjs', { 'index.cjs': 'exports.handler = async () => "ok";' }, 'index.handler', 'nodejs22.x'],
  [
    'an ES module by package.json',
    { 'package.json': '{"type":"module"}', 'index.js': 'export const handler = async () => "ok";' },
    'index.handler',
    'nodejs22.x',
  ],
  [
    'an ES module with top-level await',
    { 'index.mjs': 'const value = await Promise.resolve("ok"); export const handler = async () => value;' },
    'index.handler',
    'nodejs22.x',
  ],
  [
    'a folder and a nested property',
    { 'src/app/main.mjs': 'export const a = { b: { handler: async () => "ok" } };' },
    'src/app/main.a.b.handler',
    'nodejs22.x',
  ],
  [
    'TypeScript',
    { 'index.ts': 'export const handler = async (event: unknown): Promise<string> => "ok";' },
    'index.handler',
    'nodejs24.x',
  ],
  [
    'a package of its own',
    { 'node_modules/thing/index.js': 'exports.handler = async () => "ok";' },
    'thing.handler',
    'nodejs22.x',
  ],
  [
    'a file beside the handler, by relative path of the working directory',
    {
      'index.mjs':
        'import { readFileSync } from "node:fs"; export const handler = async () => readFileSync("data.txt", "utf8");',
      'data.txt': 'ok',
    },
    'index.handler',
    'nodejs22.x',
  ],
] as const) {
  test(`handlers are found: ${what}`, async () => {
    const name = `found${++count}`;
    await bench.add(name, files, { handler, runtime });
    assert.equal(await bench.result(name), 'ok');
  });
}

for (const [what, source, handler, type, message] of [
  [
    'a path upwards',
    'export const handler = 1;',
    '../index.handler',
    'Runtime.MalformedHandlerName',
    /^'\.\.\/index\.handler' is not a valid handler name\. Use absolute paths/,
  ],
  ['no dot', 'export const handler = 1;', 'index', 'Runtime.MalformedHandlerName', /^Bad handler$/],
  [
    'a missing export',
    'export const other = 1;',
    'index.handler',
    'Runtime.HandlerNotFound',
    /^index\.handler is undefined or not exported$/,
  ],
  [
    'an export that is no function',
    'export const handler = 1;',
    'index.handler',
    'Runtime.HandlerNotFound',
    /^index\.handler is not a function$/,
  ],
  [
    'a missing file',
    'export const handler = 1;',
    'other.handler',
    'Runtime.ImportModuleError',
    /^Error: Cannot find module 'other'\nRequire stack:/,
  ],
  ['a syntax error', 'export const handler = ;', 'index.handler', 'Runtime.UserCodeSyntaxError', /^SyntaxError: /],
  ['an exception at load', 'throw new RangeError("top");', 'index.handler', 'RangeError', /^top$/],
  [
    'a missing ES module',
    'import "not-there"; export const handler = 1;',
    'index.handler',
    'Error',
    /Cannot find package 'not-there'/,
  ],
] as const) {
  test(`init fails: ${what}`, async () => {
    const failure = await bench.failure(await add(source, { handler, runtime: 'nodejs22.x' }));
    assert.equal(failure.reason, 'init');
    assert.equal(failure.errorType, type);
    assert.match(failure.errorMessage, message);
  });
}

test('a missing dependency of a CommonJS handler is Runtime.ImportModuleError', async () => {
  const name = await add('require("not-there"); exports.handler = 1;', node22, 'index.js');
  const failure = await bench.failure(name);
  assert.equal(failure.errorType, 'Runtime.ImportModuleError');
  assert.match(failure.errorMessage, /^Error: Cannot find module 'not-there'\nRequire stack:\n- /);
});
