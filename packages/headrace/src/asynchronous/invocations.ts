import { randomUUID } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import type { Clock } from '../clock.ts';
import type { Invoke, InvokeOutcome } from '../functions/outcome.ts';
import type { EventQueue, QueuedEvent } from '../store/event-queue.ts';
import type { ResultDelivery } from './delivery.ts';
import { type EventResult, resultOf } from './result.ts';
import { type Decision, decide, type EventDelays, type EventRules, lambdaDelays } from './rules.ts';

/** An event is over: `{ requestId, functionName, condition, attempts, ageMilliseconds, dropped }`. */
export const asynchronousEventChannel = channel('headrace:asynchronous:event');

export interface AsynchronousOptions {
  readonly queue: EventQueue;
  readonly invoke: Invoke;
  /** Undefined: the function or qualifier is gone, and its events with it (spec 4.1). */
  readonly rulesOf: (functionName: string, qualifier: string) => EventRules | undefined;
  readonly delivery: ResultDelivery;
  readonly clock: Clock;
  /** Default: Lambda's. */
  readonly delays?: EventDelays;
  /** Events in work at once. Default 100. */
  readonly concurrency?: number;
  readonly log: (line: string) => void;
}

export interface AsynchronousInvocations {
  /** Takes over what the queue holds. */
  start(): void;
  /** The event is durable when this returns; throws HeadraceError STORE when it cannot be made so. */
  submit(event: { requestId: string; functionName: string; qualifier: string; payload: Buffer }): void;
  /** Begins nothing new and waits for what is in work; the rest stays in the queue. */
  stop(): Promise<void>;
}

const defaultConcurrency = 100;

export function createAsynchronousInvocations(options: AsynchronousOptions): AsynchronousInvocations {
  return new Invocations(options);
}

/** One loop (`#turn`) looks at the queue and acts; whatever happens only calls it. */
class Invocations implements AsynchronousInvocations {
  readonly #options: AsynchronousOptions;
  readonly #delays: EventDelays;
  /** Request ids in work; the queue holds them still. */
  readonly #working = new Set<string>();
  #timer: unknown;
  #started = false;
  #whenIdle: (() => void) | undefined;

  constructor(options: AsynchronousOptions) {
    this.#options = options;
    this.#delays = options.delays ?? lambdaDelays;
  }

  start(): void {
    this.#started = true;
    this.#turn();
  }

  submit(event: { requestId: string; functionName: string; qualifier: string; payload: Buffer }): void {
    this.#options.queue.add({ ...event, acceptedAt: this.#options.clock.now() });
    this.#turn();
  }

