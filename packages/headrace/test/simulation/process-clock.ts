/** The virtual clock as one process sees it: dead, its timers do nothing; paused (SIGSTOP), they wait. */
import type { Clock } from '../../src/clock.ts';
import type { VirtualClock } from './virtual-clock.ts';

interface Handle {
  timer: unknown;
  isCancelled: boolean;
}

export class ProcessClock implements Clock {
  readonly #world: VirtualClock;
  /** Due while the process was paused. */
  #late: (() => void)[] = [];
  #isPaused = false;
  isAlive = true;

  constructor(world: VirtualClock) {
    this.#world = world;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  now(): number {
    return this.#world.now();
  }

  setTimeout(callback: () => void, milliseconds: number): Handle {
    const handle: Handle = { timer: undefined, isCancelled: false };
    const fire = (): void => {
      if (!this.isAlive || handle.isCancelled) return;
      if (this.#isPaused) this.#late.push(fire);
      else callback();
    };
    handle.timer = this.#world.setTimeout(fire, milliseconds);
    return handle;
  }

  clearTimeout(handle: unknown): void {
    const known = handle as Handle | undefined;
    if (known === undefined) return;
    known.isCancelled = true;
    this.#world.clearTimeout(known.timer);
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.setTimeout(resolve, milliseconds));
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** What fell due meanwhile happens now, in any order. */
  resume(): void {
    this.#isPaused = false;
    const late = this.#late;
    this.#late = [];
    for (const fire of late) this.#world.setTimeout(fire, 0);
  }
}
