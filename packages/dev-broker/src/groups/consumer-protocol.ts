/** What a member of the classic protocol says of itself (ConsumerProtocolSubscription). */
export interface Subscription {
  readonly version: number;
  readonly topics: readonly string[];
  /** What it has now; none before version 1 and where everything is given up before each join. */
  readonly owned: readonly TopicPartitions[];
}

export interface TopicPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

/** Reads what peers wrote for one another: nothing in it is trusted. */
class Cursor {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  get remaining(): number {
    return this.#bytes.length - this.#position;
  }
  #take(size: number): number {
    if (size < 0 || size > this.remaining) throw new RangeError(`${size} bytes of ${this.remaining}`);
    this.#position += size;
    return this.#position - size;
  }
  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2));
  }
  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }
  string(): string {
    const length = this.int16();
    const start = this.#take(length);
    return this.#bytes.toString('utf8', start, start + length);
  }
  skipBytes(): void {
    const length = this.int32();
    if (length > 0) this.#take(length);
  }
  array<T>(read: () => T): T[] {
    const length = this.int32();
    if (length > this.remaining) throw new RangeError(`an array of ${length} in ${this.remaining} bytes`);
    const items: T[] = [];
    for (let index = 0; index < length; index++) items.push(read());
    return items;
  }
  topicPartitions(): TopicPartitions[] {
    return this.array(() => ({ topic: this.string(), partitions: this.array(() => this.int32()) }));
  }
}

function read<T>(bytes: Buffer, how: (cursor: Cursor) => T): T | undefined {
  try {
    return how(new Cursor(bytes));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Undefined when the bytes are something else: groups may have protocols of their own. */
export const readSubscription = (bytes: Buffer): Subscription | undefined =>
  read(bytes, (cursor) => {
    const version = cursor.int16();
    const topics = cursor.array(() => cursor.string());
    if (version < 1 || cursor.remaining === 0) return { version, topics, owned: [] };
    cursor.skipBytes();
    return { version, topics, owned: cursor.topicPartitions() };
  });

/** Undefined when the bytes are something else; no bytes at all are an empty assignment. */
export const readAssignment = (bytes: Buffer): TopicPartitions[] | undefined =>
  bytes.length === 0
    ? []
    : read(bytes, (cursor) => {
        cursor.int16();
        return cursor.topicPartitions();
      });

/** ConsumerProtocolAssignment; its versions 0 to 3 look the same. */
export function writeAssignment(version: number, topics: readonly TopicPartitions[]): Buffer {
  const parts: Buffer[] = [];
  const int16 = (value: number): void => {
    const bytes = Buffer.alloc(2);
    bytes.writeInt16BE(value);
    parts.push(bytes);
  };
  const int32 = (value: number): void => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    parts.push(bytes);
  };
  int16(version);
  int32(topics.length);
  for (const { topic, partitions } of topics) {
    const name = Buffer.from(topic);
    int16(name.length);
    parts.push(name);
    int32(partitions.length);
    for (const partition of partitions) int32(partition);
  }
  // No user data.
  int32(-1);
  return Buffer.concat(parts);
}
