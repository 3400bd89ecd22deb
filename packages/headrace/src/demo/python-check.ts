import { execFile } from 'node:child_process';
import { HeadraceError } from '../errors.ts';
import { findPython } from '../functions/python.ts';

/**
 * Makes sure that the example's Python handler can run, before anything is started for it.
 * @throws HeadraceError `PYTHON_MISSING` with the command that cures it
 */
export async function requirePython(runtime: string): Promise<void> {
  let python: string;
  try {
    python = findPython(runtime).path;
  } catch {
    throw new HeadraceError(
      'PYTHON_MISSING',
      'the Python handler needs Python 3.9 or newer as "python3" in PATH; Debian and Ubuntu: apt-get install python3',
    );
  }
  const missing = await new Promise<boolean>((resolve) => {
    execFile(python, ['-c', 'import boto3'], { timeout: 20_000 }, (error) => resolve(error !== null));
  });
  if (!missing) return;
  throw new HeadraceError(
    'PYTHON_MISSING',
    `the Python handler needs boto3, and ${python} has none; install it with: ${python} -m pip install boto3`,
  );
}
