import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compilePattern, compilePatterns } from '../src/index.ts';

const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8');

/** The cells of the table rows that have `cells` of them, the first `code` of which are code. */
function rows(heading: string): string[][] {
  const section = readme.slice(readme.indexOf(`## ${heading}`)).split('\n## ')[0]!;
  return section
    .split('\n')
    .filter((line) => line.startsWith('| ') && line.includes('`{'))
    .map((line) =>
      line
        .slice(2, -2)
        .split(' | ')
        .map((cell) => cell.replace(/^`(.*)`$/, '$1')),
    );
}

test('every row of the table of operators is true', () => {
  const table = rows('The language');
  assert.equal(table.length, 16);
  for (const [, pattern, matching, other] of table) {
    const compiled = compilePattern(pattern!);
    assert.equal(compiled.matches(matching!), true, `${pattern} ${matching}`);
    assert.equal(compiled.matches(other!), false, `${pattern} ${other}`);
  }
});

test('every row of the table of surprises is true', () => {
  const table = rows('What surprises');
  assert.equal(table.length, 12);
  for (const [pattern, event, verdict] of table) {
    assert.equal(compilePattern(pattern!).matches(event!), verdict === 'matches', `${pattern} ${event}`);
  }
});

test('the quick start is true', () => {
  assert.ok(
    compilePattern('{"tire_pressure":[{"numeric":["<",32]}]}').matches('{"vehicle_id":"van-7","tire_pressure":28.5}'),
  );
  const rules = compilePatterns(['{"level":["error"]}', '{"status":[{"numeric":[">=",500]}]}']);
  assert.ok(rules.matches('{"status":503}'));
  assert.deepEqual(rules.matching('{"status":503,"level":"error"}'), [0, 1]);
  assert.deepEqual(
    compilePattern('{"room":["attic"],"temp":[{"numeric":[">",30]}]}').explain('{"room":"attic","temp":21.50}'),
    {
      matched: false,
      alternative: 0,
      alternatives: 1,
      inconsistent: false,
      clauses: [
        { path: 'room', rule: '["attic"]', matched: true, found: ['"attic"'] },
        { path: 'temp', rule: '[{"numeric":[">",30]}]', matched: false, found: ['21.50'] },
      ],
    },
  );
});

test('the sources use nothing that browsers lack', () => {
  const folder = join(import.meta.dirname, '..', 'src');
  for (const file of readdirSync(folder)) {
    const source = readFileSync(join(folder, file), 'utf8');
    for (const [, from] of source.matchAll(/(?:from|import\()\s*'([^']+)'/g))
      assert.match(from!, /^\.\//, `${file}: ${from}`);
    assert.doesNotMatch(source, /\b(?:Buffer|process|require|global)\b\s*[.([]/, file);
  }
});
