import { mkdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HeadraceError } from '../errors.ts';
import type { FunctionVersion } from './definition.ts';
import { unsupportedRuntime } from './launch.ts';

/** Code and layers of a version, ready to run. */
export interface PreparedCode {
  readonly task: string;
  readonly layers: string | undefined;
}

/** Unpacked code packages, one folder a checksum, shared by everything that runs the same bytes. */
export class CodeStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async start(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
  }

  async prepare(version: FunctionVersion): Promise<PreparedCode> {
    const unsupported = unsupportedRuntime(version.runtime);
    if (unsupported !== undefined) throw new HeadraceError('RUNTIME_MISSING', unsupported);
    const { code } = version;
    if (code.kind === 'folder') {
      const task = resolve(code.path);
      const information = await stat(task).catch(() => undefined);
      if (information?.isDirectory() !== true) {
        throw new HeadraceError('FUNCTION_CODE', `the code folder ${task} does not exist`);
      }
      return { task, layers: undefined };
    }
    throw new HeadraceError('FUNCTION_CODE', `code of kind ${code.kind} cannot be unpacked`);
  }
}
