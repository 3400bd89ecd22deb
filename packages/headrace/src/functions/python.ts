import { spawnSync } from 'node:child_process';
import { HeadraceError } from '../errors.ts';

export interface Python {
  readonly path: string;
  /** Where it is installed. */
  readonly folders: readonly string[];
}

const found = new Map<string, Python>();

/**
 * The interpreter for a `python3.N` runtime: that very release where the machine has it, else the machine's `python3` if
 * it is 3.9 or newer. Looked up once a runtime.
 */
export function findPython(runtime: string): Python {
  const known = found.get(runtime);
  if (known !== undefined) return known;
  for (const candidate of [runtime, 'python3']) {
    const probe =
      'import sys; print(sys.executable); print(int(sys.version_info >= (3, 9))); print(sys.prefix); print(sys.base_prefix)';
    const result = spawnSync(candidate, ['-c', probe], { encoding: 'utf8', timeout: 20_000 });
    const [path, recent, prefix, base] = result.status === 0 ? result.stdout.split('\n') : [];
    if (path === undefined || path === '' || recent !== '1') continue;
    const folders = [...new Set([prefix, base])].filter((folder) => folder !== undefined && folder !== '/usr');
    const python = { path, folders: folders as string[] };
    found.set(runtime, python);
    return python;
  }
  throw new HeadraceError(
    'RUNTIME_MISSING',
    `the runtime ${runtime} needs Python 3.9 or newer as "${runtime}" or "python3" in PATH (Debian: apt-get install python3)`,
  );
}
