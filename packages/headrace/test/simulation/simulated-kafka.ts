/**
 * A Kafka cluster in memory behind `kafka/contract.ts`: logs, groups with revocation and fencing, fetches and commits
 * that take time and fail. Everything that happens is drawn from the seed; the broker outlives the engine's processes.
 */
import type { SeededRandom } from '@headrace/testing';
import { HeadraceError } from '../../src/errors.ts';
import type {
  AssignedPartition,
  CommitResult,
  ConsumerListener,
  GroupConsumer,
  GroupConsumerOptions,
  KafkaCluster,
  OffsetCommit,
  RecordChunk,
} from '../../src/kafka/contract.ts';
import { SimulatedLog } from './simulated-log.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface KafkaFaults {
  /** Commits and fetches fail until this time (ms). */
  downUntil: number;
  /** Chance that a single commit fails. */
  commitFailure: number;
  /** Largest delay of a fetch or commit (ms). */
  delay: number;
}

export interface KafkaWatcher {
  created(consumer: SimulatedConsumer): void;
  committed(consumer: SimulatedConsumer, log: SimulatedLog, offset: number, before: number): void;
  /** A partition leaves a member; `clean` when the member agreed, after so many milliseconds. */
  left(consumer: SimulatedConsumer, partition: SimulatedPartition, clean: boolean, waited: number): void;
  assigned(consumer: SimulatedConsumer, partition: SimulatedPartition): void;
  /** The partition is another member's from now on, whether this one knows it or not. */
  expelled(consumer: SimulatedConsumer, partition: SimulatedPartition): void;
  /** Bytes fetched and not released changed. */
  held(processId: number, bytes: number): void;
}

const SESSION_TIMEOUT = 10_000;
const REBALANCE_TIMEOUT = 60_000;
const PARTITION_BUFFER_BYTES = 4096;

let epochs = 0;

export class SimulatedKafka {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly watcher: KafkaWatcher;
  readonly faults: KafkaFaults = { downUntil: 0, commitFailure: 0, delay: 10 };
  readonly logs: SimulatedLog[] = [];
  readonly groups = new Map<string, SimulatedGroup>();

  constructor(clock: VirtualClock, random: SeededRandom, watcher: KafkaWatcher) {
    this.clock = clock;
    this.random = random;
    this.watcher = watcher;
  }

  createTopic(topic: string, partitions: number): void {
    for (let partition = 0; partition < partitions; partition++) this.logs.push(new SimulatedLog(topic, partition));
  }

  log(topic: string, partition: number): SimulatedLog {
    return this.logs.find((log) => log.topic === topic && log.partition === partition)!;
  }

  get isDown(): boolean {
    return this.clock.now() < this.faults.downUntil;
  }

  delay(): number {
    return this.random.integer(0, this.faults.delay);
  }

  /** The cluster as one process of the engine sees it. */
  cluster(processId: number, isAlive: () => boolean): KafkaCluster {
    return {
      bootstrapServers: ['simulated:9092'],
      createGroupConsumer: (options, listener) => new SimulatedConsumer(this, processId, isAlive, options, listener),
      partitionCount: async (topic) => this.logs.filter((log) => log.topic === topic).length,
      close: async () => {},
    };
  }

  group(groupId: string): SimulatedGroup {
    let group = this.groups.get(groupId);
    if (group === undefined) this.groups.set(groupId, (group = new SimulatedGroup(this)));
    return group;
  }
}

/** Who owns which partition, and what is committed. Revocation is cooperative: the new owner waits for the old. */
export class SimulatedGroup {
  readonly offsets = new Map<string, number>();
  readonly members: SimulatedConsumer[] = [];
  readonly owners = new Map<SimulatedLog, SimulatedConsumer>();
  generation = 0;
  readonly #kafka: SimulatedKafka;
  readonly #revoking = new Set<SimulatedLog>();

  constructor(kafka: SimulatedKafka) {
    this.#kafka = kafka;
  }

