/**
 * The records of one record batch (magic 2), uncompressed, as they lie on the wire. No object a record is made: a
 * `RecordCursor` walks over `bytes` between `start` and `end`.
 */
export interface RecordChunk {
  /** Holds the uncompressed records section; other bytes may lie before `start` and after `end`. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Records between `start` and `end`, also those below `firstOffset`. */
  readonly count: number;
  readonly baseOffset: number;
  /** Records below this offset were not asked for and must be skipped (a fetch returns whole batches). */
  readonly firstOffset: number;
  /** Where reading goes on after this chunk: base offset + last offset delta + 1. */
  readonly nextOffset: number;
  /** Milliseconds. Kafka's timestamps are int64: beyond 2^53 the nearest number, as with `maxTimestamp`. */
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  /** With LOG_APPEND_TIME every record's time is `maxTimestamp`. */
  readonly timestampType: 'CREATE_TIME' | 'LOG_APPEND_TIME';
  /** Undefined where both timestamps are within 2^53. */
  readonly exactTimestamps: ExactTimestamps | undefined;
  readonly leaderEpoch: number;
  /** Gives the memory back; the bytes must not be touched after. Calling it again does nothing. */
  release(): void;
}

/** The timestamps of a batch to the last digit. */
export interface ExactTimestamps {
  readonly base: bigint;
  readonly maximum: bigint;
}
