/**
 * Buffers that payloads are written into, used again once the invocation has ended: a payload of 6 MB a millisecond
 * would otherwise keep the garbage collector busier than the engine. They lie beside the records, where the transcoder
 * writes into them without a copy.
 */
import { arenaAddress, giveMemoryBack, recordMemory, takeMemory } from '@headrace/kafka-records';

/** Free bytes in front of every payload, where the function's channel writes its head. */
export const HEAD_ROOM_BYTES = 1024;

const SMALLEST = 1 << 14;

/** Up to this many bytes of buffers are kept for the next payloads. */
const KEPT_BYTES = 2 << 20;
/** All of the size of the one that was given back last. */
const kept: Buffer[] = [];

/** By the place of its block in that memory: the block that a payload lies in. */
let blocks: (Buffer | undefined)[] | undefined;

const placeOf = (payloadAddress: number): number => (payloadAddress - HEAD_ROOM_BYTES) / SMALLEST;

/** A buffer of at least `bytes`; its content is undefined. */
export function takeBuffer(bytes: number): Buffer {
  const last = kept.at(-1);
  if (last !== undefined && last.length >= bytes && last.length < 2 * Math.max(bytes, SMALLEST)) {
    kept.pop();
    return last;
  }
  return takeMemory(Math.max(bytes, SMALLEST));
}

/** Gives back a buffer that became no payload. */
export function releaseBuffer(buffer: Buffer): void {
  if (kept.length > 0 && kept[0]!.length !== buffer.length) {
    for (const each of kept) giveMemoryBack(each);
    kept.length = 0;
  }
  if ((kept.length + 1) * buffer.length <= KEPT_BYTES) kept.push(buffer);
  else giveMemoryBack(buffer);
}

/** The payload that lies behind the head room of `buffer` and ends at `end`. It is given back by `releasePayload`. */
export function payloadOf(buffer: Buffer, end: number): Buffer {
  const payload = buffer.subarray(HEAD_ROOM_BYTES, end);
  const address = arenaAddress(payload, 0);
  if (address >= 0) {
    blocks ??= new Array<Buffer | undefined>(recordMemory().bytes.length / SMALLEST).fill(undefined);
    blocks[placeOf(address)] = buffer;
  }
  return payload;
}

/** Bytes of memory that a payload holds. */
export function payloadCapacity(payload: Buffer): number {
  const address = arenaAddress(payload, 0);
  return address < 0 ? payload.buffer.byteLength : blockAt(placeOf(address)).length;
}

/** Takes a payload back, once; neither it nor a view of it may be touched after. */
export function releasePayload(payload: Buffer): void {
  const address = arenaAddress(payload, 0);
  if (address < 0) {
    giveMemoryBack(Buffer.from(payload.buffer));
    return;
  }
  const place = placeOf(address);
  const block = blockAt(place);
  blocks![place] = undefined;
  releaseBuffer(block);
}

function blockAt(place: number): Buffer {
  const block = blocks?.[place];
  if (block === undefined) throw new Error('a payload was given back twice');
  return block;
}
