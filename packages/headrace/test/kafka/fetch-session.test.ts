import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { after, before, describe, mock, test } from 'node:test';
import { type Broker, startBroker } from '@headrace/dev-broker';
import { RecordCursor } from '@headrace/kafka-records';
import { eventually, needs, startKafka } from '@headrace/testing';
import type { HeadraceError } from '../../src/errors.ts';
import { Cluster } from '../../src/kafka/cluster.ts';
import type { AssignedPartition } from '../../src/kafka/contract.ts';
import { type FetchPartition, fetch } from '../../src/kafka/fetch-request.ts';
import { FetchSession } from '../../src/kafka/fetch-session.ts';
import { createKafkaCluster } from '../../src/kafka/index.ts';
import { pollWait, sidePollWait } from '../../src/kafka/poll-waits.ts';
import { createTopics, produce } from './harness.ts';

const place = (partition: number, offset: number): FetchPartition => ({
  topic: 't',
  partition,
  leaderEpoch: 0,
  offset,
  maximumBytes: 1000,
});
const names = (list: readonly { partition: number }[]): number[] => list.map(({ partition }) => partition);

test('a session names what has changed, what is new and what leaves, and nothing else', () => {
  const session = new FetchSession();
  const first = session.next([place(0, 5), place(1, 5), place(2, 5)]);
  assert.deepEqual([first.id, first.epoch, names(first.partitions)], [0, 0, [0, 1, 2]]);
  session.accepted(77);
  const second = session.next([place(0, 5), place(1, 9), place(3, 0)]);
  assert.deepEqual([second.id, second.epoch, names(second.partitions), names(second.forgotten)], [77, 1, [1, 3], [2]]);
  session.accepted(77);
  const third = session.next([place(0, 5), place(1, 9), place(3, 0)]);
  assert.deepEqual([third.epoch, names(third.partitions), names(third.forgotten)], [2, [], []]);
  // Its answer was lost: what the broker knows is not known, so the old session is closed and all is said again.
  session.lost();
  const fourth = session.next([place(0, 5), place(3, 0)]);
  assert.deepEqual([fourth.id, fourth.epoch, names(fourth.partitions), fourth.forgotten], [77, 0, [0, 3], []]);
  session.accepted(78);
  session.refused(false);
  const fifth = session.next([place(0, 5)]);
  assert.deepEqual([fifth.id, fifth.epoch, names(fifth.partitions)], [0, 0, [0]]);
  // A broker without room for a session: full requests, again and again.
  session.accepted(0);
  const sixth = session.next([place(0, 5)]);
  assert.deepEqual([sixth.id, sixth.epoch, names(sixth.partitions)], [0, 0, [0]]);
});

