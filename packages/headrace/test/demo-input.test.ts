import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { needsData, sharedData } from '@headrace/testing';
import { openDemoInput } from '../src/demo/input.ts';
import { type InputFile, readInputFile } from '../src/demo/input-file.ts';
import { HeadraceError } from '../src/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'headrace-input-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const fileOf = (content: string | Buffer): string => {
  const path = join(folder, `input-${files++}.log`);
  writeFileSync(path, content);
  return path;
};
const read = (content: string | Buffer, columns?: string[]): InputFile => readInputFile(fileOf(content), columns);
const objects = (file: InputFile): Record<string, unknown>[] =>
  [...file.records()].map((text) => JSON.parse(text) as Record<string, unknown>);

describe('CSV', () => {
  test('with a header becomes JSON records; every column of numbers is scored, times and labels are not', () => {
    const file = read(
      'timestamp,latency ms,host,label,kind\n2026-01-02 03:04:05,12.5,a,0,\n2026-01-02 03:09:05,90,b,1,slow\n',
    );
    assert.deepEqual([file.format, file.count, file.features, file.stepSeconds], ['CSV', 2, ['latency ms'], 300]);
    const [first] = objects(file);
    assert.deepEqual(
      [first!['timestamp'], first!['latency ms'], first!['host']],
      ['2026-01-02T03:04:05.000Z', 12.5, 'a'],
    );
    assert.deepEqual(file.incidents, [{ kind: 'slow', firstRecord: 1, endRecord: 2 }]);
  });

  test('may have quotes, semicolons, tabs, a byte order mark and lines of Windows', () => {
    const quoted = read('\ufeff"name, long";"value"\r\n"a ""b""\nc";1\r\n"d;e";2\r\n');
    assert.deepEqual(quoted.features, ['value']);
    assert.deepEqual(
      objects(quoted).map((each) => each['name_ long']),
      ['a "b"\nc', 'd;e'],
    );
    assert.deepEqual(read('a\tb\n1\tx\n2\ty\n').features, ['a']);
  });

  test('with holes sends a null there, so that the record is stored and not scored', () => {
    const values = Array.from({ length: 20 }, (_, i) => (i === 3 ? 'n/a' : i === 4 ? '' : String(i)));
    const file = read(`v,w\n${values.map((value) => `${value},1`).join('\n')}\n`);
    assert.deepEqual(file.features, ['v', 'w']);
    assert.deepEqual(
      objects(file)
        .slice(2, 6)
        .map((each) => each['v']),
      [2, 'n/a', null, 5],
    );
  });

  test('with few rows and an empty cell is still a column of numbers; one that is mostly empty is not', () => {
    assert.deepEqual(read('v,w,rare\n1,5,\n,6,\n3,7,9\n').features, ['v', 'w']);
  });

  test('--columns picks columns, with weights', () => {
    assert.deepEqual(read('a,b,c\n1,2,3\n', ['c*0.5', 'a']).features, ['c*0.5', 'a']);
  });
});

describe('JSON lines', () => {
  test('are sent as they are; numbers are found at any depth', () => {
    const lines = ['{"timestamp":"2026-01-02T03:04:05Z","http":{"ms":12,"ok":true}}', '{"http":{"ms":13},"text":"7"}'];
    const file = read(`${lines.join('\n')}\n`);
    assert.deepEqual([file.format, file.count, file.features], ['JSON lines', 2, ['http.ms']]);
    assert.deepEqual([...file.records()], lines);
  });

  test('a line that is no JSON is sent too', () => {
    const file = read('{"v":1}\nnot json\n{"v":2}\n');
    assert.deepEqual([file.count, file.features], [3, ['v']]);
    assert.deepEqual([...file.records()][1], 'not json');
  });
});

describe('an access log', () => {
  const line =
    '203.0.113.9 - frank [10/Oct/2025:13:55:36 -0700] "GET /a?b=\\"c\\" HTTP/1.1" 200 2326 "https://x.example/" "Mozilla/5.0"';

  test('in the combined format gives status and bytes', () => {
    const file = read(`${line}\n${line.replace('200 2326', '304 -')}\n`);
    assert.deepEqual([file.format, file.count, file.features], ['access log', 2, ['status', 'bytes']]);
    const [first, second] = objects(file);
    assert.deepEqual(
      [first!['timestamp'], first!['method'], first!['client'], first!['bytes'], second!['bytes']],
      ['2025-10-10T20:55:36.000Z', 'GET', '203.0.113.9', 2326, 0],
    );
  });

  test('may end with the time of the request, and may be of the common format', () => {
    assert.deepEqual(read(`${line} 0.153\n${line} rt=0.007\n`).features, ['status', 'bytes', 'requestTime']);
    assert.deepEqual(read('::1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 5\n').features, [
      'status',
      'bytes',
    ]);
  });
});

