// Builds src/decompressor.wasm from assembly/decompressor.ts. The result is committed; a test rebuilds and compares it.
// node scripts/build-decompressor.js [OUTPUT]
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = join(dirname(fileURLToPath(import.meta.url)), '..');
const compiler = join(folder, '..', '..', 'node_modules', 'assemblyscript', 'bin', 'asc.js');
const output = process.argv[2] ?? join(folder, 'src', 'decompressor.wasm');
const result = spawnSync(
  process.execPath,
  [
    ...[compiler, join(folder, 'assembly', 'decompressor.ts'), '--outFile', output],
    ...['-O3', '--converge', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--enable', 'bulk-memory'],
    ...['--importMemory', '--noExportMemory', '--use', 'abort='],
  ],
  { stdio: 'inherit' },
);
process.exit(result.status ?? 1);