test('polls that bring nothing wait longer step by step, and no longer than 10 s; those beside them begin short', () => {
  const steps = (wait: (empty: number) => number, count: number): number[] =>
    Array.from({ length: count }, (_, empty) => wait(empty));
  assert.deepEqual(steps(pollWait, 10), [500, 500, 500, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  assert.deepEqual(steps(sidePollWait, 7), [50, 100, 200, 400, 500, 500, 500]);
  assert.deepEqual([pollWait(1e6), sidePollWait(1e6)], [10_000, 500]);
});

interface SentFetch {
  readonly bytes: number;
  readonly waitMilliseconds: number;
  readonly session: number;
  readonly epoch: number;
}

/** Fetch requests of a client as they leave, in version 12. */
const sent: (SentFetch & { clientId: string })[] = [];
function observe(chunk: unknown): void {
  if (!Buffer.isBuffer(chunk) || chunk.length < 60) return;
  if (chunk.readInt32BE(0) !== chunk.length - 4 || chunk.readInt16BE(4) !== 1 || chunk.readInt16BE(6) !== 12) return;
  const nameLength = chunk.readInt16BE(12);
  const clientId = chunk.toString('utf8', 14, 14 + nameLength);
  // Tags of the header, replica, wait, least and most bytes, isolation.
  const position = 14 + nameLength + 1 + 16 + 1;
  const [session, epoch] = [chunk.readInt32BE(position), chunk.readInt32BE(position + 4)];
  const waitMilliseconds = chunk.readInt32BE(14 + nameLength + 1 + 4);
  sent.push({ clientId, bytes: chunk.length, waitMilliseconds, session, epoch });
}

before(() => {
  const original = Socket.prototype.write;
  mock.method(Socket.prototype, 'write', function (this: Socket, ...args: Parameters<typeof original>) {
    observe(args[0]);
    return original.apply(this, args);
  });
});
after(() => mock.restoreAll());

/** Reads all partitions of a topic without a group. */
class Watcher implements AsyncDisposable {
  readonly values: string[] = [];
  readonly troubles: HeadraceError[] = [];
  readonly #clientId = `watcher-${crypto.randomUUID()}`;
  readonly #cluster: ReturnType<typeof createKafkaCluster>;
  readonly #reader: ReturnType<ReturnType<typeof createKafkaCluster>['createReader']>;

  constructor(bootstrapServers: string, topic: string) {
    this.#cluster = createKafkaCluster({ bootstrapServers: [bootstrapServers] }, { clientId: this.#clientId });
    const cursor = new RecordCursor();
    this.#reader = this.#cluster.createReader(
      { topics: [topic], start: { kind: 'TRIM_HORIZON' } },
      {
        onAssigned: () => {},
        onStatus: (error) => {
          if (error !== undefined) this.troubles.push(error);
        },
        onSkipped: () => {},
        onRecords: () => {
          for (const partition of this.#reader.partitions) {
            for (let chunk = partition.take(); chunk !== undefined; chunk = partition.take()) {
              for (cursor.reset(chunk); cursor.next(); ) {
                this.values.push(cursor.bytes.toString('utf8', cursor.valueStart, cursor.valueEnd));
              }
              chunk.release();
            }
          }
        },
      },
    );
    this.#reader.start();
  }

  get fetches(): readonly SentFetch[] {
    return sent.filter(({ clientId }) => clientId === this.#clientId);
  }

  partition(index: number): AssignedPartition {
    return this.#reader.partitions.find(({ partition }) => partition === index)!;
  }

  /** Until `value` has come, and a request that is part of a session has gone out after it. */
  async sees(value: string): Promise<void> {
    await eventually(() => this.values.includes(value), {
      what: () => `no ${value}: ${this.troubles.at(-1)?.message}`,
    });
    const before = this.fetches.length;
    await eventually(() => this.fetches.slice(before).some(({ epoch }) => epoch > 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.close();
    await this.#cluster.close();
  }
}

const PARTITIONS = 60;
const servers = [
  ['Apache Kafka', needs('java', 'maven'), () => startKafka()],
  ['the development broker', false, () => startBroker()],
] as const;

for (const [server, skip, start] of servers) {
  describe(`fetch sessions on ${server}`, { skip }, () => {
    let kafka: Awaited<ReturnType<typeof start>>;
    const write = (topic: string, partition: number, value: string): Promise<void> =>
      produce(kafka.bootstrapServers, [{ topic, partition, value }]);
    before(async () => {
      kafka = await start();
      await createTopics(kafka.bootstrapServers, ['idle'], PARTITIONS);
      await createTopics(kafka.bootstrapServers, ['paused', 'cut'], 6);
      await createTopics(kafka.bootstrapServers, ['quiet'], 2);
    });
    after(() => kafka.stop());

    test('partitions without news are named once, and requests shrink to a tenth', async () => {
      await using watcher = new Watcher(kafka.bootstrapServers, 'idle');
      await write('idle', 7, 'first');
      await watcher.sees('first');
      const from = watcher.fetches.length;
      for (const value of ['a', 'b', 'c', 'd', 'e']) {
        await write('idle', 11, value);
        await watcher.sees(value);
      }
      const full = watcher.fetches.find(({ epoch }) => epoch === 0)!;
      const later = watcher.fetches.slice(from).filter(({ epoch }) => epoch !== -1);
      assert.ok(full.bytes > PARTITIONS * 20, `the first request has ${full.bytes} bytes`);
      assert.ok(later.length >= 5 && later.every(({ epoch }) => epoch > 0));
      const largest = Math.max(...later.map(({ bytes }) => bytes));
      assert.ok(largest < full.bytes / 10, `${largest} bytes of ${full.bytes}`);
      assert.deepEqual(watcher.values, ['first', 'a', 'b', 'c', 'd', 'e']);
      assert.deepEqual(watcher.troubles, []);
    });

    test('a paused partition leaves the session, and comes back with what came meanwhile', async () => {
      await using watcher = new Watcher(kafka.bootstrapServers, 'paused');
      await write('paused', 3, 'first');
      await watcher.sees('first');
      watcher.partition(3).pause();
      await write('paused', 4, 'others go on');
      await watcher.sees('others go on');
      await write('paused', 3, 'kept');
      for (const value of ['x', 'y']) {
        await write('paused', 5, value);
        await watcher.sees(value);
      }
      assert.equal(watcher.partition(3).bufferedBytes, 0, 'a paused partition is not fetched');
      watcher.partition(3).resume();
      await watcher.sees('kept');
      assert.deepEqual(watcher.values, ['first', 'others go on', 'x', 'y', 'kept']);
    });

    test('where nothing comes polls wait longer, and who is resumed meanwhile is polled beside them', async () => {
      await using watcher = new Watcher(kafka.bootstrapServers, 'quiet');
      await write('quiet', 0, 'first');
      await watcher.sees('first');
      watcher.partition(1).pause();
      const from = watcher.fetches.length;
      await eventually(() => watcher.fetches.slice(from).some((each) => each.waitMilliseconds === 2000), {
        timeoutMs: 30_000,
        what: () => watcher.fetches.map((each) => each.waitMilliseconds).join(' '),
      });
      const waits = watcher.fetches.slice(from).map((each) => each.waitMilliseconds);
      const steps = waits.slice(waits.indexOf(500));
      assert.ok(steps.filter((each) => each === 500).length >= 2, `it waited ${waits.join(', ')} ms`);
      assert.deepEqual([...new Set(steps)], [500, 1000, 2000], 'step by step');
      const before = watcher.fetches.length;
      watcher.partition(1).resume();
      await eventually(() => watcher.fetches.slice(before).some((each) => each.waitMilliseconds === 50));
      const beside = watcher.fetches.slice(before).filter(({ epoch }) => epoch === -1);
      // Is there anything? No: then it is waited for.
      assert.deepEqual(
        beside.slice(0, 2).map((each) => each.waitMilliseconds),
        [0, 50],
      );
      await eventually(() => watcher.fetches.slice(before).some((each) => each.waitMilliseconds === 100));
      await write('quiet', 1, 'resumed');
      await watcher.sees('resumed');
      // What came ends the silence.
      await eventually(() => watcher.fetches.at(-1)!.waitMilliseconds === 500);
      assert.deepEqual(watcher.values, ['first', 'resumed']);
    });

    /** Makes a session do what it should not, by `spoil`, until the watcher begins a new one, with what it sends then. */
    const spoilt = async (watcher: Watcher, value: string, spoil: () => Promise<unknown>): Promise<SentFetch> => {
      const from = watcher.fetches.length;
      const full = (): SentFetch | undefined => watcher.fetches.slice(from).find(({ epoch }) => epoch === 0);
      await eventually(async () => {
        if (full() === undefined) await spoil();
        return full() !== undefined;
      });
      await write('cut', 0, value);
      await watcher.sees(value);
      return full()!;
    };
    const lastOf = (watcher: Watcher): SentFetch => watcher.fetches.findLast(({ epoch }) => epoch > 0)!;

    test('a session that the broker lost, or counts otherwise, is made anew without trouble', async () => {
      await using watcher = new Watcher(kafka.bootstrapServers, 'cut');
      await write('cut', 0, 'first');
      await watcher.sees('first');
      const cluster = new Cluster({ bootstrapServers: [kafka.bootstrapServers] });
      try {
        const connection = await cluster.control();
        const options = {
          maximumWaitMilliseconds: 0,
          minimumBytes: 0,
          maximumBytes: 1,
          isolation: 0,
          rackId: '',
        } as const;
        const send = async (id: number, epoch: number): Promise<void> => {
          const response = await connection.sendRaw(fetch(12, { id, epoch, partitions: [], forgotten: [] }, options));
          response.block.release();
        };
        // Somebody else uses the number that is next.
        const known = lastOf(watcher).session;
        const counted = await spoilt(watcher, 'counted', () => send(known, lastOf(watcher).epoch + 1));
        assert.equal(counted.session, known, 'the session that is known is closed');
        const next = lastOf(watcher).session;
        assert.notEqual(next, known);
        // Somebody else closes the session.
        const closed = await spoilt(watcher, 'closed', () => send(next, 0));
        assert.equal(closed.session, 0, 'there is nothing to close');
        assert.deepEqual(watcher.values, ['first', 'counted', 'closed']);
        assert.deepEqual(watcher.troubles, []);
      } finally {
        cluster.close();
      }
    });

    if (server !== 'the development broker') return;

    test('a session whose answer was lost with its connection is made anew, and nothing comes twice', async () => {
      const broker = kafka as Broker;
      await using watcher = new Watcher(broker.bootstrapServers, 'cut');
      await eventually(() => watcher.values.includes('closed'));
      await watcher.sees('closed');
      const values = [...watcher.values];
      for (const cut of ['before', 'after'] as const) {
        const known = lastOf(watcher).session;
        broker.faults.add({ api: 'Fetch', times: 1, cut });
        const { session } = await spoilt(watcher, cut, async () => {});
        assert.equal(session, known);
      }
      assert.deepEqual(watcher.values, [...values, 'before', 'after']);
    });
  });
}

test('a broker without room for sessions is read without', { skip: needs('java', 'maven') }, async () => {
  await using kafka = await startKafka({ properties: { 'max.incremental.fetch.session.cache.slots': 0 } });
  await createTopics(kafka.bootstrapServers, ['full'], 2);
  await using watcher = new Watcher(kafka.bootstrapServers, 'full');
  for (const value of ['one', 'two', 'three']) {
    await produce(kafka.bootstrapServers, [{ topic: 'full', partition: 1, value }]);
    await eventually(() => watcher.values.includes(value));
  }
  assert.ok(watcher.fetches.every(({ session, epoch }) => session === 0 && epoch <= 0));
  assert.deepEqual([watcher.values, watcher.troubles], [['one', 'two', 'three'], []]);
});
