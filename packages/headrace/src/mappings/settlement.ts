/**
 * The one place where the fate of a record is decided (spec ESM 9). Pure: an outcome, the facts about a batch, the
 * mapping's rules and the time go in; a fate for every record comes out. The poller carries fates out, it decides none.
 */
import type { InvokeOutcome } from '../functions/outcome.ts';
import { readPartialResponse } from './partial-response.ts';

export type FailureCondition =
  | 'RetryAttemptsExhausted'
  | 'RecordAgeExceeded'
  | 'MaximumPayloadSizeExceeded'
  /** An operator moved past the record; the function had failed with it. */
  | 'Skipped'
  | 'Parked';

export type Fate =
  /** To the function now. */
  | { readonly kind: 'invoke' }
  /** Settled: the function took it. */
  | { readonly kind: 'done' }
  /** To the function again, not before `at` (ms). */
  | { readonly kind: 'retry'; readonly at: number }
  /** The batch goes on as two halves, one after the other where they share a partition. */
  | { readonly kind: 'split' }
  /** Settled once the on-failure destination has it. */
  | { readonly kind: 'destination'; readonly condition: FailureCondition; readonly destination?: string }
  /** Settled without anybody having it: no destination is configured. */
  | { readonly kind: 'drop'; readonly condition: FailureCondition };

/** What can happen to a batch: it is about to be invoked, an invocation ended, or a delivery to a destination did. */
export type BatchEvent =
  | { readonly kind: 'due' }
  | InvokeOutcome
  | { readonly kind: 'delivered' }
  | { readonly kind: 'undelivered'; readonly failure: Failure }
  /** It was on its way to a destination that the mapping has no more. */
  | { readonly kind: 'destination-removed' };

export interface SettlementRules {
  /** Retries after the first attempt; Infinity: no limit. */
  readonly maximumRetries: number;
  /** Infinity: no limit. */
  readonly maximumAgeMilliseconds: number;
  readonly bisect: boolean;
  readonly reportBatchItemFailures: boolean;
  readonly hasDestination: boolean;
  readonly backoff: Backoff;
}

/** Exponential with full jitter (spec ESM 9.4). */
export interface Backoff {
  readonly initialMilliseconds: number;
  readonly maximumMilliseconds: number;
}

