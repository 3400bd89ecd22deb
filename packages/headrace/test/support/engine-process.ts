// An engine in a process of its own, to be killed: one mapping on a real cluster, a function that tells its parent
// what it got before it succeeds.
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../src/clock.ts';
import type { InvokeOutcome } from '../../src/functions/outcome.ts';
import { createKafkaCluster } from '../../src/kafka/index.ts';
import type { MappingDefinition, StoredMapping } from '../../src/mappings/definition.ts';
import { createMappingSupervisor } from '../../src/mappings/supervisor.ts';

/** What the parent is told. */
export interface Delivery {
  readonly kind: 'delivery';
  readonly records: Readonly<Record<string, readonly number[]>>;
}

const definition = JSON.parse(process.argv[2]!) as MappingDefinition;
const latency = Number(process.argv[3] ?? 5);
const store = new Map<string, StoredMapping>();

const supervisor = createMappingSupervisor({
  store: {
    all: () => [...store.values()],
    put: (mapping) => {
      store.set(mapping.definition.uuid, mapping);
    },
    remove: (uuid) => {
      store.delete(uuid);
    },
  },
  clusters: async ({ bootstrapServers }) => createKafkaCluster({ bootstrapServers: bootstrapServers! }),
  invoke: async (_function, payload) => {
    const event = JSON.parse(Buffer.from(payload).toString()) as { records: Record<string, { offset: number }[]> };
    const records = Object.fromEntries(
      Object.entries(event.records).map(([name, list]) => [name, list.map(({ offset }) => offset)]),
    );
    await delay(latency);
    // Only what the parent has surely heard of counts as handled.
    const delivery: Delivery = { kind: 'delivery', records };
    await new Promise<void>((resolve) => process.send!(delivery, undefined, undefined, () => resolve()));
    const outcome: InvokeOutcome = {
      kind: 'success',
      payload: Buffer.from('null'),
      requestId: crypto.randomUUID(),
      executedVersion: '$LATEST',
      durationMilliseconds: latency,
    };
    return outcome;
  },
  clock: systemClock,
  random: Math.random,
});
supervisor.create(definition);
process.once('SIGTERM', async () => {
  await supervisor.stop();
  process.exit(0);
});
// Without its parent nobody would end it.
process.once('disconnect', () => process.exit(1));
