import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { EventRules } from '../asynchronous/index.ts';
import { toHeadraceError } from '../errors.ts';
import type { ResolveFunction } from '../functions/definition.ts';
import type { Api, ApiRequest, ApiResponse } from '../gateway/route.ts';
import type { MappingDefinition, MappingSupervisor } from '../mappings/definition.ts';
import type { Store } from '../store/store.ts';
import { bindInput } from './binding.ts';
import { violations } from './constraints.ts';
import { Answer, type ApiEngine, type Call, type Context, type SubmitEvent } from './context.ts';
import { openDocuments } from './documents.ts';
import { errorResponse, LambdaError, validationError } from './errors.ts';
import { eventRules } from './event-rules.ts';
import { isFunctionUrl, serveFunctionUrl, urlTarget } from './function-url-door.ts';
import { handlers } from './operations.ts';
import { type RegisteredFunction, registerFunction } from './registered-functions.ts';
import { createResolver } from './registry.ts';
import { matchRoute } from './router.ts';

export interface LambdaApiOptions {
  readonly store: Store;
  readonly engine: ApiEngine;
  readonly mappings: MappingSupervisor;
  readonly region: string;
  readonly accountId: string;
  /** Asked when a URL is made, so the gateway may be started later. */
  readonly endpoint: () => string;
  /** Absent: invocations of type Event are refused by name. */
  readonly submitEvent?: SubmitEvent;
  /** Default 1,000. */
  readonly accountConcurrency?: number;
  /** Which mappings read the broker that ends with this process; by default none. Only asked with `:memory:`. */
  readonly isOwnBroker?: (definition: MappingDefinition) => boolean;
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly now?: () => number;
  /** In [0, 1); picks between an alias's versions. */
  readonly random?: () => number;
  /** Real paths of folders below which code may be used in place. Default: none. */
  readonly codeFolders?: readonly string[];
  /** How long a creation shows Pending and an update InProgress. Default 15. */
  readonly settleMilliseconds?: number;
}

export interface LambdaApi extends Api {
  /** For the engine: the version that a reference stands for. */
  readonly resolve: ResolveFunction;
  /** Makes a function whose code lives elsewhere (`--backend`), or changes the one of that name. */
  registerFunction(definition: RegisteredFunction): void;
  /** What an asynchronous invocation goes by; undefined when the function or its qualifier is gone. */
  eventRules(functionName: string, qualifier: string): EventRules | undefined;
  /** Removes code packages that nothing names. */
  collectCode(): number;
}

const downloadSeconds = 600;
const downloadPath = /^\/headrace\/v1\/code\/([0-9a-f]{64})\.zip$/;

/**
 * Lambda's REST API over functions and mappings. It owns their documents; reserved and provisioned concurrency that
 * the store holds is handed to the engine here.
 */
