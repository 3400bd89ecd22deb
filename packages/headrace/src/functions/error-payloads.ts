// Error payloads that the platform itself produces, byte for byte as recorded (member order included).

/** Longest event of a synchronous invocation, bytes. */
export const requestPayloadLimit = 6_291_456;
/** Longest answer: 6 MiB and 100 bytes. */
export const responsePayloadLimit = 6_291_556;
/** Longest streamed answer. */
export const streamedPayloadLimit = 200 * 1_048_576;

const payload = (errorType: string, errorMessage: string): Buffer =>
  Buffer.from(JSON.stringify({ errorType, errorMessage }));

export function timeoutPayload(requestId: string, timeoutSeconds: number): Buffer {
  return payload(
    'Sandbox.Timedout',
    `RequestId: ${requestId} Error: Task timed out after ${timeoutSeconds.toFixed(2)} seconds`,
  );
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const signalNames: Readonly<Record<string, string>> = {
  SIGKILL: 'killed',
  SIGTERM: 'terminated',
  SIGSEGV: 'segmentation fault',
  SIGABRT: 'aborted',
  SIGBUS: 'bus error',
  SIGFPE: 'floating point exception',
  SIGILL: 'illegal instruction',
  SIGINT: 'interrupt',
  SIGHUP: 'hangup',
  SIGQUIT: 'quit',
  SIGPIPE: 'broken pipe',
  SIGTRAP: 'trace/breakpoint trap',
  SIGSYS: 'bad system call',
};

/** How Lambda words the end of a process, without the request id. */
function exitMessage(exit: ProcessExit): string {
  if (exit.signal !== null) return `Runtime exited with error: signal: ${signalNames[exit.signal] ?? exit.signal}`;
  if (exit.code === 0) return 'Runtime exited without providing a reason';
  return `Runtime exited with error: exit status ${exit.code}`;
}

export function exitPayload(requestId: string, exit: ProcessExit): Buffer {
  return payload('Runtime.ExitError', `RequestId: ${requestId} Error: ${exitMessage(exit)}`);
}

/** The process could not be started at all: no `bootstrap`, not executable. */
export function entrypointPayload(requestId: string, detail: string): Buffer {
  return payload('Runtime.InvalidEntrypoint', `RequestId: ${requestId} Error: ${detail}`);
}

export function responseTooLargePayload(): Buffer {
  const text = `Response payload size exceeded maximum allowed payload size (${responsePayloadLimit} bytes).`;
  return Buffer.from(JSON.stringify({ errorMessage: text, errorType: 'Function.ResponseSizeTooLarge' }));
}

export function platformPayload(errorType: string, requestId: string, detail: string): Buffer {
  return payload(errorType, `RequestId: ${requestId} Error: ${detail}`);
}
