import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ChaosProxy, type Kafka, startKafka, temporaryFolder } from '@headrace/testing';
import { createTopics } from '../kafka/harness.ts';
import { Engine } from './engine.ts';

export type Protocol = 'classic' | 'KIP-848';

/** The session timeout of KIP-848 members, which the broker sets: shorter than it may be elsewhere, or nobody waits for it. */
export const SESSION_TIMEOUT_MILLISECONDS = 6000;

/** A real Kafka, a proxy before it, and engines that end with it. */
export class World implements AsyncDisposable {
  readonly protocol: Protocol;
  readonly kafka: Kafka;
  readonly proxy: ChaosProxy;
  readonly #folder = temporaryFolder('chaos');
  #engines: Engine[] = [];

  static async start(protocol: Protocol): Promise<World> {
    const proxy = await ChaosProxy.start();
    const kafka = await startKafka({
      proxyPort: proxy.port,
      properties: {
        'group.coordinator.rebalance.protocols': protocol === 'classic' ? 'classic' : 'classic,consumer',
        'group.consumer.session.timeout.ms': SESSION_TIMEOUT_MILLISECONDS,
      },
    }).catch(async (error) => {
      await proxy.stop();
      throw error;
    });
    proxy.target = kafka.listeners.proxied;
    return new World(protocol, kafka, proxy);
  }

  private constructor(protocol: Protocol, kafka: Kafka, proxy: ChaosProxy) {
    this.protocol = protocol;
    this.kafka = kafka;
    this.proxy = proxy;
  }

  /** Where the functions of a scenario write. */
  journal(scenario: string): string {
    return join(this.#folder, `${scenario}.journal`);
  }

  createTopic(name: string, partitions: number): Promise<void> {
    return createTopics(this.kafka.bootstrapServers, [name], partitions);
  }

  /** An engine with a data directory of its own, not started yet. */
  engine(name: string, options: { readonly proxied?: boolean; readonly arguments?: readonly string[] } = {}): Engine {
    const engine = new Engine({
      dataDirectory: join(this.#folder, name),
      bootstrapServers: options.proxied === true ? this.proxy.address : this.kafka.bootstrapServers,
      arguments: options.arguments ?? [],
    });
    this.#engines.push(engine);
    return engine;
  }

  /** Ends all engines: the next scenario begins with none. */
  async endEngines(): Promise<void> {
    const engines = this.#engines;
    this.#engines = [];
    await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endEngines();
    await this.proxy.stop();
    await this.kafka.stop();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
