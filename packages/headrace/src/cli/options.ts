import { parseArgs } from 'node:util';
import { HeadraceError } from '../errors.ts';
import type { Command, Options } from './command.ts';

const usage = (message: string): HeadraceError => new HeadraceError('USAGE', message);

/** Splits the words after a command's name; throws USAGE naming the word that is wrong. */
export function parseWords(
  command: Command,
  words: readonly string[],
): { readonly options: Options; readonly positionals: readonly string[] } {
  const specification: Record<string, { type: 'string' | 'boolean'; multiple?: boolean; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  };
  for (const [name, option] of Object.entries(command.options)) {
    specification[name] = { type: option.type };
    if (option.multiple) specification[name].multiple = true;
    if (option.short) specification[name].short = option.short;
  }
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...words], options: specification, allowPositionals: true, strict: true });
  } catch (error) {
    throw usage(wordMessage(error, Object.keys(specification)));
  }
  const names = command.positionals ?? [];
  const required = names.filter((name) => !name.startsWith('[')).length;
  const takesRest = names.at(-1)?.includes('…') ?? false;
  if (parsed.positionals.length < required) {
    const name = names[parsed.positionals.length]!;
    // In capitals it stands for something, else it is the word itself.
    throw usage(name === name.toUpperCase() ? `${name} is missing` : `the word "${name}" is missing`);
  }
  if (parsed.positionals.length > names.length && !takesRest) {
    throw usage(`unexpected word "${parsed.positionals[names.length]}"`);
  }
  return { options: new ParsedOptions(parsed.values), positionals: parsed.positionals };
}

function wordMessage(error: unknown, names: readonly string[]): string {
  const message = error instanceof Error ? error.message : String(error);
  const unknown = /^Unknown option '(-+)([^']*)'/.exec(message);
  if (unknown) {
    const near = names.find((name) => name.startsWith(unknown[2]!.slice(0, 3)) || unknown[2]!.startsWith(name));
    return `unknown flag ${unknown[1]}${unknown[2]}${near ? `; did you mean --${near}?` : ''}`;
  }
  const valueless = /^Option '(?:-\w, )?(--?[\w-]+)[^']*' argument (is ambiguous|missing)/.exec(message);
  if (valueless) {
    const [, flag, why] = valueless;
    return `${flag} needs a value${why === 'missing' ? '' : '; to give one that begins with a dash: --FLAG=VALUE'}`;
  }
  return message.split('. ')[0]!.split('\n')[0]!;
}

class ParsedOptions implements Options {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  string(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  strings(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : [];
  }

  boolean(name: string): boolean {
    return this.#values[name] === true;
  }

  integer(name: string, range: { minimum: number; maximum: number }): number | undefined {
    const value = this.number(name, range);
    if (value !== undefined && !Number.isInteger(value)) throw this.#outside(name, range, 'a whole number');
    return value;
  }

  number(name: string, range: { minimum: number; maximum: number }): number | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (!(value >= range.minimum && value <= range.maximum)) throw this.#outside(name, range, 'a number');
    return value;
  }

  oneOf<const T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    const found = allowed.find((each) => each === text);
    if (found === undefined) throw usage(`--${name} must be one of ${allowed.join(', ')}; it is "${text}"`);
    return found;
  }

  #outside(name: string, range: { minimum: number; maximum: number }, what: string): HeadraceError {
    return usage(`--${name} must be ${what} from ${range.minimum} to ${range.maximum}; it is "${this.string(name)}"`);
  }
}
