// Builds the forest's WebAssembly kernel: assembly/kernel.ts → src/kernel.wasm, and the same bytes as text in
// src/kernel-bytes.ts, which every bundler and browser can load. With an argument, builds into that folder instead.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const here = import.meta.dirname;
const out = process.argv[2] ?? join(here, '..', 'src');
mkdirSync(out, { recursive: true });
const { error, stderr } = await asc.main(
  [
    join(here, '..', 'assembly', 'kernel.ts'),
    ...['--outFile', join(out, 'kernel.wasm')],
    ...['--runtime', 'stub', '--importMemory', '--noAssert', '--enable', 'simd', '-O3', '--converge'],
  ],
  { stderr: undefined },
);
if (error) {
  console.error(String(stderr ?? ''), error.message);
  process.exit(1);
}
const bytes = readFileSync(join(out, 'kernel.wasm'));
const lines = bytes.toString('base64').match(/.{1,110}/g) ?? [];
writeFileSync(
  join(out, 'kernel-bytes.ts'),
  `// Made by scripts/build-kernel.js from assembly/kernel.ts; the bytes of kernel.wasm in base64.\nexport const kernelBytes =\n  '${lines.join("' +\n  '")}';\n`,
);
console.log(`${bytes.length} bytes of WebAssembly`);
