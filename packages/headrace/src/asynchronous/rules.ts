import type { InvokeOutcome } from '../functions/outcome.ts';

/** What holds for an asynchronous invocation of one function and qualifier (EventInvokeConfig and DeadLetterConfig). */
export interface EventRules {
  /** Qualified, as results name it. */
  readonly functionArn: string;
  /** 0 to 2; Lambda's default is 2. */
  readonly maximumRetryAttempts: number;
  /** 60 to 21,600 s on Lambda; its default is 21,600. */
  readonly maximumEventAgeMilliseconds: number;
  readonly onSuccess: string | undefined;
  readonly onFailure: string | undefined;
  /** SQS queue or SNS topic. */
  readonly deadLetterTarget: string | undefined;
  /** Reserved concurrency is 0: nothing is tried. */
  readonly isDisabled: boolean;
}

export type Condition = 'Success' | 'RetriesExhausted' | 'EventAgeExceeded' | 'ZeroReservedConcurrency';

/** What becomes of an event after an invocation of it ended. */
export type Decision =
  | { readonly kind: 'retry'; readonly dueAt: number; readonly spendsAttempt: boolean }
  | { readonly kind: 'over'; readonly condition: Condition };

/** Lambda's waits (spec 4.1): a minute before the second attempt and two before the third; 1 s doubling to 5 min else. */
export interface EventDelays {
  readonly retryMilliseconds: readonly number[];
  readonly throttleFirstMilliseconds: number;
  readonly throttleLongestMilliseconds: number;
}

export const lambdaDelays: EventDelays = {
  retryMilliseconds: [60_000, 120_000],
  throttleFirstMilliseconds: 1_000,
  throttleLongestMilliseconds: 300_000,
};

/**
 * Pure. `attempts` counts invocations that reached the function, this one included when it did; `delays` how often the
 * event was put back before. An event whose next try would come after its age limit is given up now.
 */
export function decide(
  outcome: InvokeOutcome,
  event: { readonly acceptedAt: number; readonly attempts: number; readonly delays: number },
  rules: EventRules,
  now: number,
  delays: EventDelays,
): Decision {
  if (outcome.kind === 'success') return { kind: 'over', condition: 'Success' };
  const oldest = event.acceptedAt + rules.maximumEventAgeMilliseconds;
  if (outcome.kind === 'function-error') {
    if (event.attempts > rules.maximumRetryAttempts) return { kind: 'over', condition: 'RetriesExhausted' };
    const { retryMilliseconds } = delays;
    const wait = retryMilliseconds[Math.min(event.attempts, retryMilliseconds.length) - 1] ?? 0;
    return now + wait > oldest
      ? { kind: 'over', condition: 'EventAgeExceeded' }
      : { kind: 'retry', dueAt: now + wait, spendsAttempt: true };
  }
  if (outcome.kind === 'too-large') return { kind: 'over', condition: 'RetriesExhausted' };
  const wait = Math.min(
    delays.throttleLongestMilliseconds,
    delays.throttleFirstMilliseconds * 2 ** Math.min(event.delays, 30),
  );
  return now + wait > oldest
    ? { kind: 'over', condition: 'EventAgeExceeded' }
    : { kind: 'retry', dueAt: now + wait, spendsAttempt: false };
}
