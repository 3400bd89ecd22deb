import { SeededRandom } from '@headrace/testing';
import { leftOpen } from './check.ts';
import { committedBefore } from './commits.ts';
import type { JournalEntry } from './journal.ts';
import { Load } from './load.ts';
import { entriesOf, judge, pass, progress, type Scenario } from './scenario.ts';

const PARTITIONS = 6;

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
    const deaths: { life: number; diedAt: number; nextLife: number }[] = [];
    let slowestReady = 0;
    let slowestStart = 0;
    let slowest = 0;
    for (let kill = 0; kill < kills; kill++) {
      await pass(random.integer(0, 2000));
      const { processId } = engine;
      const diedAt = Date.now();
      // In turn: the machine dies, or the engine alone and its functions finish what they have.
      if (kill % 2 === 0) await engine.crash();
      else await engine.signal('SIGKILL');
      const startedAt = Date.now();
      const readyAt = await engine.start();
      slowestReady = Math.max(slowestReady, readyAt - startedAt);
      deaths.push({ life: processId, diedAt, nextLife: engine.processId });
      await progress(journal, readyAt, engine.processId);
      const first = (kind: JournalEntry['kind']): number =>
        entriesOf(journal).find((entry) => entry.life === engine.processId && entry.kind === kind)!.at - readyAt;
      // The engine goes on when it hands the first batch out; what comes between is the start of a process for the code.
      slowestStart = Math.max(slowestStart, first('started'));
      slowest = Math.max(slowest, first('began'));
    }
    const { verdict, accepted } = await judge(world, topic, await load.stop());
    const entries = entriesOf(journal);
    let bound = 0;
    let oldest = 0;
    for (const { life, diedAt, nextLife } of deaths) {
      // Until the next life has worked on something, every commit is the former's.
      const nextAt = entries.find((entry) => entry.life === nextLife && entry.kind === 'began')!.at;
      const open = leftOpen(entries, life, diedAt, (partition) => committedBefore(accepted, partition, nextAt));
      bound += open.inFlight + open.uncommitted;
      oldest = Math.max(oldest, open.uncommittedFor);
    }
    return {
      ...verdict,
      scenario: this.name,
      bound,
      done: `${kills} kills, the engine was ready at most ${slowestReady} ms after it was started, the first function was started at most ${slowestStart} ms and had its first record at most ${slowest} ms after the engine was ready; at a kill settled records had waited for their commit for at most ${oldest} ms`,
    };
  },
};
