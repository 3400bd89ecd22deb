// Builds the event transcoder: assembly/transcoder.ts → src/mappings/transcoder.wasm, and the same bytes as text in
// src/mappings/transcoder-bytes.ts, which loads everywhere. With an argument, builds into that folder instead.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const here = import.meta.dirname;
const out = process.argv[2] ?? join(here, '..', 'src', 'mappings');
mkdirSync(out, { recursive: true });
const { error, stderr } = await asc.main(
  [
    join(here, '..', 'assembly', 'transcoder.ts'),
    ...['--outFile', join(out, 'transcoder.wasm')],
    ...[
      '--runtime',
      'stub',
      '--importMemory',
      '--memoryBase',
      '131072',
      '--noAssert',
      '--enable',
      'simd',
      '--enable',
      'relaxed-simd',
      '-O3',
      '--converge',
    ],
  ],
  { stderr: undefined },
);
if (error) {
  console.error(String(stderr ?? ''), error.message);
  process.exit(1);
}
const bytes = readFileSync(join(out, 'transcoder.wasm'));
const lines = bytes.toString('base64').match(/.{1,110}/g) ?? [];
writeFileSync(
  join(out, 'transcoder-bytes.ts'),
  `// Made by scripts/build-transcoder.js from assembly/transcoder.ts; the bytes of transcoder.wasm in base64.\nexport const transcoderBytes =\n  '${lines.join("' +\n  '")}';\n`,
);
console.log(`${bytes.length} bytes of WebAssembly`);
