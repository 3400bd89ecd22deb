import { eventually } from '@headrace/testing';
import { boundAfterDeath } from './check.ts';
import { Load } from './load.ts';
import { entriesOf, judge, pass, progress, type Scenario } from './scenario.ts';
import { SESSION_TIMEOUT_MILLISECONDS } from './world.ts';

const PARTITIONS = 4;
const BATCH_SIZE = 20;
/** Of the classic protocol, where the member names it. */
const CLASSIC_SESSION_MILLISECONDS = 45_000;
const COMMIT_WINDOW_MILLISECONDS = 100 + 150;

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
      await engine.deploy({ topic, group: topic, journal, latency: 20, batchSize: BATCH_SIZE });
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
    let bound = 0;
    for (let stop = 0; stop < stops; stop++) {
      const [zombie, heir] = [engines[stop % 2]!, engines[(stop + 1) % 2]!];
      const before = Date.now();
      await progress(journal, before, zombie.processId);
      await progress(journal, before, heir.processId);
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
      // What it had in flight and had not committed, and what it began before it heard of its fate: a batch a partition.
      bound += boundAfterDeath(
        entriesOf(journal).filter(({ at }) => at < continuedAt),
        zombie.processId,
        stoppedAt,
        COMMIT_WINDOW_MILLISECONDS,
      );
      bound += PARTITIONS * BATCH_SIZE;
    }
    const verdict = await judge(world, topic, await load.stop());
    return {
      ...verdict,
      scenario: this.name,
      bound,
      done: `${stops} stops of more than ${session} ms`,
    };
  },
};
