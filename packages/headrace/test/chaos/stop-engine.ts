import { eventually } from '@headrace/testing';
import { leftOpen } from './check.ts';
import { committedBefore } from './commits.ts';
import type { JournalEntry } from './journal.ts';
import { Load } from './load.ts';
import { entriesOf, judge, pass, progress, type Scenario } from './scenario.ts';
import { SESSION_TIMEOUT_MILLISECONDS } from './world.ts';

const PARTITIONS = 4;
const BATCH_SIZE = 20;
/** Of the classic protocol, where the member names it. */
const CLASSIC_SESSION_MILLISECONDS = 45_000;
/** What the broker may answer to a commit of a member that is none any more. */
const REFUSALS = new Set([
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'STALE_MEMBER_EPOCH',
  'FENCED_MEMBER_EPOCH',
  'FENCED_INSTANCE_ID',
]);
/** A zombie need not have had anything to commit when it was stopped: then it is stopped again, so often at most. */
const MOST_STOPS = 6;

export const stopEngine: Scenario = {
  name: 'stop-engine',
  description: 'SIGSTOP of one of two engines beyond its session, then SIGCONT: a zombie wakes up',
  async run(world, form) {
    const stops = form === 'long' ? 5 : 1;
    const topic = 'stopped';
    const journal = world.journal(topic);
    await world.createTopic(topic, PARTITIONS);
    const engines = [world.engine('stopped-0'), world.engine('stopped-1')] as const;
    for (const engine of engines) {
      await engine.start();
      // Records come more often than that: something is always in flight, so what is settled waits for the commit's time
      // and a stop finds a commit that is due. An idle engine would have committed at once.
      await engine.deploy({ topic, group: topic, journal, latency: 60, batchSize: BATCH_SIZE, pollers: PARTITIONS });
    }
    const load = new Load({
      bootstrapServers: world.kafka.bootstrapServers,
      topic,
      partitions: PARTITIONS,
      recordsPerSecond: 400,
    });
    const session = world.protocol === 'classic' ? CLASSIC_SESSION_MILLISECONDS : SESSION_TIMEOUT_MILLISECONDS;
    /** Partitions that an engine worked on since a moment. */
    const worksOn = (life: number, since: number): Set<string> =>
      new Set(
        entriesOf(journal)
          .filter((entry) => entry.life === life && entry.at > since)
          .flatMap(({ ranges }) => ranges.map(({ partition }) => partition)),
      );
    const refused = (): string[] => engines.flatMap(({ output }) => refusedCommits(output));
    const zombies: { life: number; heir: number; stoppedAt: number; continuedAt: number }[] = [];
    for (let stop = 0; stop < stops || (refused().length === 0 && stop < MOST_STOPS); stop++) {
      const [zombie, heir] = [engines[stop % 2]!, engines[(stop + 1) % 2]!];
      const before = Date.now();
      await progress(journal, before, zombie.processId);
      await progress(journal, before, heir.processId);
      // Just after it has settled something: that is committed within a tenth of a second, but not at once.
      const from = Date.now();
      await eventually(
        () =>
          entriesOf(journal).some(({ kind, at, life }) => kind === 'ended' && at > from && life === zombie.processId),
        { timeoutMs: 30_000, everyMs: 5, what: 'the end of a batch' },
      );
      await pass(15);
      const stoppedAt = Date.now();
      await zombie.signal('SIGSTOP');
      await eventually(() => worksOn(heir.processId, stoppedAt).size === PARTITIONS, {
        timeoutMs: session + 30_000,
        everyMs: 200,
        what: 'the other engine works on all partitions',
      });
      await pass(1000);
      const continuedAt = Date.now();
      await zombie.signal('SIGCONT');
      await eventually(() => worksOn(zombie.processId, continuedAt + 1000).size > 0, {
        timeoutMs: 60_000,
        everyMs: 200,
        what: 'the zombie is a member again',
      });
      zombies.push({ life: zombie.processId, heir: heir.processId, stoppedAt, continuedAt });
    }
    const { verdict, accepted } = await judge(world, topic, await load.stop());
    const entries = entriesOf(journal);
    let bound = 0;
    for (const { life, heir, stoppedAt, continuedAt } of zombies) {
      const before = entries.filter(({ at }) => at < continuedAt);
      const open = leftOpen(before, life, stoppedAt, (partition) => {
        const isHeirs = (entry: JournalEntry): boolean =>
          entry.life === heir && entry.at > stoppedAt && entry.ranges.some((range) => range.partition === partition);
        return committedBefore(accepted, partition, entries.find(isHeirs)!.at);
      });
      // Its own in flight counts: until it hears of its fate it may begin one batch a partition.
      bound += open.inFlight + open.uncommitted + PARTITIONS * BATCH_SIZE;
    }
    const reasons = refused();
    const strange = reasons.filter((reason) => !REFUSALS.has(reason));
    const late = engines.reduce(
      (sum, { output }) => sum + output.split('came after the partition was gone').length - 1,
      0,
    );
    return {
      ...verdict,
      scenario: this.name,
      bound,
      done: `${zombies.length} stops of more than ${session} ms, ${reasons.length} commits refused (${[...new Set(reasons)].join(', ')}), ${late} late results ignored`,
      problems: [
        ...(reasons.length === 0 ? ['no commit of a zombie was refused'] : []),
        ...(strange.length > 0 ? [`commits were refused for another reason: ${strange.join(', ')}`] : []),
      ],
    };
  },
};

/** The reasons of the commits that an engine says were refused: the broker's error codes. */
function refusedCommits(output: string): string[] {
  return [...output.matchAll(/: commit of \S+ at offset \d+ was refused \((\w+)\)/g)].map(([, reason]) => reason!);
}
