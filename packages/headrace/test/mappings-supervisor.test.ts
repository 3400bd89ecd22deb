import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import test, { describe } from 'node:test';
import { MappingInUse } from '../src/mappings/definition.ts';
import type { FailedBatch } from '../src/mappings/destinations.ts';
import { definition, failWith, type Invocation, SimulatedEngine, succeed, UUID } from './support/simulated-engine.ts';

const values = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => `value ${from + i}`);

describe('states', () => {
  test('a mapping is Creating, then Enabled, and says so with times and reasons', async () => {
    const engine = new SimulatedEngine();
    const created = engine.supervisor.create(definition());
    assert.equal(created.status.state, 'Creating');
    assert.equal(created.status.stateTransitionReason, 'USER_INITIATED');
    assert.equal(created.status.lastProcessingResult, 'No records processed');
    await engine.run(1000);
    assert.equal(engine.state(), 'Enabled');
    assert.equal(engine.store.get(UUID)!.status.state, 'Enabled');
    assert.ok(engine.supervisor.get(UUID)!.status.lastModified >= created.status.lastModified);
  });

  test('a change of a mapping in transition is refused', async () => {
    const engine = new SimulatedEngine();
    engine.supervisor.create(definition());
    assert.throws(() => engine.supervisor.update(definition({ batchSize: 5 })), MappingInUse);
    assert.throws(() => engine.supervisor.delete(UUID), {
      message: 'Cannot delete the event source mapping because it is in use.',
    });
    await engine.run(1000);
    assert.equal(engine.supervisor.update(definition({ batchSize: 5 })).status.state, 'Updating');
    assert.throws(() => engine.supervisor.update(definition()), MappingInUse);
    await engine.run(1000);
    assert.equal(engine.state(), 'Enabled');
  });

  test('created disabled it does nothing; enabled it begins, disabled it stops, enabled again it goes on', async () => {
    const engine = new SimulatedEngine();
    engine.supervisor.create(definition({ enabled: false }));
    await engine.run(1000);
    assert.equal(engine.state(), 'Disabled');
    engine.produce(0, ...values(3));
    await engine.run(1000);
    assert.equal(engine.invocations.length, 0);
    assert.equal(engine.supervisor.update(definition()).status.state, 'Enabling');
    await engine.run(1000);
    assert.equal(engine.state(), 'Enabled');
    assert.deepEqual(
      engine.invocations.map(({ records }) => records),
      [{ 'orders-0': [0, 1, 2] }],
    );
    assert.equal(engine.supervisor.update(definition({ enabled: false })).status.state, 'Disabling');
    await engine.run(1000);
    assert.equal(engine.state(), 'Disabled');
    assert.equal(engine.committed(), 3);
    engine.produce(0, 'later');
    await engine.run(60_000);
    assert.equal(engine.invocations.length, 1);
    engine.supervisor.update(definition());
    await engine.run(1000);
    assert.deepEqual(engine.invocations[1]!.records, { 'orders-0': [3] });
  });

  test('a deleted mapping is Deleting until what is in flight has ended and is committed, then it is gone', async () => {
    const engine = new SimulatedEngine();
    engine.latency = 3000;
    engine.supervisor.create(definition());
    engine.produce(0, ...values(3));
    await engine.run(1000);
    assert.equal(engine.inFlight, 1);
    assert.equal(engine.supervisor.delete(UUID).status.state, 'Deleting');
    await engine.run(1000);
    assert.equal(engine.state(), 'Deleting');
    await engine.run(2000);
    assert.equal(engine.state(), undefined);
    assert.equal(engine.committed(), 3);
    assert.equal(engine.store.size, 0);
  });

  test('what the store holds goes on after a restart, a change that was cut off is brought to its end', async () => {
    for (const [state, settled] of [
      ['Enabled', 'Enabled'],
      ['Creating', 'Enabled'],
      ['Updating', 'Enabled'],
      ['Disabling', 'Disabled'],
      ['Deleting', undefined],
    ] as const) {
      const engine = new SimulatedEngine();
      const status = { state, stateTransitionReason: 'USER_INITIATED', lastProcessingResult: 'OK', lastModified: 1 };
      engine.store.set(UUID, { definition: definition({ enabled: state !== 'Disabling' }), status });
      engine.produce(0, 'a');
      engine.supervisor.start();
      await engine.run(2000);
      assert.equal(engine.state(), settled, state);
      assert.equal(engine.invocations.length, settled === 'Enabled' ? 1 : 0, state);
    }
  });

  test('trouble with the source shows in result and reason, and goes when it is over; the mapping stays Enabled', async () => {
    const engine = new SimulatedEngine();
    engine.supervisor.create(definition());
    await engine.run(1000);
    engine.kafka.faults.downUntil = engine.clock.now() + 5000;
    await engine.run(2000);
    assert.equal(engine.state(), 'Enabled');
    assert.match(engine.supervisor.get(UUID)!.status.lastProcessingResult, /^PROBLEM: Connection error\. Please check/);
    await engine.run(5000);
    assert.equal(engine.supervisor.get(UUID)!.status.lastProcessingResult, 'OK');
  });

  test('trouble that was over before the next poller began is gone once it polls, though nothing comes', async () => {
    const engine = new SimulatedEngine();
    engine.supervisor.create(definition());
    await engine.run(1000);
    for (const change of [{ enabled: false }, { bootstrapServers: ['other:9092'] }]) {
      engine.kafka.faults.downUntil = engine.clock.now() + 5000;
      await engine.run(2000);
      assert.match(engine.supervisor.get(UUID)!.status.lastProcessingResult, /^PROBLEM: Connection error/);
      await engine.run(2900);
      engine.supervisor.update(definition(change));
      await engine.run(1000);
      engine.supervisor.update(definition());
      await engine.run(1000);
      assert.equal(engine.supervisor.get(UUID)!.status.lastProcessingResult, 'OK');
    }
  });

  test('trouble that was over before the engine began again is gone once it polls, also from the store', async () => {
    const engine = new SimulatedEngine();
    const status = {
      state: 'Enabled',
      stateTransitionReason: 'EVENT_SOURCE_AUTHN_ERROR',
      lastProcessingResult: 'PROBLEM: SASL authentication failed.',
      lastModified: 1,
    } as const;
    engine.store.set(UUID, { definition: definition(), status });
    engine.supervisor.start();
    assert.equal(engine.supervisor.get(UUID)!.status.stateTransitionReason, 'EVENT_SOURCE_AUTHN_ERROR');
    await engine.run(1000);
    for (const { status: now } of [engine.supervisor.get(UUID)!, engine.store.get(UUID)!]) {
      assert.deepEqual([now.stateTransitionReason, now.lastProcessingResult], ['USER_INITIATED', 'OK']);
    }
  });

  test('the last processing result follows the function', async () => {
    const engine = new SimulatedEngine({ backoff: { initialMilliseconds: 100, maximumMilliseconds: 100 } });
    let isBad = true;
    engine.handler = () => (isBad ? failWith('bad day') : succeed());
    engine.supervisor.create(definition());
    engine.produce(0, 'a');
    await engine.run(1000);
    assert.equal(engine.supervisor.get(UUID)!.status.lastProcessingResult, 'PROBLEM: Function call failed');
    isBad = false;
    await engine.run(1000);
    assert.equal(engine.supervisor.get(UUID)!.status.lastProcessingResult, 'OK');
  });
});

