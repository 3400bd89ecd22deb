import { RobustScaler } from './scaler.ts';

/** What a request log says about one request. A missing number is undefined, null or not finite. */
export interface RequestRecord {
  /** Seconds; milliseconds do as well, if all are. */
  readonly responseTime?: number | null | undefined;
  /** HTTP status. */
  readonly status?: number | null | undefined;
  /** Bytes sent. */
  readonly bytes?: number | null | undefined;
}

/** How records become points. */
export type FeatureMode = 'raw' | 'scaled' | 'window';

export interface FeatureModeFacts {
  readonly description: string;
  /** Numbers in a point. */
  readonly dimensions: number;
  readonly shingleSize: number;
  /** The fixed threshold that suits a forest of 256 samples with such points. */
  readonly threshold: number;
}

/**
 * The modes with the threshold that suits each. A threshold belongs to its features: 3.0 means "alone in its region" and
 * suits raw values at shingle 1; standardised ones bring incidents nearer to each other, windows spread one over several
 * shingled points. For another sample size multiply by `log2(N + 1) / log2(257)`.
 */
export const featureModes: Readonly<Record<FeatureMode, FeatureModeFacts>> = {
  raw: {
    description: 'response time, status and bytes as they are',
    dimensions: 3,
    shingleSize: 1,
    threshold: 3,
  },
  scaled: {
    description: 'log response time, class of the status, log bytes, each standardised',
    dimensions: 3,
    shingleSize: 1,
    threshold: 2,
  },
  window: {
    description: 'a minute of a source: requests, share of errors, median and 95th percentile of the response time',
    dimensions: 4,
    shingleSize: 4,
    threshold: 2.5,
  },
};

/** Turns requests into points, one each. Keep one for each source of logs. */
export class RequestFeatures {
  readonly mode: 'raw' | 'scaled';
  private readonly responseTime = new RobustScaler(0.2);
  private readonly status = new RobustScaler(0.1);
  private readonly bytes = new RobustScaler(0.2);

  constructor(mode: 'raw' | 'scaled') {
    this.mode = mode;
  }

  /** The point; undefined when a number is missing: a record is left out rather than filled in. */
  point(record: RequestRecord): [number, number, number] | undefined {
    const { responseTime, status, bytes } = record;
    if (!isNumber(responseTime) || !isNumber(status) || !isNumber(bytes)) return undefined;
    if (this.mode === 'raw') return [responseTime, status, bytes];
    return [
      this.responseTime.scale(skewed(responseTime)),
      this.status.scale(statusClass(status)),
      this.bytes.scale(skewed(bytes)),
    ];
  }
}

/**
 * Status codes are names, not amounts: 404 is not between 200 and 500. What the server did wrong is 1, what the client
 * did wrong a half, all else 0.
 */
export function statusClass(status: number): number {
  return status >= 500 ? 1 : status >= 400 ? 0.5 : 0;
}

/** Takes the skew out of an amount that is never negative: latency, bytes, counts. */
function skewed(amount: number): number {
  return Math.log1p(Math.max(0, amount));
}

/** Repeats the last value of a measurement where one is missing; undefined before the first. */
export class LastValue {
  private last: number | undefined;

  fill(value: number | null | undefined): number | undefined {
    if (isNumber(value)) this.last = value;
    return this.last;
  }
}

/** A finished window of one source. */
export interface WindowPoint {
  /** Milliseconds since the epoch at which the window began. */
  readonly start: number;
  readonly point: [requests: number, errorShare: number, medianTime: number, highTime: number];
}

/**
 * Gathers requests into windows, since "many errors" and "no traffic" are properties of a stretch of time. A window
 * without requests is a point too. Times must not go back by more than a window; what comes later is counted in the
 * present one.
 */
export class RequestWindows {
  private readonly length: number;
  private readonly scalers = [0.2, 0.05, 0.2, 0.2].map((floor) => new RobustScaler(floor, 512));
  private start: number | undefined;
  private times: number[] = [];
  private requests = 0;
  private errors = 0;

  /** @param length milliseconds of a window; default a minute */
  constructor(length = 60_000) {
    if (!(length >= 1)) throw new RangeError(`length is ${length}; it must be at least 1 ms`);
    this.length = length;
  }

  /** Adds a request at a time in milliseconds; answers the windows that it closes, at most 1,000 empty ones. */
  add(time: number, record: RequestRecord): WindowPoint[] {
    const begin = Math.floor(time / this.length) * this.length;
    this.start ??= begin;
    const closed: WindowPoint[] = [];
    if (begin - this.start > 1_000 * this.length) this.start = begin - 1_000 * this.length;
    while (this.start < begin) closed.push(this.close());
    this.requests++;
    if (isNumber(record.status) && record.status >= 500) this.errors++;
    if (isNumber(record.responseTime)) this.times.push(record.responseTime);
    return closed;
  }

  private close(): WindowPoint {
    const times = this.times.sort((a, b) => a - b);
    const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0;
    const values = [
      skewed(this.requests),
      this.requests > 0 ? this.errors / this.requests : 0,
      skewed(at(0.5)),
      skewed(at(0.95)),
    ];
    const point = values.map((value, j) => this.scalers[j]!.scale(value)) as WindowPoint['point'];
    const start = this.start!;
    this.start = start + this.length;
    this.times = [];
    this.requests = 0;
    this.errors = 0;
    return { start, point };
  }
}

function isNumber(value: number | null | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
