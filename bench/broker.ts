import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { KAFKA_VERSION, needs, startKafka } from '@headrace/testing';
import { Admin, Consumer, Producer } from '@platformatic/kafka';
import {
  type BenchmarkOptions,
  type BenchmarkResult,
  type BenchmarkRow,
  describeMachine,
  median,
} from './benchmark.ts';
import { installPackedBroker } from './support/packed-broker.ts';

export const description = 'the development broker beside Apache Kafka: throughput, CPU, latency, memory';

const TOOLS = 'org.apache.kafka.tools';
const ROUNDS = 3;
const LATENCY_RECORDS = 5000;
const RETENTION_BYTES = 256 << 20;
/** How often the broker is started for the time until it is ready. */
const STARTS = 11;

interface Contender {
  readonly name: 'ours' | 'kafka';
  readonly bootstrapServers: string;
  readonly processId: number;
}

type JavaTool = (className: string, args: string[], options?: { timeoutMs?: number }) => Promise<{ stdout: string }>;

/** CPU seconds that a process has used (Linux only; NaN elsewhere). */
function cpuSeconds(processId: number): number {
  try {
    const fields = readFileSync(`/proc/${processId}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    // No /proc: the rows of CPU and memory stay empty on this platform.
    return Number.NaN;
  }
}

function residentMegabytes(processId: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${processId}/status`, 'utf8'))![1]) / 1024;
  } catch {
    // See cpuSeconds.
    return Number.NaN;
  }
}

