import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BatchView,
  compress,
  crc32c,
  giveMemoryBack,
  openBatch,
  RecordCursor,
  takeMemory,
  writeBatch,
} from '@headrace/kafka-records';
import { crc32c as independentCrc32c } from '@platformatic/wasm-utils';
import { BuddyAllocator } from '../src/buddy-allocator.ts';
import { Random } from './random.ts';

test('the checksum is that of an independent implementation, of every length, alignment and place', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(0)), 0);
  const random = new Random(3);
  const source = random.bytes(300_000);
  const arena = takeMemory(source.length + 64);
  // Where the ways of computing it change: 14 and 428 blocks of 16 bytes, and chunks of 8,192 bytes behind 214 blocks, the
  // first one seven blocks shorter.
  const chunks = [505, 505 + 512, 505 + 15 * 512].map((blocks) => 3424 + 16 * blocks);
  const edges = [0, 16, 224, 240, 6848, 6864, ...chunks, 3424 + 8192, 3424 + 16 * 8192, 65_536, 131_072];
  const lengths = [
    ...edges.flatMap((edge) => [-17, -16, -1, 0, 1, 15, 16, 17].map((delta) => Math.max(edge + delta, 0))),
    ...Array.from({ length: 200 }, () => random.integer(0, 20_000)),
    299_000,
  ];
  for (const length of lengths) {
    const start = random.integer(0, 40);
    const bytes = source.subarray(start, start + length);
    const expected = independentCrc32c(Buffer.from(bytes));
    assert.equal(crc32c(bytes), expected, `${length} bytes, elsewhere`);
    const place = random.integer(0, 20);
    bytes.copy(arena, place);
    assert.equal(crc32c(arena.subarray(place, place + length)), expected, `${length} bytes, in the arena`);
  }
  giveMemoryBack(arena);
});

test('what the checksum is shortened by is divided by its polynomial', () => {
  // The distances in bits of what a block takes by M1 and M2 (assembly/crc32c.ts): as powers of x they must add up to 0
  // modulo the polynomial.
  const power = (exponent: number): number => {
    let value = 1;
    for (let bit = 0; bit < exponent; bit++) value = ((value << 1) ^ (value < 0 ? 0x1edc6f41 : 0)) | 0;
    return value;
  };
  const long = [26, 67, 208].flatMap((far) => [0, 2, 4, 5, 6].map((near) => 128 * (far + near)));
  const short = [47, 51, 55, 85, 90, 100, 104].map((distance) => 8 * distance);
  for (const distances of [long, short]) {
    const most = Math.max(...distances);
    const sum = distances.reduce((so, distance) => so ^ power(most - distance), power(most));
    assert.equal(sum, 0, distances.join());
  }
});

test('blocks never overlap, are large enough, and all room is there again when all are given back', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed);
    const bytes = 1 << 22;
    const allocator = new BuddyAllocator(bytes);
    const taken: { address: number; size: number; end: number }[] = [];
    let refused = 0;
    for (let step = 0; step < 600; step++) {
      if (taken.length > 0 && random.chance(0.45)) {
        const [block] = taken.splice(random.integer(0, taken.length - 1), 1);
        allocator.give(block!.address, block!.size);
        continue;
      }
      const size = 2 ** random.integer(0, 20) + random.integer(0, 100);
      const address = allocator.take(size);
      if (address < 0) {
        refused++;
        continue;
      }
      let kept = size;
      if (random.chance(0.3)) {
        kept = random.integer(1, size);
        allocator.shrink(address, size, kept);
      }
      const end = address + BuddyAllocator.capacity(kept);
      assert.ok(address >= 0 && end <= bytes && BuddyAllocator.capacity(kept) >= kept, `seed ${seed}`);
      for (const other of taken) assert.ok(end <= other.address || address >= other.end, `seed ${seed}: overlap`);
      taken.push({ address, size: kept, end });
    }
    assert.ok(refused > 0, `seed ${seed}: never full`);
    for (const { address, size } of taken) allocator.give(address, size);
    assert.equal(allocator.take(bytes), 0, `seed ${seed}: room was lost`);
  }
});

test('a full arena is no obstacle: what finds no room there is read as well, and what was held is free again', () => {
  const values = Array.from({ length: 300 }, (_, index) => `value ${index} `.repeat(100));
  const read = (batch: Buffer): string[] => {
    const chunk = openBatch(new BatchView(batch));
    const found: string[] = [];
    const cursor = new RecordCursor();
    for (cursor.reset(chunk); cursor.next(); ) {
      found.push(cursor.bytes.toString('utf8', cursor.valueStart, cursor.valueEnd));
    }
    chunk.release();
    return found;
  };
  const room = (): number => {
    const blocks: Buffer[] = [];
    for (let block = takeMemory(1 << 20); ; block = takeMemory(1 << 20)) {
      blocks.push(block);
      if (block.buffer.byteLength === 1 << 20) break;
    }
    for (const block of blocks) giveMemoryBack(block);
    return blocks.length;
  };
  const before = room();
  assert.ok(before > 8, `only ${before} MiB`);
  for (const compression of ['none', 'snappy', 'lz4'] as const) {
    const batch = writeBatch({ compression, records: values.map((value) => ({ value })) });
    assert.deepEqual(read(batch), values);
    const blocks: Buffer[] = [];
    for (let size = 1 << 24; size >= 1 << 12; size >>= 1) {
      for (let block = takeMemory(size); ; block = takeMemory(size)) {
        blocks.push(block);
        if (block.buffer.byteLength === size) break;
      }
    }
    assert.deepEqual(read(batch), values, `${compression}, without room`);
    for (const block of blocks) giveMemoryBack(block);
    assert.deepEqual(read(batch), values, `${compression}, with room again`);
    // A batch that turns out corrupt half-way holds nothing either.
    const broken = Buffer.from(batch);
    broken.fill(0xff, 100, 120);
    new BatchView(broken).seal();
    for (let round = 0; round < 5; round++) {
      if (compression !== 'none') assert.throws(() => openBatch(new BatchView(broken)), { name: 'RecordsError' });
    }
    assert.deepEqual(read(batch), values);
  }
  assert.equal(room(), before);
  assert.ok(compress('lz4', Buffer.from(values.join(''))).length < values.join('').length);
});
