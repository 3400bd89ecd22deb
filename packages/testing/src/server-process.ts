import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';

/** A new empty folder under the system's temporary folder. */
export function temporaryFolder(purpose: string): string {
  return mkdtempSync(join(tmpdir(), `headrace-${purpose}-`));
}

/** A server in a child process that cannot outlive the process that started it. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #guard: ChildProcess;
  readonly #logFile: string;
  readonly #name: string;
  readonly #exited: Promise<void>;

  /**
   * Starts `command`; what it prints goes to `logFile`. The child is in a process group of its own, so that Ctrl-C
   * reaches the test and not the server. A guard, a shell that waits on a pipe from this process, kills the server
   * and removes `folder` when this process ends in any way, SIGKILL included. Neither keeps this process alive.
   */
  constructor(command: string, args: string[], settings: { logFile: string; folder: string; env?: NodeJS.ProcessEnv }) {
    this.#name = command;
    this.#logFile = settings.logFile;
    const log = openSync(settings.logFile, 'a');
    this.#child = spawn(command, args, {
      stdio: ['ignore', log, log],
      detached: true,
      env: settings.env ?? process.env,
    });
    closeSync(log);
    this.#child.unref();
    // Without a listener a command that cannot be started would end the whole process.
    this.#child.on('error', () => {});
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      this.#child.once('error', () => resolve());
    });
    const script = 'read -r line; [ "$line" = released ] && exit 0; kill -9 "$1" 2>/dev/null; sleep 0.2; rm -rf "$2"';
    this.#guard = spawn('sh', ['-c', script, 'sh', String(this.#child.pid ?? 0), settings.folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#guard.unref();
    (this.#guard.stdin as unknown as { unref(): void }).unref();
    this.#guard.stdin?.on('error', () => {});
    void this.#exited.then(() => this.#guard.stdin?.end('released\n'));
  }

  get processId(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} could not be started`);
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Everything the server has printed so far. */
  log(): string {
    return readFileSync(this.#logFile, 'utf8');
  }

  /** Waits until `isReady` holds; rejects with the end of the log when the server exits or the time is up. */
  async ready(isReady: (log: string) => boolean | Promise<boolean>, timeoutMs: number): Promise<void> {
    const failure = (what: string): Error => new Error(`${this.#name} ${what}:\n${this.log().slice(-6_000)}`);
    await eventually(
      async () => {
        if (await isReady(this.log())) return true;
        if (!this.isRunning) throw failure('ended before it was ready');
        return false;
      },
      { timeoutMs, everyMs: 20, what: () => failure(`was not ready after ${timeoutMs} ms`).message, rethrow: true },
    );
  }

  /** Sends a signal; for one that ends a process waits for the end. SIGKILL follows when the end does not come in time. */
  async signal(signal: NodeJS.Signals, timeoutMs = 20_000): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill(signal);
    if (!['SIGTERM', 'SIGINT', 'SIGKILL', 'SIGHUP', 'SIGQUIT'].includes(signal)) return;
    // A timer that holds the process alive while it waits: the child itself is unreferenced.
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Ends the server and removes `folder`. */
  async stop(folder?: string): Promise<void> {
    await this.signal('SIGTERM');
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
