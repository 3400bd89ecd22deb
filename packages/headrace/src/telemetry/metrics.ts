import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { FunctionEngine } from '../functions/definition.ts';
import type { InvokeOutcome } from '../functions/outcome.ts';
import type { Api } from '../gateway/route.ts';
import type { MappingSnapshot, MappingSupervisor } from '../mappings/definition.ts';
import { commitChannel, functionInvocationChannel } from './channels.ts';

interface FunctionInvocation {
  readonly functionName: string;
  readonly version: string;
  readonly outcome: InvokeOutcome;
  readonly durationMilliseconds: number;
  readonly coldStart: boolean;
}

interface Commit {
  readonly uuid: string;
  readonly results: readonly { readonly kind: string }[];
}

export interface Metrics extends Api {
  /** Ends the subscriptions. */
  close(): void;
}

/**
 * `GET /metrics` in Prometheus's text form. The names are AWS's (monitoring-metrics-types of the Lambda guide: OffsetLag,
 * PolledEventCount, Invocations, Errors…) as Prometheus writes them, with units. What mappings count is read from their
 * snapshots when somebody asks, so that it costs the pollers nothing; invocations come over a diagnostics channel.
 */
export function createMetrics(parts: {
  readonly mappings: Pick<MappingSupervisor, 'list' | 'snapshot'>;
  readonly functions: Pick<FunctionEngine, 'snapshot'>;
}): Metrics {
  const registry = new Registry();
  const close = [observeFunctions(registry, parts.functions), observeMappings(registry, parts.mappings)];
  return {
    service: 'metrics',
    async handle({ method, path }) {
      if (path !== '/metrics' || method !== 'GET') return undefined;
      return {
        status: 200,
        headers: { 'content-type': registry.contentType },
        body: Buffer.from(await registry.metrics()),
      };
    },
    close() {
      for (const end of close) end();
    },
  };
}

function observeFunctions(registry: Registry, functions: Pick<FunctionEngine, 'snapshot'>): () => void {
  const labelNames = ['function_name', 'executed_version'] as const;
  const registers = [registry];
  const invocations = new Counter({
    name: 'headrace_function_invocations_total',
    help: 'Invocations: times the code was run, whether it succeeded or not',
    labelNames,
    registers,
  });
  const errors = new Counter({
    name: 'headrace_function_errors_total',
    help: 'Errors: invocations that ended with a function error, by reason',
    labelNames: [...labelNames, 'reason'] as const,
    registers,
  });
  const throttles = new Counter({
    name: 'headrace_function_throttles_total',
    help: 'Throttles: invocations refused by a concurrency limit, by reason',
    labelNames: [...labelNames, 'reason'] as const,
    registers,
  });
  const coldStarts = new Counter({
    name: 'headrace_function_cold_starts_total',
    help: 'Invocations that began with the start of an execution environment',
    labelNames,
    registers,
  });
  const durations = new Histogram({
    name: 'headrace_function_duration_seconds',
    help: 'Duration of invocations, without the start of the environment',
    labelNames,
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900],
    registers,
  });
  new Gauge({
    name: 'headrace_function_concurrent_executions',
    help: 'ConcurrentExecutions: execution environments that are busy now',
    labelNames: ['function_name'] as const,
    registers,
    collect() {
      this.reset();
      for (const { functionName, state } of functions.snapshot()) {
        this.inc({ function_name: functionName }, state === 'busy' || state === 'starting' ? 1 : 0);
      }
    },
  });
  const listener = (message: unknown): void => {
    const { functionName, version, outcome, durationMilliseconds, coldStart } = message as FunctionInvocation;
    const labels = { function_name: functionName, executed_version: version };
    if (outcome.kind === 'throttled') throttles.inc({ ...labels, reason: outcome.reason });
    if (outcome.kind !== 'success' && outcome.kind !== 'function-error') return;
    invocations.inc(labels);
    durations.observe(labels, durationMilliseconds / 1000);
    if (coldStart) coldStarts.inc(labels);
    if (outcome.kind === 'function-error') errors.inc({ ...labels, reason: outcome.reason });
  };
  subscribe(functionInvocationChannel.name, listener);
  return () => void unsubscribe(functionInvocationChannel.name, listener);
}

/** AWS's event counts (spec ESM 14.2) and what our snapshot calls them. */
const eventCounts = {
  polled: ['received', 'PolledEventCount: records read'],
  filtered_out: ['filtered', 'FilteredOutEventCount: records rejected by the filter'],
  invoked: ['invokedRecords', 'InvokedEventCount: records handed to the function; retries count again'],
  failed_invoke: ['failedRecords', 'FailedInvokeEventCount: records in invocations that failed'],
  dropped: ['dropped', 'DroppedEventCount: records given up without a destination'],
  on_failure_destination_delivered: ['toDestination', 'OnFailureDestinationDeliveredEventCount'],
  committed: ['committed', 'CommittedEventCount: sum of the committed offsets’ steps'],
} as const satisfies Record<string, readonly [keyof MappingSnapshot['counts'], string]>;

