import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SeededRandom } from '@headrace/testing';

const originals = { ...fs };
const patched = ['openSync', 'closeSync', 'writeSync', 'fsyncSync', 'fdatasyncSync', 'renameSync', 'rmSync'] as const;

/**
 * What a disk may hold after the power went: of each file at least what was flushed, of each folder the names that were
 * there when the folder was flushed, and of everything else any part. Stands between this process and `node:fs`.
 */
export class DiskModel {
  readonly #root: string;
  readonly #paths = new Map<number, string>();
  /** Flushed bytes by path; what is not here was never flushed. */
  readonly #flushed = new Map<string, number>();
  /** Names that are sure to be found. */
  readonly #named = new Set<string>();
  /** What was under a name before a rename or removal that is not sure yet. */
  readonly #before = new Map<string, Buffer>();
  /** Called before each operation, as the moment at which the power may go. */
  onOperation: (() => void) | undefined;

  constructor(root: string) {
    this.#root = resolve(root);
    this.#named.add(this.#root);
    const note = (path: string): void => {
      if (this.#isInside(path)) this.onOperation?.();
    };
    Object.assign(fs, {
      openSync: (path: string | URL, ...rest: unknown[]) => {
        const file = path instanceof URL ? fileURLToPath(path) : path;
        note(file);
        const descriptor = originals.openSync(file, ...(rest as [string]));
        if (this.#isInside(file)) this.#paths.set(descriptor, resolve(file));
        return descriptor;
      },
      closeSync: (descriptor: number) => {
        this.#paths.delete(descriptor);
        originals.closeSync(descriptor);
      },
      writeSync: (descriptor: number, ...rest: unknown[]) => {
        if (this.#paths.has(descriptor)) this.onOperation?.();
        return originals.writeSync(descriptor, ...(rest as [Buffer]));
      },
      fsyncSync: (descriptor: number) => this.#flush(descriptor, () => originals.fsyncSync(descriptor)),
      fdatasyncSync: (descriptor: number) => this.#flush(descriptor, () => originals.fdatasyncSync(descriptor)),
      renameSync: (from: string, to: string) => {
        note(from);
        this.#replace(resolve(to));
        originals.renameSync(from, to);
        this.#flushed.set(resolve(to), this.#flushed.get(resolve(from)) ?? 0);
        this.#named.delete(resolve(from));
        for (const [descriptor, path] of this.#paths) {
          if (path === resolve(from)) this.#paths.set(descriptor, resolve(to));
        }
      },
      rmSync: (path: string, options?: fs.RmOptions) => {
        note(path);
        this.#replace(resolve(path));
        originals.rmSync(path, options);
      },
    });
    syncBuiltinESMExports();
  }

  [Symbol.dispose](): void {
    for (const name of patched) Object.assign(fs, { [name]: originals[name] });
    syncBuiltinESMExports();
  }

  #isInside(path: string): boolean {
    return resolve(path) === this.#root || resolve(path).startsWith(this.#root + sep);
  }

  /** A name that is sure is about to stand for something else, or for nothing. */
  #replace(path: string): void {
    if (!this.#isInside(path) || !this.#named.has(path) || !originals.existsSync(path)) return;
    if (!originals.statSync(path).isFile()) return;
    this.#before.set(path, originals.readFileSync(path).subarray(0, this.#flushed.get(path) ?? 0));
    this.#named.delete(path);
  }

  #flush(descriptor: number, flush: () => void): void {
    const path = this.#paths.get(descriptor);
    if (path === undefined) {
      flush();
      return;
    }
    this.onOperation?.();
    flush();
    if (originals.statSync(path).isFile()) {
      this.#flushed.set(path, originals.statSync(path).size);
      return;
    }
    for (const name of originals.readdirSync(path)) this.#named.add(join(path, name));
    for (const gone of [...this.#before.keys()]) if (dirname(gone) === path) this.#before.delete(gone);
  }

  /** Writes what the disk may hold if the power goes now. */
  image(target: string, random: SeededRandom): void {
    const visit = (folder: string): void => {
      const to = join(target, relative(this.#root, folder));
      originals.mkdirSync(to, { recursive: true });
      for (const name of originals.readdirSync(folder)) {
        const path = join(folder, name);
        if (!this.#named.has(path) && random.chance(0.5)) continue;
        if (originals.statSync(path).isDirectory()) visit(path);
        else originals.writeFileSync(join(to, name), this.#remains(path, random));
      }
      for (const [path, content] of this.#before) {
        if (dirname(path) === folder && random.chance(0.5))
          originals.writeFileSync(join(to, path.slice(folder.length + 1)), content);
      }
    };
    visit(this.#root);
  }

  #remains(path: string, random: SeededRandom): Buffer {
    const bytes = originals.readFileSync(path);
    const flushed = Math.min(this.#flushed.get(path) ?? 0, bytes.length);
    const kept = random.integer(flushed, bytes.length);
    const remains = Buffer.from(bytes.subarray(0, kept));
    // Blocks may be there whose content is not.
    if (kept > flushed && random.chance(0.3)) remains.fill(0, random.integer(flushed, kept));
    return remains;
  }
}
