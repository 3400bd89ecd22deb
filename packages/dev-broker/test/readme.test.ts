import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { differences, differencesTable } from './conformance/differences.ts';

const path = join(import.meta.dirname, '..', 'README.md');
const [start, end] = ['<!-- differences -->', '<!-- /differences -->'] as const;

test('the README holds the table of differences as it is (HEADRACE_UPDATE=1 writes it)', () => {
  const text = readFileSync(path, 'utf8');
  const from = text.indexOf(start) + start.length;
  const to = text.indexOf(end);
  const table = `\n${differencesTable()}\n`;
  if (process.env['HEADRACE_UPDATE'] === '1') writeFileSync(path, text.slice(0, from) + table + text.slice(to));
  else assert.equal(text.slice(from, to), table);
  assert.ok(differences.length <= 15);
});
