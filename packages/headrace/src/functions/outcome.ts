/**
 * What `invoke` gives back: a value, never an exception. Mappings, asynchronous invocation and the REST API know
 * functions only by this.
 */

/** `Reason` of Lambda's `TooManyRequestsException` (API_Invoke). */
export type ThrottleReason =
  | 'ConcurrentInvocationLimitExceeded'
  | 'FunctionInvocationRateLimitExceeded'
  | 'ReservedFunctionConcurrentInvocationLimitExceeded'
  | 'ReservedFunctionInvocationRateLimitExceeded'
  | 'CallerRateLimitExceeded'
  | 'ConcurrentSnapshotCreateLimitExceeded';

interface Executed {
  /** Equals `awsRequestId` in the handler. */
  readonly requestId: string;
  /** `$LATEST` or the number of the version that ran. */
  readonly executedVersion: string;
  /** The answer's bytes as the function posted them. Owned by the receiver. */
  readonly payload: Buffer;
  readonly durationMilliseconds: number;
  /** The last 4 KB of the invocation's log; only when asked for with `logTail`. */
  readonly logTail?: Buffer;
}

export type InvokeOutcome =
  | (Executed & { readonly kind: 'success' })
  /** The handler threw, timed out, exited, ran out of memory or answered too much. Spends a retry attempt. */
  | (Executed & {
      readonly kind: 'function-error';
      readonly functionError: 'Unhandled';
      readonly reason: 'error' | 'timeout' | 'exit' | 'memory' | 'response-too-large' | 'init';
    })
  /** Not run: over a concurrency limit (429). Spends no attempt. */
  | { readonly kind: 'throttled'; readonly reason: ThrottleReason; readonly retryAfterMilliseconds?: number }
  /** Not run: the event is over 6,291,456 bytes (413). */
  | { readonly kind: 'too-large'; readonly limitBytes: number }
  /** Not run: function, version or alias does not exist (404). */
  | { readonly kind: 'not-found'; readonly message: string }
  /** Not run, or unknown whether it ran: service errors, 5xx, a backend that cannot be reached. Spends no attempt. */
  | { readonly kind: 'unavailable'; readonly status: number; readonly type: string; readonly message: string };

export interface InvokeOptions {
  /** Ask for the last 4 KB of log. Default false. */
  readonly logTail?: boolean;
  /** Base64 JSON given through as client context. */
  readonly clientContext?: string;
  /** `X-Amzn-Trace-Id`, passed through. */
  readonly traceHeader?: string;
  /** Chosen by the caller when it has handed one out already (asynchronous invocation). Default: a new UUID. */
  readonly requestId?: string;
  /**
   * So many bytes before the payload, in the same `ArrayBuffer`, may be overwritten: head and payload then leave in one
   * piece, without a copy. Default 0.
   */
  readonly headRoomBytes?: number;
  /** Ends the wait of the caller; the function may still run to its end. */
  readonly signal?: AbortSignal;
}

/**
 * Invokes synchronously. `functionRef` is any form Lambda accepts: name, partial or full ARN, with or without qualifier.
 * `payload` is the event's JSON bytes; it must not change until the promise settles and is not kept after. Never rejects.
 */
export type Invoke = (functionRef: string, payload: Uint8Array, options?: InvokeOptions) => Promise<InvokeOutcome>;

/** Tells that so many more invocations of the function will soon run at the same time. */
export type Warm = (functionRef: string, environments: number) => void;
