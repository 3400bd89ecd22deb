/** What every contestant of the engine benchmark is asked and answers: one JSON document each, by argv and stdout. */
export interface Task {
  readonly bootstrapServers: string;
  readonly topic: string;
  readonly partitions: number;
  readonly records: number;
  readonly batchSize: number;
  readonly latencyMilliseconds: number;
  /** `none`: no filter; else how many records pass. */
  readonly filter: 'none' | 'all' | 'nothing';
  /** Where the peers send their events. */
  readonly functionUrl: string;
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

/** Measures from its making to `end`. */
export class Meter {
  readonly #cpu = process.cpuUsage();
  readonly #begin = performance.now();

  /** Answers and ends the process. */
  end(records: number): void {
    const { user, system } = process.cpuUsage(this.#cpu);
    const answer: Answer = {
      records,
      seconds: (performance.now() - this.#begin) / 1000,
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.resourceUsage().maxRSS * 1024,
    };
    process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
  }
}
