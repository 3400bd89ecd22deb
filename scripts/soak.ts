// npm run soak -- NAME: long forms of what npm test runs with smaller numbers. They lie in packages/*/test/soak/.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

interface Soak {
  readonly description: string;
  /** Resolves to the exit code. */
  run(argv: readonly string[]): Promise<number>;
}

const packages = join(import.meta.dirname, '..', 'packages');
const soaks = new Map<string, string>();
for (const name of readdirSync(packages)) {
  const folder = join(packages, name, 'test', 'soak');
  if (!existsSync(folder)) continue;
  for (const file of readdirSync(folder))
    if (file.endsWith('.ts')) soaks.set(file.slice(0, -3), pathToFileURL(join(folder, file)).href);
}

const [name, ...argv] = process.argv.slice(2);
const file = name === undefined ? undefined : soaks.get(name);
if (file === undefined) {
  console.log('usage: npm run soak -- NAME [options]\n');
  for (const [each, path] of soaks) console.log(`  ${each.padEnd(10)} ${((await import(path)) as Soak).description}`);
  process.exit(name === undefined || name === '--help' ? 0 : 2);
}
process.exit(await ((await import(file)) as Soak).run(argv));
