import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Compression, writeBatch } from '@headrace/kafka-records';
import { type Kafka, startKafka } from '@headrace/testing';
import { Cluster } from '../packages/headrace/src/kafka/cluster.ts';
import type { KafkaRequest } from '../packages/headrace/src/kafka/wire.ts';
import {
  type BenchmarkOptions,
  type BenchmarkResult,
  type BenchmarkRow,
  describeMachine,
  median,
} from './benchmark.ts';
import { readOnce } from './support/read-once.ts';

export const description = 'reading from Apache Kafka: CPU a record and records a second, against other clients';

const PARTITIONS = 12;
const script = fileURLToPath(new URL('./consume-clients/client.ts', import.meta.url));

interface Case {
  readonly bytes: number;
  readonly compression: Compression;
  readonly records: number;
}

/** Of the clients in Node, in seconds of the process's CPU. */
interface Rule {
  readonly warmSeconds: number;
  readonly measuredSeconds: number;
}

interface Measurement {
  /** CPU seconds of a million records. */
  readonly cpu: number;
  readonly recordsPerSecond: number;
}

/** Values like lines of a log: text of a small vocabulary with numbers in it, which compresses as logs do. */
function makeValues(bytes: number): Buffer[] {
  let state = 12345;
  const next = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state % limit;
  };
  const words = 'GET POST /orders /users /health /login 200 201 404 500 ms user session from to by region eu us'.split(
    ' ',
  );
  return Array.from({ length: 997 }, () => {
    let text = `{"time":${1_760_000_000_000 + next(1_000_000_000)},"message":"`;
    while (text.length < bytes - 2) text += next(3) === 0 ? `${next(1_000_000)} ` : `${words[next(words.length)]} `;
    return Buffer.from(`${text.slice(0, bytes - 2)}"}`);
  });
}

/** Produce, version 8, with batches that are made already. */
const produce = (topic: string, partition: number, batch: Buffer): KafkaRequest<number> => ({
  name: 'Produce',
  key: 0,
  version: 8,
  flexible: false,
  write(writer) {
    writer.string(null).int16(1).int32(30_000);
    writer.array([topic], (name) => {
      writer.string(name).array([partition], (index) => writer.int32(index).byteArray(batch));
    });
  },
  read(reader) {
    return reader.array(() => {
      reader.string();
      return reader.array(() => {
        reader.int32();
        const error = reader.int16();
        reader.skip(24);
        reader.array(() => {
          reader.int32();
          reader.nullableString();
        });
        reader.nullableString();
        return error;
      })[0]!;
    })[0]!;
  },
});

/** Batches that differ; they are written over and over, since making them takes longer than writing them. */
const DISTINCT_BATCHES = 512;

/** Fills a topic with batches of about 64 KB before compression, as a producer under load makes them. */
async function fill(kafka: Kafka, topic: string, { bytes, compression, records }: Case): Promise<void> {
  await kafka.javaTool('org.apache.kafka.tools.TopicCommand', [
    ...['--bootstrap-server', kafka.bootstrapServers, '--create', '--topic', topic, '--partitions', String(PARTITIONS)],
    ...['--config', 'max.message.bytes=2097152'],
  ]);
  const values = makeValues(bytes);
  const aBatch = batchRecords(bytes);
  const batches = Array.from({ length: Math.min(DISTINCT_BATCHES, records / aBatch) }, (_, number) =>
    writeBatch({
      compression,
      records: Array.from({ length: aBatch }, (_, index) => {
        const place = number * aBatch + index;
        return {
          key: `key-${place % 10_000}`,
          value: values[place % values.length]!,
          timestamp: 1_760_000_000_000 + place,
        };
      }),
    }),
  );
  const cluster = new Cluster({ bootstrapServers: [kafka.bootstrapServers] });
  try {
    await cluster.refresh([topic]);
    const connection = await cluster.connection(1, 'bench');
    for (let number = 0; number * aBatch < records; number++) {
      const request = produce(topic, number % PARTITIONS, batches[number % batches.length]!);
      let error = await connection.send(request);
      // A new topic is known before it can be written to.
      for (let retry = 0; (error === 3 || error === 6) && retry < 100; retry++) {
        await delay(50);
        error = await connection.send(request);
      }
      if (error !== 0) throw new Error(`the broker refused a batch: error ${error}`);
    }
  } finally {
    cluster.close();
  }
}

