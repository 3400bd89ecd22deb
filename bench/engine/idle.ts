// A thousand mappings without work in one engine: what they take once they have settled, as they are for
// days. Started by bench/engine.ts, answers one JSON line.
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../packages/headrace/src/clock.ts';
import { createKafkaCluster } from '../../packages/headrace/src/kafka/index.ts';
import type { StoredMapping } from '../../packages/headrace/src/mappings/definition.ts';
import { createMappingSupervisor } from '../../packages/headrace/src/mappings/supervisor.ts';

export interface IdleAnswer {
  readonly mappings: number;
  readonly bytesEach: number;
  /** Of one core. */
  readonly coreShare: number;
}

const [bootstrapServers, topic, count, seconds] = process.argv.slice(2) as [string, string, string, string];
const mappings = Number(count);
/** Polls wait longer the longer nothing comes: the last step is reached 18 s after the last mapping was assigned. */
const SETTLE_MILLISECONDS = 30_000;
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
  clusters: async () => createKafkaCluster({ bootstrapServers: [bootstrapServers] }),
  invoke: () => Promise.reject(new Error('nothing is to be invoked')),
  clock: systemClock,
  random: Math.random,
});
const uuids: string[] = [];
const add = (): void => {
  const uuid = crypto.randomUUID();
  uuids.push(uuid);
  supervisor.create({
    uuid,
    functionArn: 'arn:aws:lambda:eu-central-1:123456789012:function:idle',
    enabled: true,
    bootstrapServers: [bootstrapServers],
    topics: [topic],
    consumerGroupId: uuid,
    batchSize: 100,
    startingPosition: 'TRIM_HORIZON',
  });
};
const assigned = async (): Promise<void> => {
  while (!uuids.every((uuid) => supervisor.snapshot(uuid)!.partitions.length > 0)) await delay(100);
};
// The first one loads what all share.
add();
await assigned();
const before = process.memoryUsage.rss();
while (uuids.length < mappings + 1) {
  for (let i = 0; i < 20; i++) add();
  await assigned();
}
await delay(SETTLE_MILLISECONDS);
const bytes = process.memoryUsage.rss() - before;
const cpu = process.cpuUsage();
await delay(Number(seconds) * 1000);
const { user, system } = process.cpuUsage(cpu);
const answer: IdleAnswer = {
  mappings: uuids.length - 1,
  bytesEach: bytes / (uuids.length - 1),
  coreShare: (user + system) / 1e6 / Number(seconds),
};
process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