describe('batches', () => {
  test('close at their size, in order, and mix the partitions of a mapping', async () => {
    const engine = new SimulatedEngine({ partitions: 2 });
    engine.produce(0, ...values(3));
    engine.produce(1, ...values(3));
    engine.supervisor.create(definition({ batchSize: 4 }));
    await engine.run(3000);
    assert.deepEqual(
      engine.invocations.map(({ records }) => records),
      [{ 'orders-0': [0, 1, 2], 'orders-1': [0] }, { 'orders-1': [1, 2] }],
    );
  });

  test('the default window is 500 ms from the first record, and a full batch does not wait for it', async () => {
    const engine = new SimulatedEngine();
    const { maximumBatchingWindowInSeconds: _, ...rest } = definition({ batchSize: 5 });
    engine.supervisor.create(rest);
    await engine.run(2000);
    engine.produce(0, 'a');
    await engine.run(300);
    engine.produce(0, 'b');
    const before = engine.invocations.length;
    assert.equal(before, 0);
    await engine.run(600);
    assert.deepEqual(
      engine.invocations.map(({ records }) => records),
      [{ 'orders-0': [0, 1] }],
    );
    engine.produce(0, ...values(5));
    await engine.run(210);
    assert.equal(engine.invocations.length, 2);
  });

  test('a window in seconds collects for as long', async () => {
    const engine = new SimulatedEngine();
    engine.supervisor.create(definition({ maximumBatchingWindowInSeconds: 5 }));
    await engine.run(1000);
    for (let i = 0; i < 8; i++) {
      engine.produce(0, `${i}`);
      await engine.run(500);
    }
    assert.equal(engine.invocations.length, 0);
    await engine.run(2000);
    assert.deepEqual(
      engine.invocations.map(({ records }) => records),
      [{ 'orders-0': [0, 1, 2, 3, 4, 5, 6, 7] }],
    );
  });

  test('never hold a partition twice in flight, and a failing partition lets the others go on', async () => {
    const engine = new SimulatedEngine({
      partitions: 3,
      backoff: { initialMilliseconds: 10_000, maximumMilliseconds: 10_000 },
    });
    engine.handler = ({ event }) => ('orders-1' in event.records ? failWith('poison') : succeed());
    engine.supervisor.create(definition({ batchSize: 1 }));
    for (let i = 0; i < 5; i++) for (const partition of [0, 1, 2]) engine.produce(partition, `${i}`);
    await engine.run(9000);
    assert.equal(engine.committed(0), 5);
    assert.equal(engine.committed(2), 5);
    assert.equal(engine.committed(1), undefined);
    const [blocked] = engine.supervisor.snapshot(UUID)!.partitions.filter(({ blockedBy }) => blockedBy !== undefined);
    assert.equal(blocked!.partition, 1);
    assert.equal(blocked!.blockedBy!.offset, 0);
    assert.equal(blocked!.blockedBy!.error.message, 'poison');
  });

  test('what the filter drops is committed without an invocation', async () => {
    const engine = new SimulatedEngine();
    const Pattern = '{"value":{"kind":["good"]}}';
    engine.supervisor.create(definition({ filterCriteria: { Filters: [{ Pattern }] } }));
    engine.produce(0, '{"kind":"bad"}', '{"kind":"bad"}');
    await engine.run(1000);
    assert.equal(engine.invocations.length, 0);
    assert.equal(engine.committed(), 2);
    engine.produce(0, '{"kind":"bad"}', '{"kind":"good"}', '{"kind":"bad"}', '{"kind":"good"}', '{"kind":"bad"}');
    await engine.run(1000);
    assert.deepEqual(
      engine.invocations.map(({ records }) => records),
      [{ 'orders-0': [3, 5] }],
    );
    assert.equal(engine.committed(), 7);
    const { counts } = engine.supervisor.snapshot(UUID)!;
    assert.deepEqual([counts.received, counts.filtered, counts.succeeded, counts.committed], [7, 5, 2, 7]);
  });
});

