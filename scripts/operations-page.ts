// Writes the list of operations at the end of docs/lambda-api.md: node scripts/run.js scripts/operations-page.ts
import { readFileSync, writeFileSync } from 'node:fs';
import { operations } from '../packages/headrace/src/lambda-api/model.ts';
import { handlers } from '../packages/headrace/src/lambda-api/operations.ts';

const page = new URL('../docs/lambda-api.md', import.meta.url);
const mark = '<!-- operations: made by node scripts/run.js scripts/operations-page.ts -->';

/** The page as it must stand; a test compares the two. */
export function renderOperationsPage(): string {
  const [above] = readFileSync(page, 'utf8').split(mark) as [string];
  const names = [...operations.keys()];
  const list = (wanted: readonly string[]): string => wanted.map((name) => `\`${name}\``).join(' ');
  const offered = names.filter((name) => name in handlers);
  const missing = names.filter((name) => !(name in handlers));
  const text = [`Offered (${offered.length}):`, list(offered), `Not offered (${missing.length}):`, list(missing)];
  return `${above}${mark}\n\n${text.join('\n\n')}\n`;
}

if (import.meta.main) writeFileSync(page, renderOperationsPage());
