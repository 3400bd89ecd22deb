/**
 * Remembers the scores of the latest rows by their identity, so that a row that comes again is not learnt again. An
 * identity is a stream (a topic's partition, or the inference ids) and a number in it; a print of the row's values tells
 * a repetition from another record with the same identity (a topic that was made anew).
 *
 * Memory is bounded: two generations of at most `limit` entries; when one is full the older is forgotten. So at least
 * the last `limit` rows are known.
 */
export class IdentityWindow {
  private readonly limit: number;
  private readonly streams: Map<string, number>;
  private current: Generation;
  private previous: Generation;

  constructor(limit: number) {
    this.limit = limit;
    this.streams = new Map();
    this.current = new Generation();
    this.previous = new Generation();
  }

  /** A small number for a stream's name. */
  streamOf(name: string): number {
    let stream = this.streams.get(name);
    if (stream === undefined) {
      stream = this.streams.size;
      this.streams.set(name, stream);
    }
    return stream;
  }

  /** The score given before to the row with this identity and print; undefined when it is new. */
  find(stream: number, number: number, print: number): number | undefined {
    return this.current.find(stream, number, print) ?? this.previous.find(stream, number, print);
  }

  add(stream: number, number: number, print: number, score: number): void {
    if (this.current.size >= this.limit) {
      this.previous = this.current;
      this.current = new Generation();
    }
    this.current.add(stream, number, print, score);
  }

  /** Bytes of memory, about. */
  get byteLength(): number {
    return this.current.byteLength + this.previous.byteLength;
  }

  toBytes(): Buffer {
    const names = Buffer.from(JSON.stringify([...this.streams.keys()]));
    const head = Buffer.alloc(4);
    head.writeUInt32LE(names.length);
    return Buffer.concat([head, names, this.previous.toBytes(), this.current.toBytes()]);
  }

  /** Throws RangeError when the bytes are not what `toBytes` wrote. */
  static fromBytes(bytes: Buffer, limit: number): IdentityWindow {
    const window = new IdentityWindow(limit);
    const end = 4 + bytes.readUInt32LE(0);
    for (const name of JSON.parse(bytes.toString('utf8', 4, end)) as string[]) window.streamOf(name);
    const middle = end + 4 + bytes.readUInt32LE(end) * ENTRY_BYTES;
    window.previous = Generation.fromBytes(bytes.subarray(end, middle));
    window.current = Generation.fromBytes(bytes.subarray(middle));
    return window;
  }
}

const ENTRY_BYTES = 24;

/** An open-addressed table that grows by doubling and forgets nothing. */
class Generation {
  size = 0;
  private mask = 63;
  /** Stream + 1; 0 is a free slot. */
  private streams = new Int32Array(64);
  private prints = new Uint32Array(64);
  private numbers = new Float64Array(64);
  private scores = new Float64Array(64);

  get byteLength(): number {
    return (this.mask + 1) * ENTRY_BYTES;
  }

  find(stream: number, number: number, print: number): number | undefined {
    for (let slot = this.slotOf(stream, number); this.streams[slot] !== 0; slot = (slot + 1) & this.mask) {
      if (this.numbers[slot] === number && this.streams[slot] === stream + 1 && this.prints[slot] === print) {
        return this.scores[slot];
      }
    }
    return undefined;
  }

  add(stream: number, number: number, print: number, score: number): void {
    if (this.size * 2 > this.mask) this.grow();
    let slot = this.slotOf(stream, number);
    while (this.streams[slot] !== 0) slot = (slot + 1) & this.mask;
    this.streams[slot] = stream + 1;
    this.prints[slot] = print;
    this.numbers[slot] = number;
    this.scores[slot] = score;
    this.size++;
  }

  toBytes(): Buffer {
    const bytes = Buffer.alloc(4 + this.size * ENTRY_BYTES);
    bytes.writeUInt32LE(this.size);
    let at = 4;
    for (let slot = 0; slot <= this.mask; slot++) {
      if (this.streams[slot] === 0) continue;
      bytes.writeInt32LE(this.streams[slot]! - 1, at);
      bytes.writeUInt32LE(this.prints[slot]!, at + 4);
      bytes.writeDoubleLE(this.numbers[slot]!, at + 8);
      bytes.writeDoubleLE(this.scores[slot]!, at + 16);
      at += ENTRY_BYTES;
    }
    return bytes;
  }

  static fromBytes(bytes: Buffer): Generation {
    const generation = new Generation();
    const count = bytes.readUInt32LE(0);
    for (let k = 0, at = 4; k < count; k++, at += ENTRY_BYTES) {
      generation.add(
        bytes.readInt32LE(at),
        bytes.readDoubleLE(at + 8),
        bytes.readUInt32LE(at + 4),
        bytes.readDoubleLE(at + 16),
      );
    }
    return generation;
  }

  private slotOf(stream: number, number: number): number {
    let hash = Math.imul(number | 0, 0x9e3779b1) ^ Math.imul((number / 4294967296) | 0, 0x85ebca77);
    hash = Math.imul(hash ^ stream, 0xc2b2ae3d);
    return (hash ^ (hash >>> 15)) & this.mask;
  }

  private grow(): void {
    const { streams, prints, numbers, scores } = this;
    const slots = streams.length * 2;
    this.mask = slots - 1;
    this.streams = new Int32Array(slots);
    this.prints = new Uint32Array(slots);
    this.numbers = new Float64Array(slots);
    this.scores = new Float64Array(slots);
    this.size = 0;
    for (let slot = 0; slot < streams.length; slot++) {
      if (streams[slot] !== 0) this.add(streams[slot]! - 1, numbers[slot]!, prints[slot]!, scores[slot]!);
    }
  }
}