describe('hot swap', () => {
  test('batch size, filter and function change without leaving the group, nothing comes twice', async () => {
    const engine = new SimulatedEngine();
    engine.supervisor.create(definition({ batchSize: 1 }));
    engine.produce(0, ...values(3));
    await engine.run(1000);
    assert.equal(engine.invocations.length, 3);
    const assignments = engine.rebalances;
    const functionArn = 'arn:aws:lambda:us-east-1:000000000000:function:other:7';
    const filterCriteria = { Filters: [{ Pattern: '{"value":[{"prefix":"keep"}]}' }] };
    engine.supervisor.update(definition({ batchSize: 50, functionArn, filterCriteria }));
    engine.produce(0, 'keep 1', 'drop', 'keep 2');
    await engine.run(1000);
    assert.equal(engine.state(), 'Enabled');
    assert.deepEqual(
      engine.invocations.slice(3).map(({ records }) => records),
      [{ 'orders-0': [3, 5] }],
    );
    assert.equal(engine.invocations[3]!.functionArn, functionArn);
    assert.equal(engine.rebalances, assignments);
  });
});

describe('scaling', () => {
  test('on demand: a step in lag adds the first poller within 2 s, up to one a partition; later they go one by one', async () => {
    const engine = new SimulatedEngine({ partitions: 8 });
    engine.latency = 50;
    engine.supervisor.create(definition({ batchSize: 1 }));
    await engine.run(5000);
    const pollers = (): number => engine.supervisor.snapshot(UUID)!.pollers;
    assert.equal(pollers(), 1);
    for (let partition = 0; partition < 8; partition++) engine.produce(partition, ...values(200));
    await engine.run(2000);
    assert.ok(pollers() > 1, `${pollers()} pollers 2 s after the step`);
    await engine.run(4000);
    assert.equal(pollers(), 8);
    assert.equal(engine.mostInFlight, 8);
    const assignments = engine.rebalances;
    const seen: number[] = [];
    for (let i = 0; i < 200; i++) {
      await engine.run(1000);
      if (seen.at(-1) !== pollers()) seen.push(pollers());
    }
    assert.deepEqual(seen, [8, 7, 6, 5, 4, 3, 2, 1]);
    assert.equal(engine.rebalances, assignments);
    console.log(`assignments: ${assignments} at the begin, ${engine.rebalances - assignments} by scaling`);
  });

  test('environments for the next pollers are asked for before their first batches', async () => {
    const engine = new SimulatedEngine({ partitions: 8 });
    engine.latency = 50;
    engine.supervisor.create(definition({ batchSize: 1 }));
    await engine.run(5000);
    for (let partition = 0; partition < 8; partition++) engine.produce(partition, ...values(200));
    await engine.run(10_000);
    // One poller becomes two, four, eight.
    assert.deepEqual(
      engine.warmed.map(({ environments }) => environments),
      [1, 2, 4],
    );
    // Invocations overlap beyond the width before only from that much later on.
    let pollers = 1;
    for (const { at, environments } of engine.warmed) {
      const wider = engine.invocations.find(
        ({ at: start }) =>
          engine.invocations.filter((each) => each.at > start - 50 && each.at <= start).length > pollers,
      );
      assert.ok(wider!.at >= at + 200, `asked at ${at} ms, used at ${wider!.at} ms`);
      pollers += environments;
    }
  });

  test('a burst that is over at once starts no environments in advance', async () => {
    const engine = new SimulatedEngine({ partitions: 8 });
    engine.latency = 10;
    engine.supervisor.create(definition({ batchSize: 1 }));
    await engine.run(5000);
    for (let partition = 0; partition < 8; partition++) engine.produce(partition, ...values(2));
    await engine.run(5000);
    assert.equal(engine.invocations.length, 16);
    assert.deepEqual(engine.warmed, []);
  });

  test('provisioned: never below the minimum, never above the maximum, five invocations each', async () => {
    const engine = new SimulatedEngine({ partitions: 30 });
    engine.latency = 1000;
    engine.supervisor.create(
      definition({ batchSize: 1, provisionedPollerConfig: { MinimumPollers: 2, MaximumPollers: 3 } }),
    );
    await engine.run(5000);
    assert.equal(engine.supervisor.snapshot(UUID)!.pollers, 2);
    for (let partition = 0; partition < 30; partition++) engine.produce(partition, ...values(30));
    await engine.run(900);
    assert.equal(engine.mostInFlight, 10);
    await engine.run(5000);
    assert.equal(engine.supervisor.snapshot(UUID)!.pollers, 3);
    assert.equal(engine.mostInFlight, 15);
  });

  test('provisioned: no more than partitions, also before anything comes', async () => {
    const engine = new SimulatedEngine({ partitions: 3 });
    engine.supervisor.create(definition({ provisionedPollerConfig: { MinimumPollers: 50 } }));
    await engine.run(5000);
    assert.equal(engine.supervisor.snapshot(UUID)!.pollers, 3);
  });

  test('a throttled function gets fewer pollers, spends no attempt and loses nothing', async () => {
    const engine = new SimulatedEngine({ partitions: 4 });
    engine.latency = 20;
    let isThrottled = false;
    engine.handler = () =>
      isThrottled ? { kind: 'throttled', reason: 'ReservedFunctionConcurrentInvocationLimitExceeded' } : succeed();
    engine.supervisor.create(definition({ batchSize: 1, maximumRetryAttempts: 0 }));
    for (let partition = 0; partition < 4; partition++) engine.produce(partition, ...values(300));
    await engine.run(4000);
    assert.equal(engine.supervisor.snapshot(UUID)!.pollers, 4);
    isThrottled = true;
    await engine.run(20_000);
    assert.equal(engine.supervisor.snapshot(UUID)!.pollers, 1);
    isThrottled = false;
    await engine.run(120_000);
    const { counts } = engine.supervisor.snapshot(UUID)!;
    assert.equal(counts.succeeded, 1200);
    assert.equal(counts.dropped, 0);
  });
});

