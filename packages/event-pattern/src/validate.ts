// Whole-text checks, for callers whose verdict depends on the part that a scan need not read.

import { InvalidEventError } from './errors.ts';
import { checkEnd, loadEvent, skipSpace, skipValue } from './scan.ts';
import { characterEnd } from './text.ts';

/** Checks all of a JSON text. Returns what is wrong and where, or undefined when it is valid RFC 8259 in valid UTF-8. */
export function validateJson(text: string | Uint8Array): InvalidEventError | undefined {
  try {
    loadEvent(text);
    checkEnd(skipValue(skipSpace(0), 0));
    return undefined;
  } catch (error) {
    if (error instanceof InvalidEventError) return error;
    throw error;
  }
}

/** Whether all of `bytes` is well-formed UTF-8. */
export function isUtf8(bytes: Uint8Array): boolean {
  const end = bytes.length;
  for (let i = 0; i < end; ) {
    if (bytes[i]! < 128) {
      i++;
      continue;
    }
    i = i + 4 <= end ? characterEnd(bytes, i) : characterEndNear(bytes, i, end);
    if (i === -1) return false;
  }
  return true;
}

/** `characterEnd` for the last three bytes of an array, which has no zero behind it. */
function characterEndNear(bytes: Uint8Array, i: number, end: number): number {
  const tail = new Uint8Array(4);
  tail.set(bytes.subarray(i, end));
  const after = characterEnd(tail, 0);
  return after === -1 ? -1 : i + after;
}
