/** One run: processes of the engine over a simulated cluster, with faults for a while and peace at the end. */
import { SeededRandom } from '@headrace/testing';
import { HeadraceError } from '../../src/errors.ts';
import type { Invoke } from '../../src/functions/outcome.ts';
import type {
  MappingOperations,
  MappingStore,
  MappingSupervisor,
  StoredMapping,
} from '../../src/mappings/definition.ts';
import type { Destinations } from '../../src/mappings/destinations.ts';
import { createMappingSupervisor } from '../../src/mappings/supervisor.ts';
import { Checker, SHORTEST_DRAIN, type WatchedInvocation } from './checker.ts';
import { answer } from './function.ts';
import { drawScenario, type Scenario } from './scenario.ts';
import { type SimulatedConsumer, SimulatedKafka } from './simulated-kafka.ts';
import { Trace, Violation } from './trace.ts';
import { VirtualClock } from './virtual-clock.ts';

type BlockedRecord = ReturnType<MappingOperations['blocked']>[number];

const PEACE_MILLISECONDS = 3_600_000;
const OVERSIZED_BYTES = 3000;
/** Of an engine, for payloads in flight: small enough that one which is not given back is missed. */
const MEMORY_LIMIT_BYTES = 128 * 1024;
/** A stop ends within its drain time and a commit. */
const LONGEST_STOP = SHORTEST_DRAIN + 2000;

export interface RunResult {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly violation?: Error;
  readonly trace: readonly string[];
  readonly events: number;
  readonly duplicates: number;
}

class EngineProcess {
  readonly id: number;
  readonly supervisor: MappingSupervisor & MappingOperations;
  readonly consumers = new Set<SimulatedConsumer>();
  isAlive = true;
  isStopping = false;

  constructor(id: number, makeSupervisor: (process: EngineProcess) => MappingSupervisor & MappingOperations) {
    this.id = id;
    this.supervisor = makeSupervisor(this);
  }
}

/** Runs one seed. Never throws: what went wrong is in the result. */
export async function runSeed(seed: number): Promise<RunResult> {
  const world = new World(seed);
  try {
    await world.run();
    return world.result();
  } catch (error) {
    return world.result(error instanceof Error ? error : new Error(String(error)));
  }
}

