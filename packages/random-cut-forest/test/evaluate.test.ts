import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsData, sharedData } from '@headrace/testing';
import { countAlarms, prAuc, probation, rocAuc, windowOfRows } from '../evaluate/metrics.ts';
import { readSeries, readWindows, windowsOf } from '../evaluate/series.ts';
import { parseVariant } from '../evaluate/variants.ts';

test('areas are those worked out by hand, ties counting half', () => {
  const labels = Uint8Array.from([0, 0, 1, 1]);
  assert.equal(rocAuc(Float64Array.from([1, 2, 3, 4]), labels), 1);
  assert.equal(rocAuc(Float64Array.from([4, 3, 2, 1]), labels), 0);
  assert.equal(rocAuc(Float64Array.from([1, 1, 1, 1]), labels), 0.5);
  assert.equal(rocAuc(Float64Array.from([1, 3, 2, 4]), labels), 0.75);
  assert.equal(prAuc(Float64Array.from([1, 2, 3, 4]), labels), 1);
  assert.equal(prAuc(Float64Array.from([1, 3, 2, 4]), labels), (1 + 2 / 3) / 2);
  assert.equal(prAuc(Float64Array.from([1, 1, 1, 1]), labels), 0.5);
});

test('windows hold both ends, and false alarms are counted by run', () => {
  const timestamps = ['2020-01-01 00:00:00', '2020-01-01 00:01:00', '2020-01-01 00:02:00', '2020-01-01 00:03:00'];
  const windowOf = windowOfRows(timestamps, [['2020-01-01 00:01:00.000000', '2020-01-01 00:02:00.000000']]);
  assert.deepEqual([...windowOf], [-1, 0, 0, -1]);
  assert.deepEqual(countAlarms(Float64Array.from([3, 1, 3, 3]), windowOf, 0, 3), {
    windowsHit: 1,
    falseAlarms: 2,
    falseRows: 2,
  });
  assert.deepEqual(countAlarms(Float64Array.from([3, 3, 3]), Int32Array.from([-1, -1, -1]), 1, 2), {
    windowsHit: 0,
    falseAlarms: 1,
    falseRows: 2,
  });
  assert.deepEqual([probation(1000), probation(22_695)], [150, 750]);
});

test('a series finds its windows whichever folder the data is read from', () => {
  const windows = { 'known/a.csv': [['2020-01-01', '2020-01-02']], 'x/b.csv': [], 'y/b.csv': [] } as const;
  for (const path of ['known/a.csv', 'data/known/a.csv', 'a.csv']) {
    assert.deepEqual(windowsOf(windows, path), windows['known/a.csv'], path);
  }
  assert.equal(windowsOf(windows, 'b.csv'), undefined, 'two could be meant');
  assert.equal(windowsOf(windows, 'other/a.csv'), undefined);
});

test('a variant that does not exist is refused with the grammar', () => {
  assert.throws(() => parseVariant('stream-8'), /stream-s\{shingle\}-t\{trees\}/);
  assert.equal(parseVariant('stream-s1-t100-l1e-5').kind, 'stream');
});

const file = 'nab/data/realKnownCause/nyc_taxi.csv';
test('on the taxi series the figures are the reference implementation’s', { skip: needsData(file) }, () => {
  const folder = sharedData('nab');
  const series = readSeries(folder, ['value']).find(({ path }) => path.endsWith('nyc_taxi.csv'))!;
  const windows = windowsOf(readWindows(folder, undefined)!, series.path)!;
  const windowOf = windowOfRows(series.timestamps, windows);
  const from = probation(series.values.length);
  const labels = Uint8Array.from(windowOf.subarray(from), (window) => (window >= 0 ? 1 : 0));
  const scores = parseVariant('stream-s8-t50').score(series.values, 1);
  assert.ok(Math.abs(rocAuc(scores.subarray(from), labels) - 0.538) < 0.015);
  assert.ok(Math.abs(prAuc(scores.subarray(from), labels) - 0.157) < 0.015);
  assert.equal(countAlarms(scores, windowOf, from, 1.5).windowsHit, 3);
});
