// An engine in a process of its own whose function hangs until it is told to go on; says how much memory it takes.
import { systemClock } from '../../src/clock.ts';
import { createKafkaCluster } from '../../src/kafka/index.ts';
import type { MappingDefinition, StoredMapping } from '../../src/mappings/definition.ts';
import { createMappingSupervisor } from '../../src/mappings/supervisor.ts';

/** What the parent is told, ten times a second. */
export interface StuckReport {
  readonly residentBytes: number;
  /** Fetched and not in a batch. */
  readonly bufferedBytes: number;
  readonly invocations: number;
  readonly succeeded: number;
}

const mapping = JSON.parse(process.argv[2]!) as MappingDefinition;
const store = new Map<string, StoredMapping>();
const goesOn = Promise.withResolvers<void>();
process.once('message', () => goesOn.resolve());
const supervisor = createMappingSupervisor({
  store: {
    all: () => [...store.values()],
    put: (each) => {
      store.set(each.definition.uuid, each);
    },
    remove: (uuid) => {
      store.delete(uuid);
    },
  },
  clusters: async ({ bootstrapServers }) => createKafkaCluster({ bootstrapServers: bootstrapServers! }),
  invoke: async () => {
    await goesOn.promise;
    return {
      kind: 'success',
      payload: Buffer.from('null'),
      requestId: 'request',
      executedVersion: '$LATEST',
      durationMilliseconds: 1,
    };
  },
  clock: systemClock,
  random: Math.random,
});
supervisor.create(mapping);
setInterval(() => {
  const { partitions, counts } = supervisor.snapshot(mapping.uuid)!;
  const report: StuckReport = {
    residentBytes: process.memoryUsage.rss(),
    bufferedBytes: partitions.reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0),
    invocations: counts.invocations,
    succeeded: counts.succeeded,
  };
  process.send!(report);
}, 100);
// Without its parent nobody would end it.
process.once('disconnect', () => process.exit(1));
