import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compilePattern, compilePatterns } from '@headrace/event-pattern';
import {
  type BenchmarkOptions,
  type BenchmarkResult,
  type BenchmarkRow,
  describeMachine,
  median,
} from './benchmark.ts';
import { RulerPeer } from './filter/ruler-peer.ts';
import { type Case, seeded, workloads } from './filter/workloads.ts';

export const description =
  'event patterns on events of 0.3, 1 and 4 KB, beside event-ruler and JSON.parse with conditions (--only TEXT)';

const eventsPerCase = 2000;
const matchRates = [0, 0.01, 0.5, 1];
const rounds = 5;
const roundSeconds = 0.1;
const warmUpSeconds = 0.25;

interface Measured {
  readonly eventsPerSecond: number;
  readonly matched: number;
}

/** Judges the events again and again for `seconds` of this thread's CPU time. */
function measure(events: readonly Buffer[], judge: (event: Buffer) => boolean, seconds: number): Measured {
  const cpu = (): number => {
    const { user, system } = process.threadCpuUsage();
    return user + system;
  };
  const start = cpu();
  let judged = 0;
  let matched = 0;
  let spent: number;
  do {
    matched = 0;
    for (let n = 0; n < events.length; n++) if (judge(events[n]!)) matched++;
    judged += events.length;
    spent = cpu() - start;
  } while (spent < seconds * 1e6);
  return { eventsPerSecond: (judged / spent) * 1e6, matched };
}

/** What is being measured, as a function from bytes to a verdict. */
function judges({ patterns, byHand }: Case): { ours: (event: Buffer) => boolean; floor: (event: Buffer) => boolean } {
  const floor = (event: Buffer): boolean => byHand(JSON.parse(event.toString()));
  if (patterns.length === 1) {
    const pattern = compilePattern(patterns[0]!);
    return { ours: (event) => pattern.matches(event), floor };
  }
  // Which patterns match, not only whether one does: that is what event-ruler answers.
  const set = compilePatterns(patterns);
  return { ours: (event) => set.matching(event).length > 0, floor };
}

export async function run({ argv, progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const { values } = parseArgs({ args: [...argv], options: { only: { type: 'string', default: '' } } });
  const notes = [
    'events per second of CPU time of one thread; median of five alternating rounds; ours and JSON.parse start from bytes, event-ruler from a ready String',
  ];
  let ruler: RulerPeer | undefined;
  try {
    ruler = await RulerPeer.start();
  } catch (error) {
    notes.push(`event-ruler left out, it needs Java 17 and Maven: ${(error as Error).message.split('\n')[0]}`);
  }
  const folder = await mkdtemp(join(tmpdir(), 'filter-benchmark-'));
  const rows: BenchmarkRow[] = [];
  try {
    for (const workload of workloads) {
      for (const one of workload.cases) {
        for (const rate of matchRates) {
          const name = `${workload.name}, ${one.name}, ${rate * 100} % match`;
          if (!name.includes(values.only)) continue;
          rows.push(await measureRow(name, one, rate, ruler, folder));
          progress(name);
        }
      }
    }
  } finally {
    await ruler?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
  const versions: Record<string, string> = { node: process.version };
  if (ruler !== undefined) versions['event-ruler'] = '2.0.1';
  return { benchmark: 'filter', machine: describeMachine(), versions, rows, notes };
}

async function measureRow(
  name: string,
  one: Case,
  rate: number,
  ruler: RulerPeer | undefined,
  folder: string,
): Promise<BenchmarkRow> {
  const random = seeded(7);
  const texts = Array.from({ length: eventsPerCase }, (_, n) => {
    // Spread evenly, so that the rate is exact.
    const matches = Math.floor((n + 1) * rate) > Math.floor(n * rate);
    return JSON.stringify(one.event(random, matches));
  });
  const events = texts.map((text) => Buffer.from(text));
  const { ours, floor } = judges(one);
  if (ruler !== undefined) {
    const [patternsFile, eventsFile] = [join(folder, 'patterns'), join(folder, 'events')];
    await writeFile(patternsFile, one.patterns.join('\n'));
    await writeFile(eventsFile, texts.join('\n'));
    await ruler.load(patternsFile, eventsFile);
    await ruler.run(warmUpSeconds);
  }
  measure(events, ours, warmUpSeconds);
  measure(events, floor, warmUpSeconds);
  const measured: Record<'ours' | 'ruler' | 'floor', number[]> = { ours: [], ruler: [], floor: [] };
  for (let round = 0; round < rounds; round++) {
    const results = {
      ours: measure(events, ours, roundSeconds),
      ruler: await ruler?.run(roundSeconds),
      floor: measure(events, floor, roundSeconds),
    };
    for (const [who, result] of Object.entries(results)) {
      if (result === undefined) continue;
      if (result.matched !== Math.floor(eventsPerCase * rate)) {
        throw new Error(`${name}: ${who} matched ${result.matched} of ${eventsPerCase}`);
      }
      measured[who as keyof typeof measured].push(result.eventsPerSecond);
    }
  }
  const own = median(measured.ours);
  const peers: Record<string, number> = {};
  if (ruler !== undefined) peers['event-ruler'] = median(measured.ruler);
  peers['JSON.parse'] = median(measured.floor);
  const ratio = Object.fromEntries(Object.entries(peers).map(([peer, value]) => [peer, own / value]));
  return { case: name, ours: own, peers, ratio, unit: 'events/s' };
}
