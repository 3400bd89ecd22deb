import { randomUUID } from 'node:crypto';
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Where Linux keeps files in memory. Elsewhere events go over the socket, whatever their size. */
const memoryFolder = '/dev/shm';
/** Below, a socket costs less; above, the memory that an environment holds would be more than it saves. */
const leastBytes = 16_384;
const mostBytes = 1_048_576;

/**
 * Memory that the engine writes an event to and one runtime of ours reads it from: a file without a name in the kernel's
 * memory. A socket takes a fifth of a megabyte at most, in pieces, and wakes the reader for each; here it is one copy
 * and one word over the socket. The runtime's descriptor can only read.
 */
export class EventFile {
  readonly #descriptor: number;
  #readDescriptor: number;
  #isUsable = true;

  private constructor(descriptor: number, readDescriptor: number) {
    this.#descriptor = descriptor;
    this.#readDescriptor = readDescriptor;
  }

  /** Undefined where there is no such memory. */
  static open(): EventFile | undefined {
    if (process.platform !== 'linux') return undefined;
    const path = join(memoryFolder, `headrace-${randomUUID()}`);
    let descriptor: number | undefined;
    try {
      descriptor = openSync(path, 'wx', 0o600);
      try {
        return new EventFile(descriptor, openSync(path, 'r'));
      } finally {
        unlinkSync(path);
      }
    } catch {
      // No such folder, not ours to write to, or no descriptors left: the socket does.
      if (descriptor !== undefined) closeSync(descriptor);
      return undefined;
    }
  }

  /** For the runtime's process. */
  get readDescriptor(): number {
    return this.#readDescriptor;
  }

  /** The process has its own now. */
  closeReadDescriptor(): void {
    if (this.#readDescriptor >= 0) closeSync(this.#readDescriptor);
    this.#readDescriptor = -1;
  }

  /** False when the event must go over the socket: too small to be worth it, too large, or no memory for it. */
  write(event: Uint8Array): boolean {
    if (event.length < leastBytes || event.length > mostBytes || !this.#isUsable) return false;
    try {
      if (writeSync(this.#descriptor, event, 0, event.length, 0) === event.length) return true;
    } catch {
      // A container's /dev/shm may be small and full.
    }
    this.#isUsable = false;
    return false;
  }

  close(): void {
    this.#isUsable = false;
    this.closeReadDescriptor();
    closeSync(this.#descriptor);
  }
}
