import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { needs, portOf, pythonEnvironment } from '@headrace/testing';
import { runHeadrace } from './headrace-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'headrace-bad-input-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

/** One clear message within 5 s, a non-zero exit status, and nothing left behind. */
async function refuses(args: string[], message: RegExp, environment?: NodeJS.ProcessEnv): Promise<void> {
  // The best of up to three: the machine may be busy with other tests, the promise is about what the command needs itself.
  let run = await runHeadrace(args, environment);
  for (let attempt = 1; attempt < 3 && run.milliseconds >= 5_000; attempt += 1)
    run = await runHeadrace(args, environment);
  const { code, stdout, stderr, milliseconds, left } = run;
  const printed = `exit ${code} after ${milliseconds.toFixed(0)} ms\n${stdout}\n${stderr}`;
  assert.ok(code !== 0 && code !== null, printed);
  assert.match(stderr, message);
  assert.ok(milliseconds < 5_000, printed);
  assert.deepEqual(left, [], printed);
  assert.ok(stderr.trim().split('\n').length <= 3, `more than one message: ${printed}`);
  assert.doesNotMatch(stderr, /\n\s+at .*:\d+:\d+/, 'a stack is no message');
  assert.equal(stdout, '');
}

describe('bad input ends within 5 s with one clear message, a non-zero code and nothing left behind:', () => {
  test('an unknown command', () => refuses(['dmeo'], /unknown command "dmeo"/));
  test('an unknown flag', () => refuses(['demo', '--recrods', '5'], /--recrods/));
  test('a value out of range', () => refuses(['demo', '--records', '0'], /--records.*1/));
  test('a value that is no number', () => refuses(['demo', '--rate', 'fast'], /--rate/));
  test('a flag without its value', () => refuses(['demo', '--threshold'], /--threshold/));
  test('a value that looks like a flag', () =>
    refuses(['demo', '--records', '-1'], /--records needs a value; .*begins with a dash.*=/));
  test('a word too few', () => refuses(['filter', '--pattern', '{}'], /the word "test" is missing/));
  test('a filter of run that is no pattern', () =>
    refuses(
      ['run', file('handler.mjs', ''), '--topic', 'orders', '--filter', '{"value":'],
      /--filter.*not valid JSON/,
    ));
  test('a file of measurements without numbers', () =>
    refuses(['anomaly', file('words.csv', 'a,b\nx,y\n')], /words\.csv: no column holds numbers/));
  test('a template that is no YAML', () =>
    refuses(['deploy', file('bad.yaml', 'a: [')], /bad\.yaml: .* at line 1, column \d+$/m));
  test('a word too many', () => refuses(['demo', 'now'], /now/));
  test('an input that is not there', () =>
    refuses(['demo', '--input', join(folder, 'missing.csv')], /missing\.csv.*no such file/));
  test('an input that is a directory', () => refuses(['demo', '--input', folder], /is a directory/));
  test('an empty input', () => refuses(['demo', '--input', file('empty.csv', '')], /empty\.csv is empty/));
  test('a CSV without numbers', () =>
    refuses(['demo', '--input', file('text.csv', 'a,b\nx,y\n')], /no column of numbers.*a, b/));
  test('a column that is not there', () =>
    refuses(['demo', '--input', file('v.csv', 'v,w\n1,2\n'), '--columns', 'v,latency'], /no column latency.*v, w/));
  test('an unreachable Kafka', async () => refuses(['demo', '--bootstrap-servers', '127.0.0.1:1'], /127\.0\.0\.1:1\b/));
  test('a bootstrap server that is no address', () =>
    refuses(['demo', '--bootstrap-servers', 'localhost:http'], /--bootstrap-servers/));
  test('a port in use', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      await refuses(['demo', '--port', String(portOf(server))], new RegExp(`${portOf(server)}`));
    } finally {
      server.close();
    }
  });
  test('a data directory that cannot be written', () =>
    refuses(['start', '--data-dir', join(file('plain-file', 'x'), 'data')], /plain-file/));
  test('a Python that is not there', () =>
    refuses(['demo', '--runtime', 'python'], /Python 3\.9 or newer/, { PATH: join(folder, 'empty-path') }));
  test('a Python without boto3', { skip: needs('python') }, async () => {
    const { bin } = await pythonEnvironment([]);
    await refuses(['demo', '--runtime', 'python'], /needs boto3.*python\S* -m pip install boto3/, { PATH: bin });
  });
});
