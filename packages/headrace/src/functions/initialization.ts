import type { InitFailure } from './init-failure.ts';

/** One attempt to start a runtime and its extensions: it ends once, well or with a failure. */
export class Initialization {
  /** Ahead of invocations, or inside of one, on its time. */
  readonly phase: 'init' | 'invoke';
  readonly #startedAt = performance.now();
  readonly #ended: (failure: InitFailure | undefined) => void;
  #limit: NodeJS.Timeout | undefined;
  /** What the runtime posted; its process ends by itself a moment later. */
  posted: InitFailure | undefined;

  constructor(phase: 'init' | 'invoke', ended: (failure: InitFailure | undefined) => void) {
    this.phase = phase;
    this.#ended = ended;
  }

  /** `reached` is called after so many milliseconds, unless it has ended. */
  limit(milliseconds: number, reached: () => void): void {
    this.#limit = setTimeout(reached, milliseconds);
  }

  /** Tells whoever waits. Answers how long it took, in milliseconds. */
  end(failure: InitFailure | undefined): number {
    clearTimeout(this.#limit);
    this.#ended(failure);
    return performance.now() - this.#startedAt;
  }
}
