import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import type { InvokeOutcome } from '../src/functions/outcome.ts';
import { readPartialResponse } from '../src/mappings/partial-response.ts';
import {
  type BatchFacts,
  backoffMilliseconds,
  type Fate,
  retryLimit,
  type SettlementRules,
  settle,
} from '../src/mappings/settlement.ts';

const NOW = 1_750_000_000_000;
const executed = { requestId: 'r', executedVersion: '$LATEST', durationMilliseconds: 1 };
const success = (answer: unknown): InvokeOutcome => ({
  kind: 'success',
  payload: Buffer.from(answer === undefined ? '' : JSON.stringify(answer)),
  ...executed,
});
const functionError: InvokeOutcome = {
  kind: 'function-error',
  functionError: 'Unhandled',
  reason: 'error',
  payload: Buffer.from('{"errorType":"TypeError","errorMessage":"no"}'),
  ...executed,
};
const throttled: InvokeOutcome = { kind: 'throttled', reason: 'ConcurrentInvocationLimitExceeded' };

function rules(change: Partial<SettlementRules> = {}): SettlementRules {
  return {
    maximumRetries: Number.POSITIVE_INFINITY,
    maximumAgeMilliseconds: Number.POSITIVE_INFINITY,
    bisect: false,
    reportBatchItemFailures: false,
    hasDestination: false,
    backoff: { initialMilliseconds: 500, maximumMilliseconds: 60_000 },
    ...change,
  };
}

function batch(
  offsets: readonly number[],
  change: Partial<BatchFacts> & { ages?: readonly number[] } = {},
): BatchFacts {
  return {
    count: offsets.length,
    retries: 0,
    failures: 0,
    records: () =>
      offsets.map((offset, i) => ({ partition: 'orders-0', offset, timestamp: NOW - (change.ages?.[i] ?? 0) })),
    ...change,
  };
}

// The exhaustive model: what the function sees, in order, and how each record ends.

interface Course {
  readonly invocations: string[];
  readonly ends: Map<number, string>;
}

/** Stop following after so many invocations: without a limit poison comes for ever. */
const FOLLOWED = 40;

/** Carries fates out as the poller does, but with nothing else: one partition, a list of work. */
function driven(
  size: number,
  poison: ReadonlySet<number>,
  rule: SettlementRules,
  throttles: ReadonlySet<number>,
): Course {
  const course: Course = { invocations: [], ends: new Map() };
  const work = [{ offsets: Array.from({ length: size }, (_, i) => i), retries: 0, failures: 0 }];
  let call = 0;
  while (work.length > 0 && course.invocations.length < FOLLOWED) {
    const item = work.shift()!;
    const outcome = throttles.has(call++) ? throttled : answer(item.offsets, poison, rule);
    course.invocations.push(item.offsets.join());
    const facts = batch(item.offsets, { retries: item.retries, failures: item.failures });
    const { fates, spendsAttempt } = settle(outcome, facts, rule, NOW, 0.5);
    const each = Array.isArray(fates) ? (fates as Fate[]) : item.offsets.map(() => fates as Fate);
    const again = {
      offsets: [] as number[],
      retries: item.retries + (spendsAttempt ? 1 : 0),
      failures: item.failures + 1,
    };
    const split: number[] = [];
    item.offsets.forEach((offset, i) => {
      const fate = each[i]!;
      if (fate.kind === 'retry') again.offsets.push(offset);
      else if (fate.kind === 'split') split.push(offset);
      else course.ends.set(offset, 'condition' in fate ? `${fate.kind} ${fate.condition}` : fate.kind);
    });
    if (again.offsets.length > 0) work.unshift(again);
    if (split.length > 0) {
      const middle = Math.ceil(split.length / 2);
      const half = (offsets: number[]) => ({ ...again, offsets });
      work.unshift(half(split.slice(0, middle)), half(split.slice(middle)));
    }
  }
  return course;
}

function answer(offsets: readonly number[], poison: ReadonlySet<number>, rule: SettlementRules): InvokeOutcome {
  const bad = offsets.filter((offset) => poison.has(offset));
  if (bad.length === 0) return success(null);
  if (!rule.reportBatchItemFailures) return functionError;
  return success({ batchItemFailures: bad.map((offset) => ({ itemIdentifier: { partition: 'orders-0', offset } })) });
}

