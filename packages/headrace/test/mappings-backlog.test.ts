import assert from 'node:assert/strict';
import test from 'node:test';
import { needs } from '@headrace/testing';
import { describeBacklog, workOffBacklog } from './support/backlog.ts';

test('before a stuck function fetching stops and memory stays flat, whatever the backlog; then all of it is handled', {
  skip: needs('java', 'maven'),
  timeout: 170_000,
}, async () => {
  const result = await workOffBacklog(160 * 2 ** 20, 60_000);
  console.log(describeBacklog(result));
  assert.equal(result.succeededWhileStuck, 0);
  assert.equal(result.succeeded, result.records);
  assert.ok(result.bufferedBytes > 0, 'it fetches ahead');
  // 32 MiB of prefetch, and what each of the twelve partitions may have beyond it.
  assert.ok(result.bufferedBytes <= 44 * 2 ** 20);
  assert.ok(result.stuckBytes <= 200 * 2 ** 20);
  assert.ok(result.workingBytes <= 250 * 2 ** 20);
});
