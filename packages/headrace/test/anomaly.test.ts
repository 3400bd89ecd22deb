import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RandomCutForest } from '@headrace/random-cut-forest';
import { runCommand, SeededRandom } from '@headrace/testing';
import { featureModes, LastValue, RequestFeatures, RequestWindows, statusClass } from '../src/anomaly/features.ts';
import { plotScores } from '../src/anomaly/plot.ts';
import { CategorySurprise, RobustScaler } from '../src/anomaly/scaler.ts';
import { scoreTable, suitableThreshold } from '../src/anomaly/score-table.ts';
import { readTable } from '../src/anomaly/table.ts';

const seededRandom = (seed: number): (() => number) => {
  const random = new SeededRandom(seed);
  return () => random.next();
};

const launcher = join(import.meta.dirname, '..', 'bin', 'headrace.js');

test('a scaler standardises, is not widened by incidents, and has a floor', () => {
  const random = seededRandom(1);
  const scaler = new RobustScaler(0.001);
  for (let t = 0; t < 3000; t++) scaler.scale(100 + 10 * (random() + random() + random() + random() - 2));
  const before = scaler.scale(130);
  for (let k = 0; k < 20; k++) scaler.scale(1e6);
  const after = scaler.scale(130);
  assert.ok(before > 4 && after > 0.6 * before, `${before} and ${after}`);
  assert.ok(scaler.scale(1e9) > 1e6, 'the value itself is not clamped');
  const constant = new RobustScaler(0.5);
  for (let t = 0; t < 100; t++) assert.ok(Math.abs(constant.scale(7)) < 1e-9);
  assert.ok(Math.abs(constant.scale(7.5) - 1) < 1e-9);
  assert.throws(() => new RobustScaler(0), RangeError);
});

test('a rare category surprises, a common one does not, and memory is bounded', () => {
  const surprise = new CategorySurprise(100, 1000);
  for (let t = 0; t < 2000; t++) surprise.observe(t % 10 === 0 ? 'sometimes' : 'often');
  assert.ok(Math.abs(surprise.observe('often') - -Math.log(0.9)) < 0.05);
  assert.ok(Math.abs(surprise.observe('sometimes') - -Math.log(0.1)) < 0.2);
  assert.ok(surprise.observe('never') > 6);
  for (let t = 0; t < 300_000; t++) surprise.observe(`path-${t % 5000}`);
  const counts = Reflect.get(surprise, 'counts') as Map<string, number>;
  assert.ok(counts.size <= 101, `${counts.size}`);
  assert.ok([...counts.values()].every(Number.isFinite));
});

test('requests become points: classes for statuses, nothing for a record with a missing number', () => {
  assert.deepEqual([200, 301, 404, 500, 503].map(statusClass), [0, 0, 0.5, 1, 1]);
  const raw = new RequestFeatures('raw');
  assert.deepEqual(raw.point({ responseTime: 0.2, status: 200, bytes: 512 }), [0.2, 200, 512]);
  for (const missing of [{ responseTime: null }, { status: undefined }, { bytes: Number.NaN }]) {
    assert.equal(raw.point({ responseTime: 1, status: 200, bytes: 1, ...missing }), undefined);
  }
  const last = new LastValue();
  assert.deepEqual([last.fill(undefined), last.fill(3), last.fill(null), last.fill(4)], [undefined, 3, 3, 4]);
});

for (const mode of ['raw', 'scaled'] as const) {
  test(`in mode ${mode} its threshold finds rare incidents and little else`, () => {
    const random = seededRandom(5);
    const { dimensions, shingleSize, threshold } = featureModes[mode];
    const forest = new RandomCutForest({ dimensions, shingleSize, randomSeed: 1 });
    const features = new RequestFeatures(mode);
    let [found, incidents, wrong] = [0, 0, 0];
    for (let t = 0; t < 6000; t++) {
      const incident = t > 500 && t % 600 === 0;
      const point = features.point({
        responseTime: (incident ? 4000 : 200) * (0.8 + 0.4 * random()),
        status: incident ? 503 : random() < 0.1 ? 404 : 200,
        bytes: incident ? 90 : 1800 * (0.9 + 0.2 * random()),
      })!;
      const flagged = forest.scoreAndUpdate(point) >= threshold;
      if (incident) {
        incidents++;
        if (flagged) found++;
      } else if (flagged && t > 256) wrong++;
    }
    assert.ok(found >= incidents - 1, `${found} of ${incidents}`);
    assert.ok(wrong <= 30, `${wrong} wrong`);
  });
}

