// Runs a TypeScript file of this repository: node scripts/run.js FILE [arguments]
import { join } from 'node:path';
import { root, runNode } from './node.js';

const [file, ...args] = process.argv.slice(2);
if (!file) {
  console.error('usage: node scripts/run.js FILE [arguments]');
  process.exit(2);
}
runNode(['--disable-warning=ExperimentalWarning', join(root, file), ...args]);
