import { type ExecFileOptions, execFile } from 'node:child_process';

/** What a command printed. */
export interface CommandOutput {
  stdout: string;
  stderr: string;
}

/**
 * Runs a command to its end, without a shell. A non-zero exit status rejects with an error that quotes the command
 * and the end of what it printed.
 */
export function runCommand(command: string, args: string[], options: ExecFileOptions = {}): Promise<CommandOutput> {
  return new Promise((resolve, reject) => {
    const settings = { maxBuffer: 256 * 1024 * 1024, ...options, encoding: 'utf8' as const };
    execFile(command, args, settings, (error, stdout, stderr) => {
      if (!error) return resolve({ stdout, stderr });
      const printed = `${stdout}\n${stderr}`.trim().slice(-4_000);
      reject(new Error(`${command} ${args.join(' ')}: ${error.code ?? error.message}\n${printed}`, { cause: error }));
    });
  });
}
