import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { runCommand } from './command.ts';

/** A Python virtual environment. */
export interface PythonEnvironment {
  folder: string;
  /** Path of its interpreter. */
  python: string;
  /** Folder of its commands, for PATH. */
  bin: string;
}

/**
 * A virtual environment with these packages, `name==version` each, made once for all checkouts. It needs Python 3.9
 * with `venv` (`needs('python')`).
 */
export async function pythonEnvironment(packages: string[]): Promise<PythonEnvironment> {
  const unpinned = packages.find((name) => !/^[\w.-]+(\[[\w,-]+\])?==[\w.]+$/.test(name));
  if (unpinned !== undefined) throw new RangeError(`${unpinned}: name the exact version, as in boto3==1.40.0`);
  const { stdout } = await runCommand('python3', ['-c', 'import sys; print(sys.version, sys.base_prefix)']);
  const digest = createHash('sha256').update(JSON.stringify([stdout, [...packages].sort()]));
  const folder = await cached(`python-${digest.digest('hex').slice(0, 16)}`, async (building) => {
    await runCommand('python3', ['-m', 'venv', building]);
    // `python -m pip`, because the scripts of a virtual environment hold the path it was made at.
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages];
    if (packages.length > 0) await runCommand(join(building, 'bin', 'python'), install, { timeout: 300_000 });
  });
  const bin = join(folder, 'bin');
  return { folder, bin, python: join(bin, 'python') };
}
