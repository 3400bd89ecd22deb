import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from './files.ts';
import { StreamingModel, type StreamingOptions } from './streaming-model.ts';

export interface ModelStoreOptions {
  /** Folder of the saved models, a folder an endpoint below it. */
  readonly directory: string;
  /** Bytes that the models in memory may take together; the least recently used move to disk beyond it. */
  readonly memoryLimit: number;
}

/** A model that is in memory. `version` counts its changes, `saved` is the version on disk. */
class Resident {
  readonly model: StreamingModel;
  readonly path: string;
  readonly name: string;
  version = 0;
  saved = 0;
  bytes: number;

  constructor(model: StreamingModel, path: string, name: string) {
    this.model = model;
    this.path = path;
    this.name = name;
    this.bytes = model.byteLength;
  }
}

/**
 * The models of all streaming endpoints: those in use in memory, the others on disk. Owns the files.
 *
 * Insertion order of the map is the order of use. A model leaves memory only after the file holds its latest version;
 * one that is used while it is being written stays.
 */
export class ModelStore {
  private readonly options: ModelStoreOptions;
  private readonly resident = new Map<string, Resident>();
  private readonly loading = new Map<string, Promise<Resident>>();
  /** Bytes that the resident models take. */
  private bytes = 0;
  /** The one writer at work, if any: files are written one after another. */
  private writing: Promise<void> = Promise.resolve();
  private tidying: Promise<void> | undefined;
  /** What went wrong the last time a model could not be saved; cleared by the next success. */
  saveError: Error | undefined;

  constructor(options: ModelStoreOptions) {
    this.options = options;
  }

  get residentModels(): number {
    return this.resident.size;
  }

  get residentBytes(): number {
    return this.bytes;
  }

  /**
   * Uses a model synchronously, loading or making it first where that is needed. `use` must not keep the model.
   * @throws Error when the saved model cannot be read
   */
  async use<T>(
    endpoint: string,
    key: string,
    options: StreamingOptions,
    featureDim: number,
    use: (model: StreamingModel) => T,
  ): Promise<T> {
    const name = modelName(endpoint, key);
    for (;;) {
      const resident = this.resident.get(name);
      // Between the load and here the model may have left again; then it is loaded anew.
      if (resident) return this.touch(name, resident, use);
      // Whoever needs room waits for it: that is what bounds memory when keys come faster than the disk.
      if (this.bytes > this.options.memoryLimit) await this.tidy();
      await this.load(name, endpoint, key, options, featureDim);
    }
  }

  /** The same for a model that is in memory already; undefined when it is not. */
  useResident<T>(endpoint: string, key: string, use: (model: StreamingModel) => T): { result: T } | undefined {
    const name = modelName(endpoint, key);
    const resident = this.resident.get(name);
    return resident && { result: this.touch(name, resident, use) };
  }

  /** Forgets all models of an endpoint, on disk too. */
  async remove(endpoint: string): Promise<void> {
    const prefix = modelName(endpoint, '');
    const drop = (): void => {
      for (const [name, resident] of this.resident) {
        if (name.startsWith(prefix)) this.drop(name, resident);
      }
    };
    drop();
    await this.serially(async () => {
      drop();
      await rm(join(this.options.directory, endpoint), { recursive: true, force: true });
    });
  }

  /** Writes every model that changed since it was last written. */
  async save(): Promise<void> {
    for (const resident of [...this.resident.values()]) await this.write(resident);
  }

  private touch<T>(name: string, resident: Resident, use: (model: StreamingModel) => T): T {
    this.resident.delete(name);
    this.resident.set(name, resident);
    resident.version++;
    const result = use(resident.model);
    const bytes = resident.model.byteLength;
    this.bytes += bytes - resident.bytes;
    resident.bytes = bytes;
    if (this.bytes > this.options.memoryLimit) void this.tidy();
    return result;
  }

  private load(
    name: string,
    endpoint: string,
    key: string,
    options: StreamingOptions,
    featureDim: number,
  ): Promise<unknown> {
    let load = this.loading.get(name);
    if (!load) {
      load = this.read(name, endpoint, key, options, featureDim).finally(() => this.loading.delete(name));
      this.loading.set(name, load);
    }
    return load;
  }

  private async read(
    name: string,
    endpoint: string,
    key: string,
    options: StreamingOptions,
    featureDim: number,
  ): Promise<Resident> {
    const file = `${createHash('sha256').update(key).digest('hex').slice(0, 40)}.model`;
    const path = join(this.options.directory, endpoint, file);
    let bytes: Buffer | undefined;
    try {
      bytes = await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    let model: StreamingModel;
    try {
      model = bytes ? StreamingModel.fromBytes(bytes, name, options) : StreamingModel.create(options, featureDim, name);
    } catch (error) {
      throw new Error(
        `the saved model ${path} cannot be used: ${error instanceof Error ? error.message : String(error)}; ` +
          'restore the file, or remove it to start anew',
      );
    }
    const resident = new Resident(model, path, name);
    this.resident.set(name, resident);
    this.bytes += resident.bytes;
    return resident;
  }

  /** Moves models to disk, the least recently used first, until the limit is kept. At least one stays. */
  private tidy(): Promise<void> {
    this.tidying ??= this.evict().finally(() => {
      this.tidying = undefined;
    });
    return this.tidying;
  }

  private async evict(): Promise<void> {
    while (this.bytes > this.options.memoryLimit && this.resident.size > 1) {
      const [name, resident] = this.resident.entries().next().value!;
      if (!(await this.write(resident))) return;
      if (resident.version === resident.saved && this.resident.get(name) === resident) this.drop(name, resident);
    }
  }

  /** False when the file could not be written; the model then stays in memory. */
  private write(resident: Resident): Promise<boolean> {
    return this.serially(async () => {
      if (resident.version === resident.saved || this.resident.get(resident.name) !== resident) return true;
      const { version } = resident;
      try {
        await writeAtomically(resident.path, resident.model.toBytes(resident.name));
        resident.saved = version;
        this.saveError = undefined;
        return true;
      } catch (error) {
        this.saveError = error instanceof Error ? error : new Error(String(error));
        return false;
      }
    });
  }

  private serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.writing.then(work);
    this.writing = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  private drop(name: string, resident: Resident): void {
    this.resident.delete(name);
    this.bytes -= resident.bytes;
    resident.model.dispose();
  }
}

/** Endpoint names have no slash, so the name cannot be taken for another's. */
function modelName(endpoint: string, key: string): string {
  return `${endpoint}/${key}`;
}
