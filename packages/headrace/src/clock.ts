/** Time as a part that can be replaced: the simulation runs whole engines on a virtual one. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  setTimeout(callback: () => void, milliseconds: number): unknown;
  clearTimeout(handle: unknown): void;
}

/** The clock of this machine. Its timers keep the process alive, as Node's do. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

/** For time-outs: its `now` counts from the start of the process and never goes back, whatever is done to the date. */
export const monotonicClock: Clock = { ...systemClock, now: () => performance.now() };
