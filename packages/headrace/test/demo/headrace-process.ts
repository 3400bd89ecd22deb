import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@headrace/testing';

const launcher = join(repositoryRoot, 'packages', 'headrace', 'bin', 'headrace.js');

export interface Ended {
  /** Exit status; null when a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
  /** How long it ran. */
  milliseconds: number;
}

/**
 * A `headrace` command in a process of its own, as a shell starts it, with a temporary folder of its own, so that what
 * it leaves behind can be found: files there, and processes whose environment, arguments or folder name it.
 */
export class HeadraceProcess implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'headrace-cli-'));
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(args: readonly string[], environment: NodeJS.ProcessEnv = {}, command: readonly string[] = [launcher]) {
    const started = performance.now();
    // CI and colours of the caller must not show in what is printed.
    const { CI: _ci, FORCE_COLOR: _color, NODE_TEST_CONTEXT: _test, ...inherited } = process.env;
    this.child = spawn(process.execPath, [...command, ...args], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...inherited, TMPDIR: this.folder, ...environment },
    });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (code) => {
        const { stdout, stderr } = this;
        resolve({ code, stdout, stderr, milliseconds: performance.now() - started });
      });
    });
  }

  /** Living processes that belong to this run, the launcher included. Linux only; elsewhere none are found. */
  processes(): number[] {
    let all: string[];
    try {
      all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    } catch {
      return [];
    }
    return all.filter((id) => this.#belongs(id)).map(Number);
  }

  /** Files and folders left in the temporary folder. Node's own compile cache is no one's leftover. */
  files(): string[] {
    return readdirSync(this.folder).filter((name) => name !== 'node-compile-cache');
  }

  [Symbol.dispose](): void {
    this.child.kill('SIGKILL');
    for (const id of this.processes()) {
      try {
        process.kill(id, 'SIGKILL');
      } catch {
        // It ended by itself meanwhile.
      }
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #belongs(id: string): boolean {
    const read = (get: () => string): string => {
      try {
        return get();
      } catch {
        return '';
      }
    };
    // The state of a process that has ended and is not waited for is Z: it holds nothing.
    if (/^State:\tZ/m.test(read(() => readFileSync(`/proc/${id}/status`, 'utf8')))) return false;
    return [
      () => readFileSync(`/proc/${id}/environ`, 'utf8'),
      () => readFileSync(`/proc/${id}/cmdline`, 'utf8'),
      () => readlinkSync(`/proc/${id}/cwd`),
    ].some((get) => read(get).includes(this.folder));
  }
}

/** Runs a command to its end. */
export async function runHeadrace(
  args: readonly string[],
  environment?: NodeJS.ProcessEnv,
): Promise<Ended & { left: string[] }> {
  using run = new HeadraceProcess(args, environment);
  const ended = await run.ended;
  return { ...ended, left: [...run.files(), ...run.processes().map((id) => `process ${id}`)] };
}