  join(consumer: SimulatedConsumer): void {
    this.members.push(consumer);
    this.rebalance();
  }

  /** Without a goodbye: the session ended. */
  expel(consumer: SimulatedConsumer): void {
    const index = this.members.indexOf(consumer);
    if (index < 0) return;
    this.members.splice(index, 1);
    for (const [log, owner] of this.owners) {
      if (owner !== consumer) continue;
      this.owners.delete(log);
      consumer.expelled(log);
      consumer.lose(log);
    }
    this.rebalance();
  }

  leave(consumer: SimulatedConsumer): void {
    const index = this.members.indexOf(consumer);
    if (index < 0) return;
    this.members.splice(index, 1);
    for (const [log, owner] of this.owners) if (owner === consumer) this.owners.delete(log);
    this.rebalance();
  }

  rebalance(): void {
    this.generation++;
    if (this.members.length === 0) return;
    let next = 0;
    for (const log of this.#kafka.logs) {
      const candidates = this.members.filter((member) => member.options.topics.includes(log.topic));
      if (candidates.length === 0) continue;
      const target = candidates[next++ % candidates.length]!;
      const owner = this.owners.get(log);
      if (owner === target || this.#revoking.has(log)) continue;
      if (owner === undefined) this.#assign(target, log);
      else this.#move(owner, log);
    }
  }

  isRevoking(log: SimulatedLog): boolean {
    return this.#revoking.has(log);
  }

  #assign(member: SimulatedConsumer, log: SimulatedLog): void {
    this.owners.set(log, member);
    member.gain(log, this.offsets.get(`${log.topic}-${log.partition}`));
  }

  #move(owner: SimulatedConsumer, log: SimulatedLog): void {
    this.#revoking.add(log);
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      this.#revoking.delete(log);
      if (this.owners.get(log) === owner) this.owners.delete(log);
      this.rebalance();
    };
    void owner.revoke(log).then(over);
    this.#kafka.clock.setTimeout(() => {
      if (isOver) return;
      owner.lose(log);
      over();
    }, REBALANCE_TIMEOUT);
  }
}

export class SimulatedPartition implements AssignedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly epoch = ++epochs;
  readonly startOffset: number;
  readonly committedMetadata = '';
  readonly logStartOffset = 0;
  readonly log: SimulatedLog;
  readonly buffer: RecordChunk[] = [];
  isPaused = false;
  fetchPosition: number;
  readonly #held: (bytes: number) => void;

  constructor(log: SimulatedLog, startOffset: number, held: (bytes: number) => void) {
    this.log = log;
    this.topic = log.topic;
    this.partition = log.partition;
    this.startOffset = startOffset;
    this.fetchPosition = startOffset;
    this.#held = held;
  }

  get highWatermark(): number {
    return this.log.end;
  }

  get bufferedBytes(): number {
    return this.buffer.reduce((sum, chunk) => sum + chunk.end - chunk.start, 0);
  }

  get oldestBufferedTimestamp(): number {
    return this.buffer[0]?.baseTimestamp ?? -1;
  }

  fetch(): boolean {
    if (this.isPaused || this.bufferedBytes >= PARTITION_BUFFER_BYTES) return false;
    const chunk = this.log.read(this.fetchPosition, (bytes) => {
      this.#held(-bytes.length);
      // Whoever still reads these bytes reads nonsense.
      bytes.fill(0xdd);
    });
    if (chunk === undefined) return false;
    this.#held(chunk.bytes.length);
    this.fetchPosition = chunk.nextOffset;
    this.buffer.push(chunk);
    return true;
  }

  take(): RecordChunk | undefined {
    return this.buffer.shift();
  }

  discard(): void {
    for (const chunk of this.buffer.splice(0)) chunk.release();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }
}

