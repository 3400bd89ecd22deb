import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { writeBatch } from '@headrace/kafka-records';
import { eventually } from '@headrace/testing';
import { startBroker } from '../src/index.ts';
import type { Api } from '../src/protocol/schema.ts';
import { FrameError } from '../src/server/frames.ts';
import { batchOf, fetchFrom, produceTo } from './conformance/helpers.ts';
import { assertServes, fuzz, open } from './fuzz.ts';
import { encodeRequest, RawClient } from './raw-client.ts';

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

/** Descriptors that one process may have; Node raises its own limit to this when it starts. */
function mostDescriptors(): number {
  const limit = spawnSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).stdout.trim();
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
}

test('10,000 half-open connections at once cost little and do not hold an honest client up', {
  skip: process.platform === 'win32' ? 'needs a POSIX shell' : false,
}, async (context) => {
  // The other ends are another process's, since both ends need a descriptor.
  const count = Math.min(10_000, mostDescriptors() - 500);
  if (count < 10_000) context.diagnostic(`only ${count} connections: a process may have no more descriptors here`);
  await using broker = await startBroker({ topics: [{ name: 'orders' }] });
  const { host, port } = broker.nodes[0]!;
  const before = process.memoryUsage().rss;
  const script = join(import.meta.dirname, 'many-connections.ts');
  const child = spawn(process.execPath, [script, host, String(port), String(count)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    const [opened] = (await once(createInterface(child.stdout), 'line')) as [string];
    assert.equal(Number(opened), count);
    await eventually(() => broker.connections.length === count, { timeoutMs: 30_000 });
    for (let turn = 0; turn < 10; turn++) await assertServes(broker);
    const each = (process.memoryUsage().rss - before) / count;
    context.diagnostic(`${Math.round(each / 1024)} KB a connection`);
    assert.ok(each < 40 << 10, `${Math.round(each)} bytes a connection`);
  } finally {
    child.stdin.end();
    await once(child, 'exit');
  }
  await eventually(() => broker.connections.length === 0, { timeoutMs: 30_000 });
  await assertServes(broker);
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
  const { sent, failures } = await fuzz({ seed: 20_261_121, durationMs: 4000 });
  assert.ok(sent > 100, String(sent));
  assert.deepEqual(failures, []);
});
