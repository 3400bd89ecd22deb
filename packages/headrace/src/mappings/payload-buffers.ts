/**
 * Buffers that payloads are written into, used again once the invocation has ended: a payload of 6 MB a millisecond
 * would otherwise keep the garbage collector busier than the engine. The pool is bounded; beyond it memory is ordinary.
 */

/** Free bytes in front of every payload, where the function's channel writes its head. */
export const HEAD_ROOM_BYTES = 1024;

const SMALLEST = 1 << 14;
const POOLED_BYTES = 32 * 1024 * 1024;

const pool = new Map<number, Buffer[]>();
let pooledBytes = 0;

/** A buffer of at least `bytes`; its content is undefined. */
export function takeBuffer(bytes: number): Buffer {
  let size = SMALLEST;
  while (size < bytes) size *= 2;
  const free = pool.get(size)?.pop();
  if (free === undefined) return Buffer.allocUnsafeSlow(size);
  pooledBytes -= size;
  return free;
}

/** Takes a payload back; neither it nor a view of it may be touched after. */
export function releaseBuffer(payload: Buffer): void {
  const size = payload.buffer.byteLength;
  const { byteOffset } = payload;
  if ((byteOffset !== 0 && byteOffset !== HEAD_ROOM_BYTES) || size < SMALLEST || (size & (size - 1)) !== 0) return;
  if (pooledBytes + size > POOLED_BYTES) return;
  let free = pool.get(size);
  if (free === undefined) pool.set(size, (free = []));
  free.push(Buffer.from(payload.buffer));
  pooledBytes += size;
}
