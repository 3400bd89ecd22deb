// Records per CPU-second of the engine process, beside the loops that people write by hand. On real Apache Kafka.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Kafka, startKafka } from '@headrace/testing';
import { Admin, Producer, type ProducerOptions } from '@platformatic/kafka';
import {
  type BenchmarkOptions,
  type BenchmarkResult,
  type BenchmarkRow,
  describeMachine,
  median,
} from './benchmark.ts';
import type { Answer, Task } from './engine/contestant.ts';
import type { IdleAnswer } from './engine/idle.ts';
import { type Latency, measureLatency } from './engine/latency.ts';
import { readOnce } from './support/read-once.ts';

export const description = 'the whole path, Kafka to function: records per CPU-second, beside hand-written loops';

const PARTITIONS = 12;
/** Kafka's defaults (ms); for tests the broker is told to ask for them five times as often. */
const HEARTBEATS = {
  'group.consumer.heartbeat.interval.ms': 5000,
  'group.consumer.min.session.timeout.ms': 45_000,
  'group.consumer.session.timeout.ms': 45_000,
};
const peers = ['kafkajs', 'platformatic'] as const;
type Contestant = 'ours' | (typeof peers)[number];

interface Case {
  readonly name: string;
  readonly topic: keyof typeof topics;
  readonly batchSize: number;
  readonly latencyMilliseconds?: number;
  readonly filter?: Task['filter'];
  /** What is compared; default: records per CPU-second. */
  readonly figures?: readonly ('cpu' | 'clock' | 'memory')[];
}

/** As many records as the fastest contestant takes in the seconds that are measured, where that is a few gigabytes. */
const topics = {
  '1 KB': { bytes: 1024, records: 2_000_000, compression: 'none' },
  '200 B': { bytes: 200, records: 6_000_000, compression: 'none' },
  '1 KB, lz4': { bytes: 1024, records: 2_000_000, compression: 'lz4' },
} as const;

const cases: readonly Case[] = [
  { name: '1 KB, batch 100', topic: '1 KB', batchSize: 100, figures: ['cpu', 'clock', 'memory'] },
  { name: '200 B, batch 100', topic: '200 B', batchSize: 100, figures: ['cpu', 'clock', 'memory'] },
  { name: '1 KB, batch 500', topic: '1 KB', batchSize: 500 },
  { name: '200 B, batch 500', topic: '200 B', batchSize: 500 },
  { name: '1 KB, batch 10', topic: '1 KB', batchSize: 10 },
  { name: '200 B, batch 10', topic: '200 B', batchSize: 10 },
  { name: '1 KB, batch 1', topic: '1 KB', batchSize: 1 },
  { name: '200 B, batch 1', topic: '200 B', batchSize: 1 },
  { name: '1 KB, batch 100, lz4', topic: '1 KB, lz4', batchSize: 100 },
  { name: '1 KB, batch 100, filter none pass', topic: '1 KB', batchSize: 100, filter: 'nothing' },
  { name: '1 KB, batch 100, filter all pass', topic: '1 KB', batchSize: 100, filter: 'all' },
  { name: '1 KB, batch 100, 50 ms', topic: '1 KB', batchSize: 100, latencyMilliseconds: 50, figures: ['cpu', 'clock'] },
];

