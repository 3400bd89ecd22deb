import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeName, groupFolder } from './log-files.ts';

export interface LogEvent {
  readonly timestamp: number;
  readonly logStream: string;
  readonly message: string;
  /** Place in the stream: with the stream's name it makes an id. */
  readonly sequence: number;
}

export interface StreamSummary {
  readonly name: string;
  readonly firstEventTimestamp: number;
  readonly lastEventTimestamp: number;
  readonly bytes: number;
}

/** Names of the groups that have logs, sorted. */
export async function listGroups(directory: string): Promise<string[]> {
  const names: string[] = [];
  for (const folder of await readdir(directory).catch(() => [])) {
    const name = await readFile(join(directory, folder, 'group.txt'), 'utf8').catch(() => undefined);
    if (name !== undefined) names.push(name);
  }
  return names.sort();
}

/** Streams of a group, by name; undefined when there is no such group. */
export async function listStreams(directory: string, group: string): Promise<StreamSummary[] | undefined> {
  const folder = groupFolder(directory, group);
  const files = await readdir(folder).catch(() => undefined);
  if (files === undefined) return undefined;
  const streams: StreamSummary[] = [];
  for (const file of files) {
    if (!file.endsWith('.log')) continue;
    const name = decodeURIComponent(file.slice(0, -4));
    const information = await stat(join(folder, file)).catch(() => undefined);
    if (information === undefined) continue;
    const first = await firstTimestamp(join(folder, files.includes(`${file}.1`) ? `${file}.1` : file));
    streams.push({
      name,
      firstEventTimestamp: first ?? Math.floor(information.birthtimeMs),
      lastEventTimestamp: Math.floor(information.mtimeMs),
      bytes: information.size,
    });
  }
  return streams.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function firstTimestamp(path: string): Promise<number | undefined> {
  for await (const chunk of createReadStream(path, { end: 31 })) return Number.parseInt(String(chunk), 10);
  return undefined;
}

/**
 * Events of one stream in order, as its files hold them, some at a time; earlier ones than `startTime` are passed over
 * unread.
 */
async function* readStream(
  directory: string,
  group: string,
  stream: string,
  startTime = 0,
): AsyncGenerator<readonly LogEvent[]> {
  const path = join(groupFolder(directory, group), `${encodeName(stream)}.log`);
  let before = 0;
  for (const name of [`${path}.1`, path]) {
    let file: FileHandle;
    try {
      file = await open(name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw error;
    }
    try {
      const { size } = await file.stat();
      yield* readEvents({ file, size, stream, before }, startTime);
      before += size;
    } finally {
      await file.close();
    }
  }
}

interface StreamFile {
  readonly file: FileHandle;
  readonly size: number;
  readonly stream: string;
  /** Bytes of the stream in earlier files. */
  readonly before: number;
}

const lineEnd = 10;
const tabulator = 9;
const blockBytes = 262_144;

async function* readEvents(
  { file, size, stream, before }: StreamFile,
  startTime: number,
): AsyncGenerator<readonly LogEvent[]> {
  let position = startTime === 0 ? 0 : await placeOf(file, size, startTime - clockStepMilliseconds);
  let rest: Buffer = Buffer.alloc(0);
  for (let next = position; next < size; ) {
    const block = Buffer.allocUnsafe(Math.min(blockBytes, size - next));
    const { bytesRead } = await file.read(block, 0, block.length, next);
    if (bytesRead === 0) return;
    next += bytesRead;
    const read = block.subarray(0, bytesRead);
    const data = rest.length === 0 ? read : Buffer.concat([rest, read]);
    const events: LogEvent[] = [];
    let from = 0;
    // Only \n ends a line here: inside of an event line ends are \r.
    for (let end = data.indexOf(lineEnd); end >= 0; from = end + 1, end = data.indexOf(lineEnd, from)) {
      const tab = data.indexOf(tabulator, from);
      const timestamp = tab <= from || tab > end ? Number.NaN : Number(data.toString('latin1', from, tab));
      if (!(timestamp >= startTime)) continue;
      const message = data.toString('utf8', tab + 1, end);
      events.push({
        timestamp,
        logStream: stream,
        message: message.includes('\r') ? message.replaceAll('\r', '\n') : message,
        sequence: before + position + from,
      });
    }
    if (events.length > 0) yield events;
    position += from;
    rest = data.subarray(from);
  }
}

/** Begin of a line at or before the first event of this time: found by halving, since events stand in the order of time. */
async function placeOf(file: FileHandle, size: number, time: number): Promise<number> {
  let low = 0;
  let high = size;
  const probe = Buffer.allocUnsafe(65_536);
  while (high - low > blockBytes) {
    const middle = low + Math.floor((high - low) / 2);
    const { bytesRead } = await file.read(probe, 0, probe.length, middle);
    const read = probe.subarray(0, bytesRead);
    const begin = read.indexOf(lineEnd) + 1;
    const tab = read.indexOf(tabulator, begin);
    // A line longer than the probe: from here on all is read.
    if (begin === 0 || tab < 0) return low;
    if (Number(read.toString('latin1', begin, tab)) < time) low = middle + begin;
    else high = middle;
  }
  return low;
}

export interface LogQuery {
  readonly streams?: readonly string[];
  readonly streamPrefix?: string;
  /** Milliseconds of the Unix epoch, inclusive. */
  readonly startTime?: number;
  /** Exclusive. */
  readonly endTime?: number;
  readonly matches?: (message: string) => boolean;
  /** Most events of the answer; without it all. */
  readonly limit?: number;
  /** Leaves out the first events of the answer, which are `skip` of time `startTime` that were given before. */
  readonly skip?: number;
}

export interface LogPage {
  /** By time, then stream, then place in the stream. */
  readonly events: LogEvent[];
  /** Where the next page begins; undefined when there is none. */
  readonly next: { readonly startTime: number; readonly skip: number } | undefined;
}

/** Characters of messages in a page with a limit, as CloudWatch Logs has it; one event may be longer. */
const pageLength = 1_048_576;
/** A stream's events stand in the order of time, but for a clock that was set back; so far is looked on. */
const clockStepMilliseconds = 60_000;

/**
 * Events of all streams of a group that the query wants, by time; undefined when there is no such group. With a limit no
 * more is held in memory than a few pages, whatever the size of the group.
 */
export async function queryLog(directory: string, group: string, query: LogQuery): Promise<LogPage | undefined> {
  const streams = await listStreams(directory, group);
  if (streams === undefined) return undefined;
  const { limit = Number.POSITIVE_INFINITY, skip = 0, startTime = 0, endTime = Number.POSITIVE_INFINITY } = query;
  const collected = new Collected(limit, skip);
  for (const { name, lastEventTimestamp } of streams) {
    if (query.streams !== undefined && !query.streams.includes(name)) continue;
    if (query.streamPrefix !== undefined && !name.startsWith(query.streamPrefix)) continue;
    // A second of grace: files are written a moment after their events.
    if (lastEventTimestamp + 1_000 < startTime) continue;
    for await (const events of readStream(directory, group, name, startTime)) {
      if (events[0]!.timestamp > collected.latest + clockStepMilliseconds) break;
      for (const event of events) {
        if (event.timestamp >= endTime || event.timestamp > collected.latest) continue;
        if (query.matches === undefined || query.matches(event.message)) collected.add(event);
      }
    }
  }
  return collected.page();
}

/** The first events of many, by time: what comes behind the page is let go as soon as that is known. */
class Collected {
  readonly #limit: number;
  readonly #skip: number;
  #events: LogEvent[] = [];
  #length = 0;
  #cut = false;
  /** Later events cannot be in the page. */
  latest = Number.POSITIVE_INFINITY;

  constructor(limit: number, skip: number) {
    this.#limit = limit;
    this.#skip = skip;
  }

  add(event: LogEvent): void {
    this.#events.push(event);
    this.#length += event.message.length;
    const many = this.#events.length > 2 * (this.#limit + this.#skip) || this.#length > 8 * pageLength;
    if (many && this.#limit !== Number.POSITIVE_INFINITY) this.#trim();
  }

  #trim(): void {
    this.#events.sort(byTime);
    if (this.#limit === Number.POSITIVE_INFINITY) return;
    let end = this.#skip;
    let length = 0;
    while (end < this.#events.length && end - this.#skip < this.#limit) {
      length += this.#events[end]!.message.length;
      if (length > pageLength && end > this.#skip) break;
      end++;
    }
    if (end >= this.#events.length) return;
    this.#cut = true;
    this.#events.length = end;
    this.#length = this.#events.reduce((sum, { message }) => sum + message.length, 0);
    this.latest = this.#events[end - 1]?.timestamp ?? this.latest;
  }

  page(): LogPage {
    this.#trim();
    const events = this.#events.slice(this.#skip);
    const last = events.at(-1);
    if (!this.#cut || last === undefined) return { events, next: undefined };
    let skip = 0;
    for (const { timestamp } of this.#events) if (timestamp === last.timestamp) skip++;
    return { events, next: { startTime: last.timestamp, skip } };
  }
}

function byTime(a: LogEvent, b: LogEvent): number {
  if (a.timestamp !== b.timestamp) return a.timestamp - b.timestamp;
  if (a.logStream !== b.logStream) return a.logStream < b.logStream ? -1 : 1;
  return a.sequence - b.sequence;
}
