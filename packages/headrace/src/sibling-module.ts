import { fileURLToPath } from 'node:url';

/**
 * File path of a module beside the caller, for child processes and worker threads: `./child` is `child.ts` in a
 * checkout and `child.js` in the packed package, whatever the caller itself is. `from` is the caller's `import.meta.url`.
 */
export function siblingModule(from: string, name: string): string {
  const extension = from.slice(from.lastIndexOf('.'));
  return fileURLToPath(new URL(`${name}${extension}`, from));
}
