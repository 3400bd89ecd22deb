import type { Clock } from '../clock.ts';
import type { FailureCondition } from './settlement.ts';
import type { Slice } from './slice.ts';

/** A function that fails drops with every batch: nobody reads a line for each. */
const QUIET_MILLISECONDS = 5_000;
const MOST_PARTITIONS = 20;

interface Noted {
  records: number;
  /** Offsets of each partition: the first and the one behind the last. */
  readonly partitions: Map<string, [from: number, to: number]>;
  timer: unknown;
}

/** Says which records were given up: at once, then, while it goes on, every few seconds all that were since. */
export class DropNotices {
  readonly #clock: Clock;
  readonly #tell: (condition: FailureCondition, text: string) => void;
  readonly #noted = new Map<FailureCondition, Noted>();

  constructor(clock: Clock, tell: (condition: FailureCondition, text: string) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  note(condition: FailureCondition, slices: readonly Slice[]): void {
    let noted = this.#noted.get(condition);
    const isFirst = noted === undefined;
    if (noted === undefined) this.#noted.set(condition, (noted = { records: 0, partitions: new Map(), timer: 0 }));
    for (const { lane, from, to, count } of slices) {
      noted.records += count;
      const range = noted.partitions.get(lane.name);
      if (range === undefined) noted.partitions.set(lane.name, [from, to]);
      else noted.partitions.set(lane.name, [Math.min(range[0], from), Math.max(range[1], to)]);
    }
    if (!isFirst) return;
    this.#say(condition, noted);
    this.#wait(condition, noted);
  }

  /** Says what is left to say. */
  close(): void {
    for (const [condition, noted] of this.#noted) {
      this.#clock.clearTimeout(noted.timer);
      if (noted.records > 0) this.#say(condition, noted);
    }
    this.#noted.clear();
  }

  #say(condition: FailureCondition, noted: Noted): void {
    const names = [...noted.partitions]
      .slice(0, MOST_PARTITIONS)
      .map(([name, [from, to]]) => `${name} offsets ${from} to ${to - 1}`);
    if (noted.partitions.size > MOST_PARTITIONS)
      names.push(`${noted.partitions.size - MOST_PARTITIONS} partitions more`);
    const why =
      condition === 'Skipped'
        ? 'were skipped by an operator'
        : `were dropped: ${condition}, and no destination is configured`;
    this.#tell(condition, `${noted.records} records (${names.join(', ')}) ${why}.`);
    noted.records = 0;
    noted.partitions.clear();
  }

  #wait(condition: FailureCondition, noted: Noted): void {
    noted.timer = this.#clock.setTimeout(() => {
      if (noted.records === 0) {
        this.#noted.delete(condition);
        return;
      }
      this.#say(condition, noted);
      this.#wait(condition, noted);
    }, QUIET_MILLISECONDS);
  }
}
