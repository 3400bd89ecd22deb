import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { renderErrorPage } from '../../../scripts/error-page.ts';
import { errorCatalogue, HeadraceError, toHeadraceError } from '../src/errors.ts';

it('the page of errors lists what the catalogue holds, word for word', () => {
  const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
  assert.equal(page, renderErrorPage(), 'run: node scripts/run.js scripts/error-page.ts');
});

it('an error of the catalogue knows its decision, and anything thrown becomes one', () => {
  const error = new HeadraceError('KAFKA_UNREACHABLE', 'nobody at b:9092');
  assert.equal(error.retryable, errorCatalogue.KAFKA_UNREACHABLE.retryable);
  assert.ok(HeadraceError.is(error));
  assert.equal(toHeadraceError(error), error);
  for (const thrown of [undefined, null, 'text', 3, new TypeError('x'), Object.create(null)]) {
    assert.equal(toHeadraceError(thrown).code, 'INTERNAL');
  }
  assert.equal(toHeadraceError(new Error('x'), 'STORE').code, 'STORE');
});
