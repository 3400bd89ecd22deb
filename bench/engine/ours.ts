// Headrace itself: a mapping on the cluster, a Node function behind the Runtime API.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../packages/headrace/src/clock.ts';
import { createFunctionEngine } from '../../packages/headrace/src/functions/engine.ts';
import { createKafkaCluster } from '../../packages/headrace/src/kafka/index.ts';
import type { MappingDefinition, StoredMapping } from '../../packages/headrace/src/mappings/definition.ts';
import { createMappingSupervisor } from '../../packages/headrace/src/mappings/supervisor.ts';
import { Meter, readTask } from './contestant.ts';

const task = readTask();
const folder = mkdtempSync(join(tmpdir(), 'headrace-bench-engine-'));
writeFileSync(
  join(folder, 'index.mjs'),
  `export const handler = async () => { ${task.latencyMilliseconds > 0 ? `await new Promise((resolve) => setTimeout(resolve, ${task.latencyMilliseconds}));` : ''} };\n`,
);
const latencyFunction = fileURLToPath(new URL('latency-function', import.meta.url));
const environment: Record<string, string> =
  task.latencyFolder === undefined ? {} : { LATENCY_FOLDER: task.latencyFolder };
const functionArn = 'arn:aws:lambda:eu-central-1:123456789012:function:bench';
const engine = createFunctionEngine({
  region: 'eu-central-1',
  accountId: '123456789012',
  baseEnvironment: () => ({}),
  resolve: () => ({
    kind: 'found',
    invokedFunctionArn: functionArn,
    version: {
      functionName: 'bench',
      functionArn,
      version: '$LATEST',
      revisionId: '1',
      runtime: 'nodejs24.x',
      handler: 'index.handler',
      memorySizeMegabytes: 512,
      timeoutSeconds: 60,
      environment,
      code: { kind: 'folder', path: task.latencyFolder === undefined ? folder : latencyFunction },
      layers: [],
      architecture: 'x86_64',
      ephemeralStorageMegabytes: 512,
      logging: { format: 'JSON', applicationLevel: 'FATAL', systemLevel: 'WARN', logGroup: '/aws/lambda/bench' },
      tracingMode: 'PassThrough',
    },
  }),
});
await engine.start();
// The environment is warm before the measurement, as the peers' server is.
await engine.invoke(functionArn, Buffer.from('{"records":{}}'));

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
  clusters: async () => createKafkaCluster({ bootstrapServers: [task.bootstrapServers] }),
  invoke: engine.invoke,
  clock: systemClock,
  random: Math.random,
});
const Pattern = `{"value":{"kind":["${task.filter === 'all' ? 'wanted' : 'other'}"]}}`;
const definition: MappingDefinition = {
  uuid: crypto.randomUUID(),
  functionArn,
  enabled: true,
  bootstrapServers: [task.bootstrapServers],
  topics: [task.topic],
  consumerGroupId: crypto.randomUUID(),
  batchSize: task.batchSize,
  maximumBatchingWindowInSeconds: 0,
  startingPosition: 'TRIM_HORIZON',
  ...(task.filter === 'none' ? {} : { filterCriteria: { Filters: [{ Pattern }] } }),
  ...(task.latencyMilliseconds > 0
    ? { provisionedPollerConfig: { MinimumPollers: 3, MaximumPollers: task.partitions } }
    : {}),
};
const meter = new Meter(task);
supervisor.create(definition);
const timer = setInterval(() => {
  const { counts } = supervisor.snapshot(definition.uuid)!;
  if (!meter.done(counts.succeeded + counts.filtered)) return;
  clearInterval(timer);
  void engine.stop();
}, 50);
