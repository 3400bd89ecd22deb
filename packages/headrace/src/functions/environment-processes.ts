import type { ProcessExit } from './error-payloads.ts';
import { FunctionProcess, type ProcessListener } from './function-process.ts';
import { type Folders, type LaunchPlan, planExtension } from './launch.ts';
import type { ProcessGuard } from './process-guard.ts';
import type { SocketPair } from './socket-pair.ts';

export interface ProcessesListener {
  output(chunk: Buffer): void;
  /**
   * The runtime is gone, or could not be started (`failure`); its extensions still run. Not told of one that was ended on
   * purpose.
   */
  runtimeExited(exit: ProcessExit, failure: Error | undefined): void;
  extensionExited(errorType: 'Extension.Crash' | 'Extension.LaunchError'): void;
}

/** The processes of one environment: the runtime, and the external extensions that begin and end with it. */
export class EnvironmentProcesses {
  readonly #guard: ProcessGuard;
  readonly #listener: ProcessesListener;
  #runtime: FunctionProcess | undefined;
  #extensions: FunctionProcess[] = [];

  constructor(guard: ProcessGuard, listener: ProcessesListener) {
    this.#guard = guard;
    this.#listener = listener;
  }

  get runtime(): FunctionProcess | undefined {
    return this.#runtime;
  }

  /** Throws when the platform refuses to start a process at all (no file handles, a NUL in a variable). */
  start(
    plan: LaunchPlan,
    folders: Folders,
    extensions: readonly string[],
    contain: (plan: LaunchPlan) => LaunchPlan,
    pair: SocketPair | undefined,
  ): FunctionProcess {
    const listener: ProcessListener = {
      output: (chunk) => this.#listener.output(chunk),
      exited: (exit, failure) => {
        if (this.#runtime !== runtime) return;
        this.#runtime = undefined;
        this.#listener.runtimeExited(exit, failure);
      },
    };
    const runtime = new FunctionProcess(contain(plan), folders.task, this.#guard, listener, pair);
    this.#runtime = runtime;
    for (const name of extensions) {
      const extension = new FunctionProcess(contain(planExtension(plan, folders, name)), folders.task, this.#guard, {
        output: (chunk) => this.#listener.output(chunk),
        exited: (_exit, failure) => {
          if (!this.#extensions.includes(extension)) return;
          this.#listener.extensionExited(failure === undefined ? 'Extension.Crash' : 'Extension.LaunchError');
        },
      });
      this.#extensions.push(extension);
    }
    return runtime;
  }

  /** Kills what runs; its exit is then nobody's concern. */
  end(): void {
    const processes = [this.#runtime, ...this.#extensions];
    this.#runtime = undefined;
    this.#extensions = [];
    for (const process of processes) process?.killGroup('SIGKILL');
  }

  /**
   * The signal, and after SIGTERM a moment, for the runtime, the budget for its extensions; {@link end} comes after. Their
   * exits are nobody's concern.
   */
  async shutDown(budgetMilliseconds: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const runtime = this.#runtime;
    const waited = this.#extensions.length > 0 ? this.#extensions : runtime === undefined ? [] : [runtime];
    this.#runtime = undefined;
    this.#extensions = [];
    runtime?.killGroup(signal);
    const hardEnd = setTimeout(() => runtime?.killGroup('SIGKILL'), 300);
    const deadline = performance.now() + budgetMilliseconds;
    while (performance.now() < deadline && waited.some((process) => process.processId !== undefined)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    clearTimeout(hardEnd);
    for (const process of [runtime, ...waited]) process?.killGroup('SIGKILL');
  }
}
