import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { crc32c } from '@headrace/kafka-records';

const SMALLEST_COMPACTION_BYTES = 16 << 20;

/**
 * What a broker holds beside records, as a file of events: one line each, its checksum first. A torn last line (a crash
 * while it was written) is cut off. The file is made anew from a snapshot at each start and when it has grown much.
 */
export class Journal<Event> {
  readonly #path: string;
  readonly #isFlushed: boolean;
  readonly #snapshot: () => Iterable<Event>;
  #descriptor: number;
  #size = 0;
  #limit = SMALLEST_COMPACTION_BYTES;

  private constructor(path: string, isFlushed: boolean, snapshot: () => Iterable<Event>) {
    this.#path = path;
    this.#isFlushed = isFlushed;
    this.#snapshot = snapshot;
    this.#descriptor = openSync(path, 'a');
  }

  /** Reads the events that are there, in order, then begins a new file from `snapshot`. */
  static open<Event>(
    path: string,
    isFlushed: boolean,
    restore: (event: Event) => void,
    snapshot: () => Iterable<Event>,
  ): Journal<Event> {
    for (const event of readEvents<Event>(path)) restore(event);
    const journal = new Journal<Event>(path, isFlushed, snapshot);
    journal.compact();
    return journal;
  }

  write(event: Event): void {
    const bytes = encode(event);
    try {
      writeWhole(this.#descriptor, bytes);
      if (this.#isFlushed) fdatasyncSync(this.#descriptor);
    } catch (error) {
      // What comes after a torn line would be lost with it.
      ftruncateSync(this.#descriptor, this.#size);
      throw error;
    }
    this.#size += bytes.length;
    if (this.#size > this.#limit) this.compact();
  }

  /** Replaces the file by what is true now. A crash leaves either the old file or the new one. */
  compact(): void {
    const bytes = Buffer.concat([...this.#snapshot()].map(encode));
    const next = `${this.#path}.new`;
    const descriptor = openSync(next, 'w');
    writeWhole(descriptor, bytes);
    fsyncSync(descriptor);
    renameSync(next, this.#path);
    if (this.#isFlushed) syncFolder(dirname(this.#path));
    closeSync(this.#descriptor);
    this.#descriptor = descriptor;
    this.#size = bytes.length;
    this.#limit = Math.max(SMALLEST_COMPACTION_BYTES, bytes.length * 4);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Makes what was created or renamed in a folder outlive the end of the machine; Windows has no such call. */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

const checksum = (text: string): string => crc32c(Buffer.from(text)).toString(16).padStart(8, '0');

function encode(event: unknown): Buffer {
  const text = JSON.stringify(event);
  return Buffer.from(`${checksum(text)} ${text}\n`);
}

export function writeWhole(descriptor: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written);
}

function* readEvents<Event>(path: string): Generator<Event> {
  const descriptor = openSync(path, 'a+');
  try {
    const text = readFileSync(descriptor, 'utf8');
    let position = 0;
    while (position < text.length) {
      const end = text.indexOf('\n', position);
      const line = end < 0 ? '' : text.slice(position, end);
      if (line.length < 9 || checksum(line.slice(9)) !== line.slice(0, 8)) {
        ftruncateSync(descriptor, Buffer.byteLength(text.slice(0, position)));
        return;
      }
      yield JSON.parse(line.slice(9)) as Event;
      position = end + 1;
    }
  } finally {
    closeSync(descriptor);
  }
}
