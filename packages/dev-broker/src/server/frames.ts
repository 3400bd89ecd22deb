const LENGTH_BYTES = 4;
/** Taken for a frame that has begun: small, since thousands of peers may begin frames that they never end. */
const SMALLEST_CAPACITY = 1 << 10;

/** Buffers of frames that were answered, for the next ones: large frames would otherwise keep the collector busy. */
const POOLED_BUFFERS = 8;
const LARGEST_POOLED_BYTES = 2 << 20;
const pool: Buffer[] = [];

/**
 * Gives a frame's memory back. Nothing may hold on to its bytes: what a handler keeps beyond its answer it must copy.
 * Frames that are views of a received chunk are left alone.
 */
export function recycle(frame: Buffer): void {
  const owner = owners.get(frame);
  if (owner && pool.length < POOLED_BUFFERS) pool.push(owner);
}

/** The buffers that frames lie in, of those that come from `take`. */
const owners = new WeakMap<Buffer, Buffer>();

function take(size: number): Buffer {
  const index = pool.findIndex((buffer) => buffer.length >= size);
  return index < 0 ? Buffer.allocUnsafeSlow(size) : pool.splice(index, 1)[0]!;
}

/** A length that no request may have: the connection is closed. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/**
 * Cuts a stream of bytes into frames (a length, then so many bytes). Memory is taken as bytes arrive, at most four times
 * as much, and never because a length announces them. A frame that came in one chunk is a view of that chunk.
 */
export class FrameReader {
  /** Largest length accepted now; smaller before authentication. */
  maximumBytes: number;
  /** The beginning of a frame whose end has not come yet, length included. */
  #partial: Buffer = Buffer.alloc(0);
  #filled = 0;

  readonly #usualBytes: number;

  constructor(maximumBytes: number) {
    this.maximumBytes = maximumBytes;
    this.#usualBytes = maximumBytes;
  }

  /** Takes a smaller limit back. */
  raise(): void {
    this.maximumBytes = this.#usualBytes;
  }

  /** Bytes that wait for the rest of their frame. */
  get buffered(): number {
    return this.#filled;
  }

  /** @throws FrameError */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    let position = 0;
    while (position < chunk.length) {
      if (this.#filled === 0) {
        const left = chunk.length - position;
        const whole = left < LENGTH_BYTES ? LENGTH_BYTES : this.#wholeSize(chunk, position);
        if (left >= LENGTH_BYTES && left >= whole) {
          onFrame(chunk.subarray(position + LENGTH_BYTES, position + whole));
          position += whole;
          continue;
        }
      }
      position = this.#fill(chunk, position, onFrame);
    }
  }

  #wholeSize(bytes: Buffer, position: number): number {
    const length = bytes.readInt32BE(position);
    if (length < 0 || length > this.maximumBytes) {
      throw new FrameError(`a frame of ${length} bytes; at most ${this.maximumBytes} are accepted`);
    }
    return LENGTH_BYTES + length;
  }

  /** Moves bytes of the chunk into the partial frame; hands it on when it is whole. */
  #fill(chunk: Buffer, position: number, onFrame: (frame: Buffer) => void): number {
    const whole = this.#filled < LENGTH_BYTES ? LENGTH_BYTES : this.#wholeSize(this.#partial, 0);
    const size = Math.min(whole - this.#filled, chunk.length - position);
    const needed = this.#filled + size;
    if (needed > this.#partial.length) {
      const grown = take(Math.max(needed, Math.min(whole, Math.max(needed * 4, SMALLEST_CAPACITY))));
      this.#partial.copy(grown, 0, 0, this.#filled);
      this.#partial = grown;
    }
    chunk.copy(this.#partial, this.#filled, position, position + size);
    this.#filled = needed;
    if (needed >= LENGTH_BYTES && needed === this.#wholeSize(this.#partial, 0)) {
      const frame = this.#partial.subarray(LENGTH_BYTES, needed);
      if (this.#partial.length <= LARGEST_POOLED_BYTES) owners.set(frame, this.#partial);
      this.#partial = Buffer.alloc(0);
      this.#filled = 0;
      onFrame(frame);
    }
    return position + size;
  }
}
