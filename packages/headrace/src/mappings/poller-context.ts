/** What a poller is given: time, chance, the function, destinations, and somebody to tell. */
import type { Clock } from '../clock.ts';
import type { HeadraceError } from '../errors.ts';
import type { Invoke, Warm } from '../functions/outcome.ts';
import type { Destinations } from './destinations.ts';
import type { MemoryShare } from './memory-budget.ts';
import type { Failure, FailureCondition } from './settlement.ts';
import type { Slice } from './slice.ts';

export interface PollerContext {
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly invoke: Invoke;
  /** Environments are started before the first batch of another poller asks for them. Absent: it waits. */
  readonly warm?: Warm | undefined;
  readonly destinations: Destinations | undefined;
  readonly memory: MemoryShare;
  readonly observer: PollerObserver;
  readonly commitIntervalMilliseconds: number;
  readonly revokeTimeoutMilliseconds: number;
  readonly scaleDownAfterMilliseconds: number;
}

/** The supervisor's ear. None of these may throw or call back into the poller. */
export interface PollerObserver {
  /** Partitions were assigned, maybe none. */
  assigned(): void;
  /** A batch was processed: with a failure, or well. */
  processed(failure: Failure | undefined): void;
  /** Trouble of the event source, or undefined when it is over. */
  source(error: HeadraceError | undefined): void;
  /** The destination took a batch. */
  delivered(): void;
  destinationFailed(error: HeadraceError): void;
  /** Records were given up without a destination. */
  dropped(condition: FailureCondition, slices: readonly Slice[]): void;
  /** What a function answered, before anybody looks into it. */
  answered(payload: Buffer): void;
  /** Told once for each `key`. */
  warning(key: string, text: string): void;
}

/** A version 4 UUID from the injected chance. */
export function randomUuid(random: () => number): string {
  const bytes = Buffer.alloc(16);
  for (let i = 0; i < 16; i++) bytes[i] = Math.floor(random() * 256);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