describe('memory', () => {
  test('a stuck function makes fetching stop', async () => {
    const engine = new SimulatedEngine({ partitions: 2 });
    engine.latency = 3_600_000;
    engine.supervisor.create(definition({ batchSize: 10 }));
    for (let i = 0; i < 300; i++) for (const partition of [0, 1]) engine.produce(partition, 'x'.repeat(900));
    await engine.run(60_000);
    const early = engine.heldBytes;
    assert.ok(early < 60_000, `${early} bytes are held`);
    await engine.run(600_000);
    assert.equal(engine.heldBytes, early);
  });

  test('what a filter lets through holds no memory of what was fetched with it, however long it is collected', async () => {
    const engine = new SimulatedEngine();
    const Pattern = '{"value":{"kind":["good"]}}';
    engine.supervisor.create(
      definition({
        batchSize: 10_000,
        maximumBatchingWindowInSeconds: 300,
        filterCriteria: { Filters: [{ Pattern }] },
      }),
    );
    const isGood = (number: number): boolean => number % 40 === 7 || number % 40 === 8 || number % 40 === 30;
    const textOf = (number: number): string =>
      JSON.stringify({ kind: isGood(number) ? 'good' : 'bad', number, text: 'x'.repeat(100) });
    const all = Array.from({ length: 4000 }, (_, number) => number);
    for (let from = 0; from < all.length; from += 40) engine.produce(0, ...all.slice(from, from + 40).map(textOf));
    await engine.run(100_000);
    assert.equal(engine.supervisor.snapshot(UUID)!.counts.received, all.length);
    assert.equal(engine.invocations.length, 0);
    assert.ok(engine.mostHeldBytes < 30_000, `${engine.mostHeldBytes} bytes were held`);
    await engine.run(300_000);
    const records = engine.invocations.flatMap(({ event }) => event.records['orders-0']!);
    assert.deepEqual(
      records.map(({ offset, value }) => [offset, Buffer.from(value!, 'base64').toString()]),
      all.filter(isGood).map((number) => [number, textOf(number)]),
    );
    assert.equal(engine.committed(), all.length);
  });

  test('payloads of all mappings together stay within the limit', async () => {
    const engine = new SimulatedEngine({ partitions: 8, memoryLimitBytes: 40_000 });
    engine.latency = 1000;
    engine.supervisor.create(
      definition({ batchSize: 1, provisionedPollerConfig: { MinimumPollers: 2, MaximumPollers: 2 } }),
    );
    for (let partition = 0; partition < 8; partition++) engine.produce(partition, ...values(2));
    await engine.run(30_000);
    // A payload takes a buffer of 16 KiB at least, and one mapping no more than it leaves to others.
    assert.equal(engine.mostInFlight, 2);
    assert.equal(engine.supervisor.snapshot(UUID)!.counts.succeeded, 16);
  });

  test('a function that hangs takes no memory that others need, however many hang', async () => {
    const engine = new SimulatedEngine({ partitions: 8, memoryLimitBytes: 400_000 });
    const hanging = new Promise<never>(() => {});
    engine.handler = ({ functionArn }) => (functionArn.endsWith('stuck') ? hanging : succeed());
    const wide = { batchSize: 1, provisionedPollerConfig: { MinimumPollers: 2, MaximumPollers: 2 } };
    const stuck = [1, 2, 3].map((number) => `00000000-0000-4000-8000-10000000000${number}`);
    for (const uuid of stuck) {
      const functionArn = 'arn:aws:lambda:us-east-1:000000000000:function:stuck';
      engine.supervisor.create(definition({ ...wide, uuid, consumerGroupId: uuid, functionArn }));
    }
    // 40 KB each: ten of them would be the limit, and each of three mappings could have ten in flight.
    for (let partition = 0; partition < 8; partition++) engine.produce(partition, 'x'.repeat(24_000));
    await engine.run(10_000);
    assert.ok(engine.inFlight >= 6, `${engine.inFlight} hang`);
    engine.supervisor.create(definition({ batchSize: 1 }));
    await engine.run(10_000);
    assert.equal(engine.supervisor.snapshot(UUID)!.counts.succeeded, 8);
  });
});

