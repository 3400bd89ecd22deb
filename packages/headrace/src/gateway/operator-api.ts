import { HeadraceError } from '../errors.ts';
import type { EnvironmentSnapshot } from '../functions/definition.ts';
import type { Hop } from '../kafka/index.ts';
import type {
  BlockingRecord,
  MappingDefinition,
  MappingOperations,
  MappingSnapshot,
  MappingSupervisor,
  RecordPlace,
} from '../mappings/definition.ts';
import type { AuditEntry } from '../store/audit.ts';
import type { AuditContext } from '../store/store.ts';
import type { Api, ApiRequest, ApiResponse } from './route.ts';

export interface OperatorApiOptions {
  readonly mappings: Pick<MappingSupervisor, 'list' | 'get' | 'snapshot'> & Pick<MappingOperations, 'skip' | 'park'>;
  /** Keeps who moved past which record; both or neither: when `move` throws nothing is kept. */
  readonly keepMove: (uuid: string, context: AuditContext, move: () => MovedRecord) => Promise<MovedRecord>;
  /** Walks from here to the cluster of a mapping, as `headrace check` does. */
  readonly check: (definition: MappingDefinition) => Promise<{ readonly ok: boolean; readonly hops: readonly Hop[] }>;
  readonly environments: () => readonly EnvironmentSnapshot[];
  readonly audit: (options: { readonly limit: number; readonly before?: number }) => readonly AuditEntry[];
}

/** A record that an operator moved past, as it was. `to`: the topic it was parked in. */
export interface MovedRecord {
  readonly record: BlockingRecord;
  readonly dryRun: boolean;
  readonly to?: string;
}

/** What `GET /headrace/v1/mappings` says of each mapping. */
export interface MappingSummary {
  readonly uuid: string;
  readonly functionArn: string;
  readonly topics: readonly string[];
  readonly consumerGroupId: string;
  readonly state: string;
  readonly stateTransitionReason: string;
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
 *     GET mappings/UUID/check       the way to its cluster, hop by hop
 *     POST mappings/UUID/skip       {topic, partition, offset, dryRun?}: gives up a record that blocks
 *     POST mappings/UUID/park       {topic, partition, offset, to, dryRun?}: sends it to a topic of the cluster instead
 *     GET environments              execution environments
 *     GET audit?limit=N&before=ID   who changed what, newest first
 */
export function createOperatorApi(options: OperatorApiOptions): Api {
  return {
    service: 'headrace',
    async handle(request) {
      if (!request.path.startsWith(prefix)) return undefined;
      try {
        return await answer(options, request);
      } catch (error) {
        if (HeadraceError.is(error)) return failure(400, error.code, error.message);
        throw error;
      }
    },
  };
}

async function answer(options: OperatorApiOptions, request: ApiRequest): Promise<ApiResponse | undefined> {
  const { method, path, query } = request;
  const [kind, id, part, ...more] = path.slice(prefix.length).split('/');
  if (more.length > 0) return undefined;
  if (method === 'POST' && kind === 'mappings' && id !== undefined && (part === 'skip' || part === 'park'))
    return moveOn(options, request, id.toLowerCase(), part);
  if (method !== 'GET') return undefined;
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
  if (part === 'check') return { status: 200, body: await options.check(mappings.get(id.toLowerCase())!.definition) };
  if (part !== 'blocked') return undefined;
  const blocked = snapshot.partitions.flatMap(({ blockedBy }) => (blockedBy === undefined ? [] : [blockedBy]));
  return { status: 200, body: { blocked } };
}

async function moveOn(
  options: OperatorApiOptions,
  request: ApiRequest,
  uuid: string,
  action: 'skip' | 'park',
): Promise<ApiResponse> {
  const { mappings, keepMove } = options;
  if (mappings.get(uuid) === undefined) return failure(404, 'NOT_FOUND', `there is no event source mapping ${uuid}`);
  const { place, to, dryRun } = readMove(request.body, action);
  const move = (): MovedRecord =>
    to === undefined
      ? { record: mappings.skip(uuid, place, { dryRun }), dryRun }
      : { record: mappings.park(uuid, place, to, { dryRun }), dryRun, to };
  if (dryRun) return { status: 200, body: move() };
  const { requestId, principal = 'anonymous' } = request;
  const operation = action === 'skip' ? 'SkipRecord' : 'ParkRecord';
  return { status: 200, body: await keepMove(uuid, { principal, operation, requestId }, move) };
}

function readMove(
  body: Buffer,
  action: 'skip' | 'park',
): { readonly place: RecordPlace; readonly to: string | undefined; readonly dryRun: boolean } {
  let document: unknown;
  try {
    document = JSON.parse(body.toString('utf8'));
  } catch {
    document = undefined;
  }
  if (typeof document !== 'object' || document === null)
    throw new HeadraceError('CONFIGURATION', 'the body must be an object with topic, partition and offset');
  const { topic, partition, offset, to, dryRun = false } = document as Record<string, unknown>;
  if (typeof topic !== 'string') throw new HeadraceError('CONFIGURATION', 'topic must be a text');
  if (!isCount(partition) || !isCount(offset))
    throw new HeadraceError('CONFIGURATION', 'partition and offset must be whole numbers from 0 on');
  if (typeof dryRun !== 'boolean') throw new HeadraceError('CONFIGURATION', 'dryRun must be true or false');
  if (action === 'park' && typeof to !== 'string')
    throw new HeadraceError('CONFIGURATION', 'to must name the topic that the record goes to');
  return { place: { topic, partition, offset }, to: action === 'park' ? (to as string) : undefined, dryRun };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
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
    stateTransitionReason: status.stateTransitionReason,
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
