import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RandomCutForest } from '../src/index.ts';
import { WasmHeap } from '../src/wasm-heap.ts';
import { assertInvariants, testRandom } from './invariants.ts';

const source = join(import.meta.dirname, '..');

test('the committed WebAssembly is what its source builds, byte for byte', () => {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-kernel-'));
  execFileSync(process.execPath, [join(source, 'scripts', 'build-kernel.js'), folder]);
  for (const file of ['kernel.wasm', 'kernel-bytes.ts']) {
    assert.deepEqual(readFileSync(join(folder, file)), readFileSync(join(source, 'src', file)), file);
  }
  rmSync(folder, { recursive: true });
});

for (const dimensions of [1, 3, 4, 5, 8, 10, 14, 19, 24, 33, 300]) {
  test(`WebAssembly and plain kernel give the same bits, D=${dimensions}`, () => {
    const random = testRandom(dimensions);
    const options = { dimensions, numberOfTrees: 7, sampleSize: 64, timeDecay: 0.01, randomSeed: 3 };
    using wasm = new RandomCutForest({ ...options, engine: 'wasm' });
    using plain = new RandomCutForest({ ...options, engine: 'plain' });
    const rows = Array.from({ length: 2000 }, (_, t) =>
      Array.from({ length: dimensions }, (_, j) =>
        // Smooth, coarse and wild coordinates, with duplicates of whole rows.
        t % 7 === 0 ? j : j % 3 === 0 ? Math.floor(random() * 4) : (random() - 0.5) * 10 ** (j % 5),
      ),
    );
    for (const row of rows) assert.equal(wasm.scoreAndUpdate(row), plain.scoreAndUpdate(row));
    assertInvariants(wasm);
    assert.deepEqual(wasm.toBytes(), plain.toBytes());
    // Learnt rows, near ones and far ones; sizes around those at which the kernel takes another way.
    const probes = [...rows, ...rows.slice(0, 100)].map((row, t) =>
      row.map((value) => value + (t % 3) * (random() - 0.5) * 10 ** (t % 4)),
    );
    const scores = probes.map((row) => plain.score(row));
    for (const size of [0, 1, 3, 23, 24, 25, 131, 2047, 2048, 2049, 2100]) {
      assert.deepEqual([...wasm.scoreBatch(probes.slice(0, size))], scores.slice(0, size), `${size} points`);
      assert.deepEqual([...plain.scoreBatch(probes.slice(0, size))], scores.slice(0, size), `${size} points`);
    }
  });
}

test('batches score points at the ends of the number range, and in trees of one leaf, as one point alone', () => {
  const values = [0, 1.4e-45, -1.4e-45, 1.2e-38, -3e-39, 1, 1 + 2 ** -23, -1, 1.6e38, -1.6e38];
  for (const dimensions of [1, 7, 12, 16, 20, 24]) {
    for (const sampleSize of [1, 2, 3, 64]) {
      const random = testRandom(dimensions * sampleSize);
      const row = (): number[] =>
        Array.from({ length: dimensions }, () => values[Math.floor(random() * values.length)]!);
      const options = { dimensions, sampleSize, numberOfTrees: 5, outputAfter: 1, randomSeed: 9 };
      using wasm = new RandomCutForest({ ...options, engine: 'wasm' });
      using plain = new RandomCutForest({ ...options, engine: 'plain' });
      const rows = Array.from({ length: 200 }, row);
      for (const record of rows) assert.equal(wasm.scoreAndUpdate(record), plain.scoreAndUpdate(record));
      const probes = [...rows.slice(-60), ...Array.from({ length: 61 }, row)];
      assert.deepEqual(
        [...wasm.scoreBatch(probes)],
        probes.map((point) => plain.score(point)),
      );
    }
  }
});

