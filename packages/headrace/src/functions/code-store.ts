import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { HeadraceError } from '../errors.ts';
import type { FunctionVersion } from './definition.ts';
import { unsupportedRuntime } from './launch.ts';
import { unpack, unpackedLimit } from './zip.ts';

/** Unpacked code that nobody ran for so long is removed at the start of the engine; the archive stays. */
const unusedMilliseconds = 7 * 24 * 3_600_000;

/** Code and layers of a version, ready to run. */
export interface PreparedCode {
  readonly task: string;
  readonly layers: string | undefined;
}

/**
 * Unpacked code packages, one folder a checksum, shared by everything that runs the same bytes. A folder appears under
 * its name when it is complete, so that no environment sees half of one. Nothing changes in it afterwards: new code is
 * another folder.
 */
export class CodeStore {
  readonly #directory: string;
  readonly #unpacking = new Map<string, Promise<string>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  async start(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const oldest = Date.now() - unusedMilliseconds;
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      // Left by a crash in the middle of unpacking.
      if (name.includes('.partial-')) await rm(path, { recursive: true, force: true });
      if (!name.endsWith('.size') || (await stat(path)).mtimeMs > oldest) continue;
      await rm(path);
      await rm(path.slice(0, -'.size'.length), { recursive: true, force: true });
    }
  }

  async prepare(version: FunctionVersion): Promise<PreparedCode> {
    const unsupported = unsupportedRuntime(version.runtime);
    if (unsupported !== undefined) throw new HeadraceError('RUNTIME_MISSING', unsupported);
    const layers = version.layers.length === 0 ? undefined : await this.#layers(version.layers);
    return { task: await this.#task(version, layers), layers };
  }

  async #task(version: FunctionVersion, layers: string | undefined): Promise<string> {
    const { code } = version;
    if (code.kind === 'folder') {
      const task = resolve(code.path);
      const information = await stat(task).catch(() => undefined);
      if (information?.isDirectory() !== true) {
        throw new HeadraceError('FUNCTION_CODE', `the code folder ${task} does not exist`);
      }
      return task;
    }
    if (code.kind !== 'zip') throw new HeadraceError('FUNCTION_CODE', `code of kind ${code.kind} cannot be unpacked`);
    if (!/^[0-9a-f]{64}$/.test(code.sha256)) {
      throw new HeadraceError('FUNCTION_CODE', `the checksum ${JSON.stringify(code.sha256)} is not 64 hex digits`);
    }
    const task = await this.#unpacked(code.sha256, [code.zipFile]);
    const total = (await this.#size(task)) + (layers === undefined ? 0 : await this.#size(layers));
    if (total > unpackedLimit) {
      throw new HeadraceError(
        'FUNCTION_CODE',
        `code and layers of ${version.functionName} are ${total} bytes unpacked; at most ${unpackedLimit}`,
      );
    }
    return task;
  }

  async #layers(layers: FunctionVersion['layers']): Promise<string> {
    const name = createHash('sha256');
    for (const { zipFile } of layers) name.update(await checksum(zipFile));
    return this.#unpacked(
      `layers-${name.digest('hex')}`,
      layers.map((layer) => layer.zipFile),
    );
  }

  /** The folder of these archives, merged in order; unpacked once however many ask. */
  #unpacked(name: string, archives: readonly string[]): Promise<string> {
    let unpacking = this.#unpacking.get(name);
    if (unpacking === undefined) {
      unpacking = this.#unpack(join(this.#directory, name), archives);
      this.#unpacking.set(name, unpacking);
      // A failure is not remembered: the archive may be mended or the disk have room again.
      unpacking.catch(() => this.#unpacking.delete(name));
    }
    return unpacking;
  }

  async #unpack(folder: string, archives: readonly string[]): Promise<string> {
    const used = new Date();
    const whole = await utimes(`${folder}.size`, used, used).then(
      () => true,
      () => false,
    );
    if (whole) return folder;
    const partial = `${folder}.partial-${randomBytes(4).toString('hex')}`;
    try {
      await mkdir(partial, { mode: 0o755 });
      let size = 0;
      for (const archive of archives) size += await unpack(archive, partial, unpackedLimit - size);
      await rm(folder, { recursive: true, force: true });
      await rename(partial, folder);
      // Written last: its presence says that the folder is whole.
      await writeFile(`${folder}.size`, String(size));
      return folder;
    } catch (error) {
      await rm(partial, { recursive: true, force: true });
      throw error;
    }
  }

  async #size(folder: string): Promise<number> {
    return Number(await readFile(`${folder}.size`, 'utf8'));
  }
}

async function checksum(file: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(file), hash);
  } catch (error) {
    throw new HeadraceError('FUNCTION_CODE', `the layer ${file} cannot be read`, { cause: error });
  }
  return hash.digest('hex');
}
