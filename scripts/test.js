// Runs every test there is, or those whose path contains one of the given words: npm test -- dev-broker
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root, runNode } from './node.js';

const words = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const flags = process.argv.slice(2).filter((argument) => argument.startsWith('-'));

function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === 'node_modules' || entry.name === 'dist' || entry.name === 'fixtures') return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return testFiles(path);
    return entry.name.endsWith('.test.ts') ? [path] : [];
  });
}

const files = ['packages', 'examples']
  .map((folder) => join(root, folder))
  .filter(existsSync)
  .flatMap(testFiles)
  .filter((file) => words.length === 0 || words.some((word) => relative(root, file).includes(word)))
  .sort();
if (files.length === 0) {
  console.error(`no test file's path contains ${words.join(' or ')}`);
  process.exit(2);
}
const reporters = flags.some((flag) => flag.startsWith('--test-reporter'))
  ? []
  : ['spec', join(root, 'scripts', 'part-times.js')].flatMap((reporter) => [
      `--test-reporter=${reporter}`,
      '--test-reporter-destination=stdout',
    ]);
runNode([
  '--disable-warning=ExperimentalWarning',
  '--test',
  '--test-concurrency=2',
  '--test-timeout=600000',
  ...reporters,
  ...flags,
  ...files,
]);
