import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Duplex, Readable } from 'node:stream';
import type { ProcessExit } from './error-payloads.ts';
import { EventFile } from './event-file.ts';
import type { LaunchPlan } from './launch.ts';
import type { ProcessGuard } from './process-guard.ts';
import { closeSocketPair, type SocketPair } from './socket-pair.ts';

export interface ProcessListener {
  output(chunk: Buffer): void;
  /** Called once: the process is gone, or could not be started (`failure`). */
  exited(exit: ProcessExit, failure: Error | undefined): void;
}

/** The sandbox tells a signal as 128 and its number, as a shell does. */
function exitBehind(code: number | null, signal: NodeJS.Signals | null): ProcessExit {
  const name = Object.entries(constants.signals).find(([, number]) => number === (code ?? 0) - 128)?.[0];
  return name === undefined ? { code, signal } : { code: null, signal: name as NodeJS.Signals };
}

/**
 * A function's process, leader of a process group of its own, so that what it forked ends with it. Standard input is
 * empty; standard output and error go to one listener. The guard ends the group when the engine is killed.
 */
export class FunctionProcess {
  readonly #child: ChildProcess;
  /** Behind descriptor 4 of runtimes of ours; not in a sandbox, whose memory would then be nobody's. */
  readonly eventFile: EventFile | undefined;
  /** The engine's end of the socket pair at descriptor 3; undefined for runtimes that use the port. */
  readonly channel: Duplex | undefined;
  #gone = false;

  /** `pair` becomes the process's channel; without one it is a pipe of Node's. */
  constructor(
    plan: LaunchPlan,
    workingDirectory: string,
    guard: ProcessGuard,
    listener: ProcessListener,
    pair?: SocketPair,
  ) {
    this.eventFile = plan.ownRuntime && plan.sandboxed !== true ? EventFile.open() : undefined;
    const own = plan.ownRuntime ? ([pair?.far ?? 'pipe', this.eventFile?.readDescriptor ?? 'ignore'] as const) : [];
    try {
      this.#child = spawn(plan.command, plan.args, {
        cwd: workingDirectory,
        env: plan.environment as NodeJS.ProcessEnv,
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe', ...own],
      });
    } catch (error) {
      this.eventFile?.close();
      closeSocketPair(pair);
      throw error;
    }
    this.eventFile?.closeReadDescriptor();
    const child = this.#child;
    if (plan.ownRuntime) {
      this.channel = pair?.near ?? (child.stdio[3] as Duplex | null | undefined) ?? undefined;
      // The process has its own now: the engine's would hide its end.
      pair?.far.destroy();
    } else closeSocketPair(pair);
    if (child.pid !== undefined) guard.watch(child.pid);
    let exit: ProcessExit | undefined;
    const report = (failure?: Error): void => {
      if (this.#gone) return;
      this.#gone = true;
      this.killGroup('SIGKILL');
      this.eventFile?.close();
      if (child.pid !== undefined) guard.unwatch(child.pid);
      listener.exited(exit ?? { code: child.exitCode, signal: child.signalCode }, failure);
    };
    child.once('error', (error) => {
      // 'error' also comes when a signal could not be sent; only a failed start has no process.
      if (child.pid === undefined) report(error);
    });
    child.once('exit', (code, signal) => {
      exit = plan.sandboxed === true ? exitBehind(code, signal) : { code, signal };
      // What the process wrote just before its end is still in the pipes: one turn of the loop reads it. Waiting for
      // 'close' would wait for every forked child that holds a pipe open.
      setImmediate(() => {
        report();
        setImmediate(() => {
          for (const stream of child.stdio) stream?.destroy();
        });
      });
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => listener.output(chunk));
      stream?.on('error', () => {});
    }
  }

  get processId(): number | undefined {
    return this.#gone ? undefined : this.#child.pid;
  }

  get outputs(): readonly Readable[] {
    return [this.#child.stdout, this.#child.stderr].filter((stream) => stream !== null);
  }

  /** Signals the whole process group; an empty group is no error. */
  killGroup(signal: NodeJS.Signals): void {
    const pid = this.#child.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // ESRCH: nobody is left.
    }
  }
}
