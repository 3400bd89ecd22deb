// Types and lint; changes nothing.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './node.js';

const bin = (name) => join(root, 'node_modules', '.bin', name);
let failed = false;
for (const [name, args] of [
  ['tsc', ['--noEmit', '-p', join(root, 'tsconfig.json')]],
  ['biome', ['ci', '--colors=off', '--max-diagnostics=50', root]],
]) {
  const result = spawnSync(bin(name), args, { stdio: 'inherit', cwd: root });
  if (result.status !== 0) failed = true;
}
process.exit(failed ? 1 : 0);
