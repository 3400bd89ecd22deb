/**
 * The poller of one mapping in one process: one loop (`#step`) that looks at state and acts or returns. Every event
 * (records came, an invocation ended, a timer fired, options changed) only calls it.
 *
 *      lanes with records ──► assemble + write ──► invoke ──► settle (pure) ──► apply fates
 *             ▲                                                                │ done, drop → tracker
 *             └──────── lane free again ◄── work list of the lane empty ◄──────┤ retry, split, destination → work list
 *
 * It knows Kafka by `kafka/contract.ts` and functions by `invoke`, and has no time and no chance but the injected ones.
 */

import { HeadraceError, toHeadraceError } from '../errors.ts';
import type { InvokeOptions, InvokeOutcome } from '../functions/outcome.ts';
import type { AssignedPartition, ConsumerListener, GroupConsumer, TopicPartition } from '../kafka/contract.ts';
import { ripeAt } from './batching.ts';
import { carryOut, type FinalFate } from './carry-out.ts';
import { type CommittedOffset, Committer } from './committer.ts';
import type { BlockingRecord } from './definition.ts';
import { Drains } from './drains.ts';
import { EventWriter, estimatePayload } from './event-writer.ts';
import { failedBatch } from './failed-batch.ts';
import { Lane, type Taken } from './lane.ts';
import type { MappingOptions } from './options.ts';
import { HEAD_ROOM_BYTES, payloadCapacity, releasePayload } from './payload-buffers.ts';
import { type PollerContext, randomUuid } from './poller-context.ts';
import {
  failedRecords,
  PollerCounts,
  publishBatch,
  publishFiltered,
  publishInvocation,
  publishLag,
  publishLateResult,
  publishRebalance,
} from './poller-counts.ts';
import { BYTES_A_STEP, ReadyLanes } from './ready-lanes.ts';
import { PollerScale, type ScalingListener } from './scaling.ts';
import { type BatchEvent, type FailureCondition, type Settlement, settle, settleByHand } from './settlement.ts';
import { type Slice, singleRecords } from './slice.ts';
import { blockingRecord } from './snapshot.ts';
import { WorkItem } from './work-item.ts';

const writer = new EventWriter();
const FIRST: InvokeOptions = { headRoomBytes: HEAD_ROOM_BYTES };
const AGAIN: InvokeOptions = { ...FIRST, logTail: true };

export class Poller implements ConsumerListener {
  readonly counts: PollerCounts;
  readonly #context: PollerContext;
  readonly #committer: Committer;
  #options: MappingOptions;

  readonly #lanes = new Map<AssignedPartition, Lane>();
  readonly #ready: ReadyLanes;
  readonly #scale: PollerScale;
  /** Batches that wait for their time, their turn or a poller. */
  readonly #waiting = new Set<WorkItem>();
  /** Batches at the function or at the destination. */
  readonly #busy = new Set<WorkItem>();
  #inFlight = 0;
  /** Since when a poller is free; meaningful while one is. */
  #freeSince: number;
  readonly #drains: Drains;
  #revokeTimeout: number;

  /** What the consumer said last. */
  #sourceTrouble: HeadraceError | undefined;
  #isEnding = false;
  #stopped = false;
  #stepping = false;
  #stepAgain = false;
  #timer: unknown;
  #timerAt = Number.POSITIVE_INFINITY;