/** `--cases WORD`: only cases whose name contains it, `--case NAME`: that one. `--rounds N`, default 3. `--ours`: without the peers. `--cpu-profile FOLDER`. */
export async function run(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const option = (name: string): string | undefined => {
    const index = options.argv.indexOf(name);
    return index < 0 ? undefined : options.argv[index + 1];
  };
  const only = option('--case');
  const isWanted = (name: string): boolean =>
    only === undefined ? name.includes(option('--cases') ?? '') : name === only;
  const wanted = cases.filter(({ name }) => isWanted(name));
  const rounds = Number(option('--rounds') ?? 3);
  const contestants: Contestant[] = options.argv.includes('--ours') ? ['ours'] : ['ours', ...peers];
  await using kafka = await startKafka({ properties: HEARTBEATS });
  for (const topic of new Set(wanted.map((each) => each.topic))) {
    options.progress(`producing ${topics[topic].records} records of ${topic}`);
    await produce(kafka, topic);
  }
  const rows: BenchmarkRow[] = [];
  for (const each of wanted) {
    const server = await startServer(each.latencyMilliseconds ?? 0);
    const answers: Record<Contestant, Answer[]> = { ours: [], kafkajs: [], platformatic: [] };
    // A filter belongs to the engine; by hand it would be a line of code that differs for everybody.
    // kafkajs reads LZ4 only with a package more.
    const fielded = contestants.filter(
      (contestant) =>
        contestant === 'ours' ||
        (each.filter === undefined && !(contestant === 'kafkajs' && each.topic.includes('lz4'))),
    );
    for (let round = 0; round < rounds; round++) {
      await readOnce(kafka.bootstrapServers, topicName(each.topic), topics[each.topic].records);
      for (const contestant of fielded) {
        const answer = await measure(
          contestant,
          {
            bootstrapServers: kafka.bootstrapServers,
            topic: topicName(each.topic),
            partitions: PARTITIONS,
            records: topics[each.topic].records,
            batchSize: each.batchSize,
            latencyMilliseconds: each.latencyMilliseconds ?? 0,
            filter: each.filter ?? 'none',
            functionUrl: server.url,
          },
          option('--cpu-profile'),
        );
        answers[contestant].push(answer);
        options.progress(
          `${each.name}: ${contestant} ${((answer.cpuSeconds / answer.records) * 1e6).toFixed(2)} µs a record, ${Math.round(answer.records / answer.seconds)} records/s, ${Math.round(answer.residentBytes / 2 ** 20)} MiB`,
        );
      }
    }
    server.process.kill();
    rows.push(...rowsOf(each, answers));
  }
  if (isWanted('latency')) rows.push(...(await latencyRows(kafka, contestants, option, options.progress)));
  if (isWanted('1,000 idle mappings')) rows.push(...(await idleRows(kafka, options.progress)));
  return {
    benchmark: 'engine',
    machine: describeMachine(),
    versions: { node: process.versions.node, kafka: '4' },
    rows,
    notes: [
      'CPU of the engine or loop process alone; broker, function and HTTP server are other processes',
      'everybody works for 4 s before the 3 s that are measured; before each round the topic is read once',
    ],
  };
}

function rowsOf(each: Case, answers: Record<Contestant, Answer[]>): BenchmarkRow[] {
  const figures = {
    cpu: {
      suffix: '',
      unit: 'records per CPU-second',
      of: (a: Answer) => a.records / a.cpuSeconds,
      isMoreBetter: true,
    },
    clock: { suffix: ', clock', unit: 'records/s', of: (a: Answer) => a.records / a.seconds, isMoreBetter: true },
    memory: { suffix: ', memory', unit: 'MiB', of: (a: Answer) => a.residentBytes / 2 ** 20, isMoreBetter: false },
  };
  return (each.figures ?? ['cpu']).map((figure) => {
    const { suffix, unit, of, isMoreBetter } = figures[figure];
    const value = (contestant: Contestant): number | null =>
      answers[contestant].length === 0 ? null : median(answers[contestant].map(of));
    const ours = value('ours')!;
    const values = peers.flatMap((peer) => {
      const theirs = value(peer);
      return theirs === null ? [] : [[peer, theirs] as const];
    });
    return {
      case: `${each.name}${suffix}`,
      ours,
      peers: Object.fromEntries(values),
      ratio: Object.fromEntries(values.map(([peer, theirs]) => [peer, isMoreBetter ? ours / theirs : theirs / ours])),
      unit,
    };
  });
}

function topicName(topic: string): string {
  return topic.replaceAll(/[^a-zA-Z0-9]+/g, '-');
}

