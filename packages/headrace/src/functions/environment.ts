import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EnvironmentSnapshot, FunctionVersion } from './definition.ts';
import { EnvironmentLog } from './environment-log.ts';
import { EnvironmentProcesses } from './environment-processes.ts';
import { exitPayload, type ProcessExit, responseTooLargePayload, timeoutPayload } from './error-payloads.ts';
import { Execution } from './execution.ts';
import { Extensions, type ExtensionsDelegate } from './extensions.ts';
import {
  entrypointFailure,
  exitFailure,
  extensionFailure,
  type InitFailure,
  initTimeout,
  postedFailure,
} from './init-failure.ts';
import { Initialization } from './initialization.ts';
import type { Invocation } from './invocation.ts';
import { type Folders, findExtensions, hasOwnRuntime, type LaunchPlan, planLaunch } from './launch.ts';
import type { LogSink } from './log-stream.ts';
import { processFigures, treeFigures } from './process-figures.ts';
import type { ProcessGuard } from './process-guard.ts';
import { RuntimeApi, type RuntimeDelegate, type StreamedResponse } from './runtime-api.ts';
import { sandboxed } from './sandbox.ts';
import { closeSocketPair, openSocketPair, type SocketPair } from './socket-pair.ts';
import { StreamedAnswer } from './streamed-answer.ts';

/** Limit of the first initialisation of an on-demand environment. */
const initLimitMilliseconds = 10_000;
/** With provisioned concurrency that limit does not apply. */
const provisionedInitLimitMilliseconds = 130_000;

/** What a shutdown may take with external extensions, and with internal ones only. Without any it takes none. */
const externalShutdownMilliseconds = 2_000;
const internalShutdownMilliseconds = 500;

export interface EnvironmentOptions {
  /** Unpacked code and layers. */
  readonly task: string;
  readonly layers: string | undefined;
  /** Where the environment's own `/tmp` is made. */
  readonly temporaryRoot: string;
  readonly region: string;
  readonly base: Readonly<Record<string, string>>;
  readonly provisioned: boolean;
  readonly logs: LogSink | undefined;
  readonly guard: ProcessGuard;
  /** Present: run in a sandbox that does not see these folders. */
  readonly hidden?: readonly string[] | undefined;
}

export interface EnvironmentOwner {
  /** Ready for the next invocation (or, after a failed initialisation, for another try inside of one). */
  idle(environment: Environment): void;
}

type Phase = 'cold' | 'initializing' | 'idle' | 'busy' | 'stopped';

/**
 * One execution environment: a Runtime API, a process that is started again after a crash or a time-out, a `/tmp` that
 * outlives the process, a log stream. Runs one invocation at a time; the result is given out when it is posted, the
 * environment is free when the runtime asks for the next event.
 */
export class Environment implements RuntimeDelegate, ExtensionsDelegate {
  readonly id = randomBytes(16).toString('hex');
  readonly version: FunctionVersion;
  readonly provisioned: boolean;
  readonly #options: EnvironmentOptions;
  readonly #owner: EnvironmentOwner;
  readonly #api: RuntimeApi;
  readonly #extensions: Extensions;
  readonly #processes: EnvironmentProcesses;
  #extensionNames: readonly string[] = [];
  readonly #log: EnvironmentLog;
  readonly #temporary: string;
  readonly #timer: NodeJS.Timeout;
  #phase: Phase = 'cold';
  /** For the next process. */
  #pair: SocketPair | undefined;
  #ready = false;
  #initialization: Initialization | undefined;
  #initMilliseconds: number | undefined;
  #current: Execution | undefined;
  #deadline = 0;
  #memoryExceeded = false;
  #maxResidentBytes = 0;
  #invocations = 0;
  idleSince = performance.now();

