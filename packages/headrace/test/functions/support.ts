import { rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { temporaryFolder } from '@headrace/testing';
import type { FunctionEngine, FunctionEngineOptions, FunctionVersion } from '../../src/functions/definition.ts';
import { createFunctionEngine } from '../../src/functions/engine.ts';
import type { InvokeOptions, InvokeOutcome } from '../../src/functions/outcome.ts';

export const region = 'eu-central-1';
export const accountId = '123456789012';
export const arnOf = (name: string): string => `arn:aws:lambda:${region}:${accountId}:function:${name}`;

export type VersionChanges = Partial<Omit<FunctionVersion, 'logging'>> & {
  logging?: Partial<FunctionVersion['logging']>;
};

/** A version with Lambda's defaults, changed. */
export function functionVersion(name: string, changes: VersionChanges): FunctionVersion {
  return {
    functionName: name,
    functionArn: arnOf(name),
    version: '$LATEST',
    revisionId: 'first',
    runtime: 'nodejs24.x',
    handler: 'index.handler',
    memorySizeMegabytes: 256,
    timeoutSeconds: 10,
    environment: {},
    code: { kind: 'folder', path: '/nowhere' },
    layers: [],
    architecture: 'x86_64',
    ephemeralStorageMegabytes: 512,
    tracingMode: 'PassThrough',
    ...changes,
    logging: { format: 'Text', logGroup: `/aws/lambda/${name}`, ...changes.logging },
  };
}

/** An engine whose functions are written by the test; stopped at the test's end. */
export class Workbench {
  readonly engine: FunctionEngine;
  readonly directory: string;
  readonly #functions = new Map<string, FunctionVersion>();

  constructor(directory: string, options: Partial<FunctionEngineOptions>) {
    this.directory = directory;
    this.engine = createFunctionEngine({
      resolve: (reference) => {
        const [name, qualifier] = reference.split(':');
        const version = this.#functions.get(`${name}:${qualifier ?? '$LATEST'}`);
        if (version === undefined) return { kind: 'not-found', message: `Function not found: ${arnOf(reference)}` };
        const invokedFunctionArn =
          qualifier === undefined ? version.functionArn : `${version.functionArn}:${qualifier}`;
        return { kind: 'found', version, invokedFunctionArn };
      },
      dataDirectory: join(directory, 'data'),
      region,
      accountId,
      baseEnvironment: () => ({}),
      ...options,
    });
  }

  /** Call it in a test, or at the top of a file for all of its tests. */
  static async start(options: Partial<FunctionEngineOptions> = {}): Promise<Workbench> {
    const bench = new Workbench(temporaryFolder('functions'), options);
    await bench.engine.start();
    after(async () => {
      await bench.engine.stop();
      rmSync(bench.directory, { recursive: true, force: true });
    });
    return bench;
  }

  /** Writes files into a folder of their own and makes a function of it. */
  async add(name: string, files: Record<string, string>, changes: VersionChanges = {}): Promise<FunctionVersion> {
    const path = join(this.directory, 'code', name, String(changes.revisionId ?? 'first'));
    await writeFiles(path, files);
    return this.set(functionVersion(name, { code: { kind: 'folder', path }, ...changes }));
  }

  set(version: FunctionVersion): FunctionVersion {
    this.#functions.set(`${version.functionName}:${version.version}`, version);
    return version;
  }

  delete(name: string): void {
    for (const key of [...this.#functions.keys()]) if (key.startsWith(`${name}:`)) this.#functions.delete(key);
  }

  invoke(reference: string, event: unknown = {}, options?: InvokeOptions): Promise<InvokeOutcome> {
    return this.engine.invoke(reference, Buffer.from(JSON.stringify(event)), options);
  }

  /** The result of an invocation that must succeed, parsed. */
  async result(reference: string, event: unknown = {}, options?: InvokeOptions): Promise<unknown> {
    const outcome = await this.invoke(reference, event, options);
    if (outcome.kind !== 'success') throw new Error(`invocation failed: ${describe(outcome)}`);
    return JSON.parse(outcome.payload.toString());
  }

  /** The error payload of an invocation that must fail in the function, parsed. */
  async failure(reference: string, event: unknown = {}): Promise<FailurePayload & { reason: string }> {
    const outcome = await this.invoke(reference, event);
    if (outcome.kind !== 'function-error') throw new Error(`no function error: ${describe(outcome)}`);
    return { ...JSON.parse(outcome.payload.toString()), reason: outcome.reason };
  }
}

export interface FailurePayload {
  errorType: string;
  errorMessage: string;
  trace?: string[];
  stackTrace?: string[];
  requestId?: string;
}

export async function writeFiles(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text, { mode: text.startsWith('#!') ? 0o755 : 0o644 });
  }
}

export function describe(outcome: InvokeOutcome): string {
  return 'payload' in outcome ? `${outcome.kind} ${outcome.payload.toString()}` : JSON.stringify(outcome);
}
