import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  BatchView,
  type Compression,
  completeBatchSize,
  compress,
  controlType,
  decompress,
  HeaderCursor,
  openBatch,
  RecordCursor,
  type RecordInput,
  RecordsError,
  varintSize,
  writeBatch,
  writeControlBatch,
  writeInt64,
  writeVarint,
} from '@headrace/kafka-records';
import { lz4Decompress, snappyCompress } from '@platformatic/wasm-utils';
import { type PlainRecord, parsePlainly } from './plain-parser.ts';
import { Random } from './random.ts';

const codecs: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

function readAll(batch: Buffer, firstOffset?: number): PlainRecord[] {
  const view = new BatchView(batch);
  view.validate(batch.length);
  const chunk = openBatch(view, firstOffset === undefined ? {} : { firstOffset });
  const cursor = new RecordCursor();
  const headers = new HeaderCursor();
  const hex = (start: number, end: number): string | null =>
    start < 0 ? null : chunk.bytes.subarray(start, end).toString('hex');
  const records: PlainRecord[] = [];
  for (cursor.reset(chunk); cursor.next(); ) {
    assert.equal(cursor.timestamp, Number(cursor.exactTimestamp));
    const pairs: [string, string | null][] = [];
    for (headers.reset(cursor); headers.next(); ) {
      pairs.push([hex(headers.keyStart, headers.keyEnd)!, hex(headers.valueStart, headers.valueEnd)]);
    }
    records.push({
      offset: BigInt(cursor.offset),
      timestamp: cursor.exactTimestamp,
      key: hex(cursor.keyStart, cursor.keyEnd),
      value: hex(cursor.valueStart, cursor.valueEnd),
      headers: pairs,
    });
  }
  chunk.release();
  return records;
}

function randomBatch(random: Random, compression: Compression): Buffer {
  const size = (): number => (random.chance(0.02) ? random.integer(0, 300_000) : random.integer(0, 300));
  // Near each other as records of one batch are, or not: deltas of one byte, of two, of more.
  const spread = random.pick([60, 4_000, 100_000]);
  const headersChance = random.pick([0, 0.3]);
  let delta = -1;
  const records: RecordInput[] = Array.from({ length: random.integer(0, 40) }, () => {
    delta += random.chance(0.2) ? random.integer(1, 5000) : 1;
    return {
      key: random.chance(0.3) ? null : random.bytes(random.integer(0, 200)),
      value: random.chance(0.1) ? null : random.bytes(size()),
      timestamp: random.chance(0.1)
        ? random.integer(-(2 ** 45), 2 ** 45)
        : 1_760_000_000_000 + random.integer(-spread, spread),
      offsetDelta: delta,
      headers: Array.from({ length: random.chance(headersChance) ? random.integer(1, 200) : 0 }, () => ({
        key: random.pick(['same', '', random.bytes(random.integer(0, 70)).toString('latin1')]),
        value: random.chance(0.2) ? null : random.bytes(random.integer(0, 90)),
      })),
    };
  });
  return writeBatch({
    records,
    baseOffset: random.pick([0, 7, 2 ** 31, 2 ** 40 + 3]),
    compression,
    timestampType: random.pick(['CREATE_TIME', 'LOG_APPEND_TIME']),
    lastOffsetDelta: Math.max(delta, 0) + (random.chance(0.2) ? random.integer(0, 9) : 0),
  });
}

test('random batches read by the cursor equal what a plain parser reads', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const batch = randomBatch(random, random.pick(['none', 'gzip', 'zstd']));
    assert.deepEqual(readAll(batch), parsePlainly(batch), `seed ${seed}`);
  }
});

test('timestamps are what was written to the last digit, also beyond 2^53 and with absurd differences', () => {
  const limit = 2n ** 63n - 1n;
  for (let seed = 1; seed <= 400; seed++) {
    const random = new Random(seed);
    const timestamps = [0, 5, 2 ** 40, 2 ** 52, 2 ** 60, -(2 ** 60)];
    const batch = writeBatch({
      timestampType: random.pick(['CREATE_TIME', 'LOG_APPEND_TIME']),
      baseTimestamp: random.pick(timestamps),
      records: Array.from({ length: 5 }, () => ({ timestamp: random.pick(timestamps), value: 'v' })),
    });
    // What no double holds, and so no writer of ours writes: nanoseconds of today, the ends of the range.
    const wide = [1_763_779_200_000_000_001n, 2n ** 53n - 1n, 2n ** 53n + 1n, limit, -limit - 1n];
    if (random.pick([true, true, false])) batch.writeBigInt64BE(random.pick(wide), 27);
    if (random.pick([true, false])) batch.writeBigInt64BE(random.pick(wide), 35);
    new BatchView(batch).seal();
    const expected = parsePlainly(batch).map((record) => ({
      ...record,
      timestamp: BigInt.asIntN(64, record.timestamp),
    }));
    assert.deepEqual(readAll(batch), expected, `seed ${seed}`);
  }
});

