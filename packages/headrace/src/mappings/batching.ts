/**
 * When a batch is ripe (spec ESM 6.1). Pure: the poller asks, nothing here remembers.
 *
 * The window begins at the later of "a poller is free" and "the first record is buffered". Both wordings that AWS has
 * had are satisfied by it: no empty invocation, and no record waits longer than the window once a poller is free.
 */

/** Kafka's window where none is configured. */
export const DEFAULT_WINDOW_MILLISECONDS = 500;

/** Lambda's limit of a synchronous request: the serialised event, as sent. */
export const PAYLOAD_LIMIT_BYTES = 6 * 1024 * 1024;

export interface Gathered {
  /** Records that could go into the next batch. */
  readonly records: number;
  /** About how many bytes their event would have. */
  readonly payloadBytes: number;
  /** When the first of them was buffered (ms). */
  readonly firstBufferedAt: number;
  /** Since when a poller is free (ms). */
  readonly freeSince: number;
}

/**
 * The time (ms) at which the batch is ripe; at or before `now` means at once. Infinity while there is nothing to send.
 */
export function ripeAt(
  gathered: Gathered,
  limits: { readonly batchSize: number; readonly windowMilliseconds: number; readonly payloadLimitBytes: number },
): number {
  if (gathered.records === 0) return Number.POSITIVE_INFINITY;
  if (gathered.records >= limits.batchSize || gathered.payloadBytes >= limits.payloadLimitBytes) return 0;
  return Math.max(gathered.firstBufferedAt, gathered.freeSince) + limits.windowMilliseconds;
}
