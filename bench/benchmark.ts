import { cpus, totalmem } from 'node:os';

/** One row of a benchmark. `ratio` above 1 always means that ours is better. */
export interface BenchmarkRow {
  readonly case: string;
  readonly ours: number | null;
  readonly peers: Readonly<Record<string, number | null>>;
  readonly ratio: Readonly<Record<string, number | null>>;
  readonly unit: string;
}

export interface BenchmarkResult {
  readonly benchmark: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly BenchmarkRow[];
  /** What was left out and why: a peer that is not installed, a row that does not apply. */
  readonly notes?: readonly string[];
}

export interface BenchmarkOptions {
  readonly json: boolean;
  /** What follows the name on the command line. */
  readonly argv: readonly string[];
  /** Progress lines; to standard error, so that `--json` stays one document. */
  readonly progress: (line: string) => void;
}

export interface Benchmark {
  readonly description: string;
  run(options: BenchmarkOptions): Promise<BenchmarkResult>;
}

/** Processor, cores, memory and platform in one line. */
export function describeMachine(): string {
  const processors = cpus();
  return `${processors[0]?.model.trim() ?? 'unknown processor'}, ${processors.length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}`;
}

/** Median of the numbers; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length === 0) return Number.NaN;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
