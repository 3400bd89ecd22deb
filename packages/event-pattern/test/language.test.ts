import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePattern, compilePatterns, InvalidPatternError } from '../src/index.ts';
import { oracleMatches } from './oracle.ts';
import { rejections } from './rejections.ts';
import { workedExamples } from './worked-examples.ts';

const matches = (pattern: string, event: string) => compilePattern(pattern).matches(event);

for (const [n, { group, pattern, event, matches: expected }] of workedExamples.entries()) {
  test(`worked example ${n + 1} (${group}): ${pattern} ${expected ? 'matches' : 'does not match'} ${event}`, () => {
    const compiled = compilePattern(pattern);
    assert.equal(compiled.matches(event), expected);
    assert.equal(compiled.matches(new TextEncoder().encode(event)), expected);
    assert.equal(compiled.explain(event).matched, expected);
    const [only] = compilePatterns([pattern]).matching(event);
    assert.equal(only === 0, expected);
    // Parsing loses the text of numbers, by which the digits beyond a double's are told apart.
    if (!/[0-9]{17}|e999/.test(event)) assert.equal(compiled.matchesValue(JSON.parse(event)), expected);
    // The interpreter knows "$or" as the operator only.
    if (!pattern.startsWith('{"$or":{')) assert.equal(oracleMatches(pattern, event), expected);
  });
}

test('every invalid pattern is refused with its code', () => {
  for (const [code, pattern] of rejections) {
    assert.throws(
      () => compilePattern(pattern),
      (error) => {
        assert.ok(error instanceof InvalidPatternError, pattern);
        assert.equal(error.code, code, `${pattern}: ${error.message}`);
        assert.ok(error.position >= 0 && error.position <= pattern.length);
        return true;
      },
      pattern,
    );
  }
});

test('what is often wrongly refused compiles', () => {
  for (const pattern of [
    '{"a":[{"prefix":""},{"suffix":""},{"wildcard":""},{"equals-ignore-case":""}]}',
    '{"a":["x","x",{"prefix":"x"},{"prefix":"x"}]}',
    '{"a":["x",1,true,null,{"exists":false}]}',
    '{"a":[{"exists":false},{"exists":true}]}',
    '{"a":[{"cidr":"10.1.2.3/8"},{"cidr":"::1/0"}]}',
    '{"a":[18014398509481985,1e400,-1e-400]}',
    '{"$or":["hall"],"prefix":["x"],"":["y"],"cidr":{"exists":[true]}}',
    '{"a":[{"wildcard":"\\\\**"},{"wildcard":"*\\\\**"},{"anything-but":{"wildcard":"*"}}]}',
    '{"a":[{"anything-but":""},{"anything-but":{"equals-ignore-case":""}},{"anything-but":{"wildcard":""}}]}',
    '{"a":[{"numeric":[">",-1.7976931348623157e308,"<",1.7976931348623157e308]}]}',
    ' {\n"a" : [ 1 ]\t}\r\n',
  ]) {
    assert.ok(compilePattern(pattern), pattern);
  }
});

test('an error names the place: path, line and column', () => {
  const pattern = '{\n  "value": { "tire": {\n    "psi": [1, {"numeric": ["=<", 5]}] } } }';
  assert.throws(
    () => compilePattern(pattern),
    (error: InvalidPatternError) => {
      assert.equal(error.code, 'E_NUM_OP');
      assert.equal(error.path, 'value.tire.psi[1]');
      assert.deepEqual([error.line, error.column], [3, 29]);
      assert.match(error.message, /unknown numeric operator "=<" \(at value\.tire\.psi\[1\]\)/);
      return true;
    },
  );
  assert.throws(
    () => compilePattern('{"a":[1],}'),
    (error: InvalidPatternError) => error.position === 9 && error.line === 1 && error.column === 10,
  );
});

test('bytes that are not UTF-8 and a byte order mark are no pattern', () => {
  assert.throws(() => compilePattern(new Uint8Array([0x7b, 0xff, 0x7d])), { code: 'E_JSON' });
  assert.throws(() => compilePattern(new TextEncoder().encode('\ufeff{"a":[1]}')), { code: 'E_JSON' });
});

