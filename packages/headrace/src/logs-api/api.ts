import { type LogEvent, listGroups, listStreams, queryLog } from '../functions/log-reader.ts';
import type { Api, ApiRequest, ApiResponse } from '../gateway/route.ts';
import { compileFilterPattern, FilterPatternError } from './filter-pattern.ts';

export interface LogsOptions {
  readonly region: string;
  readonly accountId: string;
  /** Where functions' logs lie; empty until the engine has started. */
  readonly logDirectory: () => string;
}

const target = 'Logs_20140328.';

/** A refusal in the words of CloudWatch Logs. */
class LogsError extends Error {
  readonly type: string;
  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

/**
 * The calls of CloudWatch Logs that read: DescribeLogGroups, DescribeLogStreams, GetLogEvents, FilterLogEvents; JSON
 * protocol 1.1. Functions' logs are written by the engine, so nothing here writes.
 */
export function createLogsApi(options: LogsOptions): Api {
  const operations: Record<string, (input: Input) => Promise<object>> = {
    DescribeLogGroups: (input) => describeGroups(options, input),
    DescribeLogStreams: (input) => describeStreams(options, input),
    GetLogEvents: (input) => getEvents(options, input),
    FilterLogEvents: (input) => filterEvents(options, input),
  };
  return {
    service: 'logs',
    async handle(request) {
      const named = request.headers['x-amz-target'];
      if (request.method !== 'POST' || request.path !== '/' || !named?.startsWith(target)) return undefined;
      const name = named.slice(target.length);
      const operation = Object.hasOwn(operations, name) ? operations[name] : undefined;
      try {
        if (operation === undefined)
          throw new LogsError('UnknownOperationException', `${name} is not implemented by Headrace.`);
        return answer(request, 200, await operation(new Input(request.body)));
      } catch (error) {
        if (error instanceof FilterPatternError)
          return answer(request, 400, { __type: 'InvalidParameterException', message: error.message });
        if (error instanceof LogsError) return answer(request, 400, { __type: error.type, message: error.message });
        throw error;
      }
    },
  };
}

function answer({ requestId }: ApiRequest, status: number, body: object): ApiResponse {
  return {
    status,
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': requestId },
    body: JSON.stringify(body),
  };
}

/** Reads members of the request; a wrong one is named. */
class Input {
  readonly #members: Readonly<Record<string, unknown>>;

  constructor(body: Buffer) {
    let parsed: unknown;
    try {
      parsed = body.length === 0 ? {} : JSON.parse(body.toString());
    } catch {
      throw new LogsError('SerializationException', 'The request body is not JSON.');
    }
    if (typeof parsed !== 'object' || parsed === null)
      throw new LogsError('SerializationException', 'The request body is not an object.');
    this.#members = parsed as Record<string, unknown>;
  }

  string(name: string): string | undefined {
    const value = this.#members[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'string') throw invalid(`${name} must be a string`);
    return value;
  }

  strings(name: string): string[] | undefined {
    const value = this.#members[name];
    if (value === undefined || value === null) return undefined;
    if (!Array.isArray(value) || !value.every((each) => typeof each === 'string'))
      throw invalid(`${name} must be a list of strings`);
    return value as string[];
  }

  integer(name: string, minimum: number, maximum: number): number | undefined {
    const value = this.#members[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum) {
      throw invalid(`${name} must be a whole number from ${minimum} to ${maximum}`);
    }
    return value;
  }

  boolean(name: string): boolean {
    const value = this.#members[name];
    if (value !== undefined && value !== null && typeof value !== 'boolean')
      throw invalid(`${name} must be true or false`);
    return value === true;
  }

  /** By name, or by ARN in `logGroupIdentifier`. */
  group(): string {
    const identifier = this.string('logGroupIdentifier');
    const name =
      this.string('logGroupName') ??
      identifier?.replace(/^arn:[^:]*:logs:[^:]*:[^:]*:log-group:/, '').replace(/:\*$/, '');
    if (name === undefined || name === '') throw invalid('logGroupName is missing');
    return name;
  }
}

