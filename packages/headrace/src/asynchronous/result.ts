import type { InvokeOutcome } from '../functions/outcome.ts';
import type { QueuedEvent } from '../store/event-queue.ts';
import type { Condition, EventRules } from './rules.ts';

/** What is left to deliver of an event that is over; kept in the queue until all of it is delivered. */
export interface EventResult {
  readonly condition: Condition;
  /** Destination ARNs not yet served. */
  readonly destinations: readonly string[];
  readonly deadLetterTarget: string | undefined;
  /** The record for destinations (spec 4.3), as text. */
  readonly record: string;
  readonly functionArn: string;
  readonly error: { readonly statusCode: number; readonly message: string } | undefined;
}

/** Lambda sends the first KB of the error's message to a dead-letter queue. */
const longestErrorMessage = 1024;

/** Members in the recorded order (spec 4.3). */
export function resultOf(
  event: QueuedEvent,
  condition: Condition,
  outcome: InvokeOutcome | undefined,
  attempts: number,
  rules: EventRules,
  now: number,
): EventResult {
  const executed = outcome !== undefined && 'executedVersion' in outcome ? outcome : undefined;
  const responsePayload = executed === undefined ? undefined : parseOrText(executed.payload);
  const record = {
    version: '1.0',
    timestamp: new Date(now).toISOString(),
    requestContext: {
      requestId: event.requestId,
      functionArn: rules.functionArn,
      condition,
      approximateInvokeCount: attempts,
    },
    requestPayload: parseOrText(event.payload),
    ...(executed === undefined
      ? {}
      : {
          responseContext: {
            statusCode: 200,
            executedVersion: executed.executedVersion,
            ...(executed.kind === 'function-error' ? { functionError: executed.functionError } : {}),
          },
          responsePayload,
        }),
  };
  const isSuccess = condition === 'Success';
  const destination = isSuccess ? rules.onSuccess : rules.onFailure;
  return {
    condition,
    destinations: destination === undefined ? [] : [destination],
    deadLetterTarget: isSuccess ? undefined : rules.deadLetterTarget,
    record: JSON.stringify(record),
    functionArn: rules.functionArn,
    error: isSuccess
      ? undefined
      : {
          statusCode: executed === undefined ? 429 : 200,
          message: messageOf(responsePayload).slice(0, longestErrorMessage),
        },
  };
}

function messageOf(payload: unknown): string {
  if (typeof payload !== 'object' || payload === null || !('errorMessage' in payload)) return '';
  return String(payload.errorMessage);
}

/** Results are JSON on Lambda; what a function posts that is not is kept as text. Numbers beyond 2^53 lose digits here. */
function parseOrText(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