test('"$or" that is no operator is a field name, with the smaller grammar of old rules', () => {
  assert.ok(matches('{"$or":{"room":["hall"]}}', '{"$or":{"room":"hall"}}'));
  assert.ok(matches('{"$or":["hall"]}', '{"$or":"hall"}'));
  assert.ok(matches('{"$or":[{"wildcard":"h*l"},{"exists":false}]}', '{"$or":"hall"}'));
  assert.ok(matches('{"$or":[{"wildcard":"h*l"},{"exists":false}]}', '{"x":1}'));
  assert.ok(!matches('{"$or":[{"wildcard":"h*l"},{"exists":false}]}', '{"$or":"x"}'));
  assert.ok(matches('{"$or":["hall"],"a":[{"anything-but":{"prefix":"x"}}]}', '{"$or":"hall","a":"y"}'));
  for (const inner of ['{"wildcard":"x"}', '{"prefix":["x"]}', '{"suffix":["x"]}']) {
    assert.throws(() => compilePattern(`{"$or":["hall"],"a":[{"anything-but":${inner}}]}`), { code: 'E_OR_SHAPE' });
  }
});

test('later conditions replace earlier ones on a path, objects merge, every "$or" applies', () => {
  assert.ok(!matches('{"hub":{"fw":["1.0"]},"hub.fw":["2.0"]}', '{"hub":{"fw":"1.0"}}'));
  assert.ok(matches('{"hub":{"fw":["1.0"]},"hub.fw":["2.0"]}', '{"hub.fw":"2.0"}'));
  const merged = '{"hub":{"fw":["1.0"]},"hub":{"on":[true]}}';
  assert.ok(matches(merged, '{"hub":{"fw":"1.0","on":true}}'));
  assert.ok(!matches(merged, '{"hub":{"on":true}}'));
  const twice = '{"$or":[{"a":[1]},{"b":[1]}],"$or":[{"c":[1]},{"d":[1]}]}';
  assert.ok(matches(twice, '{"a":1,"d":1}'));
  assert.ok(!matches(twice, '{"a":1,"b":1}'));
});

test('integer-like names keep their place: the order in which members are written decides', () => {
  assert.ok(matches('{"$or":[{"7":["two"]},{"m":["x"]}],"7":["one"]}', '{"7":"one","m":"x"}'));
  assert.ok(!matches('{"$or":[{"7":["two"]},{"m":["x"]}],"7":["one"]}', '{"7":"two"}'));
});

test('the defects of event-ruler are not copied', () => {
  assert.ok(matches('{"$or":[{"k":["u"]},{"k":["u","w"]}]}', '{"k":"w"}'));
  assert.ok(!matches('{"k":[{"prefix":"a\\""}]}', '{"k":"a"}'));
  assert.ok(!matches('{"k":[{"suffix":"\\"a"}]}', '{"k":"a"}'));
  assert.ok(!matches('{"k":[{"cidr":"32.0.0.0/8"}]}', '{"k":"2001:db8::77"}'));
  assert.ok(!matches('{"k":[{"cidr":"16.0.0.0/4"}]}', '{"k":15}'));
  assert.ok(matches('{"k":[{"equals-ignore-case":"a😀"}]}', '{"k":"A😀"}'));
  assert.ok(!matches('{"k":[{"equals-ignore-case":"😀"}]}', '{"k":"??"}'));
  assert.ok(matches('{"k":[{"suffix":{"equals-ignore-case":"X"}},{"wildcard":"a*b"}]}', '{"k":"aab"}'));
  assert.ok(!matches('{"k":[{"numeric":["<",-1.7976931348623157e308]}]}', '{"k":-1.7976931348623157e308}'));
  assert.ok(matches('{"k":[{"numeric":["=",1e23]}]}', '{"k":1e23}'));
});

test('case folds by the characters of the pattern', () => {
  const folds = (pattern: string, text: string) =>
    matches(JSON.stringify({ k: [{ 'equals-ignore-case': pattern }] }), JSON.stringify({ k: text }));
  assert.ok(folds('Čáp', 'ČÁP'));
  assert.ok(folds('Fuß', 'FUSS') && folds('Fuß', 'FUß') && !folds('Fuß', 'fuss') && !folds('fuss', 'fuß'));
  assert.ok(folds('\u212a', 'k') && folds('\u212a', '\u212a') && !folds('\u212a', 'K') && !folds('k', '\u212a'));
  assert.ok(folds('Σ', 'σ') && !folds('Σ', 'ς'));
  assert.ok(folds('ⱥ', 'Ⱥ') && folds('Ⱥ', 'ⱥ'));
});
