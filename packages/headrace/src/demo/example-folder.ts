import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder of an example: in the packed package it lies in the package, in a checkout at the repository's root. */
export function exampleFolder(name: string): string {
  const candidates = [`../../examples/${name}`, `../../../../examples/${name}`].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const found = candidates.find(existsSync);
  if (found === undefined) throw new Error(`the example ${name} is in none of ${candidates.join(', ')}`);
  return found;
}
