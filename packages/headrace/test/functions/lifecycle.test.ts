import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, needs } from '@headrace/testing';
import { queryLog } from '../../src/functions/log-reader.ts';
import { functionVersion, type VersionChanges, Workbench, writeFiles } from './support.ts';

const bench = await Workbench.start();
let count = 0;

async function add(source: string, changes: VersionChanges = {}): Promise<string> {
  const name = `l${++count}`;
  await bench.add(name, { 'index.mjs': source }, changes);
  return name;
}
const linux = process.platform === 'linux';
const alive = (pid: number): boolean => {
  try {
    // A zombie counts as alive for kill(2), so the state is read where there is one.
    process.kill(pid, 0);
    return !linux || !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

// Begun here, awaited at the end of this file: it takes the ten seconds that Lambda gives.
const slowInit = `import { existsSync, writeFileSync } from 'node:fs'; import { tmpdir } from 'node:os'; import { join } from 'node:path';
  const file = join(tmpdir(), 'first'); if (!existsSync(file)) { writeFileSync(file, ''); await new Promise((r) => setTimeout(r, 60000)); }
  export const handler = async () => 'ready';`;
const slowBegan = performance.now();
const slowName = await add(slowInit);
const slow = bench.invoke(slowName, {}, { logTail: true }).then((outcome) => ({ outcome, at: performance.now() }));

/** Messages in the log of a function, from the beginning. */
async function logOf(name: string): Promise<string[]> {
  const found = await queryLog(join(bench.directory, 'data/logs'), `/aws/lambda/${name}`, {});
  return (found?.events ?? []).map((event) => event.message);
}

test('a time-out ends the process, keeps /tmp and answers with Sandbox.Timedout', async () => {
  const name = await add(
    `import { existsSync, writeFileSync } from 'node:fs'; import { tmpdir } from 'node:os'; import { join } from 'node:path';
     let calls = 0; const file = join(tmpdir(), 'kept');
     export const handler = async (event) => { calls++; if (event === 'hang') { writeFileSync(file, ''); for (;;); } return { calls, kept: existsSync(file) }; };`,
    { timeoutSeconds: 1 },
  );
  assert.deepEqual(await bench.result(name), { calls: 1, kept: false });
  const outcome = await bench.invoke(name, 'hang', { logTail: true });
  assert.ok(outcome.kind === 'function-error' && outcome.reason === 'timeout');
  assert.equal(
    outcome.payload.toString(),
    `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ${outcome.requestId} Error: Task timed out after 1.00 seconds"}`,
  );
  const duration = outcome.durationMilliseconds;
  assert.ok(duration >= 1_000 && duration < 3_000, `${duration} ms: not before its time, nor when the caller gives up`);
  assert.match(outcome.logTail!.toString(), /Z [0-9a-f-]{36} Task timed out after 1\.00 seconds\n\nEND RequestId/);
  assert.match(outcome.logTail!.toString(), /\tStatus: timeout\t\n$/);
  assert.deepEqual(await bench.result(name), { calls: 1, kept: true });
});

test('two environments have different /tmp folders', async () => {
  // Each waits for the other: one that answered sooner would take the second invocation, too.
  const meeting = join(bench.directory, 'meeting');
  const name = await add(
    `import { appendFileSync, readFileSync } from 'node:fs'; import { tmpdir } from 'node:os'; export const handler = async (file) => { appendFileSync(file, '.'); while (readFileSync(file).length < 2) await new Promise((r) => setTimeout(r, 5)); return tmpdir(); };`,
  );
  const [first, second] = await Promise.all([bench.result(name, meeting), bench.result(name, meeting)]);
  assert.notEqual(first, second);
});

for (const [what, source, message, reason] of [
  ['process.exit(3)', 'process.exit(3)', /Error: Runtime exited with error: exit status 3$/, 'exit'],
  ['process.exit(0)', 'process.exit(0)', /Error: Runtime exited without providing a reason$/, 'exit'],
  [
    'a signal',
    'process.kill(process.pid, "SIGKILL"); await new Promise((r) => setTimeout(r, 5000))',
    /signal: killed$/,
    'exit',
  ],
  ['abort()', 'process.abort()', /signal: aborted$/, 'exit'],
] as const) {
  test(`${what} is Runtime.ExitError and the next invocation starts anew`, async () => {
    const name = await add(
      `let calls = 0; export const handler = async (event) => { calls++; if (event === 'end') { ${source}; } return calls; };`,
    );
    assert.equal(await bench.result(name), 1);
    const failure = await bench.failure(name, 'end');
    assert.deepEqual([failure.errorType, failure.reason], ['Runtime.ExitError', reason]);
    assert.match(failure.errorMessage, message);
    assert.equal(await bench.result(name), 1);
  });
}

test('a process that ends between invocations is started again by the next', async () => {
  const name = await add(
    `export const handler = async (event) => { if (event === 'soon') setTimeout(() => process.exit(0), 1); return process.pid; };`,
  );
  const first = Number(await bench.result(name, 'soon'));
  await eventually(() => !alive(first));
  // The engine hears of it a moment later than the process table.
  await eventually(() => !bench.engine.snapshot().some(({ processId }) => processId === first));
  assert.notEqual(await bench.result(name), first);
});

test('more memory than configured ends the process as out of memory', {
  skip: linux ? false : 'needs /proc',
}, async () => {
  const name = await add(
    `const held = []; export const handler = async (event) => { if (event !== 'grow') return 'ok'; for (;;) { held.push(Buffer.alloc(8 << 20, 1)); await new Promise((r) => setTimeout(r, 5)); } };`,
    { memorySizeMegabytes: 192 },
  );
  const failure = await bench.failure(name, 'grow');
  assert.deepEqual([failure.errorType, failure.reason], ['Runtime.ExitError', 'memory']);
  assert.match(failure.errorMessage, /Runtime exited with error: signal: killed$/);
  assert.equal(await bench.result(name), 'ok');
});

test('forked children end with their function', async () => {
  const name = await add(
    `import { spawn } from 'node:child_process'; export const handler = async (event) => { const child = spawn('sleep', ['1000']); setTimeout(() => process.exit(1), event); return child.pid; };`,
  );
  const pid = Number(await bench.result(name, 20));
  await eventually(() => !alive(pid));
});

test('an answer over 6 MB is Function.ResponseSizeTooLarge and the environment lives on', async () => {
  const name = await add(
    `let calls = 0; export const handler = async (n) => { calls++; return n === 0 ? calls : 'x'.repeat(n); };`,
  );
  const failure = await bench.failure(name, 6_291_555);
  assert.equal(failure.reason, 'response-too-large');
  assert.equal(failure.errorType, 'Function.ResponseSizeTooLarge');
  assert.equal(failure.errorMessage, 'Response payload size exceeded maximum allowed payload size (6291556 bytes).');
  const largest = await bench.invoke(name, 6_291_554);
  assert.equal(largest.kind === 'success' && largest.payload.length, 6_291_556);
  assert.equal(await bench.result(name, 0), 3);
});

test('an event over 6 MB is refused before it runs', async () => {
  const outcome = await bench.engine.invoke(
    await add(`export const handler = async () => 1;`),
    Buffer.alloc(6_291_457, 32),
  );
  assert.deepEqual(outcome, { kind: 'too-large', limitBytes: 6_291_456 });
});

test('an event of 6 MB arrives whole', async () => {
  const name = await add(`export const handler = async (event) => event.length;`);
  assert.equal(await bench.result(name, 'x'.repeat(6_291_454)), 6_291_454);
});

test('the event of an empty payload is {}', async () => {
  const name = await add(`export const handler = async (event) => event;`);
  const outcome = await bench.engine.invoke(name, Buffer.alloc(0));
  assert.equal(outcome.kind === 'success' && outcome.payload.toString(), '{}');
});

test('a failed initialisation is repeated inside of the invocation, and again in the next', async () => {
  const name = await add(
    `import { appendFileSync, readFileSync } from 'node:fs'; import { tmpdir } from 'node:os'; import { join } from 'node:path';
     const file = join(tmpdir(), 'attempts'); appendFileSync(file, '.'); const attempts = readFileSync(file, 'utf8').length;
     if (attempts < 4) throw new Error('attempt ' + attempts);
     export const handler = async () => attempts;`,
  );
  assert.equal((await bench.failure(name)).errorMessage, 'attempt 2');
  assert.equal((await bench.failure(name)).errorMessage, 'attempt 3');
  assert.equal(await bench.result(name), 4);
});

test('an initialisation inside of an invocation is bounded by the time-out', async () => {
  const name = await add(
    `import { existsSync, writeFileSync } from 'node:fs'; import { tmpdir } from 'node:os'; import { join } from 'node:path';
     const file = join(tmpdir(), 'first'); if (!existsSync(file)) { writeFileSync(file, ''); throw new Error('once'); }
     await new Promise((r) => setTimeout(r, 60000)); export const handler = 1;`,
    { timeoutSeconds: 1 },
  );
  const failure = await bench.failure(name);
  assert.deepEqual([failure.errorType, failure.reason], ['Sandbox.Timedout', 'timeout']);
});

test('standard output flooded or closed hurts nobody', async () => {
  const noisy = await add(
    `import { writeSync } from 'node:fs'; const line = Buffer.from('x'.repeat(99) + '\\n'); const block = Buffer.concat(Array(640).fill(line));
     export const handler = async (seconds) => { const end = Date.now() + seconds * 1000; let n = 0; while (Date.now() < end) { try { writeSync(1, block); n += block.length; } catch (error) { if (error.code !== 'EAGAIN') throw error; } } return n; };`,
  );
  const quiet = await add(`export const handler = async () => 'ok';`);
  await bench.result(quiet);
  const flood = bench.result(noisy, 2);
  let slowest = 0;
  for (let i = 0; i < 20; i++) {
    const started = performance.now();
    assert.equal(await bench.result(quiet), 'ok');
    slowest = Math.max(slowest, performance.now() - started);
  }
  assert.ok(Number(await flood) > 2 << 20, 'the function was not held up');
  assert.ok(slowest < 1_900, `the other function waited ${slowest} ms, as long as the flood lasts`);
  const closed = await add(
    `import { closeSync } from 'node:fs'; export const handler = async (n) => { if (n === 1) { closeSync(1); closeSync(2); } console.log('into the void'); return n; };`,
  );
  assert.equal(await bench.result(closed, 1), 1);
  assert.equal(await bench.result(closed, 2), 2);
});

test('ends of the caller: an aborted wait is over at once, and the environment is used again', async () => {
  const name = await add(
    `let calls = 0; export const handler = async () => { await new Promise((r) => setTimeout(r, 200)); return ++calls; };`,
  );
  const controller = new AbortController();
  const waiting = bench.invoke(name, {}, { signal: controller.signal });
  controller.abort();
  assert.equal((await waiting).kind, 'unavailable');
  assert.equal((await bench.invoke(name, {}, { signal: AbortSignal.abort() })).kind, 'unavailable');
  assert.equal(typeof (await bench.result(name)), 'number');
});

test('an unknown function, a runtime that is not here and a folder that is not there are told apart', async () => {
  assert.equal((await bench.invoke('nobody')).kind, 'not-found');
  const java = await bench.invoke(await add('', { runtime: 'java21' }));
  assert.deepEqual(java.kind === 'unavailable' && [java.status, java.type], [502, 'InvalidRuntimeException']);
  bench.set(functionVersion('gone', { code: { kind: 'folder', path: `${bench.directory}/gone` } }));
  const gone = await bench.invoke('gone');
  assert.equal(gone.kind, 'unavailable');
  await writeFiles(`${bench.directory}/gone`, { 'index.mjs': 'export const handler = async () => 1;' });
  assert.equal(await bench.result('gone'), 1, 'mended code is found');
});

test('a provided runtime is any executable bootstrap', { skip: needs('curl') }, async () => {
  const bootstrap = `#!/bin/sh
    # The whole Runtime API with a shell and node as the HTTP client would hide what is sent: /dev/tcp is bash only, so curl.
    while true; do
      event=$(curl -sS -D headers "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next") || exit 1
      id=$(tr -d '\\r' < headers | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //p')
      curl -sS -X POST "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response" -d "{\\"handler\\":\\"$_HANDLER\\",\\"event\\":$event}" > /dev/null
    done
  `;
  const name = `l${++count}`;
  await bench.add(name, { bootstrap: `${bootstrap.trim()}\n` }, { runtime: 'provided.al2023', handler: 'any.thing' });
  assert.deepEqual(await bench.result(name, { n: 1 }), { handler: 'any.thing', event: { n: 1 } });
  assert.deepEqual(await bench.result(name, [2]), { handler: 'any.thing', event: [2] });
});

test('a bootstrap that is missing, not executable or exits is an init error', async () => {
  const missing = await bench.failure(await add('', { runtime: 'provided.al2023' }));
  assert.deepEqual([missing.errorType, missing.reason], ['Runtime.InvalidEntrypoint', 'init']);
  assert.match(
    missing.errorMessage,
    /Couldn't find valid bootstrap\(s\): \[\/var\/task\/bootstrap \/opt\/bootstrap\]$/,
  );
  const name = `l${++count}`;
  await bench.add(name, { bootstrap: 'not executable' }, { runtime: 'provided.al2' });
  assert.match((await bench.failure(name)).errorMessage, /permission denied$/);
  const exits = `l${++count}`;
  await bench.add(exits, { bootstrap: '#!/bin/sh\nexit 7\n' }, { runtime: 'provided' });
  const failure = await bench.failure(exits);
  assert.deepEqual([failure.errorType, failure.reason], ['Runtime.ExitError', 'init']);
  assert.match(failure.errorMessage, /exit status 7$/);
});

test('a wrapper that is missing or not executable ends as the shell that would start it', async () => {
  const source = `export const handler = async () => 1;`;
  const missing = await bench.failure(
    await add(source, { environment: { AWS_LAMBDA_EXEC_WRAPPER: '/var/task/nothing.sh' } }),
  );
  assert.deepEqual([missing.errorType, missing.reason], ['Runtime.ExitError', 'init']);
  assert.match(missing.errorMessage, /Error: Runtime exited with error: exit status 127$/);
  const plain = await bench.failure(
    await add(source, { environment: { AWS_LAMBDA_EXEC_WRAPPER: '/var/task/index.mjs' } }),
  );
  assert.match(plain.errorMessage, /exit status 126$/);
});

test('a process is watched for its memory also while it starts, between invocations, and for its children', {
  skip: linux ? false : 'needs /proc',
}, async () => {
  const grow = `const held = []; const grow = () => { held.push(Buffer.alloc(16 << 20, 1)); setTimeout(grow, 5); };`;
  const atInit = await bench.failure(
    await add(`${grow} grow(); await new Promise((r) => setTimeout(r, 8000)); export const handler = 1;`),
  );
  assert.deepEqual([atInit.errorType, atInit.reason], ['Runtime.ExitError', 'init']);
  assert.match(atInit.errorMessage, /signal: killed$/);
  const later = await add(`${grow} export const handler = async () => { setTimeout(grow, 10); return process.pid; };`);
  const first = Number(await bench.result(later));
  const processId = (): number | undefined =>
    bench.engine.snapshot().find((each) => each.functionName === later)?.processId;
  await eventually(() => !alive(first) && processId() === undefined);
  assert.notEqual(await bench.result(later), first);
  const parent = await add(
    `import { spawn } from 'node:child_process';
     export const handler = async () => { const child = spawn(process.execPath, ['-e', 'const b = Buffer.alloc(300 << 20, 1); setTimeout(() => b, 60000)']); return child.pid; };`,
  );
  const child = Number(await bench.result(parent));
  await eventually(() => !alive(child));
});

test('the log of failed initialisations says phase, status and type', async () => {
  const name = await add(`throw new RangeError('top');`);
  await bench.failure(name);
  await eventually(async () => (await logOf(name)).at(-1)?.startsWith('REPORT'));
  const lines = await logOf(name);
  const reports = lines.filter((line) => line.startsWith('INIT_REPORT'));
  assert.match(
    reports[0]!,
    /^INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: Runtime\.Unknown$/,
  );
  assert.match(reports[1]!, /\tPhase: invoke\tStatus: error\t/);
  assert.equal(reports.length, 2);
  assert.match(
    lines[1]!,
    /^\S+Z\tundefined\tERROR\tUncaught Exception \t\{"errorType":"RangeError","errorMessage":"top",/,
  );
  assert.ok(lines.findIndex((line) => line.startsWith('START')) > lines.lastIndexOf(reports[1]!), 'START comes after');
  assert.match(lines.at(-1)!, /\tStatus: error\tError Type: Runtime\.Unknown\t$/);
});

test('an exit is in the REPORT, an ordinary error of the handler is not', async () => {
  const name = await add(
    `export const handler = async (event) => { if (event === 'exit') process.exit(2); throw new Error('plain'); };`,
  );
  const tail = async (event: string): Promise<string> => {
    const outcome = await bench.invoke(name, event, { logTail: true });
    return 'logTail' in outcome ? outcome.logTail!.toString() : '';
  };
  assert.match(
    await tail('exit'),
    / MB\t(?:Init Duration: \S+ ms\t)?Status: error\tError Type: Runtime\.ExitError\t\n$/,
  );
  assert.match(await tail('throw'), / MB\t\n$/);
});

test('a runtime without extensions never sees SIGTERM', async () => {
  const times: number[] = [];
  // The best of up to three: the machine may be busy, and half a second would be what is given to an extension.
  while (times.length < 3 && !(Math.min(...times) < 450)) {
    const own = await Workbench.start();
    const seen = join(own.directory, 'seen');
    await own.add('f', {
      'index.mjs': `import { writeFileSync } from 'node:fs'; process.on('SIGTERM', () => writeFileSync(${JSON.stringify(seen)}, '')); export const handler = async () => process.pid;`,
    });
    const pid = Number(await own.result('f'));
    const started = performance.now();
    await own.engine.stop();
    times.push(performance.now() - started);
    await eventually(() => !alive(pid));
    assert.ok(!existsSync(seen));
  }
  assert.ok(Math.min(...times) < 450, `no time is given: ${times}`);
});

test('the environment of other runtimes, formats and log groups', { skip: needs('curl') }, async () => {
  const bootstrap = `#!/bin/sh
while true; do
  id=$(curl -sS -D - -o /dev/null "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next" | tr -d '\\r' | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //p')
  [ -n "$id" ] || exit 1
  env | sed 's/["\\]//g; s/.*/"&"/' | tr '\\n' ',' | sed 's/^/[/; s/,$/]/' > out.json
  curl -sS -X POST "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response" --data-binary @out.json > /dev/null
done
`;
  await bench.add(
    'custom',
    { bootstrap },
    {
      runtime: 'provided.al2023',
      logging: { format: 'JSON', applicationLevel: 'WARN', logGroup: 'shared' },
      environment: { MINE: 'yes', _HANDLER: 'no', AWS_LAMBDA_RUNTIME_API: 'no', NODE_OPTIONS: '--throw-deprecation' },
    },
  );
  const variables = new Map(
    ((await bench.result('custom')) as string[]).map((each) => each.split(/=(.*)/s) as [string, string]),
  );
  assert.equal(variables.get('MINE'), 'yes');
  assert.equal(variables.get('NODE_OPTIONS'), '--throw-deprecation');
  assert.equal(variables.get('_HANDLER'), 'index.handler');
  assert.match(variables.get('AWS_LAMBDA_RUNTIME_API')!, /^127\.0\.0\.1:\d+$/);
  assert.equal(variables.get('AWS_LAMBDA_LOG_FORMAT'), 'JSON');
  assert.equal(variables.get('AWS_LAMBDA_LOG_LEVEL'), 'WARN');
  assert.equal(variables.get('AWS_LAMBDA_LOG_GROUP_NAME'), 'shared');
  assert.match(variables.get('AWS_LAMBDA_LOG_STREAM_NAME')!, /^\d{4}\/\d\d\/\d\d\/custom\[\$LATEST\][0-9a-f]{32}$/);
  for (const absent of ['AWS_EXECUTION_ENV', '_X_AMZN_TRACE_ID', 'NODE_PATH', 'PYTHONPATH']) {
    assert.ok(!variables.has(absent), absent);
  }
});

test('the environment holds what Lambda shows and nothing of the engine', async () => {
  process.env['ENGINE_SECRET'] = 'secret';
  const name = await add(`export const handler = async () => process.env;`, {
    environment: { MINE: '1', AWS_REGION: 'no', TZ: 'Europe/Zurich' },
  });
  const environment = (await bench.result(name)) as Record<string, string>;
  delete process.env['ENGINE_SECRET'];
  for (const [key, value] of Object.entries({
    MINE: '1',
    TZ: 'Europe/Zurich',
    AWS_REGION: 'eu-central-1',
    AWS_DEFAULT_REGION: 'eu-central-1',
    _HANDLER: 'index.handler',
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    AWS_LAMBDA_FUNCTION_NAME: name,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256',
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${name}`,
    AWS_XRAY_CONTEXT_MISSING: 'LOG_ERROR',
  })) {
    assert.equal(environment[key], value, key);
  }
  assert.match(environment['_X_AMZN_TRACE_ID']!, /^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$/);
  assert.match(environment['AWS_LAMBDA_RUNTIME_API']!, /^127\.0\.0\.1:\d+$/);
  const known =
    /^(?:AWS_|_AWS_XRAY_|LAMBDA_|_HANDLER$|_X_AMZN|LANG$|PATH$|LD_LIBRARY_PATH$|NODE_PATH$|TZ$|HOME$|TMPDIR$|MINE$)/;
  assert.deepEqual(
    Object.keys(environment).filter((key) => !known.test(key)),
    [],
  );
});

test('an initialisation over ten seconds is stopped and repeated inside of the invocation', async () => {
  const { outcome, at } = await slow;
  assert.ok(outcome.kind === 'success');
  assert.equal(outcome.payload.toString(), '"ready"');
  assert.ok(at - slowBegan >= 10_000, `after ${at - slowBegan} ms`);
  const initReports = async (): Promise<string[]> =>
    (await logOf(slowName)).filter((line) => line.startsWith('INIT_REPORT'));
  // Lines of the log come in a moment behind the answer.
  await eventually(async () => (await initReports()).length > 0);
  const reports = await initReports();
  assert.equal(reports.length, 1);
  assert.match(reports[0]!, /^INIT_REPORT Init Duration: 1\d{4}\.\d\d ms\tPhase: init\tStatus: timeout$/);
  assert.ok(!outcome.logTail!.toString().includes('Init Duration'), 'it is part of the duration');
});
