import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BatchView, RecordsError } from '@headrace/kafka-records';
import type { LogStore, PartitionLog } from '../log/partition-log.ts';
import { syncFolder, writeWhole } from './journal.ts';

/** A new file is begun when one has reached this. */
const FILE_BYTES = 16 << 20;

interface LogFile {
  readonly path: string;
  readonly baseOffset: number;
  size: number;
}

/** What the journal is told of a partition's files. */
export interface LogFileEvents {
  startMoved(offset: number): void;
  /** From now on the files of this generation count, and no others. */
  rewritten(generation: number): void;
}

/**
 * One partition's batches in files, as they lie in memory, written before they are acknowledged. Named by the first
 * offset, so that old ones go as the log's start moves. A log that is rewritten (compaction, truncation) gets files of a
 * new generation beside the old ones, which count until the journal names the new.
 */
export class LogFiles implements LogStore {
  readonly #folder: string;
  readonly #isFlushed: boolean;
  readonly #events: LogFileEvents;
  #files: LogFile[] = [];
  #generation: number;
  #descriptor = -1;

  constructor(folder: string, isFlushed: boolean, generation: number, events: LogFileEvents) {
    this.#folder = folder;
    this.#isFlushed = isFlushed;
    this.#generation = generation;
    this.#events = events;
    if (mkdirSync(folder, { recursive: true }) !== undefined && isFlushed) syncFolder(dirname(folder));
  }

  /** Reads everything back. What follows the first batch that is not whole and sound is cut off. */
  restore(log: PartitionLog, now: number): void {
    const names = readdirSync(this.#folder).filter((name) => name.endsWith('.log'));
    const isOurs = (name: string): boolean => name === this.#nameOf(Number.parseInt(name, 10));
    // Left by a rewriting that did not come to its end, or to the end of cleaning up.
    for (const name of names) if (!isOurs(name)) rmSync(join(this.#folder, name));
    const offsets = names
      .filter(isOurs)
      .map((name) => Number.parseInt(name, 10))
      .sort((left, right) => left - right);
    let isTorn = false;
    for (const baseOffset of offsets) {
      const path = this.#path(baseOffset);
      if (isTorn) {
        rmSync(path);
        continue;
      }
      const bytes = readFileSync(path);
      const size = restoreBatches(bytes, log, now);
      isTorn = size < bytes.length;
      if (isTorn) truncateSync(path, size);
      this.#files.push({ path, baseOffset, size });
    }
    log.endOffset = Math.max(log.endOffset, this.#files.at(-1)?.baseOffset ?? 0);
  }

  #nameOf(baseOffset: number): string {
    const generation = this.#generation > 0 ? `.${this.#generation}` : '';
    return `${String(baseOffset).padStart(20, '0')}${generation}.log`;
  }

  #path(baseOffset: number): string {
    return join(this.#folder, this.#nameOf(baseOffset));
  }

  append(batch: Buffer): void {
    let file = this.#files.at(-1);
    if (!file || file.size >= FILE_BYTES) file = this.#begin(new BatchView(batch).baseOffset);
    if (this.#descriptor < 0) this.#openLast(file);
    try {
      writeWhole(this.#descriptor, batch);
      if (this.#isFlushed) fdatasyncSync(this.#descriptor);
    } catch (error) {
      // A part of it may be there, and what comes after a torn batch would be lost with it.
      ftruncateSync(this.#descriptor, file.size);
      throw error;
    }
    file.size += batch.length;
  }

  #openLast(file: LogFile): void {
    this.#descriptor = openSync(file.path, 'a');
    if (this.#isFlushed && file.size === 0) syncFolder(this.#folder);
  }

  #begin(baseOffset: number): LogFile {
    this.close();
    const file = { path: this.#path(baseOffset), baseOffset, size: 0 };
    this.#files.push(file);
    return file;
  }

  rewrite(log: PartitionLog): void {
    this.close();
    const before = this.#files;
    this.#files = [];
    this.#generation++;
    for (const batch of log.batches(0)) this.append(batch.bytes.subarray(batch.start, batch.end));
    // The end may lie beyond the last batch, and must not be given out twice.
    if (log.endOffset > (log.segments.at(-1)?.lastOffset ?? -1) + 1) this.#openLast(this.#begin(log.endOffset));
    this.#events.rewritten(this.#generation);
    for (const { path } of before) rmSync(path, { force: true });
  }

  startMoved(logStartOffset: number): void {
    this.#events.startMoved(logStartOffset);
    while (this.#files.length > 1 && this.#files[1]!.baseOffset <= logStartOffset) {
      rmSync(this.#files.shift()!.path, { force: true });
    }
  }

  close(): void {
    if (this.#descriptor >= 0) closeSync(this.#descriptor);
    this.#descriptor = -1;
  }

  delete(): void {
    this.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** @returns bytes of whole, sound batches */
function restoreBatches(bytes: Buffer, log: PartitionLog, now: number): number {
  const view = new BatchView(bytes);
  let position = 0;
  while (position < bytes.length) {
    view.at(bytes, position);
    try {
      view.validate(bytes.length);
    } catch (error) {
      if (error instanceof RecordsError || error instanceof RangeError) return position;
      throw error;
    }
    if (!view.isCrcValid) return position;
    log.restore(bytes.subarray(position, view.end), now);
    position = view.end;
  }
  return position;
}
