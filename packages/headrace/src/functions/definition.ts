import type { Invoke, InvokeOptions, InvokeOutcome, Warm } from './outcome.ts';

/** Everything that is needed to run one version of a function. Immutable: a change makes a new object. */
export interface FunctionVersion {
  readonly functionName: string;
  /** Unqualified ARN. */
  readonly functionArn: string;
  /** `$LATEST` or a number as text. */
  readonly version: string;
  /** Changes whenever code or configuration does: environments of another revision are not used any more. */
  readonly revisionId: string;
  /** `nodejs22.x`, `python3.12`, `provided.al2023`... */
  readonly runtime: string;
  readonly handler: string;
  readonly memorySizeMegabytes: number;
  readonly timeoutSeconds: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly code: FunctionCode;
  /** Zip files of the layers in merge order. */
  readonly layers: readonly { readonly zipFile: string }[];
  readonly architecture: 'x86_64' | 'arm64';
  readonly ephemeralStorageMegabytes: number;
  readonly logging: {
    readonly format: 'Text' | 'JSON';
    readonly applicationLevel?: 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' | 'FATAL';
    readonly systemLevel?: 'DEBUG' | 'INFO' | 'WARN';
    /** `/aws/lambda/NAME` unless told otherwise. */
    readonly logGroup: string;
  };
  readonly tracingMode: 'Active' | 'PassThrough';
}

export type FunctionCode =
  /** A code package as uploaded; `sha256` (hex) names it in the code store. */
  | { readonly kind: 'zip'; readonly zipFile: string; readonly sha256: string }
  /**
   * A folder used in place, named by a client (`S3Bucket: hot-reload`), as `headrace run` does: nothing is copied, so
   * imports from above the folder work. An edit is taken when UpdateFunctionCode names the folder again: a new revision.
   */
  | { readonly kind: 'folder'; readonly path: string }
  /** Code that lives elsewhere: an HTTP(S) endpoint or a real AWS Lambda function. */
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'aws'; readonly arn: string };

/** The invoked ARN and the version that a reference stands for; the API's registry implements it (aliases, weights). */
export type ResolveFunction = (functionRef: string) =>
  | { readonly kind: 'found'; readonly version: FunctionVersion; readonly invokedFunctionArn: string }
  | { readonly kind: 'not-found'; readonly message: string }
  /** Pending, failed or inactive: 409 or 502 on the REST door. */
  | { readonly kind: 'not-ready'; readonly status: number; readonly type: string; readonly message: string };

export interface FunctionEngineOptions {
  readonly resolve: ResolveFunction;
  /** Where code is unpacked, logs are kept and `/tmp` folders lie; absent: a temporary folder removed at stop. */
  readonly dataDirectory?: string;
  readonly region: string;
  readonly accountId: string;
  /** Added to each function's environment: AWS_ENDPOINT_URL, credentials (kept until `recycle`). */
  readonly baseEnvironment: (version: FunctionVersion) => Readonly<Record<string, string>>;
  /** Account pool. Default 1,000 (Lambda's). */
  readonly accountConcurrency?: number;
  /** Idle environments end after this. Default 300,000. */
  readonly idleTimeoutMilliseconds?: number;
  /** Runs functions in namespaces of their own with bubblewrap (Linux); refused at start where it is not there. Default false. */
  readonly sandbox?: boolean;
}

export interface ResponseStreamSink {
  /** Content type and metadata, before the first bytes. */
  start(head: { readonly contentType: string; readonly headers: Readonly<Record<string, string>> }): void;
  /** A promise holds the function back until it resolves, which it must do also when nobody wants the bytes any more. */
  write(bytes: Buffer): Promise<void> | undefined;
}

/** Execution environments and all that runs in them. */
export interface FunctionEngine {
  start(): Promise<void>;
  /** Where the log files lie (see log-files.ts); known once `start` has resolved. */
  readonly logDirectory: string;
  readonly invoke: Invoke;
  invokeWithResponseStream(
    functionRef: string,
    payload: Uint8Array,
    sink: ResponseStreamSink,
    options?: InvokeOptions,
  ): Promise<InvokeOutcome>;
  /**
   * Starts environments until so many are idle or starting, within the function's concurrency: for a caller that is about
   * to invoke more in parallel. Never fails; what cannot be started is told to the invocation that comes.
   */
  readonly warm: Warm;
  /** Code or configuration changed: new environments are started before old ones end. */
  refresh(functionName: string): void;
  /** What `baseEnvironment` answers changed: like {@link refresh} for every function. */
  recycle(): void;
  /** The function is gone: its environments end when idle. */
  remove(functionName: string): void;
  setReservedConcurrency(functionName: string, reserved: number | undefined): void;
  /** Keeps this many environments of a version warm; 0 ends it. */
  setProvisionedConcurrency(functionName: string, version: string, provisioned: number): void;
  snapshot(): readonly EnvironmentSnapshot[];
  stop(options?: { readonly timeoutMilliseconds?: number }): Promise<void>;
}

export interface EnvironmentSnapshot {
  readonly functionName: string;
  readonly version: string;
  readonly processId: number | undefined;
  readonly state: 'starting' | 'idle' | 'busy' | 'stopping';
  readonly invocations: number;
  /** CPU seconds used so far, where the platform tells (Linux). */
  readonly cpuSeconds?: number;
  readonly residentBytes?: number;
}
