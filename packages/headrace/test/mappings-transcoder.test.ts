import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { arenaAddress, giveMemoryBack, takeMemory } from '@headrace/kafka-records';
import { SeededRandom, testSeed } from '@headrace/testing';
import { EventWriter, eventHead } from '../src/mappings/event-writer.ts';
import { releasePayload } from '../src/mappings/payload-buffers.ts';
import { HeldChunk, type Slice } from '../src/mappings/slice.ts';
import { Transcoder } from '../src/mappings/transcoder.ts';
import { laneOf, sliceOf } from './support/slices.ts';

const source = join(import.meta.dirname, '..');
const head = eventHead({ bootstrapServers: ['kafka:9092'] });

test('the committed WebAssembly is what its source builds, byte for byte', () => {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-transcoder-'));
  execFileSync(process.execPath, [join(source, 'scripts', 'build-transcoder.js'), folder]);
  for (const file of ['transcoder.wasm', 'transcoder-bytes.ts'])
    assert.deepEqual(readFileSync(join(folder, file)), readFileSync(join(source, 'src', 'mappings', file)), file);
  rmSync(folder, { recursive: true });
});

/** Writes slices as one event: its text, how many records of each slice, and what stopped it. */
function write(writer: EventWriter, slices: readonly Slice[], limit: number, most: number): unknown {
  writer.begin(head, limit, 0);
  const ends: unknown[] = [];
  for (const slice of slices) {
    try {
      writer.append(slice, most);
      ends.push([writer.written, writer.written > 0 ? [writer.writtenEnd, writer.lastOffset] : []]);
    } catch (error) {
      ends.push((error as Error).name);
    }
  }
  const payload = writer.finish();
  const event = payload.toString();
  releasePayload(payload);
  return { event, ends };
}

/** The same slice, its bytes where fetched ones lie: in the memory that the transcoder works in. */
function fetched(slice: Slice): Slice {
  const { chunk } = slice.held;
  const bytes = takeMemory(chunk.bytes.length);
  chunk.bytes.copy(bytes);
  return { ...slice, held: new HeldChunk({ ...chunk, bytes, release: () => giveMemoryBack(bytes) }) };
}

test('with the transcoder an event has the bytes that the plain writer gives it, for any records and any limit', () => {
  const seed = testSeed();
  const random = new SeededRandom(seed);
  const fast = new EventWriter({ transcoder: new Transcoder() });
  const plain = new EventWriter({ transcoder: undefined });
  for (let run = 0; run < 600; run++) {
    const most = random.pick([3, 20, 200, 2000]);
    const bytes = (): Buffer | null => (random.chance(0.1) ? null : random.bytes(random.integer(0, most)));
    const timestamp = random.pick([0, 1_678_072_110_111, 2 ** 52, -5, 2 ** 53 - 20, -(2 ** 53) + 20, 2 ** 60]);
    const slices = Array.from({ length: random.integer(1, 3) }, (_, index) =>
      sliceOf(laneOf('a-topic.with_a-name', index), {
        baseOffset: random.pick([0, 99, 2 ** 31 - 3, 2 ** 40, 2 ** 53 - 2000]),
        timestampType: random.pick(['CREATE_TIME', 'LOG_APPEND_TIME'] as const),
        records: Array.from({ length: random.integer(1, 40) }, (__, i) => ({
          timestamp: timestamp + random.pick([i, 0, -i, 5_000_000]),
          key: bytes(),
          value: bytes(),
          headers: Array.from({ length: random.pick([0, 0, 0, 1, 4]) }, () => ({
            key: random.pick(['trace', 'x-a', '', 'with "quotes"', 'grün']),
            value: bytes(),
          })),
        })),
      }),
    );
    const whole = (write(plain, slices, Number.MAX_SAFE_INTEGER, 1e9) as { event: string }).event.length;
    const limit = random.pick([Number.MAX_SAFE_INTEGER, whole, whole - 1, random.integer(0, whole)]);
    const records = random.pick([1e9, 5, 17]);
    const about = `seed ${seed}, run ${run}`;
    const expected = write(plain, slices, limit, records);
    assert.deepEqual(write(fast, slices, limit, records), expected, about);
    const inPlace = slices.map(fetched);
    assert.deepEqual(write(fast, inPlace, limit, records), expected, about);
    for (const { held } of inPlace) held.release();
  }
});

test('a timestamp beyond 2^53 keeps its last digit also behind a neighbour within, where the batch says it has none', () => {
  const near = 2 ** 53 - 20;
  const slice = sliceOf(laneOf('t', 0), {
    maxTimestamp: near,
    records: [near, near, near + 20, near + 22].map((timestamp) => ({ timestamp })),
  });
  // One more than a double can say of the last two.
  const { chunk } = slice.held;
  const odd = { ...slice, held: new HeldChunk({ ...chunk, baseTimestamp: near + 1, release: () => {} }) };
  for (const transcoder of [new Transcoder(), undefined]) {
    const { event } = write(new EventWriter({ transcoder }), [odd], Number.MAX_SAFE_INTEGER, 10) as { event: string };
    assert.deepEqual(
      [...event.matchAll(/"timestamp":(\d+)/g)].map(([, digits]) => digits),
      ['9007199254740973', '9007199254740973', '9007199254740993', '9007199254740995'],
    );
  }
});

