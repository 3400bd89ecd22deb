import { Load } from './load.ts';
import { judge, pass, progress, type Scenario } from './scenario.ts';

const PARTITIONS = 6;
const CHURNERS = 2;

export const rebalanceStorm: Scenario = {
  name: 'rebalance-storm',
  description: 'a member joins or leaves every second',
  async run(world, form) {
    const seconds = form === 'long' ? 60 : 6;
    const topic = 'storm';
    const journal = world.journal(topic);
    await world.createTopic(topic, PARTITIONS);
    const deployment = { topic, group: topic, journal, latency: 20, batchSize: 20 };
    const steady = world.engine('storm-steady');
    await steady.start();
    await steady.deploy(deployment);
    const churners = await Promise.all(
      Array.from({ length: CHURNERS }, async (_, i) => {
        const engine = world.engine(`storm-${i}`);
        await engine.start();
        return { engine, uuid: await engine.deploy(deployment), isMember: true };
      }),
    );
    const load = new Load({
      bootstrapServers: world.kafka.bootstrapServers,
      topic,
      partitions: PARTITIONS,
      recordsPerSecond: 600,
    });
    await progress(journal, 0);
    const changes: Promise<void>[] = [];
    for (let second = 0; second < seconds; second++) {
      const churner = churners[second % CHURNERS]!;
      churner.isMember = !churner.isMember;
      const { engine, uuid, isMember } = churner;
      // A change of a mapping begins when the one before is through, which may take longer than its turn.
      const before = changes[second - CHURNERS] ?? Promise.resolve();
      changes.push(before.then(() => engine.enable(uuid, isMember)));
      await pass(1000);
    }
    await Promise.all(changes);
    const { verdict } = await judge(world, topic, await load.stop());
    return {
      ...verdict,
      scenario: this.name,
      // Invocations end well within the rebalance timeout.
      bound: 0,
      done: `${changes.length} joins and leaves in ${seconds} s`,
    };
  },
};
