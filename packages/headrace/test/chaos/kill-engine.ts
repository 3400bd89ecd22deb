import { SeededRandom } from '@headrace/testing';
import { boundAfterDeath } from './check.ts';
import { Load } from './load.ts';
import { entriesOf, judge, pass, progress, type Scenario } from './scenario.ts';

const PARTITIONS = 6;
/** Commits are held back for 100 ms at most; the rest is the way to a broker that shares the processor with all this. */
const COMMIT_WINDOW_MILLISECONDS = 100 + 150;

export const killEngine: Scenario = {
  name: 'kill-engine',
  description:
    'SIGKILL of the engine, every other time with its functions, at random moments under load, started again at once',
  async run(world, form) {
    const kills = form === 'long' ? 50 : 3;
    const topic = 'killed';
    const journal = world.journal(topic);
    const random = new SeededRandom(7);
    await world.createTopic(topic, PARTITIONS);
    const engine = world.engine(topic);
    await engine.start();
    // Longer than commits are apart: a commit that passes what is at work would be found out by the next kill.
    await engine.deploy({ topic, group: topic, journal, latency: 250, batchSize: 200, pollers: PARTITIONS });
    const load = new Load({
      bootstrapServers: world.kafka.bootstrapServers,
      topic,
      partitions: PARTITIONS,
      recordsPerSecond: 2000,
    });
    await progress(journal, 0);
    let bound = 0;
    let slowest = 0;
    for (let kill = 0; kill < kills; kill++) {
      await pass(random.integer(0, 2000));
      const { processId } = engine;
      const diedAt = Date.now();
      // In turn: the machine dies, or the engine alone and its functions finish what they have.
      if (kill % 2 === 0) await engine.crash();
      else await engine.signal('SIGKILL');
      const readyAt = await engine.start();
      bound += boundAfterDeath(entriesOf(journal), processId, diedAt, COMMIT_WINDOW_MILLISECONDS);
      await progress(journal, readyAt, engine.processId);
      slowest = Math.max(slowest, entriesOf(journal).find(({ life }) => life === engine.processId)!.at - readyAt);
    }
    const verdict = await judge(world, topic, await load.stop());
    return {
      ...verdict,
      scenario: this.name,
      bound,
      done: `${kills} kills, first record at most ${slowest} ms after the engine was ready`,
    };
  },
};
