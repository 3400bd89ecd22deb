import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { eventually, needs } from '@headrace/testing';
import { Admin } from '@platformatic/kafka';
import { produce } from '../kafka/harness.ts';
import { checkJournal, type TopicEnds } from './check.ts';
import type { Engine } from './engine.ts';
import { type JournalEntry, readJournal } from './journal.ts';
import { World } from './world.ts';

const PARTITIONS = 3;
const BATCH_SIZE = 10;
const BATCHES = 6;

describe('SIGTERM', { skip: needs('java', 'maven') }, () => {
  let world: World;
  before(async () => {
    world = await World.start('KIP-848');
  });
  afterEach(() => world.endEngines());
  after(() => world[Symbol.asyncDispose]());

  /** An engine that works on the first batches of a backlog, one invocation of `latency` milliseconds at a time each. */
  const atWork = async (
    topic: string,
    latency: number,
    options: readonly string[] = [],
  ): Promise<{ engine: Engine; entries: () => JournalEntry[]; ends: TopicEnds }> => {
    const journal = world.journal(topic);
    await world.createTopic(topic, PARTITIONS);
    await produce(
      world.kafka.bootstrapServers,
      Array.from({ length: PARTITIONS * BATCH_SIZE * BATCHES }, (_, i) => ({
        topic,
        partition: i % PARTITIONS,
        value: 'x',
      })),
    );
    const engine = world.engine(topic, { arguments: options });
    await engine.start();
    await engine.deploy({ topic, group: topic, journal, latency, batchSize: BATCH_SIZE });
    const entries = (): JournalEntry[] => readJournal(journal);
    await eventually(() => entries().some(({ kind }) => kind === 'began'), { timeoutMs: 60_000 });
    const ends = new Map(
      Array.from({ length: PARTITIONS }, (_, partition) => [`${topic}-${partition}`, BATCH_SIZE * BATCHES] as const),
    );
    return { engine, entries, ends };
  };

  const count = (entries: readonly JournalEntry[]): number =>
    entries.flatMap(({ ranges }) => ranges).reduce((sum, { from, to }) => sum + to - from, 0);

  /** Records that were handed out and not worked on to the end. */
  const inFlight = (entries: readonly JournalEntry[]): number => {
    const ended = new Set(entries.filter(({ kind }) => kind === 'ended').map(({ invocation }) => invocation));
    return count(entries.filter(({ invocation }) => !ended.has(invocation)));
  };

  const groupState = async (group: string): Promise<string | undefined> => {
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [world.kafka.bootstrapServers] });
    try {
      return (await admin.listGroups({ types: ['consumer'] })).get(group)?.state;
    } finally {
      await admin.close();
    }
  };

  test('finishes what is in flight, begins nothing new, commits, leaves the group and exits with 0', async () => {
    const { engine, entries, ends } = await atWork('drained', 700);
    await engine.signal('SIGTERM');
    assert.deepEqual(await engine.ended, { code: 0, signal: null });
    const afterwards = entries();
    assert.equal(inFlight(afterwards), 0, 'what was in flight was finished');
    assert.ok(count(afterwards) < PARTITIONS * BATCH_SIZE * BATCHES, 'the backlog was left');
    assert.equal(await groupState('drained'), 'Empty');
    await engine.start();
    await eventually(() => checkJournal(entries(), ends).lost === 0, { timeoutMs: 120_000 });
    const { duplicates, outOfOrder } = checkJournal(entries(), ends);
    assert.deepEqual([duplicates, outOfOrder], [0, 0]);
  });

  test('hands back what does not end within --drain-timeout, and exits with 0 then; it comes again', async () => {
    const { engine, entries } = await atWork('handed-back', 50_000, ['--drain-timeout', '1']);
    const before = performance.now();
    await engine.signal('SIGTERM');
    assert.deepEqual(await engine.ended, { code: 0, signal: null });
    const milliseconds = performance.now() - before;
    assert.ok(milliseconds >= 1000 && milliseconds < 20_000, `drained for ${Math.round(milliseconds)} ms`);
    const given = inFlight(entries());
    assert.ok(given > 0);
    assert.equal(await groupState('handed-back'), 'Empty');
    await comesAgain(engine, entries);
  });

  test('a second one exits at once, and what was in flight comes again', async () => {
    const { engine, entries } = await atWork('cut-short', 50_000);
    await engine.signal('SIGTERM');
    await eventually(() => engine.output.includes('draining'), { timeoutMs: 20_000 });
    // Two within a tenth of a second count as one.
    const before = performance.now();
    let isOver = false;
    void engine.ended.then(() => {
      isOver = true;
    });
    await eventually(
      async () => {
        if (performance.now() - before > 150) await engine.signal('SIGTERM');
        return isOver;
      },
      { timeoutMs: 15_000, everyMs: 50, what: 'the end after the second signal' },
    );
    assert.deepEqual(await engine.ended, { code: 143, signal: null });
    await comesAgain(engine, entries);
  });

  async function comesAgain(engine: Engine, entries: () => JournalEntry[]): Promise<void> {
    const first = entries();
    const firsts = first.filter(({ kind }) => kind === 'began').flatMap(({ ranges }) => ranges);
    await engine.start();
    const { processId } = engine;
    await eventually(
      () => {
        const again = entries().filter(({ life }) => life === processId);
        return firsts.every(({ partition, from }) =>
          again.some(({ ranges }) => ranges.some((range) => range.partition === partition && range.from <= from)),
        );
      },
      { timeoutMs: 60_000, what: 'what was in flight comes again' },
    );
  }
});
