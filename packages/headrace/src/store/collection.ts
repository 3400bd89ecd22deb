import type { Store } from './store.ts';

/**
 * Documents of one kind by id: in memory for reading, in the database before a write returns. Documents are values:
 * whoever changes one puts a new object.
 */
export class Collection<T extends object> {
  readonly #store: Store;
  readonly #documents: Map<string, T>;
  readonly kind: string;
  /** Until a document comes or goes. */
  #sortedIds: readonly string[] | undefined;

  constructor(store: Store, kind: string, documents: Map<string, T>) {
    this.#store = store;
    this.kind = kind;
    this.#documents = documents;
  }

  get size(): number {
    return this.#documents.size;
  }

  get(id: string): T | undefined {
    return this.#documents.get(id);
  }

  has(id: string): boolean {
    return this.#documents.has(id);
  }

  values(): IterableIterator<T> {
    return this.#documents.values();
  }

  entries(): IterableIterator<[string, T]> {
    return this.#documents.entries();
  }

  /** All ids by UTF-16 code units; not to be changed. */
  sortedIds(): readonly string[] {
    this.#sortedIds ??= [...this.#documents.keys()].sort();
    return this.#sortedIds;
  }

  put(id: string, document: T): void {
    const before = this.#documents.get(id);
    this.#store.write({ kind: this.kind, id, before, after: document, undo: () => this.#restore(id, before) });
    this.#documents.set(id, document);
    if (before === undefined) this.#sortedIds = undefined;
  }

  delete(id: string): void {
    const before = this.#documents.get(id);
    if (before === undefined) return;
    this.#store.write({ kind: this.kind, id, before, after: undefined, undo: () => this.#restore(id, before) });
    this.#documents.delete(id);
    this.#sortedIds = undefined;
  }

  #restore(id: string, document: T | undefined): void {
    this.#sortedIds = undefined;
    if (document === undefined) this.#documents.delete(id);
    else this.#documents.set(id, document);
  }
}
