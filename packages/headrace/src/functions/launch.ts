import { accessSync, constants, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FunctionVersion } from './definition.ts';
import { findPython } from './python.ts';

/** Folders of an environment. */
export interface Folders {
  /** The function's code: working directory and `LAMBDA_TASK_ROOT`. */
  readonly task: string;
  /** Layers merged in order, what Lambda mounts at `/opt`; absent without layers. */
  readonly layers: string | undefined;
  /** The environment's own `/tmp`. */
  readonly temporary: string;
}

export interface LaunchPlan {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Speaks over the socket pair at descriptor 3 instead of a connection to the port. */
  readonly ownRuntime: boolean;
  /** Folders beyond code and layers that the process must be able to read: an interpreter's home. */
  readonly needs: readonly string[];
  /** Started through a sandbox: the process that is seen is the sandbox's. */
  readonly sandboxed?: boolean;
}

/**
 * The process cannot be started as the function stands: what Lambda reports as `Runtime.InvalidEntrypoint`, or as the exit
 * of the shell that starts a runtime through a wrapper.
 */
export class EntrypointError extends Error {
  readonly exitCode: number | undefined;
  constructor(message: string, exitCode?: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

const asset = (name: string): string => fileURLToPath(new URL(`./bootstrap/${name}`, import.meta.url));
const nodeBootstrap = asset('node/main.mjs');
const pythonBootstrap = asset('python/bootstrap.py');

/** `nodejs22.x` → 22; undefined for other runtimes. */
const nodeRelease = (runtime: string): number | undefined => {
  const match = /^nodejs(\d+)\.x$/.exec(runtime);
  return match === null ? undefined : Number(match[1]);
};

/** Runtimes that can run on this machine; the rest is refused with the reason. */
export function unsupportedRuntime(runtime: string): string | undefined {
  if (nodeRelease(runtime) !== undefined || /^python3\.\d+$/.test(runtime) || runtime.startsWith('provided')) {
    return undefined;
  }
  return `the runtime ${runtime} does not run here; nodejs*, python3.* and provided* do`;
}

const placeholderKeys = {
  AWS_ACCESS_KEY_ID: 'headrace',
  AWS_SECRET_ACCESS_KEY: 'headrace',
  AWS_SESSION_TOKEN: 'headrace',
};

/** Whether the runtime is one of ours, which speaks over a channel of its own; else the package brings one. */
export const hasOwnRuntime = (version: FunctionVersion): boolean => !version.runtime.startsWith('provided');

/**
 * The command line and the environment of a function's process, built from an empty map: nothing of the engine's own
 * environment gets in. Order of precedence as on Lambda: reserved names win over the customer's, the customer's over
 * what may be overridden.
 */
export function planLaunch(
  version: FunctionVersion,
  folders: Folders,
  details: {
    readonly runtimeApi: string;
    readonly region: string;
    readonly logStream: string;
    readonly initializationType: 'on-demand' | 'provisioned-concurrency';
    readonly base: Readonly<Record<string, string>>;
  },
): LaunchPlan {
  const release = nodeRelease(version.runtime);
  const ownRuntime = hasOwnRuntime(version);
  const environment: Record<string, string> = {
    LANG: 'en_US.UTF-8',
    PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    TZ: ':UTC',
    AWS_XRAY_CONTEXT_MISSING: 'LOG_ERROR',
    AWS_XRAY_DAEMON_ADDRESS: '127.0.0.1:2000',
    _AWS_XRAY_DAEMON_ADDRESS: '127.0.0.1',
    _AWS_XRAY_DAEMON_PORT: '2000',
    HOME: folders.temporary,
    TMPDIR: folders.temporary,
    // A base with keys has all of theirs: long-lived ones have no token.
    ...('AWS_ACCESS_KEY_ID' in details.base ? {} : placeholderKeys),
    ...details.base,
    ...searchPaths(version, folders, release),
    ...version.environment,
    ...reserved(version, folders, details),
  };
  const wrapper = ownRuntime ? environment['AWS_LAMBDA_EXEC_WRAPPER'] : undefined;
  let words: string[];
  const needs: string[] = [];
  if (release !== undefined) {
    // One thread of our own heap's worth: the memory size is watched from outside, so that the error is Lambda's.
    words = [process.execPath, ...nodeFlags(version), nodeBootstrap, details.runtimeApi];
  } else if (!ownRuntime) {
    words = [findBootstrap(folders)];
  } else {
    const python = findPython(version.runtime);
    needs.push(...python.folders);
    words = [python.path, '-u', pythonBootstrap, details.runtimeApi];
  }
  if (wrapper !== undefined && wrapper !== '') words = [findWrapper(wrapper, folders), ...words];
  return { command: words[0]!, args: words.slice(1), environment, ownRuntime, needs };
}

/** External extensions: the executables of `/opt/extensions`, by name. */
export async function findExtensions(layers: string | undefined): Promise<string[]> {
  if (layers === undefined) return [];
  const entries = await readdir(join(layers, 'extensions'), { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

const hiddenFromExtensions =
  /^(?:_HANDLER|AWS_EXECUTION_ENV|AWS_LAMBDA_LOG_(?:GROUP|STREAM)_NAME|LAMBDA_TASK_ROOT|LAMBDA_RUNTIME_DIR|_?AWS_XRAY_.*)$/;

/** An extension's process has the runtime's environment, but for what is the runtime's only. */
export function planExtension(runtime: LaunchPlan, folders: Folders, name: string): LaunchPlan {
  const environment = Object.fromEntries(
    Object.entries(runtime.environment).filter(([key]) => !hiddenFromExtensions.test(key)),
  );
  return {
    command: join(folders.layers ?? '', 'extensions', name),
    args: [],
    environment,
    ownRuntime: false,
    needs: [],
  };
}

function nodeFlags(version: FunctionVersion): string[] {
  // As Lambda does: the heap may grow to what is left of the memory size.
  const heap = Math.max(64, Math.floor(version.memorySizeMegabytes * 0.9));
  return [`--max-old-space-size=${heap}`, '--disable-warning=ExperimentalWarning'];
}

function searchPaths(version: FunctionVersion, folders: Folders, release: number | undefined): Record<string, string> {
  const layers = folders.layers;
  const paths: Record<string, string> = {};
  const libraries = [folders.task, join(folders.task, 'lib')];
  if (layers !== undefined) {
    libraries.push(join(layers, 'lib'));
    paths['PATH'] = [process.env['PATH'] ?? '/usr/bin:/bin', join(layers, 'bin')].join(delimiter);
  }
  paths['LD_LIBRARY_PATH'] = libraries.join(delimiter);
  if (release !== undefined) {
    const places =
      layers === undefined
        ? []
        : [join(layers, `nodejs/node${release}/node_modules`), join(layers, 'nodejs/node_modules')];
    paths['NODE_PATH'] = [...places, folders.task].join(delimiter);
  } else if (version.runtime.startsWith('python')) {
    const places =
      layers === undefined ? [] : [join(layers, 'python'), join(layers, `python/lib/${version.runtime}/site-packages`)];
    if (places.length > 0) paths['PYTHONPATH'] = places.join(delimiter);
  }
  return paths;
}

function reserved(
  version: FunctionVersion,
  folders: Folders,
  details: Parameters<typeof planLaunch>[2],
): Record<string, string> {
  const values: Record<string, string> = {
    _HANDLER: version.handler,
    AWS_REGION: details.region,
    AWS_DEFAULT_REGION: details.region,
    AWS_LAMBDA_FUNCTION_NAME: version.functionName,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(version.memorySizeMegabytes),
    AWS_LAMBDA_FUNCTION_VERSION: version.version,
    AWS_LAMBDA_INITIALIZATION_TYPE: details.initializationType,
    AWS_LAMBDA_LOG_GROUP_NAME: version.logging.logGroup,
    AWS_LAMBDA_LOG_STREAM_NAME: details.logStream,
    AWS_LAMBDA_RUNTIME_API: details.runtimeApi,
    LAMBDA_TASK_ROOT: folders.task,
    LAMBDA_RUNTIME_DIR: fileURLToPath(new URL('./bootstrap', import.meta.url)),
  };
  if (!version.runtime.startsWith('provided')) values['AWS_EXECUTION_ENV'] = `AWS_Lambda_${version.runtime}`;
  if (version.logging.format === 'JSON') {
    values['AWS_LAMBDA_LOG_FORMAT'] = 'JSON';
    if (version.logging.applicationLevel !== undefined)
      values['AWS_LAMBDA_LOG_LEVEL'] = version.logging.applicationLevel;
  }
  return values;
}

/** A path as the function writes it (`/opt/wrapper.sh`, `/var/task/x`) where it lies on this machine. */
function realPath(path: string, folders: Folders): string {
  if (path.startsWith('/opt/') && folders.layers !== undefined) return join(folders.layers, path.slice(5));
  if (path.startsWith('/var/task/')) return join(folders.task, path.slice(10));
  return path;
}

function findWrapper(wrapper: string, folders: Folders): string {
  const path = realPath(wrapper, folders);
  const there = statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  // As a shell says it.
  if (!there) throw new EntrypointError(`${wrapper}: No such file or directory`, 127);
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new EntrypointError(`${wrapper}: Permission denied`, 126);
  }
  return path;
}

function findBootstrap(folders: Folders): string {
  const places = [join(folders.task, 'bootstrap')];
  if (folders.layers !== undefined) places.push(join(folders.layers, 'bootstrap'));
  for (const place of places) {
    if (statSync(place, { throwIfNoEntry: false })?.isFile() !== true) continue;
    try {
      accessSync(place, constants.X_OK);
    } catch {
      throw new EntrypointError(`fork/exec ${place}: permission denied`);
    }
    return place;
  }
  throw new EntrypointError(`Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]`);
}
