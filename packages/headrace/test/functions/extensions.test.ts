import assert from 'node:assert/strict';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { eventually } from '@headrace/testing';
import { ZipFile } from 'yazl';
import { functionVersion, Workbench } from './support.ts';

async function zip(path: string, files: Record<string, string>): Promise<{ zipFile: string }> {
  const archive = new ZipFile();
  for (const [name, text] of Object.entries(files)) archive.addBuffer(Buffer.from(text), name, { mode: 0o100_755 });
  archive.end();
  await pipeline(archive.outputStream, createWriteStream(path));
  return { zipFile: path };
}

/** An extension in Node that writes down its events; `body` runs before it registers. */
const extension = (journal: string, before = ''): string => `#!${process.execPath}
const { appendFileSync } = require('node:fs');
const base = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2020-01-01/extension/';
const note = (text) => appendFileSync(${JSON.stringify(journal)}, text + '\\n');
process.on('SIGTERM', () => {});
(async () => {
  ${before}
  const registered = await fetch(base + 'register', { method: 'POST', headers: { 'Lambda-Extension-Name': 'watcher', 'Lambda-Extension-Accept-Feature': 'accountId' }, body: '{"events":["INVOKE","SHUTDOWN"]}' });
  note('registered ' + JSON.stringify(await registered.json()) + ' ' + ['_HANDLER', 'LAMBDA_TASK_ROOT', 'AWS_LAMBDA_FUNCTION_NAME'].map((key) => key in process.env));
  const identifier = registered.headers.get('lambda-extension-identifier');
  for (;;) {
    const answer = await fetch(base + 'event/next', { headers: { 'Lambda-Extension-Identifier': identifier } });
    const event = await answer.json();
    note(event.eventType + ' ' + (event.requestId ?? event.shutdownReason));
    if (event.eventType === 'SHUTDOWN') process.exit(0);
    await new Promise((resolve) => setTimeout(resolve, 150));
    note('done');
  }
})();
`;

test('an external extension sees init, every invocation and the shutdown, and an invocation is complete with it', async () => {
  const bench = await Workbench.start();
  const journal = join(bench.directory, 'journal');
  const layer = await zip(join(bench.directory, 'layer.zip'), { 'extensions/watcher': extension(journal) });
  await bench.add(
    'f',
    { 'index.mjs': 'export const handler = async (e, context) => context.awsRequestId;' },
    { layers: [layer] },
  );
  const read = (): string[] => (existsSync(journal) ? readFileSync(journal, 'utf8').trim().split('\n') : []);
  const started = performance.now();
  const first = await bench.result('f');
  const second = await bench.result('f');
  assert.ok(performance.now() - started > 150, 'the second waited for the extension');
  assert.equal(bench.engine.snapshot().length <= 2, true);
  await bench.engine.stop();
  const lines = await eventually(() => read().at(-1)?.startsWith('SHUTDOWN') && read());
  assert.equal(
    lines[0],
    `registered {"functionName":"f","functionVersion":"$LATEST","handler":"index.handler","accountId":"123456789012"} false,false,true`,
  );
  assert.ok(lines.includes(`INVOKE ${first}`));
  assert.ok(lines.includes(`INVOKE ${second}`));
  assert.equal(lines.at(-1), 'SHUTDOWN spindown');
});

test('an extension that ends is Extension.Crash, at init and later', async () => {
  const bench = await Workbench.start();
  const layer = await zip(join(bench.directory, 'layer.zip'), {
    'extensions/watcher': extension('/dev/null', 'process.exit(1);'),
  });
  await bench.add('f', { 'index.mjs': 'export const handler = async () => 1;' }, { layers: [layer] });
  const failure = await bench.failure('f');
  assert.deepEqual([failure.errorType, failure.reason], ['Extension.Crash', 'init']);
  const late = await zip(join(bench.directory, 'late.zip'), {
    'extensions/watcher': extension('/dev/null', 'setTimeout(() => process.exit(1), 700);'),
  });
  bench.set(
    functionVersion('g', {
      code: (
        await bench.add('g', {
          'index.mjs': 'export const handler = async () => new Promise((r) => setTimeout(r, 5000));',
        })
      ).code,
      layers: [late],
      revisionId: 'x',
    }),
  );
  assert.equal((await bench.failure('g')).errorType, 'Extension.Crash');
});

