/** What every contestant of the engine benchmark is asked and answers: one JSON document each, by argv and stdout. */
export interface Task {
  readonly bootstrapServers: string;
  readonly topic: string;
  readonly partitions: number;
  readonly records: number;
  /** Of these, so many come before the measurement: what is compared is the work, not the start of a process. */
  readonly warmUp: number;
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

/** Measures from the end of the warm-up on. */
export class Meter {
  readonly #task: Task;
  #cpu = process.cpuUsage();
  #begin = performance.now();
  /** How many were done when the measurement began; -1: it is still warming up. */
  #before = -1;

  constructor(task: Task) {
    this.#task = task;
  }

  /** To be told often how many records are done. True when it was the last time: it answers and ends the process. */
  done(records: number): boolean {
    if (this.#before < 0 && records >= this.#task.warmUp) {
      this.#before = records;
      this.#cpu = process.cpuUsage();
      this.#begin = performance.now();
    }
    if (records < this.#task.records) return false;
    const { user, system } = process.cpuUsage(this.#cpu);
    const answer: Answer = {
      records: records - this.#before,
      seconds: (performance.now() - this.#begin) / 1000,
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.resourceUsage().maxRSS * 1024,
    };
    process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
    return true;
  }
}
