import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { eventually, needs, startKafka, temporaryFolder } from '@headrace/testing';
import { createTopics, produce } from '../kafka/harness.ts';
import { Engine } from './engine.ts';
import { type JournalEntry, readJournal } from './journal.ts';

/** The session timeout that a restarted engine must not wait for. */
const SESSION_TIMEOUT = 30_000;
/** On a machine with nothing else to do it is well below one second; this one may be busy. */
const LONGEST = 20_000;

describe('an engine that is killed and started again at once', { skip: needs('java', 'maven') }, () => {
  for (const protocol of ['classic', 'KIP-848'] as const) {
    test(`goes on where it stopped, long before its session would end (${protocol})`, async (t) => {
      await using kafka = await startKafka({
        properties: {
          'group.coordinator.rebalance.protocols': protocol === 'classic' ? 'classic' : 'classic,consumer',
          'group.consumer.session.timeout.ms': SESSION_TIMEOUT,
          // As brokers have it by default: what is assigned must not have to wait for the second heartbeat.
          'group.consumer.heartbeat.interval.ms': 5000,
        },
      });
      const folder = temporaryFolder('restart');
      t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
      const journal = join(folder, 'journal');
      const topic = 'orders';
      await createTopics(kafka.bootstrapServers, [topic], 4);
      const send = (): Promise<void> =>
        produce(
          kafka.bootstrapServers,
          Array.from({ length: 40 }, (_, i) => ({ topic, partition: i % 4, value: 'x' })),
        );
      const records = (life: number): number =>
        readJournal(journal)
          .filter((entry) => entry.life === life)
          .flatMap(({ ranges }) => ranges)
          .reduce((sum, { from, to }) => sum + to - from, 0);

      await using engine = new Engine({
        dataDirectory: join(folder, 'data'),
        bootstrapServers: kafka.bootstrapServers,
      });
      await engine.start();
      await engine.deploy({ topic, group: 'restart', journal, latency: 0, batchSize: 100 });
      await send();
      const first = engine.processId;
      await eventually(() => records(first) === 40, { timeoutMs: 30_000 });
      await engine.signal('SIGKILL');
      await send();
      const ready = await engine.start();
      const { processId } = engine;
      await eventually(() => records(processId) >= 40, { timeoutMs: SESSION_TIMEOUT + 20_000 });
      const firstOf = (kind: JournalEntry['kind']): number =>
        readJournal(journal).find((entry) => entry.life === processId && entry.kind === kind)!.at - ready;
      const after = firstOf('began');
      console.log(
        `${protocol}: the function was started ${firstOf('started')} ms and had its first record ${after} ms after the engine was ready`,
      );
      assert.ok(after < LONGEST, `first record ${after} ms after the engine was ready`);

      // An orderly end leaves the group: a stranger takes over at once.
      await engine.signal('SIGTERM');
      assert.deepEqual(await engine.ended, { code: 0, signal: null });
      await using stranger = new Engine({
        dataDirectory: join(folder, 'other'),
        bootstrapServers: kafka.bootstrapServers,
      });
      await stranger.start();
      await send();
      await stranger.deploy({ topic, group: 'restart', journal, latency: 0, batchSize: 100 });
      await eventually(() => records(stranger.processId) >= 40, {
        timeoutMs: LONGEST,
        what: () => `the stranger got ${records(stranger.processId)} records of 40`,
      });
      assert.equal(records(stranger.processId), 40, 'what was committed at the end does not come again');
    });
  }
});
