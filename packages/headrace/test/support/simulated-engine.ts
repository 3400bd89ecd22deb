/** A supervisor on a simulated cluster without faults and a virtual clock: for tests of one behaviour at a time. */
import { SeededRandom } from '@headrace/testing';
import type { Invoke, InvokeOutcome } from '../../src/functions/outcome.ts';
import type { MappingDefinition, MappingStore, StoredMapping } from '../../src/mappings/definition.ts';
import type { Destinations } from '../../src/mappings/destinations.ts';
import type { EngineOptions } from '../../src/mappings/options.ts';
import { createMappingSupervisor } from '../../src/mappings/supervisor.ts';
import { SimulatedKafka } from '../simulation/simulated-kafka.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';

export const UUID = '00000000-0000-4000-8000-000000000001';

export function definition(change: Partial<MappingDefinition> = {}): MappingDefinition {
  return {
    uuid: UUID,
    functionArn: 'arn:aws:lambda:us-east-1:000000000000:function:handler',
    enabled: true,
    bootstrapServers: ['kafka:9092'],
    topics: ['orders'],
    consumerGroupId: 'group',
    batchSize: 100,
    maximumBatchingWindowInSeconds: 0,
    startingPosition: 'TRIM_HORIZON',
    ...change,
  };
}

export interface Invocation {
  /** Milliseconds since the begin of the test. */
  readonly at: number;
  /** `partition name: offsets`. */
  readonly records: Record<string, number[]>;
  readonly event: {
    readonly eventSource: string;
    readonly bootstrapServers: string;
    readonly records: Record<string, { offset: number; value?: string }[]>;
  };
  readonly functionArn: string;
}

export const succeed = (answer: unknown = null): InvokeOutcome => ({
  kind: 'success',
  payload: Buffer.from(JSON.stringify(answer)),
  requestId: 'request',
  executedVersion: '$LATEST',
  durationMilliseconds: 1,
});

export const failWith = (errorMessage: string): InvokeOutcome => ({
  kind: 'function-error',
  functionError: 'Unhandled',
  reason: 'error',
  payload: Buffer.from(JSON.stringify({ errorType: 'Error', errorMessage })),
  requestId: 'request',
  executedVersion: '$LATEST',
  durationMilliseconds: 1,
});

export class SimulatedEngine {
  readonly clock = new VirtualClock(new SeededRandom(1));
  readonly kafka: SimulatedKafka;
  readonly invocations: Invocation[] = [];
  /** When (ms since the begin of the test) how many environments were asked for in advance. */
  readonly warmed: { readonly at: number; readonly environments: number }[] = [];
  readonly store = new Map<string, StoredMapping>();
  readonly supervisor;
  /** What the function does; the default succeeds at once. */
  handler: (invocation: Invocation) => InvokeOutcome | Promise<InvokeOutcome> = () => succeed();
  /** How long an invocation takes (ms). */
  latency = 0;
  rebalances = 0;
  inFlight = 0;
  mostInFlight = 0;
  heldBytes = 0;
  mostHeldBytes = 0;
  readonly #begin: number;

  constructor(
    options: EngineOptions & {
      readonly partitions?: number;
      readonly destinations?: Destinations;
      readonly timeout?: number;
    } = {},
  ) {
    this.#begin = this.clock.now();
    this.kafka = new SimulatedKafka(this.clock, new SeededRandom(2), {
      created: () => {},
      assigned: () => {
        this.rebalances++;
      },
      expelled: () => {},
      left: () => {},
      committed: () => {},
      held: (_, bytes) => {
        this.heldBytes += bytes;
        this.mostHeldBytes = Math.max(this.mostHeldBytes, this.heldBytes);
      },
    });
    this.kafka.faults.delay = 0;
    this.kafka.createTopic('orders', options.partitions ?? 1);
    const store: MappingStore = {
      all: () => [...this.store.values()],
      put: (mapping) => {
        this.store.set(mapping.definition.uuid, mapping);
      },
      remove: (uuid) => {
        this.store.delete(uuid);
      },
    };
    const random = new SeededRandom(3);
    this.supervisor = createMappingSupervisor({
      ...options,
      store,
      clusters: async () => this.kafka.cluster(1, () => true),
      invoke: this.#invoke,
      warm: (_function, environments) => this.warmed.push({ at: this.clock.now() - this.#begin, environments }),
      clock: this.clock,
      random: () => random.next(),
      ...(options.timeout === undefined ? {} : { functionTimeout: () => options.timeout }),
    });
  }

  /** Appends values as one batch to a partition. */
  produce(partition: number, ...values: string[]): void {
    this.kafka.log('orders', partition).append(values.map((value) => ({ value, timestamp: this.clock.now() })));
  }

  async run(milliseconds: number): Promise<void> {
    await this.clock.run(this.clock.now() + milliseconds);
  }

  committed(partition = 0): number | undefined {
    return this.kafka.group('group').offsets.get(`orders-${partition}`);
  }

  state(): string | undefined {
    return this.supervisor.get(UUID)?.status.state;
  }

  readonly #invoke: Invoke = (functionArn, payload) => {
    const event = JSON.parse(Buffer.from(payload).toString()) as Invocation['event'];
    const records = Object.fromEntries(
      Object.entries(event.records).map(([name, list]) => [name, list.map(({ offset }) => offset)]),
    );
    const invocation = { at: this.clock.now() - this.#begin, records, event, functionArn };
    this.invocations.push(invocation);
    this.inFlight++;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    return new Promise((resolve) => {
      this.clock.setTimeout(async () => {
        const outcome = await this.handler(invocation);
        this.inFlight--;
        resolve(outcome);
      }, this.latency);
    });
  };
}
