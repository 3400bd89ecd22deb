import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

/**
 * The broker as users have it, plain JavaScript from the npm package: TypeScript's sources would be stripped of their
 * types while they load, which takes tens of megabytes.
 *
 * @returns a folder in which `@headrace/dev-broker` is installed
 */
export function installPackedBroker(): string {
  const build = spawnSync(
    process.execPath,
    [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', join(root, 'tsconfig.build.json')],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  if (build.status !== 0) throw new Error('the broker does not compile');
  // Within the checkout, so that third-party packages are found in its node_modules.
  const folder = join(root, '.cache', 'bench-broker');
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['kafka-records', 'dev-broker']) {
    const source = join(root, 'packages', name);
    const target = join(folder, 'node_modules', '@headrace', name);
    mkdirSync(target, { recursive: true });
    cpSync(join(root, '.cache', 'build', 'packages', name, 'src'), join(target, 'dist'), { recursive: true });
    cpSync(join(source, 'src'), join(target, 'dist'), { recursive: true, filter: (path) => !path.endsWith('.ts') });
    const { version } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as { version: string };
    const manifest = { name: `@headrace/${name}`, version, type: 'module', exports: './dist/index.js' };
    writeFileSync(join(target, 'package.json'), JSON.stringify(manifest));
  }
  return folder;
}