async function produce(kafka: Kafka, topic: keyof typeof topics): Promise<void> {
  const { bytes, records, compression } = topics[topic];
  const name = topicName(topic);
  const connection = { clientId: 'bench', bootstrapBrokers: [kafka.bootstrapServers] };
  const admin = new Admin(connection);
  await admin.createTopics({ topics: [name], partitions: PARTITIONS, replicas: 1 });
  await admin.close();
  const options: ProducerOptions<Buffer, Buffer, Buffer, Buffer> = { ...connection, compression };
  const producer = new Producer<Buffer, Buffer, Buffer, Buffer>(options);
  const headers = new Map<Buffer, Buffer>();
  let seed = 1;
  for (let first = 0; first < records; first += 6000) {
    const messages = Array.from({ length: Math.min(6000, records - first) }, (_, i) => {
      const id = `${first + i}`.padStart(10, '0');
      let value = `{"kind":"wanted","id":"${id}","text":"`;
      while (value.length < bytes - 2) {
        seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
        value += seed.toString(36);
      }
      return {
        topic: name,
        partition: (first / 6000 + Math.floor(i / 500)) % PARTITIONS,
        key: Buffer.from(id),
        value: Buffer.from(`${value.slice(0, bytes - 2)}"}`),
        headers,
      };
    });
    await producer.send({ messages });
  }
  await producer.close();
}

/** Produce to handler at 1,000 records a second, window 0: medians over alternating runs. */
async function latencyRows(
  kafka: Kafka,
  contestants: readonly Contestant[],
  option: (name: string) => string | undefined,
  progress: (line: string) => void,
): Promise<BenchmarkRow[]> {
  const runs = Number(option('--rounds') ?? 5);
  const answers: Record<Contestant, Latency[]> = { ours: [], kafkajs: [], platformatic: [] };
  for (let run = 0; run < runs; run++)
    for (const contestant of contestants) {
      const latency = await measureLatency({
        bootstrapServers: kafka.bootstrapServers,
        partitions: PARTITIONS,
        measureMilliseconds: 1000 * Number(option('--latency-seconds') ?? 10),
        script: script(contestant),
        // A stream that waits for a hundred would be a tenth of a second late.
        batchSize: contestant === 'platformatic' ? 1 : 100,
        startServer: (folder) => startServer(0, folder),
      });
      answers[contestant].push(latency);
      progress(
        `latency: ${contestant} p50 ${latency.p50.toFixed(2)} ms, p99 ${latency.p99.toFixed(2)} ms, ${latency.records} records`,
      );
    }
  return (['p50', 'p99'] as const).map((figure) => {
    const value = (contestant: Contestant): number => median(answers[contestant].map((each) => each[figure]));
    const ours = value('ours');
    const theirs = peers.filter((peer) => answers[peer].length > 0).map((peer) => [peer, value(peer)] as const);
    return {
      case: `latency, ${figure}`,
      ours,
      peers: Object.fromEntries(theirs),
      ratio: Object.fromEntries(theirs.map(([peer, each]) => [peer, each / ours])),
      unit: 'ms',
    };
  });
}

async function idleRows(kafka: Kafka, progress: (line: string) => void): Promise<BenchmarkRow[]> {
  const admin = new Admin({ clientId: 'bench', bootstrapBrokers: [kafka.bootstrapServers] });
  await admin.createTopics({ topics: ['idle'], partitions: 1, replicas: 1 });
  await admin.close();
  progress('1,000 idle mappings');
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', script('idle'), kafka.bootstrapServers, 'idle', '1000', '30'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
  const { bytesEach, coreShare } = JSON.parse(line) as IdleAnswer;
  const row = (name: string, ours: number, unit: string): BenchmarkRow => ({
    case: `1,000 idle mappings, ${name}`,
    ours,
    peers: {},
    ratio: {},
    unit,
  });
  return [row('memory', bytesEach / 2 ** 10, 'KiB each'), row('CPU', coreShare * 100, '% of a core')];
}

async function startServer(
  latency: number,
  latencyFolder?: string,
): Promise<{ readonly url: string; readonly process: ChildProcess }> {
  const folder = latencyFolder === undefined ? [] : [latencyFolder];
  const child = spawn(process.execPath, [script('server'), `${latency}`, ...folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
  return { url: line, process: child };
}

async function measure(contestant: Contestant, task: Task, profileFolder: string | undefined): Promise<Answer> {
  const profile = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
  const args = ['--disable-warning=ExperimentalWarning', ...profile, script(contestant), JSON.stringify(task)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout!);
  const ended = once(child, 'exit').then(() => [undefined]);
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string | undefined];
  if (line === undefined) throw new Error(`${contestant} ended without an answer`);
  await ended;
  return JSON.parse(line) as Answer;
}

function script(name: string): string {
  return fileURLToPath(new URL(`engine/${name}.ts`, import.meta.url));
}
