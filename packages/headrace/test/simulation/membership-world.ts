/**
 * One run of the group membership: the engine's own consumers, both protocols, their commits and time-outs, on a virtual
 * clock and a seeded network, against the development broker's coordinator in this process. Faults for a while, then
 * peace, in which everything must find an owner.
 */
import { createInProcessBroker, type InProcessBroker } from '@headrace/dev-broker';
import { SeededRandom } from '@headrace/testing';
import type { AssignedPartition, ConsumerListener } from '../../src/kafka/contract.ts';
import { KafkaGroupConsumer } from '../../src/kafka/group-consumer.ts';
import { type Life, MembershipChecker, type WatchedMember } from './membership-checker.ts';
import {
  drawMembershipScenario,
  type MembershipScenario,
  REBALANCE_TIMEOUT,
  SESSION_TIMEOUT,
} from './membership-scenario.ts';
import { ProcessClock } from './process-clock.ts';
import { withSeed } from './seeded-globals.ts';
import { type SentRequest, SimulatedCluster, SimulatedNetwork } from './simulated-network.ts';
import { Trace, Violation } from './trace.ts';
import { VirtualClock } from './virtual-clock.ts';

const NODES = 3;
const GROUP = 'group';
const TOPIC = 'orders';
/** Sessions of the dead end, requests that nobody answers time out, the rebalances that follow go through. */
const LONGEST_RECOVERY = 240_000;

export interface MembershipRunResult {
  readonly seed: number;
  readonly scenario: MembershipScenario;
  readonly violation?: Error;
  readonly trace: readonly string[];
  readonly events: number;
  /** Commits that the broker took. */
  readonly commits: number;
  /** Partitions lost without a chance to commit. */
  readonly losses: number;
}