test('every codec gives back the records that were written', () => {
  for (const compression of codecs) {
    for (let seed = 1; seed <= 20; seed++) {
      const plain = randomBatch(new Random(seed), 'none');
      const packed = randomBatch(new Random(seed), compression);
      assert.deepEqual(readAll(packed), parsePlainly(plain), `${compression}, seed ${seed}`);
    }
  }
});

test('records below the first offset are passed over', () => {
  const batch = writeBatch({ baseOffset: 10, records: ['a', 'b', 'c', 'd'].map((value) => ({ value })) });
  assert.deepEqual(
    readAll(batch, 12).map((record) => record.offset),
    [12n, 13n],
  );
  assert.deepEqual(readAll(batch, 14), []);
});

test('null and empty are told apart, and headers may repeat and hold any bytes', () => {
  const headers = [
    { key: 'h', value: Buffer.from([0xff, 0x00]) },
    { key: 'h', value: null },
    { key: '', value: Buffer.alloc(0) },
  ];
  const [first, second] = readAll(
    writeBatch({
      records: [
        { key: null, value: '', headers },
        { key: '', value: null },
      ],
    }),
  );
  assert.deepEqual([first!.key, first!.value, second!.key, second!.value], [null, '', '', null]);
  assert.deepEqual(first!.headers, [
    ['68', 'ff00'],
    ['68', null],
    ['', ''],
  ]);
});

test('LOG_APPEND_TIME gives every record the time of the append', () => {
  const batch = writeBatch({
    records: [{ timestamp: 5 }, { timestamp: 9 }],
    timestampType: 'LOG_APPEND_TIME',
    maxTimestamp: 1234,
  });
  assert.deepEqual(
    readAll(batch).map((record) => record.timestamp),
    [1234n, 1234n],
  );
});

test('several gzip members in one batch are all read', () => {
  const whole = writeBatch({ records: Array.from({ length: 50 }, (_, index) => ({ value: `value ${index}` })) });
  const section = whole.subarray(61);
  const members = Buffer.concat([gzipSync(section.subarray(0, 100)), gzipSync(section.subarray(100))]);
  assert.deepEqual(readAll(withSection(whole, members, 1)), parsePlainly(whole));
});

test('snappy is read raw and in the xerial framing', () => {
  const whole = writeBatch({ records: Array.from({ length: 3000 }, (_, index) => ({ value: `a value, ${index}` })) });
  const section = whole.subarray(61);
  assert.deepEqual(readAll(withSection(whole, snappyCompress(Buffer.from(section)), 2)), parsePlainly(whole));
  assert.deepEqual(readAll(withSection(whole, compress('snappy', section), 2)), parsePlainly(whole));
});

test('decompression stops at its limit', () => {
  const bomb = Buffer.alloc(8 << 20);
  for (const compression of codecs.slice(1)) {
    const packed = compress(compression, bomb);
    assert.throws(
      () => decompress(compression, packed, 1 << 20),
      (error) => error instanceof RecordsError && error.code === 'TOO_LARGE',
      compression,
    );
    assert.equal(decompress(compression, packed, bomb.length).length, bomb.length);
  }
});

test('a compressed batch that compaction emptied has no records and moves the position', () => {
  const batch = writeBatch({ records: [], baseOffset: 40, lastOffsetDelta: 9, compression: 'none' });
  batch.writeInt16BE(4, 21);
  const view = new BatchView(batch);
  view.seal();
  const chunk = openBatch(view);
  assert.equal(chunk.nextOffset, 50);
  assert.equal(new RecordCursor().reset(chunk).next(), false);
});

test('control batches tell commit and abort', () => {
  for (const type of ['commit', 'abort'] as const) {
    const batch = writeControlBatch({ baseOffset: 3, type, producerId: 9, producerEpoch: 1, timestamp: 5 });
    const view = new BatchView(batch);
    view.validate(batch.length);
    assert.equal(view.isControl && view.isTransactional, true);
    assert.equal(controlType(view), type);
  }
});

test('a broker can move a batch without a new checksum, and seal a changed time', () => {
  const batch = writeBatch({ records: [{ value: 'v', timestamp: 1 }] });
  const view = new BatchView(batch);
  view.baseOffset = 2 ** 40;
  view.leaderEpoch = 7;
  assert.equal(view.isCrcValid, true);
  view.attributes |= 8;
  view.maxTimestamp = 77;
  assert.equal(view.isCrcValid, false);
  view.seal();
  assert.equal(readAll(batch)[0]!.timestamp, 77n);
  assert.equal(view.lastOffset, 2 ** 40);
});

test('varints take the bytes that are foretold', () => {
  const bytes = Buffer.alloc(10);
  for (const value of [0, -1, 1, 63, 64, -64, -65, 2 ** 31 - 1, -(2 ** 31), 2 ** 40, -(2 ** 40), 2 ** 52 - 1]) {
    assert.equal(writeVarint(bytes, 0, value), varintSize(value), String(value));
  }
});

test('64-bit integers beyond 2^53 are refused where they are decoded', () => {
  const batch = writeBatch({ records: [{ value: 'v' }] });
  writeInt64(batch, 0, 2 ** 53 - 1);
  assert.equal(new BatchView(batch).baseOffset, 2 ** 53 - 1);
  batch.writeBigInt64BE(2n ** 53n, 0);
  assert.throws(() => new BatchView(batch).validate(batch.length), { code: 'CORRUPT' });
});

