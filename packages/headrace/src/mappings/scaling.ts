/**
 * How many pollers a mapping has (spec ESM 11). Pure. A poller is a share of the parallel invocations inside one group
 * member, so scaling needs no rebalance. Up fast: doubling, a decision a second. Down slowly: one at a time.
 */

export const SCALING_INTERVAL_MILLISECONDS = 1000;

/** A short burst is not worth another poller. */
const SATURATION_MILLISECONDS = 500;

export interface Load {
  readonly pollers: number;
  readonly minimum: number;
  /** At most one a partition. */
  readonly maximum: number;
  /** Partitions of this member. */
  readonly partitions: number;
  /** How many pollers more would have something to do now. */
  readonly waiting: number;
  /** For how long without a break every poller was busy while records waited (ms). */
  readonly saturatedMilliseconds: number;
  /** The function was throttled since the last decision. */
  readonly throttled: boolean;
  /** For how long fewer pollers would have done (ms). */
  readonly spareMilliseconds: number;
  readonly scaleDownAfterMilliseconds: number;
}

/** The number of pollers from now on. */
export function decidePollers(load: Load): number {
  const maximum = Math.max(1, Math.min(load.maximum, load.partitions));
  const minimum = Math.min(load.minimum, maximum);
  let pollers = load.pollers;
  if (load.throttled) pollers = Math.floor(pollers / 2);
  else if (load.waiting > 0 && load.saturatedMilliseconds >= SATURATION_MILLISECONDS)
    pollers += Math.min(load.waiting, pollers);
  else if (load.spareMilliseconds >= load.scaleDownAfterMilliseconds) pollers -= 1;
  return Math.max(minimum, Math.min(maximum, pollers));
}
