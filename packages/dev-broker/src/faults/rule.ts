import { ErrorCode, type ErrorName } from '../protocol/errors.ts';
import { apis } from '../protocol/messages/index.ts';

/** What happens to a request instead of, or beside, its answer. */
export type FaultAction =
  /** Answered with this error, for the matched topics and partitions; nothing of it is done. */
  | { readonly error: ErrorName }
  /** Handled so much later, on the broker's clock. What follows on the connection waits too. */
  | { readonly delayMs: number }
  /** Handled, but its answer is never sent. */
  | { readonly drop: 'answer' }
  /** The connection is cut before the request is handled. */
  | { readonly cut: 'before' }
  /** Handled; so many bytes of the answer are sent (0 for none), then the connection is cut. */
  | { readonly cut: 'after'; readonly bytes?: number }
  /** From now on nothing is read from the connection and nothing sent, but it stays open. */
  | { readonly blackHole: true };

/** Which requests a fault meets; what is not named does not matter. */
export interface FaultMatch {
  /** Names such as `Fetch`, as in Kafka's protocol. */
  readonly api?: string | readonly string[];
  readonly topic?: string;
  readonly partition?: number;
  readonly clientId?: string;
  /** Id of a connection, see `Broker.connections`. */
  readonly connection?: number;
  readonly node?: number;
}

/** A fault on purpose. */
export type FaultRule = FaultMatch &
  FaultAction & {
    /** Times that it happens; default: until it is removed. */
    readonly times?: number;
    /** Matching requests that pass before it first happens. Default 0. */
    readonly after?: number;
  };

export type FaultKind = 'error' | 'delay' | 'drop' | 'cut' | 'blackHole';

/** Faults drawn at random from a seed: the same requests in the same order meet the same faults. */
export interface FaultPlan {
  readonly seed: number;
  /** Share of requests that meet a fault, 0 to 1. */
  readonly rate: number;
  /** Default: error, delay and cut, which clients are meant to survive unharmed. */
  readonly kinds?: readonly FaultKind[];
  /** Names of APIs; default: all but ApiVersions and the SASL ones. */
  readonly apis?: readonly string[];
  /** Longest delay. Default 100. */
  readonly maximumDelayMs?: number;
}

const names = new Map(apis.map((api) => [api.name, api.key]));

/** API keys of the named APIs. @throws TypeError for an unknown name */
export function apiKeys(wanted: string | readonly string[] | undefined): ReadonlySet<number> | undefined {
  if (wanted === undefined) return undefined;
  const keys = new Set<number>();
  for (const name of typeof wanted === 'string' ? [wanted] : wanted) {
    const key = names.get(name);
    if (key === undefined) throw new TypeError(`api: unknown API '${name}'; known: ${[...names.keys()].join(', ')}`);
    keys.add(key);
  }
  return keys;
}

/** @throws TypeError that names what is wrong */
export function checkRule(rule: FaultRule): void {
  const kinds = ['error', 'delayMs', 'drop', 'cut', 'blackHole'].filter((kind) => kind in rule);
  if (kinds.length !== 1) {
    throw new TypeError(
      `a fault is one of error, delayMs, drop, cut and blackHole, not ${kinds.join(' and ') || 'none'}`,
    );
  }
  if ('error' in rule && !(rule.error in ErrorCode)) throw new TypeError(`error: unknown error '${rule.error}'`);
  if ('delayMs' in rule && !(rule.delayMs >= 0)) throw new TypeError(`delayMs must be 0 or more, not ${rule.delayMs}`);
  if (rule.partition !== undefined && rule.topic === undefined) throw new TypeError('partition needs a topic');
  if (rule.times !== undefined && !(rule.times >= 1)) throw new TypeError(`times must be 1 or more, not ${rule.times}`);
}
