import type { Terminal } from './terminal.ts';

/** One flag of a command. The same description feeds the parser and `--help`. */
export interface OptionSpecification {
  readonly type: 'string' | 'boolean';
  /** May be given several times. */
  readonly multiple?: boolean;
  readonly short?: string;
  /** What stands for the value in the help: `HOST:PORT`. */
  readonly value?: string;
  readonly description: string;
}

/** A command of the line: parses nothing and formats nothing by itself; `run` gets checked words. */
export interface Command {
  /** The line after `headrace`: `run HANDLER --topic T [options]`. */
  readonly usage: string;
  /** A few sentences: what it does, when one wants it. */
  readonly description: string;
  /** Names of the positional arguments; the last may end in `…` and take the rest. Optional ones in brackets. */
  readonly positionals?: readonly string[];
  readonly options: Readonly<Record<string, OptionSpecification>>;
  /** Lines that can be pasted, each with what it does. */
  readonly examples?: readonly { readonly line: string; readonly does: string }[];
  /** Resolves to the exit code. Errors of the catalogue are printed by the caller. */
  run(invocation: Invocation): Promise<number>;
}

export interface Invocation {
  readonly positionals: readonly string[];
  readonly options: Options;
  readonly terminal: Terminal;
}

/** Reads parsed flags; refuses values outside their range by name. */
export interface Options {
  string(name: string): string | undefined;
  strings(name: string): readonly string[];
  boolean(name: string): boolean;
  /** A whole number within the range, else a USAGE error naming flag and range. */
  integer(name: string, range: { readonly minimum: number; readonly maximum: number }): number | undefined;
  number(name: string, range: { readonly minimum: number; readonly maximum: number }): number | undefined;
  oneOf<const T extends string>(name: string, allowed: readonly T[]): T | undefined;
}
