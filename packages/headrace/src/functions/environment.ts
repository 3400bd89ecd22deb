import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { functionInvocationChannel } from '../telemetry/channels.ts';
import type { EnvironmentSnapshot, FunctionVersion } from './definition.ts';
import { EnvironmentLog } from './environment-log.ts';
import { EnvironmentProcesses } from './environment-processes.ts';
import {
  exitPayload,
  type ProcessExit,
  responsePayloadLimit,
  responseTooLargePayload,
  streamedPayloadLimit,
  timeoutPayload,
} from './error-payloads.ts';
import { Extensions, type ExtensionsDelegate } from './extensions.ts';
import {
  entrypointFailure,
  exitFailure,
  extensionFailure,
  type InitFailure,
  initTimeout,
  postedFailure,
} from './init-failure.ts';
import type { Invocation } from './invocation.ts';
import { type Folders, findExtensions, type LaunchPlan, planLaunch } from './launch.ts';
import type { LogSink } from './log-stream.ts';
import type { InvokeOutcome } from './outcome.ts';
import { processFigures, treeFigures } from './process-figures.ts';
import type { ProcessGuard } from './process-guard.ts';
import { RuntimeApi, type RuntimeDelegate, type StreamedResponse } from './runtime-api.ts';
import { sandboxed } from './sandbox.ts';
import type { EndStatus } from './system-log.ts';

/** Limit of the first initialisation of an on-demand environment. */
const initLimitMilliseconds = 10_000;
/** With provisioned concurrency that limit does not apply. */
const provisionedInitLimitMilliseconds = 130_000;

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

interface Current {
  readonly invocation: Invocation;
  /** Milliseconds of the monotonic clock. */
  readonly startedAt: number;
  readonly coldStart: boolean;
  initMilliseconds: number | undefined;
  outcome: InvokeOutcome | undefined;
  end: EndStatus;
  started: boolean;
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
  #ready = false;
  #initialized: ((failure: InitFailure | undefined) => void) | undefined;
  #initTimer: NodeJS.Timeout | undefined;
  #initPhase: 'init' | 'invoke' = 'init';
  #initStartedAt = 0;
  #initMilliseconds: number | undefined;
  #posted: InitFailure | undefined;
  #current: Current | undefined;
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
    await this.#api.listen();
    this.#extensionNames = await findExtensions(this.#options.layers);
    const limit = this.provisioned
      ? Math.max(provisionedInitLimitMilliseconds, this.version.timeoutSeconds * 1000)
      : initLimitMilliseconds;
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
    const current: Current = {
      invocation,
      startedAt: performance.now(),
      coldStart: this.#invocations === 0,
      initMilliseconds: this.#initMilliseconds,
      outcome: undefined,
      end: { status: 'success' },
      started: false,
    };
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
  async #runCold(current: Current): Promise<void> {
    const failure = await this.#startProcess('invoke', undefined);
    if (this.#current !== current || current.outcome !== undefined) return;
    this.#start(current);
    if (failure === undefined) {
      this.#deliver(current.invocation);
      return;
    }
    current.end = { status: 'failure', errorType: failure.errorType };
    const payload = failure.payload(current.invocation.requestId);
    this.#settle(current, { kind: 'function-error', reason: 'init' }, payload);
    this.#complete(current);
  }