class World {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #clock: VirtualClock;
  readonly #kafka: SimulatedKafka;
  readonly #scenario: Scenario;
  readonly #checker: Checker;
  readonly #processes: EngineProcess[] = [];
  readonly #store = new Map<string, StoredMapping>();
  readonly #trace: Trace;
  #nextProcess = 1;
  #isFaulty = true;
  #batchSize: number;
  #lastOutage = 0;
  /** When each partition came to its present owner. */
  readonly #ownedSince = new Map<string, number>();

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new SeededRandom(seed);
    this.#scenario = drawScenario(this.#random.fork());
    this.#clock = new VirtualClock(this.#random.fork());
    this.#trace = new Trace(() => this.#clock.now());
    this.#batchSize = this.#scenario.definition.batchSize;
    this.#checker = new Checker(
      this.#scenario,
      () => this.#clock.now(),
      (value) => !this.#scenario.filter || !value.includes('unwanted'),
      (value) => value.length >= OVERSIZED_BYTES && this.#scenario.payloadLimitBytes < OVERSIZED_BYTES,
    );
    // One that failed right before the peace is tried again half a second after its answer, and gets there in its own time.
    const lastFailureHealed = this.#trace.begin + this.#scenario.faultMilliseconds + 600 + 6 * this.#scenario.delay;
    this.#checker.commitsMayFail = () =>
      (this.#scenario.commitFailure > 0 && this.#clock.now() < lastFailureHealed) ||
      this.#clock.now() < this.#lastOutage + 20_000;
    this.#kafka = new SimulatedKafka(this.#clock, this.#random.fork(), {
      created: (consumer) => this.#processes.find(({ id }) => id === consumer.processId)!.consumers.add(consumer),
      assigned: (consumer, partition) => {
        this.#trace.log(
          `process ${consumer.processId} gets ${partition.topic}-${partition.partition} at ${partition.startOffset}`,
        );
        this.#ownedSince.set(`${partition.topic}-${partition.partition}`, this.#clock.now());
        this.#trace.guard(() => this.#checker.assigned(consumer, partition));
      },
      expelled: (consumer, partition) => {
        this.#trace.log(`process ${consumer.processId} is thrown out of ${partition.topic}-${partition.partition}`);
        this.#checker.expelled(consumer, partition);
      },
      left: (consumer, partition, clean, waited) => {
        const how = clean ? 'gives back' : 'loses';
        this.#trace.log(`process ${consumer.processId} ${how} ${partition.topic}-${partition.partition}`);
        this.#ownedSince.delete(`${partition.topic}-${partition.partition}`);
        this.#trace.guard(() => this.#checker.left(consumer, partition, clean, waited));
      },
      committed: (consumer, log, offset, before) => {
        this.#trace.log(`process ${consumer.processId} commits ${log.topic}-${log.partition} ${offset}`);
        this.#trace.guard(() => this.#checker.checkCommit(consumer, log, offset, before));
      },
      held: (processId, bytes) => this.#trace.guard(() => this.#checker.held(processId, bytes)),
    });
    this.#kafka.createTopic('orders', this.#scenario.partitions);
  }

  result(violation?: Error): RunResult {
    return {
      seed: this.#seed,
      scenario: this.#scenario,
      trace: this.#trace.lines,
      events: this.#clock.events,
      duplicates: this.#checker.duplicates,
      ...(violation === undefined ? {} : { violation }),
    };
  }

  async run(): Promise<void> {
    const { faultMilliseconds, processes, commitFailure, delay } = this.#scenario;
    this.#kafka.faults.commitFailure = commitFailure;
    this.#kafka.faults.delay = delay;
    for (let i = 0; i < processes; i++) this.#startProcess();
    this.#produceOverTime();
    this.#planFaults();
    await this.#runUntil(this.#trace.begin + faultMilliseconds);
    const resolvedInFaults = this.#checker.progress;
    const hadWork = this.#hadWork();
    this.#trace.log('peace');
    this.#isFaulty = false;
    this.#kafka.faults.commitFailure = 0;
    if (!this.#processes.some(({ isAlive, isStopping }) => isAlive && !isStopping)) this.#startProcess();
    const isDone = (): boolean => this.#trace.isViolated || this.#isEverythingCommitted();
    await this.#clock.run(this.#trace.begin + faultMilliseconds + PEACE_MILLISECONDS, isDone);
    this.#trace.throwViolation();
    if (!this.#isEverythingCommitted()) throw new Violation('no progress: an hour of peace was not enough');
    // What was handed out of turn ends, then nothing may be left.
    await this.#runUntil(
      this.#clock.now() + (this.#scenario.stall > 0 ? 80_000 : this.#scenario.freezes > 0 ? 30_000 : 2000),
    );
    this.#checker.finish(
      this.#kafka.logs,
      this.#processes.filter(({ isAlive }) => isAlive).map(({ id }) => id),
    );
    if (hadWork) this.#checkProgress(resolvedInFaults);
    await this.#stopAll();
  }

  /**
   * Whether somebody has held a partition with records for ten seconds of working brokers. A crash can keep the only
   * partition that has any from everybody for as long as a session lasts.
   */
  #hadWork(): boolean {
    const enough = this.#clock.now() - 10_000;
    return this.#kafka.logs.some((log) => {
      const since = this.#ownedSince.get(`${log.topic}-${log.partition}`);
      const first = log.records[0];
      return first !== undefined && since !== undefined && Math.max(since, first.timestamp, this.#lastOutage) < enough;
    });
  }

  /** Faults slow things down; they must not stop them. Only said of runs whose faults leave room for success. */
  #checkProgress(resolvedInFaults: number): void {
    const {
      poison,
      functionError,
      throttle,
      unavailable,
      malformed,
      brokerOutages,
      crashes,
      freezes,
      joins,
      filter,
      stall,
    } = this.#scenario;
    const isHarsh =
      poison + functionError + throttle + unavailable + malformed + stall > 0.4 || poison > 0 || stall > 0;
    if (isHarsh || filter || brokerOutages + crashes + freezes + joins > 2) return;
    if (resolvedInFaults === 0) throw new Violation('nothing was settled while faults were on');
  }

  async #stopAll(): Promise<void> {
    const alive = this.#processes.filter(({ isAlive }) => isAlive);
    const stopped = Promise.all(alive.map(({ supervisor }) => supervisor.stop()));
    let isStopped = false;
    void stopped.then(() => {
      isStopped = true;
    });
    await this.#clock.run(this.#clock.now() + 300_000, () => isStopped || this.#trace.isViolated);
    this.#trace.throwViolation();
    if (!isStopped) throw new Violation('a stop did not end');
  }

  async #runUntil(time: number): Promise<void> {
    await this.#clock.run(time, () => this.#trace.isViolated);
    this.#trace.throwViolation();
  }

  #isEverythingCommitted(): boolean {
    return this.#kafka.logs.every(
      (log) => (this.#checker.committed.get(`${log.topic}-${log.partition}`) ?? 0) === log.end,
    );
  }

  // What goes on.

  #produceOverTime(): void {
    const random = this.#random.fork();
    const { records, faultMilliseconds, filter, poison, oversized } = this.#scenario;
    let left = records;
    let id = 0;
    const produce = (): void => {
      const count = Math.min(left, random.integer(1, 20));
      left -= count;
      const log = random.pick(this.#kafka.logs);
      const batch = Array.from({ length: count }, () => {
        const kind = random.chance(poison) ? 'poison' : filter && random.chance(0.5) ? 'unwanted' : 'good';
        const value = `${kind} ${id++}`;
        return {
          value: random.chance(oversized) ? value.padEnd(OVERSIZED_BYTES, 'x') : value,
          timestamp: this.#clock.now(),
          key: random.chance(0.5) ? 'key' : null,
        };
      });
      log.append(batch, random.chance(0.1) ? random.integer(1, 3) : 0);
      if (left > 0) this.#clock.setTimeout(produce, random.next() * (faultMilliseconds / 40));
    };
    this.#clock.setTimeout(produce, random.integer(0, 1000));
  }

  #planFaults(): void {
    const random = this.#random.fork();
    const { faultMilliseconds, crashes, freezes, joins, brokerOutages, reconfigurations } = this.#scenario;
    const { flaps, toggles, moves } = this.#scenario;
    const plan = (count: number, action: () => void): void => {
      for (let i = 0; i < count; i++) this.#clock.setTimeout(action, random.next() * faultMilliseconds);
    };
    const alive = (): EngineProcess[] => this.#processes.filter(({ isAlive }) => isAlive);
    const working = (): EngineProcess[] => alive().filter(({ isStopping }) => !isStopping);
    plan(crashes, () => {
      const victims = alive();
      if (victims.length === 0) return;
      this.#crash(random.pick(victims));
      this.#clock.setTimeout(() => this.#startProcess(), random.integer(0, 3000));
    });
    plan(freezes, () => {
      for (const process of alive()) {
        const consumer = [...process.consumers].at(-1);
        if (consumer === undefined) continue;
        this.#trace.log(`process ${process.id} freezes`);
        consumer.freeze(random.integer(1000, 25_000));
        return;
      }
    });
    plan(flaps, () => {
      for (const process of alive()) {
        const consumer = [...process.consumers].at(-1);
        if (consumer === undefined || consumer.partitions.length === 0) continue;
        const partition = random.pick(consumer.partitions);
        this.#trace.log(`process ${process.id} has ${partition.topic}-${partition.partition} assigned anew`);
        consumer.flap(partition);
        return;
      }
    });
    plan(toggles, () => {
      const process = working()[0];
      const stored = process?.supervisor.list()[0];
      if (process === undefined || stored?.status.state !== 'Enabled') return;
      this.#trace.log(`process ${process.id} disables its mapping`);
      process.supervisor.update({ ...stored.definition, enabled: false });
      this.#enableAgain(process, random.integer(0, 5000));
    });
    plan(moves, () => {
      for (const process of alive()) {
        const [blocked] = process.supervisor.blocked();
        if (blocked !== undefined) this.#move(process, blocked, random.chance(0.5));
      }
    });
    plan(joins, () => {
      const count = working().length;
      if (count < 2 || (count < 4 && random.chance(0.6))) this.#startProcess();
      else {
        const process = random.pick(working());
        process.isStopping = true;
        this.#trace.log(`process ${process.id} stops`);
        void process.supervisor.stop({ drainTimeoutMilliseconds: SHORTEST_DRAIN }).then(() => {
          process.isAlive = false;
        });
        this.#clock.setTimeout(() => {
          if (process.isAlive) this.#trace.violate(`process ${process.id} still drains after ${LONGEST_STOP} ms`);
        }, LONGEST_STOP);
      }
    });
    plan(brokerOutages, () => {
      this.#trace.log('broker down');
      this.#kafka.faults.downUntil = this.#clock.now() + random.integer(100, 8000);
      this.#lastOutage = this.#kafka.faults.downUntil;
    });
    plan(reconfigurations, () => {
      if (alive().length === 0) return;
      const process = random.pick(alive());
      const stored = process.supervisor.list()[0];
      if (stored === undefined || stored.status.state !== 'Enabled') return;
      const batchSize = random.pick([1, 3, 50]);
      this.#trace.log(`process ${process.id} goes on with batches of ${batchSize}`);
      this.#batchSize = Math.max(this.#batchSize, batchSize);
      process.supervisor.update({ ...stored.definition, batchSize });
    });
  }

  /** As soon as it is disabled, but not before a while. */
  #enableAgain(process: EngineProcess, milliseconds: number): void {
    this.#clock.setTimeout(() => {
      const stored = process.supervisor.list()[0];
      if (!process.isAlive || stored === undefined) return;
      if (stored.status.state === 'Disabled') {
        this.#trace.log(`process ${process.id} enables its mapping`);
        process.supervisor.update({ ...stored.definition, enabled: true });
      } else this.#enableAgain(process, 500);
    }, milliseconds);
  }

  /** An operator moves past the record that blocks a partition. */
  #move(process: EngineProcess, { uuid, topic, partition, offset }: BlockedRecord, isParked: boolean): void {
    const place = { topic, partition, offset };
    const life = this.#checker.lifeOf(process.id, `${topic}-${partition}`);
    // Told before: the record is settled while the call goes on.
    const undo = this.#checker.moving(life, offset, isParked);
    try {
      if (isParked) process.supervisor.park(uuid, place, 'parked');
      else process.supervisor.skip(uuid, place);
      this.#trace.log(`process ${process.id} ${isParked ? 'parks' : 'skips'} ${topic}-${partition} ${offset}`);
    } catch (error) {
      // It is being tried just now.
      if (!(error instanceof HeadraceError) || !error.retryable) throw error;
      undo();
    }
  }

  // Processes.

  #startProcess(): void {
    const id = this.#nextProcess++;
    this.#trace.log(`process ${id} starts`);
    const random = this.#random.fork();
    const isFirst = this.#store.size === 0;
    const process = new EngineProcess(id, (self) => {
      const isAlive = (): boolean => self.isAlive;
      const destinations = this.#destinations(self, random.fork());
      return createMappingSupervisor({
        store: this.#storeOf(self),
        clusters: async () => this.#kafka.cluster(id, isAlive),
        invoke: this.#invoke(self, random.fork()),
        clock: this.#clock.forProcess(isAlive),
        random: () => random.next(),
        destinations,
        backoff: { initialMilliseconds: 100, maximumMilliseconds: 2000 },
        payloadLimitBytes: this.#scenario.payloadLimitBytes,
        memoryLimitBytes: MEMORY_LIMIT_BYTES,
      });
    });
    this.#processes.push(process);
    process.supervisor.start();
    if (isFirst) process.supervisor.create(this.#scenario.definition);
    // Whoever died while it was disabled leaves it so to those who come after.
    else if (process.supervisor.list()[0]?.definition.enabled === false) this.#enableAgain(process, 1000);
  }

  #crash(process: EngineProcess): void {
    this.#trace.log(`process ${process.id} dies`);
    process.isAlive = false;
    for (const consumer of process.consumers) this.#trace.guard(() => consumer.die());
  }

  #storeOf(process: EngineProcess): MappingStore {
    return {
      all: () => [...this.#store.values()],
      put: (mapping) => {
        if (process.isAlive) this.#store.set(mapping.definition.uuid, mapping);
      },
      remove: (uuid) => {
        this.#store.delete(uuid);
      },
    };
  }

  // The function and the destination.

  #invoke(process: EngineProcess, random: SeededRandom): Invoke {
    return (_functionRef, payload) =>
      new Promise((resolve) => {
        const copy = Buffer.from(payload);
        let watched: WatchedInvocation | undefined;
        this.#trace.guard(() => {
          watched = this.#checker.invoked(process.id, copy, this.#batchSize);
        });
        if (watched === undefined) return;
        const { latency, stall } = this.#scenario;
        const wait = this.#isFaulty && random.chance(stall) ? 70_000 : random.next() * latency;
        this.#trace.log(`process ${process.id} invokes with ${describe(watched)}`);
        this.#clock.setTimeout(() => {
          if (!copy.equals(payload)) this.#trace.violate('the payload changed while it was in flight');
          const { outcome, failed, counts, retryAfter } = answer(
            this.#scenario,
            this.#isFaulty,
            copy,
            watched!,
            random,
          );
          if (!process.isAlive) {
            // The function ran all the same; nobody hears of it.
            if (failed === 'none') this.#trace.guard(() => this.#checker.ended(watched!, 'none', false));
            return;
          }
          this.#trace.log(`process ${process.id} hears ${outcome.kind} of ${describe(watched!)}`);
          this.#trace.guard(() => this.#checker.ended(watched!, failed, counts, retryAfter));
          resolve(outcome);
        }, wait);
      });
  }

  #destinations(process: EngineProcess, random: SeededRandom): Destinations {
    return {
      deliver: (batch) =>
        new Promise((resolve, reject) => {
          const lives = new Map(
            batch.partitions.map(({ name }) => [name, this.#checker.lifeOf(process.id, name)] as const),
          );
          this.#clock.setTimeout(() => {
            const isFailing = this.#isFaulty && random.chance(this.#scenario.destinationFailure);
            // Half of the failures are lost answers: the batch is there all the same.
            const isThere = !isFailing || random.chance(0.5);
            if (isThere)
              for (const { name, records } of batch.partitions)
                for (const { offset } of records)
                  this.#trace.guard(() =>
                    this.#checker.delivering(lives.get(name), offset, batch.condition, !isFailing && process.isAlive),
                  );
            this.#trace.log(`destination of process ${process.id}: ${isFailing ? 'fails' : batch.condition}`);
            if (!process.isAlive) return;
            if (isFailing) reject(new HeadraceError('KAFKA_TIMEOUT', 'simulated'));
            else resolve();
          }, random.next() * 100);
        }),
    };
  }
}

function describe(watched: WatchedInvocation): string {
  return watched.parts
    .map(({ life, offsets }) => `${life.partition.topic}-${life.partition.partition} ${offsets.join(',')}`)
    .join(' ');
}
