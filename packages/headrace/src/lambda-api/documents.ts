import type { Collection } from '../store/collection.ts';
import type { Store } from '../store/store.ts';

/** What the store keeps of a function as a whole; its id is the name. Its versions lie beside it. */
export interface FunctionDocument {
  readonly name: string;
  /** Number that the next published version gets; numbers are never used twice. */
  readonly nextVersion: number;
  readonly aliases: Readonly<Record<string, AliasDocument>>;
  /** By qualifier; the function's own under `$LATEST`. */
  readonly policies: Readonly<Record<string, readonly PolicyStatement[]>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly reservedConcurrency?: number;
  /** By version number or alias. */
  readonly provisionedConcurrency: Readonly<Record<string, ProvisionedConcurrencyDocument>>;
  /** By qualifier. */
  readonly eventInvokeConfigs: Readonly<Record<string, EventInvokeDocument>>;
  /** By alias; the function's own under `$LATEST`. */
  readonly urls: Readonly<Record<string, FunctionUrlDocument>>;
  /** By qualifier. */
  readonly runtimeManagement: Readonly<Record<string, RuntimeManagementDocument>>;
  readonly codeSigningConfigArn?: string;
  readonly recursiveLoop: 'Allow' | 'Terminate';
}

export interface AliasDocument {
  readonly name: string;
  readonly functionVersion: string;
  readonly description: string;
  readonly revisionId: string;
  /** At most one version and its weight, 0 to 1. */
  readonly routing: Readonly<Record<string, number>>;
}

export interface PolicyStatement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Principal: '*' | Readonly<Record<string, string>>;
  readonly Action: string;
  readonly Resource: string;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface ProvisionedConcurrencyDocument {
  readonly requested: number;
  /** Milliseconds since the epoch. */
  readonly lastModified: number;
}

export interface EventInvokeDocument {
  /** Milliseconds since the epoch. */
  readonly lastModified: number;
  readonly maximumRetryAttempts?: number;
  readonly maximumEventAgeInSeconds?: number;
  readonly onSuccess?: string;
  readonly onFailure?: string;
}

export interface FunctionUrlDocument {
  /** First label of the URL's host. */
  readonly id: string;
  readonly authType: 'NONE' | 'AWS_IAM';
  readonly invokeMode: 'BUFFERED' | 'RESPONSE_STREAM';
  readonly cors?: Readonly<Record<string, unknown>>;
  /** ISO 8601. */
  readonly creationTime: string;
  readonly lastModifiedTime: string;
}

export interface RuntimeManagementDocument {
  readonly updateRuntimeOn: string;
  readonly runtimeVersionArn?: string;
}

/** Code as the store names it; the engine's form is made from it when it is run. */
export type StoredCode =
  | { readonly kind: 'zip'; readonly sha256: string; readonly size: number }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'aws'; readonly arn: string };

export interface LayerReference {
  readonly arn: string;
  readonly size: number;
  readonly sha256: string;
}

/** One version, `$LATEST` included; its id is `NAME:VERSION`. Members named as in the API are kept as they came. */
export interface VersionDocument {
  readonly functionName: string;
  readonly version: string;
  readonly code: StoredCode;
  readonly Runtime: string;
  readonly Role: string;
  readonly Handler: string;
  readonly Description: string;
  readonly Timeout: number;
  readonly MemorySize: number;
  readonly Architectures: readonly ('x86_64' | 'arm64')[];
  readonly EphemeralStorage: { readonly Size: number };
  readonly TracingConfig: { readonly Mode: 'Active' | 'PassThrough' };
  readonly LoggingConfig: LoggingDocument;
  readonly SnapStart: { readonly ApplyOn: string };
  readonly Environment?: { readonly Variables: Readonly<Record<string, string>> };
  readonly layers?: readonly LayerReference[];
  readonly VpcConfig?: Readonly<Record<string, unknown>>;
  readonly DeadLetterConfig?: { readonly TargetArn: string };
  readonly KMSKeyArn?: string;
  readonly FileSystemConfigs?: readonly Readonly<Record<string, unknown>>[];
  /** Milliseconds since the epoch. */
  readonly lastModified: number;
  /** Changes with code and configuration only: what environments are kept by. */
  readonly runRevision: string;
  /** What the API shows until, and after, the change below has settled. */
  readonly revisionId: string;
  readonly settledRevisionId: string;
  /**
   * The state is a function of time, so a process that is killed finds it settled later: until `settlesAt`
   * (milliseconds since the epoch) a creation is Pending and an update InProgress.
   */
  readonly change: 'create' | 'update';
  readonly settlesAt: number;
}

export interface LoggingDocument {
  readonly LogFormat: 'Text' | 'JSON';
  readonly LogGroup: string;
  readonly ApplicationLogLevel?: string;
  readonly SystemLogLevel?: string;
}

/** One version of a layer; its id is `NAME:VERSION`. A deleted one stays for the functions that use it. */
export interface LayerVersionDocument {
  readonly name: string;
  readonly version: number;
  readonly description: string;
  readonly sha256: string;
  readonly size: number;
  readonly compatibleRuntimes?: readonly string[];
  readonly compatibleArchitectures?: readonly string[];
  readonly licenseInfo?: string;
  /** Milliseconds since the epoch. */
  readonly created: number;
  readonly deleted: boolean;
  readonly policy: readonly PolicyStatement[];
  readonly policyRevisionId?: string;
}

export interface CodeSigningDocument {
  readonly arn: string;
  readonly id: string;
  readonly description?: string;
  readonly publishers: readonly string[];
  readonly untrustedArtifactOnDeployment: string;
  /** Milliseconds since the epoch. */
  readonly lastModified: number;
}

/** Everything the API keeps. */
export interface Documents {
  readonly functions: Collection<FunctionDocument>;
  readonly versions: Collection<VersionDocument>;
  readonly layers: Collection<LayerVersionDocument>;
  /** Next version number of a layer, by name. */
  readonly layerNumbers: Collection<{ readonly next: number }>;
  readonly codeSigning: Collection<CodeSigningDocument>;
  /** Tags of mappings and code signing configurations, by ARN. */
  readonly tags: Collection<Readonly<Record<string, string>>>;
}

export function openDocuments(store: Store): Documents {
  return {
    functions: store.collection('function'),
    versions: store.collection('version'),
    layers: store.collection('layer'),
    layerNumbers: store.collection('layer-number'),
    codeSigning: store.collection('code-signing'),
    tags: store.collection('tags'),
  };
}

export const versionId = (name: string, version: string): string => `${name}:${version}`;
