/**
 * The demo's input: the request log of a small web shop, as its load balancer might write it.
 *
 * What is drawn, all from one seed:
 *
 * - **Arrivals** are a Poisson process whose rate follows the day: `requestsPerMinute × (1 + 0.5 cos)`, highest at 15:00
 *   UTC and lowest at 03:00.
 * - **Requests** go to five routes, each with its own median response time and size; both are log-normal. Under the load
 *   of the afternoon responses take up to 8 % longer. One in 200 is held up and takes two to three times as long.
 * - **Status**: 200, with 3 % 304, 3 % 404 and 0.2 % 500 as on any good day.
 * - **Windows**: each record carries the counters of the last complete window of {@link WINDOW_SECONDS}, as a load
 *   balancer knows them: requests, errors (status ≥ 500), and the mean seconds between two requests. A rate is no
 *   property of one request, so without them no one could see from a record that traffic fell or rose.
 * - **Incidents** of four kinds ({@link incidentKinds}), evenly spread with jitter, in shuffled rounds of all four.
 *
 * The labels never travel with the records: a consumer sees exactly what it would see in production.
 */

import { SeededDraws } from './seeded-draws.ts';

export const WINDOW_SECONDS = 300;

/** What happens in an incident of each kind. */
const incidentKinds = {
  slow: 'responses take 6 to 12 times as long, for 15 minutes',
  errors: 'half of the requests fail fast with 500 or 503, for 15 minutes',
  'traffic drop': '4 % of the requests arrive, for 40 minutes',
  'traffic surge': '8 times as many requests arrive, for 10 minutes',
} as const;

export type IncidentKind = keyof typeof incidentKinds;

const durationMinutes: Record<IncidentKind, number> = {
  slow: 15,
  errors: 15,
  'traffic drop': 40,
  'traffic surge': 10,
};

/** One line of the log. */
export interface RequestLogRecord {
  /** When the request was answered, ISO 8601. */
  timestamp: string;
  /** The server that answered. */
  source: string;
  method: string;
  path: string;
  status: number;
  responseTimeMs: number;
  bytes: number;
  /** Of the last complete window before this request. */
  window: { requests: number; errors: number; secondsBetween: number };
}

/** An incident as it happened. */
export interface Incident {
  kind: IncidentKind;
  /** Index of the first record in it. */
  firstRecord: number;
  /**
   * Index after the last record that shows it: those of the incident itself, and those whose window overlaps it (at
   * most two windows past its end, because a window is seen only when it is complete).
   */
  endRecord: number;
}

export interface GeneratedRecord {
  index: number;
  record: RequestLogRecord;
}

export interface GeneratorOptions {
  /** How many records; at least 1. */
  records: number;
  /** Any whole number; the same seed gives the same records. */
  seed: number;
  /** Mean over the day; 6 by default. */
  requestsPerMinute?: number;
  /** Time of the first record, in milliseconds since the epoch; 2026-03-02T00:00:00Z by default. */
  startTime?: number;
  /** How many; by default one in 2,500 records, but one of each kind from 4,000 records on. */
  incidents?: number;
}

const routes = [
  { method: 'GET', path: '/', weight: 30, medianMs: 60, bytes: 14_000 },
  { method: 'GET', path: '/products', weight: 35, medianMs: 90, bytes: 11_000 },
  { method: 'GET', path: '/search', weight: 20, medianMs: 130, bytes: 9_000 },
  { method: 'POST', path: '/cart', weight: 10, medianMs: 80, bytes: 2_000 },
  { method: 'POST', path: '/checkout', weight: 5, medianMs: 150, bytes: 3_000 },
] as const;

const sources = ['web-1', 'web-2', 'web-3'] as const;
const totalWeight = routes.reduce((sum, route) => sum + route.weight, 0);
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** The model warms up on records before this one. */
const FIRST_INCIDENT_AFTER = 400;

/** Makes the log, record by record; what incidents there were is known when the last record was taken. */
export class RequestLogGenerator implements Iterable<GeneratedRecord> {
  readonly options: Required<GeneratorOptions>;
  /** Incidents that have begun; `endRecord` of the last moves while it lasts. */
  readonly incidents: Incident[] = [];

  constructor(options: GeneratorOptions) {
    this.options = {
      requestsPerMinute: 6,
      startTime: Date.UTC(2026, 2, 2),
      incidents: usualIncidents(options.records),
      ...options,
    };
  }

