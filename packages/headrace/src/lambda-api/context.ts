import type { FunctionEngine } from '../functions/definition.ts';
import type { ApiRequest } from '../gateway/route.ts';
import type { MappingDefinition, MappingSupervisor } from '../mappings/definition.ts';
import type { Store } from '../store/store.ts';
import type { Input } from './binding.ts';
import type { Documents, FunctionDocument, VersionDocument } from './documents.ts';
import { versionId } from './documents.ts';
import { LambdaError, notFound } from './errors.ts';
import { type FunctionReference, functionArn, functionReference, isVersionNumber, type Place } from './names.ts';

/** The part of the engine that the API calls. */
export type ApiEngine = Pick<
  FunctionEngine,
  'invoke' | 'invokeWithResponseStream' | 'refresh' | 'remove' | 'setReservedConcurrency' | 'setProvisionedConcurrency'
>;

/** Takes an `InvocationType: Event`; it is durable when this returns. */
export type SubmitEvent = (event: {
  readonly requestId: string;
  readonly functionName: string;
  /** `$LATEST`, a version or an alias. */
  readonly qualifier: string;
  readonly payload: Buffer;
}) => void | Promise<void>;

/** What operations work with. */
export interface Context extends Place {
  readonly store: Store;
  readonly documents: Documents;
  readonly engine: ApiEngine;
  readonly mappings: MappingSupervisor;
  readonly submitEvent: SubmitEvent | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Under which this API is reached: `http://127.0.0.1:9000`. */
  readonly endpoint: () => string;
  /** Signs a path for download without credentials, for ten minutes. */
  readonly signDownload: (path: string) => string;
  readonly accountConcurrency: number;
  /** True for a mapping on the broker that lives and ends with this process. */
  readonly isOwnBroker: (definition: MappingDefinition) => boolean;
  /** Real paths; functions may use folders below these in place. */
  readonly codeFolders: readonly string[];
  /** How long a creation shows Pending and an update InProgress. */
  readonly settleMilliseconds: number;
}

/** One request on its way through an operation. */
export interface Call {
  readonly context: Context;
  readonly request: ApiRequest;
  readonly operation: string;
  /** Runs writes as one; audit included. */
  transaction<T>(work: () => T): T;
}

/** What an operation answers: the body, or a whole answer when it is more than JSON with the model's status. */
export class Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | AsyncIterable<Buffer> | object | undefined;

  constructor(parts: {
    status?: number;
    headers?: Readonly<Record<string, string>>;
    body?: Buffer | AsyncIterable<Buffer> | object;
  }) {
    this.status = parts.status;
    this.headers = parts.headers ?? {};
    this.body = parts.body;
  }
}

export type Handler = (call: Call, input: Input) => object | undefined | Promise<object | undefined>;

/** An operation with its request typed; the input has passed the model's types and constraints before. */
export function operation<T extends object>(
  handler: (call: Call, input: T) => object | undefined | Promise<object | undefined>,
): Handler {
  return (call, input) => handler(call, input as T);
}

/** The function that a request names, or the 404 that most operations answer. */
export function findFunction(
  context: Context,
  text: string,
  qualifier?: string,
  /** What stands behind the ARN in the 404 when the request has no qualifier. */
  shownQualifier?: string,
): { reference: FunctionReference; document: FunctionDocument } {
  const reference = functionReference(context, text, qualifier);
  const document = context.documents.functions.get(reference.name);
  if (document === undefined) {
    throw functionNotFound(context, reference.name, reference.qualifier ?? shownQualifier);
  }
  return { reference, document };
}

export const functionNotFound = (context: Place, name: string, qualifier?: string): LambdaError =>
  notFound(`Function not found: ${functionArn(context, name, qualifier)}`);

/** The version that a qualifier stands for; an alias stands for its main version. Undefined when there is none. */
export function findVersion(
  context: Context,
  document: FunctionDocument,
  qualifier = '$LATEST',
): VersionDocument | undefined {
  const alias = document.aliases[qualifier];
  return context.documents.versions.get(versionId(document.name, alias?.functionVersion ?? qualifier));
}

/** {@link findVersion}, or 404 in the words of GetFunction. */
export function requireVersion(context: Context, document: FunctionDocument, qualifier?: string): VersionDocument {
  const version = findVersion(context, document, qualifier);
  if (version === undefined) throw functionNotFound(context, document.name, qualifier);
  return version;
}

/**
 * The function of a qualifier that must be there, with 404s that tell versions and aliases apart, also when the
 * function itself is missing.
 */
export function requireQualifiedFunction(
  context: Context,
  name: string,
  qualifier: string | undefined,
): FunctionDocument {
  const document = context.documents.functions.get(name);
  if (document !== undefined && findVersion(context, document, qualifier) !== undefined) return document;
  const isAlias = qualifier !== undefined && !isVersionNumber(qualifier) && /^[a-zA-Z0-9-_]+$/.test(qualifier);
  throw isAlias ? aliasNotFound(context, name, qualifier) : functionNotFound(context, name, qualifier);
}

export const aliasNotFound = (context: Place, name: string, alias: string): LambdaError =>
  notFound(`Cannot find alias arn: ${functionArn(context, name, alias)}`);

export const preconditionFailed = (operation = 'GetFunction/GetAlias'): LambdaError =>
  new LambdaError(
    'PreconditionFailedException',
    `The Revision Id provided does not match the latest Revision Id. Call the ${operation} API to retrieve the latest Revision Id`,
  );