  async stop(): Promise<void> {
    this.#started = false;
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    if (this.#working.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
  }

  #turn(): void {
    if (!this.#started) {
      if (this.#working.size === 0) this.#whenIdle?.();
      return;
    }
    const { queue, clock, concurrency = defaultConcurrency } = this.#options;
    const now = clock.now();
    const free = concurrency - this.#working.size;
    if (free > 0) {
      for (const event of queue.due(now, concurrency + free)) {
        if (this.#working.size >= concurrency) break;
        if (!this.#working.has(event.requestId)) void this.#work(event);
      }
    }
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const next = queue.nextDue(now);
    // Timers hold 2^31 ms at most; a look too early finds nothing due and sets the next one.
    if (next !== undefined) this.#timer = clock.setTimeout(() => this.#turn(), Math.min(next - now, 2_000_000_000));
  }

  async #work(event: QueuedEvent): Promise<void> {
    this.#working.add(event.requestId);
    try {
      if (event.result === undefined) await this.#invoke(event);
      else await this.#deliver(event, JSON.parse(event.result) as EventResult);
    } catch (error) {
      // The store failed, nothing else throws here: the event is in it as it was, and is tried again.
      this.#options.log(
        `asynchronous event ${event.requestId}: ${error instanceof Error ? error.message : String(error)}`,
      );
      await new Promise<void>((resolve) =>
        this.#options.clock.setTimeout(resolve, this.#delays.throttleFirstMilliseconds),
      );
    } finally {
      this.#working.delete(event.requestId);
      this.#turn();
    }
  }

  async #invoke(event: QueuedEvent): Promise<void> {
    const { invoke, rulesOf, clock } = this.#options;
    const rules = rulesOf(event.functionName, event.qualifier);
    const before = decide({ kind: 'due' }, event, rules, clock.now(), this.#delays);
    if (before.kind !== 'invoke') return await this.#carryOut(event, before, undefined, rules, event.attempts);
    const outcome = await invoke(`${event.functionName}:${event.qualifier}`, event.payload, {
      requestId: event.requestId,
    });
    const reached = outcome.kind === 'success' || outcome.kind === 'function-error';
    const attempts = event.attempts + (reached ? 1 : 0);
    const decision = decide(outcome, { ...event, attempts }, rules, clock.now(), this.#delays);
    await this.#carryOut(event, decision, outcome, rules, attempts);
  }

  async #carryOut(
    event: QueuedEvent,
    decision: Decision,
    outcome: InvokeOutcome | undefined,
    rules: EventRules | undefined,
    attempts: number,
  ): Promise<void> {
    const { queue } = this.#options;
    if (decision.kind === 'retry') {
      const delays = decision.spendsAttempt ? 0 : event.delays + 1;
      queue.update({ requestId: event.requestId, attempts, delays, dueAt: decision.dueAt, result: undefined });
    } else if (decision.kind === 'over' && rules !== undefined) {
      await this.#finish(event, rules, decision.condition, outcome, attempts);
    } else queue.remove(event.requestId);
  }

  async #finish(
    event: QueuedEvent,
    rules: EventRules,
    condition: EventResult['condition'],
    outcome: InvokeOutcome | undefined,
    attempts: number,
  ): Promise<void> {
    const { queue, clock } = this.#options;
    const now = clock.now();
    if (asynchronousEventChannel.hasSubscribers) {
      const { requestId, functionName, acceptedAt } = event;
      const dropped = condition !== 'Success';
      asynchronousEventChannel.publish({
        requestId,
        functionName,
        condition,
        attempts,
        ageMilliseconds: now - acceptedAt,
        dropped,
      });
    }
    const result = resultOf(event, condition, outcome, attempts, rules, now);
    if (result.destinations.length === 0 && result.deadLetterTarget === undefined) {
      queue.remove(event.requestId);
      return;
    }
    // Kept before it is delivered: a crash in between delivers again and never invokes again.
    queue.update({ requestId: event.requestId, attempts, delays: 0, dueAt: now, result: JSON.stringify(result) });
    await this.#deliver({ ...event, attempts, delays: 0 }, result);
  }

  async #deliver(event: QueuedEvent, result: EventResult): Promise<void> {
    const { queue, delivery, clock, log } = this.#options;
    const { requestId, attempts } = event;
    let left = result;
    try {
      for (const arn of result.destinations) {
        await delivery.toDestination(arn, event, result);
        left = { ...left, destinations: left.destinations.filter((each) => each !== arn) };
      }
      if (left.deadLetterTarget !== undefined) await delivery.toDeadLetter(left.deadLetterTarget, event, result);
      queue.remove(requestId);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const decision = decide({ kind: 'undelivered' }, event, undefined, clock.now(), this.#delays);
      if (decision.kind !== 'retry') {
        log(`the result of event ${requestId} of ${event.functionName} is lost: ${reason}`);
        queue.remove(requestId);
        return;
      }
      log(`the result of event ${requestId} of ${event.functionName} waits: ${reason}`);
      const delays = event.delays + 1;
      queue.update({ requestId, attempts, delays, dueAt: decision.dueAt, result: JSON.stringify(left) });
    }
  }
}

/** A request id for events that did not come over the API. */
export const newRequestId = (): string => randomUUID();