function observeMappings(registry: Registry, mappings: Pick<MappingSupervisor, 'list' | 'snapshot'>): () => void {
  const registers = [registry];
  const allSnapshots = (): MappingSnapshot[] =>
    mappings.list().flatMap(({ definition }) => mappings.snapshot(definition.uuid) ?? []);
  /** A disabled mapping has no metrics (spec ESM 14): a lag of 0 would say that nothing waits. */
  const snapshots = (): MappingSnapshot[] => allSnapshots().filter(({ state }) => state !== 'Disabled');
  /** Totals are kept by the pollers; a counter that is set anew at each scrape shows them as what they are. */
  const total = (name: string, help: string, value: (snapshot: MappingSnapshot) => number): void => {
    new Counter({
      name,
      help,
      labelNames: ['uuid'] as const,
      registers,
      collect() {
        this.reset();
        for (const snapshot of snapshots()) this.inc({ uuid: snapshot.uuid }, value(snapshot));
      },
    });
  };
  const perMapping = (
    name: string,
    help: string,
    value: (snapshot: MappingSnapshot) => number,
    of = snapshots,
  ): void => {
    new Gauge({
      name,
      help,
      labelNames: ['uuid'] as const,
      registers,
      collect() {
        this.reset();
        for (const snapshot of of()) this.set({ uuid: snapshot.uuid }, value(snapshot));
      },
    });
  };
  for (const [event, [count, help]] of Object.entries(eventCounts)) {
    total(`headrace_mapping_${event}_events_total`, help, ({ counts }) => counts[count]);
  }
  total('headrace_mapping_invocations_total', 'Batches handed to the function', ({ counts }) => counts.invocations);
  total(
    'headrace_mapping_invoke_errors_total',
    'InvokeErrorCount: invocations that failed, by batch',
    ({ counts }) => counts.failedInvocations,
  );
  total(
    'headrace_mapping_polling_errors_total',
    'PollingErrorCount: requests to the cluster that failed',
    ({ counts }) => counts.pollingErrors,
  );
  total(
    'headrace_mapping_on_failure_destination_delivery_errors_total',
    'OnFailureDestinationDeliveryErrorCount, DestinationDeliveryFailures: writes to the destination that failed',
    ({ counts }) => counts.destinationErrors,
  );
  total(
    'headrace_mapping_polled_bytes_total',
    'EventPollerThroughputInBytes: bytes of records read, uncompressed',
    ({ counts }) => counts.receivedBytes,
  );
  total(
    'headrace_mapping_throttles_total',
    'Invocations of the mapping that were throttled',
    ({ counts }) => counts.throttles,
  );
  total(
    'headrace_mapping_rebalances_total',
    'Rebalances of the consumer group since the start',
    ({ counts }) => counts.rebalances,
  );
  perMapping('headrace_mapping_pollers', 'ProvisionedPollers: pollers that run now', ({ pollers }) => pollers);
  perMapping('headrace_mapping_event_poller_units', 'EventPollerUnit: ten pollers each', ({ pollers }) =>
    Math.ceil(pollers / 10),
  );
  const uncommitted = ({ partitions }: MappingSnapshot): number[] =>
    partitions.map(({ highWatermark, committedOffset }) => Math.max(0, highWatermark - committedOffset));
  perMapping(
    'headrace_mapping_sum_offset_lag_records',
    'SumOffsetLag: records not yet committed, over the partitions of this engine',
    (snapshot) => uncommitted(snapshot).reduce((sum, lag) => sum + lag, 0),
  );
  perMapping(
    'headrace_mapping_max_offset_lag_records',
    'MaxOffsetLag: records not yet committed of the partition that has most',
    (snapshot) => Math.max(0, ...uncommitted(snapshot)),
  );
  perMapping(
    'headrace_mapping_enabled',
    '1 while the state is Enabled',
    ({ state }) => (state === 'Enabled' ? 1 : 0),
    allSnapshots,
  );
  const perPartition = (
    name: string,
    help: string,
    value: (partition: MappingSnapshot['partitions'][number]) => number,
  ): void => {
    new Gauge({
      name,
      help,
      labelNames: ['uuid', 'topic', 'partition'] as const,
      registers,
      collect() {
        this.reset();
        for (const { uuid, partitions } of snapshots()) {
          for (const each of partitions) {
            this.set({ uuid, topic: each.topic, partition: String(each.partition) }, value(each));
          }
        }
      },
    });
  };
  perPartition('headrace_mapping_offset_lag_records', 'OffsetLag: records not yet settled', ({ lag }) => lag);
  perPartition(
    'headrace_mapping_offset_lag_seconds',
    'Age of the oldest record not yet settled',
    ({ lagSeconds }) => lagSeconds,
  );
  perPartition('headrace_mapping_in_flight_records', 'Records in invocations that run now', ({ inFlight }) => inFlight);
  perPartition(
    'headrace_mapping_buffered_bytes',
    'Bytes fetched and not yet in a batch',
    ({ bufferedBytes }) => bufferedBytes,
  );
  perPartition('headrace_mapping_blocked', '1 while a record keeps the partition from going on', ({ blockedBy }) =>
    blockedBy === undefined ? 0 : 1,
  );
  const commitErrors = new Counter({
    name: 'headrace_mapping_commit_errors_total',
    help: 'CommitErrorCount: partitions whose commit failed or was fenced',
    labelNames: ['uuid'] as const,
    registers,
  });
  const listener = (message: unknown): void => {
    const { uuid, results } = message as Commit;
    const failed = results.filter(({ kind }) => kind !== 'committed').length;
    if (failed > 0) commitErrors.inc({ uuid }, failed);
  };
  subscribe(commitChannel.name, listener);
  return () => void unsubscribe(commitChannel.name, listener);
}
