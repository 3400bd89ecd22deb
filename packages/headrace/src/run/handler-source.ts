import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { HeadraceError } from '../errors.ts';

/** A handler on disk as Lambda would be told of it. */
export interface HandlerSource {
  /** Folder that is the code package. */
  readonly codeFolder: string;
  /** Lambda's handler string: `module.function`. */
  readonly handler: string;
  readonly runtime: string;
  /** Follows from the path: the same handler gets the same name on every run. */
  readonly functionName: string;
}

const runtimes: Readonly<Record<string, string>> = {
  '.mjs': 'nodejs24.x',
  '.cjs': 'nodejs24.x',
  '.js': 'nodejs24.x',
  '.ts': 'nodejs24.x',
  '.mts': 'nodejs24.x',
  '.py': 'python3.13',
};

/** Names that a folder's handler is looked for under, in this order. */
const usualNames = ['index', 'handler', 'app', 'lambda_function', 'main'];

const usage = (message: string): HeadraceError => new HeadraceError('USAGE', message);

/**
 * Finds the handler that a person means by a file or a folder. `handler` (`--handler`): `function` or `module.function`;
 * default: the `handler` of the module, in Python `lambda_handler` where the module defines it. `runtime` (`--runtime`)
 * overrides what follows from the extension.
 */
export function findHandler(
  path: string,
  options: { readonly handler?: string | undefined; readonly runtime?: string | undefined } = {},
): HandlerSource {
  const file = resolveFile(resolve(path));
  const extension = extname(file);
  const runtime = options.runtime ?? runtimes[extension];
  if (runtime === undefined)
    throw usage(`${path}: HANDLER must be a .mjs, .js, .ts or .py file or a folder that holds one`);
  const moduleName = basename(file, extension);
  const given = options.handler;
  const handler =
    given === undefined
      ? `${moduleName}.${extension === '.py' && definesLambdaHandler(file) ? 'lambda_handler' : 'handler'}`
      : given.includes('.')
        ? given
        : `${moduleName}.${given}`;
  const digest = createHash('sha256').update(file).digest('hex').slice(0, 8);
  const name = `${basename(dirname(file))}-${moduleName}`.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^-+/, '');
  return { codeFolder: dirname(file), handler, runtime, functionName: `${name.slice(0, 54)}-${digest}` };
}

/** The consumer group of `headrace run`: follows from handler and topic, so the next run goes on where this one stopped. */
export function runGroupId(source: HandlerSource, topic: string): string {
  return `headrace-run-${source.functionName}-${topic}`.replace(/[^ a-zA-Z0-9\-/*:_+=.@]/g, '-').slice(0, 200);
}

function resolveFile(path: string): string {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch {
    throw new HeadraceError('INPUT_UNREADABLE', `there is no handler at ${path}`);
  }
  if (!isFolder) return path;
  const files = readdirSync(path).filter((file) => extname(file) in runtimes && !file.endsWith('.d.ts'));
  for (const name of usualNames) {
    const found = files.find((file) => basename(file, extname(file)) === name);
    if (found !== undefined) return join(path, found);
  }
  const [only] = files;
  if (files.length === 1 && only !== undefined) return join(path, only);
  throw usage(
    files.length === 0
      ? `the folder ${path} holds no .mjs, .js, .ts or .py file`
      : `the folder ${path} holds ${files.length} candidates (${files.slice(0, 5).join(', ')}…); name the file`,
  );
}

function definesLambdaHandler(file: string): boolean {
  try {
    return /^(async\s+)?def\s+lambda_handler\s*\(|^lambda_handler\s*=/m.test(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new HeadraceError('INPUT_UNREADABLE', `${file} cannot be read`, { cause: error });
  }
}

/** `--from`: where a group without offsets begins. A time is ISO 8601, or milliseconds since the epoch. */
export function parseStart(
  text: string | undefined,
):
  | { readonly StartingPosition: 'TRIM_HORIZON' | 'LATEST' }
  | { readonly StartingPosition: 'AT_TIMESTAMP'; readonly StartingPositionTimestamp: Date } {
  if (text === undefined || text === 'latest') return { StartingPosition: 'LATEST' };
  if (text === 'earliest') return { StartingPosition: 'TRIM_HORIZON' };
  const time = /^\d{12,14}$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isNaN(time)) {
    throw usage(`--from must be earliest, latest, an ISO 8601 time or milliseconds since the epoch; it is "${text}"`);
  }
  if (time > Date.now()) throw usage(`--from ${text} lies in the future`);
  return { StartingPosition: 'AT_TIMESTAMP', StartingPositionTimestamp: new Date(time) };
}

/** `--env K=V` as a map; the message names the one that is wrong. */
export function parseAssignments(texts: readonly string[], flag: string): Record<string, string> {
  const result: Record<string, string> = {};
  for (const text of texts) {
    const equals = text.indexOf('=');
    if (equals < 1) throw usage(`${flag} takes NAME=VALUE; it is "${text}"`);
    result[text.slice(0, equals)] = text.slice(equals + 1);
  }
  return result;
}
