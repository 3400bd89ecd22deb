import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Reads `+ GROUP` and `- GROUP`, a line each, and at the end of its input kills the process groups that are left. What a
 * terminal sends to everybody does not end it before the engine.
 */
const script = `trap '' HUP INT TERM
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) groups="\${groups%% $group *} \${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -9 "-$group" 2>/dev/null; done
exit 0
`;

/**
 * Ends functions whose engine was killed: a shell in a session of its own, that knows their process groups and holds a
 * pipe which closes with the engine, however the engine ends. A function would notice by itself when it asks for its next
 * event, one in an endless loop never. One guard an engine, started with the first function; a megabyte of memory.
 */
export class ProcessGuard {
  readonly #groups = new Set<number>();
  #shell: ChildProcess | undefined;
  #closed = false;

  /** The leader of a process group that must not outlive the engine. */
  watch(processId: number): void {
    if (this.#closed) return;
    this.#groups.add(processId);
    if (this.#shell === undefined) this.#start();
    else this.#tell(`+ ${processId}\n`);
  }

  /** The group has ended: its number may be given to others. */
  unwatch(processId: number): void {
    if (this.#groups.delete(processId)) this.#tell(`- ${processId}\n`);
  }

  /** What is left of the groups is killed; resolves when the guard is gone. */
  async close(): Promise<void> {
    this.#closed = true;
    const shell = this.#shell;
    if (shell === undefined) return;
    this.#shell = undefined;
    const gone = shell.exitCode === null && shell.signalCode === null ? once(shell, 'exit') : undefined;
    shell.ref();
    shell.stdin?.end();
    await gone;
  }

  #start(): void {
    let shell: ChildProcess;
    try {
      shell = spawn('/bin/sh', ['-c', script], {
        cwd: '/',
        env: {},
        detached: true,
        stdio: ['pipe', 'ignore', 'ignore'],
      });
    } catch (error) {
      warn(error);
      return;
    }
    this.#shell = shell;
    const gone = (): void => {
      // Somebody ended it: the next function starts another, which is told all groups.
      if (this.#shell === shell) this.#shell = undefined;
    };
    shell.once('exit', gone);
    shell.on('error', (error) => {
      gone();
      warn(error);
    });
    // A broken pipe is the guard's end, of which 'exit' tells.
    shell.stdin?.on('error', () => {});
    shell.unref();
    // An idle pipe must not keep the engine alive.
    (shell.stdin as { unref?(): void } | null)?.unref?.();
    this.#tell([...this.#groups].map((group) => `+ ${group}\n`).join(''));
  }

  /** Written at once where the pipe has room, which it has: a line is a few bytes. */
  #tell(lines: string): void {
    this.#shell?.stdin?.write(lines);
  }
}

function warn(error: unknown): void {
  process.emitWarning(`functions may outlive a killed engine: ${String(error)}`, { code: 'HEADRACE_GUARD' });
}
