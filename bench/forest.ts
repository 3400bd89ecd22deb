import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import {
  type BenchmarkOptions,
  type BenchmarkResult,
  type BenchmarkRow,
  describeMachine,
  median,
} from './benchmark.ts';

export const description = 'Random Cut Forest: score and learn, points a second; peer: the AWS reference in Java';

/** Numbers in a record × records in a shingle. */
const SHAPES = [
  [3, 1],
  [1, 8],
  [10, 1],
  [3, 8],
] as const;
const JAVA_VERSION = '4.3.0';
const folder = join(import.meta.dirname, 'forest');

/** Records of the stream, which begins anew at its end. */
const ROWS = 100_000;

/**
 * 50 trees of 256, λ = 1/2560, one thread; a fresh process a shape and engine, warmed up, then rounds that alternate
 * between ours and the peers; points a second of CPU time of the one thread. Everyone warms up and works for the same
 * time: a compiler at run time takes seconds to get to what users then run for days. `--rounds` (5), and `--round` (1)
 * and `--warm-up` (5) in seconds of CPU time, change that; `--shape 3x8` measures only that one.
 */
export async function run({ argv, progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const option = (name: string, standard: number): number => {
    const at = argv.indexOf(`--${name}`);
    return at < 0 ? standard : Number(argv[at + 1]);
  };
  const [rounds, round, warmUp] = [option('rounds', 5), option('round', 1), option('warm-up', 5)];
  const notes: string[] = [];
  const java = prepareJava(notes);
  const rows: BenchmarkRow[] = [];
  try {
    for (const [base, shingle] of SHAPES) {
      if (argv.includes('--shape') && !argv.includes(`${base}x${shingle}`)) continue;
      const sizes = [base, shingle, ROWS, warmUp, round].map(String);
      const worker = join(folder, 'worker.ts');
      const engine = (name: string): Runner =>
        new Runner(process.execPath, ['--disable-warning=ExperimentalWarning', worker, ...sizes, name]);
      const runners: Record<string, Runner> = { ours: engine('wasm'), plain: engine('plain') };
      if (java) runners['java'] = new Runner('java', ['-cp', java.classPath, 'Reference', ...sizes]);
      const speeds: Record<string, number[]> = {};
      const frozen: number[] = [];
      for (const runner of Object.values(runners)) await runner.ready();
      for (let k = 0; k < rounds; k++) {
        for (const [name, runner] of Object.entries(runners)) {
          (speeds[name] ??= []).push(1e9 / (await runner.round('learn')));
        }
        frozen.push(1e9 / (await runners['ours']!.round('score')));
      }
      for (const runner of Object.values(runners)) await runner.stop();
      const ours = median(speeds['ours']!);
      const peers: Record<string, number> = { 'plain JavaScript': median(speeds['plain']!) };
      if (java) peers['Java'] = median(speeds['java']!);
      const ratio = Object.fromEntries(Object.entries(peers).map(([name, value]) => [name, ours / value]));
      const name = `${base} dimensions × ${shingle} shingle`;
      rows.push({ case: `${name}: score and learn`, ours, peers, ratio, unit: 'points/CPU s' });
      rows.push({
        case: `${name}: score a batch`,
        ours: median(frozen),
        peers: { 'score and learn': ours },
        ratio: { 'score and learn': median(frozen) / ours },
        unit: 'points/CPU s',
      });
      progress(`${name}: ${Math.round(ours)} points/s, batch ${Math.round(median(frozen))}, ${JSON.stringify(peers)}`);
    }
  } finally {
    if (java) rmSync(java.folder, { recursive: true, force: true });
  }
  const versions: Record<string, string> = { node: process.version };
  if (java) versions['randomcutforest-core'] = JAVA_VERSION;
  return { benchmark: 'forest', machine: describeMachine(), versions, rows, notes };
}

/** Fetches the reference with Maven and compiles the peer; undefined, with a note, where that cannot be done. */
function prepareJava(notes: string[]): { classPath: string; folder: string } | undefined {
  const target = mkdtempSync(join(tmpdir(), 'headrace-forest-'));
  const run = (command: string, args: string[]): string | undefined => {
    const result = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 });
    return result.status === 0
      ? undefined
      : `${command}: ${result.error?.message ?? (result.stdout + result.stderr).trim().slice(0, 500)}`;
  };
  const jars = join(target, 'jars');
  const failed =
    run('mvn', [
      '-q',
      '-B',
      '-f',
      join(folder, 'pom.xml'),
      'dependency:copy-dependencies',
      `-DoutputDirectory=${jars}`,
    ]) ?? run('javac', ['-cp', join(jars, '*'), '-d', target, join(folder, 'Reference.java')]);
  if (failed === undefined) {
    return { classPath: [target, ...readdirSync(jars).map((jar) => join(jars, jar))].join(':'), folder: target };
  }
  rmSync(target, { recursive: true, force: true });
  notes.push(`without the Java reference: ${failed}`);
  return undefined;
}

/** A process that speaks the protocol of forest/worker.ts. */
class Runner {
  private readonly process: ChildProcess;
  private readonly lines: AsyncIterator<string>;
  private readonly interface: Interface;

  constructor(command: string, args: string[]) {
    this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.interface = createInterface({ input: this.process.stdout! });
    this.lines = this.interface[Symbol.asyncIterator]();
  }

  async ready(): Promise<void> {
    await this.line();
  }

  /** Nanoseconds of CPU time that a point took in a round. */
  async round(what: 'learn' | 'score'): Promise<number> {
    this.process.stdin!.write(`${what}\n`);
    return Number(await this.line());
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.stdin!.end();
    await ended;
    this.interface.close();
  }

  private async line(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('a benchmark process ended early');
    return value as string;
  }
}