const invalid = (message: string): LogsError => new LogsError('InvalidParameterException', message);
const noGroup = (): LogsError => new LogsError('ResourceNotFoundException', 'The specified log group does not exist.');
const latest = Number.MAX_SAFE_INTEGER;

/** A page of a list: tokens are the place where the next one begins. */
function page<T>(all: readonly T[], input: Input, limit: number): { items: T[]; nextToken?: string } {
  const from = tokenPlace(input.string('nextToken'));
  const items = all.slice(from, from + limit);
  return from + limit < all.length ? { items, nextToken: `p/${from + limit}` } : { items };
}

function tokenPlace(token: string | undefined): number {
  if (token === undefined) return 0;
  const match = /^p\/(\d{1,15})$/.exec(token);
  if (match === null) throw invalid('The specified nextToken is invalid.');
  return Number(match[1]);
}

async function describeGroups({ region, accountId, logDirectory }: LogsOptions, input: Input): Promise<object> {
  const prefix = input.string('logGroupNamePrefix');
  const pattern = input.string('logGroupNamePattern');
  if (prefix !== undefined && pattern !== undefined) {
    throw invalid('LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.');
  }
  const names = (await listGroups(logDirectory())).filter(
    (name) =>
      (prefix === undefined || name.startsWith(prefix)) &&
      (pattern === undefined || name.toLowerCase().includes(pattern.toLowerCase())),
  );
  const { items, ...rest } = page(names, input, input.integer('limit', 1, 50) ?? 50);
  const logGroups = [];
  for (const logGroupName of items) {
    const streams = (await listStreams(logDirectory(), logGroupName)) ?? [];
    const logGroupArn = `arn:aws:logs:${region}:${accountId}:log-group:${logGroupName}`;
    logGroups.push({
      logGroupName,
      creationTime: streams.reduce((least, stream) => Math.min(least, stream.firstEventTimestamp), Date.now()),
      metricFilterCount: 0,
      arn: `${logGroupArn}:*`,
      storedBytes: streams.reduce((sum, stream) => sum + stream.bytes, 0),
      logGroupClass: 'STANDARD',
      logGroupArn,
    });
  }
  return { logGroups, ...rest };
}

async function describeStreams({ region, accountId, logDirectory }: LogsOptions, input: Input): Promise<object> {
  const group = input.group();
  const prefix = input.string('logStreamNamePrefix');
  const byTime = input.string('orderBy') === 'LastEventTime';
  if (byTime && prefix !== undefined) throw invalid('Cannot order by LastEventTime with a logStreamNamePrefix.');
  const all = await listStreams(logDirectory(), group);
  if (all === undefined) throw noGroup();
  const streams = all.filter((stream) => prefix === undefined || stream.name.startsWith(prefix));
  if (byTime) streams.sort((a, b) => a.lastEventTimestamp - b.lastEventTimestamp);
  if (input.boolean('descending')) streams.reverse();
  const { items, ...rest } = page(streams, input, input.integer('limit', 1, 50) ?? 50);
  return {
    logStreams: items.map((stream) => ({
      logStreamName: stream.name,
      creationTime: stream.firstEventTimestamp,
      firstEventTimestamp: stream.firstEventTimestamp,
      lastEventTimestamp: stream.lastEventTimestamp,
      lastIngestionTime: stream.lastEventTimestamp,
      arn: `arn:aws:logs:${region}:${accountId}:log-group:${group}:log-stream:${stream.name}`,
      storedBytes: 0,
    })),
    ...rest,
  };
}

