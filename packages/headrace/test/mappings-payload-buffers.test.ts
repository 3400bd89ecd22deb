import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arenaAddress } from '@headrace/kafka-records';
import {
  HEAD_ROOM_BYTES,
  payloadCapacity,
  payloadOf,
  releaseBuffer,
  releasePayload,
  takeBuffer,
} from '../src/mappings/payload-buffers.ts';

/** Numbers that look random and are the same in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('payloads that live at the same time never share a byte, whatever sizes come and go', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const below = numbers(seed);
    const live: { payload: Buffer; mark: number }[] = [];
    for (let step = 0; step < 2_000; step++) {
      if (live.length > 30 || (live.length > 0 && below(2) === 0)) {
        const [{ payload, mark }] = live.splice(below(live.length), 1) as [(typeof live)[number]];
        assert.equal(payload[0], mark);
        assert.equal(payload.at(-1), mark);
        releasePayload(payload);
        continue;
      }
      const bytes = HEAD_ROOM_BYTES + 1 + below(4 ** (2 + below(8)));
      const buffer = takeBuffer(bytes);
      assert.ok(
        buffer.length >= bytes && buffer.length <= Math.max(2 * bytes, 1 << 14),
        `${buffer.length} for ${bytes}`,
      );
      if (below(10) === 0) {
        releaseBuffer(buffer);
        continue;
      }
      const payload = payloadOf(buffer, bytes);
      assert.equal(payload.length, bytes - HEAD_ROOM_BYTES);
      assert.equal(payloadCapacity(payload), buffer.length);
      const mark = below(256);
      payload[0] = mark;
      payload[payload.length - 1] = mark;
      live.push({ payload, mark });
    }
    for (const { payload } of live) releasePayload(payload);
  }
});

test('a payload that was given back is nobody’s: neither again, nor asked for its size', () => {
  const payload = payloadOf(takeBuffer(2_000), 2_000);
  assert.ok(arenaAddress(payload, 0) >= 0);
  releasePayload(payload);
  assert.throws(() => releasePayload(payload), /given back twice/);
  assert.throws(() => payloadCapacity(payload), /given back twice/);
});