test('values around the width of the vectors, and larger than its memory, come out right', () => {
  const fast = new EventWriter({ transcoder: new Transcoder() });
  for (const length of [...Array.from({ length: 70 }, (_, i) => i), 500_000, 524_288, 700_000, 3_000_000]) {
    const value = Buffer.alloc(length, Buffer.from(Array.from({ length: 251 }, (_, i) => (i * 7) & 255)));
    const slice = sliceOf(laneOf('t', 0), { records: Array.from({ length: 5 }, () => ({ value })) });
    fast.begin(head, Number.MAX_SAFE_INTEGER, 0);
    fast.append(slice, 5);
    const payload = fast.finish();
    const event = JSON.parse(payload.toString()) as { records: Record<string, { value: string }[]> };
    releasePayload(payload);
    assert.equal(event.records['t-0']!.length, 5);
    for (const record of event.records['t-0']!)
      assert.ok(Buffer.from(record.value, 'base64').equals(value), `${length}`);
  }
});

test('bytes that contradict themselves are found, wherever a bit is wrong: the same records, and never a read outside', () => {
  const seed = testSeed();
  const random = new SeededRandom(seed);
  const fast = new EventWriter({ transcoder: new Transcoder() });
  const plain = new EventWriter({ transcoder: undefined });
  const records = Array.from({ length: 12 }, (_, i) => ({
    key: `k${i}`,
    value: 'v'.repeat(i * 9),
    headers: [{ key: 'h', value: Buffer.from([i]) }],
  }));
  for (let run = 0; run < 2000; run++) {
    const slice = sliceOf(laneOf('t', 0), { records });
    const bytes = Buffer.from(slice.held.chunk.bytes);
    const at = random.integer(slice.start, slice.end - 1);
    bytes[at] = bytes[at]! ^ (1 << random.integer(0, 7));
    const held = new HeldChunk({ ...slice.held.chunk, bytes, release: () => {} });
    const about = `seed ${seed}, run ${run}`;
    assert.deepEqual(
      write(fast, [{ ...slice, held }], Number.MAX_SAFE_INTEGER, 1e9),
      write(plain, [{ ...slice, held }], Number.MAX_SAFE_INTEGER, 1e9),
      about,
    );
    const inPlace = fetched({ ...slice, held });
    assert.deepEqual(
      write(fast, [inPlace], Number.MAX_SAFE_INTEGER, 1e9),
      write(plain, [inPlace], Number.MAX_SAFE_INTEGER, 1e9),
      about,
    );
    inPlace.held.release();
  }
});

test('it writes into its buffer alone, though others lie right before and behind', () => {
  const seed = testSeed();
  const random = new SeededRandom(seed);
  const transcoder = new Transcoder();
  const blocks = Array.from({ length: 64 }, () => takeMemory(4096)).sort(
    (a, b) => arenaAddress(a, 0) - arenaAddress(b, 0),
  );
  const at = blocks.findIndex((block, i) => arenaAddress(blocks[i + 2]!, 0) === arenaAddress(block, 0) + 8192);
  const [before, out, behind] = blocks.slice(at, at + 3) as [Buffer, Buffer, Buffer];
  const untouched = Buffer.alloc(4096, 0xa5);
  let full = 0;
  for (let run = 0; run < 300; run++) {
    for (const block of [before, out, behind]) block.fill(0xa5);
    const most = random.pick([0, 3, 40, 400, 4000]);
    const records = Array.from({ length: 60 }, (_, i) => ({
      timestamp: i,
      key: random.chance(0.2) ? null : random.bytes(random.integer(0, most)),
      value: random.chance(0.2) ? null : random.bytes(random.integer(0, most)),
      headers: random.chance(0.7)
        ? []
        : [{ key: 'h'.repeat(random.integer(0, 20)), value: random.bytes(random.integer(0, most)) }],
    }));
    const slice = fetched(sliceOf(laneOf('t', 0), { records }));
    const position = random.integer(0, 4096);
    transcoder.run(slice, slice.start, 0, 60, true, out, position, Number.MAX_SAFE_INTEGER);
    if (transcoder.wantsRoom) full++;
    const about = `seed ${seed}, run ${run}`;
    assert.ok(
      before.every((byte) => byte === 0xa5),
      `before: ${about}`,
    );
    assert.ok(
      behind.every((byte) => byte === 0xa5),
      `behind: ${about}`,
    );
    assert.ok(out.subarray(0, position).equals(untouched.subarray(0, position)), `in front of the position: ${about}`);
    slice.held.release();
  }
  assert.ok(full > 100, `${full} runs came to the end of the buffer`);
  for (const block of blocks) giveMemoryBack(block);
});
