/**
 * Memory of decompressed records, used again and again: fresh memory from the system costs more than decompressing
 * into it. By sizes in powers of two, of one thread.
 */
const SMALLEST = 1 << 12;
const KEPT_BYTES = 16 << 20;

const free = new Map<number, Buffer[]>();
let keptBytes = 0;

/** A buffer of at least `size` bytes. */
export function takeMemory(size: number): Buffer {
  const capacity = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(size)));
  const kept = free.get(capacity)?.pop();
  if (kept === undefined) return Buffer.allocUnsafeSlow(capacity);
  keptBytes -= capacity;
  return kept;
}

/** Gives a buffer of `takeMemory` back; nobody may look at it any more. */
export function giveMemoryBack(bytes: Buffer): void {
  const capacity = bytes.length;
  if (keptBytes + capacity > KEPT_BYTES) return;
  keptBytes += capacity;
  const list = free.get(capacity);
  if (list === undefined) free.set(capacity, [bytes]);
  else list.push(bytes);
}