/** A topic is made of whole batches. */
const wholeBatches = (bytes: number, records: number): number =>
  Math.max(1, Math.floor(records / batchRecords(bytes))) * batchRecords(bytes);

const batchRecords = (bytes: number): number => Math.max(1, Math.floor(65_536 / (bytes + 20)));

async function runNodeClient(name: string, kafka: Kafka, topic: string, each: Case, rule: Rule): Promise<Measurement> {
  const child = spawn(
    process.execPath,
    [
      ...['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning', script],
      ...[name, kafka.bootstrapServers, topic, each.records, rule.warmSeconds, rule.measuredSeconds].map(String),
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const timer = setTimeout(() => child.kill('SIGKILL'), 180_000);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  if (output === '') throw new Error(`${name} did not read ${topic} for ${rule.measuredSeconds} s of work`);
  const result = JSON.parse(output) as { records: number; seconds: number; cpuSeconds: number };
  return { cpu: (result.cpuSeconds / result.records) * 1e6, recordsPerSecond: result.records / result.seconds };
}

/** CPU of a whole process, by the shell's `time`. */
function runProcess(command: string, args: readonly string[], records: number): Measurement {
  const result = spawnSync(
    'bash',
    ['-c', 'TIMEFORMAT="%R %U %S"; time "$@" >/dev/null 2>/dev/null', 'bash', command, ...args],
    {
      encoding: 'utf8',
      timeout: 180_000,
    },
  );
  const [real, user, system] = result.stderr.trim().split(/\s+/).map(Number) as [number, number, number];
  if (result.status !== 0 || !(real > 0)) throw new Error(`${command} failed: ${result.stderr}`);
  return { cpu: ((user + system) / records) * 1e6, recordsPerSecond: records / real };
}

const runKcat = (kafka: Kafka, topic: string, records: number): Measurement =>
  // Keys, values, offsets and timestamps are read; no output is formatted but an empty line's worth.
  runProcess(
    'kcat',
    [
      ...['-b', kafka.bootstrapServers, '-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-f', ''],
      ...['-X', 'check.crcs=true'],
    ],
    records,
  );

/** What the records after the first third cost: the difference between a long and a short run. */
async function runJava(kafka: Kafka, topic: string, records: number): Promise<Measurement> {
  const few = Math.floor(records / 3);
  const run = async (count: number): Promise<{ cpu: number; seconds: number }> => {
    const before = childCpu();
    const started = performance.now();
    await kafka.javaTool(
      'org.apache.kafka.tools.ConsumerPerformance',
      [
        ...['--bootstrap-server', kafka.bootstrapServers, '--topic', topic, '--num-records', String(count)],
        ...['--timeout', '60000'],
      ],
      { timeoutMs: 180_000 },
    );
    return { cpu: childCpu() - before, seconds: (performance.now() - started) / 1000 };
  };
  const short = await run(few);
  const long = await run(records);
  const rest = records - few;
  return { cpu: ((long.cpu - short.cpu) / rest) * 1e6, recordsPerSecond: rest / (long.seconds - short.seconds) };
}

/** CPU seconds of the children of this process that have ended (Linux). */
function childCpu(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

const version = (name: string): string => {
  const path = join(import.meta.dirname, '..', 'node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
};

/**
 * `--rounds N` (default 3), `--records N` of 200 bytes in the topic (default 6,000,000; half of it of 1 KB, and half again
 * where they are compressed), `--warm N` and `--seconds N` of CPU (default 3 and 2), `--only WORD` of the case, `--fast`:
 * ours and kcat.
 */
export async function run(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const flag = (name: string): string | undefined => {
    const index = options.argv.indexOf(`--${name}`);
    return index < 0 ? undefined : options.argv[index + 1];
  };
  const rounds = Number(flag('rounds') ?? 3);
  const small = Number(flag('records') ?? 6_000_000);
  const rule: Rule = { warmSeconds: Number(flag('warm') ?? 3), measuredSeconds: Number(flag('seconds') ?? 2) };
  const isFast = options.argv.includes('--fast');
  const hasKcat = spawnSync('kcat', ['-V']).status === 0;
  const notes: string[] = [];
  if (!hasKcat) notes.push('kcat (librdkafka in C) is not installed: Debian package kcat');
  notes.push(
    `what counts is the steady state, by one rule for all: clients in Node read for ${rule.warmSeconds} s of CPU ` +
      `(loading and compiling included), then for ${rule.measuredSeconds} s that are measured, all threads counted, and ` +
      'begin again with a new consumer where the topic ends; of Java the first third of the records is left out ' +
      '(a long run less a short one); kcat compiles nothing and is measured as a whole process. Before each round the ' +
      'topic is read once: what has lain in memory for a minute is slow to read on some virtual machines',
  );
  notes.push('kafkajs reads none of lz4, snappy, zstd');

  const kafka = await startKafka({
    jvmArguments: ['-Xms512m', '-Xmx1g', '-XX:+UseG1GC'],
    // The records' times are of the past: retention must not delete them meanwhile.
    properties: { 'log.segment.bytes': 1_073_741_824, 'log.retention.ms': -1 },
  });
  try {
    const cases: Case[] = ([1000, 200] as const).flatMap((bytes) =>
      (['none', 'lz4', 'zstd'] as const).map((compression) => ({
        bytes,
        compression,
        records: wholeBatches(bytes, small / (bytes === 200 ? 1 : 2) / (compression === 'none' ? 1 : 2)),
      })),
    );
    const rows: BenchmarkRow[] = [];
    for (const each of cases) {
      const name = `${each.bytes} B, ${each.compression}`;
      if (flag('only') !== undefined && !name.includes(flag('only')!)) continue;
      const topic = `t-${each.bytes}-${each.compression}`;
      options.progress(`${name}: writing ${each.records} records`);
      await fill(kafka, topic, each);
      const clients: Record<string, () => Measurement | Promise<Measurement>> = {
        headrace: () => runNodeClient('headrace', kafka, topic, each, rule),
        // Next to ours: theirs are the figures nearest to each other.
        ...(hasKcat ? { kcat: () => runKcat(kafka, topic, each.records) } : {}),
        ...(isFast ? {} : { platformatic: () => runNodeClient('platformatic', kafka, topic, each, rule) }),
        ...(isFast || each.compression !== 'none'
          ? {}
          : { kafkajs: () => runNodeClient('kafkajs', kafka, topic, each, rule) }),
        ...(isFast ? {} : { java: () => runJava(kafka, topic, each.records) }),
      };
      const measured: Record<string, Measurement[]> = {};
      // In turns, so that what the machine does meanwhile meets everyone.
      for (let round = 0; round < rounds; round++) {
        await readOnce(kafka.bootstrapServers, topic, each.records);
        for (const [client, measure] of Object.entries(clients)) {
          const measurement = await measure();
          (measured[client] ??= []).push(measurement);
          options.progress(
            `  ${client}: ${measurement.cpu.toFixed(3)} s CPU, ${Math.round(measurement.recordsPerSecond)} records/s`,
          );
        }
      }
      const middle = (client: string, of: keyof Measurement): number => median(measured[client]!.map((one) => one[of]));
      const peers = Object.keys(measured).filter((client) => client !== 'headrace');
      const row = (what: string, of: keyof Measurement, unit: string, isLessBetter: boolean): BenchmarkRow => {
        const ours = middle('headrace', of);
        const theirs = Object.fromEntries(peers.map((peer) => [peer, middle(peer, of)]));
        const ratio = Object.fromEntries(
          peers.map((peer) => [peer, isLessBetter ? theirs[peer]! / ours : ours / theirs[peer]!]),
        );
        return { case: `${name}: ${what}`, ours, peers: theirs, ratio, unit };
      };
      rows.push(row('CPU', 'cpu', 'CPU seconds a million records', true));
      rows.push(row('rate', 'recordsPerSecond', 'records a second', false));
    }
    return {
      benchmark: 'consume',
      machine: describeMachine(),
      versions: {
        node: process.version,
        kafka: '4.3.1',
        '@platformatic/kafka': version('@platformatic/kafka'),
        kafkajs: version('kafkajs'),
        ...(hasKcat
          ? { kcat: spawnSync('kcat', ['-V'], { encoding: 'utf8' }).stdout.match(/librdkafka ([\d.]+)/)?.[1] ?? '' }
          : {}),
      },
      rows,
      notes,
    };
  } finally {
    await kafka.stop();
  }
}