describe('stop', () => {
  test('finishes what is in flight, commits it, and says what was committed', async () => {
    const engine = new SimulatedEngine();
    engine.latency = 2000;
    engine.supervisor.create(definition({ batchSize: 2 }));
    engine.produce(0, ...values(10));
    await engine.run(1000);
    let report: unknown;
    void engine.supervisor.stop().then((stopped) => {
      report = stopped;
    });
    await engine.run(5000);
    assert.deepEqual(report, {
      committed: [{ topic: 'orders', partition: 0, offset: 2, consumerGroupId: 'group' }],
      uncommitted: [],
    });
    assert.equal(engine.committed(), 2);
    assert.equal(engine.invocations.length, 1);
    assert.equal(engine.heldBytes, 0);
    assert.equal(engine.store.get(UUID)!.status.state, 'Enabled');
  });

  test('during an end that has more time, it takes no longer than it may', async () => {
    const engine = new SimulatedEngine();
    engine.latency = 600_000;
    engine.supervisor.create(definition());
    engine.produce(0, ...values(1));
    await engine.run(1000);
    engine.supervisor.update({ ...definition(), enabled: false });
    await engine.run(1000);
    let isStopped = false;
    void engine.supervisor.stop({ drainTimeoutMilliseconds: 2000 }).then(() => {
      isStopped = true;
    });
    await engine.run(1900);
    assert.equal(isStopped, false);
    await engine.run(200);
    assert.equal(isStopped, true);
  });

  test('says what could not be committed any more: it comes again', async () => {
    const engine = new SimulatedEngine();
    engine.supervisor.create(definition({ batchSize: 2 }));
    engine.produce(0, ...values(2));
    await engine.run(1000);
    engine.latency = 500;
    engine.produce(0, ...values(2));
    await engine.run(300);
    engine.kafka.faults.downUntil = Number.POSITIVE_INFINITY;
    let report: unknown;
    void engine.supervisor.stop({ drainTimeoutMilliseconds: 1000 }).then((stopped) => {
      report = stopped;
    });
    await engine.run(20_000);
    assert.deepEqual(report, {
      committed: [{ topic: 'orders', partition: 0, offset: 2, consumerGroupId: 'group' }],
      uncommitted: [{ topic: 'orders', partition: 0, offset: 4, consumerGroupId: 'group' }],
    });
  });

  test('asked for twice, or during a delete, it waits for the one drain that goes on', async () => {
    const engine = new SimulatedEngine();
    engine.latency = 2000;
    engine.supervisor.create(definition({ batchSize: 2 }));
    engine.produce(0, ...values(2));
    await engine.run(1000);
    engine.supervisor.delete(UUID);
    const ended: string[] = [];
    for (const name of ['first', 'second']) void engine.supervisor.stop().then(() => ended.push(name));
    await engine.run(900);
    assert.deepEqual(ended, []);
    await engine.run(2000);
    assert.deepEqual(ended, ['first', 'second']);
    assert.equal(engine.committed(), 2);
  });

  test('hands back what does not end within the drain time', async () => {
    const engine = new SimulatedEngine();
    engine.latency = 600_000;
    engine.supervisor.create(definition({ batchSize: 2 }));
    engine.produce(0, ...values(10));
    await engine.run(1000);
    let isStopped = false;
    void engine.supervisor.stop({ drainTimeoutMilliseconds: 3000 }).then(() => {
      isStopped = true;
    });
    await engine.run(2900);
    assert.equal(isStopped, false);
    await engine.run(200);
    assert.equal(isStopped, true);
    assert.equal(engine.committed(), undefined);
  });
});

