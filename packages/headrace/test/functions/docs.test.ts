import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '@headrace/testing';
import { Workbench } from './support.ts';

test('docs/functions.md lists the SDK packages that come along, and they can be imported', async () => {
  const { dependencies } = JSON.parse(readFileSync(join(repositoryRoot, 'packages/headrace/package.json'), 'utf8'));
  const packages = Object.keys(dependencies).filter((name) => name.startsWith('@aws-sdk/'));
  const page = readFileSync(join(repositoryRoot, 'docs/functions.md'), 'utf8');
  const listed = [...new Set(page.match(/@aws-sdk\/(?:client|credential-provider|lib)-[a-z0-9-]+/g))];
  assert.deepEqual(listed.sort(), packages.sort());
  const bench = await Workbench.start();
  await bench.add(
    'imports',
    {
      'index.mjs': `export const handler = async (names) => Promise.all(names.map(async (name) => Object.keys(await import(name)).length > 0));`,
    },
    { timeoutSeconds: 60, memorySizeMegabytes: 1_024 },
  );
  assert.deepEqual(
    await bench.result('imports', packages),
    packages.map(() => true),
  );
});
