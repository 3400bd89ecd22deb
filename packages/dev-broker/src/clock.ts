/** Time as the broker sees it. Give one of your own to move it in tests: session timeouts without waiting. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, Math.min(delayMs, 0x7fff_ffff)),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/** Runs `callback` again and again, `periodMs` after its last run, until stopped. */
export function every(clock: Clock, periodMs: number, callback: () => void): { stop(): void } {
  let timer: unknown;
  const run = (): void => {
    callback();
    timer = clock.setTimeout(run, periodMs);
    (timer as { unref?: () => void }).unref?.();
  };
  timer = clock.setTimeout(run, periodMs);
  (timer as { unref?: () => void }).unref?.();
  return { stop: () => clock.clearTimeout(timer) };
}
