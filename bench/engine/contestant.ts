/** What every contestant of the engine benchmark is asked and answers: one JSON document each, by argv and stdout. */
export interface Task {
  readonly bootstrapServers: string;
  readonly topic: string;
  readonly partitions: number;
  /** What the topic holds. Whoever has done them all is done, however little time has passed. */
  readonly records: number;
  readonly batchSize: number;
  readonly latencyMilliseconds: number;
  /** `none`: no filter; else how many records pass. */
  readonly filter: 'none' | 'all' | 'nothing';
  /** Where the peers send their events. */
  readonly functionUrl: string;
  /** Where the function writes how old records are; only where latency is measured. */
  readonly latencyFolder?: string;
}

export interface Answer {
  readonly records: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

export function readTask(): Task {
  return JSON.parse(process.argv[2]!) as Task;
}

/**
 * Seconds of work before the measurement. V8 is still compiling for about three seconds (here: 8.3 µs a record of 200 B
 * in the first second, batch 10, and 3.0 from the fourth on); what runs for days is not to be judged by that.
 */
const WARM_UP_SECONDS = 4;
const MEASURE_SECONDS = 3;
/** A contestant that is faster than the topic is long measures at least this part of it. */
const MEASURED_SHARE = 0.4;

/** Measures from the end of the warm-up on, the same for everybody. */
export class Meter {
  readonly #task: Task;
  #cpu = process.cpuUsage();
  #begin = 0;
  #before = 0;
  #phase: 'begun' | 'warming up' | 'measuring' | 'answered' = 'begun';

  constructor(task: Task) {
    this.#task = task;
  }

  /** To be told often how many records are done. True when it was the last time: it answers and ends the process. */
  done(records: number): boolean {
    // Latency is measured from outside, until the process is stopped.
    if (this.#task.latencyFolder !== undefined) return false;
    const now = performance.now();
    const seconds = (now - this.#begin) / 1000;
    const all = this.#task.records;
    switch (this.#phase) {
      case 'begun':
        if (records === 0) return false;
        this.#phase = 'warming up';
        this.#begin = now;
        return false;
      case 'warming up':
        if (seconds < WARM_UP_SECONDS && records < all * (1 - MEASURED_SHARE)) return false;
        this.#phase = 'measuring';
        this.#before = records;
        this.#cpu = process.cpuUsage();
        this.#begin = now;
        return false;
      case 'measuring':
        if (seconds < MEASURE_SECONDS && records < all) return false;
        this.#phase = 'answered';
        this.#answer(records, seconds);
        return true;
      default:
        return true;
    }
  }

  #answer(records: number, seconds: number): void {
    const { user, system } = process.cpuUsage(this.#cpu);
    const answer: Answer = {
      records: records - this.#before,
      seconds,
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.resourceUsage().maxRSS * 1024,
    };
    process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
  }
}
