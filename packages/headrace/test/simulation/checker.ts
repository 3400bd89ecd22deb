/** What must hold in every run, checked while it happens. A broken promise throws `Violation` out of the run. */

import type { Scenario } from './scenario.ts';
import type { SimulatedConsumer, SimulatedPartition } from './simulated-kafka.ts';
import type { SimulatedLog } from './simulated-log.ts';
import { Violation } from './trace.ts';

/** The world's stops drain at least so long (ms); rebalances longer. */
export const SHORTEST_DRAIN = 5000;
/** Commits are held back for so long (ms) at most. */
const COMMIT_INTERVAL = 100;

interface EventRecord {
  topic: string;
  partition: number;
  offset: number;
  timestamp: number;
  value: string;
}

/** One assignment of a partition to a process, from the outside. */
export interface Life {
  readonly processId: number;
  readonly partition: SimulatedPartition;
  readonly delivered: Set<number>;
  /** When each record that is settled became so (ms). */
  readonly resolved: Map<number, number>;
  /** Failures that count against the retry limit, a record. */
  readonly failures: Map<number, number>;
  /** Records that a throttle told to wait, and until when (ms). */
  readonly notBefore: Map<number, number>;
  /** What an operator sent elsewhere. */
  readonly parked: Set<number>;
  inFlight: number;
  /** The group gave the partition to another; -1: not so far. */
  expelledAt: number;
  /** What was committed by then. */
  expelledBehind: number;
  /** When after that it first had something to commit: the commit tells the process soon after. */
  zombieSince: number;
}

/** An invocation between its start and its end, as the checker follows it. */
export interface WatchedInvocation {
  readonly processId: number;
  readonly parts: { readonly life: Life; readonly offsets: number[] }[];
}

export class Checker {
  readonly #scenario: Scenario;
  readonly #now: () => number;
  readonly #isPassing: (value: string) => boolean;
  readonly #isOversized: (value: string) => boolean;
  /** Current life by process and partition name. */
  readonly #lives = new Map<string, Life>();
  /** The same, also after the end: what a process sent before it died may still arrive. */
  readonly #latest = new Map<string, Life>();
  readonly #held = new Map<number, number>();
  /** Records with a success, by partition name. */
  readonly succeeded = new Map<string, Set<number>>();
  readonly delivered = new Map<string, Set<number>>();
  readonly atDestination = new Map<string, Set<number>>();
  /** Records that an operator gave up. */
  readonly #skipped = new Map<string, Set<number>>();
  readonly committed = new Map<string, number>();
  duplicates = 0;
  allowedDuplicates = 0;
  /** Commits failed lately or may fail, so a clean leave need not have committed. */
  commitsMayFail: () => boolean = () => false;

  constructor(
    scenario: Scenario,
    now: () => number,
    isPassing: (value: string) => boolean,
    isOversized: (value: string) => boolean,
  ) {
    this.#scenario = scenario;
    this.#now = now;
    this.#isPassing = isPassing;
    this.#isOversized = isOversized;
  }

  assigned(consumer: SimulatedConsumer, partition: SimulatedPartition): void {
    const life: Life = {
      processId: consumer.processId,
      partition,
      delivered: new Set(),
      resolved: new Map(),
      failures: new Map(),
      notBefore: new Map(),
      parked: new Set(),
      inFlight: 0,
      expelledAt: -1,
      expelledBehind: 0,
      zombieSince: -1,
    };
    this.#lives.set(key(consumer.processId, partition), life);
    this.#latest.set(key(consumer.processId, partition), life);
  }

  expelled(consumer: SimulatedConsumer, partition: SimulatedPartition): void {
    const life = this.#lives.get(key(consumer.processId, partition));
    if (life === undefined || life.partition !== partition) return;
    life.expelledAt = this.#now();
    life.expelledBehind = this.committed.get(nameOf(partition)) ?? 0;
    this.#checkCommitted(life);
    this.#allowOpen(life);
  }

  /** Coalescing commits bounds what a crash repeats: what has been settled for longer than that is committed. */
  #checkCommitted(life: Life): void {
    if (this.commitsMayFail()) return;
    const committed = this.committed.get(nameOf(life.partition)) ?? 0;
    const firstOpen = this.#firstUnresolved(life) ?? Number.POSITIVE_INFINITY;
    let since = 0;
    for (const { offset } of life.partition.log.records) {
      if (offset < committed || offset < life.partition.startOffset) continue;
      if (offset >= firstOpen) break;
      // It can be committed when everything before it is settled too.
      since = Math.max(since, life.resolved.get(offset) ?? 0);
      if (since === 0) continue;
      // A commit that is under way comes first, there and back; then this one, there.
      const longest = COMMIT_INTERVAL + 3 * this.#scenario.delay + 10;
      if (this.#now() - since > longest)
        throw new Violation(
          `${nameOf(life.partition)}: offset ${offset} has been settled for ${this.#now() - since} ms and is not committed`,
        );
    }
  }