test('windows count requests, errors and times, and silence is a window too', () => {
  const windows = new RequestWindows(1000);
  const request = (time: number, responseTime: number, status = 200) => windows.add(time, { responseTime, status });
  assert.deepEqual(request(100, 5), []);
  assert.deepEqual(request(900, 7, 500), []);
  const closed = request(4100, 5);
  assert.deepEqual(
    closed.map(({ start }) => start),
    [0, 1000, 2000, 3000],
  );
  assert.deepEqual(closed[0]!.point, [0, 0, 0, 0], 'the first has nothing to differ from');
  const [requests, errors] = closed[1]!.point;
  assert.ok(requests < -1 && errors < -1, 'silence: fewer requests and errors than before');
  assert.equal(request(1e12, 1).length <= 1001, true);
});

test('a table is read with or without a header, and missing cells repeat the last value', () => {
  const plain = readTable('1,2\n3,4\n', undefined);
  assert.deepEqual(
    [plain.columns, plain.rows],
    [
      ['column1', 'column2'],
      [
        [1, 2],
        [3, 4],
      ],
    ],
  );
  const named = readTable(
    'timestamp,value,label\r\n2020-01-01,5,0\r\n2020-01-02,,0\r\n2020-01-03,x,1\r\n2020-01-04,8,0\r\n',
    undefined,
  );
  assert.deepEqual(named.columns, ['value']);
  assert.deepEqual(named.rows, [[5], [5], [5], [8]]);
  assert.equal(named.filled, 2);
  assert.equal(named.names[3], '2020-01-04');
  const quoted = readTable('"time, local",value,"a ""b"""\n"Mon, 1 Jan",5,6\n"x",,7\n, 8 ,"9"\n', undefined);
  assert.deepEqual(quoted.columns, ['value', 'a "b"']);
  assert.deepEqual(quoted.names, ['Mon, 1 Jan', 'x', '']);
  assert.deepEqual(quoted.rows, [
    [5, 6],
    [5, 7],
    [8, 9],
  ]);
  for (const [text, wanted, message] of [
    ['', undefined, /empty/],
    ['a,b\n', undefined, /no row below/],
    ['a,b\nx,y\n', undefined, /no column holds numbers/],
    ['a,b\n1,2\n', ['c'], /no column c; there are a, b/],
    ['a,b\n1,2\n3,1e300\n', undefined, /row 2 of column b is 1e300; .* below 2\^120/],
  ] as const) {
    assert.throws(() => readTable(text, wanted), { code: 'INPUT_UNREADABLE', message });
  }
});

const wave = Array.from({ length: 3000 }, (_, t) => [100 * Math.sin(t / 8) + (t % 5), t === 2000 ? 900 : 50 + (t % 7)]);

test('an anomaly is one run with the column and direction that made it', () => {
  const table = { names: wave.map((_, t) => `t${t}`), columns: ['wave', 'level'], rows: wave, filled: 0 };
  const { anomalies, threshold } = scoreTable(table, {
    features: 'scaled',
    shingleSize: 4,
    numberOfTrees: 50,
    sampleSize: 256,
    randomSeed: 1,
    threshold: undefined,
  });
  assert.equal(threshold, 2);
  const strongest = [...anomalies].sort((a, b) => b.score - a.score)[0]!;
  assert.ok(strongest.from >= 2000 && strongest.peak <= 2003, JSON.stringify(strongest));
  assert.equal(strongest.columns[0]!.name, 'level');
  assert.equal(strongest.columns[0]!.direction, 'high');
  assert.equal(strongest.columns[0]!.row, 2000, 'whichever row of the shingle scored highest');
  assert.equal(suitableThreshold('raw', 1, 256), 3);
  assert.ok(Math.abs(suitableThreshold('raw', 1, 1024) - 3 * (Math.log2(1025) / Math.log2(257))) < 1e-12);
});

