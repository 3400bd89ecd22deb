import { createHash } from 'node:crypto';
import { appendFile, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogSink, LogWriter } from './log-stream.ts';

/** Bounds of the logs on disk. */
export interface LogLimits {
  /** One file of a stream; a stream keeps two. Default 16 MiB. */
  readonly fileBytes: number;
  /** All streams of a group; the oldest go first. Default 256 MiB. */
  readonly groupBytes: number;
  /** Streams of a group. Default 1,000. */
  readonly groupStreams: number;
}

const defaultLimits: LogLimits = { fileBytes: 16 << 20, groupBytes: 256 << 20, groupStreams: 1_000 };
const flushMilliseconds = 50;
const flushBytes = 1 << 20;
/** Lines of all streams that wait for a slow disk; beyond it they are counted instead of kept. */
const pendingLimit = 64 << 20;

interface Stream {
  readonly group: string;
  readonly path: string;
  pending: string[];
  size: number | undefined;
  flushing: Promise<void> | undefined;
}

/**
 * Functions' logs as files: a folder a log group, a file a log stream, a line an event: milliseconds of the Unix epoch, a
 * tab, the message with its line ends as carriage returns. Written behind the caller's back, a few times a second.
 */
export class LogFiles implements LogSink {
  readonly #directory: string;
  readonly #limits: LogLimits;
  readonly #dirty = new Set<Stream>();
  readonly #writing = new Set<Promise<void>>();
  #pendingLength = 0;
  #lost = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The last thing that went wrong with the disk. */
  lastError: Error | undefined;

  constructor(directory: string, limits: Partial<LogLimits> = {}) {
    this.#directory = directory;
    this.#limits = { ...defaultLimits, ...limits };
  }

  open(group: string, stream: string): LogWriter {
    const path = join(groupFolder(this.#directory, group), `${encodeName(stream)}.log`);
    const entry: Stream = { group, path, pending: [], size: undefined, flushing: undefined };
    return {
      append: (timestamp, line) => this.#append(entry, timestamp, line),
      end: () => void this.#flush(entry),
    };
  }

  #append(entry: Stream, timestamp: number, line: string): void {
    if (this.#pendingLength > pendingLimit) {
      this.#lost++;
      return;
    }
    const text = `${timestamp}\t${line.includes('\n') ? line.replaceAll('\n', '\r') : line}\n`;
    if (entry.pending.push(text) === 1) this.#dirty.add(entry);
    this.#pendingLength += text.length;
    if (this.#timer === undefined) this.#timer = setTimeout(() => void this.flush(), flushMilliseconds);
    if (this.#pendingLength > flushBytes) void this.flush();
  }

  /** Resolves once everything appended so far is in the files. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const entry of this.#dirty) void this.#flush(entry);
    this.#dirty.clear();
    await Promise.all(this.#writing);
  }

  #flush(entry: Stream): Promise<void> {
    // One write at a time and stream; what comes meanwhile goes with the next.
    const flushing = (entry.flushing ?? Promise.resolve()).then(async () => {
      const lines = entry.pending;
      entry.pending = [];
      if (lines.length > 0) await this.#write(entry, lines);
    });
    entry.flushing = flushing;
    this.#writing.add(flushing);
    return flushing.finally(() => {
      this.#writing.delete(flushing);
      if (entry.flushing === flushing) entry.flushing = undefined;
    });
  }

  async #write(entry: Stream, lines: string[]): Promise<void> {
    let text = lines.join('');
    this.#pendingLength -= text.length;
    if (this.#lost > 0) {
      text += `${Date.now()}\tLOGS_DROPPED ${this.#lost} lines: the disk is too slow\n`;
      this.#lost = 0;
    }
    const bytes = Buffer.from(text);
    try {
      entry.size ??= await this.#open(entry);
      if (entry.size > 0 && entry.size + bytes.length > this.#limits.fileBytes) {
        await rename(entry.path, `${entry.path}.1`);
        entry.size = 0;
        await this.#prune(entry.group);
      }
      await appendFile(entry.path, bytes);
      entry.size += bytes.length;
    } catch (error) {
      // A full disk must not stop functions; the lines are lost, the reason is kept.
      this.lastError = error as Error;
    }
  }

  /** The size that the stream's file has already; makes the group's folder. */
  async #open(entry: Stream): Promise<number> {
    const folder = groupFolder(this.#directory, entry.group);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'group.txt'), entry.group);
    await this.#prune(entry.group);
    return (await stat(entry.path).catch(() => undefined))?.size ?? 0;
  }

  /** Removes the oldest files of a group until it is within its bounds. */
  async #prune(group: string): Promise<void> {
    const folder = groupFolder(this.#directory, group);
    const files: { path: string; size: number; modified: number }[] = [];
    for (const name of await readdir(folder)) {
      if (!/\.log(?:\.1)?$/.test(name)) continue;
      const path = join(folder, name);
      const information = await stat(path).catch(() => undefined);
      if (information !== undefined) files.push({ path, size: information.size, modified: information.mtimeMs });
    }
    files.sort((a, b) => b.modified - a.modified);
    let bytes = 0;
    for (const [index, file] of files.entries()) {
      bytes += file.size;
      // The newest stays whatever its size: it is being written.
      if (index > 0 && (bytes > this.#limits.groupBytes || index >= this.#limits.groupStreams))
        await rm(file.path, { force: true });
    }
  }
}

export const encodeName = (name: string): string => encodeURIComponent(name);

/** Group names are up to 512 characters, file names up to 255 bytes: long ones are told apart by a checksum. */
export function groupFolder(directory: string, group: string): string {
  const encoded = encodeName(group);
  if (encoded.length <= 180) return join(directory, encoded);
  return join(directory, `${encoded.slice(0, 150)}-${createHash('sha256').update(group).digest('hex').slice(0, 16)}`);
}