  /** Whatever was delivered in this life and is not committed may come again, and nothing else. */
  #allowOpen(life: Life): void {
    const committed = this.committed.get(nameOf(life.partition)) ?? 0;
    for (const offset of life.delivered) if (offset >= committed) this.allowedDuplicates++;
  }

  /** A process that was thrown out learns it by its next commit; until then it repeats what the new owner does. */
  #allowZombie(life: Life): void {
    const untilFenced = 150 + 3 * this.#scenario.delay + this.#scenario.latency;
    const isFenced = life.zombieSince >= 0 && this.#now() - life.zombieSince > untilFenced;
    if (this.commitsMayFail() || !isFenced) this.allowedDuplicates++;
  }

  left(consumer: SimulatedConsumer, partition: SimulatedPartition, clean: boolean, waited: number): void {
    const life = this.#lives.get(key(consumer.processId, partition));
    if (life === undefined || life.partition !== partition) return;
    this.#lives.delete(key(consumer.processId, partition));
    const committed = this.committed.get(nameOf(partition)) ?? 0;
    if (life.expelledAt < 0) {
      if (!clean) this.#checkCommitted(life);
      this.#allowOpen(life);
    }
    if (clean && life.inFlight > 0 && waited < SHORTEST_DRAIN)
      throw new Violation(`${nameOf(partition)} was given back after ${waited} ms with an invocation in flight`);
    // Whoever was thrown out and does not know it yet has its last commit refused.
    if (clean && life.expelledAt < 0 && life.inFlight === 0 && !this.commitsMayFail()) {
      for (const offset of life.resolved.keys()) {
        if (offset < committed) continue;
        const firstOpen = this.#firstUnresolved(life);
        if (firstOpen === undefined || offset < firstOpen)
          throw new Violation(`${nameOf(partition)} left in peace, but settled offset ${offset} was not committed`);
      }
    }
  }

  /** An invocation begins: what the event holds must be whole, in order, and nobody else's. */
  invoked(processId: number, payload: Buffer, batchSize: number): WatchedInvocation {
    if (payload.length > this.#scenario.payloadLimitBytes)
      throw new Violation(`a payload of ${payload.length} bytes was sent`);
    const event = JSON.parse(payload.toString()) as { records: Record<string, EventRecord[]> };
    const parts: WatchedInvocation['parts'] = [];
    let count = 0;
    for (const [name, records] of Object.entries(event.records)) {
      const life = this.#lives.get(`${processId}/${name}`);
      if (life === undefined) throw new Violation(`process ${processId} invokes with ${name}, which it does not have`);
      if (life.inFlight > 0) throw new Violation(`two invocations hold records of ${name}`);
      life.inFlight++;
      this.#checkRecords(name, records, life);
      count += records.length;
      parts.push({ life, offsets: records.map(({ offset }) => offset) });
    }
    if (count === 0) throw new Violation('an invocation without records');
    if (count > batchSize) throw new Violation(`${count} records in a batch of at most ${batchSize}`);
    return { processId, parts };
  }

  #checkRecords(name: string, records: EventRecord[], life: Life): void {
    const { log, startOffset } = life.partition;
    const expected = new Map(log.records.map((record) => [record.offset, record]));
    const inEvent = new Set<number>();
    let previous = -1;
    for (const record of records) {
      const { offset } = record;
      if (offset <= previous) throw new Violation(`${name}: offset ${offset} after ${previous}`);
      previous = offset;
      const original = expected.get(offset);
      const value = Buffer.from(record.value, 'base64').toString();
      if (original === undefined || original.value !== value || original.timestamp !== record.timestamp)
        throw new Violation(
          `${name}: offset ${offset} holds ${value.slice(0, 40)} of ${record.timestamp}, not ${original?.value.slice(0, 40)} of ${original?.timestamp}`,
        );
      if (!this.#isPassing(value)) throw new Violation(`${name}: offset ${offset} was filtered and came all the same`);
      if (life.resolved.has(offset)) throw new Violation(`${name}: offset ${offset} came again after it was settled`);
      const notBefore = life.notBefore.get(offset) ?? 0;
      if (this.#now() < notBefore)
        throw new Violation(
          `${name}: offset ${offset} came ${notBefore - this.#now()} ms before a throttle allowed it`,
        );
      const age = this.#scenario.definition.maximumRecordAgeInSeconds ?? -1;
      if (age > 0 && this.#now() - record.timestamp > age * 1000)
        throw new Violation(`${name}: offset ${offset} is too old to be sent`);
      inEvent.add(offset);
      const delivered = setOf(this.delivered, name);
      if (setOf(this.succeeded, name).has(offset) && !life.delivered.has(offset)) this.duplicates++;
      if (life.expelledAt >= 0 && !life.delivered.has(offset)) this.#allowZombie(life);
      delivered.add(offset);
      life.delivered.add(offset);
    }
    for (const { offset, value } of log.records) {
      if (offset >= previous) break;
      if (offset < startOffset || inEvent.has(offset) || this.#isResolved(life, offset, value)) continue;
      throw new Violation(`${name}: offset ${previous} was sent before ${offset}`);
    }
  }

  /**
   * The engine hears of the end of an invocation. `failed`: offsets by partition name that failed; counted or not, and to
   * wait for `retryAfter` milliseconds at least.
   */
  ended(
    watched: WatchedInvocation,
    failed: 'none' | 'all' | Map<string, Set<number>>,
    counts: boolean,
    retryAfter = 0,
  ): void {
    for (const { life, offsets } of watched.parts) {
      life.inFlight--;
      const name = nameOf(life.partition);
      for (const offset of offsets) {
        const isFailed = failed === 'all' || (failed !== 'none' && failed.get(name)?.has(offset) === true);
        if (!isFailed) {
          this.#resolve(life, offset);
          setOf(this.succeeded, name).add(offset);
          continue;
        }
        life.notBefore.set(offset, this.#now() + retryAfter);
        if (counts) life.failures.set(offset, (life.failures.get(offset) ?? 0) + 1);
      }
    }
  }

  #resolve(life: Life, offset: number): void {
    life.resolved.set(offset, this.#now());
    if (life.expelledAt < 0 || life.zombieSince >= 0) return;
    // What is settled behind a record that still blocks is not committed.
    if ((this.#firstUnresolved(life) ?? Number.POSITIVE_INFINITY) > life.expelledBehind) life.zombieSince = this.#now();
  }

  /** An operator is about to skip or park a record; undone when that is refused. What was beside it need not wait. */
  moving(life: Life | undefined, offset: number, isParked: boolean): () => void {
    if (life === undefined) return () => {};
    if (life.resolved.has(offset)) throw new Violation(`offset ${offset} blocks although it is settled`);
    const lives = [...this.#lives.values()].filter(({ processId }) => processId === life.processId);
    const waiting = lives.map(({ notBefore }) => new Map(notBefore));
    const skipped = setOf(this.#skipped, nameOf(life.partition));
    // Parked before and on its way, or skipped in another process: that stays so.
    const wasParked = life.parked.has(offset);
    const wasSkipped = skipped.has(offset);
    for (const { notBefore } of lives) notBefore.clear();
    if (isParked) life.parked.add(offset);
    else {
      life.resolved.set(offset, this.#now());
      skipped.add(offset);
    }
    return () => {
      lives.forEach(({ notBefore }, i) => {
        for (const [each, time] of waiting[i]!) notBefore.set(each, time);
      });
      if (!wasParked) life.parked.delete(offset);
      life.resolved.delete(offset);
      if (!wasSkipped) skipped.delete(offset);
    };
  }

  /** The life that a partition has in a process now. */
  lifeOf(processId: number, name: string): Life | undefined {
    return this.#lives.get(`${processId}/${name}`);
  }

  /** A batch that a life sent arrived at the destination; the engine hears of it or not. */
  delivering(life: Life | undefined, offset: number, condition: string, isHeard: boolean): void {
    if (life === undefined || this.lifeOf(life.processId, nameOf(life.partition)) !== life) return;
    const name = nameOf(life.partition);
    const record = life.partition.log.records.find((each) => each.offset === offset);
    if (record === undefined) throw new Violation(`${name}: offset ${offset} at the destination was never produced`);
    if (life.resolved.has(offset))
      throw new Violation(`${name}: offset ${offset} was settled and went to the destination`);
    if (!this.#mayBeGivenUp(life, offset, condition))
      throw new Violation(`${name}: offset ${offset} was given up too early (${condition})`);
    setOf(this.atDestination, name).add(offset);
    if (isHeard) this.#resolve(life, offset);
  }

  checkCommit(consumer: SimulatedConsumer, log: SimulatedLog, offset: number, before: number): void {
    const name = nameOf(log);
    if (offset < before) throw new Violation(`${name}: commit went back from ${before} to ${offset}`);
    if (offset > log.end) throw new Violation(`${name}: commit of ${offset}, beyond the end ${log.end}`);
    this.committed.set(name, offset);
    const life = this.#latest.get(`${consumer.processId}/${name}`);
    if (life === undefined)
      throw new Violation(`${name}: a commit by process ${consumer.processId}, which never had it`);
    for (const record of log.records) {
      if (record.offset >= offset) break;
      if (record.offset < before || record.offset < life.partition.startOffset) continue;
      if (!this.#isResolved(life, record.offset, record.value))
        throw new Violation(`${name}: commit of ${offset} passes unsettled offset ${record.offset}`);
    }
  }

  held(processId: number, bytes: number): void {
    const held = (this.#held.get(processId) ?? 0) + bytes;
    this.#held.set(processId, held);
    const { partitions } = this.#scenario;
    // A partition: its prefetch, a batch over it, what is taken for the next batch and what is in flight.
    const limit = partitions * 8 * 8192;
    if (held > limit) throw new Violation(`process ${processId} holds ${held} bytes of ${limit}`);
  }

  heldBy(processId: number): number {
    return this.#held.get(processId) ?? 0;
  }

  /** Every record has its fate, no chunk is left behind, and repetitions stay within what was open. */
  finish(logs: readonly SimulatedLog[], aliveProcesses: readonly number[]): void {
    for (const log of logs) {
      const name = nameOf(log);
      for (const { offset, value } of log.records) {
        if (!this.#isPassing(value) || setOf(this.succeeded, name).has(offset)) continue;
        if (setOf(this.atDestination, name).has(offset) || setOf(this.#skipped, name).has(offset)) continue;
        // Whether giving up was allowed was checked when the offset was committed.
        if (this.#scenario.definition.onFailureDestination === undefined) continue;
        throw new Violation(`${name}: offset ${offset} is lost`);
      }
      if ((this.committed.get(name) ?? 0) !== log.end)
        throw new Violation(`${name}: committed ${this.committed.get(name) ?? 0} of ${log.end}`);
    }
    for (const processId of aliveProcesses)
      if (this.heldBy(processId) !== 0)
        throw new Violation(`process ${processId} never released ${this.heldBy(processId)} bytes`);
    if (this.duplicates > this.allowedDuplicates)
      throw new Violation(
        `${this.duplicates} repetitions, ${this.allowedDuplicates} were open at crashes and rebalances`,
      );
  }

  /** A measure of progress: what succeeded, what went to the destination, and what is committed, dropped or not. */
  get progress(): number {
    let count = 0;
    for (const offset of this.committed.values()) count += offset;
    for (const offsets of [...this.succeeded.values(), ...this.atDestination.values()]) count += offsets.size;
    return count;
  }

  #isResolved(life: Life, offset: number, value: string): boolean {
    if (!this.#isPassing(value) || life.resolved.has(offset)) return true;
    return (
      this.#scenario.definition.onFailureDestination === undefined &&
      (this.#mayBeGivenUp(life, offset, 'RetryAttemptsExhausted') ||
        this.#mayBeGivenUp(life, offset, 'RecordAgeExceeded') ||
        this.#mayBeGivenUp(life, offset, 'MaximumPayloadSizeExceeded'))
    );
  }

  #mayBeGivenUp(life: Life, offset: number, condition: string): boolean {
    const { definition } = this.#scenario;
    const record = life.partition.log.records.find((each) => each.offset === offset)!;
    switch (condition) {
      case 'RetryAttemptsExhausted': {
        let retries = definition.maximumRetryAttempts ?? -1;
        if (retries < 0) retries = definition.onFailureDestination === undefined ? Number.POSITIVE_INFINITY : 10;
        return (life.failures.get(offset) ?? 0) === retries + 1;
      }
      case 'RecordAgeExceeded': {
        const age = definition.maximumRecordAgeInSeconds ?? -1;
        return age > 0 && this.#now() - record.timestamp > age * 1000;
      }
      case 'Parked':
        return life.parked.has(offset);
      default:
        return this.#isOversized(record.value);
    }
  }

  /** The first record that is not known to be settled; what may have been dropped is not known. */
  #firstUnresolved(life: Life): number | undefined {
    for (const { offset, value } of life.partition.log.records) {
      if (offset < life.partition.startOffset || !this.#isPassing(value) || life.resolved.has(offset)) continue;
      return offset;
    }
    return undefined;
  }
}

function nameOf(partition: { readonly topic: string; readonly partition: number }): string {
  return `${partition.topic}-${partition.partition}`;
}

function key(processId: number, partition: { readonly topic: string; readonly partition: number }): string {
  return `${processId}/${nameOf(partition)}`;
}

function setOf(map: Map<string, Set<number>>, name: string): Set<number> {
  let set = map.get(name);
  if (set === undefined) map.set(name, (set = new Set()));
  return set;
}