/** Runs one seed. Never throws: what went wrong is in the result. */
export async function runMembershipSeed(seed: number): Promise<MembershipRunResult> {
  const random = new SeededRandom(seed);
  return withSeed(random.fork(), async () => {
    const world = new World(seed, random);
    try {
      await world.run();
      return world.result();
    } catch (error) {
      return world.result(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

interface Process extends WatchedMember {
  readonly clock: ProcessClock;
  readonly cluster: SimulatedCluster;
  readonly consumer: KafkaGroupConsumer;
  readonly name: string | undefined;
  readonly readers: Map<AssignedPartition, Life>;
  isClosing: boolean;
}

class World {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #scenario: MembershipScenario;
  readonly #clock: VirtualClock;
  readonly #broker: InProcessBroker;
  readonly #network: SimulatedNetwork;
  readonly #checker: MembershipChecker;
  readonly #processes: Process[] = [];
  readonly #trace: Trace;
  #nextProcess = 1;
  #partitions: number;
  #isPeace = false;

  constructor(seed: number, random: SeededRandom) {
    this.#seed = seed;
    this.#random = random.fork();
    this.#scenario = drawMembershipScenario(random.fork());
    this.#clock = new VirtualClock(random.fork());
    this.#trace = new Trace(() => this.#clock.now());
    this.#partitions = this.#scenario.partitions;
    this.#broker = createInProcessBroker({
      clock: this.#clock,
      nodes: NODES,
      topics: [{ name: TOPIC, partitions: this.#partitions }],
      configs: {
        'group.consumer.session.timeout.ms': SESSION_TIMEOUT,
        'group.consumer.heartbeat.interval.ms': 3_000,
        'group.initial.rebalance.delay.ms': random.pick([0, 3_000]),
      },
    });
    this.#network = new SimulatedNetwork(this.#clock, random.fork(), this.#broker, {
      sent: (id, request) => this.#watch(id, 'sends', request, (member) => this.#checker.sent(member, request)),
      executed: (id, request, answer) =>
        this.#watch(id, 'has done', request, (member) => this.#checker.executed(member, request, answer)),
      delivered: (id, request, answer) =>
        this.#watch(id, `hears ${codesOf(answer)} to`, request, (member) =>
          this.#checker.delivered(member, request, answer),
        ),
    });
    this.#checker = new MembershipChecker(
      this.#scenario,
      () => this.#clock.now(),
      () => this.#broker.control.group(GROUP)?.members ?? [],
      this.#processes,
      (check) => this.#clock.setTimeout(() => this.#trace.guard(check), 0),
    );
  }

  result(violation?: Error): MembershipRunResult {
    return {
      seed: this.#seed,
      scenario: this.#scenario,
      trace: this.#trace.lines,
      events: this.#clock.events,
      commits: this.#checker.commits,
      losses: this.#checker.losses,
      ...(violation === undefined ? {} : { violation }),
    };
  }

  async run(): Promise<void> {
    const { faultMilliseconds, processes, network } = this.#scenario;
    this.#network.faults = network;
    for (let index = 0; index < processes; index++) this.#start();
    this.#planFaults();
    this.#lookAround();
    const end = this.#trace.begin + faultMilliseconds;
    await this.#clock.run(end, () => this.#trace.isViolated);
    this.#trace.throwViolation();

    this.#isPeace = true;
    this.#trace.log('peace');
    this.#network.faults = { delay: network.delay, cutBefore: 0, cutAfter: 0, silence: 0, refuse: 0 };
    for (const process of this.#processes) {
      this.#resume(process);
      this.#reconnect(process);
    }
    if (!this.#processes.some(({ isClosing, isDead }) => !isClosing && !isDead)) this.#start();
    await this.#clock.run(end + LONGEST_RECOVERY, () => this.#trace.isViolated || this.#isSettled(end));
    this.#trace.throwViolation();
    if (!this.#isSettled(end))
      throw new Violation(`no peace ${LONGEST_RECOVERY} ms after the last fault: ${this.#state()}`);
  }

  // Processes.

  #start(name = this.#random.chance(this.#scenario.named) ? `name-${this.#nextProcess}` : undefined): void {
    const id = this.#nextProcess++;
    this.#trace.log(`process ${id} starts${name === undefined ? '' : ` as ${name}`}`);
    const clock = new ProcessClock(this.#clock);
    const cluster = new SimulatedCluster(id, this.#network, clock);
    const readers = new Map<AssignedPartition, Life>();
    const process: Process = {
      id,
      clock,
      cluster,
      name,
      readers,
      lives: new Set(),
      memberId: '',
      generation: -1,
      joined: -1,
      lastJoinSentAt: Number.NEGATIVE_INFINITY,
      lastHeardAt: this.#clock.now(),
      isPaused: false,
      isDead: false,
      isClosing: false,
      consumer: new KafkaGroupConsumer(
        cluster,
        {
          groupId: GROUP,
          topics: [TOPIC],
          startingPosition: { kind: 'TRIM_HORIZON' },
          sessionTimeoutMilliseconds: SESSION_TIMEOUT,
          rebalanceTimeoutMilliseconds: REBALANCE_TIMEOUT,
          ...(name === undefined ? {} : { restartIdentity: name }),
        },
        this.#listener(() => process),
        { protocol: this.#scenario.protocol },
      ),
    };
    this.#processes.push(process);
    process.consumer.start();
  }

  #listener(self: () => Process): ConsumerListener {
    return {
      onAssigned: (partitions) => {
        const process = self();
        for (const reader of partitions) {
          this.#trace.log(`process ${process.id} gets ${reader.partition} at ${reader.startOffset}`);
          this.#trace.guard(() => {
            const life = this.#checker.assigned(process, reader.partition, reader.startOffset);
            process.readers.set(reader, life);
            void this.#work(process, life);
          });
        }
      },
      onRevoking: (partitions) => this.#giveUp(self(), partitions),
      onLost: (partitions) => this.#end(self(), partitions, false),
      onRecords: () => {},
      onStatus: (error) =>
        this.#trace.log(`process ${self().id}: ${error === undefined ? 'all is well' : error.message}`),
      onSkipped: ({ partition }) => this.#trace.violate(`partition ${partition} skips`),
    };
  }

  #end(process: Process, partitions: readonly AssignedPartition[], isRevoked: boolean): void {
    for (const reader of partitions) {
      const life = process.readers.get(reader);
      if (life === undefined || (isRevoked && life.isOver)) continue;
      this.#trace.log(`process ${process.id} ${isRevoked ? 'gives back' : 'loses'} ${reader.partition}`);
      this.#trace.guard(() => this.#checker.ended(life, isRevoked));
    }
  }

  /** Settles records and commits, one commit of a partition at a time, as the poller does. */
  async #work(process: Process, life: Life): Promise<void> {
    while (!life.isOver && life.revokedAt === undefined) {
      await process.clock.sleep(this.#random.integer(100, 4_000));
      if (life.isOver || life.revokedAt !== undefined) return;
      if (this.#scenario.isIdle && !this.#isPeace) continue;
      life.position += this.#random.integer(1, 5);
      await this.#commit(process, [life]);
    }
  }

  readonly #committing = new Map<Life, Promise<void>>();

  async #commit(process: Process, lives: readonly Life[]): Promise<void> {
    for (const life of lives) await this.#committing.get(life);
    const open = lives.filter((life) => !life.isOver);
    if (open.length === 0) return;
    const offsets = open.map(({ partition, position }) => ({
      topic: TOPIC,
      partition,
      offset: position,
      leaderEpoch: -1,
      metadata: '',
    }));
    const done = process.consumer.commit(offsets).then((results) => {
      results.forEach((result, index) => {
        const { offset, partition } = offsets[index]!;
        this.#trace.log(`process ${process.id} hears that ${offset} of ${partition} is ${result.kind}`);
        if (result.kind === 'committed') this.#trace.guard(() => this.#checker.committed(open[index]!, offset));
      });
    });
    for (const life of open) this.#committing.set(life, done);
    await done;
    for (const life of open) if (this.#committing.get(life) === done) this.#committing.delete(life);
  }

  /** Finishes what is at work, which may take long, commits, and lets go. */
  async #giveUp(process: Process, partitions: readonly AssignedPartition[]): Promise<void> {
    const { slowHook, longestHook } = this.#scenario;
    const lives = partitions.flatMap((reader) => process.readers.get(reader) ?? []);
    for (const life of lives) {
      life.revokedAt = this.#clock.now();
      life.isClosing = process.isClosing;
    }
    const share = this.#random.next();
    const wait = this.#random.chance(slowHook) ? (0.4 + 0.6 * share) * longestHook : share * 500;
    this.#trace.log(
      `process ${process.id} is to give up ${partitions.map(({ partition }) => partition)}: ${wait.toFixed()} ms`,
    );
    await process.clock.sleep(wait);
    if (!this.#scenario.isIdle || this.#isPeace) await this.#commit(process, lives);
    this.#end(process, partitions, true);
  }

  async #leave(process: Process): Promise<void> {
    this.#trace.log(`process ${process.id} leaves`);
    process.isClosing = true;
    for (const life of process.lives) life.isClosing = true;
    const begin = this.#clock.now();
    await process.consumer.close();
    process.isDead = true;
    this.#trace.log(`process ${process.id} has left`);
    // The time-outs of the hook, of a request under way and of the goodbye.
    if (this.#clock.now() - begin > REBALANCE_TIMEOUT + 60_000)
      this.#trace.violate(`process ${process.id} cannot leave`);
    if (process.lives.size > 0) this.#trace.violate(`process ${process.id} has left and owns partitions`);
  }

  #kill(process: Process): void {
    this.#trace.log(`process ${process.id} dies`);
    process.isDead = true;
    process.clock.isAlive = false;
    process.cluster.cut();
    process.lives.clear();
    this.#clock.setTimeout(() => this.#start(process.name), this.#random.pick([10, 2_000, 40_000]));
  }

  #pause(process: Process): void {
    this.#trace.log(`process ${process.id} stands still`);
    process.isPaused = true;
    process.clock.pause();
    this.#clock.setTimeout(() => this.#resume(process), this.#random.pick([2_000, 20_000, 50_000]));
  }

  #resume(process: Process): void {
    if (!process.isPaused || process.isDead) return;
    this.#trace.log(`process ${process.id} goes on`);
    process.isPaused = false;
    process.lastHeardAt = this.#clock.now();
    process.clock.resume();
  }

  #reconnect(process: Process): void {
    if (!process.cluster.isIsolated) return;
    this.#trace.log(`process ${process.id} reaches the brokers again`);
    process.cluster.isIsolated = false;
  }

  // Faults.

  #planFaults(): void {
    const { joins, leaves, kills, pauses, moves, cuts, isolations, growths, faultMilliseconds } = this.#scenario;
    const plan = (count: number, fault: () => void): void => {
      for (let index = 0; index < count; index++) {
        this.#clock.setTimeout(fault, this.#random.next() * faultMilliseconds);
      }
    };
    const any = (fault: (process: Process) => void) => () => {
      const able = this.#processes.filter(({ isDead, isClosing, isPaused }) => !isDead && !isClosing && !isPaused);
      if (able.length > 0) fault(this.#random.pick(able));
    };
    plan(joins, () => this.#start());
    plan(
      leaves,
      any((process) => void this.#leave(process)),
    );
    plan(
      kills,
      any((process) => this.#kill(process)),
    );
    plan(
      pauses,
      any((process) => this.#pause(process)),
    );
    plan(
      cuts,
      any((process) => process.cluster.cut(0.7)),
    );
    plan(
      isolations,
      any((process) => {
        this.#trace.log(`process ${process.id} reaches nobody`);
        process.cluster.isolate();
        this.#clock.setTimeout(() => this.#reconnect(process), this.#random.pick([3_000, 20_000, 60_000]));
      }),
    );
    plan(moves, () => {
      const node = this.#random.integer(1, NODES);
      this.#trace.log(`the coordinator moves to node ${node}`);
      this.#broker.control.moveCoordinator('group', GROUP, node);
    });
    plan(growths, () => {
      this.#partitions++;
      this.#trace.log(`the topic gets partition ${this.#partitions - 1}`);
      void this.#network.grow(TOPIC, this.#partitions);
    });
  }

  #lookAround(): void {
    this.#trace.guard(() => this.#checker.look());
    this.#clock.setTimeout(() => this.#lookAround(), 1_000);
  }

  /** Each partition has one owner, who has committed since `end`; nobody has two more than another; all who left are gone. */
  #isSettled(end: number): boolean {
    const alive = this.#processes.filter(({ isDead }) => !isDead);
    if (alive.some(({ isClosing }) => isClosing)) return false;
    const owners = new Set<number>();
    for (const { lives } of alive) {
      for (const life of lives) {
        if (owners.has(life.partition) || life.revokedAt !== undefined) return false;
        owners.add(life.partition);
        if (this.#checker.committedAt(life.partition) < end) return false;
      }
    }
    if (owners.size !== this.#partitions) return false;
    const loads = alive.map(({ lives }) => lives.size);
    return Math.max(...loads) - Math.min(...loads) <= 1;
  }

  #state(): string {
    return this.#processes
      .filter(({ isDead }) => !isDead)
      .map(({ id, lives }) => `process ${id} has [${[...lives].map(({ partition }) => partition)}]`)
      .join(', ');
  }

  // Watching.

  #watch(id: number, verb: string, request: SentRequest, check: (member: Process) => void): void {
    const member = this.#processes.find((process) => process.id === id);
    if (member === undefined) return;
    const about = request.commits.map(({ partition, offset }) => ` ${partition}@${offset}`).join();
    this.#trace.log(`process ${id} ${verb} ${request.name} ${request.generation}${about}`);
    this.#trace.guard(() => check(member));
  }
}

function codesOf(answer: unknown): string {
  if (typeof answer === 'number') return String(answer);
  if (Array.isArray(answer)) return answer.map((each: { error?: number }) => each.error ?? '').join();
  return String((answer as { error?: number }).error ?? 'an answer');
}
