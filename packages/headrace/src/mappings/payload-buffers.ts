/**
 * Buffers that payloads are written into, used again once the invocation has ended: a payload of 6 MB a millisecond
 * would otherwise keep the garbage collector busier than the engine. They lie beside the records, where the transcoder
 * writes into them without a copy.
 */
import { arenaAddress, giveMemoryBack, takeMemory } from '@headrace/kafka-records';

/** Free bytes in front of every payload, where the function's channel writes its head. */
export const HEAD_ROOM_BYTES = 1024;

const SMALLEST = 1 << 14;

/** By the address of its payload: the block that a payload lies in. */
const blocks = new Map<number, Buffer>();

/** A buffer of at least `bytes`; its content is undefined. */
export function takeBuffer(bytes: number): Buffer {
  return takeMemory(Math.max(bytes, SMALLEST));
}

/** Gives back a buffer that became no payload. */
export function releaseBuffer(buffer: Buffer): void {
  giveMemoryBack(buffer);
}

/** The payload that lies behind the head room of `buffer` and ends at `end`. It is given back by `releasePayload`. */
export function payloadOf(buffer: Buffer, end: number): Buffer {
  const payload = buffer.subarray(HEAD_ROOM_BYTES, end);
  const address = arenaAddress(payload, 0);
  if (address >= 0) blocks.set(address, buffer);
  return payload;
}

/** Bytes of memory that a payload holds. */
export function payloadCapacity(payload: Buffer): number {
  return blocks.get(arenaAddress(payload, 0))?.length ?? payload.buffer.byteLength;
}

/** Takes a payload back, once; neither it nor a view of it may be touched after. */
export function releasePayload(payload: Buffer): void {
  const address = arenaAddress(payload, 0);
  if (address < 0) {
    giveMemoryBack(Buffer.from(payload.buffer));
    return;
  }
  const block = blocks.get(address);
  if (block === undefined) throw new Error('a payload was given back twice');
  blocks.delete(address);
  giveMemoryBack(block);
}
