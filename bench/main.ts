// npm run bench -- NAME [--json] [options of the benchmark]
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Benchmark, BenchmarkResult } from './benchmark.ts';

const folder = dirname(fileURLToPath(import.meta.url));
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.ts') && file !== 'main.ts' && file !== 'benchmark.ts')
  .map((file) => file.slice(0, -3))
  .sort();

const load = async (name: string): Promise<Benchmark> => await import(pathToFileURL(join(folder, `${name}.ts`)).href);

const [name, ...rest] = process.argv.slice(2);
if (name === undefined || name.startsWith('-')) {
  console.log('usage: npm run bench -- NAME [--json]\n');
  for (const each of names) console.log(`  ${each.padEnd(10)} ${(await load(each)).description}`);
  process.exit(name === undefined || name === '--help' ? 0 : 2);
}
if (!names.includes(name)) {
  console.error(`no benchmark is called ${name}; there are: ${names.join(', ')}`);
  process.exit(2);
}
const json = rest.includes('--json');
const result = await (await load(name)).run({
  json,
  argv: rest.filter((argument) => argument !== '--json'),
  progress: (line) => process.stderr.write(`${line}\n`),
});
if (json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
else print(result);

function print(result: BenchmarkResult): void {
  console.log(`${result.benchmark} on ${result.machine}`);
  console.log(
    Object.entries(result.versions)
      .map(([what, version]) => `${what} ${version}`)
      .join(', '),
  );
  const number = (value: number | null): string =>
    value === null ? '-' : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);
  for (const row of result.rows) {
    const peers = Object.keys(row.peers).map(
      (peer) => `${peer} ${number(row.peers[peer]!)} (${number(row.ratio[peer] ?? null)}×)`,
    );
    console.log(`  ${row.case.padEnd(40)} ${number(row.ours).padStart(12)} ${row.unit}   ${peers.join('  ')}`);
  }
  for (const note of result.notes ?? []) console.log(`  note: ${note}`);
}
