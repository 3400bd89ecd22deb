/** From produce to handler: a thousand records a second, one by one, while one contestant after another consumes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Admin, Producer } from '@platformatic/kafka';
import type { Task } from './contestant.ts';

const RECORDS_A_SECOND = 1000;
/** From the first record on: joining leaves a backlog, and compilers are done with everybody's path after some seconds. */
const SETTLE_MILLISECONDS = 5000;
const START_MILLISECONDS = 60_000;
const KEY = Buffer.from('key');

export interface Latency {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly records: number;
}

export interface LatencyRun {
  readonly bootstrapServers: string;
  readonly partitions: number;
  readonly measureMilliseconds: number;
  /** Path of the contestant's module. */
  readonly script: string;
  readonly batchSize: number;
  /** Starts the peers' server; gives its URL. */
  readonly startServer: (latencyFolder: string) => Promise<{ readonly url: string; readonly process: ChildProcess }>;
}

export async function measureLatency(run: LatencyRun): Promise<Latency> {
  const { bootstrapServers, partitions } = run;
  const folder = mkdtempSync(join(tmpdir(), 'headrace-bench-latency-'));
  const topic = `latency-${crypto.randomUUID()}`;
  const connection = { clientId: 'bench', bootstrapBrokers: [bootstrapServers] };
  const admin = new Admin(connection);
  await admin.createTopics({ topics: [topic], partitions, replicas: 1 });
  const server = await run.startServer(folder);
  const task: Task = {
    bootstrapServers,
    topic,
    partitions,
    records: Number.MAX_SAFE_INTEGER,
    batchSize: run.batchSize,
    latencyMilliseconds: 0,
    filter: 'none',
    functionUrl: server.url,
    latencyFolder: folder,
  };
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--disable-warning=TimeoutNegativeWarning',
      run.script,
      JSON.stringify(task),
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const load = new Load(connection, topic, partitions);
  try {
    const deadline = performance.now() + START_MILLISECONDS;
    while (readdirSync(folder).length === 0) {
      if (performance.now() > deadline || child.exitCode !== null) throw new Error(`${run.script} handles nothing`);
      await delay(100);
    }
    await delay(SETTLE_MILLISECONDS);
    const begin = microseconds();
    await delay(run.measureMilliseconds);
    const end = microseconds();
    await load.stop();
    // What is late is part of the truth: wait until nothing more comes.
    for (let seen = -1, size = 0; seen !== size; ) {
      seen = size;
      await delay(500);
      size = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
    }
    const ages = readdirSync(folder)
      .flatMap((file) => readFileSync(join(folder, file), 'utf8').trim().split('\n'))
      .map((line) => line.split(' ').map(Number) as [number, number])
      .filter(([sent]) => sent >= begin && sent < end)
      .map(([, age]) => age / 1000)
      .sort((a, b) => a - b);
    if (ages.length < (RECORDS_A_SECOND * run.measureMilliseconds) / 2000)
      throw new Error(`${run.script} handled ${ages.length} records in ${run.measureMilliseconds} ms`);
    const at = (share: number): number => ages[Math.floor(ages.length * share)] ?? Number.NaN;
    return { p50: at(0.5), p99: at(0.99), records: ages.length };
  } finally {
    await load.stop();
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    server.process.kill();
    await admin.deleteTopics({ topics: [topic] });
    await admin.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const microseconds = (): number => Number(process.hrtime.bigint() / 1000n);

/** Sends records of their own, spread over the partitions, at a steady pace. */
class Load {
  readonly #producer: Producer<Buffer, Buffer, Buffer, Buffer>;
  readonly #timer: NodeJS.Timeout;
  readonly #sent = new Set<Promise<unknown>>();
  #isStopped = false;

  constructor(connection: { clientId: string; bootstrapBrokers: string[] }, topic: string, partitions: number) {
    this.#producer = new Producer(connection);
    const begin = performance.now();
    let count = 0;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - begin) / 1000) * RECORDS_A_SECOND;
      const messages = [];
      for (; count < due; count++)
        messages.push({ topic, partition: count % partitions, key: KEY, value: Buffer.from(`${microseconds()}`) });
      if (messages.length === 0) return;
      const sent = this.#producer
        .send({ messages, acks: 1 })
        .catch(() => {})
        .finally(() => this.#sent.delete(sent));
      this.#sent.add(sent);
    }, 1);
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearInterval(this.#timer);
    await Promise.all(this.#sent);
    await this.#producer.close();
  }
}