describe('destinations', () => {
  test('what is given up goes there, with what happened, before it is committed', async () => {
    const batches: (Omit<FailedBatch, 'payload'> & { payload: string })[] = [];
    let failures = 2;
    const engine = new SimulatedEngine({
      backoff: { initialMilliseconds: 10, maximumMilliseconds: 10 },
      destinations: {
        deliver: async (batch) => {
          if (failures-- > 0) throw new Error('the queue is down');
          batches.push({ ...batch, payload: batch.payload.toString() });
        },
      },
    });
    engine.handler = ({ event }) =>
      event.records['orders-0']!.some(({ offset }) => offset === 1) ? failWith('no') : succeed();
    const onFailureDestination = 'arn:aws:sqs:us-east-1:000000000000:failed';
    engine.supervisor.create(definition({ batchSize: 2, maximumRetryAttempts: 1, onFailureDestination }));
    engine.produce(0, ...values(3));
    await engine.run(3000);
    assert.equal(batches.length, 1);
    const [batch] = batches;
    assert.equal(batch!.condition, 'RetryAttemptsExhausted');
    assert.equal(batch!.approximateInvokeCount, 2);
    assert.deepEqual(batch!.responseContext, {
      statusCode: 200,
      executedVersion: '$LATEST',
      functionError: 'Unhandled',
    });
    assert.deepEqual(
      batch!.partitions[0]!.records.map(({ offset }) => offset),
      [0, 1],
    );
    assert.deepEqual(Object.keys((JSON.parse(batch!.payload) as { records: object }).records), ['orders-0']);
    assert.equal(engine.committed(), 3);
    const { counts } = engine.supervisor.snapshot(UUID)!;
    assert.deepEqual([counts.toDestination, counts.succeeded, counts.dropped], [2, 1, 0]);
    // Two records twice, both times in vain, then the third; the queue was down twice.
    assert.deepEqual([counts.invokedRecords, counts.failedRecords, counts.destinationErrors], [5, 4, 2]);
    assert.ok(counts.receivedBytes > 0);
  });

  test('retried without a limit it is there after eleven invocations; throttles are none', async () => {
    const batches: FailedBatch[] = [];
    const engine = new SimulatedEngine({
      backoff: { initialMilliseconds: 10, maximumMilliseconds: 10 },
      destinations: { deliver: async (batch) => void batches.push(batch) },
    });
    engine.handler = () =>
      engine.invocations.length % 3 === 0
        ? { kind: 'throttled', reason: 'ConcurrentInvocationLimitExceeded' }
        : failWith('no');
    const onFailureDestination = 'arn:aws:sqs:us-east-1:000000000000:failed';
    engine.supervisor.create(definition({ batchSize: 1, maximumRetryAttempts: -1, onFailureDestination }));
    engine.produce(0, 'a');
    await engine.run(5000);
    assert.deepEqual(
      batches.map(({ condition, approximateInvokeCount }) => [condition, approximateInvokeCount]),
      [['RetryAttemptsExhausted', 11]],
    );
    assert.equal(engine.invocations.length, 16);
    assert.equal(engine.committed(), 1);
  });

  test('one that was down is the result until it has the batch, though nothing else comes', async () => {
    let isDown = true;
    const engine = new SimulatedEngine({
      backoff: { initialMilliseconds: 1000, maximumMilliseconds: 1000 },
      destinations: {
        deliver: async () => {
          if (isDown) throw new Error('the queue is down');
        },
      },
    });
    engine.handler = () => failWith('no');
    const onFailureDestination = 'arn:aws:sqs:us-east-1:000000000000:failed';
    engine.supervisor.create(definition({ maximumRetryAttempts: 0, onFailureDestination }));
    engine.produce(0, 'a');
    await engine.run(2000);
    const result = (): string => engine.supervisor.get(UUID)!.status.lastProcessingResult;
    assert.match(result(), /connect to OnFailure Destination\.$/);
    isDown = false;
    await engine.run(3000);
    assert.equal(engine.committed(), 1);
    assert.equal(result(), 'OK');
  });

  test('one that is down blocks the partition, since the record failed first; taken away, the function has the record again', async () => {
    const engine = new SimulatedEngine({
      backoff: { initialMilliseconds: 1000, maximumMilliseconds: 1000 },
      destinations: { deliver: async () => Promise.reject(new Error('the queue is down')) },
    });
    engine.handler = () => failWith('no');
    const failing = definition({
      batchSize: 1,
      maximumRetryAttempts: 0,
      onFailureDestination: 'arn:aws:sqs:us-east-1:000000000000:failed',
    });
    engine.supervisor.create(failing);
    engine.produce(0, 'a');
    await engine.run(500);
    const firstFailure = engine.supervisor.blocked()[0]!.firstFailure;
    await engine.run(30_000);
    const [record] = engine.supervisor.blocked();
    assert.equal(record!.firstFailure, firstFailure);
    assert.match(record!.error.message, /the queue is down/);
    assert.equal(engine.invocations.length, 1);
    assert.equal(engine.committed(), undefined);
    engine.supervisor.update({ ...failing, onFailureDestination: '' });
    await engine.run(3000);
    // It fails once more and has no retries: without a destination it is dropped, and that is counted.
    assert.equal(engine.invocations.length, 2);
    assert.equal(engine.committed(), 1);
    assert.equal(engine.supervisor.snapshot(UUID)!.counts.dropped, 1);
  });

  test('a record that is too large for any event goes there without an invocation, alone', async () => {
    const batches: FailedBatch[] = [];
    const engine = new SimulatedEngine({
      payloadLimitBytes: 1000,
      destinations: { deliver: async (batch) => void batches.push(batch) },
    });
    engine.supervisor.create(definition({ onFailureDestination: 'arn:aws:sqs:us-east-1:000000000000:failed' }));
    engine.produce(0, 'a', 'x'.repeat(2000), 'b');
    await engine.run(2000);
    assert.deepEqual(
      batches.map(({ condition, responseContext, batchSize }) => [condition, responseContext, batchSize]),
      [['MaximumPayloadSizeExceeded', null, 1]],
    );
    assert.deepEqual(
      engine.invocations.map(({ records }) => records['orders-0']),
      [[0], [2]],
    );
    assert.equal(engine.committed(), 3);
  });

  test('without one a record that is too large is dropped, counted, and said', async () => {
    const engine = new SimulatedEngine({ payloadLimitBytes: 1000 });
    engine.supervisor.create(definition());
    engine.produce(0, 'x'.repeat(2000), 'b');
    await engine.run(2000);
    const { counts, warnings } = engine.supervisor.snapshot(UUID)!;
    assert.equal(counts.dropped, 1);
    assert.match(warnings.join(), /1 records \(orders-0 offsets 0 to 0\) were dropped: MaximumPayloadSizeExceeded/);
    assert.equal(engine.committed(), 2);
  });
});

