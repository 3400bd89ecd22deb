// What a mapping's filter needs to know of a record, and what it offers to the poller.

/**
 * A record as the filter sees it. One object a poller, moved from record to record like a cursor: the filter reads it
 * during `matches` and keeps nothing of it.
 */
export interface FilterRecord {
  topic: string;
  partition: number;
  offset: bigint | number;
  /** Milliseconds since the epoch. */
  timestamp: number;
  timestampType: 'CREATE_TIME' | 'LOG_APPEND_TIME';
  /** Raw bytes, or null for a record without a key. */
  key: Uint8Array | null;
  /** Raw bytes, or null for a tombstone. */
  value: Uint8Array | null;
  /** Called only when a filter names `headers`. */
  headers(): Array<{ key: string; value: Uint8Array | null }>;
}

/** The compiled filters of a mapping: a record passes when at least one of them matches. */
export interface RecordFilter {
  /** What the owner of the mapping should know, such as a pattern that no Kafka record can match. */
  readonly warnings: readonly string[];
  /** Whether `key` is read. */
  readonly needsKey: boolean;
  /** Whether anything but `key` and `value` is read. */
  readonly needsMetadata: boolean;
  /** Records so far whose data had another format than a rule for it: JSON for an object rule, a string for a list. */
  readonly formatMismatches: number;
  /** Whether the record goes to the function. Never throws for any record. */
  matches(record: FilterRecord): boolean;
}