test('a second incident, lower than the first, is still too high', () => {
  const rows = Array.from({ length: 1500 }, (_, t) => [t === 700 ? 30_000 : t === 800 ? 25_000 : 200 + (t % 11)]);
  const table = { names: rows.map((_, t) => `t${t}`), columns: ['latency'], rows, filled: 0 };
  const { anomalies } = scoreTable(table, {
    features: 'raw',
    shingleSize: 1,
    numberOfTrees: 50,
    sampleSize: 256,
    randomSeed: 1,
    threshold: undefined,
  });
  assert.deepEqual(
    anomalies.map(({ peak, columns }) => [peak, columns[0]!.direction]),
    [
      [700, 'high'],
      [800, 'high'],
    ],
  );
});

test('the plot keeps every spike, marks the anomalies and shows names as text', () => {
  const table = {
    names: wave.map((_, t) => `<t${t}>`),
    columns: ['<b>&"'],
    rows: wave.map((row) => [row[1]!]),
    filled: 0,
  };
  const scored = scoreTable(table, {
    features: 'raw',
    shingleSize: 1,
    numberOfTrees: 20,
    sampleSize: 256,
    randomSeed: 1,
    threshold: undefined,
  });
  const svg = plotScores('<script>', table, scored);
  assert.ok(svg.startsWith('<svg') && !svg.includes('<script>') && !svg.includes('<b>') && !svg.includes('<t0>'));
  assert.ok(!svg.includes('NaN'));
  assert.equal(svg.match(/<circle/g)!.length, 2 * scored.anomalies.length);
  assert.match(svg, /threshold 3\.00/);
  for (const tick of ['0', '500', '1,000']) assert.ok(svg.includes(`>${tick}</text>`), `tick ${tick}`);
  assert.equal(svg.match(/&#60;t2000&#62;/g)!.length, 2, 'the strongest is named, and says its score when pointed at');
});

test('the plot takes what a column can hold: one row, a constant, the largest and smallest numbers', () => {
  for (const values of [[5], [5, 5, 5], [0, 1e300], [-1e-300, 1e-300], [1e15, 1e15 + 1], [-3, 40]]) {
    const table = { names: values.map(String), columns: ['c'], rows: values.map((value) => [value]), filled: 0 };
    const scored = { scores: Float64Array.from(values, () => 1), threshold: 3, warmUp: 64, anomalies: [] };
    const svg = plotScores('edge', table, scored);
    assert.ok(!/NaN|Infinity|undefined/.test(svg), String(values));
  }
});

test('headrace anomaly prints, writes and draws; bad input is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-test-'));
  const file = join(folder, 'in.csv');
  await writeFile(
    file,
    `timestamp,wave,level\n${wave.map((row, t) => `${t === 7 ? '"day, 7"' : `day ${t}`},${row.join(',')}\n`).join('')}`,
  );
  const [plot, out] = [join(folder, 'out.svg'), join(folder, 'scores.csv')];
  const run = (...args: string[]) => runCommand(process.execPath, [launcher, 'anomaly', ...args]);
  const { stdout } = await run(file, '--columns', 'level', '--plot', plot, '--out', out);
  assert.match(stdout, /day 2000\s+1 row\s+level 900 too high \(100 %\)/);
  assert.match(await readFile(plot, 'utf8'), /^<svg/);
  const written = (await readFile(out, 'utf8')).trim().split('\n');
  assert.equal(written.length, 3001);
  assert.equal(written[8], '"day, 7",0');
  const json = JSON.parse((await run(file, '--json')).stdout) as { columns: string[]; anomalies: { at: string }[] };
  assert.deepEqual(json.columns, ['wave', 'level']);
  assert.equal(json.anomalies[0]!.at, 'day 2000');
  await assert.rejects(run(join(folder, 'none.csv')), /none\.csv/);
  await assert.rejects(run(file, '--columns', 'x'), /no column x/);
  await assert.rejects(run(file, '--shingle', '0'), /shingle/);
  for (const option of ['--plot', '--out']) {
    await assert.rejects(run(file, option, join(folder, 'none', 'x')), /none.x: ENOENT.*\n.*OUTPUT_UNWRITABLE/);
  }
  await rm(folder, { recursive: true });
});
