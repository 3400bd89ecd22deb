/** What the simulated function answers, and what the checker is to make of it. */
import type { SeededRandom } from '@headrace/testing';
import type { InvokeOutcome } from '../../src/functions/outcome.ts';
import type { WatchedInvocation } from './checker.ts';
import type { Scenario } from './scenario.ts';

export interface Answer {
  readonly outcome: InvokeOutcome;
  /** Offsets by partition name. */
  readonly failed: 'none' | 'all' | Map<string, Set<number>>;
  /** Whether it counts against the retry limit. */
  readonly counts: boolean;
  /** Milliseconds that it asks to wait for. */
  readonly retryAfter?: number;
}

/** None of them names a record that was in the event. */
const malformedIdentifiers: readonly unknown[] = [
  'orders-0-1',
  null,
  { partition: 'orders-0', offset: '1' },
  { partition: 'orders-0', offset: 1_000_000 },
  { partition: 'orders-9', offset: 0 },
];

export function answer(
  scenario: Scenario,
  isFaulty: boolean,
  payload: Buffer,
  watched: WatchedInvocation,
  random: SeededRandom,
): Answer {
  const { functionError, throttle, unavailable, malformed, poisonForEver, definition } = scenario;
  const { functionLimitBytes, retryAfter } = scenario;
  const records = watched.parts.reduce((sum, { offsets }) => sum + offsets.length, 0);
  if (payload.length > functionLimitBytes && records > 1)
    return { outcome: { kind: 'too-large', limitBytes: functionLimitBytes }, failed: 'all', counts: false };
  // What is halved is tried again, and that spends no attempt.
  const wholeCounts = definition.bisectBatchOnFunctionError !== true || records === 1;
  const executed = {
    requestId: `request-${random.integer(0, 1e9)}`,
    executedVersion: '$LATEST',
    durationMilliseconds: 1,
  };
  const error: InvokeOutcome = {
    kind: 'function-error',
    functionError: 'Unhandled',
    reason: 'error',
    payload: Buffer.from('{"errorType":"Error","errorMessage":"simulated"}'),
    ...executed,
  };
  const success = (answer: unknown): InvokeOutcome => ({
    kind: 'success',
    payload: Buffer.from(JSON.stringify(answer)),
    ...executed,
  });
  if (isFaulty) {
    if (random.chance(throttle)) {
      const wait = random.integer(0, retryAfter);
      return {
        outcome: {
          kind: 'throttled',
          reason: 'ConcurrentInvocationLimitExceeded',
          ...(wait === 0 ? {} : { retryAfterMilliseconds: wait }),
        },
        failed: 'all',
        counts: false,
        retryAfter: wait,
      };
    }
    if (random.chance(unavailable))
      return {
        outcome: { kind: 'unavailable', status: 500, type: 'ServiceException', message: 'simulated' },
        failed: 'all',
        counts: false,
      };
    if (random.chance(functionError)) return { outcome: error, failed: 'all', counts: wholeCounts };
  }
  const isReporting = definition.functionResponseTypes !== undefined;
  const poisoned = isFaulty || poisonForEver ? poisonOf(payload) : [];
  if (isReporting && isFaulty && random.chance(malformed))
    return {
      outcome: success({ batchItemFailures: [{ itemIdentifier: random.pick(malformedIdentifiers) }] }),
      failed: 'all',
      counts: wholeCounts,
    };
  if (poisoned.length === 0) return { outcome: success(random.pick([null, 'ok', {}])), failed: 'none', counts: false };
  if (!isReporting) return { outcome: error, failed: 'all', counts: wholeCounts };
  const failed = new Map<string, Set<number>>();
  for (const { name, offset } of poisoned) failed.set(name, (failed.get(name) ?? new Set()).add(offset));
  const batchItemFailures = poisoned.map(({ name, offset }) => ({ itemIdentifier: { partition: name, offset } }));
  return { outcome: success({ batchItemFailures }), failed, counts: true };
}

function poisonOf(payload: Buffer): { name: string; offset: number }[] {
  const event = JSON.parse(payload.toString()) as { records: Record<string, { offset: number; value: string }[]> };
  return Object.entries(event.records).flatMap(([name, records]) =>
    records
      .filter(({ value }) => Buffer.from(value, 'base64').toString().startsWith('poison'))
      .map(({ offset }) => ({ name, offset })),
  );
}