  async stop(): Promise<void> {
    if (this.#phase === 'stopped') return;
    const current = this.#current;
    this.#phase = 'stopped';
    clearTimeout(this.#timer);
    if (this.#extensions.count > 0) {
      // 2 s with external extensions, 500 ms with internal ones only.
      const budget = this.#extensions.hasExternal ? 2_000 : 500;
      this.#extensions.shutdown('spindown', Date.now() + budget);
      await this.#processes.shutDown(budget);
    }
    this.#endProcesses();
    this.#initEnded(undefined);
    this.#current = undefined;
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

  /** Called every 100 ms or so: ends a process that outgrew its memory, as the kernel does on Lambda. */
  watchMemory(): void {
    const pid = this.processId;
    const figures = pid === undefined ? undefined : this.#figures(pid);
    if (figures === undefined) return;
    this.#maxResidentBytes = Math.max(this.#maxResidentBytes, figures.residentBytes);
    if (figures.residentBytes > this.version.memorySizeMegabytes * 1_048_576) {
      this.#memoryExceeded = true;
      this.#processes.runtime?.killGroup('SIGKILL');
    }
  }

  // Process

  #startProcess(phase: 'init' | 'invoke', limit: number | undefined): Promise<InitFailure | undefined> {
    this.#ready = false;
    this.#posted = undefined;
    this.#memoryExceeded = false;
    this.#initPhase = phase;
    this.#initStartedAt = performance.now();
    this.#log.initStart(phase);
    return new Promise((resolve) => {
      this.#initialized = resolve;
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
        const runtime = this.#processes.start(plan, folders, this.#extensionNames, contain);
        this.#api.reset(runtime.channel);
        this.#extensions.reset(this.#extensionNames);
      } catch (error) {
        this.#initEnded(entrypointFailure(error));
        return;
      }
      if (limit !== undefined) {
        this.#initTimer = setTimeout(() => {
          this.#endProcesses();
          this.#initEnded(initTimeout(limit));
        }, limit);
      }
    });
  }

  extensionsChanged(): void {
    this.#advance();
  }

  extensionFailed(errorType: string): void {
    if (this.#stopped) return;
    this.#endProcesses();
    const failure = extensionFailure(errorType);
    if (this.#initialized !== undefined) {
      this.#initEnded(failure);
      return;
    }
    const current = this.#current;
    if (current === undefined) {
      if (this.#phase === 'idle') this.#phase = 'cold';
      return;
    }
    if (current.outcome === undefined) {
      current.end = { status: 'failure', errorType };
      this.#settle(current, { kind: 'function-error', reason: 'exit' }, failure.payload(current.invocation.requestId));
    }
    this.#complete(current);
  }

  #initEnded(failure: InitFailure | undefined): void {
    const initialized = this.#initialized;
    if (initialized === undefined) return;
    this.#initialized = undefined;
    clearTimeout(this.#initTimer);
    const duration = performance.now() - this.#initStartedAt;
    if (failure === undefined && this.#initPhase === 'init') this.#initMilliseconds = duration;
    this.#log.initReport(this.#initPhase, failure ?? { status: 'success' }, duration);
    initialized(failure);
  }

  /** Kills what runs; its exit is then nobody's concern. */
  #endProcesses(): void {
    this.#ready = false;
    this.#processes.end();
    this.#api.reset(undefined);
  }

  #exited(exit: ProcessExit, failure: Error | undefined): void {
    if (this.#stopped) return;
    this.#endProcesses();
    if (this.#initialized !== undefined) {
      if (failure !== undefined) this.#initEnded(entrypointFailure(failure));
      else this.#initEnded(this.#posted ?? exitFailure(exit));
      return;
    }
    const current = this.#current;
    if (current === undefined) {
      // It ended between invocations: the next one starts it anew.
      if (this.#phase === 'idle') this.#phase = 'cold';
      return;
    }
    if (current.outcome === undefined) {
      current.end = { status: 'failure', errorType: 'Runtime.ExitError' };
      const reason = this.#memoryExceeded ? 'memory' : 'exit';
      this.#settle(current, { kind: 'function-error', reason }, exitPayload(current.invocation.requestId, exit));
    }
    this.#complete(current);
  }

  #timedOut(): void {
    const current = this.#current;
    if (current === undefined) return;
    // Timers may fire a little early and the timer is shared by all invocations: the clock decides.
    const left = current.startedAt + this.version.timeoutSeconds * 1000 - performance.now();
    if (left > 1) {
      setTimeout(() => this.#current === current && this.#timedOut(), left).unref();
      return;
    }
    this.#endProcesses();
    this.#initEnded(initTimeout(this.version.timeoutSeconds * 1_000));
    if (!current.started) this.#start(current);
    if (current.outcome === undefined) {
      current.end = { status: 'timeout' };
      const { requestId } = current.invocation;
      this.#settle(
        current,
        { kind: 'function-error', reason: 'timeout' },
        timeoutPayload(requestId, this.version.timeoutSeconds),
      );
    }
    this.#complete(current);
  }

  // What the runtime says

  runtimeNext(): void {
    this.#ready = true;
    this.#advance();
  }

  /** Initialisation and invocation are over when the runtime and all extensions have asked for more. */
  #advance(): void {
    if (!this.#ready) return;
    if (this.#initialized !== undefined) {
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
    this.#settle(current, { kind: 'success' }, body);
  }

  runtimeResponseTooLarge(): void {
    const current = this.#current;
    if (current === undefined || current.outcome !== undefined) return;
    this.#ready = false;
    current.end = { status: 'error', errorType: 'Function.ResponseSizeTooLarge' };
    this.#settle(current, { kind: 'function-error', reason: 'response-too-large' }, responseTooLargePayload());
  }

  runtimeError(errorType: string, body: Buffer): void {
    const current = this.#current;
    if (current === undefined || current.outcome !== undefined) return;
    this.#ready = false;
    current.end = { status: 'error', errorType };
    this.#settle(current, { kind: 'function-error', reason: 'error' }, body);
  }

  runtimeInitError(errorType: string, body: Buffer): void {
    const failure = postedFailure(errorType, body);
    this.#posted = failure;
    // The process exits by itself; its last lines of log are worth a moment.
    const { runtime } = this.#processes;
    setTimeout(() => {
      if (this.#processes.runtime === runtime && this.#initialized !== undefined) {
        this.#endProcesses();
        this.#initEnded(failure);
      }
    }, 500).unref();
  }

  runtimeStream(head: { contentType: string }): StreamedResponse {
    const current = this.#current;
    const sink = current?.invocation.sink;
    const limit = sink === undefined ? responsePayloadLimit : streamedPayloadLimit;
    const pieces: Buffer[] = [];
    let length = 0;
    this.#ready = false;
    sink?.start({ contentType: head.contentType, headers: {} });
    return {
      data: (piece) => {
        length += piece.length;
        if (length > limit) return;
        if (sink === undefined) pieces.push(piece);
        else sink.write(piece);
      },
      end: (error) => {
        if (current === undefined || current !== this.#current || current.outcome !== undefined) return;
        if (length > limit) {
          this.runtimeResponseTooLarge();
        } else if (error !== undefined) {
          current.end = { status: 'error', errorType: error.errorType };
          this.#settle(current, { kind: 'function-error', reason: 'error' }, error.body);
        } else {
          this.#settle(current, { kind: 'success' }, Buffer.concat(pieces));
        }
      },
    };
  }

  // The invocation's end

  #start(current: Current): void {
    current.started = true;
    this.#log.start(current.invocation);
  }

  #settle(
    current: Current,
    how:
      | { kind: 'success' }
      | { kind: 'function-error'; reason: 'error' | 'timeout' | 'exit' | 'memory' | 'response-too-large' | 'init' },
    payload: Buffer,
  ): void {
    const { requestId, logTail } = current.invocation;
    const durationMilliseconds = performance.now() - current.startedAt;
    const executedVersion = this.version.version;
    const outcome: InvokeOutcome =
      how.kind === 'success'
        ? { kind: 'success', requestId, executedVersion, payload, durationMilliseconds }
        : {
            kind: 'function-error',
            functionError: 'Unhandled',
            reason: how.reason,
            requestId,
            executedVersion,
            payload,
            durationMilliseconds,
          };
    current.outcome = outcome;
    if (functionInvocationChannel.hasSubscribers) {
      functionInvocationChannel.publish({
        functionName: this.version.functionName,
        functionArn: this.version.functionArn,
        version: executedVersion,
        outcome,
        durationMilliseconds,
        coldStart: current.coldStart,
      });
    }
    // The tail ends with REPORT, which is written once the invocation is complete.
    if (!logTail) current.invocation.settle(outcome);
  }

  /** The runtime asked for more, or is gone: END and REPORT, and the environment is free. */
  #complete(current: Current): void {
    const outcome = current.outcome;
    if (outcome === undefined || !('payload' in outcome)) return;
    this.#current = undefined;
    if (this.#maxResidentBytes === 0) this.#sampleMemory();
    const { logTail, settle } = current.invocation;
    this.#log.end(
      {
        ...current.end,
        requestId: outcome.requestId,
        durationMilliseconds: outcome.durationMilliseconds,
        initMilliseconds: current.initMilliseconds,
        maxMemoryMegabytes: Math.ceil(this.#maxResidentBytes / 1_048_576),
        producedBytes: outcome.payload.length,
      },
      logTail ? (tail) => settle({ ...outcome, logTail: tail }) : undefined,
    );
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