export function createLambdaApi(options: LambdaApiOptions): LambdaApi {
  const { store, engine } = options;
  const documents = openDocuments(store);
  const downloadKey = randomBytes(32);
  const now = options.now ?? Date.now;
  const signature = (path: string, expires: string): string =>
    createHmac('sha256', downloadKey).update(`${path}\n${expires}`).digest('hex');
  const context: Context = {
    region: options.region,
    accountId: options.accountId,
    store,
    documents,
    engine,
    mappings: options.mappings,
    submitEvent: options.submitEvent,
    now,
    endpoint: options.endpoint,
    signDownload(path) {
      const expires = String(Math.ceil(now() / 1_000) + downloadSeconds);
      return `${options.endpoint()}${path}?expires=${expires}&signature=${signature(path, expires)}`;
    },
    accountConcurrency: options.accountConcurrency ?? 1_000,
    isOwnBroker: options.isOwnBroker ?? (() => false),
    codeFolders: options.codeFolders ?? [],
    settleMilliseconds: options.settleMilliseconds ?? 15,
  };
  for (const { name, reservedConcurrency, provisionedConcurrency } of documents.functions.values()) {
    if (reservedConcurrency !== undefined) engine.setReservedConcurrency(name, reservedConcurrency);
    for (const [qualifier, { requested }] of Object.entries(provisionedConcurrency)) {
      const version = documents.functions.get(name)?.aliases[qualifier]?.functionVersion ?? qualifier;
      engine.setProvisionedConcurrency(name, version, requested);
    }
  }

  const isSigned = ({ path, query }: Pick<ApiRequest, 'path' | 'query'>): boolean => {
    const expires = query.get('expires') ?? '';
    const given = Buffer.from(query.get('signature') ?? '', 'hex');
    const wanted = Buffer.from(signature(path, expires), 'hex');
    return given.length === wanted.length && timingSafeEqual(given, wanted) && Number(expires) * 1_000 > now();
  };
  const collectCode = (): number => {
    const used = new Set<string>();
    for (const { code, layers } of documents.versions.values()) {
      if (code.kind === 'zip') used.add(code.sha256);
      for (const { sha256 } of layers ?? []) used.add(sha256);
    }
    for (const { sha256, deleted } of documents.layers.values()) if (!deleted) used.add(sha256);
    return store.code.collect((sha256) => used.has(sha256), now());
  };

  return {
    service: 'lambda',
    resolve: createResolver(context, store, documents, options.random),
    registerFunction: (definition) => registerFunction(context, definition),
    eventRules: (functionName, qualifier) => eventRules(context, functionName, qualifier),
    collectCode,
    carriesOwnProof: (request) =>
      urlTarget(context, request)?.url.authType === 'NONE' ||
      (request.method === 'GET' && downloadPath.test(request.path) && isSigned(request)),
    async handle(request) {
      if (isFunctionUrl(request)) return await serveFunctionUrl(context, request);
      const download = downloadPath.exec(request.path);
      if (download !== null && request.method === 'GET') return downloadCode(context, download[1]!, isSigned(request));
      return await handle(context, request);
    },
  };
}

async function handle(context: Context, request: ApiRequest): Promise<ApiResponse | undefined> {
  const matched = matchRoute(request.method, request.path, request.query);
  if (matched === undefined) return undefined;
  const { operation } = matched;
  try {
    const handler = handlers[operation.name];
    if (handler === undefined) {
      const message = `${operation.name} is not implemented by Headrace.`;
      throw new LambdaError('NotImplementedException', message);
    }
    const input = bindInput(matched, request);
    const found = operation.input === undefined ? [] : violations(operation.input, input);
    if (found.length > 0) throw validationError(found);
    const call: Call = {
      context,
      request,
      operation: operation.name,
      transaction: (work) =>
        context.store.groupedTransaction(work, {
          principal: request.principal ?? 'anonymous',
          operation: `lambda:${operation.name}`,
          requestId: request.requestId,
        }),
    };
    const result = await handler(call, input);
    // Nobody is told of anything that a crash could still take back.
    await context.store.flushed();
    return respond(result, operation.status);
  } catch (error) {
    if (error instanceof LambdaError) return errorResponse(error);
    const { message, code } = toHeadraceError(error);
    return errorResponse(new LambdaError('ServiceException', `${code}: ${message}`));
  }
}

function respond(result: object | undefined, status: number): ApiResponse {
  if (result instanceof Answer) {
    return {
      status: result.status ?? status,
      headers: result.headers,
      ...(result.body === undefined ? {} : { body: result.body }),
    };
  }
  return result === undefined ? { status } : { status, body: result };
}

function downloadCode(context: Context, sha256: string, isSigned: boolean): ApiResponse {
  if (!isSigned)
    return errorResponse(new LambdaError('AccessDeniedException', 'The download link is not valid any more.'));
  return { status: 200, headers: { 'content-type': 'application/zip' }, body: context.store.code.read(sha256) };
}
