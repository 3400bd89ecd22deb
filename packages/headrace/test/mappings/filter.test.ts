import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFilterCriteria, type FilterOptions, InvalidFilterError } from '../../src/mappings/filter.ts';
import type { FilterRecord } from '../../src/mappings/filter-record.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function record(fields: Partial<FilterRecord> & { text?: string }): FilterRecord {
  const { text, ...rest } = fields;
  return {
    topic: 'orders',
    partition: 3,
    offset: 42,
    timestamp: 1_700_000_000_000,
    timestampType: 'CREATE_TIME',
    key: null,
    value: text === undefined ? null : utf8(text),
    headers: () => [],
    ...rest,
  };
}

function filter(patterns: readonly (string | object)[], options?: FilterOptions) {
  const Filters = patterns.map((pattern) => ({
    Pattern: typeof pattern === 'string' ? pattern : JSON.stringify(pattern),
  }));
  const compiled = compileFilterCriteria({ Filters }, options);
  assert.ok(compiled);
  return compiled;
}

const passes = (pattern: string | object, fields: Parameters<typeof record>[0], options?: FilterOptions): boolean =>
  filter([pattern], options).matches(record(fields));

test('no filters let everything pass', () => {
  assert.equal(compileFilterCriteria(undefined), undefined);
  assert.equal(compileFilterCriteria({}), undefined);
  assert.equal(compileFilterCriteria({ Filters: [] }), undefined);
});

test("refused criteria carry Lambda's exception and message, and our detail", () => {
  for (const pattern of [
    'null',
    'text',
    '',
    '{"eventSource": "aws:sqs"}',
    '{"eventSource": []}',
    '{}',
    '[1]',
    '{"a":[1]',
  ]) {
    assert.throws(
      () => compileFilterCriteria({ Filters: [{ Pattern: '{"value":["x"]}' }, { Pattern: pattern }] }),
      (error) => {
        assert.ok(error instanceof InvalidFilterError, pattern);
        assert.equal(error.message, 'Invalid filter pattern definition.');
        assert.equal(error.exception, 'InvalidParameterValueException');
        assert.equal(error.filter, 1);
        assert.notEqual(error.detail, '');
        return true;
      },
    );
  }
  assert.throws(() => compileFilterCriteria({ Filters: [{}] }), { message: 'Invalid filter pattern definition.' });
  const long = `{"value":["${'x'.repeat(4096)}"]}`;
  assert.throws(() => compileFilterCriteria({ Filters: [{ Pattern: long }] }), {
    exception: 'ValidationException',
    message: `1 validation error detected: Value '${long}' at 'filterCriteria.filters.1.member.pattern' failed to satisfy constraint: Member must have length less than or equal to 4096`,
  });
  const longest = `{"value":["${'x'.repeat(4096 - 14)}"]}`;
  assert.equal(longest.length, 4096);
  assert.ok(compileFilterCriteria({ Filters: [{ Pattern: longest }] }));
});

test('five filters are allowed, ten where the quota was raised', () => {
  const some = (n: number) => ({
    Filters: Array.from({ length: n }, (_, i) => ({ Pattern: `{"value":{"n":[${i}]}}` })),
  });
  const five = compileFilterCriteria(some(5))!;
  assert.ok(five.matches(record({ text: '{"n":4}' })) && !five.matches(record({ text: '{"n":5}' })));
  assert.throws(() => compileFilterCriteria(some(6)), { exception: 'InvalidParameterValueException' });
  assert.ok(compileFilterCriteria(some(10), { maximumFilters: 10 })!.matches(record({ text: '{"n":9}' })));
  assert.throws(() => compileFilterCriteria(some(11), { maximumFilters: 10 }), InvalidFilterError);
});

// What AWS's sample application published and tabulated: four JSON messages and one plain string against eight mappings.
const messages = {
  event300: '{"kind":"Event","responseStatus":{"code":300},"region":"us-east-1","RBAC":false}',
  event350: '{"kind":"Event","responseStatus":{"code":350},"region":"eu-west-1","RBAC":true}',
  event200: '{"kind":"Event","responseStatus":{"code":200},"RBAC":true}',
  other351: '{"kind":"Log","responseStatus":{"code":351},"region":"us-west-2"}',
  plain: 'OrderNumber:12345',
};
const measured: readonly (readonly [patterns: string[], delivered: (keyof typeof messages)[]])[] = [
  [[], ['event300', 'event350', 'event200', 'other351', 'plain']],
  [['{"value":{"kind":["Event"]}}'], ['event300', 'event350', 'event200']],
  [['{"value":{"kind":["Event"],"responseStatus":{"code":[{"numeric":["=",300]}]}}}'], ['event300']],
  [
    ['{"value":{"responseStatus":{"code":[{"numeric":[">=",300]}]}}}', '{"value":{"RBAC":[true]}}'],
    ['event300', 'event350', 'event200', 'other351'],
  ],
  [['{"value":{"kind":[{"anything-but":["Event"]}]}}'], ['other351']],
  [['{"value":{"region":[{"prefix":"us-"}]}}'], ['event300', 'other351']],
  [['{"value":{"responseStatus":{"code":[{"numeric":[">=",300,"<=",350]}]}}}'], ['event300', 'event350']],
  [['{"value":[{"prefix":"OrderNumber"}]}'], ['plain']],
];

