import { invalidParameter } from './errors.ts';

/**
 * One page of `items`, which are sorted by `keyOf`. The marker names the last item given out, not a position, so a
 * page is right also when things came or went in between.
 */
export function page<T>(
  items: readonly T[],
  options: {
    readonly keyOf: (item: T) => string;
    /** Items a page: at most this, whatever the request asks for. */
    readonly limit: number;
    readonly marker: string | undefined;
    readonly maxItems: number | undefined;
    /** How keys are ordered; default: by UTF-16 code units. */
    readonly compare?: (a: string, b: string) => number;
  },
): { readonly items: readonly T[]; readonly nextMarker: string | undefined } {
  const { keyOf, marker, maxItems, compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0) } = options;
  const limit = Math.min(maxItems ?? options.limit, options.limit);
  let start = 0;
  if (marker !== undefined && marker !== '') {
    const last = decodeMarker(marker);
    start = items.findIndex((item) => compare(keyOf(item), last) > 0);
    if (start === -1) start = items.length;
  }
  const taken = items.slice(start, start + limit);
  const isLast = start + limit >= items.length;
  return { items: taken, nextMarker: isLast ? undefined : encodeMarker(keyOf(taken[taken.length - 1]!)) };
}

const encodeMarker = (key: string): string => Buffer.from(JSON.stringify({ after: key })).toString('base64');

function decodeMarker(marker: string): string {
  try {
    const { after } = JSON.parse(Buffer.from(marker, 'base64').toString('utf8')) as { after?: unknown };
    if (typeof after === 'string') return after;
  } catch {
    // Whatever it is, it is no marker of ours.
  }
  throw invalidParameter('Invalid pagination marker.');
}