export class SimulatedConsumer implements GroupConsumer {
  readonly options: GroupConsumerOptions;
  readonly processId: number;
  rebalances = 0;
  pollingErrors = 0;
  /** Heartbeats do not arrive: the session ends, but the process lives on. */
  isFrozen = false;
  readonly #kafka: SimulatedKafka;
  readonly #isAlive: () => boolean;
  readonly #listener: ConsumerListener;
  readonly #group: SimulatedGroup;
  readonly #assigned = new Map<SimulatedLog, SimulatedPartition>();
  #isClosed = false;
  #wasDown = false;
  #commitsInFlight = 0;
  /** Times that it joined: a commit that was sent before is refused, as one of an older generation. */
  #joins = 0;

  constructor(
    kafka: SimulatedKafka,
    processId: number,
    isAlive: () => boolean,
    options: GroupConsumerOptions,
    listener: ConsumerListener,
  ) {
    this.#kafka = kafka;
    this.processId = processId;
    this.#isAlive = isAlive;
    this.options = options;
    this.#listener = listener;
    this.#group = kafka.group(options.groupId);
    kafka.watcher.created(this);
  }

  get partitions(): readonly SimulatedPartition[] {
    return [...this.#assigned.values()];
  }

  start(): void {
    this.#kafka.clock.setTimeout(() => {
      if (!this.#isAlive() || this.#isClosed) return;
      this.#group.join(this);
      this.#fetchLater();
    }, this.#kafka.delay());
  }

  /** The process died: nobody says goodbye, the group notices after the session timeout. */
  die(): void {
    this.#kafka.clock.setTimeout(() => this.#group.expel(this), SESSION_TIMEOUT);
    for (const partition of this.#assigned.values()) this.#kafka.watcher.left(this, partition, false, 0);
  }

  /** Heartbeats stop for longer than the session, then go on: a zombie for a while. */
  freeze(milliseconds: number): void {
    if (this.isFrozen) return;
    this.isFrozen = true;
    const { clock } = this.#kafka;
    if (milliseconds > SESSION_TIMEOUT) clock.setTimeout(() => this.#group.expel(this), SESSION_TIMEOUT);
    clock.setTimeout(() => {
      this.isFrozen = false;
      if (!this.#isAlive() || this.#isClosed || this.#group.members.includes(this)) return;
      // Only now does it learn that it was thrown out.
      this.#forgetAll();
      this.#joins++;
      this.#group.join(this);
    }, milliseconds);
  }

  commit(offsets: readonly OffsetCommit[]): Promise<readonly CommitResult[]> {
    const { clock, random, faults } = this.#kafka;
    const joins = this.#joins;
    this.#commitsInFlight++;
    return new Promise((resolve) => {
      const answer = (results: CommitResult[]): void => {
        clock.setTimeout(() => {
          this.#commitsInFlight--;
          if (this.#isAlive()) resolve(results);
        }, this.#kafka.delay());
      };
      clock.setTimeout(() => {
        if (this.#kafka.isDown || random.chance(faults.commitFailure)) {
          const error = new HeadraceError('KAFKA_TIMEOUT', 'simulated');
          answer(offsets.map(() => ({ kind: 'failed', error })));
          return;
        }
        answer(offsets.map((offset) => this.#commitOne(offset, joins)));
      }, this.#kafka.delay());
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const partitions = [...this.#assigned.values()];
    const begin = this.#kafka.clock.now();
    await this.#listener.onRevoking(partitions);
    if (!this.#isAlive()) return;
    for (const partition of partitions) this.#drop(partition, true, this.#kafka.clock.now() - begin);
    this.#group.leave(this);
  }

  /** Says that offsets could not be read any more. */
  skip(skipped: Parameters<ConsumerListener['onSkipped']>[0]): void {
    this.#listener.onSkipped(skipped);
  }

  // What the group does.

  gain(log: SimulatedLog, committed: number | undefined): void {
    const position = this.options.startingPosition.kind === 'LATEST' ? log.end : 0;
    const partition = new SimulatedPartition(log, committed ?? position, (bytes) =>
      this.#kafka.watcher.held(this.processId, bytes),
    );
    this.#later(() => {
      // A member that is leaving takes nothing any more.
      if (this.#isClosed || this.#group.owners.get(log) !== this || this.#assigned.has(log)) return;
      this.#assigned.set(log, partition);
      this.rebalances++;
      this.#kafka.watcher.assigned(this, partition);
      this.#listener.onAssigned([partition]);
    });
  }

  async revoke(log: SimulatedLog): Promise<void> {
    const partition = this.#assigned.get(log);
    if (partition === undefined) return;
    if (!this.#isAlive()) return new Promise(() => {});
    const begin = this.#kafka.clock.now();
    await this.#listener.onRevoking([partition]);
    if (this.#isAlive()) this.#drop(partition, true, this.#kafka.clock.now() - begin);
  }

  lose(log: SimulatedLog): void {
    const partition = this.#assigned.get(log);
    if (partition === undefined || !this.#isAlive() || this.isFrozen) return;
    this.#drop(partition, false);
    this.#listener.onLost([partition]);
  }

  /** The group gave the partition away; the consumer may not know. */
  expelled(log: SimulatedLog): void {
    const partition = this.#assigned.get(log);
    if (partition !== undefined && this.#isAlive()) this.#kafka.watcher.expelled(this, partition);
  }

  /** Takes a partition away and hands it out again at once, as when its offsets begin to mean something else. */
  flap(partition: SimulatedPartition): void {
    const { log } = partition;
    // Not on its way to somebody else. A commit under way would be taken as one of the new assignment, which begins before it.
    if (this.#group.owners.get(log) !== this || this.#group.isRevoking(log) || this.#commitsInFlight > 0) return;
    this.#drop(partition, false);
    this.#listener.onLost([partition]);
    this.gain(log, this.#group.offsets.get(`${log.topic}-${log.partition}`));
  }

  #forgetAll(): void {
    const partitions = [...this.#assigned.values()];
    for (const partition of partitions) this.#drop(partition, false);
    this.#listener.onLost(partitions);
  }

  #drop(partition: SimulatedPartition, clean: boolean, waited = 0): void {
    if (this.#assigned.get(partition.log) !== partition) return;
    this.#assigned.delete(partition.log);
    partition.discard();
    this.#kafka.watcher.left(this, partition, clean, waited);
  }

  #commitOne(commit: OffsetCommit, joins: number): CommitResult {
    const log = this.#kafka.log(commit.topic, commit.partition);
    if (joins !== this.#joins) return { kind: 'fenced', reason: 'STALE_MEMBER_EPOCH' };
    if (this.#group.owners.get(log) !== this) return { kind: 'fenced', reason: 'UNKNOWN_MEMBER_ID' };
    const name = `${log.topic}-${log.partition}`;
    const before = this.#group.offsets.get(name) ?? 0;
    this.#group.offsets.set(name, commit.offset);
    this.#kafka.watcher.committed(this, log, commit.offset, before);
    return { kind: 'committed' };
  }

  #fetchLater(wait = 5): void {
    this.#later(() => {
      if (this.#isClosed && this.#assigned.size === 0) return;
      if (this.#kafka.isDown !== this.#wasDown) {
        this.#wasDown = this.#kafka.isDown;
        this.#listener.onStatus(this.#wasDown ? new HeadraceError('KAFKA_UNREACHABLE', 'simulated') : undefined);
      }
      let isNew = false;
      if (!this.#wasDown) for (const partition of this.#assigned.values()) if (partition.fetch()) isNew = true;
      if (isNew) this.#listener.onRecords();
      this.#fetchLater(isNew ? 5 : 200);
    }, wait + this.#kafka.delay());
  }

  #later(action: () => void, milliseconds = 0): void {
    this.#kafka.clock.setTimeout(() => {
      if (this.#isAlive()) action();
    }, milliseconds);
  }
}
