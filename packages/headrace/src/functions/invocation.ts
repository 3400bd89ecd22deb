import type { FunctionVersion, ResponseStreamSink } from './definition.ts';
import type { InvokeOutcome } from './outcome.ts';

/** One invocation on its way through the pool and an environment. */
export interface Invocation {
  readonly requestId: string;
  readonly version: FunctionVersion;
  readonly invokedFunctionArn: string;
  readonly payload: Uint8Array;
  /** See `InvokeOptions`; 0 once it was used. */
  headRoomBytes: number;
  /** JSON text, decoded already. */
  readonly clientContext: string | undefined;
  readonly traceHeader: string;
  readonly logTail: boolean;
  /** Takes a streamed answer as it comes; without one it is collected. */
  readonly sink: ResponseStreamSink | undefined;
  /** Called once, with the result as the caller gets it. */
  settle: (outcome: InvokeOutcome) => void;
}
