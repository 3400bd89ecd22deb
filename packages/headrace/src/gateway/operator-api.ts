import { HeadraceError } from '../errors.ts';
import type { EnvironmentSnapshot } from '../functions/definition.ts';
import type { MappingSnapshot, MappingSupervisor } from '../mappings/definition.ts';
import type { AuditEntry } from '../store/audit.ts';
import type { Api, ApiRequest, ApiResponse } from './route.ts';

export interface OperatorApiOptions {
  readonly mappings: Pick<MappingSupervisor, 'list' | 'get' | 'snapshot'>;
  readonly environments: () => readonly EnvironmentSnapshot[];
  readonly audit: (options: { readonly limit: number; readonly before?: number }) => readonly AuditEntry[];
}

/** What `GET /headrace/v1/mappings` says of each mapping. */
export interface MappingSummary {
  readonly uuid: string;
  readonly functionArn: string;
  readonly topics: readonly string[];
  readonly consumerGroupId: string;
  readonly state: string;
  readonly lastProcessingResult: string;
  /** Records that are not settled yet, over all partitions; null while nothing is polled. */
  readonly lag: number | null;
  /** Age in seconds of the oldest of them. */
  readonly lagSeconds: number | null;
  readonly pollers: number;
  /** Partitions that a record keeps from going on. */
  readonly blocked: number;
  readonly warnings: readonly string[];
}

const prefix = '/headrace/v1/';
const mostAuditEntries = 1_000;

/**
 * Operations that AWS does not have, for who runs the engine: under `/headrace/v1/`, behind the same door as the rest.
 *
 *     GET mappings                  summaries
 *     GET mappings/UUID             a snapshot: partitions, offsets, lag, counts
 *     GET mappings/UUID/blocked     the records that keep partitions from going on
 *     GET environments              execution environments
 *     GET audit?limit=N&before=ID   who changed what, newest first
 */
export function createOperatorApi(options: OperatorApiOptions): Api {
  return {
    service: 'headrace',
    async handle(request) {
      if (!request.path.startsWith(prefix)) return undefined;
      try {
        return answer(options, request);
      } catch (error) {
        if (HeadraceError.is(error)) return failure(400, error.code, error.message);
        throw error;
      }
    },
  };
}

function answer(options: OperatorApiOptions, { method, path, query }: ApiRequest): ApiResponse | undefined {
  if (method !== 'GET') return undefined;
  const [kind, id, part, ...more] = path.slice(prefix.length).split('/');
  if (more.length > 0) return undefined;
  const { mappings } = options;
  if (kind === 'environments' && id === undefined) {
    return { status: 200, body: { environments: options.environments() } };
  }
  if (kind === 'audit' && id === undefined) return { status: 200, body: audit(options, query) };
  if (kind !== 'mappings') return undefined;
  if (id === undefined) {
    const summaries = mappings.list().map(({ definition }) => summaryOf(mappings, definition.uuid));
    return { status: 200, body: { mappings: summaries.filter((summary) => summary !== undefined) } };
  }
  const snapshot = mappings.snapshot(id.toLowerCase());
  if (snapshot === undefined) return failure(404, 'NOT_FOUND', `there is no event source mapping ${id}`);
  if (part === undefined) return { status: 200, body: snapshot };
  if (part !== 'blocked') return undefined;
  const blocked = snapshot.partitions.flatMap(({ blockedBy }) => (blockedBy === undefined ? [] : [blockedBy]));
  return { status: 200, body: { blocked } };
}

function summaryOf(mappings: OperatorApiOptions['mappings'], uuid: string): MappingSummary | undefined {
  const stored = mappings.get(uuid);
  if (stored === undefined) return undefined;
  const snapshot: MappingSnapshot | undefined = mappings.snapshot(uuid);
  const partitions = snapshot?.partitions ?? [];
  const { definition, status } = stored;
  return {
    uuid,
    functionArn: definition.functionArn,
    topics: definition.topics,
    consumerGroupId: definition.consumerGroupId,
    state: status.state,
    lastProcessingResult: status.lastProcessingResult,
    lag: partitions.length === 0 ? null : partitions.reduce((sum, { lag }) => sum + lag, 0),
    lagSeconds: partitions.length === 0 ? null : Math.max(...partitions.map(({ lagSeconds }) => lagSeconds)),
    pollers: snapshot?.pollers ?? 0,
    blocked: partitions.filter(({ blockedBy }) => blockedBy !== undefined).length,
    warnings: snapshot?.warnings ?? [],
  };
}

function audit(options: OperatorApiOptions, query: URLSearchParams): object {
  const limit = wholeNumber(query, 'limit', mostAuditEntries) ?? 100;
  const before = wholeNumber(query, 'before', Number.MAX_SAFE_INTEGER);
  return { entries: options.audit({ limit, ...(before === undefined ? {} : { before }) }) };
}

function wholeNumber(query: URLSearchParams, name: string, maximum: number): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1 || value > maximum) {
    throw new HeadraceError('CONFIGURATION', `${name} must be a whole number from 1 to ${maximum}`);
  }
  return value;
}

const failure = (status: number, code: string, message: string): ApiResponse => ({
  status,
  headers: { 'x-amzn-errortype': code },
  body: { code, message },
});
