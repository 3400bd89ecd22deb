import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { describe } from 'node:test';
import type { RecordInput } from '@headrace/kafka-records';
import { SeededRandom, sharedData, testSeed } from '@headrace/testing';
import { EventWriter, eventHead } from '../src/mappings/event-writer.ts';
import { HeldChunk, type Slice } from '../src/mappings/slice.ts';
import { type ChunkSource, chunkOfRecords, laneOf, sliceOf } from './support/slices.ts';

const MSK = { eventSourceArn: 'arn:aws:kafka:eu-west-1:123456789012:cluster/demo/a-1', bootstrapServers: ['b:9098'] };
const SELF_MANAGED = { bootstrapServers: ['one.example:9092', 'two.example:9092'] };
const T = 1_678_072_110_111;

function write(
  slices: readonly Slice[],
  source: { eventSourceArn?: string; bootstrapServers: string[] } = MSK,
): string {
  const writer = new EventWriter();
  writer.begin(eventHead(source), Number.MAX_SAFE_INTEGER, 0);
  for (const slice of slices) writer.append(slice, slice.count);
  return writer.finish().toString();
}

function oneRecord(record: RecordInput, source: Partial<ChunkSource> = {}): string {
  const event = write([sliceOf(laneOf('orders', 0), { records: [{ timestamp: T, ...record }], ...source })]);
  return event.slice(event.indexOf('[') + 1, -3);
}

