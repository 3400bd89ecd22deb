import type { ApiRequest } from '../gateway/route.ts';
import { LambdaError } from './errors.ts';
import { type Shape, shapeOf } from './model.ts';
import type { Matched } from './router.ts';

export type Input = Record<string, unknown>;

/**
 * The request's members from path, query, headers and body, typed as the model says; unknown members are left out,
 * `null` counts as absent. Throws SerializationException for a value of another type and
 * InvalidRequestContentException for a body that is not JSON.
 */
export function bindInput({ operation, labels }: Matched, request: ApiRequest): Input {
  const { input: shape } = operation;
  if (shape?.members === undefined) return {};
  const input: Input = {};
  const body = shape.payload === undefined ? bodyObject(shape, request) : {};
  for (const [name, member] of Object.entries(shape.members)) {
    const target = shapeOf(member.shape);
    let value: unknown;
    if (name === shape.payload) value = request.body;
    else if (member.in === 'uri') value = fromText(target, labels[member.as ?? name]);
    else if (member.in === 'header') value = fromText(target, request.headers[(member.as ?? name).toLowerCase()]);
    else if (member.in === 'querystring') value = fromQuery(target, request.query, member.as ?? name);
    else value = fromJson(target, body[name]);
    if (value !== undefined) input[name] = value;
  }
  return input;
}

function bodyObject(shape: Shape, { body }: ApiRequest): Record<string, unknown> {
  const hasBody = Object.values(shape.members ?? {}).some((member) => member.in === undefined);
  if (!hasBody || body.length === 0) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LambdaError('InvalidRequestContentException', `Could not parse request body into json: ${reason}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw mistyped(parsed, 'a structure');
  return parsed as Record<string, unknown>;
}

function fromQuery(shape: Shape, query: URLSearchParams, name: string): unknown {
  if (!query.has(name)) return undefined;
  if (shape.type === 'list') return query.getAll(name).map((value) => fromText(shapeOf(shape.member!), value));
  return fromText(shape, query.get(name) ?? undefined);
}

/** A value that travels as text: in the path, the query or a header. */
function fromText(shape: Shape, value: string | undefined): unknown {
  if (value === undefined) return undefined;
  switch (shape.type) {
    case 'integer':
    case 'long': {
      if (!/^-?\d{1,15}$/.test(value)) throw mistyped(value, 'an Integer');
      return Number(value);
    }
    case 'boolean':
      if (value !== 'true' && value !== 'false') throw mistyped(value, 'a Boolean');
      return value === 'true';
    default:
      return value;
  }
}

function fromJson(shape: Shape, value: unknown): unknown {
  if (value === undefined || value === null) return undefined;
  switch (shape.type) {
    case 'string':
      if (typeof value !== 'string') throw mistyped(value, 'a String');
      return value;
    case 'boolean':
      if (typeof value !== 'boolean') throw mistyped(value, 'a Boolean');
      return value;
    case 'integer':
    case 'long':
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw mistyped(value, 'an Integer');
      return value;
    case 'double':
    case 'float':
      if (typeof value !== 'number') throw mistyped(value, 'a Double');
      return value;
    case 'timestamp':
      return timestamp(value);
    case 'blob':
      if (typeof value !== 'string') throw mistyped(value, 'a Blob');
      return Buffer.from(value, 'base64');
    case 'list':
      if (!Array.isArray(value)) throw mistyped(value, 'a List');
      return value.map((item) => fromJson(shapeOf(shape.member!), item) ?? null);
    case 'map':
      return fromObject(value, (item) => fromJson(shapeOf(shape.value!), item));
    case 'structure': {
      if (typeof value !== 'object' || Array.isArray(value)) throw mistyped(value, 'a structure');
      const result: Input = {};
      for (const [name, member] of Object.entries(shape.members ?? {})) {
        const bound = fromJson(shapeOf(member.shape), (value as Record<string, unknown>)[name]);
        if (bound !== undefined) result[name] = bound;
      }
      return result;
    }
  }
}

function fromObject(value: unknown, convert: (item: unknown) => unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mistyped(value, 'a Map');
  // fromEntries defines members, so a key like __proto__ is only a key.
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [key, convert(item)] as const)
      .filter(([, item]) => item !== undefined),
  );
}

/** Seconds since the epoch; clients send a number, a few an ISO date. */
function timestamp(value: unknown): number {
  const seconds = typeof value === 'string' ? Date.parse(value) / 1_000 : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) throw mistyped(value, 'a Timestamp');
  return seconds;
}

function mistyped(value: unknown, wanted: string): LambdaError {
  const kind = Array.isArray(value) ? 'START_ARRAY' : value === null ? 'NULL_VALUE' : tokens[typeof value];
  return new LambdaError('SerializationException', `${kind ?? 'VALUE'} can not be converted to ${wanted}`);
}

const tokens: Readonly<Record<string, string>> = {
  string: 'STRING_VALUE',
  number: 'NUMBER_VALUE',
  boolean: 'BOOLEAN_VALUE',
  object: 'START_OBJECT',
};
