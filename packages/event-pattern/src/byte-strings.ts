/** A map from byte strings to numbers, looked up by a stretch of a larger array without copying it. */
export class ByteStringMap {
  private readonly mask: number;
  private readonly slots: Int32Array;
  private readonly keys: Uint8Array[] = [];
  private readonly values: number[] = [];

  /** Equal keys: the last value wins. */
  constructor(entries: readonly (readonly [Uint8Array, number])[]) {
    let size = 8;
    while (size < entries.length * 2) size *= 2;
    this.mask = size - 1;
    this.slots = new Int32Array(size).fill(-1);
    for (const [key, value] of entries) {
      const slot = this.slotOf(key, 0, key.length);
      const held = this.slots[slot]!;
      if (held !== -1) {
        this.values[held] = value;
        continue;
      }
      this.slots[slot] = this.keys.length;
      this.keys.push(key);
      this.values.push(value);
    }
  }

  /** The value of the key in bytes [start, end), or -1. */
  get(bytes: Uint8Array, start: number, end: number): number {
    const held = this.slots[this.slotOf(bytes, start, end)]!;
    return held === -1 ? -1 : this.values[held]!;
  }

  private slotOf(bytes: Uint8Array, start: number, end: number): number {
    let hash = (end - start) | 0;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
    let slot = (hash ^ (hash >>> 15)) & this.mask;
    for (;;) {
      const held = this.slots[slot]!;
      if (held === -1 || equals(this.keys[held]!, bytes, start, end)) return slot;
      slot = (slot + 1) & this.mask;
    }
  }
}

function equals(key: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (key.length !== end - start) return false;
  for (let i = 0; i < key.length; i++) if (key[i] !== bytes[start + i]) return false;
  return true;
}
