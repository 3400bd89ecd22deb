import { availableParallelism } from 'node:os';
import { toHeadraceError } from '../errors.ts';
import type { EnvironmentSnapshot, FunctionVersion } from './definition.ts';
import { Environment, type EnvironmentOptions, type EnvironmentOwner } from './environment.ts';
import type { Invocation } from './invocation.ts';

export interface PoolOptions {
  /** Makes the code and layers of the version ready to run; called once, its result kept. */
  prepare(version: FunctionVersion): Promise<Omit<EnvironmentOptions, 'provisioned'>>;
  readonly idleTimeoutMilliseconds: number;
}

/** Environments of one pool that start at the same time: more only take the processors from each other. */
const startLimit = Math.max(4, 2 * availableParallelism());

/**
 * The execution environments of one revision of one version. An invocation takes the environment that was used last, or
 * waits: for one that is being started for it, or for one that becomes free sooner.
 */
export class Pool implements EnvironmentOwner {
  readonly version: FunctionVersion;
  readonly #options: PoolOptions;
  readonly #environments = new Set<Environment>();
  /** Used last at the end. */
  readonly #idle: Environment[] = [];
  #waiting: Invocation[] = [];
  #starting = 0;
  /** Environments that nobody waits for and that are still to be started. */
  #spare = 0;
  #provisioned = 0;
  /** Provisioned environments that are being started and are not among the others yet. */
  #provisioning = 0;
  #retired = false;
  #prepared: Promise<Omit<EnvironmentOptions, 'provisioned'>> | undefined;
  readonly #stopping = new Set<Promise<void>>();
  readonly #changes = new Set<() => void>();

  constructor(version: FunctionVersion, options: PoolOptions) {
    this.version = version;
    this.#options = options;
  }

  get size(): number {
    return this.#environments.size;
  }

  get retired(): boolean {
    return this.#retired;
  }

  run(invocation: Invocation): void {
    const environment = this.#takeIdle();
    if (environment !== undefined) {
      environment.run(invocation);
      return;
    }
    this.#waiting.push(invocation);
    this.#startWanted();
  }

  /** Ends the wait of an invocation whose caller went away; false when it runs already. */
  forget(invocation: Invocation): boolean {
    const index = this.#waiting.indexOf(invocation);
    if (index < 0) return false;
    this.#waiting.splice(index, 1);
    return true;
  }

  /** So many environments are to be idle or starting, beyond those that somebody waits for. */
  warm(count: number): void {
    this.#spare = Math.max(0, count - this.#idle.length - Math.max(0, this.#starting - this.#waiting.length));
    this.#startWanted();
  }

