/**
 * How many pollers a mapping has (spec ESM 11). Pure. A poller is a share of the parallel invocations inside one group
 * member, so scaling needs no rebalance. Up fast: doubling, a decision a second. Down slowly: one at a time.
 */

const SCALING_INTERVAL_MILLISECONDS = 1000;

/** A short burst is not worth another poller. */
const SATURATION_MILLISECONDS = 500;
/** Half way there environments are started: they are ready when the next poller invokes. */
const FORESIGHT_MILLISECONDS = SATURATION_MILLISECONDS / 2;

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
function decidePollers(load: Load): number {
  const maximum = Math.max(1, Math.min(load.maximum, load.partitions));
  const minimum = Math.min(load.minimum, maximum);
  let pollers = load.pollers;
  if (load.throttled) pollers = Math.floor(pollers / 2);
  else if (load.waiting > 0 && load.saturatedMilliseconds >= SATURATION_MILLISECONDS)
    pollers += Math.min(load.waiting, pollers);
  else if (load.spareMilliseconds >= load.scaleDownAfterMilliseconds) pollers -= 1;
  return Math.max(minimum, Math.min(maximum, pollers));
}

/** What a poller shows of itself when it asks for its width. */
export interface Activity {
  readonly inFlight: number;
  /** Partitions with records and without a batch. */
  readonly ready: number;
  readonly partitions: number;
}

export interface ScalingLimits {
  readonly minimumPollers: number;
  readonly maximumPollers: number;
  readonly invocationsPerPoller: number;
}

export interface ScalingListener {
  /** More pollers are to be expected, if it goes on like this; not told twice before a decision. */
  foreseen(pollers: number): void;
  /** A decision was made, maybe to stay. */
  decided(before: number, now: number): void;
}

/** The width of one mapping: how many pollers it has, by what it saw since the last decision. */
export class PollerScale {
  pollers: number;
  readonly #scaleDownAfterMilliseconds: number;
  #decidedAt: number;
  #mostBusy = 0;
  /** Since when every poller is busy while records wait; -1: not now. */
  #saturatedSince = -1;
  #foreseen = false;
  #throttled = false;
  #spareSince: number;

  constructor(pollers: number, scaleDownAfterMilliseconds: number, now: number) {
    this.pollers = pollers;
    this.#scaleDownAfterMilliseconds = scaleDownAfterMilliseconds;
    this.#decidedAt = now;
    this.#spareSince = now;
  }

  /** The function was throttled: fewer pollers at the next decision. */
  throttled(): void {
    this.#throttled = true;
  }

  clamp(limits: ScalingLimits): void {
    this.pollers = Math.max(limits.minimumPollers, Math.min(limits.maximumPollers, this.pollers));
  }

  /**
   * Notes what is going on and decides about once a second while there is something to decide. Returns when to look
   * again.
   */
  observe(activity: Activity, limits: ScalingLimits, now: number, listener: ScalingListener): number {
    const { inFlight, ready } = activity;
    const { minimumPollers, invocationsPerPoller } = limits;
    const slots = this.pollers * invocationsPerPoller;
    this.#mostBusy = Math.max(this.#mostBusy, inFlight);
    if (inFlight < slots || ready === 0) this.#saturatedSince = -1;
    else if (this.#saturatedSince < 0) this.#saturatedSince = now;
    const due = this.#decidedAt + SCALING_INTERVAL_MILLISECONDS;
    const isIdle = inFlight === 0 && ready === 0 && this.pollers <= minimumPollers;
    if (now < due)
      return isIdle ? Number.POSITIVE_INFINITY : Math.min(due, this.#foresee(activity, limits, now, listener));
    if (this.#mostBusy > slots - invocationsPerPoller) this.#spareSince = now;
    const before = this.pollers;
    const saturatedMilliseconds = this.#saturatedSince < 0 ? 0 : now - this.#saturatedSince;
    this.pollers = this.#decide(activity, limits, now, saturatedMilliseconds);
    if (this.pollers < before) this.#spareSince = now;
    this.#throttled = false;
    this.#foreseen = false;
    this.#mostBusy = inFlight;
    this.#decidedAt = now;
    listener.decided(before, now);
    return isIdle ? Number.POSITIVE_INFINITY : now + SCALING_INTERVAL_MILLISECONDS;
  }

  /** Returns when to look again. */
  #foresee(activity: Activity, limits: ScalingLimits, now: number, listener: ScalingListener): number {
    if (this.#foreseen || this.#saturatedSince < 0) return Number.POSITIVE_INFINITY;
    const due = this.#saturatedSince + FORESIGHT_MILLISECONDS;
    if (now < due) return due;
    this.#foreseen = true;
    const pollers = this.#decide(activity, limits, now, Number.POSITIVE_INFINITY);
    if (pollers > this.pollers) listener.foreseen(pollers);
    return Number.POSITIVE_INFINITY;
  }

  #decide(activity: Activity, limits: ScalingLimits, now: number, saturatedMilliseconds: number): number {
    const { inFlight, ready, partitions } = activity;
    const { minimumPollers, maximumPollers, invocationsPerPoller } = limits;
    return decidePollers({
      pollers: this.pollers,
      minimum: minimumPollers,
      maximum: maximumPollers,
      partitions,
      waiting: inFlight >= this.pollers * invocationsPerPoller ? Math.ceil(ready / invocationsPerPoller) : 0,
      saturatedMilliseconds,
      throttled: this.#throttled,
      spareMilliseconds: now - this.#spareSince,
      scaleDownAfterMilliseconds: this.#scaleDownAfterMilliseconds,
    });
  }
}