  constructor(version: FunctionVersion, options: EnvironmentOptions, owner: EnvironmentOwner) {
    this.version = version;
    this.provisioned = options.provisioned;
    this.#options = options;
    this.#owner = owner;
    this.#extensions = new Extensions(version, this);
    this.#api = new RuntimeApi(this, this.#extensions);
    const details = { region: options.region, initializationType: this.#initializationType, environmentId: this.id };
    this.#log = new EnvironmentLog(version, details, options.logs);
    this.#processes = new EnvironmentProcesses(options.guard, {
      output: this.#log.output,
      runtimeExited: (exit, failure) => this.#exited(exit, failure),
      extensionExited: (errorType) => this.extensionFailed(errorType),
    });
    this.#temporary = join(options.temporaryRoot, this.id);
    this.#timer = setTimeout(() => this.#timedOut(), version.timeoutSeconds * 1000);
    this.#timer.unref();
  }

  get #initializationType(): 'on-demand' | 'provisioned-concurrency' {
    return this.provisioned ? 'provisioned-concurrency' : 'on-demand';
  }

  get phase(): Phase {
    return this.#phase;
  }

  get processId(): number | undefined {
    return this.#processes.runtime?.processId;
  }

  /** The first initialisation; false when it failed, which the first invocation repeats. */
  async initialize(): Promise<boolean> {
    this.#phase = 'initializing';
    await mkdir(this.#temporary, { recursive: true, mode: 0o700 });
    // A stop that came meanwhile has removed it already.
    if (this.#stopped) {
      await rm(this.#temporary, { recursive: true, force: true });
      return false;
    }
    await this.#api.listen();
    this.#extensionNames = await findExtensions(this.#options.layers);
    const limit = this.provisioned
      ? Math.max(provisionedInitLimitMilliseconds, this.version.timeoutSeconds * 1000)
      : initLimitMilliseconds;
    await this.#openPair();
    if (this.#stopped) return false;
    const failure = await this.#startProcess('init', limit);
    if (this.#stopped) return false;
    this.#phase = failure === undefined ? 'idle' : 'cold';
    this.idleSince = performance.now();
    return failure === undefined;
  }

  get #stopped(): boolean {
    return this.#phase === 'stopped';
  }

  /** Runs one invocation; the environment must be idle or cold. Its end is told through the invocation and the owner. */
  run(invocation: Invocation): void {
    const current = new Execution(invocation, this.#invocations === 0, this.#initMilliseconds);
    this.#initMilliseconds = undefined;
    this.#current = current;
    this.#phase = 'busy';
    this.#invocations++;
    this.#deadline = Date.now() + this.version.timeoutSeconds * 1000;
    this.#timer.refresh();
    if (this.#ready) {
      this.#start(current);
      this.#deliver(invocation);
    } else {
      void this.#runCold(current);
    }
  }

  #deliver(invocation: Invocation): void {
    this.#extensions.invoke(invocation, this.#deadline);
    this.#api.deliver(invocation, this.#deadline);
  }

  /** Initialises inside of the invocation, on its time: after a crash, a time-out or a failed first initialisation. */
  async #runCold(current: Execution): Promise<void> {
    await this.#openPair();
    if (this.#current !== current || current.outcome !== undefined) return;
    const failure = await this.#startProcess('invoke', undefined);
    if (this.#current !== current || current.outcome !== undefined) return;
    this.#start(current);
    if (failure === undefined) {
      this.#deliver(current.invocation);
      return;
    }
    const end = { status: 'failure', errorType: failure.errorType } as const;
    current.fail('init', end, failure.payload(current.invocation.requestId));
    this.#complete(current);
  }

  async stop(): Promise<void> {
    if (this.#phase === 'stopped') return;
    const current = this.#current;
    this.#phase = 'stopped';
    clearTimeout(this.#timer);
    if (this.#extensions.count > 0) {
      const budget = this.#extensions.hasExternal ? externalShutdownMilliseconds : internalShutdownMilliseconds;
      this.#extensions.shutdown('spindown', Date.now() + budget);
      await this.#processes.shutDown(budget, 'SIGTERM');
    }
    this.#endProcesses();
    this.#initEnded(undefined);
    this.#current = undefined;
    this.#closePair();
    this.#log.close();
    if (current !== undefined && current.outcome === undefined) {
      current.invocation.settle({
        kind: 'unavailable',
        status: 503,
        type: 'ServiceException',
        message: 'The execution environment was stopped while the function ran.',
      });
    } else if (current?.outcome !== undefined && current.invocation.logTail) {
      // It answered and was waiting for its REPORT only.
      current.invocation.settle(current.outcome);
    }
    this.#api.close();
    await rm(this.#temporary, { recursive: true, force: true, maxRetries: 3 });
  }

  snapshot(): EnvironmentSnapshot {
    const figures = this.processId === undefined ? undefined : this.#figures(this.processId);
    const states = { cold: 'idle', initializing: 'starting', idle: 'idle', busy: 'busy', stopped: 'stopping' } as const;
    return {
      functionName: this.version.functionName,
      version: this.version.version,
      processId: this.processId,
      state: states[this.#phase],
      invocations: this.#invocations,
      ...figures,
    };
  }

  get #figures(): typeof processFigures {
    return this.#options.hidden === undefined ? processFigures : treeFigures;
  }

  /**
   * Ends a process that outgrew its memory, as the kernel does on Lambda. Called every 100 ms or so for what works, and
   * once a second for all, then with the children it forked.
   */
  watchMemory(withChildren: boolean): void {
    const pid = this.processId;
    const figures = pid === undefined ? undefined : withChildren ? treeFigures(pid) : this.#figures(pid);
    if (figures === undefined) return;
    this.#maxResidentBytes = Math.max(this.#maxResidentBytes, figures.residentBytes);
    if (figures.residentBytes > this.version.memorySizeMegabytes * 1_048_576) {
      this.#memoryExceeded = true;
      this.#processes.runtime?.killGroup('SIGKILL');
    }
  }

  // Process

  async #openPair(): Promise<void> {
    if (this.#pair !== undefined || !hasOwnRuntime(this.version)) return;
    this.#pair = await openSocketPair();
    if (this.#stopped) this.#closePair();
  }

  #closePair(): void {
    closeSocketPair(this.#pair);
    this.#pair = undefined;
  }

  #startProcess(phase: 'init' | 'invoke', limit: number | undefined): Promise<InitFailure | undefined> {
    this.#ready = false;
    this.#memoryExceeded = false;
    this.#log.initStart(phase);
    return new Promise((resolve) => {
      const initialization = new Initialization(phase, resolve);
      this.#initialization = initialization;
      const { task, layers, region, base } = this.#options;
      const folders: Folders = { task, layers, temporary: this.#temporary };
      try {
        const plan = planLaunch(this.version, folders, {
          runtimeApi: this.#api.address,
          region,
          logStream: this.#log.name,
          initializationType: this.#initializationType,
          base,
        });
        const { hidden } = this.#options;
        const contain = (each: LaunchPlan): LaunchPlan =>
          hidden === undefined ? each : sandboxed(each, folders, hidden);
        const runtime = this.#processes.start(plan, folders, this.#extensionNames, contain, this.#pair);
        this.#pair = undefined;
        this.#api.reset(runtime.channel, runtime.eventFile);
        this.#extensions.reset(this.#extensionNames);
      } catch (error) {
        this.#closePair();
        this.#initEnded(entrypointFailure(error));
        return;
      }
      if (limit === undefined) return;
      initialization.limit(limit, () => {
        this.#endProcesses();
        this.#initEnded(initTimeout(limit));
      });
    });
  }

  extensionsChanged(): void {
    this.#advance();
  }

  extensionFailed(errorType: string): void {
    if (this.#stopped) return;
    this.#endProcesses();
    const failure = extensionFailure(errorType);
    if (this.#initialization !== undefined) {
      this.#initEnded(failure);
      return;
    }
    const current = this.#current;
    if (current === undefined) {
      if (this.#phase === 'idle') this.#phase = 'cold';
      return;
    }
    current.fail('exit', { status: 'failure', errorType }, failure.payload(current.invocation.requestId));
    this.#complete(current);
  }

  #initEnded(failure: InitFailure | undefined): void {
    const initialization = this.#initialization;
    if (initialization === undefined) return;
    this.#initialization = undefined;
    const duration = initialization.end(failure);
    if (failure === undefined && initialization.phase === 'init') this.#initMilliseconds = duration;
    this.#log.initEnd(initialization.phase, failure ?? { status: 'success' }, duration);
  }

  /** Kills what runs; its exit is then nobody's concern. */
  #endProcesses(): void {
    this.#ready = false;
    this.#processes.end();
    this.#api.reset(undefined, undefined);
  }

  #exited(exit: ProcessExit, failure: Error | undefined): void {
    if (this.#stopped) return;
    const initialization = this.#initialization;
    if (initialization !== undefined) {
      this.#endProcesses();
      if (failure !== undefined) this.#initEnded(entrypointFailure(failure));
      else this.#initEnded(initialization.posted ?? exitFailure(exit));
      return;
    }
    const current = this.#current;
    if (current === undefined) {
      this.#endProcesses();
      // It ended between invocations: the next one starts it anew.
      if (this.#phase === 'idle') this.#phase = 'cold';
      return;
    }
    const reason = this.#memoryExceeded ? 'memory' : 'exit';
    const end = { status: 'failure', errorType: 'Runtime.ExitError' } as const;
    current.fail(reason, end, exitPayload(current.invocation.requestId, exit));
    this.#resetAndComplete(current, 'failure');
  }

  #timedOut(): void {
    const current = this.#current;
    if (current === undefined || current.resetting) return;
    // Timers may fire a little early and the timer is shared by all invocations: the clock decides.
    const left = current.startedAt + this.version.timeoutSeconds * 1000 - performance.now();
    if (left > 0) {
      setTimeout(() => this.#current === current && this.#timedOut(), left).unref();
      return;
    }
    if (this.#initialization !== undefined) {
      this.#endProcesses();
      this.#initEnded(initTimeout(this.version.timeoutSeconds * 1_000));
    }
    if (!current.started) this.#start(current);
    const payload = timeoutPayload(current.invocation.requestId, this.version.timeoutSeconds);
    current.fail('timeout', { status: 'timeout' }, payload);
    this.#resetAndComplete(current, 'timeout');
  }

  /**
   * After a time-out or the runtime's end: external extensions hear why and get the time of a shutdown, then nothing of
   * the processes is left and the environment is free.
   */
  #resetAndComplete(current: Execution, reason: 'timeout' | 'failure'): void {
    this.#ready = false;
    this.#api.abandon();
    const told = this.#extensions.shutdown(reason, Date.now() + externalShutdownMilliseconds);
    if (!told) {
      this.#endProcesses();
      this.#complete(current);
      return;
    }
    current.resetting = true;
    void this.#processes.shutDown(externalShutdownMilliseconds, 'SIGKILL').then(() => {
      if (this.#current !== current) return;
      this.#endProcesses();
      this.#complete(current);
    });
  }

  // What the runtime says

  runtimeNext(): void {
    this.#ready = true;
    this.#advance();
  }

  /** Initialisation and invocation are over when the runtime and all extensions have asked for more. */
  #advance(): void {
    if (!this.#ready) return;
    if (this.#initialization !== undefined) {
      if (!this.#extensions.initialized) return;
      this.#extensions.seal();
      this.#initEnded(undefined);
      return;
    }
    const current = this.#current;
    if (current?.outcome !== undefined && this.#extensions.idle) this.#complete(current);
  }

  runtimeResponse(body: Buffer): void {
    const current = this.#current;
    if (current === undefined || current.outcome !== undefined) return;
    this.#ready = false;
    current.succeed(body);
  }

  runtimeResponseTooLarge(): void {
    const current = this.#current;
    if (current === undefined || current.outcome !== undefined) return;
    this.#ready = false;
    const end = { status: 'error', errorType: 'Function.ResponseSizeTooLarge' } as const;
    current.fail('response-too-large', end, responseTooLargePayload());
  }

  runtimeError(errorType: string, body: Buffer): void {
    const current = this.#current;
    if (current === undefined || current.outcome !== undefined) return;
    this.#ready = false;
    current.fail('error', { status: 'error', errorType }, body);
  }

  runtimeInitError(errorType: string, body: Buffer): void {
    const failure = postedFailure(errorType, body);
    const initialization = this.#initialization;
    if (initialization === undefined) return;
    initialization.posted = failure;
    // The process exits by itself; its last lines of log are worth a moment.
    setTimeout(() => {
      if (this.#initialization !== initialization) return;
      this.#endProcesses();
      this.#initEnded(failure);
    }, 500).unref();
  }

  runtimeStream(head: { contentType: string }): StreamedResponse {
    const current = this.#current;
    const answer = new StreamedAnswer(current?.invocation.sink, head.contentType);
    this.#ready = false;
    return {
      data: (piece) => answer.add(piece),
      end: (error) => {
        if (current === undefined || current !== this.#current || current.outcome !== undefined) return;
        if (answer.tooLarge) {
          this.runtimeResponseTooLarge();
        } else if (error !== undefined) {
          current.fail('error', { status: 'error', errorType: error.errorType }, error.body);
        } else {
          current.succeed(answer.payload());
        }
      },
    };
  }

  // The invocation's end

  #start(current: Execution): void {
    current.started = true;
    this.#log.start(current.invocation);
  }

  /** The runtime asked for more, or is gone: END and REPORT, and the environment is free. */
  #complete(current: Execution): void {
    if (this.#maxResidentBytes === 0) this.#sampleMemory();
    const figures = current.report(Math.ceil(this.#maxResidentBytes / 1_048_576));
    if (figures === undefined) return;
    this.#current = undefined;
    this.#log.end(figures, current.tail);
    if (this.#stopped) return;
    this.#phase = this.#ready ? 'idle' : 'cold';
    this.idleSince = performance.now();
    this.#owner.idle(this);
  }

  #sampleMemory(): void {
    const pid = this.processId;
    const figures = pid === undefined ? undefined : this.#figures(pid);
    if (figures !== undefined) this.#maxResidentBytes = figures.residentBytes;
  }
}
