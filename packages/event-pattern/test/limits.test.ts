import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  compilePattern,
  compilePatterns,
  InvalidEventError,
  isUtf8,
  maximumEventBytes,
  maximumEventDepth,
  maximumSetAlternatives,
  validateJson,
} from '../src/index.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function faultOf(action: () => unknown): InvalidEventError {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof InvalidEventError, String(error));
    return error;
  }
  return assert.fail('it did not throw');
}

test('reading stops when the verdict is known: garbage behind it goes unnoticed', () => {
  const pattern = compilePattern('{"a":["x"],"b":[{"numeric":["<",5]}]}');
  assert.equal(pattern.matches('{"a":"x","b":4,}garbage'), true);
  assert.equal(pattern.matches('{"z":{},"b":7,"a" garbage'), false);
  assert.equal(pattern.matches('{"a":["y"],garbage'), false);
  assert.equal(compilePattern('{"$or":[{"a":[1]},{"b":[1]}]}').matches('{"b":1,garbage'), true);
  assert.equal(compilePattern('{"a":[{"exists":false}]}').matches('{"a":1,garbage'), false);
  const set = compilePatterns(['{"a":[1]}', '{"b":[1]}']);
  assert.equal(set.matches('{"a":1 garbage'), true);
  assert.deepEqual(set.matching('{"a":1,"b":2 garbage'), [0]);
});

test('an alternative that is still open is read on for', () => {
  const pattern = compilePattern('{"$or":[{"a":["x"]},{"b":["y"]}]}');
  assert.equal(pattern.matches('{"a":"z","b":"y"}'), true);
  assert.throws(() => pattern.matches('{"a":"z",garbage'), InvalidEventError);
  assert.throws(() => compilePattern('{"b":[{"exists":false}]}').matches('{"a":1'), InvalidEventError);
});

test('invalid events throw with the offset of the offending byte', () => {
  const pattern = compilePattern('{"never":[1]}');
  for (const [event, position] of [
    ['', 0],
    ['   ', 3],
    ['{', 1],
    ['{"a"', 4],
    ['{"a":', 5],
    ['{"a":1', 6],
    ['{"a":1,}', 7],
    ['{"a":1}}', 7],
    ['{"a":1} {}', 8],
    ['{"a":01}', 6],
    ['{"a":1.}', 7],
    ['{"a":-}', 6],
    ['{"a":1e}', 7],
    ['{"a":tru}', 5],
    ['{"a":"\\x"}', 7],
    ['{"a":"\\u12G4"}', 10],
    ['{"é":"\n"}', 7],
    ['{"a":[1 2]}', 8],
    ['{"a":{"b":1]}', 11],
    ['{"a":"b', 7],
    ["{'a':1}", 1],
    ['{a:1}', 1],
    ['\ufeff{"a":1}', 0],
  ] as const) {
    const fault = faultOf(() => pattern.matches(event));
    assert.equal(fault.code, 'syntax', event);
    assert.equal(fault.position, position, `${event}: ${fault.message}`);
    assert.equal(faultOf(() => pattern.matches(utf8(event))).position, position);
  }
});

test('JSON that is no object is no event', () => {
  for (const event of ['[{"a":1}]', '5', '"text"', 'null', 'true']) {
    const pattern = compilePattern('{"a":[1]}');
    assert.equal(faultOf(() => pattern.matches(event)).code, 'not-an-object');
    assert.equal(faultOf(() => pattern.explain(event)).code, 'not-an-object');
    assert.equal(faultOf(() => pattern.matchesValue(JSON.parse(event))).code, 'not-an-object');
  }
});

test('bytes that are not UTF-8 throw where they stand', () => {
  const pattern = compilePattern('{"b":[1]}');
  for (const bad of [
    [0x80],
    [0xc0, 0x80],
    [0xc3],
    [0xe0, 0x80, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xff],
  ]) {
    const event = new Uint8Array([...utf8('{"a":"'), ...bad, ...utf8('"}')]);
    const fault = faultOf(() => pattern.matches(event));
    assert.deepEqual([fault.code, fault.position], ['utf8', 6], bad.join());
    assert.equal(isUtf8(event), false);
    assert.equal(isUtf8(new Uint8Array(bad)), false);
  }
  for (const text of ['', 'a', 'é', '€', '😀', '\u{10ffff}', 'aé€😀']) assert.ok(isUtf8(utf8(text)), text);
});

