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
import { join } from 'node:path';
import { BatchView, RecordsError } from '@headrace/kafka-records';
import type { LogStore, PartitionLog } from '../log/partition-log.ts';
import { writeWhole } from './journal.ts';

/** A new file is begun when one has reached this. */
const FILE_BYTES = 16 << 20;

interface LogFile {
  readonly path: string;
  readonly baseOffset: number;
  size: number;
}

/**
 * One partition's batches in files, as they lie in memory, written before they are acknowledged. Named by the first
 * offset, so that old ones go as the log's start moves.
 */
export class LogFiles implements LogStore {
  readonly #folder: string;
  readonly #isFlushed: boolean;
  readonly #onStartMoved: (offset: number) => void;
  #files: LogFile[] = [];
  #descriptor = -1;

  constructor(folder: string, isFlushed: boolean, onStartMoved: (offset: number) => void) {
    this.#folder = folder;
    this.#isFlushed = isFlushed;
    this.#onStartMoved = onStartMoved;
    mkdirSync(folder, { recursive: true });
  }

  /** Reads everything back. What follows the first batch that is not whole and sound is cut off. */
  restore(log: PartitionLog, now: number): void {
    const names = readdirSync(this.#folder).filter((name) => name.endsWith('.log'));
    const offsets = names.map((name) => Number.parseInt(name, 10)).sort((left, right) => left - right);
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

  #path(baseOffset: number): string {
    return join(this.#folder, `${String(baseOffset).padStart(20, '0')}.log`);
  }

  append(batch: Buffer): void {
    let file = this.#files.at(-1);
    if (!file || file.size >= FILE_BYTES) file = this.#begin(new BatchView(batch).baseOffset);
    if (this.#descriptor < 0) this.#descriptor = openSync(file.path, 'a');
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

  #begin(baseOffset: number): LogFile {
    this.close();
    const file = { path: this.#path(baseOffset), baseOffset, size: 0 };
    this.#files.push(file);
    return file;
  }

  rewrite(log: PartitionLog): void {
    this.close();
    for (const { path } of this.#files.splice(0)) rmSync(path, { force: true });
    for (const batch of log.batches(0)) this.append(batch.bytes.subarray(batch.start, batch.end));
    // The end may lie beyond the last batch, and must not be given out twice.
    if (log.endOffset > (log.segments.at(-1)?.lastOffset ?? -1) + 1) {
      const file = this.#begin(log.endOffset);
      this.#descriptor = openSync(file.path, 'a');
    }
  }

  startMoved(logStartOffset: number): void {
    this.#onStartMoved(logStartOffset);
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
