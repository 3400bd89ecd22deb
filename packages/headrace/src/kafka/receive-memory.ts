/**
 * The memory that fetch responses lie in. Responses come and go by the megabyte, and fresh memory from the system costs
 * more than reading it, so blocks are kept and used again: they come back when the last chunk in them was released.
 */
const SMALLEST = 1 << 16;
const KEPT_BYTES = 32 << 20;

/** A block that one response lies in; counts who still needs it. */
export class ResponseBlock {
  readonly bytes: Buffer;
  #references = 1;
  #onFree: ((block: ResponseBlock) => void) | undefined;

  constructor(bytes: Buffer, onFree: (block: ResponseBlock) => void) {
    this.bytes = bytes;
    this.#onFree = onFree;
  }

  retain(): void {
    this.#references++;
  }

  release(): void {
    if (--this.#references !== 0) return;
    const onFree = this.#onFree;
    this.#onFree = undefined;
    onFree?.(this);
  }
}

/** Blocks of one thread, by sizes in powers of two. */
export class ResponseMemory {
  readonly #free = new Map<number, Buffer[]>();
  #keptBytes = 0;
  #usedBytes = 0;

  /** Bytes of blocks that are in use now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** A block of at least `size` bytes, held once. */
  take(size: number): ResponseBlock {
    const capacity = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(size)));
    const kept = this.#free.get(capacity)?.pop();
    if (kept !== undefined) this.#keptBytes -= capacity;
    this.#usedBytes += capacity;
    return new ResponseBlock(kept ?? Buffer.allocUnsafeSlow(capacity), this.#giveBack);
  }

  readonly #giveBack = (block: ResponseBlock): void => {
    const capacity = block.bytes.length;
    this.#usedBytes -= capacity;
    if (this.#keptBytes + capacity > KEPT_BYTES) return;
    this.#keptBytes += capacity;
    const list = this.#free.get(capacity);
    if (list === undefined) this.#free.set(capacity, [block.bytes]);
    else list.push(block.bytes);
  };
}

/** The one memory of this thread. */
export const responseMemory = new ResponseMemory();

/**
 * Where every socket of the thread receives what is not the body of a large response: it is read and emptied within one
 * callback, so all can share it, and an idle connection holds no buffer of its own.
 */
export const sharedReceiveBuffer = Buffer.allocUnsafeSlow(128 << 10);