test('batches of forests of other shapes leave nothing behind in the room that they share', () => {
  const random = testRandom(77);
  const shapes = [
    [3, 1],
    [30, 4],
    [1, 64],
    [200, 16],
    [5, 256],
  ] as const;
  const pairs = shapes.map(([dimensions, sampleSize]) => {
    const options = { dimensions, sampleSize, numberOfTrees: 4, outputAfter: 1, randomSeed: 5 };
    const pair = ['wasm', 'plain'].map((engine) => new RandomCutForest({ ...options, engine: engine as 'wasm' }));
    const row = (): number[] => Array.from({ length: dimensions }, () => Math.floor(random() * 5));
    return { wasm: pair[0]!, plain: pair[1]!, row };
  });
  for (let round = 0; round < 40; round++) {
    for (const { wasm, plain, row } of pairs) {
      const record = row();
      for (const forest of [wasm, plain]) forest.update(record);
      const probes = Array.from({ length: 30 }, row);
      assert.deepEqual(wasm.scoreBatch(probes), plain.scoreBatch(probes));
    }
  }
  for (const { wasm, plain } of pairs) for (const forest of [wasm, plain]) forest.dispose();
});

test('a bad point in a batch is named, and the forest scores on as before', () => {
  for (const engine of ['wasm', 'plain'] as const) {
    using forest = new RandomCutForest({ dimensions: 2, outputAfter: 1, randomSeed: 1, engine });
    for (let t = 0; t < 300; t++) forest.update([t % 17, t % 5]);
    const good = Array.from({ length: 50 }, (_, t) => [t, 1]);
    const before = forest.scoreBatch(good);
    for (const bad of [[Number.NaN, 1], [1], [1, 2, 3], [1, Number.POSITIVE_INFINITY], ['1', 2], [1n, 2], [1e39, 0]]) {
      assert.throws(() => forest.scoreBatch([...good, bad as number[]]), { code: 'INVALID_POINT' }, String(bad));
      assert.throws(() => forest.score(bad as number[]), { code: 'INVALID_POINT' }, String(bad));
      assert.throws(() => forest.update(bad as number[]), { code: 'INVALID_POINT' }, String(bad));
    }
    assert.deepEqual(forest.scoreBatch(good), before);
  }
});

test('many forests share one memory: growing it, and giving blocks back, disturbs none', () => {
  const random = testRandom(1);
  const row = (): number[] => [random(), random(), random()];
  const options = { dimensions: 3, numberOfTrees: 5, sampleSize: 64, randomSeed: 8 };
  using plain = new RandomCutForest({ ...options, engine: 'plain' });
  using kept = new RandomCutForest({ ...options, engine: 'wasm' });
  for (let round = 0; round < 40; round++) {
    const others = Array.from(
      { length: 10 },
      (_, k) => new RandomCutForest({ ...options, sampleSize: 64 + k, engine: 'wasm' }),
    );
    for (let t = 0; t < 20; t++) {
      const record = row();
      for (const other of others) other.update(record);
      assert.equal(kept.scoreAndUpdate(record), plain.scoreAndUpdate(record));
    }
    for (const other of others.slice(round % 3)) other.dispose();
  }
  const gone = new RandomCutForest(options);
  gone.dispose();
  gone.dispose();
  assert.throws(() => gone.score([1, 2, 3]), { code: 'NOT_READY' });
});

test('the heap never hands out two blocks that overlap, and joins what is given back', () => {
  const random = testRandom(4);
  let buffer = new ArrayBuffer(65_536 * 2);
  const memory = {
    get buffer() {
      return buffer;
    },
    grow(pages: number) {
      buffer = new ArrayBuffer(buffer.byteLength + pages * 65_536);
      return 0;
    },
  };
  const heap = new WasmHeap(memory, 65_536);
  const blocks: { at: number; size: number }[] = [];
  for (let step = 0; step < 5000; step++) {
    if (random() < 0.5 && blocks.length > 0) {
      const [block] = blocks.splice(Math.floor(random() * blocks.length), 1);
      heap.free(block!.at, block!.size);
    } else if (blocks.length < 50) {
      const size = 1 + Math.floor(random() * 100_000);
      const at = heap.allocate(size);
      assert.ok(at >= 65_536 && at + size <= buffer.byteLength && at % 64 === 0);
      for (const other of blocks) assert.ok(at + size <= other.at || other.at + other.size <= at, 'no overlap');
      blocks.push({ at, size });
    }
  }
  for (const { at, size } of blocks) heap.free(at, size);
  const before = buffer.byteLength;
  assert.equal(heap.allocate(before - 65_536), 65_536);
  assert.equal(buffer.byteLength, before);
});
