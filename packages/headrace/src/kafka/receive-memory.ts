/**
 * The memory that fetch responses lie in. Responses come and go by the megabyte, and fresh memory from the system costs
 * more than reading it, so blocks are kept and used again: they come back when the last chunk in them was released.
 */
const SMALLEST = 1 << 16;
/** What a full prefetch of one busy consumer goes through; fresh blocks would also drive the garbage collector. */
const KEPT_BYTES = 64 << 20;

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

/** Blocks of one thread, each used again for responses that fill at least half of it. */
export class ResponseMemory {
  /** Given back longest ago first. */
  readonly #free: Buffer[] = [];
  #keptBytes = 0;
  #usedBytes = 0;

  /** Bytes of blocks that are in use now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** A block of at least `size` bytes, held once. */
  take(size: number): ResponseBlock {
    // An eighth of the size's power of two is lost at most, and sizes that differ by little share a block.
    const step = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(size)) / 16);
    const capacity = Math.ceil(size / step) * step;
    const free = this.#free;
    let best = -1;
    for (let i = 0; i < free.length; i++) {
      const { length } = free[i]!;
      if (length < capacity || length > 2 * capacity) continue;
      if (best < 0 || length < free[best]!.length) best = i;
      if (length === capacity) break;
    }
    const bytes = best < 0 ? Buffer.allocUnsafeSlow(capacity) : free.splice(best, 1)[0]!;
    if (best >= 0) this.#keptBytes -= bytes.length;
    this.#usedBytes += bytes.length;
    return new ResponseBlock(bytes, this.#giveBack);
  }

  readonly #giveBack = ({ bytes }: ResponseBlock): void => {
    this.#usedBytes -= bytes.length;
    this.#keptBytes += bytes.length;
    this.#free.push(bytes);
    // Sizes that nobody asks for any more must not keep out those that are in use.
    while (this.#keptBytes > KEPT_BYTES) this.#keptBytes -= this.#free.shift()!.length;
  };
}

/** The one memory of this thread. */
export const responseMemory = new ResponseMemory();

/**
 * Where every socket of the thread receives what is not the body of a large response: it is read and emptied within one
 * callback, so all can share it, and an idle connection holds no buffer of its own.
 */
export const sharedReceiveBuffer = Buffer.allocUnsafeSlow(128 << 10);