test('the matrix measured on AWS reproduces: a rule of the wrong kind drops the record', () => {
  for (const [patterns, delivered] of measured) {
    const compiled = compileFilterCriteria({ Filters: patterns.map((Pattern) => ({ Pattern })) });
    for (const [name, text] of Object.entries(messages)) {
      const verdict = compiled === undefined || compiled.matches(record({ text }));
      assert.equal(verdict, delivered.includes(name as keyof typeof messages), `${patterns.join(' or ')} on ${name}`);
    }
  }
});

test('the matrix that AWS documents is an option: a rule of the wrong kind is left out', () => {
  const deliver = { formatMismatch: 'deliver' } as const;
  const json = { text: '{"kind":"Event"}' };
  const plain = { text: 'ping' };
  const binary = { value: new Uint8Array([0xff, 0x00]) };
  const jsonRule = '{"value":{"kind":["Log"]}}';
  const plainRule = '{"value":["pong"]}';
  const topicToo = (rule: string, topic: string) => `{"topic":["${topic}"],${rule.slice(1)}`;
  assert.ok(!passes(jsonRule, json, deliver));
  assert.ok(!passes(plainRule, plain, deliver));
  for (const [rule, fields] of [
    [jsonRule, plain],
    [plainRule, json],
    [jsonRule, binary],
    [plainRule, binary],
    [jsonRule, { text: '{"kind":"Event"' }],
    [jsonRule, { text: '{"kind":"Event"} x' }],
    [jsonRule, { text: '[2024] started' }],
  ] as const) {
    assert.ok(passes(rule, fields, deliver), `${rule} alone`);
    assert.ok(passes(topicToo(rule, 'orders'), fields, deliver), `${rule} with the right topic`);
    assert.ok(!passes(topicToo(rule, 'other'), fields, deliver), `${rule} with another topic`);
    assert.ok(!passes(rule, fields), `${rule} by default`);
    assert.ok(!passes(topicToo(rule, 'orders'), fields), `${rule} with the right topic by default`);
  }
  for (const fields of [json, plain, binary]) {
    assert.ok(passes('{"topic":["orders"]}', fields) && !passes('{"topic":["other"]}', fields));
  }
});

test('what counts as JSON: objects and arrays, whole and in UTF-8, with no byte order mark', () => {
  const rule = '{"value":{"a":[1]}}';
  assert.ok(passes(rule, { text: ' \n{"a":1} ' }));
  assert.ok(passes(rule, { text: '[{"a":0},{"a":1}]' }));
  assert.ok(!passes(rule, { text: '{"a":1} x' }));
  assert.ok(!passes(rule, { text: '{"a":1,"b":tru}' }));
  assert.ok(!passes(rule, { text: '\ufeff{"a":1}' }));
  assert.ok(!passes(rule, { value: new Uint8Array([...utf8('{"a":1,"b":"'), 0xff, ...utf8('"}')]) }));
  const everyString = '{"value":[{"prefix":""}]}';
  for (const text of ['5', 'true', '"quoted"', '', '{"a":1} x', '\ufeff{"a":1}', '[1', '{"a":1']) {
    assert.ok(passes(everyString, { text }), text);
  }
  assert.ok(!passes(everyString, { text: '{"a":1}' }) && !passes(everyString, { text: '[1]' }));
  assert.ok(!passes(everyString, { value: new Uint8Array([0x41, 0xff]) }));
  assert.ok(passes('{"value":["\\"quoted\\""]}', { text: '"quoted"' }));
  assert.ok(passes('{"value":[""]}', { text: '' }));
});

test('a tombstone passes only rules that ask for null or for absence', () => {
  for (const [rule, expected] of [
    ['{"value":[null]}', true],
    ['{"value":["x",null]}', true],
    ['{"value":[{"exists":false}]}', true],
    ['{"value":{"a":[{"exists":false}]}}', true],
    ['{"value":{"a":[{"exists":false}],"b":[1]}}', false],
    ['{"value":[{"anything-but":["x"]}]}', false],
    ['{"value":[{"exists":true}]}', false],
    ['{"value":{"a":[null]}}', false],
    ['{"value":[""]}', false],
    ['{"topic":["orders"]}', true],
    ['{"topic":["orders"],"value":[null]}', true],
  ] as const) {
    assert.equal(passes(rule, { value: null }), expected, rule);
  }
});

