import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve as resolvePath } from 'node:path';
import { functionInvocationChannel } from '../telemetry/channels.ts';
import { AwsBackend } from './backends/aws.ts';
import type { Backend } from './backends/backend.ts';
import { HttpBackend } from './backends/http.ts';
import { CodeStore } from './code-store.ts';
import { Concurrency } from './concurrency.ts';
import type {
  EnvironmentSnapshot,
  FunctionEngine,
  FunctionEngineOptions,
  FunctionVersion,
  ResponseStreamSink,
} from './definition.ts';
import { requestPayloadLimit } from './error-payloads.ts';
import type { Invocation } from './invocation.ts';
import { LogFiles } from './log-files.ts';
import type { InvokeOptions, InvokeOutcome } from './outcome.ts';
import { Pool, type PoolOptions } from './pool.ts';
import { ProcessGuard } from './process-guard.ts';
import { newTraceHeader, parseClientContext } from './request-fields.ts';
import { requireSandbox } from './sandbox.ts';

/** Lambda's account limit of concurrent executions. */
const defaultAccountConcurrency = 1_000;
const defaultIdleTimeoutMilliseconds = 300_000;
const watchMilliseconds = 100;
const reapMilliseconds = 1_000;

/** The pools of one version: the one that takes invocations, and older revisions that still run theirs to the end. */
interface VersionPools {
  current: Pool;
}

/** Makes a function engine; nothing runs before `start`. */
export function createFunctionEngine(options: FunctionEngineOptions): FunctionEngine {
  return new Engine(options);
}

class Engine implements FunctionEngine {
  readonly #options: FunctionEngineOptions;
  readonly #concurrency: Concurrency;
  readonly #functions = new Map<string, Map<string, VersionPools>>();
  readonly #retired = new Set<Pool>();
  readonly #guard = new ProcessGuard();
  #code: CodeStore | undefined;
  #logs: LogFiles | undefined;
  #http: Backend | undefined;
  #aws: Backend | undefined;
  #directory = '';
  #temporaryDirectory: string | undefined;
  #watch: NodeJS.Timeout | undefined;
  #reap: NodeJS.Timeout | undefined;
  #stopped = false;
  #running = 0;
  #whenQuiet: (() => void) | undefined;

  constructor(options: FunctionEngineOptions) {
    this.#options = options;
    this.#concurrency = new Concurrency(options.accountConcurrency ?? defaultAccountConcurrency);
  }

  async start(): Promise<void> {
    if (this.#options.sandbox === true) requireSandbox();
    if (this.#options.dataDirectory === undefined) {
      this.#temporaryDirectory = await mkdtemp(join(tmpdir(), 'headrace-functions-'));
    }
    this.#directory = this.#temporaryDirectory ?? join(this.#options.dataDirectory!, 'functions');
    this.#code = new CodeStore(join(this.#directory, 'code'));
    this.#logs = new LogFiles(this.logDirectory);
    // What a crash left behind: folders of environments that are long gone.
    await rm(join(this.#directory, 'tmp'), { recursive: true, force: true });
    await this.#code.start();
    this.#watch = setInterval(() => this.#each((pool) => pool.watchMemory('working')), watchMilliseconds).unref();
    this.#reap = setInterval(() => {
      const now = performance.now();
      this.#each((pool) => {
        pool.reap(now);
        pool.watchMemory('all');
      });
    }, reapMilliseconds).unref();
    for (const [functionName, version] of this.#concurrency.allProvisioned()) this.#provision(functionName, version);
  }

