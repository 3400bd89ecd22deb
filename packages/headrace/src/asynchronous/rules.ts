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

/** What can happen to an event: its time has come, an invocation of it ended, or its result could not be delivered. */
export type EventStep = { readonly kind: 'due' } | InvokeOutcome | { readonly kind: 'undelivered' };

/** What becomes of an event. */
export type Decision =
  | { readonly kind: 'invoke' }
  /** Once more, not before `dueAt` (ms): the invocation, or the delivery of the result. */
  | { readonly kind: 'retry'; readonly dueAt: number; readonly spendsAttempt: boolean }
  /** Its result goes to whoever is to have it. */
  | { readonly kind: 'over'; readonly condition: Condition }
  /** It ends without a result: the function is gone, or nobody took the result for too long. */
  | { readonly kind: 'forget' };

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

/** A destination that is down is tried again for as long as an event lives on Lambda, and then the result is lost. */
const longestDeliveryMilliseconds = 21_600_000;

/**
 * The one place where the fate of an event is decided. Pure. `attempts` counts invocations that reached the function,
 * this one included when it did; `delays` how often the event was put back before. An event whose next try would come
 * after its age limit is given up now (spec 4.1); one that is too old already (nobody was there to try it) too. `rules`
 * is undefined when the function or qualifier is gone, and its events with it.
 */
export function decide(
  step: EventStep,
  event: { readonly acceptedAt: number; readonly attempts: number; readonly delays: number },
  rules: EventRules | undefined,
  now: number,
  delays: EventDelays,
): Decision {
  const backoff = Math.min(
    delays.throttleLongestMilliseconds,
    delays.throttleFirstMilliseconds * 2 ** Math.min(event.delays, 30),
  );
  if (step.kind === 'undelivered') {
    const longest = longestDeliveryMilliseconds + delays.throttleLongestMilliseconds;
    return now - event.acceptedAt > longest
      ? { kind: 'forget' }
      : { kind: 'retry', dueAt: now + backoff, spendsAttempt: false };
  }
  if (rules === undefined) return { kind: 'forget' };
  const oldest = event.acceptedAt + rules.maximumEventAgeMilliseconds;
  switch (step.kind) {
    case 'due':
      if (rules.isDisabled) return { kind: 'over', condition: 'ZeroReservedConcurrency' };
      return now > oldest ? { kind: 'over', condition: 'EventAgeExceeded' } : { kind: 'invoke' };
    case 'success':
      return { kind: 'over', condition: 'Success' };
    case 'not-found':
      return { kind: 'forget' };
    case 'too-large':
      return { kind: 'over', condition: 'RetriesExhausted' };
    case 'function-error': {
      if (event.attempts > rules.maximumRetryAttempts) return { kind: 'over', condition: 'RetriesExhausted' };
      const { retryMilliseconds } = delays;
      return again(retryMilliseconds[Math.min(event.attempts, retryMilliseconds.length) - 1] ?? 0, true);
    }
    default:
      return again(backoff, false);
  }

  function again(wait: number, spendsAttempt: boolean): Decision {
    if (now + wait > oldest) return { kind: 'over', condition: 'EventAgeExceeded' };
    return { kind: 'retry', dueAt: now + wait, spendsAttempt };
  }
}