async function getEvents({ logDirectory }: LogsOptions, input: Input): Promise<object> {
  const stream = input.string('logStreamName');
  if (stream === undefined) throw invalid('logStreamName is missing');
  const limit = input.integer('limit', 1, 10_000) ?? 10_000;
  const group = input.group();
  const streams = await listStreams(logDirectory(), group);
  if (streams === undefined) throw noGroup();
  if (!streams.some((each) => each.name === stream)) {
    throw new LogsError('ResourceNotFoundException', 'The specified log stream does not exist.');
  }
  const { events = [] } = (await queryLog(logDirectory(), group, { streams: [stream], ...times(input) })) ?? {};
  // Forward tokens hold the place after the page, backward tokens the place of its first event.
  const token = /^([fb])\/(\d{1,15})$/.exec(input.string('nextToken') ?? '');
  if (input.string('nextToken') !== undefined && token === null) throw invalid('The specified nextToken is invalid.');
  let from: number;
  if (token === null) from = input.boolean('startFromHead') ? 0 : Math.max(0, events.length - limit);
  else if (token[1] === 'f') from = Math.min(Number(token[2]), events.length);
  else from = Math.max(0, Math.min(Number(token[2]), events.length) - limit);
  const to = token?.[1] === 'b' ? Math.min(Number(token[2]), events.length) : Math.min(from + limit, events.length);
  return {
    events: events.slice(from, to).map(({ timestamp, message }) => ({ timestamp, message, ingestionTime: timestamp })),
    nextForwardToken: `f/${to}`,
    nextBackwardToken: `b/${from}`,
  };
}

async function filterEvents({ logDirectory }: LogsOptions, input: Input): Promise<object> {
  const streams = input.strings('logStreamNames');
  const streamPrefix = input.string('logStreamNamePrefix');
  if (streams !== undefined && streamPrefix !== undefined) {
    throw invalid('logStreamNames and logStreamNamePrefix cannot be used together.');
  }
  const pattern = input.string('filterPattern') ?? '';
  const found = await queryLog(logDirectory(), input.group(), {
    ...times(input),
    ...eventPlace(input.string('nextToken')),
    limit: input.integer('limit', 1, 10_000) ?? 10_000,
    ...(streams === undefined ? {} : { streams }),
    ...(streamPrefix === undefined ? {} : { streamPrefix }),
    ...(pattern.trim() === '' ? {} : { matches: compileFilterPattern(pattern) }),
  });
  if (found === undefined) throw noGroup();
  return {
    events: found.events.map((event) => ({
      logStreamName: event.logStream,
      timestamp: event.timestamp,
      message: event.message,
      ingestionTime: event.timestamp,
      eventId: eventId(event),
    })),
    searchedLogStreams: [],
    ...(found.next === undefined ? {} : { nextToken: `e/${found.next.startTime}/${found.next.skip}` }),
  };
}

/** Pages of events go by time: new events and files that are removed meanwhile do not shift them. */
function eventPlace(token: string | undefined): { startTime?: number; skip?: number } {
  if (token === undefined) return {};
  const match = /^e\/(\d{1,15})\/(\d{1,7})$/.exec(token);
  if (match === null) throw invalid('The specified nextToken is invalid.');
  return { startTime: Number(match[1]), skip: Number(match[2]) };
}

/** `startTime` is inclusive; GetLogEvents and FilterLogEvents leave out what comes after `endTime`. */
function times(input: Input): { startTime?: number; endTime?: number } {
  const startTime = input.integer('startTime', 0, latest);
  const endTime = input.integer('endTime', 0, latest);
  return {
    ...(startTime === undefined ? {} : { startTime }),
    ...(endTime === undefined ? {} : { endTime: endTime + 1 }),
  };
}

/** 56 digits, as AWS's are, ordered by time: timestamp, a number of the stream, place in the stream. */
function eventId({ timestamp, logStream, sequence }: LogEvent): string {
  const stream = BigInt(
    `0x${/[0-9a-f]{32}$/.exec(logStream)?.[0] ?? Buffer.from(logStream).toString('hex').slice(-32)}`,
  );
  return (
    `${timestamp}`.padStart(14, '0') + `${stream % 10n ** 30n}`.padStart(30, '0') + `${sequence}`.padStart(12, '0')
  );
}
