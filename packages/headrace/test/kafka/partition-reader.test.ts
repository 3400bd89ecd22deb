import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BatchInput, RecordCursor, writeBatch, writeControlBatch } from '@headrace/kafka-records';
import type { HeadraceError } from '../../src/errors.ts';
import type { AbortedTransaction } from '../../src/kafka/fetch-request.ts';
import { PartitionReader } from '../../src/kafka/partition-reader.ts';
import { ResponseMemory } from '../../src/kafka/receive-memory.ts';

class Bench {
  readonly errors: HeadraceError[] = [];
  readonly memory = new ResponseMemory();
  readonly reader: PartitionReader;

  constructor(offset = 0) {
    this.reader = new PartitionReader(
      { topic: 't', partition: 3, epoch: 1 },
      { offset, leaderEpoch: -1, metadata: '' },
      { wake: () => {}, onMended: () => {}, onCorrupt: (_, error) => void this.errors.push(error) },
    );
  }

  append(batches: Buffer[], aborted: AbortedTransaction[] | null = null): boolean {
    const bytes = Buffer.concat(batches);
    const block = this.memory.take(bytes.length + 7);
    // What a response holds does not begin where its block begins.
    bytes.copy(block.bytes, 7);
    const fetched = {
      topic: 't',
      partition: 3,
      error: 0,
      highWatermark: 100,
      lastStableOffset: 100,
      logStartOffset: 0,
      aborted,
      preferredReplica: -1,
      start: 7,
      end: 7 + bytes.length,
    };
    const isNew = this.reader.append(fetched, block.bytes, block, aborted !== null);
    block.release();
    return isNew;
  }

  /** Offsets of all records that can be taken. */
  offsets(): number[] {
    const offsets: number[] = [];
    const cursor = new RecordCursor();
    for (let chunk = this.reader.take(); chunk !== undefined; chunk = this.reader.take()) {
      for (cursor.reset(chunk); cursor.next(); ) offsets.push(cursor.offset);
      chunk.release();
    }
    return offsets;
  }
}

const batch = (baseOffset: number, count: number, rest: Partial<BatchInput> = {}): Buffer =>
  writeBatch({ baseOffset, records: Array.from({ length: count }, () => ({ value: 'v' })), ...rest });

test('a batch that begins before the wanted offset is cut there, and a cut-off last batch is left', () => {
  const bench = new Bench(3);
  bench.append([batch(0, 5), batch(5, 2), batch(7, 2).subarray(0, -1)]);
  assert.equal(bench.reader.fetchOffset, 7);
  assert.deepEqual(bench.offsets(), [3, 4, 5, 6]);
});

test('blocks come back when the last chunk is released, and not before', () => {
  const bench = new Bench();
  bench.append([batch(0, 1), batch(1, 1)]);
  const [first, second] = [bench.reader.take()!, bench.reader.take()!];
  second.release();
  assert.ok(bench.memory.usedBytes > 0);
  first.release();
  first.release();
  assert.equal(bench.memory.usedBytes, 0);
});

test('what is buffered can be copied out of its block and reads the same', () => {
  const bench = new Bench();
  bench.append([batch(0, 2), batch(2, 2)]);
  const first = bench.reader.take()!;
  bench.reader.detach();
  first.release();
  assert.equal(bench.memory.usedBytes, 0);
  assert.deepEqual(bench.offsets(), [2, 3]);
});

test('a corrupt batch is told with topic, partition and offset, and nothing behind it is read', () => {
  const bench = new Bench();
  const corrupt = batch(2, 2);
  corrupt[corrupt.length - 1]! ^= 0xff;
  bench.append([batch(0, 2), corrupt, batch(4, 1)]);
  assert.deepEqual(bench.offsets(), [0, 1]);
  assert.equal(bench.errors[0]!.code, 'KAFKA_CORRUPT_BATCH');
  assert.match(bench.errors[0]!.message, /t-3 at offset 2: checksum/);
  assert.equal(bench.reader.fetchOffset, 2);
  // What comes whole the next time is read.
  bench.append([batch(2, 2), batch(4, 1)]);
  assert.deepEqual(bench.offsets(), [2, 3, 4]);
});

