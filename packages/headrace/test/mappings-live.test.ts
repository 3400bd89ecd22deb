/** What changes while a mapping runs, on Apache Kafka: settings, where it starts, how wide it is. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually, type Kafka, needs, startKafka } from '@headrace/testing';
import { systemClock } from '../src/clock.ts';
import { createKafkaCluster } from '../src/kafka/index.ts';
import type { MappingDefinition, MappingSnapshot, StoredMapping } from '../src/mappings/definition.ts';
import { createMappingSupervisor } from '../src/mappings/supervisor.ts';
import { rebalanceChannel } from '../src/telemetry/channels.ts';
import { createTopics, produce } from './kafka/harness.ts';
import { definition, succeed } from './support/simulated-engine.ts';

interface Invocation {
  readonly functionArn: string;
  readonly at: number;
  readonly group: string;
  readonly values: readonly string[];
  readonly places: readonly { readonly partition: number; readonly offset: number }[];
}

const arnOf = (name: string): string => `arn:aws:lambda:us-east-1:000000000000:function:${name}`;

describe('a mapping that goes on, on Apache Kafka', { skip: needs('java', 'maven') }, () => {
  let kafka: Kafka;
  let supervisor: ReturnType<typeof createMappingSupervisor>;
  const invocations: Invocation[] = [];
  let latency = 0;

  before(async () => {
    kafka = await startKafka({
      properties: {
        'group.consumer.heartbeat.interval.ms': 500,
        'group.consumer.session.timeout.ms': 3000,
      },
    });
    const store = new Map<string, StoredMapping>();
    supervisor = createMappingSupervisor({
      store: {
        all: () => [...store.values()],
        put: (mapping) => void store.set(mapping.definition.uuid, mapping),
        remove: (uuid) => void store.delete(uuid),
      },
      clusters: async ({ bootstrapServers }) => createKafkaCluster({ bootstrapServers: bootstrapServers! }),
      invoke: async (functionArn, payload) => {
        const { records } = JSON.parse(Buffer.from(payload).toString()) as {
          records: Record<string, { partition: number; offset: number; value: string }[]>;
        };
        const all = Object.values(records).flat();
        const at = performance.now();
        if (latency > 0) await delay(latency);
        invocations.push({
          functionArn,
          at,
          group: functionArn.split(':')[6]!,
          values: all.map(({ value }) => Buffer.from(value, 'base64').toString()),
          places: all.map(({ partition, offset }) => ({ partition, offset })),
        });
        return succeed();
      },
      clock: systemClock,
      random: Math.random,
      scaleDownAfterMilliseconds: 300,
    });
  });
  after(async () => {
    await supervisor?.stop();
    await kafka?.stop();
  });

  const create = (name: string, change: Partial<MappingDefinition> = {}): MappingDefinition => {
    const uuid = crypto.randomUUID();
    const bootstrapServers = [kafka.bootstrapServers];
    const functionArn = arnOf(name);
    const made = definition({
      ...{ uuid, topics: [name], consumerGroupId: name, bootstrapServers, functionArn },
      ...change,
    });
    supervisor.create(made);
    return made;
  };
  const snapshot = ({ uuid }: MappingDefinition): MappingSnapshot => supervisor.snapshot(uuid)!;
  const isIn = ({ uuid }: MappingDefinition, state: string): Promise<unknown> =>
    eventually(() => supervisor.get(uuid)?.status.state === state, { timeoutMs: 30_000 });
  const assigned = (mapping: MappingDefinition, partitions: number): Promise<unknown> =>
    eventually(() => snapshot(mapping).partitions.length === partitions, { timeoutMs: 30_000 });
  const gone = async (mapping: MappingDefinition): Promise<void> => {
    await isIn(mapping, 'Enabled');
    supervisor.delete(mapping.uuid);
    await eventually(() => supervisor.get(mapping.uuid) === undefined, { timeoutMs: 30_000 });
  };
  const valuesOf = (name: string): string[] =>
    invocations.filter(({ group }) => group === name).flatMap(({ values }) => values);
  const gets = (name: string, expected: readonly string[]): Promise<unknown> =>
    eventually(() => valuesOf(name).length >= expected.length, {
      timeoutMs: 30_000,
      what: () => `${name}: ${valuesOf(name)} instead of ${expected}`,
    }).then(() => assert.deepEqual(valuesOf(name), expected));

  test('each setting is swapped under load: nobody leaves the group, nothing is lost or comes twice, order is kept', async () => {
    const topic = 'swapped';
    await createTopics(kafka.bootstrapServers, [topic], 4);
    const changes: unknown[] = [];
    let mapping = create(topic, { batchSize: 100 });
    const listener = (message: unknown): void => {
      if ((message as { uuid: string }).uuid === mapping.uuid) changes.push(message);
    };
    await assigned(mapping, 4);
    await isIn(mapping, 'Enabled');
    subscribe(rebalanceChannel.name, listener);
    const { rebalances } = snapshot(mapping).counts;
    let sent = 0;
    const sendSome = (count: number, prefix = 'keep'): Promise<void> => {
      const messages = Array.from({ length: count }, () => ({
        topic,
        partition: sent % 4,
        value: `${prefix} ${sent++}`,
      }));
      return produce(kafka.bootstrapServers, messages);
    };
    const update = async (change: Partial<MappingDefinition>): Promise<number> => {
      mapping = { ...mapping, ...change };
      // In the midst of work: what is sent before is still being handled when the change comes.
      await sendSome(200);
      supervisor.update(mapping);
      await isIn(mapping, 'Enabled');
      const from = invocations.length;
      await sendSome(40);
      return from;
    };
    const handled = (count: number): Promise<unknown> =>
      eventually(() => valuesOf(topic).length >= count, {
        timeoutMs: 30_000,
        what: () => `${valuesOf(topic).length} of ${count}`,
      });

    let from = await update({ batchSize: 7 });
    await handled(sent);
    // Those in flight when it changed were made before.
    const sizes = invocations.slice(from + 1).map(({ values }) => values.length);
    assert.ok(sizes.length > 0 && sizes.every((size) => size <= 7), `batches of ${sizes}`);

    from = await update({ functionArn: `${arnOf(topic)}:7` });
    await handled(sent);
    assert.equal(invocations.at(-1)!.functionArn, `${arnOf(topic)}:7`);

    await update({ provisionedPollerConfig: { MinimumPollers: 3, MaximumPollers: 4 } });
    await handled(sent);
    assert.ok(snapshot(mapping).pollers >= 3);

    await update({ maximumBatchingWindowInSeconds: 1, batchSize: 10_000 });
    await handled(sent);
    const sentAt = performance.now();
    await sendSome(1);
    await handled(sent);
    const waited = invocations.at(-1)!.at - sentAt;
    assert.ok(waited >= 950, `handled after ${waited} ms`);

    const filterCriteria = { Filters: [{ Pattern: '{"value":[{"prefix":"keep"}]}' }] };
    await update({ filterCriteria, maximumBatchingWindowInSeconds: 0 });
    const before = sent;
    await sendSome(20, 'drop');
    await sendSome(20);
    await eventually(() => snapshot(mapping).partitions.every(({ lag }) => lag === 0), { timeoutMs: 30_000 });
    await eventually(() => snapshot(mapping).counts.committed === sent, { timeoutMs: 30_000 });
    unsubscribe(rebalanceChannel.name, listener);

    const expected = Array.from({ length: sent }, (_, number) => number).filter(
      (number) => number < before || number >= before + 20,
    );
    assert.deepEqual(
      valuesOf(topic).sort((a, b) => Number(a.slice(5)) - Number(b.slice(5))),
      expected.map((number) => `keep ${number}`),
    );
    for (const partition of [0, 1, 2, 3]) {
      const offsets = invocations
        .filter(({ group }) => group === topic)
        .flatMap(({ places }) => places.filter((place) => place.partition === partition))
        .map(({ offset }) => offset);
      assert.deepEqual(
        offsets,
        [...offsets].sort((a, b) => a - b),
      );
    }
    assert.deepEqual(changes, []);
    assert.equal(snapshot(mapping).counts.rebalances, rebalances);
    console.log(`${rebalances} rebalances before five changes, ${snapshot(mapping).counts.rebalances} after`);
    await gone(mapping);
  });

  test('disabled, enabled, moved to other servers and made anew under load: each record is handled once, in order', async () => {
    const topic = 'switched';
    await createTopics(kafka.bootstrapServers, [topic], 3);
    let mapping = create(topic, { batchSize: 5 });
    latency = 5;
    let sent = 0;
    let isSending = true;
    const sending = (async () => {
      while (isSending) {
        const messages = Array.from({ length: 30 }, (_, i) => ({ topic, partition: i % 3, value: `${sent + i}` }));
        await produce(kafka.bootstrapServers, messages);
        sent += 30;
        await delay(40);
      }
    })();
    const goesOn = async (): Promise<void> => {
      const before = valuesOf(topic).length;
      await eventually(() => valuesOf(topic).length > before + 60, { timeoutMs: 30_000 });
    };
    try {
      await isIn(mapping, 'Enabled');
      await goesOn();
      supervisor.update({ ...mapping, enabled: false });
      await isIn(mapping, 'Disabled');
      const stopped = valuesOf(topic).length;
      await eventually(() => sent > stopped + 300, { timeoutMs: 30_000 });
      assert.equal(valuesOf(topic).length, stopped, 'nothing is handled while it is disabled');
      supervisor.update(mapping);
      await isIn(mapping, 'Enabled');
      await goesOn();
      // Another listener of the same cluster: a new connection, and a new place in the group.
      mapping = { ...mapping, bootstrapServers: [kafka.bootstrapServers, '127.0.0.1:1'] };
      supervisor.update(mapping);
      await isIn(mapping, 'Enabled');
      await goesOn();
      await gone(mapping);
      mapping = create(topic, { batchSize: 5, startingPosition: 'LATEST' });
      await goesOn();
    } finally {
      isSending = false;
      await sending;
    }
    await eventually(() => valuesOf(topic).length >= sent, { timeoutMs: 30_000 });
    latency = 0;
    const values = valuesOf(topic).map(Number);
    assert.deepEqual(
      [...values].sort((a, b) => a - b),
      Array.from({ length: sent }, (_, number) => number),
    );
    for (const partition of [0, 1, 2]) {
      const own = values.filter((value) => value % 3 === partition);
      assert.deepEqual(
        own,
        [...own].sort((a, b) => a - b),
      );
    }
    await gone(mapping);
  });

  test('a starting position counts only where the group has no offsets; mappings of one topic do not touch each other', async () => {
    const topic = 'begun';
    await createTopics(kafka.bootstrapServers, [topic], 1);
    const send = (value: string, timestamp = Date.now()): Promise<void> =>
      produce(kafka.bootstrapServers, [{ topic, value, timestamp: BigInt(timestamp) }]);
    const now = Date.now();
    await send('a', now - 60_000);
    await send('b', now - 1_000);
    const first = create('begun', { startingPosition: 'TRIM_HORIZON' });
    await gets('begun', ['a', 'b']);
    await gone(first);
    await send('c', now);

    const at = { startingPosition: 'AT_TIMESTAMP', startingPositionTimestamp: now / 1000 - 30 } as const;
    const others = [
      create('latest', { topics: [topic], startingPosition: 'LATEST' }),
      create('timed', { topics: [topic], ...at }),
    ];
    for (const other of others) await assigned(other, 1);
    await gets('timed', ['b', 'c']);
    // The group has offsets by now: each of these goes on behind them.
    const second = create('begun', { startingPosition: 'LATEST' });
    await gets('begun', ['a', 'b', 'c']);
    await gone(second);
    await send('d');
    const third = create('begun', { startingPosition: 'AT_TIMESTAMP', startingPositionTimestamp: now / 1000 - 120 });
    await gets('begun', ['a', 'b', 'c', 'd']);
    await gone(third);
    await send('e');
    const fourth = create('begun', { startingPosition: 'TRIM_HORIZON' });
    await gets('begun', ['a', 'b', 'c', 'd', 'e']);
    await gets('latest', ['d', 'e']);
    await gets('timed', ['b', 'c', 'd', 'e']);
    for (const mapping of [...others, fourth]) await gone(mapping);
  });

  test('a function that runs longer than the session costs no membership and no repetition', async () => {
    const topic = 'patient';
    await createTopics(kafka.bootstrapServers, [topic], 1);
    const mapping = create(topic);
    await assigned(mapping, 1);
    await isIn(mapping, 'Enabled');
    const { rebalances } = snapshot(mapping).counts;
    latency = 4500;
    await produce(kafka.bootstrapServers, [{ topic, value: 'slow' }]);
    await gets(topic, ['slow']);
    latency = 0;
    await eventually(() => snapshot(mapping).partitions[0]?.committedOffset === 1);
    assert.equal(snapshot(mapping).counts.rebalances, rebalances);
    assert.equal(snapshot(mapping).counts.invocations, 1);
    await gone(mapping);
  });

  test('a step in lag adds the first poller within 2 s; when the load is gone they go one by one; no rebalance', async () => {
    const topic = 'scaled';
    await createTopics(kafka.bootstrapServers, [topic], 4);
    const mapping = create(topic, { batchSize: 1 });
    await assigned(mapping, 4);
    await isIn(mapping, 'Enabled');
    const { rebalances } = snapshot(mapping).counts;
    assert.equal(snapshot(mapping).pollers, 1);
    const firsts: number[] = [];
    // The best of up to three: the machine may be busy.
    for (let round = 1; round <= 3 && !(Math.min(...firsts) <= 2000); round++) {
      latency = 50;
      await produce(
        kafka.bootstrapServers,
        Array.from({ length: 280 }, (_, i) => ({ topic, partition: i % 4, value: `${i}` })),
      );
      const began = performance.now();
      const widths: number[] = [1];
      const look = (): boolean => {
        const { pollers } = snapshot(mapping);
        if (pollers !== widths.at(-1)) {
          if (widths.length === 1) firsts.push(Math.round(performance.now() - began));
          widths.push(pollers);
        }
        return valuesOf(topic).length === 280 * round && pollers === 1;
      };
      await eventually(look, { timeoutMs: 60_000, everyMs: 20, what: () => `${widths}` });
      latency = 0;
      console.log(
        `pollers ${widths}, the first more after ${firsts.at(-1)} ms, ${snapshot(mapping).counts.rebalances - rebalances} rebalances by scaling`,
      );
      const top = widths.indexOf(4);
      assert.ok(top > 0, `${widths}`);
      assert.deepEqual(widths.slice(top), [4, 3, 2, 1]);
    }
    assert.ok(Math.min(...firsts) <= 2000, `${firsts} ms`);
    assert.equal(snapshot(mapping).counts.rebalances, rebalances);
    await gone(mapping);
  });
});
