import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { SeededRandom } from '@headrace/testing';
import { type Broker, startBroker } from '../src/index.ts';
import { apis } from '../src/protocol/messages/index.ts';
import { metadata } from '../src/protocol/messages/metadata.ts';
import { ProtocolError } from '../src/protocol/reader.ts';
import type { Api } from '../src/protocol/schema.ts';
import { FrameError } from '../src/server/frames.ts';
import { encodeRequest, RawClient } from './raw-client.ts';

/** What clients really sent (see record-requests.ts), and an empty request of every key and version. */
function corpus(): Buffer[] {
  const recorded = readFileSync(join(import.meta.dirname, 'fixtures', 'requests.txt'), 'utf8')
    .trim()
    .split('\n');
  const requests: Buffer[] = recorded.map((line) => Buffer.from(line, 'hex'));
  for (const api of apis as readonly unknown[] as readonly Api<unknown, unknown>[]) {
    const [low, high] = api.schema.versions;
    for (let version = low; version <= high; version++) requests.push(encodeRequest(api, version, {}, 1));
  }
  return requests;
}

export const open = async (broker: Broker): Promise<Socket> => {
  const { host, port } = broker.nodes[0]!;
  const socket = connect(port, host);
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
};

/** An honest client gets its answer, soon. */
export const assertServes = async (broker: Broker): Promise<void> => {
  using client = await RawClient.connect(broker.bootstrapServers);
  const started = performance.now();
  const answer = await client.send(metadata, 12, { topics: [{ name: 'orders' }] });
  assert.equal(answer.topics[0]!.errorCode, 0);
  assert.ok(performance.now() - started < 2000);
};

function mutate(request: Buffer, random: SeededRandom): Buffer {
  const bytes = Buffer.from(request);
  const changes = random.integer(1, 4);
  for (let change = 0; change < changes; change++) {
    // Header and length are spared mostly, so that what is behind them is reached.
    const position = random.chance(0.1) ? random.integer(0, bytes.length - 1) : random.integer(12, bytes.length - 1);
    bytes[position] = random.pick([random.integer(0, 255), 0, 0xff, 0x7f, 0x80]);
  }
  return random.chance(1 / 12) ? bytes.subarray(0, random.integer(0, bytes.length - 1)) : bytes;
}

/**
 * Sends mutated requests, eight connections at a time, and asks after each round whether an honest client is served.
 *
 * @returns requests sent, and failures of the broker that are no fault of the peer's
 */
export async function fuzz(options: {
  seed: number;
  durationMs: number;
  progress?: (sent: number, residentBytes: number) => void;
}): Promise<{ sent: number; failures: unknown[] }> {
  const failures: unknown[] = [];
  await using broker = await startBroker({
    topics: [{ name: 'orders' }],
    retentionBytes: 64 << 20,
    onError: (error) => {
      if (!(error instanceof ProtocolError) && !(error instanceof FrameError)) failures.push(error);
    },
  });
  const requests = corpus();
  const random = new SeededRandom(options.seed);
  const until = performance.now() + options.durationMs;
  let sent = 0;
  let told = performance.now();
  while (performance.now() < until && failures.length === 0) {
    const sockets = await Promise.all(Array.from({ length: 8 }, () => open(broker)));
    for (const socket of sockets) {
      socket.resume();
      for (let request = 0; request < 4; request++) {
        socket.write(mutate(random.pick(requests), random));
        sent++;
      }
    }
    await new Promise((resolve) => setImmediate(resolve));
    // A mutated request may have deleted it.
    if (!broker.control.topic('orders')) broker.createTopic({ name: 'orders' });
    await assertServes(broker);
    for (const socket of sockets) socket.destroy();
    if (performance.now() - told < 10_000) continue;
    told = performance.now();
    options.progress?.(sent, process.memoryUsage().rss);
  }
  return { sent, failures };
}
