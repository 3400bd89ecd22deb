import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  type BenchmarkOptions,
  type BenchmarkResult,
  type BenchmarkRow,
  describeMachine,
  median,
} from './benchmark.ts';

export const description = 'the pipeline as a whole: produce → stored, throughput, latency and CPU by part';

/** What the benchmark reads of the demo's own `--json`. */
interface DemoDocument {
  readonly recordsProduced: number;
  readonly recordsScored: number;
  readonly recordsLost: number;
  readonly recordsPerSecond: number;
  readonly modelSeconds: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number };
}

interface DemoRun {
  readonly document: DemoDocument;
  /** CPU seconds by part; see `partOf`. */
  readonly cpuSeconds: ReadonlyMap<string, number>;
}

const launcher = fileURLToPath(new URL('../packages/headrace/bin/headrace.js', import.meta.url));
const clockTicks = 100;

/** Which part of the pipeline a process of the demo is, by its command line. */
function partOf(commandLine: string): string {
  if (commandLine.includes('dynalite') || commandLine.includes('/dynamodb/')) return 'table';
  if (commandLine.includes('/functions/bootstrap/')) return 'function';
  return 'engine, producer and gateway';
}

/** CPU seconds of a process and what it started, by part; Linux only. */
function sampleCpu(rootProcess: number, into: Map<number, { part: string; seconds: number }>): void {
  const pending = [rootProcess];
  while (pending.length > 0) {
    const processId = pending.pop()!;
    try {
      const stat = readFileSync(`/proc/${processId}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const seconds = (Number(fields[11]) + Number(fields[12])) / clockTicks;
      const commandLine = readFileSync(`/proc/${processId}/cmdline`, 'utf8').replaceAll('\0', ' ');
      into.set(processId, { part: partOf(commandLine), seconds });
      const threads = readFileSync(`/proc/${processId}/task/${processId}/children`, 'utf8');
      for (const child of threads.trim().split(' ')) if (child !== '') pending.push(Number(child));
    } catch {
      // The process ended between two looks; its last figures stay.
    }
  }
}

/** Starts the development broker in a process of its own, so that its CPU can be told apart. */
async function startBrokerProcess(): Promise<{ readonly child: ChildProcess; readonly bootstrapServers: string }> {
  const child = spawn(process.execPath, [launcher, 'broker', '--port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) resolve(text);
    });
    child.on('exit', (code) => reject(new Error(`the broker ended with ${code}`)));
  });
  return { child, bootstrapServers: (JSON.parse(line) as { bootstrapServers: string }).bootstrapServers };
}

async function runDemo(words: readonly string[]): Promise<DemoRun> {
  const broker = await startBrokerProcess();
  try {
    return await runDemoOn(broker.bootstrapServers, broker.child.pid!, words);
  } finally {
    broker.child.kill('SIGTERM');
    await new Promise((resolve) => broker.child.once('close', resolve));
  }
}

async function runDemoOn(bootstrapServers: string, brokerId: number, words: readonly string[]): Promise<DemoRun> {
  const all = ['demo', '--json', '--bootstrap-servers', bootstrapServers, ...words];
  const child = spawn(process.execPath, [launcher, ...all], { stdio: ['ignore', 'pipe', 'pipe'] });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const processes = new Map<number, { part: string; seconds: number }>();
  const sampler = setInterval(() => sampleCpu(child.pid!, processes), 200);
  const code = await new Promise<number | null>((resolve) => child.on('exit', resolve));
  clearInterval(sampler);
  if (code !== 0) throw new Error(`the demo ended with ${code}: ${Buffer.concat(err).toString('utf8').slice(-2000)}`);
  const cpuSeconds = new Map<string, number>();
  for (const { part, seconds } of processes.values()) cpuSeconds.set(part, (cpuSeconds.get(part) ?? 0) + seconds);
  const document = JSON.parse(Buffer.concat(out).toString('utf8')) as DemoDocument;
  const ofBroker = new Map<number, { part: string; seconds: number }>();
  sampleCpu(brokerId, ofBroker);
  cpuSeconds.set('broker', ofBroker.get(brokerId)?.seconds ?? Number.NaN);
  cpuSeconds.set('model', document.modelSeconds);
  const engine = 'engine, producer and gateway';
  cpuSeconds.set(engine, (cpuSeconds.get(engine) ?? 0) - document.modelSeconds);
  return { document, cpuSeconds };
}

export async function run(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const rows: BenchmarkRow[] = [];
  const row = (name: string, ours: number, unit: string): void => {
    rows.push({ case: name, ours, peers: {}, ratio: {}, unit });
  };
  const runs = 3;
  const throughput: DemoRun[] = [];
  for (let index = 0; index < runs; index += 1) {
    options.progress(`throughput, run ${index + 1} of ${runs}`);
    throughput.push(await runDemo(['--records', '60000', '--seed', String(index + 1)]));
  }
  for (const { document } of throughput) {
    if (document.recordsLost !== 0) throw new Error(`${document.recordsLost} records were lost`);
  }
  row(
    'produce → stored, as fast as it goes',
    median(throughput.map(({ document }) => document.recordsPerSecond)),
    'records/s',
  );
  for (const part of ['broker', 'engine, producer and gateway', 'function', 'model', 'table']) {
    const perRecord = throughput
      .filter(({ cpuSeconds }) => cpuSeconds.has(part))
      .map(({ document, cpuSeconds }) => (cpuSeconds.get(part)! / document.recordsScored) * 1e6);
    if (perRecord.length > 0) row(`CPU a record: ${part}`, median(perRecord), 'µs');
  }
  const latency: DemoDocument[] = [];
  for (let index = 0; index < runs; index += 1) {
    options.progress(`latency at 100 records/s, window 0, run ${index + 1} of ${runs}`);
    const words = ['--records', '1500', '--rate', '100', '--window', '0', '--seed', String(index + 1)];
    latency.push((await runDemo(words)).document);
  }
  row('latency at 100 records/s, window 0: p50', median(latency.map(({ latencyMs }) => latencyMs.p50)), 'ms');
  row('latency at 100 records/s, window 0: p99', median(latency.map(({ latencyMs }) => latencyMs.p99)), 'ms');
  return {
    benchmark: 'demo',
    machine: describeMachine(),
    versions: { node: process.version },
    rows,
    notes: [
      "whole processes, their start included; the model shares the engine's process and is told by its own clock",
    ],
  };
}
