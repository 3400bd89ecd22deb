import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateLabels } from '../src/demo/labels.ts';

const incidents = [
  { kind: 'slow', firstRecord: 10, endRecord: 20 },
  { kind: 'errors', firstRecord: 30, endRecord: 40 },
  { kind: 'slow', firstRecord: 50, endRecord: 60 },
];
const scoresAt = (alarms: number[], count = 100) =>
  Array.from({ length: count }, (_, index) => ({ index, score: alarms.includes(index) ? 4 : 1 }));

test('an incident is found by one record over the threshold; others outside are false alarms', () => {
  assert.deepEqual(evaluateLabels(incidents, scoresAt([10, 19, 20, 29, 55]), 3), {
    incidents: 3,
    found: 2,
    kinds: 2,
    kindsFound: 1,
    falseAlarmsPer1000: 20,
    precision: 0.6,
    recall: 0.667,
    byKind: [
      { kind: 'errors', incidents: 1, found: 0 },
      { kind: 'slow', incidents: 2, found: 2 },
    ],
  });
});

test('a score at the threshold is no alarm', () => {
  assert.equal(evaluateLabels(incidents, scoresAt([15]), 4).found, 0);
});

test('without alarms there is no precision, without incidents no recall, and without records no rate', () => {
  assert.equal(evaluateLabels(incidents, scoresAt([]), 3).precision, null);
  const empty = evaluateLabels([], [], 3);
  assert.deepEqual([empty.recall, empty.precision, empty.falseAlarmsPer1000], [null, null, 0]);
});