/** The broker in a process of its own, which first tells how long starts within it took. */
async function startOurs() {
  const script = `
    import { startBroker } from '@headrace/dev-broker';
    const times = [];
    for (let start = 0; start < ${STARTS}; start++) {
      const from = performance.now();
      const broker = await startBroker({ topics: [{ name: 'orders', partitions: 4 }] });
      times.push(performance.now() - from);
      await broker.stop();
    }
    const broker = await startBroker({ retentionBytes: ${RETENTION_BYTES} });
    console.log(JSON.stringify({ times, bootstrapServers: broker.bootstrapServers }));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: installPackedBroker(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { times, bootstrapServers } = JSON.parse(line) as { times: number[]; bootstrapServers: string };
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { times, bootstrapServers, processId: child.pid!, stop };
}

async function createTopic(
  { bootstrapServers }: Contender,
  topic: string,
  configs: Record<string, string> = {},
): Promise<void> {
  const admin = new Admin({ clientId: 'bench', bootstrapBrokers: [bootstrapServers] });
  const list = Object.entries(configs).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1, configs: list });
  await admin.close();
}

interface Throughput {
  recordsPerSecond: number;
  cpuSecondsPerMillion: number;
}

async function produce(
  javaTool: JavaTool,
  target: Contender,
  topic: string,
  records: number,
  size: number,
): Promise<Throughput> {
  const before = cpuSeconds(target.processId);
  const common = [
    '--topic',
    topic,
    '--num-records',
    String(records),
    '--record-size',
    String(size),
    '--throughput',
    '-1',
  ];
  const properties = [`bootstrap.servers=${target.bootstrapServers}`, 'batch.size=131072', 'linger.ms=5', 'acks=1'];
  const args = [...common, '--producer-props', ...properties];
  const { stdout } = await javaTool(`${TOOLS}.ProducerPerformance`, args, { timeoutMs: 180_000 });
  const match = [...stdout.matchAll(/([\d.]+) records\/sec/g)].at(-1);
  return {
    recordsPerSecond: Number(match?.[1] ?? Number.NaN),
    cpuSecondsPerMillion: ((cpuSeconds(target.processId) - before) / records) * 1e6,
  };
}

async function consume(javaTool: JavaTool, target: Contender, topic: string, records: number): Promise<Throughput> {
  const before = cpuSeconds(target.processId);
  const args = [
    '--bootstrap-server',
    target.bootstrapServers,
    '--topic',
    topic,
    '--messages',
    String(records),
    '--timeout',
    '60000',
    '--hide-header',
  ];
  const { stdout } = await javaTool(`${TOOLS}.ConsumerPerformance`, args, { timeoutMs: 180_000 });
  // The last column is records a second while fetching, without joining the group.
  const last = stdout.trim().split('\n').at(-1)!.split(',').at(-1)!;
  return {
    recordsPerSecond: Number(last),
    cpuSecondsPerMillion: ((cpuSeconds(target.processId) - before) / records) * 1e6,
  };
}

/** From before `send` to the record's arrival at a consumer, at 1,000 records a second. */
async function latency(target: Contender, topic: string): Promise<{ p50: number; p99: number }> {
  await createTopic(target, topic);
  const options = { clientId: 'bench', bootstrapBrokers: [target.bootstrapServers] };
  const producer = new Producer(options);
  const consumer = new Consumer({ ...options, groupId: topic, maxWaitTime: 500, minBytes: 1 });
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false });
  const times: number[] = [];
  const all = new Promise<void>((resolve) => {
    stream.on('data', ({ value }: { value: Buffer }) => {
      times.push(performance.now() - value.readDoubleLE(0));
      if (times.length === LATENCY_RECORDS) resolve();
    });
  });
  const started = performance.now();
  for (let sent = 0; sent < LATENCY_RECORDS; ) {
    const due = Math.min(LATENCY_RECORDS, Math.floor(performance.now() - started));
    for (; sent < due; sent++) {
      const value = Buffer.alloc(200);
      value.writeDoubleLE(performance.now());
      void producer.send({ messages: [{ topic, value, partition: 0 }], acks: 1 });
    }
    // A timer and no spinning: client and broker share the machine.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await all;
  await consumer.close(true);
  await producer.close();
  // The first fifth warms everything up.
  const sorted = times.slice(LATENCY_RECORDS / 5).sort((left, right) => left - right);
  return { p50: sorted[Math.floor(sorted.length / 2)]!, p99: sorted[Math.floor(sorted.length * 0.99)]! };
}

export async function run({ progress, argv }: BenchmarkOptions): Promise<BenchmarkResult> {
  const missing = needs('java', 'maven');
  if (missing) throw new Error(`this benchmark ${missing}`);
  const scale = argv.includes('--small') ? 0.1 : 1;
  const starting = performance.now();
  const kafka = await startKafka({
    jvmArguments: ['-Xms1g', '-Xmx1g', '-XX:+UseG1GC', '-Djava.awt.headless=true'],
    withoutArchive: true,
    properties: { 'log.retention.bytes': RETENTION_BYTES, 'log.segment.bytes': 64 << 20 },
  });
  const kafkaReady = performance.now() - starting;
  const ours = await startOurs();
  const javaTool: JavaTool = (className, args, options) => kafka.javaTool(className, args, options);
  const contenders: Contender[] = [
    { name: 'ours', bootstrapServers: ours.bootstrapServers, processId: ours.processId },
    { name: 'kafka', bootstrapServers: kafka.bootstrapServers, processId: kafka.processId },
  ];
  const rows: BenchmarkRow[] = [];
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
  const add = (name: string, unit: string, values: Record<string, number[]>, isMoreBetter: boolean): void => {
    const [mine, theirs] = [median(values['ours']!), median(values['kafka']!)];
    const ratio = isMoreBetter ? mine / theirs : theirs / mine;
    rows.push({
      case: name,
      ours: finite(mine),
      peers: { kafka: finite(theirs) },
      ratio: { kafka: finite(ratio) },
      unit,
    });
  };
  try {
    const [first, ...later] = ours.times as [number, ...number[]];
    add('ready, in process, the first time', 'ms', { ours: [first], kafka: [kafkaReady] }, false);
    add('ready, in process, again', 'ms', { ours: later, kafka: [kafkaReady] }, false);
    const idle = Object.fromEntries(contenders.map(({ name, processId }) => [name, [residentMegabytes(processId)]]));
    add('resident memory, idle', 'MB', idle, false);
    for (const [label, size, count] of [
      ['1 KB', 1024, 200_000 * scale],
      ['200 B', 200, 600_000 * scale],
    ] as const) {
      const measured: Record<string, Record<string, number[]>> = {};
      const note = (what: string, name: string, value: number): void => {
        measured[what] ??= { ours: [], kafka: [] };
        measured[what][name]!.push(value);
      };
      for (let round = 0; round < ROUNDS; round++) {
        // Who goes first changes with every round.
        for (const target of round % 2 === 0 ? contenders : [...contenders].reverse()) {
          const topic = `bench-${size}-${round}`;
          await createTopic(target, topic);
          const written = await produce(javaTool, target, topic, count, size);
          const read = await consume(javaTool, target, topic, count);
          progress(
            `${label} round ${round + 1} ${target.name}: ${Math.round(written.recordsPerSecond)} in, ${Math.round(read.recordsPerSecond)} out`,
          );
          note('produce', target.name, written.recordsPerSecond);
          note('fetch', target.name, read.recordsPerSecond);
          note('produce, broker CPU', target.name, written.cpuSecondsPerMillion);
          note('fetch, broker CPU', target.name, read.cpuSecondsPerMillion);
        }
      }
      for (const [what, values] of Object.entries(measured)) {
        const isCpu = what.endsWith('CPU');
        add(`${what}, ${label}`, isCpu ? 's a million' : 'records/s', values, !isCpu);
      }
    }
    const delays: Record<string, Record<'p50' | 'p99', number[]>> = {};
    for (let round = 0; round < ROUNDS; round++) {
      for (const target of round % 2 === 0 ? contenders : [...contenders].reverse()) {
        const { p50, p99 } = await latency(target, `latency-${round}`);
        delays[target.name] ??= { p50: [], p99: [] };
        delays[target.name]!.p50.push(p50);
        delays[target.name]!.p99.push(p99);
        progress(`latency round ${round + 1} ${target.name}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`);
      }
    }
    for (const part of ['p50', 'p99'] as const) {
      const values = Object.fromEntries(Object.entries(delays).map(([name, both]) => [name, both[part]]));
      add(`end to end at 1,000 records/s, ${part}`, 'ms', values, false);
    }
    const after: Record<string, number[]> = {};
    for (const target of contenders) {
      await createTopic(target, 'flood', { 'retention.bytes': String(RETENTION_BYTES) });
      await produce(javaTool, target, 'flood', Math.round(2 ** 20 * scale), 1024);
      after[target.name] = [residentMegabytes(target.processId)];
    }
    add(`resident memory after ${scale} GB with 256 MB retention`, 'MB', after, false);
  } finally {
    await ours.stop();
    await kafka.stop();
  }
  return {
    benchmark: 'broker',
    machine: describeMachine(),
    versions: { node: process.version, kafka: KAFKA_VERSION },
    rows,
    notes: [
      `Java clients (ProducerPerformance, ConsumerPerformance) for throughput, median of ${ROUNDS} alternating rounds`,
      'ready: startBroker() in a process that runs; Apache Kafka formats its folder and starts a process',
      'acks=1, batches of 128 KB, one partition, no compression; the clients share the machine with the broker',
    ],
  };
}
