import { entrypointPayload, exitPayload, type ProcessExit, platformPayload, timeoutPayload } from './error-payloads.ts';
import { EntrypointError } from './launch.ts';
import type { EndStatus } from './system-log.ts';

/** Why an initialisation failed; the payload needs the request id of the invocation that it is reported to. */
export interface InitFailure extends EndStatus {
  readonly status: 'error' | 'timeout';
  readonly errorType: string;
  payload(requestId: string): Buffer;
}

/** The process could not be started. */
export function entrypointFailure(error: unknown): InitFailure {
  if (error instanceof EntrypointError && error.exitCode !== undefined) {
    return exitFailure({ code: error.exitCode, signal: null });
  }
  const message = error instanceof Error ? error.message : String(error);
  const detail = error instanceof EntrypointError ? message : `fork/exec failed: ${message}`;
  return {
    status: 'error',
    errorType: 'Runtime.InvalidEntrypoint',
    payload: (requestId) => entrypointPayload(requestId, detail),
  };
}

/** The process ended before it asked for an event. */
export function exitFailure(exit: ProcessExit): InitFailure {
  return { status: 'error', errorType: 'Runtime.ExitError', payload: (requestId) => exitPayload(requestId, exit) };
}

/** The runtime posted why. */
export function postedFailure(errorType: string, body: Buffer): InitFailure {
  return { status: 'error', errorType, payload: () => body };
}

export function initTimeout(limitMilliseconds: number): InitFailure {
  return {
    status: 'timeout',
    errorType: 'Sandbox.Timedout',
    payload: (requestId) => timeoutPayload(requestId, limitMilliseconds / 1_000),
  };
}

export function extensionFailure(errorType: string): InitFailure {
  return {
    status: 'error',
    errorType,
    payload: (requestId) => platformPayload(errorType, requestId, 'an extension of the function failed'),
  };
}