test('events may be nested a thousand deep, wanted or not, and no deeper', () => {
  const nested = (depth: number, open: string, close: string) => `${open.repeat(depth)}1${close.repeat(depth)}`;
  const unwanted = compilePattern('{"z":[1]}');
  const wanted = compilePattern('{"a":[1]}');
  const deepPath = compilePattern(`{"${'a.'.repeat(900)}a":[1]}`);
  for (const pattern of [unwanted, wanted]) {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const fits = `{"a":${nested(maximumEventDepth - 1, open, close)}}`;
      const exceeds = `{"a":${nested(maximumEventDepth, open, close)}}`;
      assert.equal(pattern.matches(fits), pattern === wanted && open === '[');
      assert.equal(faultOf(() => pattern.matches(exceeds)).code, 'too-deep');
      // The second time, the names are remembered and another path of the code is taken.
      assert.equal(faultOf(() => pattern.matches(exceeds)).code, 'too-deep');
      assert.equal(faultOf(() => pattern.explain(exceeds)).code, 'too-deep');
      assert.equal(validateJson(fits), undefined);
      assert.equal(validateJson(exceeds)?.code, 'too-deep');
    }
  }
  assert.equal(deepPath.matches(nested(901, '{"a":', '}')), true);
  assert.equal(faultOf(() => unwanted.matches(nested(1_000_000, '{"a":', ''))).code, 'too-deep');
  let value: unknown = 1;
  for (let n = 0; n <= maximumEventDepth; n++) value = [value];
  assert.equal(faultOf(() => wanted.matchesValue({ a: value })).code, 'too-deep');
});

test('an event may be 16 MiB and no larger', () => {
  const pattern = compilePattern('{"b":[1]}');
  const event = utf8(`{"a":"${'x'.repeat(maximumEventBytes - 14)}","b":1}`);
  assert.equal(event.length, maximumEventBytes);
  assert.equal(pattern.matches(event), true);
  const larger = new Uint8Array(event.length + 1).fill(32);
  larger.set(event);
  assert.equal(faultOf(() => pattern.matches(larger)).code, 'too-large');
  assert.equal(faultOf(() => pattern.matches(new TextDecoder().decode(larger))).code, 'too-large');
  assert.equal(pattern.matches('{"b":1}'), true);
});

test('patterns have limits on length, depth, fields and alternatives', () => {
  const deep = (n: number) => `${'{"a":'.repeat(n)}[1]${'}'.repeat(n)}`;
  assert.ok(compilePattern(deep(999)));
  assert.throws(() => compilePattern(deep(1000)), { code: 'E_TOO_DEEP' });
  assert.throws(() => compilePattern(deep(100_000)), { code: /E_TOO_DEEP|E_TOO_LONG/ });
  assert.ok(compilePattern(`{"${'a.'.repeat(999)}a":[1]}`));
  assert.throws(() => compilePattern(`{"${'a.'.repeat(1000)}a":[1]}`), { code: 'E_TOO_DEEP' });
  assert.throws(() => compilePattern(`{"${'.'.repeat(130_000)}":[1]}`), { code: 'E_TOO_DEEP' });
  const fields = (n: number) => `{${Array.from({ length: n }, (_, i) => `"f${i}":[${i}]`).join()}}`;
  assert.ok(compilePattern(fields(256)));
  assert.throws(() => compilePattern(fields(257)), { code: 'E_TOO_MANY_FIELDS' });
  const or = (...sizes: number[]) =>
    `{${sizes.map((size) => `"$or":[${Array.from({ length: size }, (_, i) => `{"x${i}":[1]}`).join()}]`).join()}}`;
  assert.ok(compilePattern(or(10, 10, 10)));
  assert.throws(() => compilePattern(or(10, 10, 11)), { code: 'E_TOO_MANY_ALTERNATIVES' });
  assert.throws(() => compilePattern(or(...new Array<number>(400).fill(10))), { code: 'E_TOO_MANY_ALTERNATIVES' });
  assert.throws(() => compilePattern(`{"a":["${'x'.repeat(262_144)}"]}`), { code: 'E_TOO_LONG' });
  assert.throws(() => compilePattern('{"a":[1]}', { maximumLength: 8 }), { code: 'E_TOO_LONG' });
  assert.throws(() => compilePattern('{"a":[1]}', { maximumLength: 0 }), RangeError);
});

test('a set has a limit on alternatives', () => {
  const patterns = Array.from({ length: maximumSetAlternatives }, (_, n) => `{"k":["v${n}",${n}]}`);
  const set = compilePatterns(patterns);
  assert.deepEqual(set.matching('{"k":"v16000"}'), [16_000]);
  assert.deepEqual(set.matching('{"k":[7,"v9"]}'), [7, 9]);
  assert.throws(() => compilePatterns([...patterns, '{"k":[1]}']), RangeError);
});

