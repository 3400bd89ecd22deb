/** Engines in processes of their own on a real Kafka, under load, and what their functions got. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Kafka, startKafka } from '@headrace/testing';
import { Admin, Producer } from '@platformatic/kafka';
import type { Delivery } from './engine-process.ts';
import { definition } from './simulated-engine.ts';

export const PARTITIONS = 6;
export const BATCH_SIZE = 10;
export const LATENCY = 5;

/** What functions of all engines got, in the order in which it was handled. */
export class Ledger {
  /** Times that each offset was handled, by partition name. */
  readonly handled = new Map<string, Map<number, number>>();
  duplicates = 0;
  outOfOrder = 0;
  /** Longest time without a record (ms), since the last `mark`. */
  longestStall = 0;
  #lastAt = performance.now();

  note(engine: Map<string, number>, { records }: Delivery): void {
    const now = performance.now();
    this.longestStall = Math.max(this.longestStall, now - this.#lastAt);
    this.#lastAt = now;
    for (const [name, offsets] of Object.entries(records)) {
      let partition = this.handled.get(name);
      if (partition === undefined) this.handled.set(name, (partition = new Map()));
      for (const offset of offsets) {
        const times = partition.get(offset) ?? 0;
        if (times > 0) this.duplicates++;
        partition.set(offset, times + 1);
        // Within one engine a partition only goes forward, unless it went away and came back with a repetition.
        if (offset < (engine.get(name) ?? -1) && times === 0) this.outOfOrder++;
        engine.set(name, offset);
      }
    }
  }

  /** One line for people. */
  describe(records: number, bound: number): string {
    return `records ${records}, lost ${records - this.records}, out of order ${this.outOfOrder}, repetitions ${this.duplicates} (bound ${bound}), longest stall ${Math.round(this.longestStall)} ms`;
  }

  get records(): number {
    let records = 0;
    for (const partition of this.handled.values()) records += partition.size;
    return records;
  }
}

/** Repetitions that one crash may cause: in flight on each partition, and what was handled since the last commit. */
export const REPETITIONS_A_CRASH = PARTITIONS * BATCH_SIZE * (1 + Math.ceil(100 / LATENCY));

export class Fleet implements AsyncDisposable {
  readonly kafka: Kafka;
  readonly ledger = new Ledger();
  readonly engines = new Set<ChildProcess>();
  /** Last offset that each engine handled, by partition name. */
  readonly #positions = new Map<ChildProcess, Map<string, number>>();
  readonly #producer: Producer<string, string, string, string>;
  #isProducing = true;
  readonly #producing: Promise<void>;

  /** Starts Kafka with a short session timeout, a topic and a producer of about a thousand records a second. */
  static async start(): Promise<Fleet> {
    const kafka = await startKafka({
      properties: {
        'group.consumer.session.timeout.ms': 6000,
        'group.consumer.min.session.timeout.ms': 6000,
        'group.consumer.heartbeat.interval.ms': 1000,
        'group.consumer.min.heartbeat.interval.ms': 1000,
      },
    });
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] });
    await admin.createTopics({ topics: ['orders'], partitions: PARTITIONS, replicas: 1 });
    await admin.close();
    return new Fleet(kafka);
  }

  private constructor(kafka: Kafka) {
    this.kafka = kafka;
    this.#producer = new Producer({ clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] });
    this.#producing = this.#produce();
  }

  startEngine(): ChildProcess {
    const mapping = definition({
      bootstrapServers: [this.kafka.bootstrapServers],
      batchSize: BATCH_SIZE,
      consumerGroupId: 'fleet',
    });
    const child = fork(join(import.meta.dirname, 'engine-process.ts'), [JSON.stringify(mapping), `${LATENCY}`], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    const positions = new Map<string, number>();
    this.#positions.set(child, positions);
    child.on('message', (message) => this.ledger.note(positions, message as Delivery));
    child.once('exit', () => this.engines.delete(child));
    this.engines.add(child);
    return child;
  }

  /** How many partitions this engine has had records of. */
  partitionsOf(engine: ChildProcess): number {
    return this.#positions.get(engine)?.size ?? 0;
  }

  /** No more records from now on. */
  async stopProducing(): Promise<void> {
    this.#isProducing = false;
    await this.#producing;
  }

  /** How many records the topic holds. */
  async records(): Promise<number> {
    return [...(await this.ends()).values()].reduce((sum, offset) => sum + offset, 0);
  }

  /** The offset that each partition's next record gets, by partition name. */
  async ends(): Promise<Map<string, number>> {
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [this.kafka.bootstrapServers] });
    try {
      const partitions = Array.from({ length: PARTITIONS }, (_, partitionIndex) => ({
        partitionIndex,
        timestamp: -1n,
      }));
      const [topic] = await admin.listOffsets({ topics: [{ name: 'orders', partitions }] });
      return new Map(topic!.partitions.map((each) => [`orders-${each.partitionIndex}`, Number(each.offset)]));
    } finally {
      await admin.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopProducing();
    for (const engine of this.engines) engine.kill('SIGKILL');
    await this.#producer.close();
    await this.kafka.stop();
  }

  async #produce(): Promise<void> {
    for (let produced = 0; this.#isProducing; produced += 60) {
      const messages = Array.from({ length: 60 }, (_, i) => ({
        topic: 'orders',
        partition: i % PARTITIONS,
        key: Buffer.from('k') as unknown as string,
        value: Buffer.from(`${produced + i}`) as unknown as string,
      }));
      // While the broker is down there is nothing to produce to; what arrived twice is two records.
      await this.#producer.send({ messages }).catch(() => delay(500));
      await delay(50);
    }
  }
}
