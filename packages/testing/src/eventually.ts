import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  /** How long to try, in milliseconds; 10,000 by default. */
  timeoutMs?: number;
  /** Pause between two tries in milliseconds; 25 by default. */
  everyMs?: number;
  /** What is waited for, for the message of the failure. */
  what?: string | (() => string);
  /** Let an error of the condition end the wait at once, instead of counting as "not yet". */
  rethrow?: boolean;
}

/** A condition must return something: one that returns nothing at all would never count, and does not compile. */
// biome-ignore lint/suspicious/noConfusingVoidType: this is about functions that return nothing
type Condition<F extends () => unknown> = F & ([Awaited<ReturnType<F>>] extends [void] ? never : unknown);

type Met<F extends () => unknown> = Exclude<Awaited<ReturnType<F>>, false | null | undefined>;

/**
 * Calls `condition` until it returns something other than `false`, `null` or `undefined`, and returns that. An error
 * (a failed assertion) counts as "not yet"; the last one is the cause of the failure when the time is up.
 */
export async function eventually<F extends () => unknown>(
  condition: Condition<F>,
  options: EventuallyOptions = {},
): Promise<Met<F>> {
  const { timeoutMs = 10_000, everyMs = 25, rethrow = false } = options;
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== false && value !== null && value !== undefined) return value as Met<F>;
      lastError = undefined;
    } catch (error) {
      if (rethrow) throw error;
      lastError = error;
    }
    if (performance.now() >= deadline) {
      const what = typeof options.what === 'function' ? options.what() : options.what;
      const reason = lastError instanceof Error ? `: ${lastError.message}` : '';
      throw new Error(`${what ?? 'condition not met'} after ${timeoutMs} ms${reason}`, { cause: lastError });
    }
    await delay(everyMs);
  }
}