export interface RecordFacts {
  /** `<topic>-<partition>`, as in the event. */
  readonly partition: string;
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

export interface BatchFacts {
  readonly count: number;
  /** Retries already made that count against the limit. */
  readonly retries: number;
  /** Failures in a row, also those that count against nothing; the back-off grows with them. */
  readonly failures: number;
  /** In the order of the event. Asked for only when a decision needs it. */
  records(): readonly RecordFacts[];
}

export interface Settlement {
  /**
   * One fate for all, or one a record in the order of `records()`. Records that share a fate, the very same object, go on
   * as one batch.
   */
  readonly fates: Fate | readonly Fate[];
  /** The retry that follows counts against the limit. */
  readonly spendsAttempt: boolean;
  /** Why not everything is done; absent after a success. */
  readonly failure?: Failure;
}

export interface Failure {
  readonly type: string;
  readonly message: string;
}

const DONE: Fate = { kind: 'done' };
const INVOKE: Fate = { kind: 'invoke' };
const SPLIT: Fate = { kind: 'split' };

/**
 * The retry limit in force: without an explicit one a destination caps the retries at ten (spec ESM 9.2: "infinite
 * retries plus any on-failure destination"), in both scaling modes (spec ESM 20, row 10).
 */
export function retryLimit(maximumRetryAttempts: number | undefined, hasDestination: boolean): number {
  if (maximumRetryAttempts !== undefined && maximumRetryAttempts >= 0) return maximumRetryAttempts;
  return hasDestination ? 10 : Number.POSITIVE_INFINITY;
}

/** `random` is in [0, 1). `failures` counts from 1. */
export function backoffMilliseconds(backoff: Backoff, failures: number, random: number): number {
  const ceiling = Math.min(backoff.maximumMilliseconds, backoff.initialMilliseconds * 2 ** Math.min(failures - 1, 40));
  return Math.floor(random * ceiling);
}

/** Decides. `now` in milliseconds since the epoch, `random` in [0, 1) for the jitter. */
export function settle(
  event: BatchEvent,
  batch: BatchFacts,
  rules: SettlementRules,
  now: number,
  random: number,
): Settlement {
  switch (event.kind) {
    case 'due':
      return { fates: byAge(INVOKE, batch, rules, now), spendsAttempt: false };
    case 'success':
      return rules.reportBatchItemFailures
        ? partially(event.payload, batch, rules, now, random)
        : { fates: DONE, spendsAttempt: false };
    case 'function-error':
      return failed(functionFailure(event), batch, rules, now, random);
    case 'too-large': {
      const failure = { type: 'RequestTooLarge', message: `The event is over ${event.limitBytes} bytes.` };
      // Nothing ran, so nothing is spent: halves may fit. A lone record never will.
      const fates = batch.count > 1 ? SPLIT : lastResort('MaximumPayloadSizeExceeded', rules);
      return { fates, spendsAttempt: false, failure };
    }
    case 'throttled':
      return unspent({ type: 'TooManyRequestsException', message: event.reason }, event.retryAfterMilliseconds ?? 0);
    case 'not-found':
      return unspent({ type: 'ResourceNotFoundException', message: event.message }, 0);
    case 'unavailable':
      return unspent({ type: event.type, message: event.message }, 0);
    case 'delivered':
      return { fates: DONE, spendsAttempt: false };
    case 'undelivered': {
      // A destination that is down blocks its partition. Age has no say: nobody else would have the records.
      const wait = backoffMilliseconds(rules.backoff, batch.failures + 1, random);
      return { fates: retryAt(now + wait), spendsAttempt: false, failure: event.failure };
    }
    case 'destination-removed':
      // Judged anew, by the rules of now: without a destination ten retries are no limit any more.
      return { fates: INVOKE, spendsAttempt: false };
  }

  /** The function did not run, as far as anybody knows: again later, for ever, unless the records grow too old. */
  function unspent(failure: Failure, atLeast: number): Settlement {
    const wait = Math.max(atLeast, backoffMilliseconds(rules.backoff, batch.failures + 1, random));
    return { fates: byAge({ kind: 'retry', at: now + wait }, batch, rules, now), spendsAttempt: false, failure };
  }
}

/** The whole batch failed. Splitting is free (spec ESM 20, row 21), a retry is not. */
function failed(failure: Failure, batch: BatchFacts, rules: SettlementRules, now: number, random: number): Settlement {
  if (rules.bisect && batch.count > 1) {
    const aged = byAge(SPLIT, batch, rules, now);
    // Where some have expired the rest is not halved at their expense: it is tried again as it is, at once.
    const whole = retryAt(now);
    const fates = Array.isArray(aged) ? aged.map((fate: Fate) => (fate === SPLIT ? whole : fate)) : aged;
    return { fates, spendsAttempt: false, failure };
  }
  const fates = byAge(again(batch, rules, now, random), batch, rules, now);
  return { fates, spendsAttempt: true, failure };
}

/** Under ReportBatchItemFailures: only what failed is tried again (spec ESM 9.3, row 5 of 20). */
function partially(
  payload: Uint8Array,
  batch: BatchFacts,
  rules: SettlementRules,
  now: number,
  random: number,
): Settlement {
  const response = readPartialResponse(payload);
  if (response.kind === 'none') return { fates: DONE, spendsAttempt: false };
  if (response.kind === 'malformed')
    return failed({ type: 'MalformedPartialResponse', message: response.message }, batch, rules, now, random);
  const wanted = new Map<string, Set<number>>();
  for (const { partition, offset } of response.items) {
    const offsets = wanted.get(partition);
    if (offsets === undefined) wanted.set(partition, new Set([offset]));
    else offsets.add(offset);
  }
  const records = batch.records();
  let found = 0;
  const isFailed = records.map((record) => wanted.get(record.partition)?.has(record.offset) === true && ++found > 0);
  let named = 0;
  for (const offsets of wanted.values()) named += offsets.size;
  if (found !== named) {
    const message = 'an itemIdentifier names a record that was not in the event';
    return failed({ type: 'MalformedPartialResponse', message }, batch, rules, now, random);
  }
  const retry = again(batch, rules, now, random);
  const expired = lastResort('RecordAgeExceeded', rules);
  return {
    fates: records.map((record, index) => (isFailed[index] ? aged(retry, record, rules, now, expired) : DONE)),
    spendsAttempt: true,
    failure: { type: 'BatchItemFailures', message: `The function reported ${found} of ${records.length} as failed.` },
  };
}

/** A counted failure: once more, or no more. */
function again(batch: BatchFacts, rules: SettlementRules, now: number, random: number): Fate {
  if (batch.retries >= rules.maximumRetries) return lastResort('RetryAttemptsExhausted', rules);
  return retryAt(now + backoffMilliseconds(rules.backoff, batch.failures + 1, random));
}

function retryAt(at: number): Fate {
  return { kind: 'retry', at };
}

function lastResort(condition: FailureCondition, rules: SettlementRules): Fate {
  return rules.hasDestination ? { kind: 'destination', condition } : { kind: 'drop', condition };
}

/**
 * An operator moves past one record of a batch that failed and waits: without `parkAt` it is given up, else it goes to
 * that destination. The others are tried again at once. `index` is in the order of `records()`.
 */
export function settleByHand(batch: BatchFacts, index: number, now: number, parkAt?: string): Settlement {
  const retry = retryAt(now);
  const taken: Fate =
    parkAt === undefined
      ? { kind: 'drop', condition: 'Skipped' }
      : { kind: 'destination', condition: 'Parked', destination: parkAt };
  return { fates: batch.records().map((_, i) => (i === index ? taken : retry)), spendsAttempt: false };
}

/** `fate` for all that are young enough. Kinesis's rule: only the expired ones are discarded (spec ESM 9.2). */
function byAge(fate: Fate, batch: BatchFacts, rules: SettlementRules, now: number): Fate | Fate[] {
  if (rules.maximumAgeMilliseconds === Number.POSITIVE_INFINITY) return fate;
  // What is out of attempts stays so: the condition that came first is reported.
  if (fate.kind === 'destination' || fate.kind === 'drop') return fate;
  const expired = lastResort('RecordAgeExceeded', rules);
  const fates = batch.records().map((record) => aged(fate, record, rules, now, expired));
  return fates.every((each) => each === fate) ? fate : fates;
}

function aged(fate: Fate, record: RecordFacts, rules: SettlementRules, now: number, expired: Fate): Fate {
  if (fate.kind === 'destination' || fate.kind === 'drop') return fate;
  return now - record.timestamp > rules.maximumAgeMilliseconds ? expired : fate;
}

/** Type and message of the error object that a runtime posts; the bytes are the function's own and may be anything. */
function functionFailure(outcome: Extract<InvokeOutcome, { kind: 'function-error' }>): Failure {
  try {
    const error: unknown = JSON.parse(outcome.payload.toString('utf8'));
    if (typeof error === 'object' && error !== null) {
      const { errorType, errorMessage } = error as Record<string, unknown>;
      return {
        type: typeof errorType === 'string' && errorType !== '' ? errorType : outcome.reason,
        message: typeof errorMessage === 'string' ? errorMessage : '',
      };
    }
  } catch {
    // Not JSON: the reason is all there is.
  }
  return { type: outcome.reason, message: '' };
}
