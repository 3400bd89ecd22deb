import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '@headrace/testing';
import { openStore } from '../src/store/store.ts';

const identityOf = (dataDirectory: string): string | undefined => {
  const store = openStore({ dataDirectory });
  try {
    return store.identity;
  } finally {
    store.close();
  }
};

test('a data directory has the same identity at every start, a copy of it has another, and memory has none', () => {
  const folder = temporaryFolder('identity');
  try {
    const [original, copy] = [join(folder, 'original'), join(folder, 'copy')];
    const first = identityOf(original);
    assert.match(String(first), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.equal(identityOf(original), first);
    cpSync(original, copy, { recursive: true });
    const copied = identityOf(copy);
    assert.notEqual(copied, first);
    assert.equal(identityOf(copy), copied);
    assert.equal(identityOf(original), first);
    assert.equal(identityOf(':memory:'), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
