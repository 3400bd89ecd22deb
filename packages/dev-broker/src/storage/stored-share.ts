import type { StoredShareRange } from '../groups/stored.ts';

/** One partition of a share group as it is put together from the journal's events. */
export class StoredShare {
  readonly group: string;
  readonly topicId: string;
  readonly index: number;
  startOffset = 0;
  readonly #states = new Map<number, { isDone: 0 | 1; deliveryCount: number }>();

  constructor(group: string, topicId: string, index: number) {
    this.group = group;
    this.topicId = topicId;
    this.index = index;
  }

  apply(startOffset: number, records: readonly StoredShareRange[]): void {
    // A group that starts over somewhere has forgotten what it knew.
    if (startOffset < this.startOffset) this.#states.clear();
    this.startOffset = startOffset;
    for (const [first, last, isDone, deliveryCount] of records) {
      for (let offset = first; offset <= last; offset++) this.#states.set(offset, { isDone, deliveryCount });
    }
    for (const offset of this.#states.keys()) if (offset < startOffset) this.#states.delete(offset);
  }

  get records(): StoredShareRange[] {
    return [...this.#states].map(([offset, { isDone, deliveryCount }]) => [offset, offset, isDone, deliveryCount]);
  }
}