describe('the event, to the byte', () => {
  const head = `{"topic":"orders","partition":0,"offset":0,"timestamp":${T},"timestampType":"CREATE_TIME"`;

  test("an MSK event has the guide's members in the guide's order", () => {
    const slice = sliceOf(laneOf('orders', 0), {
      baseOffset: 250,
      records: [
        {
          timestamp: T,
          key: '123',
          value: 'f',
          headers: [{ key: 'trace', value: Buffer.from([118, 220, 0, 127, 128]) }],
        },
      ],
    });
    assert.equal(
      write([slice]),
      `{"eventSource":"aws:kafka","eventSourceArn":"${MSK.eventSourceArn}","bootstrapServers":"b:9098","records":{"orders-0":[{"topic":"orders","partition":0,"offset":250,"timestamp":1678072110111,"timestampType":"CREATE_TIME","key":"MTIz","value":"Zg==","headers":[{"trace":[118,-36,0,127,-128]}]}]}}`,
    );
  });

  test('a self-managed event has no eventSourceArn and the configured servers in their order', () => {
    assert.equal(
      write([sliceOf(laneOf('orders', 3), { records: [{ timestamp: T, value: 'f' }] })], SELF_MANAGED),
      `{"eventSource":"SelfManagedKafka","bootstrapServers":"one.example:9092,two.example:9092","records":{"orders-3":[{"topic":"orders","partition":3,"offset":0,"timestamp":${T},"timestampType":"CREATE_TIME","value":"Zg==","headers":[]}]}}`,
    );
  });

  test('a null key and a tombstone have no member', () => {
    assert.equal(oneRecord({ key: null, value: null }), `${head},"headers":[]}`);
  });

  test('an empty key and value are empty strings', () => {
    assert.equal(oneRecord({ key: '', value: '' }), `${head},"key":"","value":"","headers":[]}`);
  });

  test('base64 is the standard one with padding, short and long', () => {
    for (const length of [0, 1, 2, 3, 4, 5, 63, 64, 65, 399, 400, 401, 1023, 1024, 5000]) {
      const value = Buffer.from(Array.from({ length }, (_, i) => (i * 7 + length) & 255));
      assert.equal(oneRecord({ value }), `${head},"value":"${value.toString('base64')}","headers":[]}`);
    }
  });

  test('every header byte is signed', () => {
    const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const signed = [...new Int8Array(value)].join(',');
    assert.equal(
      oneRecord({ value: 'f', headers: [{ key: 'h', value }] }),
      `${head},"value":"Zg==","headers":[{"h":[${signed}]}]}`,
    );
  });

  test('headers keep their order, repeat, and a null value is an empty list', () => {
    const headers = [
      { key: 'b', value: Buffer.from([1]) },
      { key: 'a', value: null },
      { key: 'b', value: Buffer.alloc(0) },
    ];
    assert.equal(oneRecord({ value: 'f', headers }), `${head},"value":"Zg==","headers":[{"b":[1]},{"a":[]},{"b":[]}]}`);
  });

  test('header names are escaped as JSON, and are read as UTF-8', () => {
    for (const name of [
      '',
      'with "quotes"',
      'back\\slash',
      'line\nfeed',
      'tab\t',
      '\u0001',
      'grüße',
      '日本語',
      '😀',
      '\u007f',
      '\u2028',
    ]) {
      const record = JSON.parse(oneRecord({ headers: [{ key: name, value: Buffer.from([1]) }] })) as {
        headers: unknown;
      };
      assert.deepEqual(record.headers, [{ [name]: [1] }]);
    }
    const broken = JSON.parse(oneRecord({ headers: [{ key: Buffer.from([0xff, 0xfe]), value: null }] })) as {
      headers: unknown;
    };
    assert.deepEqual(broken.headers, [{ '\ufffd\ufffd': [] }]);
  });

  test('the longest escapes fit', () => {
    const key = '\u0001'.repeat(5000);
    const record = JSON.parse(oneRecord({ headers: [{ key, value: Buffer.alloc(5000, 0x80) }] })) as {
      headers: Record<string, number[]>[];
    };
    assert.equal(record.headers[0]![key]!.length, 5000);
  });

  test('LOG_APPEND_TIME gives every record the time of its batch', () => {
    const event = JSON.parse(
      write([
        sliceOf(laneOf('orders', 0), {
          timestampType: 'LOG_APPEND_TIME',
          maxTimestamp: 99,
          records: [{ timestamp: 5 }, { timestamp: 7 }],
        }),
      ]),
    ) as { records: Record<string, { timestamp: number; timestampType: string }[]> };
    assert.deepEqual(
      event.records['orders-0']!.map(({ timestamp, timestampType }) => [timestamp, timestampType]),
      [
        [99, 'LOG_APPEND_TIME'],
        [99, 'LOG_APPEND_TIME'],
      ],
    );
  });

  test('numbers are whole digits, up to 2^53 - 1 and below zero', () => {
    for (const offset of [0, 9, 10, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 1e15, 2 ** 53 - 2]) {
      assert.match(oneRecord({ value: 'f' }, { baseOffset: offset }), new RegExp(`"offset":${offset},`));
    }
    assert.match(oneRecord({ timestamp: -1 }), /"timestamp":-1,/);
  });

  test('timestamps have all their digits: a producer may count nanoseconds', () => {
    const times = (source: Parameters<typeof sliceOf>[1]): string[] =>
      [...write([sliceOf(laneOf('orders', 0), source)]).matchAll(/"timestamp":(-?\d+),/g)].map(([, digits]) => digits!);
    const near = 2 ** 53 - 2;
    const wide = [near, near + 1].map((timestamp) => ({ timestamp }));
    assert.deepEqual(
      times({ baseTimestamp: 2 ** 60, records: [{ timestamp: 2 ** 60 + 256 }, { timestamp: 2 ** 60 }] }),
      ['1152921504606847232', '1152921504606846976'],
    );
    assert.deepEqual(times({ baseTimestamp: 0, records: [{ timestamp: 2 ** 60 }] }), ['1152921504606846976']);
    assert.deepEqual(times({ records: [{ timestamp: -(2 ** 60) }] }), ['-1152921504606846976']);
    assert.deepEqual(times({ baseTimestamp: near - 4, records: [...wide, { timestamp: near + 2 }] }), [
      '9007199254740990',
      '9007199254740991',
      '9007199254740992',
    ]);
    assert.deepEqual(
      times({ timestampType: 'LOG_APPEND_TIME', maxTimestamp: -(2 ** 63), records: [{ timestamp: 5 }] }),
      ['-9223372036854775808'],
    );
  });

  test('partitions are separate members, each once, though a batch has several chunks of one', () => {
    const [one, two] = [laneOf('orders', 0), laneOf('orders', 1)];
    const event = write([
      sliceOf(one, { records: [{ value: 'a' }] }),
      sliceOf(one, { baseOffset: 1, records: [{ value: 'b' }] }),
      sliceOf(two, { records: [{ value: 'c' }] }),
    ]);
    const { records } = JSON.parse(event) as { records: Record<string, { value: string }[]> };
    assert.deepEqual(Object.keys(records), ['orders-0', 'orders-1']);
    assert.deepEqual(
      records['orders-0']!.map(({ value }) => value),
      ['YQ==', 'Yg=='],
    );
    assert.equal(event.match(/"orders-0":\[/g)!.length, 1);
  });
});

test('an event equals the one made of objects by JSON.stringify, for any records', () => {
  const seed = testSeed();
  const random = new SeededRandom(seed);
  for (let run = 0; run < 300; run++) {
    const bytes = (most: number): Buffer | null => (random.chance(0.15) ? null : random.bytes(random.integer(0, most)));
    const records = Array.from({ length: random.integer(1, 12) }, () => ({
      timestamp: T + random.integer(-1_000_000, 1_000_000),
      key: bytes(40),
      value: bytes(random.pick([5, 100, 900])),
      headers: Array.from({ length: random.pick([0, 0, 1, 3]) }, () => ({
        key: random.pick(['trace', 'naïve', 'a"b', random.bytes(5)]),
        value: bytes(20),
      })),
    }));
    const baseOffset = random.integer(0, 2 ** 40);
    const source = random.pick([MSK, SELF_MANAGED]);
    const slice = sliceOf(laneOf('orders', 7), { baseOffset, records });
    const expected = {
      eventSource: 'eventSourceArn' in source ? 'aws:kafka' : 'SelfManagedKafka',
      ...('eventSourceArn' in source ? { eventSourceArn: source.eventSourceArn } : {}),
      bootstrapServers: source.bootstrapServers.join(','),
      records: {
        'orders-7': records.map((record, index) => ({
          topic: 'orders',
          partition: 7,
          offset: baseOffset + index,
          timestamp: record.timestamp,
          timestampType: 'CREATE_TIME',
          ...(record.key === null ? {} : { key: record.key.toString('base64') }),
          ...(record.value === null ? {} : { value: record.value.toString('base64') }),
          headers: record.headers.map(({ key, value }) => ({
            [Buffer.from(key as string).toString('utf8')]: [...new Int8Array(value ?? Buffer.alloc(0))],
          })),
        })),
      },
    };
    assert.equal(write([slice], source), JSON.stringify(expected), `seed ${seed}, run ${run}`);
  }
});

test('a batch is closed before the record that would pass the limit, and the event is never longer', () => {
  const records = Array.from({ length: 20 }, (_, i) => ({ timestamp: T, value: 'x'.repeat(10 * i) }));
  const slice = sliceOf(laneOf('orders', 0), { records });
  const whole = write([slice]).length;
  let most = 0;
  for (let limit = 150; limit <= whole; limit += 7) {
    const writer = new EventWriter();
    writer.begin(eventHead(MSK), limit, 0);
    writer.append(slice, slice.count);
    const { written } = writer;
    const event = writer.finish();
    if (written > 0) assert.ok(event.length <= limit, `${event.length} of ${limit}`);
    assert.ok(written >= most);
    most = written;
    const parsed = JSON.parse(event.toString()) as { records: Record<string, unknown[]> };
    assert.equal(parsed.records['orders-0']?.length ?? 0, written);
  }
  assert.equal(most, 19);
});

test('what cannot be decoded throws, and the records before it are whole', () => {
  const chunk = chunkOfRecords({ records: [{ value: 'a' }, { value: 'b' }] });
  const bytes = Buffer.from(chunk.bytes);
  // The length of the second record leads out of the batch.
  bytes[chunk.end - 8] = 0x7e;
  const lane = laneOf('orders', 0);
  const held = new HeldChunk({ ...chunk, bytes, release: () => {} });
  const slice: Slice = { lane, held, start: chunk.start, end: chunk.end, count: 2, from: 0, to: 2 };
  const writer = new EventWriter();
  writer.begin(eventHead(MSK), Number.MAX_SAFE_INTEGER, 0);
  writer.append(slice, 2);
  assert.equal(writer.written, 1);
  assert.throws(() => writer.append({ ...slice, start: writer.writtenEnd, count: 1 }, 1));
  assert.equal(
    (JSON.parse(writer.finish().toString()) as { records: Record<string, unknown[]> }).records['orders-0']!.length,
    1,
  );
});

for (const file of ['msk-2023.json', 'msk-serverless-2025.json']) {
  const path = sharedData(join('captured-events', file));
  test(`${file}, captured on AWS, taken apart and written again is the same`, {
    skip: !existsSync(path) && `${path} is not here`,
  }, () => {
    const event = JSON.parse(readFileSync(path, 'utf8')) as {
      eventSourceArn: string;
      bootstrapServers: string;
      records: Record<
        string,
        { topic: string; partition: number; offset: number; timestamp: number; key?: string; value?: string }[]
      >;
    };
    const slices = Object.values(event.records).map((records) => {
      const { topic, partition, offset: baseOffset } = records[0]!;
      return sliceOf(laneOf(topic, partition), {
        baseOffset,
        records: records.map(({ key, value, timestamp }) => ({
          timestamp,
          key: key === undefined ? null : Buffer.from(key, 'base64'),
          value: value === undefined ? null : Buffer.from(value, 'base64'),
        })),
      });
    });
    const source = { eventSourceArn: event.eventSourceArn, bootstrapServers: event.bootstrapServers.split(',') };
    assert.equal(write(slices, source), JSON.stringify(event));
  });
}