/** The documentation, sentence by sentence, as slowly as it reads. */
function told(
  size: number,
  poison: ReadonlySet<number>,
  rule: SettlementRules,
  throttles: ReadonlySet<number>,
): Course {
  const course: Course = { invocations: [], ends: new Map() };
  let call = 0;
  class Enough extends Error {}
  const end = (offsets: readonly number[], how: string): void => {
    for (const offset of offsets) course.ends.set(offset, how);
  };
  const exhausted = rule.hasDestination ? 'destination RetryAttemptsExhausted' : 'drop RetryAttemptsExhausted';
  const attempt = (offsets: readonly number[], retriesLeft: number): void => {
    // "Throttles do not count": the same batch, as often as it takes.
    do {
      if (course.invocations.length === FOLLOWED) throw new Enough();
      course.invocations.push(offsets.join());
    } while (throttles.has(call++));
    const bad = offsets.filter((offset) => poison.has(offset));
    if (bad.length === 0) end(offsets, 'done');
    else if (rule.reportBatchItemFailures) {
      // "Only the failed records are retried."
      const good = offsets.filter((offset) => !poison.has(offset));
      end(good, 'done');
      if (retriesLeft === 0) end(bad, exhausted);
      else attempt(bad, retriesLeft - 1);
    } else if (rule.bisect && offsets.length > 1) {
      // "Split the batch in two and retry each half separately"; splits are free.
      const middle = Math.ceil(offsets.length / 2);
      attempt(offsets.slice(0, middle), retriesLeft);
      attempt(offsets.slice(middle), retriesLeft);
    } else if (retriesLeft === 0) end(offsets, exhausted);
    else attempt(offsets, retriesLeft - 1);
  };
  try {
    attempt(
      Array.from({ length: size }, (_, i) => i),
      rule.maximumRetries,
    );
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
  return course;
}

test('every batch of up to 8 records, one or two of them poison, at every place and under every rule, goes as told', () => {
  let cases = 0;
  for (let size = 1; size <= 8; size++)
    for (let one = 0; one < size; one++)
      for (let two = one; two < size; two++)
        for (const attempts of [-1, 0, 1, 3])
          for (const hasDestination of [false, true])
            for (const bisect of [false, true])
              for (const reportBatchItemFailures of [false, true])
                for (const throttles of [new Set<number>(), new Set([0]), new Set([1, 2])]) {
                  const poison = new Set([one, two]);
                  const rule = rules({
                    maximumRetries: retryLimit(attempts, hasDestination),
                    hasDestination,
                    bisect,
                    reportBatchItemFailures,
                  });
                  cases++;
                  assert.deepEqual(
                    driven(size, poison, rule, throttles),
                    told(size, poison, rule, throttles),
                    JSON.stringify({ size, poison: [...poison], attempts, rule, throttles: [...throttles] }),
                  );
                }
  assert.equal(cases, 120 * 4 * 8 * 3);
});

describe('retries', () => {
  test('three retries are four invocations', () => {
    const course = driven(1, new Set([0]), rules({ maximumRetries: 3 }), new Set());
    assert.equal(course.invocations.length, 4);
  });

  test('without a limit a destination caps them at ten: eleven invocations, then delivery', () => {
    const course = driven(
      1,
      new Set([0]),
      rules({ maximumRetries: retryLimit(-1, true), hasDestination: true }),
      new Set(),
    );
    assert.equal(course.invocations.length, 11);
    assert.equal(course.ends.get(0), 'destination RetryAttemptsExhausted');
    assert.equal(retryLimit(undefined, false), Number.POSITIVE_INFINITY);
    assert.equal(retryLimit(25, true), 25);
  });

  test('what did not reach the function spends no attempt, and waits at least as long as it was told', () => {
    const outcomes: InvokeOutcome[] = [
      { ...throttled, retryAfterMilliseconds: 90_000 },
      { kind: 'unavailable', status: 503, type: 'ServiceException', message: 'later' },
      { kind: 'not-found', message: 'gone' },
    ];
    for (const outcome of outcomes) {
      const { fates, spendsAttempt, failure } = settle(
        outcome,
        batch([1], { retries: 5 }),
        rules({ maximumRetries: 0 }),
        NOW,
        0.5,
      );
      assert.equal((fates as Fate).kind, 'retry');
      assert.equal(spendsAttempt, false);
      assert.notEqual(failure, undefined);
      if (outcome.kind === 'throttled') assert.deepEqual(fates, { kind: 'retry', at: NOW + 90_000 });
    }
  });

  test('the back-off doubles up to its limit, with full jitter', () => {
    const backoff = { initialMilliseconds: 500, maximumMilliseconds: 60_000 };
    assert.deepEqual(
      [1, 2, 3, 8, 9, 100_000].map((failures) => backoffMilliseconds(backoff, failures, 0.999999)),
      [499, 999, 1999, 59_999, 59_999, 59_999],
    );
    assert.equal(backoffMilliseconds(backoff, 5, 0), 0);
  });
});

describe('age', () => {
  const aged = rules({ maximumAgeMilliseconds: 60_000 });

  test('only the expired records of a batch are given up, before the first invocation and between retries', () => {
    const facts = batch([1, 2, 3], { ages: [0, 60_001, 60_000] });
    assert.deepEqual(settle({ kind: 'due' }, facts, aged, NOW, 0).fates, [
      { kind: 'invoke' },
      { kind: 'drop', condition: 'RecordAgeExceeded' },
      { kind: 'invoke' },
    ]);
    const { fates, spendsAttempt } = settle(functionError, facts, { ...aged, hasDestination: true }, NOW, 0);
    assert.equal(spendsAttempt, true);
    assert.deepEqual(fates, [
      { kind: 'retry', at: NOW },
      { kind: 'destination', condition: 'RecordAgeExceeded' },
      { kind: 'retry', at: NOW },
    ]);
    assert.equal((settle(throttled, facts, aged, NOW, 0).fates as Fate[])[1]!.kind, 'drop');
  });

  test('those that expired go on as one batch, and so does the rest: also where it would have been halved', () => {
    const facts = batch([1, 2, 3, 4, 5], { ages: [0, 60_001, 0, 60_001, 0] });
    for (const event of [{ kind: 'due' } as const, functionError, throttled])
      for (const bisect of [false, true]) {
        const fates = settle(event, facts, { ...aged, bisect, hasDestination: true }, NOW, 0.5)
          .fates as readonly Fate[];
        assert.deepEqual(
          fates.map((fate) => fates.indexOf(fate)),
          [0, 1, 0, 1, 0],
        );
        assert.notEqual(fates[0]!.kind, 'split');
      }
  });

  test('a success settles whatever the age', () => {
    assert.deepEqual(settle(success(null), batch([1], { ages: [1e9] }), aged, NOW, 0).fates, { kind: 'done' });
  });

  test('an exhausted batch is reported as exhausted, not as old', () => {
    const facts = batch([1], { ages: [1e9], retries: 2 });
    const { fates } = settle(functionError, facts, { ...aged, maximumRetries: 2, hasDestination: true }, NOW, 0);
    assert.deepEqual(fates, { kind: 'destination', condition: 'RetryAttemptsExhausted' });
  });
});

describe('a delivery to the destination', () => {
  const strict = rules({ maximumRetries: 2, maximumAgeMilliseconds: 60_000, hasDestination: true });
  const exhausted = batch([1, 2], { retries: 2, ages: [1e9, 1e9], failures: 3 });

  test('that arrived settles the records', () => {
    assert.deepEqual(settle({ kind: 'delivered' }, exhausted, strict, NOW, 0.5), {
      fates: { kind: 'done' },
      spendsAttempt: false,
    });
  });

  test('that failed is tried again for ever, with back-off: it is never dropped, whatever attempts and age', () => {
    const failure = { type: 'DESTINATION', message: 'down' };
    assert.deepEqual(settle({ kind: 'undelivered', failure }, exhausted, strict, NOW, 0.5), {
      fates: { kind: 'retry', at: NOW + 2000 },
      spendsAttempt: false,
      failure,
    });
  });

  test('whose destination was removed is a matter for the function again, by the rules of now', () => {
    const { fates } = settle({ kind: 'destination-removed' }, exhausted, rules(), NOW, 0.5);
    assert.deepEqual(fates, { kind: 'invoke' });
  });
});

test('an event that is too large is split, and a lone record goes to the destination or is dropped', () => {
  const tooLarge: InvokeOutcome = { kind: 'too-large', limitBytes: 6_291_456 };
  assert.deepEqual(settle(tooLarge, batch([1, 2]), rules(), NOW, 0).fates, { kind: 'split' });
  assert.deepEqual(settle(tooLarge, batch([1]), rules(), NOW, 0).fates, {
    kind: 'drop',
    condition: 'MaximumPayloadSizeExceeded',
  });
  assert.deepEqual(settle(tooLarge, batch([1]), rules({ hasDestination: true }), NOW, 0).fates, {
    kind: 'destination',
    condition: 'MaximumPayloadSizeExceeded',
  });
});

describe('partial batch responses', () => {
  const reporting = rules({ reportBatchItemFailures: true });
  const id = (partition: unknown, offset: unknown) => ({ itemIdentifier: { partition, offset } });

  for (const [name, response] of [
    ['no payload', undefined],
    ['null', null],
    ['{}', {}],
    ['an empty list', { batchItemFailures: [] }],
    ['a null list', { batchItemFailures: null }],
    ['an empty string', ''],
    ['an empty array', []],
    ['an object without the member', { event: { records: {} } }],
  ] as const) {
    test(`${name} means success`, () => {
      assert.deepEqual(settle(success(response), batch([1, 2]), reporting, NOW, 0).fates, { kind: 'done' });
    });
  }

  for (const [name, item] of [
    ['a partition that was not in the event', id('orders-9', 1)],
    ['an offset that was not in the event', id('orders-0', 99)],
    ['an empty identifier', { itemIdentifier: {} }],
    ['an empty item', {}],
    ['a null identifier', { itemIdentifier: null }],
    ['a null item', null],
    ['a wrong key', { id: { partition: 'orders-0', offset: 1 } }],
    ['a flat string', { itemIdentifier: 'orders-0-1' }],
    ['an offset as text', id('orders-0', '1')],
    ['an offset with a fraction', id('orders-0', 1.5)],
    ['a partition as number', id(0, 1)],
  ] as const) {
    test(`${name} fails the whole batch, and counts`, () => {
      const response = success({ batchItemFailures: [id('orders-0', 2), item] });
      const { fates, spendsAttempt, failure } = settle(response, batch([1, 2]), reporting, NOW, 0);
      assert.deepEqual(fates, { kind: 'retry', at: NOW });
      assert.equal(spendsAttempt, true);
      assert.equal(failure?.type, 'MalformedPartialResponse');
    });
  }

  test('valid identifiers fail those records alone, also when one is named twice', () => {
    const response = success({ batchItemFailures: [id('orders-0', 2), id('orders-0', 2)] });
    const { fates } = settle(response, batch([1, 2, 3]), reporting, NOW, 0);
    assert.deepEqual(
      (fates as Fate[]).map(({ kind }) => kind),
      ['done', 'retry', 'done'],
    );
  });

  test('where the mapping does not ask for them they are ignored', () => {
    const response = success({ batchItemFailures: [id('orders-0', 2)] });
    assert.deepEqual(settle(response, batch([2]), rules(), NOW, 0).fates, { kind: 'done' });
  });

  test('a list that is no list, and an answer that is not JSON, fail the whole batch', () => {
    assert.equal(readPartialResponse(Buffer.from('{"batchItemFailures":"all"}')).kind, 'malformed');
    assert.equal(readPartialResponse(Buffer.from('{"batchItemFailures":')).kind, 'malformed');
  });
});

test("a failure carries the function's own error, whatever it posted", () => {
  assert.deepEqual(settle(functionError, batch([1]), rules(), NOW, 0).failure, { type: 'TypeError', message: 'no' });
  for (const payload of ['', 'nonsense', 'null', '[]', '{"errorType":5}']) {
    const { failure } = settle({ ...functionError, payload: Buffer.from(payload) }, batch([1]), rules(), NOW, 0);
    assert.deepEqual(failure, { type: 'error', message: '' });
  }
});