test('after a time-out and a crash extensions hear why, and the next invocation has them again', async () => {
  const bench = await Workbench.start();
  const journal = join(bench.directory, 'journal');
  const layer = await zip(join(bench.directory, 'layer.zip'), { 'extensions/watcher': extension(journal) });
  await bench.add(
    'f',
    {
      'index.mjs': `export const handler = async (event) => { if (event === 'hang') for (;;); if (event === 'exit') process.exit(1); return 'ok'; };`,
    },
    // What comes after a time-out or a crash starts function and extension anew on its own time.
    { layers: [layer], timeoutSeconds: 3 },
  );
  const lines = (): string[] => readFileSync(journal, 'utf8').trim().split('\n');
  assert.equal(await bench.result('f'), 'ok');
  assert.equal((await bench.failure('f', 'hang')).errorType, 'Sandbox.Timedout');
  await eventually(() => lines().at(-1) === 'SHUTDOWN timeout');
  assert.equal(await bench.result('f'), 'ok');
  assert.equal((await bench.failure('f', 'exit')).errorType, 'Runtime.ExitError');
  await eventually(() => lines().at(-1) === 'SHUTDOWN failure');
  assert.equal(await bench.result('f'), 'ok');
  assert.ok(lines().filter((line) => line.startsWith('registered')).length >= 3);
});

test('an extension that cannot be started is Extension.LaunchError', async () => {
  const bench = await Workbench.start();
  const layer = await zip(join(bench.directory, 'layer.zip'), { 'extensions/watcher': '#!/nowhere/at/all\n' });
  await bench.add('f', { 'index.mjs': 'export const handler = async () => 1;' }, { layers: [layer] });
  const failure = await bench.failure('f');
  assert.deepEqual([failure.errorType, failure.reason], ['Extension.LaunchError', 'init']);
});

test('an internal extension registers in init, not later, and not for SHUTDOWN', async () => {
  const bench = await Workbench.start();
  await bench.add('f', {
    'index.mjs': `
const base = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2020-01-01/extension/';
const register = async (name, events) => { const answer = await fetch(base + 'register', { method: 'POST', headers: name === undefined ? {} : { 'Lambda-Extension-Name': name }, body: JSON.stringify({ events }) }); return [answer.status, (await answer.json()).errorType ?? answer.headers.get('lambda-extension-identifier')]; };
const shutdown = await register('inner', ['SHUTDOWN']);
const nameless = await register(undefined, []);
const wrong = await register('inner', ['OTHER']);
const ok = await register('inner', ['INVOKE']);
const again = await register('inner', ['INVOKE']);
const events = [];
(async () => { for (;;) { const answer = await fetch(base + 'event/next', { headers: { 'Lambda-Extension-Identifier': ok[1] } }); events.push((await answer.json()).eventType); } })();
const stranger = await fetch(base + 'event/next', { headers: { 'Lambda-Extension-Identifier': 'x' } });
const telemetry = await fetch(base.replace('2020-01-01/extension/', '2022-07-01/telemetry'), { method: 'PUT', body: '{}' });
export const handler = async () => { await new Promise((r) => setTimeout(r, 50)); return { shutdown, nameless, wrong, ok: ok[0], again, stranger: stranger.status, telemetry: [telemetry.status, (await telemetry.clone().json()).errorType], late: await register('late', []), events }; };`,
  });
  assert.deepEqual(await bench.result('f'), {
    shutdown: [400, 'ShutdownEventNotSupportedForInternalExtension'],
    nameless: [403, 'Extension.InvalidExtensionName'],
    wrong: [400, 'InvalidRequestFormat'],
    ok: 200,
    again: [403, 'Extension.AlreadyRegistered'],
    stranger: 403,
    telemetry: [202, 'Telemetry.NotSupported'],
    late: [403, 'Extension.RegistrationClosed'],
    events: ['INVOKE'],
  });
});
