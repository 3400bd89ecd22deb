import { Load } from './load.ts';
import { entriesOf, judge, pass, progress, type Scenario } from './scenario.ts';

const PARTITIONS = 4;

export const killBroker: Scenario = {
  name: 'kill-broker',
  description: 'SIGKILL of the broker under load, started again after a moment',
  async run(world, form) {
    const kills = form === 'long' ? 10 : 1;
    const topic = 'broker';
    const journal = world.journal(topic);
    await world.createTopic(topic, PARTITIONS);
    const engine = world.engine(topic);
    await engine.start();
    await engine.deploy({ topic, group: topic, journal, latency: 5, batchSize: 50 });
    const load = new Load({
      bootstrapServers: world.kafka.bootstrapServers,
      topic,
      partitions: PARTITIONS,
      recordsPerSecond: 1000,
    });
    await progress(journal, 0);
    let slowest = 0;
    for (let kill = 0; kill < kills; kill++) {
      await pass(1000);
      await world.kafka.kill('SIGKILL');
      await pass(500);
      await world.kafka.restart();
      const readyAt = Date.now();
      // What was fetched before the kill is done by now: this comes from the new life of the broker.
      await progress(journal, readyAt);
      slowest = Math.max(slowest, entriesOf(journal).find(({ at }) => at > readyAt)!.at - readyAt);
    }
    const { verdict } = await judge(world, topic, await load.stop());
    // The member outlives its broker: nothing is handed to anybody else, so nothing comes again.
    return {
      ...verdict,
      scenario: this.name,
      bound: 0,
      done: `${kills} kills, first record at most ${slowest} ms after the broker was ready`,
    };
  },
};
