import { Load } from './load.ts';
import { judge, pass, progress, type Scenario } from './scenario.ts';

const PARTITIONS = 4;

export const killConnections: Scenario = {
  name: 'kill-connections',
  description: 'every connection of the engine to the broker lives for 0.5 to 1.5 s',
  async run(world, form) {
    const seconds = form === 'long' ? 60 : 5;
    const topic = 'connections';
    const journal = world.journal(topic);
    await world.createTopic(topic, PARTITIONS);
    const engine = world.engine(topic, { proxied: true });
    await engine.start();
    await engine.deploy({ topic, group: topic, journal, latency: 5, batchSize: 50 });
    const load = new Load({
      bootstrapServers: world.kafka.bootstrapServers,
      topic,
      partitions: PARTITIONS,
      recordsPerSecond: 2000,
    });
    await progress(journal, 0);
    const before = world.proxy.cut;
    world.proxy.behaviour.cutAfterMs = [500, 1500];
    // Those that are open already would live on.
    world.proxy.cutAll();
    await pass(seconds * 1000);
    const { verdict } = await judge(world, topic, await load.stop());
    world.proxy.behaviour.cutAfterMs = undefined;
    return {
      ...verdict,
      scenario: this.name,
      // A member without a connection is still one.
      bound: 0,
      done: `${world.proxy.cut - before} connections cut in ${seconds} s`,
    };
  },
};
