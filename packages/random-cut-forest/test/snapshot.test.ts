import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { RandomCutForest } from '../src/index.ts';
import { assertInvariants, testRandom } from './invariants.ts';

const made = (records: number, engine: 'plain' | 'auto' = 'auto'): RandomCutForest => {
  const random = testRandom(1);
  const forest = new RandomCutForest({
    dimensions: 6,
    shingleSize: 2,
    internalShingling: true,
    numberOfTrees: 10,
    sampleSize: 64,
    randomSeed: 5,
    engine,
  });
  for (let t = 0; t < records; t++) {
    if (t === 500) forest.timeDecay = 0.01;
    forest.update([Math.floor(random() * 20), random(), random()]);
  }
  return forest;
};

for (const records of [0, 1, 2, 40, 64, 1000]) {
  test(`a forest restored after ${records} records goes on bit for bit`, () => {
    for (const engine of ['plain', 'auto'] as const) {
      const random = testRandom(2);
      const forest = made(records, engine);
      const restored = RandomCutForest.fromBytes(forest.toBytes(), engine === 'plain' ? 'auto' : 'plain');
      assertInvariants(restored);
      for (let t = 0; t < 500; t++) {
        const record = [Math.floor(random() * 20), random(), random()];
        assert.equal(restored.scoreAndUpdate(record), forest.scoreAndUpdate(record));
      }
      assert.deepEqual(restored.timeDecay, forest.timeDecay);
      assert.deepEqual(restored.forecast(2), forest.forecast(2));
    }
  });
}

test('every truncated or flipped snapshot is refused', () => {
  const bytes = made(200).toBytes();
  for (let length = 0; length < bytes.length; length += 997) {
    assert.throws(() => RandomCutForest.fromBytes(bytes.subarray(0, length)), { code: 'INVALID_SNAPSHOT' });
  }
  for (let at = 0; at < bytes.length; at += 1009) {
    const broken = bytes.slice();
    broken[at]! ^= 0x10;
    assert.throws(() => RandomCutForest.fromBytes(broken), { code: 'INVALID_SNAPSHOT' });
  }
});

test('a forged snapshot with a right checksum is refused or restores a sound forest', () => {
  const bytes = made(300).toBytes();
  const random = testRandom(3);
  let refused = 0;
  for (let round = 0; round < 1000; round++) {
    const forged = bytes.slice();
    // The options and counters are the first 112 bytes; what follows is structure.
    const at = 112 + Math.floor(random() * (bytes.length - 116));
    forged[at] = Math.floor(random() * 256);
    sign(forged);
    try {
      using forest = RandomCutForest.fromBytes(forged);
      assertInvariants(forest);
      for (let t = 0; t < 5; t++) forest.scoreAndUpdate([random(), random(), random()]);
      assertInvariants(forest);
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'INVALID_SNAPSHOT', String(error));
      refused++;
    }
  }
  assert.ok(refused > 250, `${refused} refused`);
});

function sign(bytes: Uint8Array): void {
  new DataView(bytes.buffer).setUint32(bytes.length - 4, crc32(bytes.subarray(0, -4)), true);
}