describe('the blocked record', () => {
  const slow = { backoff: { initialMilliseconds: 60_000, maximumMilliseconds: 60_000 } };
  const isPoison = ({ records }: Invocation): boolean => records['orders-0']?.includes(1) === true;

  test("is named, with the function's own error; a dry run changes nothing; a skip goes on behind it, audited", async () => {
    const audit: unknown[] = [];
    const listener = (entry: unknown): void => void audit.push(entry);
    subscribe('headrace:mapping:audit', listener);
    const engine = new SimulatedEngine(slow);
    engine.handler = (invocation) => (isPoison(invocation) ? failWith('cannot parse order 1') : succeed());
    engine.supervisor.create(definition({ batchSize: 2 }));
    engine.produce(0, ...values(6));
    await engine.run(2000);
    const [record] = engine.supervisor.blocked();
    assert.equal(record!.uuid, UUID);
    assert.equal(record!.offset, 0);
    assert.deepEqual(record!.error, { type: 'Error', message: 'cannot parse order 1' });
    const place = { topic: 'orders', partition: 0, offset: 1 };
    assert.equal(engine.supervisor.skip(UUID, place, { dryRun: true }).offset, 1);
    await engine.run(100);
    assert.equal(engine.committed(), undefined);
    assert.deepEqual(audit, []);
    assert.equal(engine.supervisor.skip(UUID, place).offset, 1);
    await engine.run(1000);
    assert.equal(engine.committed(), 6);
    assert.deepEqual(
      engine.invocations.map(({ records }) => records['orders-0']),
      [[0, 1], [0], [2, 3], [4, 5]],
    );
    assert.equal(engine.supervisor.snapshot(UUID)!.counts.dropped, 1);
    assert.equal((audit as { action: string }[])[0]!.action, 'skip');
    assert.deepEqual(engine.supervisor.blocked(), []);
    unsubscribe('headrace:mapping:audit', listener);
  });

  test('parked, it is settled when it has arrived', async () => {
    const parked: FailedBatch[] = [];
    const engine = new SimulatedEngine({
      ...slow,
      destinations: { deliver: async (batch) => void parked.push(batch) },
    });
    engine.handler = (invocation) => (isPoison(invocation) ? failWith('no') : succeed());
    engine.supervisor.create(definition({ batchSize: 1 }));
    engine.produce(0, ...values(3));
    await engine.run(2000);
    engine.supervisor.park(UUID, { topic: 'orders', partition: 0, offset: 1 }, 'orders-parked');
    await engine.run(1000);
    assert.deepEqual(
      parked.map(({ destination, condition, partitions }) => [
        destination,
        condition,
        partitions[0]!.records[0]!.offset,
      ]),
      [['kafka://orders-parked', 'Parked', 1]],
    );
    assert.equal(engine.committed(), 3);
  });

  test('parked, it is overtaken by nothing, also where its batch holds another partition before it', async () => {
    let arrive = (): void => {};
    const engine = new SimulatedEngine({
      ...slow,
      partitions: 2,
      destinations: { deliver: () => new Promise((resolve) => void (arrive = resolve)) },
    });
    engine.handler = () => (engine.invocations.length === 1 ? failWith('no') : succeed());
    engine.supervisor.create(definition({ batchSize: 3 }));
    engine.produce(0, ...values(1));
    engine.produce(1, ...values(2));
    await engine.run(2000);
    assert.deepEqual(engine.invocations[0]!.records, { 'orders-0': [0], 'orders-1': [0, 1] });
    engine.supervisor.park(UUID, { topic: 'orders', partition: 1, offset: 0 }, 'orders-parked');
    await engine.run(1000);
    assert.equal(engine.invocations.length, 1);
    arrive();
    await engine.run(1000);
    assert.deepEqual(engine.invocations[1]!.records, { 'orders-0': [0], 'orders-1': [1] });
    assert.equal(engine.committed(1), 2);
  });

  test('what does not block, or would come back, is refused', async () => {
    const engine = new SimulatedEngine({ ...slow, destinations: { deliver: async () => {} } });
    engine.handler = (invocation) => (isPoison(invocation) ? failWith('no') : succeed());
    engine.supervisor.create(definition({ batchSize: 1 }));
    engine.produce(0, ...values(3));
    await engine.run(2000);
    const at = (offset: number, partition = 0) => ({ topic: 'orders', partition, offset });
    assert.throws(
      () => engine.supervisor.skip(UUID, at(2)),
      /Offset 2 is not in the batch that blocks orders-0, which begins at 1/,
    );
    assert.throws(() => engine.supervisor.skip(UUID, at(0, 7)), /Nothing blocks orders-7/);
    assert.throws(() => engine.supervisor.park(UUID, at(1), 'orders'), /would come back/);
    assert.throws(() => engine.supervisor.park(UUID, at(1), 'a/b'), /is not a topic/);
    assert.throws(() => engine.supervisor.skip('nobody', at(1)), /There is no mapping nobody/);
  });
});

