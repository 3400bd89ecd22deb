import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What a test may need of the machine beyond Node and npm. */
export type Need =
  | 'java'
  | 'maven'
  | 'python'
  | 'openssl'
  | 'git'
  | 'go'
  | 'aws-cli-2'
  | 'bubblewrap'
  | 'curl'
  | 'chromium';

const firstLine = (command: string, args: string[]): string | undefined => {
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 });
  if (result.status !== 0) return undefined;
  return `${result.stdout}\n${result.stderr}`.trim().split('\n')[0] ?? '';
};

/** Each check returns what is missing, or undefined. */
const checks: Record<Need, () => string | undefined> = {
  java: () => {
    const line = firstLine('java', ['-version']);
    if (line === undefined) return 'Java 17 or newer (no "java" in PATH)';
    const major = Number(/"(\d+)/.exec(line)?.[1] ?? 0);
    return major >= 17 ? undefined : `Java 17 or newer (found: ${line})`;
  },
  maven: () => (firstLine('mvn', ['-v']) === undefined ? 'Maven (no "mvn" in PATH)' : undefined),
  python: () => {
    const probe = 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])';
    const line = firstLine('python3', ['-c', probe]);
    if (line === undefined) return 'Python 3.9 or newer with venv (no usable "python3" in PATH)';
    const [major, minor] = line.split('.').map(Number) as [number, number];
    return major > 3 || (major === 3 && minor >= 9) ? undefined : `Python 3.9 or newer (found ${line})`;
  },
  openssl: () => (firstLine('openssl', ['version']) === undefined ? 'openssl' : undefined),
  git: () => (firstLine('git', ['--version']) === undefined ? 'git' : undefined),
  go: () => {
    const line = firstLine('go', ['version']);
    if (line === undefined) return 'Go 1.19 or newer (no "go" in PATH)';
    const minor = Number(/go1\.(\d+)/.exec(line)?.[1] ?? 0);
    return minor >= 19 ? undefined : `Go 1.19 or newer (found: ${line})`;
  },
  chromium: () => (chromium() === undefined ? 'Chromium (Debian: apt-get install chromium-headless-shell)' : undefined),
  curl: () => (firstLine('curl', ['--version']) === undefined ? 'curl' : undefined),
  bubblewrap: () =>
    firstLine('bwrap', ['--version']) === undefined ? 'bubblewrap (Debian: apt-get install bubblewrap)' : undefined,
  'aws-cli-2': () => (awsCli2() === undefined ? 'the AWS CLI, version 2 (Debian: apt-get install awscli)' : undefined),
};

/** Path of a Chromium that runs without a screen. */
export function chromium(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const names = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

/** Path of an AWS CLI of version 2: there may be one of version 1 before it in PATH. */
export function awsCli2(): string | undefined {
  const places = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'aws'));
  return [...new Set(places)].find(
    (path) => existsSync(path) && firstLine(path, ['--version'])?.startsWith('aws-cli/2') === true,
  );
}

const results = new Map<Need, string | undefined>();

/**
 * The reason to skip a test because the machine lacks something, or `false`; made for `node:test`:
 *
 *     test('reads from real Kafka', { skip: needs('java', 'maven') }, async () => { … });
 *
 * With `CI=true` a lack throws, so that the test file fails: there everything is expected to be installed.
 */
export function needs(...what: Need[]): string | false {
  for (const need of what) if (!results.has(need)) results.set(need, checks[need]());
  const missing = what.map((need) => results.get(need)).filter((reason) => reason !== undefined);
  if (missing.length === 0) return false;
  const reason = `needs ${missing.join(' and ')}`;
  if (process.env['CI'] === 'true') throw new Error(`${reason}; with CI=true this is a failure, not a skip`);
  return reason;
}

/** The repository's root. */
export const repositoryRoot = join(import.meta.dirname, '..', '..', '..');

/**
 * Path of a file of the evaluation data. It lies beside the checkout (`../shared/data`, one level further up for a
 * worktree), or where `HEADRACE_SHARED_DATA` says.
 */
export function sharedData(path: string): string {
  const named = process.env['HEADRACE_SHARED_DATA'];
  const places = named ? [named] : ['..', join('..', '..')].map((up) => join(repositoryRoot, up, 'shared', 'data'));
  return join(places.find((place) => existsSync(place)) ?? places[0]!, path);
}

/**
 * The reason to skip a test because evaluation data is not beside this checkout, or `false`. Unlike {@link needs} no
 * failure under CI: that data may not be redistributed, so a clean checkout does not have it.
 */
export function needsData(...paths: string[]): string | false {
  const missing = paths.filter((path) => !existsSync(sharedData(path)));
  return missing.length === 0 ? false : `needs evaluation data that is not here: ${missing.join(', ')}`;
}
