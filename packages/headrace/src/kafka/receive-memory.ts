import { giveMemoryBack, takeMemory } from '@headrace/kafka-records';

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

/**
 * The memory that fetch responses lie in, of one thread. Blocks come back when the last chunk in them was released, and
 * are used again.
 */
export class ResponseMemory {
  #usedBytes = 0;

  /** Bytes of blocks that are in use now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** A block of at least `size` bytes, held once. */
  take(size: number): ResponseBlock {
    const bytes = takeMemory(Math.max(size, SMALLEST));
    this.#usedBytes += bytes.length;
    return new ResponseBlock(bytes, this.#giveBack);
  }

  readonly #giveBack = (block: ResponseBlock): void => {
    this.#usedBytes -= block.bytes.length;
    giveMemoryBack(block.bytes);
  };
}

const SMALLEST = 1 << 12;

/** The one memory of this thread. */
export const responseMemory = new ResponseMemory();

/**
 * Where every socket of the thread receives what is not the body of a large response: it is read and emptied within one
 * callback, so all can share it, and an idle connection holds no buffer of its own.
 */
export const sharedReceiveBuffer = Buffer.allocUnsafeSlow(32 << 10);