test('the largest patterns compile and match', () => {
  const fields = Array.from({ length: 240 }, (_, n) => `"f${n}":[${n}]`).join();
  const ors = ['p', 'q', 'r'].map(
    (name) => `"$or":[${Array.from({ length: 10 }, (_, n) => `{"${name}${n}":[1]}`).join()}]`,
  );
  const deep = `${'{"a":'.repeat(900)}{${fields},${ors.join()}}${'}'.repeat(900)}`;
  const event = `${'{"a":'.repeat(900)}{${fields.replace(/[[\]]/g, '')},"p3":1,"q9":1,"r0":1}${'}'.repeat(900)}`;
  const pattern = compilePattern(deep);
  assert.equal(pattern.matches(event), true);
  assert.equal(pattern.matches(event.replace('"q9":1', '"q9":2')), false);
});

test('two conditions on ten thousand elements take time in proportion, whatever the order', () => {
  const pattern = compilePattern('{"dev":{"a":[1],"b":[1],"c":[{"exists":false}]}}');
  const elements = Array.from({ length: 10_000 }, (_, n) => (n % 2 === 0 ? '{"a":1,"b":0}' : '{"a":0,"b":1}'));
  assert.equal(pattern.matches(`{"dev":[${elements.join()}]}`), false);
  assert.equal(pattern.matches(`{"dev":[${elements.join()},{"b":1,"a":1}]}`), true);
  assert.equal(pattern.matches(`{"dev":[${elements.join()},{"b":1,"a":1,"c":1}]}`), false);
  // Unrelated arrays are decided one by one: trying every combination of their elements would take years.
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const many = compilePattern(`{${names.map((name) => `"${name}":{"x":[1],"y":[1]}`).join()}}`);
  const list = (last: string) => `[${'{"x":1},{"y":1},'.repeat(2000)}${last}]`;
  const event = (last: string) =>
    `{${names.map((name) => `"${name}":${list(name === 'f' ? last : '{"x":1,"y":1}')}`).join()}}`;
  assert.equal(many.matches(event('{"y":1,"x":1}')), true);
  assert.equal(many.matches(event('{}')), false);
});

test('where a path has leaves in several arrays, the search is cut off with an error, not with time', () => {
  const names = ['x1', 'x2', 'x3', 'x4', 'x5', 'x6'];
  const pattern = compilePattern(`{"a":{${names.map((name) => `"${name}":[1]`).join()},"z":[1]}}`);
  const element = `{${names.map((name) => `"${name}":1`).join()}}`;
  const array = `[${new Array<string>(20).fill(element).join()}]`;
  const event = `{${new Array<string>(12).fill(`"a":${array}`).join()},"a":[{"z":0},{"z":1,"x1":0}]}`;
  assert.equal(pattern.matches(event), true);
  const last = '"a":[{"z":1},{"w":{"z":0}}]';
  const hard = compilePattern(`{"a":{${names.map((name) => `"${name}":[1]`).join()},"y":[1],"z":[1]}}`);
  const unsolvable = `{${new Array<string>(12).fill(`"a":${array}`).join()},"a":[{"y":1},{"z":1}]}`;
  assert.equal(faultOf(() => hard.matches(unsolvable)).code, 'too-complex');
  assert.equal(pattern.matches(`{${last}}`), false);
});

test('a wildcard stays linear on text made to defeat it', () => {
  const piece = `${'a'.repeat(500)}b`;
  const pattern = compilePattern(`{"k":[{"wildcard":"*${piece}*${piece}*"}]}`);
  assert.equal(pattern.matches(`{"k":"${'a'.repeat(2_000_000)}"}`), false);
  assert.equal(pattern.matches(`{"k":"${'a'.repeat(1_000_000)}b${'a'.repeat(1_000_000)}bc"}`), true);
});

test('numbers of a million digits are judged without converting them', () => {
  const pattern = compilePattern('{"n":[{"numeric":[">",0]}]}');
  assert.equal(pattern.matches(`{"n":1${'0'.repeat(300)}}`), true);
  assert.equal(pattern.matches(`{"n":${'1'.repeat(1_000_000)}}`), false);
  assert.equal(pattern.matches(`{"n":0.${'0'.repeat(1_000_000)}1}`), false);
  assert.equal(pattern.matches(`{"n":1${'0'.repeat(1_000_000)}e-1000000}`), true);
});