  *[Symbol.iterator](): Iterator<GeneratedRecord> {
    const { records, seed, startTime } = this.options;
    const draws = new SeededDraws(seed);
    const plan = planIncidents(this.options, draws);
    const window = new TumblingWindow(startTime, this.options.requestsPerMinute * rhythm(startTime), draws);
    this.incidents.length = 0;
    let current: { kind: IncidentKind; until: number } | undefined;
    let shownUntil = 0;
    let now = startTime;
    for (let index = 0; index < records; index += 1) {
      if (!current && plan[0] && index >= plan[0].record) {
        const { kind } = plan.shift()!;
        current = { kind, until: now + durationMinutes[kind] * 60_000 };
        // Seen last by the records of the window after the one in which it ends.
        shownUntil = (Math.floor(current.until / window.lengthMs) + 2) * window.lengthMs;
        this.incidents.push({ kind, firstRecord: index, endRecord: index + 1 });
      }
      // Arrivals have no memory: at the end of an incident the wait is drawn anew at the usual rate.
      for (;;) {
        const perMs = (this.options.requestsPerMinute * rhythm(now) * factor(current?.kind)) / 60_000;
        const next = now + draws.exponential() / perMs;
        if (!current || next < current.until) {
          now = next;
          break;
        }
        now = current.until;
        current = undefined;
      }
      window.advanceTo(now);
      const record = drawRequest(now, current?.kind, window, draws);
      window.count(record.status);
      const last = this.incidents.at(-1);
      if (last && now < shownUntil) last.endRecord = index + 1;
      yield { index, record };
    }
  }
}

function usualIncidents(records: number): number {
  return records < 4_000 ? Math.floor(records / 1_000) : Math.max(4, Math.floor(records / 2_500));
}

/** Rate relative to the day's mean. */
function rhythm(time: number): number {
  return 1 + 0.5 * Math.cos((2 * Math.PI * ((time % DAY_MS) - 15 * HOUR_MS)) / DAY_MS);
}

function factor(kind: IncidentKind | undefined): number {
  if (kind === 'traffic drop') return 0.04;
  return kind === 'traffic surge' ? 8 : 1;
}

/** At which record each incident begins: rounds of all kinds in shuffled order, spread evenly, with jitter. */
function planIncidents(
  options: Required<GeneratorOptions>,
  draws: SeededDraws,
): { kind: IncidentKind; record: number }[] {
  const { records, incidents: count } = options;
  const room = Math.max(0, records - FIRST_INCIDENT_AFTER);
  const kinds: IncidentKind[] = [];
  while (kinds.length < count) kinds.push(...draws.shuffle(Object.keys(incidentKinds) as IncidentKind[]));
  return kinds.slice(0, count).map((kind, i) => {
    const slot = room / count;
    return { kind, record: Math.floor(FIRST_INCIDENT_AFTER + slot * (i + 0.1 + 0.3 * draws.next())) };
  });
}

/** Counters of the window that runs, and of the last complete one. */
class TumblingWindow {
  readonly lengthMs = WINDOW_SECONDS * 1000;
  #start: number;
  #requests = 0;
  #errors = 0;
  last: RequestLogRecord['window'];

  /** The window before the first record is drawn, as if the log had begun long ago. */
  constructor(startTime: number, requestsPerMinute: number, draws: SeededDraws) {
    this.#start = Math.floor(startTime / this.lengthMs) * this.lengthMs;
    this.last = this.#summary(draws.poisson((requestsPerMinute * WINDOW_SECONDS) / 60), 0);
  }

  advanceTo(time: number): void {
    while (time >= this.#start + this.lengthMs) {
      this.last = this.#summary(this.#requests, this.#errors);
      this.#start += this.lengthMs;
      this.#requests = this.#errors = 0;
    }
  }

  count(status: number): void {
    this.#requests += 1;
    if (status >= 500) this.#errors += 1;
  }

  /** Without a request the time between two is not known, only that it is longer than the window. */
  #summary(requests: number, errors: number): RequestLogRecord['window'] {
    return { requests, errors, secondsBetween: round(WINDOW_SECONDS / Math.max(1, requests), 2) };
  }
}

function drawRequest(
  now: number,
  incident: IncidentKind | undefined,
  window: TumblingWindow,
  draws: SeededDraws,
): RequestLogRecord {
  const route = drawRoute(draws);
  const load = 1 + 0.15 * (rhythm(now) - 1);
  let responseTimeMs = route.medianMs * load * Math.exp(0.25 * draws.gaussian());
  if (draws.next() < 0.005) responseTimeMs *= 2 + draws.next();
  let bytes = route.bytes * Math.exp(0.3 * draws.gaussian());
  const luck = draws.next();
  let status = luck < 0.94 ? 200 : luck < 0.97 ? 304 : luck < 0.998 ? 404 : 500;
  if (incident === 'slow') responseTimeMs *= 6 + 6 * draws.next();
  if (incident === 'errors' && draws.next() < 0.5) {
    status = draws.next() < 0.5 ? 500 : 503;
    responseTimeMs = 5 + 10 * draws.next();
  }
  if (status === 304) bytes = 0;
  else if (status >= 400) bytes = 250 + 100 * draws.next();
  return {
    timestamp: new Date(now).toISOString(),
    source: sources[Math.floor(draws.next() * sources.length)]!,
    method: route.method,
    path: route.path,
    status,
    responseTimeMs: round(responseTimeMs, 1),
    bytes: Math.round(bytes),
    window: window.last,
  };
}

function drawRoute(draws: SeededDraws): (typeof routes)[number] {
  let rest = draws.next() * totalWeight;
  for (const route of routes) {
    rest -= route.weight;
    if (rest < 0) return route;
  }
  return routes[0];
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
