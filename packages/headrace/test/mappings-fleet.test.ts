import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'node:test';
import { eventually, needs, startKafka } from '@headrace/testing';
import { Admin, Producer } from '@platformatic/kafka';
import type { Delivery } from './support/engine-process.ts';
import { definition } from './support/simulated-engine.ts';

const PARTITIONS = 6;
const BATCH_SIZE = 10;
const LATENCY = 5;

/** What functions of all engines got, in the order in which it was handled. */
class Ledger {
  /** Times that each offset was handled, by partition name. */
  readonly handled = new Map<string, Map<number, number>>();
  duplicates = 0;
  outOfOrder = 0;
  /** Longest time without a record (ms), since the last `mark`. */
  longestStall = 0;
  #lastAt = performance.now();

  note(engine: Map<string, number>, { records }: Delivery): void {
    const now = performance.now();
    this.longestStall = Math.max(this.longestStall, now - this.#lastAt);
    this.#lastAt = now;
    for (const [name, offsets] of Object.entries(records)) {
      let partition = this.handled.get(name);
      if (partition === undefined) this.handled.set(name, (partition = new Map()));
      for (const offset of offsets) {
        const times = partition.get(offset) ?? 0;
        if (times > 0) this.duplicates++;
        partition.set(offset, times + 1);
        // Within one engine a partition only goes forward, unless it went away and came back with a repetition.
        if (offset < (engine.get(name) ?? -1) && times === 0) this.outOfOrder++;
        engine.set(name, offset);
      }
    }
  }

  get records(): number {
    let records = 0;
    for (const partition of this.handled.values()) records += partition.size;
    return records;
  }
}

test('engines share a topic, hand over without a repetition, and one takes over after a kill -9: nothing lost, order kept', {
  skip: needs('java', 'maven'),
  timeout: 170_000,
}, async () => {
  await using kafka = await startKafka({
    properties: {
      'group.consumer.session.timeout.ms': 6000,
      'group.consumer.min.session.timeout.ms': 6000,
      'group.consumer.heartbeat.interval.ms': 1000,
      'group.consumer.min.heartbeat.interval.ms': 1000,
    },
  });
  const connection = { clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] };
  const admin = new Admin(connection);
  await admin.createTopics({ topics: ['orders'], partitions: PARTITIONS, replicas: 1 });
  await admin.close();
  const mapping = definition({
    bootstrapServers: [kafka.bootstrapServers],
    batchSize: BATCH_SIZE,
    consumerGroupId: 'fleet',
  });
  const ledger = new Ledger();
  const engines: ChildProcess[] = [];
  const start = (): ChildProcess => {
    const child = fork(
      join(import.meta.dirname, 'support/engine-process.ts'),
      [JSON.stringify(mapping), `${LATENCY}`],
      {
        execArgv: ['--disable-warning=ExperimentalWarning'],
      },
    );
    const positions = new Map<string, number>();
    child.on('message', (message) => ledger.note(positions, message as Delivery));
    engines.push(child);
    return child;
  };
  const producer = new Producer<string, string, string, string>(connection);
  let produced = 0;
  let isProducing = true;
  const producing = (async () => {
    while (isProducing) {
      const messages = Array.from({ length: 60 }, (_, i) => ({
        topic: 'orders',
        partition: i % PARTITIONS,
        key: Buffer.from('k') as unknown as string,
        value: Buffer.from(`${produced + i}`) as unknown as string,
      }));
      await producer.send({ messages });
      produced += messages.length;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  try {
    const [first, second] = [start(), start()];
    await eventually(() => ledger.records > 500, { timeoutMs: 40_000, what: 'the first records' });

    // One goes in peace: what it has in flight is finished, nothing comes twice.
    second.kill('SIGTERM');
    const [code] = (await once(second, 'exit')) as [number | null];
    assert.equal(code, 0);
    const afterLeave = ledger.records;
    await eventually(() => ledger.records > afterLeave + 500, { timeoutMs: 40_000, what: 'records after a leave' });
    assert.equal(ledger.duplicates, 0, 'a leave repeats nothing');

    // One is killed while another is there.
    start();
    const beforeJoin = ledger.records;
    await eventually(() => ledger.records > beforeJoin + 500, { timeoutMs: 40_000, what: 'records after a join' });
    assert.equal(ledger.duplicates, 0, 'a join repeats nothing');
    ledger.longestStall = 0;
    first.kill('SIGKILL');
    isProducing = false;
    await producing;
    await eventually(() => ledger.records === produced, {
      timeoutMs: 60_000,
      what: () => `${ledger.records} of ${produced}`,
    });
    // In flight on each partition, and what was handled since the last commit: 100 ms of one batch after the other.
    const bound = PARTITIONS * BATCH_SIZE * (1 + Math.ceil(100 / LATENCY));
    console.log(
      `records ${produced}, lost 0, out of order ${ledger.outOfOrder}, repetitions ${ledger.duplicates} (bound ${bound}), longest stall after the kill ${Math.round(ledger.longestStall)} ms`,
    );
    assert.equal(ledger.outOfOrder, 0);
    assert.ok(ledger.duplicates <= bound);
    // Session timeout, then a heartbeat until the other hears of its new partitions.
    assert.ok(ledger.longestStall < 15_000);
  } finally {
    isProducing = false;
    for (const engine of engines) engine.kill('SIGKILL');
    await producer.close();
  }
});