test('key and metadata can be filtered, alone and with the value', () => {
  const fields = { text: '{"a":1}', key: utf8('customer-7'), offset: 9_007_199_254_740_993n };
  for (const [rule, expected] of [
    ['{"key":[{"prefix":"customer-"}]}', true],
    ['{"key":["other"]}', false],
    ['{"key":{"id":[7]}}', false],
    ['{"topic":[{"wildcard":"ord*"}],"partition":[3],"value":{"a":[1]}}', true],
    ['{"partition":[{"numeric":["<",3]}]}', false],
    ['{"timestamp":[{"numeric":[">=",1700000000000]}],"timestampType":["CREATE_TIME"]}', true],
    ['{"timestampType":["LOG_APPEND_TIME"]}', false],
    ['{"offset":[{"numeric":[">",0]}]}', false], // beyond what a double holds: not comparable
    ['{"offset":[{"exists":true}]}', true],
    ['{"offset":[{"exists":false}]}', false],
    ['{"$or":[{"partition":[9]},{"value":{"a":[1]}}]}', true],
    ['{"$or":[{"partition":[9]},{"value":{"a":[2]}}]}', false],
    ['{"value.a":[1]}', true],
    ['{"topic":{"x":[{"exists":false}]},"value":{"a":[1]}}', true],
  ] as const) {
    assert.equal(passes(rule, fields), expected, rule);
  }
  assert.ok(passes('{"key":{"id":[7]}}', { key: utf8('{"id":7}') }));
  assert.ok(passes('{"key":[null]}', { key: null }) && !passes('{"key":["a"]}', { key: null }));
  const filterOnKey = filter(['{"key":["a"],"headers":{"trace":[1]}}']);
  assert.ok(filterOnKey.needsKey && filterOnKey.needsMetadata);
  const filterOnValue = filter(['{"value":{"a":[1]}}']);
  assert.ok(!filterOnValue.needsKey && !filterOnValue.needsMetadata);
});

test('headers are arrays of signed bytes, as in the event, and read only when named', () => {
  let reads = 0;
  const headers = () => {
    reads++;
    return [
      { key: 'trace', value: new Uint8Array([0x76, 0xdc]) },
      { key: 'empty', value: null },
    ];
  };
  assert.ok(passes('{"headers":{"trace":[-36]}}', { headers }));
  assert.ok(!passes('{"headers":{"trace":[220]}}', { headers }));
  assert.ok(passes('{"headers":{"empty":[{"exists":false}]}}', { headers }));
  assert.equal(reads, 3);
  assert.ok(passes('{"topic":["orders"]}', { headers }));
  assert.equal(reads, 3);
});

test('a topic that changes from record to record is judged anew', () => {
  const compiled = filter(['{"topic":[{"prefix":"a"}]}']);
  assert.deepEqual(
    ['a1', 'b', 'a1', 'a2', 'b'].map((topic) => compiled.matches(record({ topic }))),
    [true, false, true, true, false],
  );
});

test('a pattern that no Kafka record can match is accepted, with a warning', () => {
  const kinesis = filter(['{"data":{"a":[1]}}', '{"value":{"a":[1]}}']);
  assert.equal(kinesis.warnings.length, 1);
  assert.match(
    kinesis.warnings[0]!,
    /^Filters\[0\]: the pattern can never match a Kafka record: a record has no "data\.a"/,
  );
  assert.ok(kinesis.matches(record({ text: '{"a":1}' })));
  assert.ok(!filter(['{"data":{"a":[1]}}']).matches(record({ text: '{"a":1,"data":{"a":1}}' })));
  assert.deepEqual(filter(['{"data":[{"exists":false}],"value":{"a":[1]}}']).warnings, []);
  assert.deepEqual(filter(['{"$or":[{"data":["x"]},{"topic":["orders"]}]}']).warnings, []);
  assert.equal(filter(['{"value":["x"],"value":{"a":[1]}}']).warnings.length, 1);
});

test('format mismatches are counted', () => {
  const compiled = filter(['{"value":{"a":[1]}}']);
  for (const text of ['{"a":1}', 'plain', '{"a":2}', '[2024] log']) compiled.matches(record({ text }));
  assert.equal(compiled.formatMismatches, 2);
});

test('several rules on JSON values with other conditions share one scan and stay apart', () => {
  const compiled = filter([
    '{"partition":[1],"value":{"a":[1]}}',
    '{"partition":[3],"value":{"b":[{"exists":false}]}}',
  ]);
  assert.ok(compiled.matches(record({ text: '{"a":2}' })));
  assert.ok(!compiled.matches(record({ text: '{"a":1,"b":1}' })));
  assert.ok(compiled.matches(record({ partition: 1, text: '{"b":1,"a":1}' })));
  assert.ok(!compiled.matches(record({ partition: 1, text: '{"a":2}' })));
});

test('no record makes it throw', () => {
  const compiled = filter(['{"value":{"a":[1]},"topic":["orders"]}', '{"value":["x"]}', '{"key":{"k":["v"]}}']);
  const deep = utf8('['.repeat(5000));
  for (const value of [deep, utf8('{"a":'), utf8('\0'), new Uint8Array(), new Uint8Array([0x5b, 0xff]), null]) {
    for (const key of [deep, utf8('{'), null]) assert.equal(compiled.matches(record({ value, key })), false);
  }
});
