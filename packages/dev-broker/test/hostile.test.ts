import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import test from 'node:test';
import { writeBatch } from '@headrace/kafka-records';
import { eventually } from '@headrace/testing';
import { type Broker, startBroker } from '../src/index.ts';
import { createTopics } from '../src/protocol/messages/create-topics.ts';
import { apis } from '../src/protocol/messages/index.ts';
import { metadata } from '../src/protocol/messages/metadata.ts';
import { produce } from '../src/protocol/messages/produce.ts';
import { ProtocolError } from '../src/protocol/reader.ts';
import type { Api } from '../src/protocol/schema.ts';
import { FrameError } from '../src/server/frames.ts';
import { batchOf, fetchFrom, produceTo } from './conformance/helpers.ts';
import { encodeRequest, RawClient } from './raw-client.ts';

const allApis = apis as readonly unknown[] as readonly Api<unknown, unknown>[];

const open = async (broker: Broker): Promise<Socket> => {
  const { host, port } = broker.nodes[0]!;
  const socket = connect(port, host);
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
};

/** An honest client gets its answer, soon. */
const assertServes = async (broker: Broker): Promise<void> => {
  using client = await RawClient.connect(broker.bootstrapServers);
  const started = performance.now();
  const answer = await client.send(metadata, 12, { topics: [{ name: 'orders' }] });
  assert.equal(answer.topics[0]!.errorCode, 0);
  assert.ok(performance.now() - started < 2000);
};

/** Small, seeded, the same everywhere (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

test('frames of a wrong length close the connection and take no memory', async () => {
  const errors: unknown[] = [];
  await using broker = await startBroker({ topics: [{ name: 'orders' }], onError: (error) => errors.push(error) });
  const before = process.memoryUsage().rss;
  for (const length of [-1, 0x7fff_ffff, 200 << 20]) {
    const socket = await open(broker);
    const bytes = Buffer.alloc(8);
    bytes.writeInt32BE(length);
    socket.write(bytes);
    await new Promise((resolve) => socket.once('close', resolve));
  }
  assert.equal(errors.filter((error) => error instanceof FrameError).length, 3);
  const waiting = await Promise.all(Array.from({ length: 50 }, () => open(broker)));
  const announced = Buffer.alloc(4);
  announced.writeInt32BE(100 << 20);
  for (const socket of waiting) socket.write(announced);
  await assertServes(broker);
  assert.ok(process.memoryUsage().rss - before < 200 << 20);
  for (const socket of waiting) socket.destroy();
});

test('thousands of half-open connections do not hold an honest client up', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders' }] });
  // Each takes two descriptors of this process; the longer form of this test opens 10,000.
  const count = Number(process.env['HEADRACE_HALF_OPEN'] ?? 400);
  const sockets: Socket[] = [];
  for (let index = 0; index < count; index += 100) {
    sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => open(broker)))));
  }
  for (const socket of sockets) socket.write(Buffer.from('0000', 'hex'));
  await eventually(() => broker.connections.length === count);
  await assertServes(broker);
  for (const socket of sockets) socket.destroy();
  await eventually(() => broker.connections.length === 0);
});

test('a client that does not read is not served on at the cost of memory', async () => {
  await using broker = await startBroker({ topics: [{ name: 'orders' }] });
  using writer = await RawClient.connect(broker.bootstrapServers);
  for (let index = 0; index < 20; index++) await produceTo(writer, 'orders', batchOf(['x'.repeat(900_000)]));
  const socket = await open(broker);
  socket.pause();
  const { fetch } = await import('../src/protocol/messages/fetch.ts');
  const request = encodeRequest(
    fetch as Api<unknown, unknown>,
    12,
    {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 50_000_000,
      sessionEpoch: -1,
      topics: [
        {
          topic: 'orders',
          partitions: [
            {
              partition: 0,
              currentLeaderEpoch: -1,
              fetchOffset: 0,
              lastFetchedEpoch: -1,
              partitionMaxBytes: 50_000_000,
            },
          ],
        },
      ],
    },
    1,
  );
  const before = process.memoryUsage().rss;
  for (let index = 0; index < 500; index++) socket.write(request);
  await assertServes(broker);
  // 500 answers would be 9 GB.
  assert.ok(process.memoryUsage().rss - before < 300 << 20);
  socket.destroy();
});

test('a decompression bomb stays compressed, and is refused where it must be opened', async () => {
  await using broker = await startBroker({
    topics: [{ name: 'orders' }, { name: 'state', configs: { 'cleanup.policy': 'compact' } }],
  });
  using client = await RawClient.connect(broker.bootstrapServers);
  const bomb = writeBatch({
    compression: 'zstd',
    records: [{ key: 'k', value: Buffer.alloc(80 << 20), timestamp: Date.now() }],
  });
  assert.ok(bomb.length < 100_000);
  const before = process.memoryUsage().rss;
  assert.equal((await produceTo(client, 'orders', bomb)).errorCode, 0);
  assert.equal(((await fetchFrom(client, 'orders', 0)).records as Buffer).length, bomb.length);
  assert.ok(process.memoryUsage().rss - before < 60 << 20);
  assert.equal((await produceTo(client, 'state', bomb)).errorCode, 87);
});

test('mutated real requests: answered or hung up on, never a crash', async () => {
  const failures: unknown[] = [];
  await using broker = await startBroker({
    topics: [{ name: 'orders' }],
    onError: (error) => {
      if (!(error instanceof ProtocolError) && !(error instanceof FrameError)) failures.push(error);
    },
  });
  const seeds: Buffer[] = [];
  for (const api of allApis) {
    for (const version of api.schema.versions) seeds.push(encodeRequest(api, version, {}, 1));
  }
  const records = batchOf(['a', 'b']);
  const topicData = [{ name: 'orders', partitionData: [{ index: 0, records }] }];
  seeds.push(encodeRequest(produce as Api<unknown, unknown>, 9, { acks: -1, topicData, transactionalId: null }, 1));
  const wanted = [{ name: 'made', numPartitions: 1, replicationFactor: 1 }];
  seeds.push(encodeRequest(createTopics as Api<unknown, unknown>, 7, { topics: wanted }, 1));
  const random = randomOf(20_261_121);
  const until = performance.now() + Number(process.env['HEADRACE_FUZZ_MS'] ?? 4000);
  let sent = 0;
  while (performance.now() < until) {
    const sockets = await Promise.all(Array.from({ length: 8 }, () => open(broker)));
    for (const socket of sockets) {
      socket.resume();
      for (let request = 0; request < 4; request++) {
        const bytes = Buffer.from(seeds[random(seeds.length)]!);
        const changes = 1 + random(4);
        for (let change = 0; change < changes; change++) {
          // Header and length are spared mostly, so that what is behind them is reached.
          const position =
            random(10) === 0 ? random(bytes.length) : Math.min(bytes.length - 1, 12 + random(bytes.length - 12));
          bytes[position] = [random(256), 0, 0xff, 0x7f, 0x80][random(5)]!;
        }
        socket.write(random(12) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes);
        sent++;
      }
    }
    await new Promise((resolve) => setImmediate(resolve));
    await assertServes(broker);
    for (const socket of sockets) socket.destroy();
  }
  assert.ok(sent > 100, String(sent));
  assert.deepEqual(failures, []);
});