  /** `counts` go on where an earlier poller of the mapping left them. */
  constructor(options: MappingOptions, context: PollerContext, counts = new PollerCounts()) {
    this.counts = counts;
    this.#options = options;
    this.#context = context;
    this.#drains = new Drains(context.clock);
    const now = context.clock.now();
    this.#freeSince = now;
    this.#scale = new PollerScale(options.minimumPollers, context.scaleDownAfterMilliseconds, now);
    this.#ready = new ReadyLanes({
      onSettled: (lane) => this.#committer.settled(lane),
      onBroken: (lane, error) => this.#break(lane, error),
    });
    this.#revokeTimeout = context.revokeTimeoutMilliseconds;
    // A fenced commit is the first that a process which was asleep hears of its partition's new owner.
    this.#committer = new Committer(options.uuid, this.counts, context, this.#step, (lane) => this.#handBack(lane));
  }

  /** The consumer that this poller listens to; before its `start`. */
  attach(consumer: GroupConsumer): void {
    this.#committer.consumer = consumer;
  }

  /** How many pollers AWS would say are at work: the width of what is invoked in parallel. At most one a partition. */
  get pollers(): number {
    return Math.min(this.#scale.pollers, Math.max(1, this.#lanes.size));
  }

  get options(): MappingOptions {
    return this.#options;
  }

  get lanes(): Iterable<Lane> {
    return this.#lanes.values();
  }

  get committed(): CommittedOffset[] {
    return this.#committer.committed;
  }

  /** Where the lanes stood that were given up in the end without a commit of it. */
  readonly uncommitted: CommittedOffset[] = [];

  /**
   * What is in flight at the end gets so long (ms), then it is handed back: it comes again. Holds for what a rebalance, or
   * an end that had more time, waits for already.
   */
  limitDrain(milliseconds: number): void {
    this.#isEnding = true;
    this.#revokeTimeout = Math.min(this.#revokeTimeout, milliseconds);
    this.#drains.limit(milliseconds);
  }

  /** Applies from the next decision on; what is in flight goes on, nobody leaves the group. */
  reconfigure(options: MappingOptions): void {
    this.#options = options;
    this.#scale.clamp(options);
    this.#step();
  }

  /**
   * Moves past one record of a batch that failed and waits for its next attempt, by an operator's order. Returns the
   * record as it was. `parkAt` is a destination such as `kafka://topic`; with `dryRun` nothing changes.
   */
  moveOn(
    place: TopicPartition & { readonly offset: number },
    parkAt: string | undefined,
    dryRun: boolean,
  ): BlockingRecord {
    const { topic, partition, offset } = place;
    const lane = [...this.#lanes.values()].find(
      ({ assigned }) => assigned.topic === topic && assigned.partition === partition,
    );
    const item = lane?.work[0];
    if (lane === undefined || item?.failure === undefined)
      throw new HeadraceError('CONFIGURATION', `Nothing blocks ${topic}-${partition} in this process.`);
    const index = singleRecords(item.slices).findIndex((each) => each.slice.lane === lane && each.offset === offset);
    const blocking = blockingRecord(lane, offset);
    if (index < 0 || blocking === undefined)
      throw new HeadraceError(
        'CONFIGURATION',
        `Offset ${offset} is not in the batch that blocks ${lane.name}, which begins at ${blockingRecord(lane)?.offset}.`,
      );
    if (dryRun) return blocking;
    if (item.busy || !item.isFirst())
      throw new HeadraceError('CONFIGURATION', `The batch of ${lane.name} is just being tried; ask again.`, {
        retryable: true,
      });
    this.#apply(item, settleByHand(item, index, this.#context.clock.now(), parkAt), 0);
    this.#step();
    return blocking;
  }

  // What the consumer says.

  onAssigned(partitions: readonly AssignedPartition[]): void {
    const { startingPosition } = this.#options.definition;
    for (const partition of partitions) {
      const lane = new Lane(partition);
      this.#lanes.set(partition, lane);
      // "Latest" must not be decided a second time: after a crash it would skip what came meanwhile.
      if (startingPosition !== 'TRIM_HORIZON') this.#committer.pin(lane);
    }
    this.counts.rebalances++;
    publishRebalance(this.#options, this.counts, { assigned: partitions });
    this.#context.observer.assigned();
    this.onRecords();
  }

  async onRevoking(partitions: readonly AssignedPartition[]): Promise<void> {
    const lanes = this.#lanesOf(partitions);
    for (const lane of lanes) this.#handBack(lane);
    await this.#drains.wait(() => lanes.some((lane) => lane.work.length > 0), this.#revokeTimeout);
    await this.#committer.flush(lanes);
    this.#forget(lanes);
    publishRebalance(this.#options, this.counts, { revoked: partitions });
    this.#step();
  }

  onLost(partitions: readonly AssignedPartition[]): void {
    const lanes = this.#lanesOf(partitions);
    for (const lane of lanes) this.#handBack(lane);
    this.#forget(lanes);
    publishRebalance(this.#options, this.counts, { lost: partitions });
    this.#step();
  }

  onRecords(): void {
    for (const lane of this.#lanes.values()) this.#ready.offer(lane);
    this.#step();
  }

  onStatus(error: HeadraceError | undefined): void {
    this.#sourceTrouble = error;
    this.#tellSource();
  }

  #tellSource(): void {
    const broken = [...this.#lanes.values()].find((lane) => lane.broken !== undefined);
    this.#context.observer.source(this.#sourceTrouble ?? broken?.broken);
  }

  onSkipped(skipped: { topic: string; partition: number; from: number; to: number; reason: string }): void {
    const { topic, partition, from, to, reason } = skipped;
    this.#context.observer.warning(
      `skipped ${topic}-${partition} ${from}`,
      `Offsets ${from} to ${to - 1} of ${topic}-${partition} could not be read any more: ${reason}.`,
    );
  }

  /** Takes everything back at once: for a stop without a drain. The consumer is closed by the caller. */
  abandon(): void {
    this.onLost([...this.#lanes.keys()]);
    this.#stopped = true;
    this.#context.clock.clearTimeout(this.#timer);
  }

  // The loop.

  readonly #step = (): void => {
    if (this.#stopped) return;
    if (this.#stepping) {
      this.#stepAgain = true;
      return;
    }
    this.#stepping = true;
    try {
      do {
        this.#stepAgain = false;
        this.#act();
      } while (this.#stepAgain);
    } finally {
      this.#stepping = false;
    }
  };

  #act(): void {
    const now = this.#context.clock.now();
    let next = this.#dispatchDue(now);
    next = Math.min(next, this.#dispatchNew(now));
    const activity = { inFlight: this.#inFlight, ready: this.#ready.length, partitions: this.#lanes.size };
    next = Math.min(next, this.#scale.observe(activity, this.#options, now, this.#scaling));
    next = Math.min(next, this.#committer.due(now, this.#inFlight === 0 && this.#ready.length === 0));
    this.#arm(next, now);
  }

  readonly #scaling: ScalingListener = {
    foreseen: (pollers) => {
      const { functionArn, invocationsPerPoller } = this.#options;
      this.#context.warm?.(functionArn, (pollers - this.pollers) * invocationsPerPoller);
    },
    decided: (before, now) => {
      publishLag(this.#options, this.#lanes.values(), now);
      if (this.pollers > before) this.#stepAgain = true;
    },
  };

  get #slots(): number {
    return this.pollers * this.#options.invocationsPerPoller;
  }

  /** Starts what waits and may go on. Returns when to look again. */
  #dispatchDue(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const item of this.#waiting) {
      if (item.notBefore > now) next = Math.min(next, item.notBefore);
      else if (!item.isFirst()) continue;
      else if (item.condition !== undefined) this.#deliver(item, item.condition, now);
      else if (this.#inFlight < this.#slots) this.#invoke(item, now);
    }
    return next;
  }

  /** Makes batches of what lies ready. Returns when the next one is ripe. */
  #dispatchNew(now: number): number {
    const { memory } = this.#context;
    const taken: Taken = { received: 0, filtered: 0, bytes: 0 };
    let next = Number.POSITIVE_INFINITY;
    while (this.#ready.length > 0 && this.#inFlight < this.#slots) {
      if (memory.exhausted) {
        memory.whenFree(this.#step);
        break;
      }
      const gathered = this.#ready.gather(this.#options, now, taken, this.#freeSince);
      if (taken.bytes > BYTES_A_STEP) {
        // Others want the event loop too.
        next = now;
        break;
      }
      const at = ripeAt(gathered, this.#options);
      if (at > now) {
        next = at;
        break;
      }
      this.#begin(now);
    }
    if (taken.received > 0) {
      this.counts.received += taken.received;
      this.counts.filtered += taken.filtered;
      this.counts.receivedBytes += taken.bytes;
      publishFiltered(this.#options, taken);
      if (taken.received === taken.filtered) this.#context.observer.processed(undefined);
    }
    return next;
  }

  /** Makes the next batch and invokes. */
  #begin(now: number): void {
    const batch = this.#ready.write(this.#options);
    if (batch.kind === 'none') return;
    const item = new WorkItem(batch.slices);
    for (const lane of item.lanes()) lane.work.push(item);
    if (batch.kind === 'oversized') this.#cannotFit(item, now);
    else if (this.#isDue(item, now)) this.#send(item, batch.payload, now);
    else releasePayload(batch.payload);
  }

  /** False when some records of the batch are too old by now; then their fates, and the others', are carried out. */
  #isDue(item: WorkItem, now: number): boolean {
    const { rules } = this.#options;
    if (rules.maximumAgeMilliseconds === Number.POSITIVE_INFINITY) return true;
    const verdict = settle({ kind: 'due' }, item, rules, now, 0);
    if ('kind' in verdict.fates && verdict.fates.kind === 'invoke') return true;
    this.#apply(item, verdict, now);
    this.#stepAgain = true;
    return false;
  }

  /** The event would be larger than the limit: nothing is sent. */
  #cannotFit(item: WorkItem, now: number): void {
    const { rules, payloadLimitBytes } = this.#options;
    const tooLarge: InvokeOutcome = { kind: 'too-large', limitBytes: payloadLimitBytes };
    this.#apply(item, settle(tooLarge, item, rules, now, 0), now);
    this.#stepAgain = true;
  }

  /** Invokes with a batch that was tried before, or that is a part of one. */
  #invoke(item: WorkItem, now: number): void {
    const { eventHead, payloadLimitBytes } = this.#options;
    this.#waiting.delete(item);
    if (!this.#isDue(item, now)) return;
    let bytes = 0;
    for (const slice of item.slices) bytes += slice.end - slice.start;
    writer.begin(eventHead, payloadLimitBytes, estimatePayload(bytes, item.count));
    for (const slice of item.slices) {
      writer.append(slice, slice.count);
      if (writer.written < slice.count) break;
    }
    const fitting = writer.records;
    const payload = writer.finish();
    if (fitting === item.count) {
      this.#send(item, payload, now);
      return;
    }
    // The limit or the event's head changed since this batch was made.
    releasePayload(payload);
    this.#cannotFit(item, now);
  }

  #send(item: WorkItem, payload: Buffer, now: number): void {
    const { functionArn } = this.#options;
    item.busy = true;
    item.payload = payload;
    item.invocations++;
    this.#busy.add(item);
    this.#inFlight++;
    this.#context.memory.take(payloadCapacity(payload));
    this.counts.invocations++;
    this.counts.invokedRecords += item.count;
    publishBatch(this.#options, item, payload);
    // The log tail costs the function's side work: it is asked for where somebody will want to read it.
    const ended = this.#context.invoke(functionArn, payload, item.failures > 0 ? AGAIN : FIRST);
    ended.then(
      (outcome) => this.#invoked(item, outcome, now),
      (error: unknown) =>
        this.#invoked(
          item,
          { kind: 'unavailable', status: 500, type: 'ServiceException', message: String(error) },
          now,
        ),
    );
  }

  #invoked(item: WorkItem, outcome: InvokeOutcome, startedAt: number): void {
    const now = this.#context.clock.now();
    const payload = item.payload!;
    this.#context.memory.give(payloadCapacity(payload));
    releasePayload(payload);
    item.payload = undefined;
    item.busy = false;
    this.#busy.delete(item);
    if (this.#inFlight-- >= this.#slots) this.#freeSince = now;
    item.lastOutcome = outcome;
    if (outcome.kind === 'success' || outcome.kind === 'function-error') item.reached++;
    if ('logTail' in outcome) item.logTail = outcome.logTail?.toString('utf8');
    publishInvocation(this.#options, item, outcome, now - startedAt);
    if (outcome.kind === 'success') this.#context.observer.answered(outcome.payload);
    if (outcome.kind === 'throttled') {
      this.counts.throttles++;
      this.#scale.throttled();
    }
    const settlement = settle(outcome, item, this.#options.rules, now, this.#context.random());
    if (settlement.failure !== undefined) {
      this.counts.failedInvocations++;
      this.counts.failedRecords += failedRecords(settlement.fates, item.count);
    }
    this.#context.observer.processed(settlement.failure);
    this.#apply(item, settlement, now);
    this.#step();
  }

  /** Carries out what was decided. The item must be first in line on all its lanes. */
  #apply(item: WorkItem, settlement: Settlement, now: number): void {
    const { failure } = settlement;
    if (failure !== undefined) {
      item.failures++;
      // Deliveries begin to count anew; what blocks the partition has done so since it failed first.
      if (item.failure === undefined) item.firstFailureAt = now;
      item.failure = failure;
    }
    const lanes = item.lanes();
    for (const lane of lanes) lane.work.shift();
    this.#waiting.delete(item);
    const parts = carryOut(item, settlement, (fate, slices) => this.#settleAll(item, fate, slices));
    for (const { held } of item.slices) held.release();
    for (let i = parts.length - 1; i >= 0; i--) {
      const part = parts[i]!;
      for (const lane of part.lanes()) lane.work.unshift(part);
      this.#waiting.add(part);
    }
    for (const lane of lanes) {
      if (lane.work.length === 0) this.#ready.offer(lane);
    }
    this.#drains.check();
  }

  /** Notes slices as settled, and counts the records whose assignment still lives. */
  #settleAll(item: WorkItem, fate: FinalFate, slices: readonly Slice[]): void {
    let records = 0;
    for (const slice of slices) {
      const { lane, from, to, count } = slice;
      if (!lane.tracker.settle(from, to)) {
        publishLateResult(this.#options, slice);
        continue;
      }
      records += count;
      this.#committer.settled(lane);
    }
    if (fate.kind === 'drop') {
      this.counts.dropped += records;
      if (records > 0) this.#context.observer.dropped(fate.condition, slices);
    } else if (item.condition === undefined) this.counts.succeeded += records;
    else this.counts.toDestination += records;
  }

  /** Hands a batch to the destination; until it is there, its lanes wait. */
  #deliver(item: WorkItem, condition: FailureCondition, now: number): void {
    const { destinations, clock, observer, random } = this.#context;
    const destination = item.destination ?? this.#options.destination;
    if (destination === undefined) {
      this.#apply(item, settle({ kind: 'destination-removed' }, item, this.#options.rules, now, 0), now);
      this.#stepAgain = true;
      return;
    }
    this.#waiting.delete(item);
    item.busy = true;
    this.#busy.add(item);
    const batch = failedBatch(item, this.#options, destination, condition, now, () => randomUuid(random));
    const ended = (event: BatchEvent): void => {
      item.busy = false;
      this.#busy.delete(item);
      releasePayload(batch.payload);
      const at = clock.now();
      this.#apply(item, settle(event, item, this.#options.rules, at, random()), at);
      this.#step();
    };
    const delivered = destinations?.deliver(batch) ?? Promise.reject(new Error('No destinations are set up.'));
    delivered.then(
      () => {
        observer.delivered();
        ended({ kind: 'delivered' });
      },
      (error: unknown) => {
        const failure = toHeadraceError(error);
        this.counts.destinationErrors++;
        observer.destinationFailed(failure);
        ended({ kind: 'undelivered', failure: { type: failure.code, message: failure.message } });
      },
    );
  }

  // Lanes.

  #lanesOf(partitions: readonly AssignedPartition[]): Lane[] {
    return partitions.flatMap((partition) => this.#lanes.get(partition) ?? []);
  }

  /** Begins nothing new on this lane; what is not in flight goes back at once. */
  #handBack(lane: Lane): void {
    lane.draining = true;
    this.#ready.remove(lane);
    lane.dropPending();
    for (const item of [...lane.work]) {
      if (item.busy) continue;
      lane.work.splice(lane.work.indexOf(item), 1);
      for (const slice of item.slices) if (slice.lane === lane) slice.held.release();
      item.slices = item.slices.filter((slice) => slice.lane !== lane);
      item.count = item.slices.reduce((count, slice) => count + slice.count, 0);
      if (item.slices.length === 0) this.#waiting.delete(item);
    }
  }

  #forget(lanes: readonly Lane[]): void {
    for (const lane of lanes) {
      const { lowWaterMark, committed } = lane.tracker;
      const { topic, partition } = lane.assigned;
      if (this.#isEnding && !lane.tracker.closed && lowWaterMark > committed)
        this.uncommitted.push({ topic, partition, offset: lowWaterMark });
      lane.tracker.close();
      this.#committer.forget(lane);
      this.#lanes.delete(lane.assigned);
    }
    if (lanes.some(({ broken }) => broken !== undefined)) this.#tellSource();
  }

  /** Nothing after a record that cannot be decoded is handed out: skipping it would be silent loss. */
  #break(lane: Lane, error: unknown): void {
    lane.broken = toHeadraceError(error, 'KAFKA_CORRUPT_BATCH');
    this.#tellSource();
    this.#context.observer.warning(`broken ${lane.name}`, `${lane.name} stands still: ${lane.broken.message}`);
  }

  // Time.

  #arm(at: number, now: number): void {
    // A timer that is set too early only looks once for nothing: cheaper than setting it anew with every batch.
    if (at === this.#timerAt || (at > this.#timerAt && at !== Number.POSITIVE_INFINITY)) return;
    const { clock } = this.#context;
    if (this.#timerAt !== Number.POSITIVE_INFINITY) clock.clearTimeout(this.#timer);
    this.#timerAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    this.#timer = clock.setTimeout(
      () => {
        this.#timerAt = Number.POSITIVE_INFINITY;
        this.#step();
      },
      Math.max(0, at - now),
    );
  }
}