describe('diagnostics channels', () => {
  test('say what happens: batch, invocation, commit, rebalance, filter, lag', async () => {
    const seen = new Map<string, Record<string, unknown>>();
    const names = ['batch', 'invocation', 'commit', 'rebalance', 'filter', 'lag'].map(
      (name) => `headrace:mapping:${name}`,
    );
    const listener = (message: unknown, name: string | symbol): void => {
      const each = message as Record<string, unknown>;
      // The last of each kind, and of rebalances the first.
      if (!(String(name).endsWith('rebalance') && seen.has(String(name)))) seen.set(String(name), each);
    };
    for (const name of names) subscribe(name, listener);
    const engine = new SimulatedEngine();
    engine.latency = 1500;
    engine.supervisor.create(definition({ batchSize: 2 }));
    engine.produce(0, ...values(5));
    await engine.run(7000);
    for (const name of names) unsubscribe(name, listener);
    const [batch, invocation, commit, rebalance, filter, lag] = names.map((name) => seen.get(name)!);
    const last = [{ topic: 'orders', partition: 0, firstOffset: 4, lastOffset: 4 }];
    assert.deepEqual([batch!['uuid'], batch!['records'], batch!['partitions']], [UUID, 1, last]);
    assert.deepEqual(
      [invocation!['records'], invocation!['partitions'], invocation!['durationMilliseconds']],
      [1, last, 1500],
    );
    assert.equal((commit!['offsets'] as { offset: number }[])[0]!.offset, 5);
    assert.deepEqual(rebalance!['assigned'], [{ topic: 'orders', partition: 0 }]);
    assert.deepEqual([filter!['matched'], filter!['filtered']], [5, 0]);
    assert.deepEqual(Object.keys((lag!['partitions'] as object[])[0]!), ['topic', 'partition', 'lag', 'lagSeconds']);
  });
});

describe('warnings', () => {
  test('are said each time, however many; the last fifty are kept', async () => {
    const said: string[] = [];
    const listener = (message: unknown): void => void said.push((message as { warning: string }).warning);
    subscribe('headrace:mapping:warning', listener);
    const engine = new SimulatedEngine();
    engine.supervisor.create(definition());
    await engine.run(1000);
    const [member] = engine.kafka.group('group').members;
    for (let i = 0; i < 60; i++)
      member!.skip({ topic: 'orders', partition: 0, from: 10 * i, to: 10 * i + 5, reason: 'they had expired' });
    unsubscribe('headrace:mapping:warning', listener);
    assert.equal(said.length, 60);
    const { warnings } = engine.supervisor.snapshot(UUID)!;
    assert.equal(warnings.length, 50);
    assert.match(warnings.at(-1)!, /^Offsets 590 to 594 of orders-0 could not be read any more: they had expired\.$/);
  });

  test('name every record that is given up, at once or within seconds, in a line for many', async () => {
    const said: string[] = [];
    const listener = (message: unknown): void => void said.push((message as { warning: string }).warning);
    subscribe('headrace:mapping:warning', listener);
    const engine = new SimulatedEngine({ partitions: 2 });
    engine.handler = () => failWith('no');
    engine.supervisor.create(definition({ batchSize: 1, maximumRetryAttempts: 0 }));
    await engine.run(1000);
    const dropped = (records: number, where: string): string =>
      `${records} records (${where}) were dropped: RetryAttemptsExhausted, and no destination is configured.`;
    engine.produce(0, 'a');
    await engine.run(1000);
    assert.deepEqual(said, [dropped(1, 'orders-0 offsets 0 to 0')]);
    for (let i = 0; i < 40; i++) for (const partition of [0, 1]) engine.produce(partition, `${i}`);
    await engine.run(5000);
    assert.deepEqual(said.slice(1), [dropped(80, 'orders-0 offsets 1 to 40, orders-1 offsets 0 to 39')]);
    assert.deepEqual(engine.supervisor.snapshot(UUID)!.warnings, said.slice(1));
    engine.produce(1, 'b');
    await engine.run(1000);
    void engine.supervisor.stop();
    await engine.run(1000);
    unsubscribe('headrace:mapping:warning', listener);
    assert.deepEqual(said.slice(2), [dropped(1, 'orders-1 offsets 40 to 40')]);
  });

  test('partial failures count the records that the function named', async () => {
    const engine = new SimulatedEngine({ backoff: { initialMilliseconds: 10, maximumMilliseconds: 10 } });
    engine.handler = () =>
      engine.invocations.length === 1
        ? succeed({ batchItemFailures: [{ itemIdentifier: { partition: 'orders-0', offset: 1 } }] })
        : succeed();
    engine.supervisor.create(definition({ functionResponseTypes: ['ReportBatchItemFailures'] }));
    engine.produce(0, ...values(3));
    await engine.run(2000);
    const { counts } = engine.supervisor.snapshot(UUID)!;
    assert.deepEqual(
      [counts.invocations, counts.invokedRecords, counts.failedInvocations, counts.failedRecords, counts.succeeded],
      [2, 4, 1, 1, 3],
    );
  });

  test('a function that answers a batch with statusCode 500 is told once that nobody reads it', async () => {
    const engine = new SimulatedEngine();
    engine.handler = () => succeed({ statusCode: 500, body: 'oops' });
    engine.supervisor.create(definition({ batchSize: 1 }));
    engine.produce(0, ...values(5));
    await engine.run(2000);
    assert.equal(engine.committed(), 5);
    const { warnings } = engine.supervisor.snapshot(UUID)!;
    assert.equal(warnings.filter((warning) => warning.includes('statusCode')).length, 1);
  });

  test('a function with a time limit above 14 minutes is told', async () => {
    const engine = new SimulatedEngine({ timeout: 900 });
    engine.supervisor.create(definition());
    await engine.run(100);
    assert.match(engine.supervisor.snapshot(UUID)!.warnings.join(), /900 s/);
  });
});
