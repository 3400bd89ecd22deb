import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../src/index.ts';

test('eventually returns the first value that counts', async () => {
  let calls = 0;
  assert.equal(await eventually(() => ++calls === 3 && 'third', { everyMs: 1 }), 'third');
  assert.equal(await eventually(() => 0), 0);
});

test('eventually takes a failed assertion for "not yet", and reports the last one', async () => {
  let calls = 0;
  await eventually(
    () => {
      assert.ok(++calls > 2);
      return true;
    },
    { everyMs: 1 },
  );
  const never = eventually((): boolean => assert.fail('still two'), { timeoutMs: 10, everyMs: 1, what: 'one left' });
  await assert.rejects(never, /one left after 10 ms: still two/);
});

test('eventually ends at once with an error that may not be waited out', async () => {
  const fatal = eventually((): boolean => assert.fail('broken'), { timeoutMs: 60_000, rethrow: true });
  await assert.rejects(fatal, /broken/);
});
