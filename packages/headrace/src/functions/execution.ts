import { functionInvocationChannel } from '../telemetry/channels.ts';
import type { Invocation } from './invocation.ts';
import type { InvokeOutcome } from './outcome.ts';
import type { EndStatus, ReportFigures } from './system-log.ts';

type FailureReason = Extract<InvokeOutcome, { kind: 'function-error' }>['reason'];
type ExecutedOutcome = Extract<InvokeOutcome, { kind: 'success' | 'function-error' }>;

/** One invocation in its environment, from its begin to the REPORT. It has one outcome: the first. */
export class Execution {
  readonly invocation: Invocation;
  /** The first of its environment. */
  readonly coldStart: boolean;
  /** Of the initialisation right before; only the invocation after it reports it. */
  readonly #initMilliseconds: number | undefined;
  /** Milliseconds of the monotonic clock. */
  readonly startedAt = performance.now();
  #end: EndStatus = { status: 'success' };
  #outcome: ExecutedOutcome | undefined;
  /** START is in the log. */
  started = false;
  /** It is over, and extensions have their last moment. */
  resetting = false;

  constructor(invocation: Invocation, coldStart: boolean, initMilliseconds: number | undefined) {
    this.invocation = invocation;
    this.coldStart = coldStart;
    this.#initMilliseconds = initMilliseconds;
  }

  get outcome(): ExecutedOutcome | undefined {
    return this.#outcome;
  }

  succeed(payload: Buffer): void {
    if (this.#outcome !== undefined) return;
    const { requestId, version } = this.invocation;
    const durationMilliseconds = performance.now() - this.startedAt;
    this.#settle({ kind: 'success', requestId, executedVersion: version.version, payload, durationMilliseconds });
  }

  fail(reason: FailureReason, end: EndStatus, payload: Buffer): void {
    if (this.#outcome !== undefined) return;
    this.#end = end;
    const { requestId, version } = this.invocation;
    const durationMilliseconds = performance.now() - this.startedAt;
    this.#settle({
      kind: 'function-error',
      functionError: 'Unhandled',
      reason,
      requestId,
      executedVersion: version.version,
      payload,
      durationMilliseconds,
    });
  }

  #settle(outcome: ExecutedOutcome): void {
    this.#outcome = outcome;
    const { version, logTail, settle } = this.invocation;
    if (functionInvocationChannel.hasSubscribers) {
      functionInvocationChannel.publish({
        functionName: version.functionName,
        functionArn: version.functionArn,
        version: version.version,
        outcome,
        durationMilliseconds: outcome.durationMilliseconds,
        coldStart: this.coldStart,
      });
    }
    // The tail ends with REPORT, which is written once the invocation is complete.
    if (!logTail) settle(outcome);
  }

  /** What END and REPORT say; undefined without an outcome. */
  report(maxMemoryMegabytes: number): ReportFigures | undefined {
    const outcome = this.#outcome;
    if (outcome === undefined) return undefined;
    return {
      ...this.#end,
      requestId: outcome.requestId,
      durationMilliseconds: outcome.durationMilliseconds,
      initMilliseconds: this.#initMilliseconds,
      maxMemoryMegabytes,
      producedBytes: outcome.payload.length,
    };
  }

  /** Gives the outcome to a caller who waits for the end of the log; undefined: nobody does. */
  get tail(): ((tail: Buffer) => void) | undefined {
    const { logTail, settle } = this.invocation;
    const outcome = this.#outcome;
    return logTail && outcome !== undefined ? (tail) => settle({ ...outcome, logTail: tail }) : undefined;
  }
}
