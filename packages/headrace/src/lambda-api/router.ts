import { type Operation, operations } from './model.ts';

export interface Matched {
  readonly operation: Operation;
  /** Values of the placeholders, percent-decoded. */
  readonly labels: Readonly<Record<string, string>>;
}

interface Route {
  readonly operation: Operation;
  readonly segments: readonly string[];
  /** Query parameters that tell two operations of one path apart (`?List=ALL`). */
  readonly fixedQuery: readonly (readonly [string, string])[];
}

/** Routes by method and number of segments, the ones with fixed queries and literal segments first. */
const table = new Map<string, Route[]>();
for (const operation of operations.values()) {
  const [path, query = ''] = operation.path.split('?') as [string, string?];
  const segments = path.split('/').slice(1);
  const key = `${operation.method} ${segments.length}`;
  const routes = table.get(key) ?? [];
  routes.push({ operation, segments, fixedQuery: [...new URLSearchParams(query)] });
  table.set(key, routes);
}
const literals = (route: Route): number => route.segments.filter((segment) => !segment.startsWith('{')).length;
for (const routes of table.values()) {
  routes.sort((a, b) => b.fixedQuery.length - a.fixedQuery.length || literals(b) - literals(a));
}

/** The operation of a request; a trailing slash makes no difference (older SDKs send one). */
export function matchRoute(method: string, path: string, query: URLSearchParams): Matched | undefined {
  const trimmed = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
  const parts = trimmed.split('/').slice(1);
  for (const { operation, segments, fixedQuery } of table.get(`${method} ${parts.length}`) ?? []) {
    if (!fixedQuery.every(([name, value]) => query.get(name) === value)) continue;
    const labels = matchSegments(segments, parts);
    if (labels !== undefined) return { operation, labels };
  }
  return undefined;
}

function matchSegments(segments: readonly string[], parts: readonly string[]): Record<string, string> | undefined {
  const labels: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const part = parts[index]!;
    if (!segment.startsWith('{')) {
      if (segment !== part) return undefined;
    } else {
      const value = decode(part);
      if (value === undefined || value === '') return undefined;
      labels[segment.slice(1, -1)] = value;
    }
  }
  return labels;
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
