// What `npm pack` runs before (prepack) and after (postpack) it packs a workspace. In the checkout a package's front
// door is its TypeScript source; a packed one holds plain JavaScript and types in dist/, because Node strips no types
// under node_modules. npm has no way to say that in one package.json, so it is rewritten for the length of the packing.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './node.js';

const folder = process.cwd();
const manifest = join(folder, 'package.json');
const saved = join(folder, '.package.json.saved');
const extras = { headrace: ['examples'] };

function filesBelow(path) {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(join(path, entry.name)) : [join(path, entry.name)],
  );
}

/** Import specifiers of declarations: `./x.ts` is `./x.js` to who reads them. */
const asJavaScript = (text) => text.replace(/((?:from|import)\s*\(?\s*['"]\.{1,2}\/[^'"]+)\.ts(['"])/g, '$1.js$2');

function prepack() {
  if (existsSync(saved)) renameSync(saved, manifest); // an earlier packing was cut off
  const output = join(root, '.cache', 'build');
  const tsc = spawnSync(
    process.execPath,
    [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', join(root, 'tsconfig.build.json')],
    {
      stdio: 'inherit',
      cwd: root,
    },
  );
  if (tsc.status !== 0) process.exit(tsc.status ?? 1);
  const source = join(folder, 'src');
  const target = join(folder, 'dist');
  rmSync(target, { recursive: true, force: true });
  cpSync(join(output, relative(root, source)), target, { recursive: true });
  for (const file of filesBelow(target)) {
    if (file.endsWith('.d.ts')) writeFileSync(file, asJavaScript(readFileSync(file, 'utf8')));
  }
  cpSync(source, target, { recursive: true, filter: (path) => !/\.ts$/.test(path) });
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  const json = JSON.parse(readFileSync(manifest, 'utf8'));
  for (const extra of extras[json.name] ?? []) cpSync(join(root, extra), join(folder, extra), { recursive: true });

  copyFileSync(manifest, saved);
  json.exports = {
    '.': { types: './dist/index.d.ts', default: './dist/index.js' },
    './package.json': './package.json',
  };
  delete json.devDependencies;
  delete json.scripts;
  writeFileSync(manifest, `${JSON.stringify(json, null, 2)}\n`);
}

function postpack() {
  if (existsSync(saved)) renameSync(saved, manifest);
  const { name } = JSON.parse(readFileSync(manifest, 'utf8'));
  for (const made of ['LICENSE', 'dist', ...(extras[name] ?? [])]) {
    rmSync(join(folder, made), { recursive: true, force: true });
  }
}

if (dirname(dirname(folder)) !== root) throw new Error(`run by npm inside a package of ${root}`);
if (process.argv[2] === 'prepack') prepack();
else postpack();
