import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { EnvironmentSnapshot } from '../src/functions/definition.ts';
import type { MappingSnapshot, StoredMapping } from '../src/mappings/definition.ts';
import { commitChannel, functionInvocationChannel } from '../src/telemetry/channels.ts';
import { createMetrics, type Metrics } from '../src/telemetry/metrics.ts';

const snapshot: MappingSnapshot = {
  uuid: 'u-1',
  functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f',
  topics: ['orders'],
  consumerGroupId: 'g',
  state: 'Enabled',
  stateTransitionReason: 'USER_INITIATED',
  lastProcessingResult: 'OK',
  lastModified: 1,
  pollers: 12,
  warnings: [],
  partitions: [
    {
      topic: 'orders',
      partition: 3,
      settledOffset: 10,
      committedOffset: 9,
      position: 15,
      highWatermark: 40,
      lag: 30,
      lagSeconds: 1.5,
      inFlight: 5,
      bufferedBytes: 2048,
    },
  ],
  counts: {
    received: 100,
    filtered: 20,
    invocations: 9,
    succeeded: 8,
    failedInvocations: 1,
    throttles: 2,
    dropped: 3,
    toDestination: 4,
    committed: 90,
    rebalances: 1,
    receivedBytes: 12_345,
    invokedRecords: 84,
    failedRecords: 6,
    destinationErrors: 5,
    pollingErrors: 7,
  },
};

const disabled: MappingSnapshot = { ...snapshot, uuid: 'u-2', state: 'Disabled', partitions: [] };

async function scrape(metrics: Metrics): Promise<Map<string, number>> {
  const request = { method: 'GET', path: '/metrics', query: new URLSearchParams(), headers: {}, body: Buffer.alloc(0) };
  const response = await metrics.handle({ ...request, requestId: 'r', principal: undefined });
  assert.equal(response?.status, 200);
  assert.match(response.headers?.['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
  const lines = String(response.body)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

it('what mappings and functions count is there in Prometheus form, and nothing counts after the end', async () => {
  const environments: EnvironmentSnapshot[] = [
    { functionName: 'f', version: '$LATEST', processId: 1, state: 'busy', invocations: 1 },
    { functionName: 'f', version: '$LATEST', processId: 2, state: 'idle', invocations: 1 },
  ];
  const metrics = createMetrics({
    mappings: {
      list: () => ['u-1', 'u-2', 'gone'].map((uuid) => ({ definition: { uuid } }) as unknown as StoredMapping),
      snapshot: (uuid) => [snapshot, disabled].find((each) => each.uuid === uuid),
    },
    functions: { snapshot: () => environments },
  });
  const invocation = {
    functionName: 'f',
    functionArn: 'a',
    version: '$LATEST',
    durationMilliseconds: 4,
    coldStart: false,
  };
  functionInvocationChannel.publish({ ...invocation, outcome: { kind: 'success' }, coldStart: true });
  functionInvocationChannel.publish({ ...invocation, outcome: { kind: 'function-error', reason: 'timeout' } });
  functionInvocationChannel.publish({
    ...invocation,
    outcome: { kind: 'throttled', reason: 'ConcurrentInvocationLimitExceeded' },
  });
  commitChannel.publish({
    uuid: 'u-1',
    offsets: [],
    results: [{ kind: 'committed' }, { kind: 'fenced', reason: 'UNKNOWN_MEMBER_ID' }],
  });

  const seen = await scrape(metrics);
  const expected: Record<string, number> = {
    'headrace_mapping_polled_events_total{uuid="u-1"}': 100,
    'headrace_mapping_filtered_out_events_total{uuid="u-1"}': 20,
    'headrace_mapping_dropped_events_total{uuid="u-1"}': 3,
    'headrace_mapping_on_failure_destination_delivered_events_total{uuid="u-1"}': 4,
    'headrace_mapping_committed_events_total{uuid="u-1"}': 90,
    'headrace_mapping_invoke_errors_total{uuid="u-1"}': 1,
    'headrace_mapping_invoked_events_total{uuid="u-1"}': 84,
    'headrace_mapping_failed_invoke_events_total{uuid="u-1"}': 6,
    'headrace_mapping_polling_errors_total{uuid="u-1"}': 7,
    'headrace_mapping_on_failure_destination_delivery_errors_total{uuid="u-1"}': 5,
    'headrace_mapping_polled_bytes_total{uuid="u-1"}': 12_345,
    'headrace_mapping_sum_offset_lag_records{uuid="u-1"}': 31,
    'headrace_mapping_max_offset_lag_records{uuid="u-1"}': 31,
    'headrace_mapping_event_poller_units{uuid="u-1"}': 2,
    'headrace_mapping_pollers{uuid="u-1"}': 12,
    'headrace_mapping_offset_lag_records{uuid="u-1",topic="orders",partition="3"}': 30,
    'headrace_mapping_offset_lag_seconds{uuid="u-1",topic="orders",partition="3"}': 1.5,
    'headrace_mapping_blocked{uuid="u-1",topic="orders",partition="3"}': 0,
    'headrace_mapping_commit_errors_total{uuid="u-1"}': 1,
    'headrace_function_invocations_total{function_name="f",executed_version="$LATEST"}': 2,
    'headrace_function_errors_total{function_name="f",executed_version="$LATEST",reason="timeout"}': 1,
    'headrace_function_throttles_total{function_name="f",executed_version="$LATEST",reason="ConcurrentInvocationLimitExceeded"}': 1,
    'headrace_function_cold_starts_total{function_name="f",executed_version="$LATEST"}': 1,
    'headrace_function_duration_seconds_count{function_name="f",executed_version="$LATEST"}': 2,
    'headrace_function_concurrent_executions{function_name="f"}': 1,
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(seen.get(name), value, name);
  // A lag of 0 would say that nothing waits.
  assert.deepEqual(
    [...seen].filter(([name]) => name.includes('u-2')),
    [['headrace_mapping_enabled{uuid="u-2"}', 0]],
  );

  metrics.close();
  functionInvocationChannel.publish({ ...invocation, outcome: { kind: 'success' } });
  assert.equal(
    (await scrape(metrics)).get('headrace_function_invocations_total{function_name="f",executed_version="$LATEST"}'),
    2,
  );
});