test('a cut batch is told from an absurd one', () => {
  const batch = writeBatch({ records: [{ value: 'v' }] });
  assert.equal(completeBatchSize(batch, 0, batch.length), batch.length);
  assert.equal(completeBatchSize(batch, 0, batch.length - 1), 0);
  assert.equal(completeBatchSize(batch, 0, 11), 0);
  batch.writeInt32BE(-5, 8);
  assert.equal(completeBatchSize(batch, 0, batch.length), batch.length);
  assert.throws(() => new BatchView(batch).validate(batch.length), { code: 'CORRUPT' });
});

test('message formats 0 and 1 and unknown codecs are refused by name', () => {
  const batch = writeBatch({ records: [{ value: 'v' }] });
  batch.writeInt8(1, 16);
  assert.throws(() => new BatchView(batch).validate(batch.length), { code: 'UNSUPPORTED', message: /format 1/ });
  batch.writeInt8(2, 16);
  batch.writeInt16BE(5, 21);
  assert.throws(() => new BatchView(batch).validate(batch.length), { code: 'UNSUPPORTED', message: /codec 5/ });
});

test('a changed byte is found by the checksum', () => {
  const batch = writeBatch({ records: [{ value: 'some value' }] });
  batch[batch.length - 4]! ^= 1;
  assert.throws(() => readAll(batch), { code: 'CORRUPT', message: /checksum/ });
});

test('mutated batches with a right checksum give typed errors, never a crash or a position outside', () => {
  let refused = 0;
  for (let seed = 1; seed <= 1000; seed++) {
    const random = new Random(seed);
    const batch = randomBatch(random, random.chance(0.6) ? 'none' : random.pick(codecs));
    const changes = random.integer(1, 4);
    for (let change = 0; change < changes; change++) {
      const from = random.chance(0.8) ? Math.min(61, batch.length - 1) : 0;
      batch[random.integer(from, batch.length - 1)] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.integer(0, 255)]);
    }
    const view = new BatchView(random.chance(0.1) ? batch.subarray(0, random.integer(0, batch.length)) : batch);
    try {
      view.validate(view.bytes.length);
      view.seal();
      const chunk = openBatch(view, { maximumBytes: 4 << 20 });
      const cursor = new RecordCursor();
      for (cursor.reset(chunk); cursor.next(); ) {
        assert.ok(cursor.keyStart === -1 || (cursor.keyStart >= chunk.start && cursor.keyEnd <= chunk.end));
        assert.ok(cursor.valueStart === -1 || (cursor.valueStart >= chunk.start && cursor.valueEnd <= chunk.end));
        assert.ok(cursor.headersEnd <= cursor.end && cursor.end <= chunk.end);
        assert.ok(cursor.offset < chunk.nextOffset);
      }
      if (view.compression === 'none') assert.deepEqual(readAll(view.bytes), parsePlainly(view.bytes), `seed ${seed}`);
    } catch (error) {
      assert.ok(error instanceof RecordsError, `seed ${seed}: ${error}`);
      refused++;
    }
  }
  assert.ok(refused > 200, `only ${refused} were refused: the mutations do not bite`);
});

test('the built WebAssembly module is what its source compiles to', () => {
  const folder = mkdtempSync(join(tmpdir(), 'records-'));
  try {
    const output = join(folder, 'records.wasm');
    const script = join(import.meta.dirname, '..', 'scripts', 'build-wasm.js');
    const built = spawnSync(process.execPath, [script, output], { encoding: 'utf8' });
    assert.equal(built.status, 0, built.stderr);
    const committed = readFileSync(join(import.meta.dirname, '..', 'src', 'records.wasm'));
    assert.ok(readFileSync(output).equals(committed), 'run scripts/build-wasm.js');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('decompression agrees with an independent implementation, on text, noise and repetition', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const period = random.integer(1, 40);
    const repeated = random.bytes(period);
    const plain = Buffer.alloc(random.integer(0, 200_000));
    for (let index = 0; index < plain.length; index++) {
      plain[index] = random.chance(0.01) ? random.integer(0, 255) : repeated[index % period]!;
    }
    const copy = (bytes: Buffer): Buffer<ArrayBuffer> => Buffer.from(bytes);
    for (const codec of ['lz4', 'snappy'] as const) {
      assert.ok(
        decompress(codec, compress(codec, plain), plain.length + 65_536).equals(plain),
        `${codec}, seed ${seed}`,
      );
    }
    assert.ok(
      decompress('snappy', snappyCompress(copy(plain)), plain.length).equals(plain),
      `raw snappy, seed ${seed}`,
    );
    assert.ok(lz4Decompress(copy(compress('lz4', plain))).equals(plain));
  }
});

function withSection(batch: Buffer, section: Buffer, codec: number): Buffer {
  const changed = Buffer.concat([batch.subarray(0, 61), section]);
  changed.writeInt32BE(changed.length - 12, 8);
  changed.writeInt16BE(codec, 21);
  new BatchView(changed).seal();
  return changed;
}