  get logDirectory(): string {
    return join(this.#options.dataDirectory ?? this.#directory, 'logs');
  }

  readonly invoke = (functionRef: string, payload: Uint8Array, options?: InvokeOptions): Promise<InvokeOutcome> =>
    this.#invoke(functionRef, payload, options, undefined);

  invokeWithResponseStream(
    functionRef: string,
    payload: Uint8Array,
    sink: ResponseStreamSink,
    options?: InvokeOptions,
  ): Promise<InvokeOutcome> {
    return this.#invoke(functionRef, payload, options, sink);
  }

  #invoke(
    functionRef: string,
    payload: Uint8Array,
    options: InvokeOptions | undefined,
    sink: ResponseStreamSink | undefined,
  ): Promise<InvokeOutcome> {
    if (payload.length > requestPayloadLimit)
      return Promise.resolve({ kind: 'too-large', limitBytes: requestPayloadLimit });
    if (this.#stopped || this.#code === undefined)
      return Promise.resolve(unavailable('The function engine is not running.'));
    const resolved = this.#options.resolve(functionRef);
    if (resolved.kind === 'not-found') return Promise.resolve(resolved);
    if (resolved.kind === 'not-ready') {
      return Promise.resolve({
        kind: 'unavailable',
        status: resolved.status,
        type: resolved.type,
        message: resolved.message,
      });
    }
    const { version } = resolved;
    const throttled = this.#concurrency.take(version.functionName, version.version);
    if (throttled !== undefined)
      return Promise.resolve({ kind: 'throttled', reason: throttled, retryAfterMilliseconds: 1_000 });
    this.#running++;
    return new Promise<InvokeOutcome>((resolve) => {
      let settled = false;
      const give = (): void => {
        this.#concurrency.give(version.functionName, version.version);
        if (--this.#running === 0) this.#whenQuiet?.();
      };
      const invocation: Invocation = {
        requestId: options?.requestId ?? randomUUID(),
        version,
        invokedFunctionArn: resolved.invokedFunctionArn,
        payload: payload.length === 0 ? emptyEvent : payload,
        headRoomBytes: payload.length === 0 ? 0 : (options?.headRoomBytes ?? 0),
        clientContext: parseClientContext(options?.clientContext),
        traceHeader: options?.traceHeader ?? newTraceHeader(),
        logTail: options?.logTail === true,
        sink,
        settle: (outcome) => {
          give();
          if (settled) return;
          settled = true;
          resolve(outcome);
        },
      };
      const backend = this.#backend(version);
      const pool = backend === undefined ? this.#pool(version) : undefined;
      const signal = options?.signal;
      if (signal !== undefined) {
        const abort = (): void => {
          if (settled) return;
          settled = true;
          // Still waiting for an environment: it need not run at all.
          if (pool?.forget(invocation) === true) give();
          resolve(unavailable('The caller ended the wait.'));
        };
        if (signal.aborted) {
          settled = true;
          give();
          resolve(unavailable('The caller ended the wait.'));
          return;
        }
        signal.addEventListener('abort', abort, { once: true });
        const settle = invocation.settle;
        invocation.settle = (outcome) => {
          signal.removeEventListener('abort', abort);
          settle(outcome);
        };
      }
      if (pool !== undefined) pool.run(invocation);
      else void backend!.invoke(invocation).then((outcome) => this.#backendEnded(invocation, outcome));
    });
  }

  readonly warm = (functionRef: string, environments: number): void => {
    if (this.#stopped || this.#code === undefined) return;
    const resolved = this.#options.resolve(functionRef);
    if (resolved.kind !== 'found' || this.#backend(resolved.version) !== undefined) return;
    const { version } = resolved;
    const free = this.#concurrency.free(version.functionName, version.version);
    this.#pool(version).warm(Math.min(environments, free));
  };

  refresh(functionName: string): void {
    const versions = this.#functions.get(functionName);
    if (versions === undefined) return;
    for (const [name, pools] of versions) {
      const resolved = this.#options.resolve(`${functionName}:${name}`);
      if (resolved.kind !== 'found' || resolved.version.revisionId === pools.current.version.revisionId) continue;
      this.#replace(pools, resolved.version);
    }
  }

  recycle(): void {
    for (const versions of this.#functions.values()) {
      for (const pools of versions.values()) this.#replace(pools, pools.current.version);
    }
  }

  remove(functionName: string): void {
    for (const pools of this.#functions.get(functionName)?.values() ?? []) this.#retire(pools.current);
    this.#functions.delete(functionName);
    this.#concurrency.forget(functionName);
  }

  setReservedConcurrency(functionName: string, reserved: number | undefined): void {
    this.#concurrency.reserve(functionName, reserved);
  }

  setProvisionedConcurrency(functionName: string, version: string, provisioned: number): void {
    this.#concurrency.provision(functionName, version, provisioned);
    // Before the start nothing can run, and the registry may not be complete; `start` makes up for it.
    if (this.#code !== undefined) this.#provision(functionName, version);
  }

  #provision(functionName: string, name: string): void {
    const resolved = this.#options.resolve(`${functionName}:${name}`);
    if (resolved.kind !== 'found' || this.#backend(resolved.version) !== undefined) return;
    this.#pool(resolved.version).provision(this.#concurrency.provisioned(functionName, name));
  }

  snapshot(): readonly EnvironmentSnapshot[] {
    const all: EnvironmentSnapshot[] = [];
    this.#each((pool) => all.push(...pool.snapshot()));
    return all;
  }

  async stop(options: { readonly timeoutMilliseconds?: number } = {}): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#running > 0) await this.#quiet(options.timeoutMilliseconds ?? 0);
    clearInterval(this.#watch);
    clearInterval(this.#reap);
    const stops: Promise<void>[] = [];
    this.#each((pool) => stops.push(pool.stop()));
    await Promise.all(stops);
    await this.#guard.close();
    this.#functions.clear();
    this.#http?.close();
    this.#aws?.close();
    await this.#logs?.flush();
    if (this.#temporaryDirectory !== undefined) await rm(this.#temporaryDirectory, { recursive: true, force: true });
  }

  /** Waits until no invocation runs, at most that long. */
  async #quiet(timeoutMilliseconds: number): Promise<void> {
    if (timeoutMilliseconds <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMilliseconds);
      this.#whenQuiet = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #each(visit: (pool: Pool) => void): void {
    for (const versions of this.#functions.values()) for (const pools of versions.values()) visit(pools.current);
    for (const pool of this.#retired) visit(pool);
  }

  #pool(version: FunctionVersion): Pool {
    let versions = this.#functions.get(version.functionName);
    if (versions === undefined) {
      versions = new Map();
      this.#functions.set(version.functionName, versions);
    }
    let pools = versions.get(version.version);
    if (pools === undefined) {
      pools = { current: this.#newPool(version) };
      versions.set(version.version, pools);
    } else if (pools.current.version.revisionId !== version.revisionId) {
      this.#replace(pools, version);
    }
    return pools.current;
  }

  #backend(version: FunctionVersion): Backend | undefined {
    if (version.code.kind === 'http') return (this.#http ??= new HttpBackend());
    if (version.code.kind === 'aws') return (this.#aws ??= new AwsBackend());
    return undefined;
  }

  #backendEnded(invocation: Invocation, outcome: InvokeOutcome): void {
    if (functionInvocationChannel.hasSubscribers) {
      const { functionName, functionArn, version } = invocation.version;
      const durationMilliseconds = 'durationMilliseconds' in outcome ? outcome.durationMilliseconds : 0;
      functionInvocationChannel.publish({
        functionName,
        functionArn,
        version,
        outcome,
        durationMilliseconds,
        coldStart: false,
      });
    }
    invocation.settle(outcome);
  }

  #newPool(version: FunctionVersion): Pool {
    const code = this.#code!;
    const poolOptions: PoolOptions = {
      idleTimeoutMilliseconds: this.#options.idleTimeoutMilliseconds ?? defaultIdleTimeoutMilliseconds,
      prepare: async (each) => ({
        ...(await code.prepare(each)),
        temporaryRoot: join(this.#directory, 'tmp'),
        region: this.#options.region,
        base: this.#options.baseEnvironment(each),
        logs: this.#logs,
        guard: this.#guard,
        ...(this.#options.sandbox === true
          ? { hidden: [resolvePath(this.#options.dataDirectory ?? this.#directory)] }
          : {}),
      }),
    };
    return new Pool(version, poolOptions);
  }

  /**
   * From here on invocations go to environments of the new revision. As many as the old one had are started; the old
   * ones end after that, busy ones with their invocation.
   */
  #replace(pools: VersionPools, version: FunctionVersion): void {
    const old = pools.current;
    const pool = this.#newPool(version);
    pools.current = pool;
    this.#retired.add(old);
    const provisioned = this.#concurrency.provisioned(version.functionName, version.version);
    if (provisioned > 0) pool.provision(provisioned);
    pool.warm(old.size);
    void pool.warmed(Math.min(1, old.size)).then(() => this.#retire(old));
  }

  #retire(pool: Pool): void {
    this.#retired.add(pool);
    const current = this.#functions.get(pool.version.functionName)?.get(pool.version.version)?.current;
    for (const invocation of pool.retire()) {
      if (current !== undefined && current !== pool) current.run(invocation);
      else invocation.settle({ kind: 'not-found', message: `Function not found: ${invocation.invokedFunctionArn}` });
    }
    void pool.drained().then(() => this.#retired.delete(pool));
  }
}

const emptyEvent = Buffer.from('{}');

const unavailable = (message: string): InvokeOutcome => ({
  kind: 'unavailable',
  status: 503,
  type: 'ServiceException',
  message,
});
