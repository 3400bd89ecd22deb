import { setTimeout as delay } from 'node:timers/promises';
import { Producer } from '@platformatic/kafka';
import { Cluster } from '../../src/kafka/cluster.ts';
import { lookUpOffsets } from '../../src/kafka/offset-lookup.ts';
import type { TopicEnds } from './check.ts';

const EVERY_MILLISECONDS = 50;

/** Produces to all partitions of a topic at a steady rate until it is stopped, whatever happens to the broker. */
export class Load {
  readonly #bootstrapServers: string;
  readonly #topic: string;
  readonly #partitions: number;
  readonly #running: Promise<void>;
  #stopped = false;

  constructor(settings: { bootstrapServers: string; topic: string; partitions: number; recordsPerSecond: number }) {
    this.#bootstrapServers = settings.bootstrapServers;
    this.#topic = settings.topic;
    this.#partitions = settings.partitions;
    this.#running = this.#run(Math.ceil((settings.recordsPerSecond * EVERY_MILLISECONDS) / 1000));
  }

  /** Stops, and says what the topic holds. */
  async stop(): Promise<TopicEnds> {
    this.#stopped = true;
    await this.#running;
    const cluster = new Cluster({ bootstrapServers: [this.#bootstrapServers] });
    try {
      await cluster.refresh([this.#topic]);
      const queries = Array.from({ length: this.#partitions }, (_, partition) => ({
        topic: this.#topic,
        partition,
        timestamp: -1,
      }));
      const found = await lookUpOffsets(cluster, 'load', queries, 0);
      return new Map(found.map(({ offset }, partition) => [`${this.#topic}-${partition}`, offset]));
    } finally {
      cluster.close();
    }
  }

  async #run(records: number): Promise<void> {
    const producer = new Producer({ clientId: 'load', bootstrapBrokers: [this.#bootstrapServers], retries: 0 });
    let next = performance.now();
    try {
      for (let sent = 0; !this.#stopped; ) {
        const messages = Array.from({ length: records }, (_, i) => ({
          topic: this.#topic,
          partition: (sent + i) % this.#partitions,
          value: Buffer.from(`record ${sent + i} of the load that the engine is under while it is mistreated`),
        }));
        try {
          await producer.send({ acks: -1, messages });
          sent += records;
        } catch {
          // The broker is away: what was sent may be there or not, the topic's end says so. Once more.
          await delay(200);
        }
        next = Math.max(next + EVERY_MILLISECONDS, performance.now() - 1000);
        await delay(Math.max(0, next - performance.now()));
      }
    } finally {
      await producer.close(true);
    }
  }
}
