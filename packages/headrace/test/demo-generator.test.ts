import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type GeneratedRecord, RequestLogGenerator, WINDOW_SECONDS } from '../src/demo/generator.ts';

const generate = (options: ConstructorParameters<typeof RequestLogGenerator>[0]) => {
  const generator = new RequestLogGenerator(options);
  return { records: [...generator], incidents: generator.incidents };
};

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

test('the same seed gives the same log, also when it is taken twice; another seed another one', () => {
  const generator = new RequestLogGenerator({ records: 3_000, seed: 7 });
  const once = [...generator];
  const incidents = structuredClone(generator.incidents);
  assert.deepEqual([...generator], once);
  assert.deepEqual(generator.incidents, incidents);
  assert.notDeepEqual(generate({ records: 3_000, seed: 8 }).records[10], once[10]);
});

test('times go forward, and the rate follows the day', () => {
  const { records } = generate({ records: 20_000, seed: 1, incidents: 0 });
  const byHour = new Array<number>(24).fill(0);
  let last = 0;
  for (const { record } of records.slice(0, 8_640)) {
    const time = Date.parse(record.timestamp);
    assert.ok(time >= last);
    last = time;
    byHour[new Date(time).getUTCHours()]! += 1;
  }
  assert.ok(byHour[15]! > 2 * byHour[3]!, `15:00 has ${byHour[15]}, 03:00 has ${byHour[3]}`);
});

test('a record carries the counters of the last complete window', () => {
  const { records } = generate({ records: 6_000, seed: 3 });
  const windowOf = ({ record }: GeneratedRecord): number =>
    Math.floor(Date.parse(record.timestamp) / 1_000 / WINDOW_SECONDS);
  const counted = new Map<number, { requests: number; errors: number }>();
  for (const each of records) {
    const window = counted.get(windowOf(each)) ?? { requests: 0, errors: 0 };
    counted.set(windowOf(each), window);
    window.requests += 1;
    if (each.record.status >= 500) window.errors += 1;
  }
  const first = windowOf(records[0]!);
  let compared = 0;
  for (const each of records) {
    if (windowOf(each) === first) continue;
    const { requests, errors } = counted.get(windowOf(each) - 1) ?? { requests: 0, errors: 0 };
    const secondsBetween = Number((WINDOW_SECONDS / Math.max(1, requests)).toFixed(2));
    assert.deepEqual(each.record.window, { requests, errors, secondsBetween });
    compared += 1;
  }
  assert.ok(compared > 5_900);
});

test('each kind of incident shows what it says, within its labels', () => {
  const { records, incidents } = generate({ records: 20_000, seed: 5 });
  assert.deepEqual(new Set(incidents.map(({ kind }) => kind)).size, 4);
  const within = (kind: string): GeneratedRecord[] =>
    incidents.filter((each) => each.kind === kind).flatMap((each) => records.slice(each.firstRecord, each.endRecord));
  const isQuiet = (index: number): boolean =>
    incidents.every((each) => index < each.firstRecord || index >= each.endRecord);
  const quiet = records.filter(({ index }) => isQuiet(index)).map(({ record }) => record);
  const slow = within('slow').filter(({ record }) => record.responseTimeMs > 500).length;
  assert.ok(slow > 100, `${slow} slow`);
  assert.ok(quiet.filter(({ responseTimeMs }) => responseTimeMs > 1_000).length === 0);
  assert.ok(Math.max(...within('errors').map(({ record }) => record.window.errors)) >= 8);
  assert.ok(Math.max(...quiet.map(({ window }) => window.errors)) <= 3);
  assert.ok(Math.max(...within('traffic surge').map(({ record }) => record.window.requests)) > 90);
  assert.ok(Math.max(...quiet.map(({ window }) => window.requests)) < 90);
  assert.ok(Math.max(...within('traffic drop').map(({ record }) => record.window.secondsBetween)) > 60);
  assert.ok(Math.max(...quiet.map(({ window }) => window.secondsBetween)) < 60);
});

test('incidents begin after the warm-up, do not overlap, and are four kinds from 4,000 records on', () => {
  for (let seed = 100; seed < 120; seed += 1) {
    const { incidents } = generate({ records: 4_000, seed });
    assert.equal(new Set(incidents.map(({ kind }) => kind)).size, 4);
    let end = 400;
    for (const each of incidents) {
      assert.ok(
        each.firstRecord >= end && each.endRecord > each.firstRecord,
        `seed ${seed}: ${JSON.stringify(incidents)}`,
      );
      end = each.endRecord;
    }
  }
  assert.equal(generate({ records: 300, seed: 1 }).incidents.length, 0);
});

test('an ordinary day is what the documentation says', () => {
  const { records } = generate({ records: 20_000, seed: 2, incidents: 0 });
  const share = (status: number): number =>
    records.filter(({ record }) => record.status === status).length / records.length;
  assert.ok(Math.abs(share(404) - 0.028) < 0.006 && Math.abs(share(500) - 0.002) < 0.0012);
  const home = records.filter(({ record }) => record.path === '/').map(({ record }) => record.responseTimeMs);
  assert.ok(Math.abs(mean(home) - 60) < 6, String(mean(home)));
});
