// Builds src/records.wasm from assembly/. The result is committed; a test rebuilds and compares it.
// node scripts/build-wasm.js [OUTPUT]
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = join(dirname(fileURLToPath(import.meta.url)), '..');
const compiler = join(folder, '..', '..', 'node_modules', 'assemblyscript', 'bin', 'asc.js');
const output = process.argv[2] ?? join(folder, 'src', 'records.wasm');
const sources = ['crc32c.ts', 'decompressor.ts'].map((name) => join(folder, 'assembly', name));
const result = spawnSync(
  process.execPath,
  [
    ...[compiler, ...sources, '--outFile', output],
    ...['-O3', '--converge', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--enable', 'bulk-memory'],
    ...['--importMemory', '--noExportMemory', '--use', 'abort='],
  ],
  { stdio: 'inherit' },
);
process.exit(result.status ?? 1);