  provision(count: number): void {
    this.#provisioned = count;
    if (this.#retired) return;
    for (let have = this.#provisionedNow() + this.#provisioning; have < count; have++) void this.#start(true);
  }

  /** Resolves once at least `count` environments are there and none is being started. */
  async warmed(count: number): Promise<void> {
    while (!this.#retired && (this.#starting > 0 || this.#environments.size < count)) {
      if (this.#starting === 0) return;
      await new Promise<void>((resolve) => this.#changes.add(resolve));
    }
  }

  idle(environment: Environment): void {
    if (this.#retired) {
      this.#end(environment);
      return;
    }
    const next = this.#waiting.shift();
    if (next !== undefined) environment.run(next);
    else this.#idle.push(environment);
  }

  /** Ends environments that have been idle for long, the least recently used first; keeps what is provisioned. */
  reap(now: number): void {
    for (const environment of [...this.#idle]) {
      if (now - environment.idleSince < this.#options.idleTimeoutMilliseconds) return;
      if (environment.provisioned && this.#provisionedNow() <= this.#provisioned) continue;
      this.#idle.splice(this.#idle.indexOf(environment), 1);
      this.#end(environment);
    }
  }

  /** Of what works, or of all, with their children: Lambda freezes idle environments, here they may go on. */
  watchMemory(of: 'working' | 'all'): void {
    for (const environment of this.#environments) {
      const { phase } = environment;
      if (of === 'all' || phase === 'busy' || phase === 'initializing') environment.watchMemory(of === 'all');
    }
  }

  /** No new invocations: idle environments end now, busy ones with their invocation. Gives back what still waits. */
  retire(): Invocation[] {
    this.#retired = true;
    for (const environment of this.#idle.splice(0)) this.#end(environment);
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#changed();
    return waiting;
  }

  async stop(): Promise<void> {
    for (const invocation of this.retire()) {
      invocation.settle({
        kind: 'unavailable',
        status: 503,
        type: 'ServiceException',
        message: 'The engine is stopping.',
      });
    }
    for (const environment of [...this.#environments]) this.#end(environment);
    await Promise.all(this.#stopping);
  }

  /** Resolves when nothing runs any more in a retired pool. */
  async drained(): Promise<void> {
    while (this.#environments.size > 0) await new Promise<void>((resolve) => this.#changes.add(resolve));
    await Promise.all(this.#stopping);
  }

  snapshot(): EnvironmentSnapshot[] {
    return [...this.#environments].map((environment) => environment.snapshot());
  }

  #provisionedNow(): number {
    let count = 0;
    for (const environment of this.#environments) if (environment.provisioned) count++;
    return count;
  }

  #takeIdle(): Environment | undefined {
    const idle = this.#idle;
    const last = idle.pop();
    if (last === undefined || last.phase === 'idle') return last;
    // Its process ended meanwhile: a ready one is better, though any will do.
    const ready = idle.findLastIndex((environment) => environment.phase === 'idle');
    if (ready < 0) return last;
    const [environment] = idle.splice(ready, 1);
    idle.push(last);
    return environment;
  }

  #startWanted(): void {
    while (this.#starting < startLimit && (this.#spare > 0 || this.#starting < this.#waiting.length)) {
      if (this.#spare > 0) this.#spare--;
      void this.#start(false);
    }
  }

  async #start(provisioned: boolean): Promise<void> {
    this.#starting++;
    let environment: Environment | undefined;
    try {
      this.#prepared ??= this.#options.prepare(this.version);
      if (provisioned) this.#provisioning++;
      const options = await this.#prepared.finally(() => {
        if (provisioned) this.#provisioning--;
      });
      if (this.#retired) return;
      environment = new Environment(this.version, { ...options, provisioned }, this);
      this.#environments.add(environment);
      const ready = await environment.initialize();
      if (environment.phase === 'stopped') return;
      // A failed start is repeated inside of an invocation, which then reports why; without one it is given up.
      if (ready || this.#waiting.length > 0) this.idle(environment);
      else this.#end(environment);
      // What fails to start once is not started in advance.
      if (!ready) this.#spare = 0;
    } catch (error) {
      if (environment !== undefined) this.#end(environment);
      this.#prepared = undefined;
      this.#spare = 0;
      this.#fail(error);
    } finally {
      this.#starting--;
      this.#changed();
      if (!this.#retired) this.#startWanted();
    }
  }

  /** No environment could be made at all (code missing, no file handles): those that wait hear it. */
  #fail(thrown: unknown): void {
    const error = toHeadraceError(thrown, 'FUNCTION_UNAVAILABLE');
    const badCode = error.code === 'FUNCTION_CODE';
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const invocation of waiting) {
      invocation.settle({
        kind: 'unavailable',
        status: badCode || error.code === 'RUNTIME_MISSING' ? 502 : 500,
        type: badCode
          ? 'InvalidZipFileException'
          : error.code === 'RUNTIME_MISSING'
            ? 'InvalidRuntimeException'
            : 'ServiceException',
        message: error.message,
      });
    }
  }

  #end(environment: Environment): void {
    if (!this.#environments.delete(environment)) return;
    const stopped = environment.stop().catch(() => {
      // A temporary folder that cannot be removed is removed at the next start of the engine.
    });
    this.#stopping.add(stopped);
    void stopped.finally(() => {
      this.#stopping.delete(stopped);
      this.#changed();
    });
    this.#changed();
  }

  #changed(): void {
    const changes = [...this.#changes];
    this.#changes.clear();
    for (const change of changes) change();
  }
}