describe('bad input', () => {
  const refused = (path: string, code: string, message: RegExp, columns?: string[]): void => {
    assert.throws(
      () => readInputFile(path, columns),
      (error) => HeadraceError.is(error) && error.code === code && message.test(error.message),
    );
  };
  test('says what is wrong with the file', () => {
    refused(join(folder, 'missing'), 'INPUT_UNREADABLE', /no such file/);
    refused(folder, 'INPUT_UNREADABLE', /is a directory/);
    refused(fileOf(''), 'INPUT_UNREADABLE', /is empty/);
    refused(fileOf('\n\n'), 'INPUT_UNREADABLE', /is empty/);
    refused(fileOf('a,b\n'), 'INPUT_UNREADABLE', /a header and no records/);
    refused(
      fileOf('a,b\nx,y\n'),
      'INPUT_UNREADABLE',
      /no column of numbers to score; it was read as CSV with the header: a, b/,
    );
    refused(fileOf('1,2\n3,4\n'), 'INPUT_UNREADABLE', /must name its columns/);
    refused(fileOf('{"a":"x"}\n'), 'INPUT_UNREADABLE', /no column of numbers to score; it was read as JSON lines/);
    refused(fileOf('just a line of text\nand another\n'), 'INPUT_UNREADABLE', /no column of numbers/);
    refused(fileOf(Buffer.from([0x1f, 0x8b, 8, 0])), 'INPUT_UNREADABLE', /gzip/);
    refused(fileOf(Buffer.from([1, 0, 2, 0])), 'INPUT_UNREADABLE', /not a text/);
    refused(fileOf('a,b\n1,x\n'), 'USAGE', /no column c; its columns: a, b/, ['c']);
    refused(fileOf('a,b\n1,x\n'), 'INPUT_UNREADABLE', /column b holds no numbers/, ['b']);
  });
});

describe('the demo', () => {
  test('deals the records out to the partitions in turn, and stops after --records', async () => {
    const path = fileOf(`v\n${Array.from({ length: 10 }, (_, i) => i).join('\n')}\n`);
    const input = await openDemoInput({ records: 7, seed: 1, input: path, columns: undefined });
    const sent = [...input.outgoing(3)];
    assert.equal(input.count, 7);
    assert.deepEqual(
      sent.map(({ partition }) => partition),
      [0, 1, 2, 0, 1, 2, 0],
    );
    assert.deepEqual(
      sent.map(({ value }) => (JSON.parse(value) as { v: number }).v),
      [0, 1, 2, 3, 4, 5, 6],
    );
    assert.equal(input.templateParameters['AnomalyFeatures'], 'v');
    assert.equal(input.evaluate([], 3), undefined);
  });

  test('without a file generates, and knows the labels', async () => {
    const input = await openDemoInput({ records: 5_000, seed: 1, input: undefined, columns: undefined });
    assert.equal([...input.outgoing(4)].length, 5_000);
    assert.equal(input.evaluate([], 3)?.incidents, 4);
  });
});

const nab = (name: string): string => join('nab', 'data', 'realKnownCause', name);
for (const [path, count, features, labelled] of [
  [nab('nyc_taxi.csv'), 10_320, ['value'], undefined],
  [nab('ec2_request_latency_system_failure.csv'), 4_032, ['value'], undefined],
  [join('http-log', 'openstack-http-11.csv'), 1_017, ['response_ms', 'status', 'bytes'], 27],
] as const) {
  test(`reads ${path}`, { skip: needsData(path) }, () => {
    const file = readInputFile(sharedData(path));
    assert.deepEqual([file.format, file.count, file.features], ['CSV', count, features]);
    assert.ok(objects(file).every((each) => !Number.isNaN(Date.parse(String(each['timestamp'])))));
    const rows = file.incidents?.reduce((sum, each) => sum + each.endRecord - each.firstRecord, 0);
    assert.equal(rows, labelled);
  });
}
