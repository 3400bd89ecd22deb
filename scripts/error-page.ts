// Writes docs/errors.md from the catalogue: node scripts/run.js scripts/error-page.ts
import { writeFileSync } from 'node:fs';
import { errorCatalogue } from '../packages/headrace/src/errors.ts';

/** The page as it must stand in docs/errors.md; a test compares the two. */
export function renderErrorPage(): string {
  const rows = Object.entries(errorCatalogue).map(
    ([code, { cause, cure, retryable }]) => `| \`${code}\` | ${cause} | ${cure} | ${retryable ? 'yes' : 'no'} |`,
  );
  return [
    '# Errors',
    '',
    'Every failure of Headrace carries one of these codes. *Retryable* says whether the same call can succeed later without',
    'anybody changing anything; Headrace then tries again by itself where that is its task.',
    '',
    'Made from `packages/headrace/src/errors.ts` by `node scripts/run.js scripts/error-page.ts`.',
    '',
    '| code | cause | cure | retryable |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

if (import.meta.main) writeFileSync(new URL('../docs/errors.md', import.meta.url), renderErrorPage());
