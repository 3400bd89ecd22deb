import type { Invocation } from '../invocation.ts';
import type { InvokeOutcome, ThrottleReason } from '../outcome.ts';

/** Runs invocations of functions whose code lives elsewhere. Never rejects: what goes wrong is an outcome. */
export interface Backend {
  invoke(invocation: Invocation): Promise<InvokeOutcome>;
  close(): void;
}

/** What every backend's failures to reach the other end look like: not run, or unknown whether; spends no attempt. */
export const unavailable = (status: number, type: string, message: string): InvokeOutcome => ({
  kind: 'unavailable',
  status,
  type,
  message,
});

export const throttled = (reason: ThrottleReason, retryAfter: string | undefined): InvokeOutcome => {
  const seconds = Number(retryAfter);
  const known = retryAfter !== undefined && retryAfter !== '' && Number.isFinite(seconds) && seconds >= 0;
  return { kind: 'throttled', reason, ...(known ? { retryAfterMilliseconds: seconds * 1_000 } : {}) };
};

/** The kind of a function error that was told by its payload only. */
export function reasonOf(payload: Buffer): 'error' | 'timeout' | 'exit' | 'response-too-large' {
  // A payload of any size: the type stands near an end, and only the platform's own are looked for.
  if (payload.length > 4_096) return 'error';
  const text = payload.toString();
  if (text.includes('"Sandbox.Timedout"') || / Task timed out after \d+\.\d\d seconds"/.test(text)) return 'timeout';
  if (text.includes('"Runtime.ExitError"')) return 'exit';
  if (text.includes('"Function.ResponseSizeTooLarge"')) return 'response-too-large';
  return 'error';
}