test('a batch that is passed over only because it is corrupt is told: control, aborted, before the position', () => {
  const flipped = (bytes: Buffer, at: number, bits: number): Buffer => {
    bytes[at]! ^= bits;
    return bytes;
  };
  const transactional = { isTransactional: true, producerId: 7, producerEpoch: 0, baseSequence: 0 };
  const cases: [what: string, start: number, batches: Buffer[], aborted: AbortedTransaction[] | null][] = [
    ['the control bit', 0, [flipped(batch(0, 2), 22, 0x20), batch(2, 1)], null],
    // Of a transaction of producer 6, which was not aborted.
    [
      'the producer',
      0,
      [flipped(batch(0, 2, { ...transactional, producerId: 6 }), 50, 1), batch(2, 1)],
      [{ producerId: 7, firstOffset: 0 }],
    ],
    ['the last offset', 1, [flipped(batch(0, 1, { lastOffsetDelta: 1 }), 26, 1), batch(2, 1)], null],
  ];
  for (const [what, start, batches, aborted] of cases) {
    const bench = new Bench(start);
    bench.append(batches, aborted);
    assert.deepEqual(bench.offsets(), [], what);
    assert.match(bench.errors[0]!.message, new RegExp(`t-3 at offset ${start}: checksum`), what);
    assert.equal(bench.reader.position, start, what);
  }
});

test('a batch that decompresses beyond the limit is told, not passed over', () => {
  const reader = new PartitionReader(
    { topic: 't', partition: 0, epoch: 1 },
    { offset: 0, leaderEpoch: -1, metadata: '' },
    {
      wake: () => {},
      onMended: () => {},
      onCorrupt: (_, error) => assert.match(error.message, /larger than 1000 bytes/),
    },
    1000,
  );
  const bytes = writeBatch({ compression: 'gzip', records: [{ value: 'x'.repeat(5000) }] });
  const block = new ResponseMemory().take(bytes.length);
  bytes.copy(block.bytes);
  const rest = {
    error: 0,
    highWatermark: 1,
    lastStableOffset: 1,
    logStartOffset: 0,
    aborted: null,
    preferredReplica: -1,
  };
  reader.append({ topic: 't', partition: 0, ...rest, start: 0, end: bytes.length }, block.bytes, block, false);
  assert.equal(reader.take(), undefined);
  assert.equal(reader.position, 0);
});

test('aborted transactions of one producer, two in one answer, are passed over; others are not', () => {
  const bench = new Bench();
  const data = (offset: number, producerId: number): Buffer =>
    batch(offset, 1, { isTransactional: true, producerId, producerEpoch: 0, baseSequence: 0 });
  const marker = (offset: number, producerId: number, type: 'abort' | 'commit'): Buffer =>
    writeControlBatch({ baseOffset: offset, type, producerId, producerEpoch: 0, timestamp: 1 });
  bench.append(
    [
      data(0, 7), // aborted
      data(1, 8),
      marker(2, 7, 'abort'),
      data(3, 7), // committed
      marker(4, 7, 'commit'),
      data(5, 7), // aborted
      batch(6, 1),
      marker(7, 8, 'commit'),
      marker(8, 7, 'abort'),
      data(9, 7),
    ],
    [
      { producerId: 7, firstOffset: 5 },
      { producerId: 7, firstOffset: 0 },
    ],
  );
  assert.deepEqual(bench.offsets(), [1, 3, 6, 9]);
});

test('a chunk without records moves the position over what was passed over', () => {
  const bench = new Bench();
  bench.append([writeControlBatch({ baseOffset: 0, type: 'commit', producerId: 1, producerEpoch: 0, timestamp: 1 })]);
  const chunk = bench.reader.take()!;
  assert.deepEqual([chunk.count, chunk.firstOffset, chunk.nextOffset], [0, 0, 1]);
  assert.equal(bench.reader.take(), undefined);
});

test('an emptied batch of compaction moves the next fetch', () => {
  const bench = new Bench();
  bench.append([writeBatch({ baseOffset: 0, records: [], lastOffsetDelta: 9 })]);
  assert.equal(bench.reader.fetchOffset, 10);
});

test('nothing is handed out any more after the end', () => {
  const bench = new Bench();
  bench.append([batch(0, 1)]);
  bench.reader.kill();
  assert.equal(bench.reader.take(), undefined);
  assert.equal(bench.memory.usedBytes, 0);
});
