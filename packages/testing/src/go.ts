import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { runCommand } from './command.ts';

/**
 * Builds the Go program in `folder` (a module with its `go.sum`) and returns the path of its executable; built once for
 * all checkouts, anew when a file or Go changes. It needs Go 1.19 (`needs('go')`).
 */
export async function goProgram(folder: string): Promise<string> {
  const digest = createHash('sha256').update((await runCommand('go', ['version'])).stdout);
  for (const name of readdirSync(folder).sort()) digest.update(name).update(readFileSync(join(folder, name)));
  const name = `go-${digest.digest('hex').slice(0, 16)}`;
  const built = await cached(name, async (building) => {
    // Exactly the modules that are summed up in go.sum, and nothing of a surrounding workspace.
    const env = { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false', GOWORK: 'off', CGO_ENABLED: '0' };
    await runCommand('go', ['build', '-o', join(building, 'program'), '.'], { cwd: folder, env, timeout: 300_000 });
  });
  return join(built, 'program');
}
