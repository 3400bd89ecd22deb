import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePattern, compilePatterns } from '../src/index.ts';

test('bytes may be any view: a Buffer, a part of a larger array, one on shared memory', () => {
  const pattern = compilePattern('{"a":["x"]}');
  const text = '{"a":"x"}';
  assert.ok(pattern.matches(Buffer.from(text)));
  const larger = Buffer.from(`garbage${text}garbage`);
  assert.ok(pattern.matches(larger.subarray(7, 7 + text.length)));
  const shared = new Uint8Array(new SharedArrayBuffer(text.length));
  shared.set(Buffer.from(text));
  assert.ok(pattern.matches(shared));
});

test('events of changing shape are judged by what they say, not by what came before', () => {
  const pattern = compilePattern('{"wanted":[1],"other":{"wanted":[2]}}');
  const fillers = ['"a":1,', '"ab":{"wanted":3},', '"wanted2":9,', '"b":[{"c":1},{"wanted":4}],', '"wante":"d",', ''];
  let matched = 0;
  for (let n = 0; n < 3000; n++) {
    const filler = (i: number) => fillers[(n * (i + 3) + ((n / 7) | 0)) % fillers.length];
    const hit = n % 3 !== 0;
    const inner = `{${filler(1)}"wanted":${hit ? 2 : 3}${n % 5 === 0 ? ',"z":1' : ''}}`;
    const event =
      n % 2 === 0
        ? `{${filler(0)}"other":${inner},${filler(2)}"wanted":1}`
        : `{${filler(2)}"wanted":1,"other":${inner}}`;
    assert.equal(pattern.matches(event), hit, event);
    if (hit) matched++;
  }
  assert.equal(matched, 2000);
});

test('scans of different patterns do not disturb each other', () => {
  const patterns = Array.from({ length: 50 }, (_, n) => compilePattern(`{"k":["v${n}"],"n":[{"exists":false}]}`));
  for (let n = 0; n < 50; n++) {
    assert.throws(() => patterns[n]!.matches('{"k":["v'));
    for (let m = 0; m < 50; m++) assert.equal(patterns[m]!.matches(`{"k":"v${n}"}`), n === m);
  }
});

test('a set tells which patterns match, once each, in order', () => {
  const set = compilePatterns([
    '{"a":[1]}',
    '{"$or":[{"a":[1]},{"b":[1]}]}',
    '{"b":[{"exists":false}]}',
    '{"c":{"d":[{"prefix":"x"}]}}',
  ]);
  assert.equal(set.size, 4);
  assert.deepEqual(set.matching('{"a":1}'), [0, 1, 2]);
  assert.deepEqual(set.matching('{"c":[{"d":"y"},{"d":"xy"}],"b":1}'), [1, 3]);
  assert.deepEqual(set.matching('{"b":2}'), []);
  assert.deepEqual(set.matchingValue({ a: 1 }), [0, 1, 2]);
  const none = compilePatterns([]);
  assert.equal(none.matches('{"a":1}'), false);
  assert.deepEqual(none.matching('{"a":1}'), []);
});

test('a parsed value is judged as its JSON would be', () => {
  const pattern = compilePattern('{"n":[{"numeric":["=",10]},"x",null]}');
  assert.ok(
    pattern.matchesValue({ n: 10 }) && pattern.matchesValue({ n: 10n }) && pattern.matchesValue({ n: [5, 'x'] }),
  );
  assert.ok(pattern.matchesValue({ n: Number.NaN }), 'NaN is null in JSON');
  assert.ok(pattern.matchesValue({ n: [undefined] }), 'undefined in an array is null in JSON');
  assert.ok(
    !pattern.matchesValue({ n: undefined }) && !pattern.matchesValue({ n: () => 1 }) && !pattern.matchesValue({}),
  );
  assert.ok(!pattern.matchesValue({ n: 9007199254740993n }));
  assert.ok(compilePattern('{"n":[9007199254740993]}').matchesValue({ n: 9007199254740993n }));
  assert.ok(compilePattern('{"a.b":["x"]}').matchesValue({ a: [{ c: 1 }, { b: 'x' }] }));
});

test('an explanation shows every clause, what was found, and the nearest alternative', () => {
  const pattern = compilePattern(
    '{"room":["attic"],"$or":[{"temp":[{"numeric":[">",70]}],"fan":[false]},{"smoke":[true]}]}',
  );
  const matched = pattern.explain('{"room":"attic","smoke":true,"temp":20}');
  assert.deepEqual(matched, {
    matched: true,
    alternative: 1,
    alternatives: 2,
    inconsistent: false,
    clauses: [
      { path: 'room', rule: '["attic"]', matched: true, found: ['"attic"'] },
      { path: 'smoke', rule: '[true]', matched: true, found: ['true'] },
    ],
  });
  const near = pattern.explain('{"room":"attic","temp":[20,30.50],"fan":false}');
  assert.equal(near.matched, false);
  assert.equal(near.alternative, 0);
  assert.deepEqual(near.clauses, [
    { path: 'fan', rule: '[false]', matched: true, found: ['false'] },
    { path: 'room', rule: '["attic"]', matched: true, found: ['"attic"'] },
    { path: 'temp', rule: '[{"numeric":[">",70]}]', matched: false, found: ['20', '30.50'] },
  ]);
  const missing = compilePattern('{"a":["x"]}').explain('{"a":{}}');
  assert.deepEqual(missing.clauses, [{ path: 'a', rule: '["x"]', matched: false }]);
});

test('an explanation tells when only the elements of an array do not agree', () => {
  const pattern = compilePattern('{"dev":{"kind":["lamp"],"lux":[{"numeric":["<",5]}]}}');
  const explained = pattern.explain('{"dev":[{"kind":"lamp","lux":80},{"kind":"plug","lux":0}]}');
  assert.equal(explained.matched, false);
  assert.equal(explained.inconsistent, true);
  assert.ok(explained.clauses.every((clause) => clause.matched));
});
