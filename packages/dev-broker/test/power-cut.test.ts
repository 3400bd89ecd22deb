import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { SeededRandom } from '@headrace/testing';
import { startBroker } from '../src/index.ts';
import { addPartitionsToTxn } from '../src/protocol/messages/add-partitions-to-txn.ts';
import { createTopics } from '../src/protocol/messages/create-topics.ts';
import { endTxn } from '../src/protocol/messages/end-txn.ts';
import { initProducerId } from '../src/protocol/messages/init-producer-id.ts';
import { offsetCommit } from '../src/protocol/messages/offset-commit.ts';
import { batchOf, fetchFrom, produceTo } from './conformance/helpers.ts';
import { DiskModel } from './disk-model.ts';
import { RawClient, readValues } from './raw-client.ts';

/** What clients were told. */
interface Acknowledged {
  orders: string[];
  /** Number of the latest value of each key. */
  state: Map<string, number>;
  offset: number;
  topics: string[];
  /** Numbers of the transactions that were committed. */
  transactions: number[];
}

/** Writes a transaction over two partitions, commits it, and says so. */
class Transactions {
  readonly #client: RawClient;
  readonly #producer: { producerId: number; producerEpoch: number };
  #next = 0;

  private constructor(client: RawClient, producer: { producerId: number; producerEpoch: number }) {
    this.#client = client;
    this.#producer = producer;
  }

  static async begin(client: RawClient): Promise<Transactions> {
    const timeout = { transactionTimeoutMs: 60_000, producerId: -1, producerEpoch: -1 };
    const made = await client.send(initProducerId, 4, { transactionalId: 't', ...timeout });
    return new Transactions(client, { producerId: made.producerId!, producerEpoch: made.producerEpoch });
  }

  async commitOne(): Promise<number> {
    const number = this.#next++;
    await this.#client.send(addPartitionsToTxn, 3, {
      v3AndBelowTransactionalId: 't',
      v3AndBelowProducerId: this.#producer.producerId,
      v3AndBelowProducerEpoch: this.#producer.producerEpoch,
      v3AndBelowTopics: [{ name: 'both', partitions: [0, 1] }],
    });
    for (const partition of [0, 1]) {
      const records = batchOf([String(number)], { ...this.#producer, baseSequence: number, isTransactional: true });
      const { errorCode } = await produceTo(this.#client, 'both', records, { partition, transactionalId: 't' });
      assert.equal(errorCode, 0);
    }
    const ended = await this.#client.send(endTxn, 4, { transactionalId: 't', ...this.#producer, committed: true });
    assert.equal(ended.errorCode, 0);
    return number;
  }
}

/** Numbers of the transactions that a reader of committed records sees in a partition. */
const committedIn = async (client: RawClient, partition: number): Promise<number[]> => {
  const { records } = await fetchFrom(client, 'both', 0, { partition, isolationLevel: 1, maxWaitMs: 0 });
  return readValues(records).map(({ value }) => Number(value));
};

const KEYS = 5;
const STEPS = 120;
const IMAGES = 50;

test('with flush, nothing that was acknowledged is lost when the power goes at any moment', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'dev-broker-power-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const random = new SeededRandom(20_261_121);
  const dataDir = join(folder, 'data');
  const images: { path: string; acknowledged: Acknowledged }[] = [];
  const acknowledged: Acknowledged = { orders: [], state: new Map(), offset: -1, topics: [], transactions: [] };
  {
    using disk = new DiskModel(dataDir);
    await using broker = await startBroker({
      dataDir,
      flush: true,
      topics: [
        { name: 'orders' },
        { name: 'state', configs: { 'cleanup.policy': 'compact' } },
        { name: 'both', partitions: 2 },
      ],
    });
    acknowledged.topics = ['orders', 'state', 'both'];
    using client = await RawClient.connect(broker.bootstrapServers);
    const transactions = await Transactions.begin(client);
    disk.onOperation = () => {
      if (images.length >= IMAGES || !random.chance(0.08)) return;
      const path = join(folder, `image-${images.length}`);
      disk.image(path, random);
      images.push({ path, acknowledged: structuredClone(acknowledged) });
    };
    for (let step = 0; step < STEPS; step++) {
      switch (random.pick(['produce', 'produce', 'state', 'state', 'transaction', 'commit', 'topic', 'compact'])) {
        case 'produce': {
          const value = `v${acknowledged.orders.length}`;
          assert.equal((await produceTo(client, 'orders', batchOf([value]))).errorCode, 0);
          acknowledged.orders.push(value);
          break;
        }
        case 'state': {
          const key = `k${random.integer(1, KEYS)}`;
          const number = step;
          const records = [{ key, value: String(number), timestamp: Date.now() }];
          assert.equal((await produceTo(client, 'state', batchOf([], { records }))).errorCode, 0);
          acknowledged.state.set(key, number);
          break;
        }
        case 'commit': {
          const position = {
            partitionIndex: 0,
            committedOffset: step,
            committedLeaderEpoch: -1,
            committedMetadata: '',
          };
          const { topics } = await client.send(offsetCommit, 8, {
            groupId: 'g',
            generationIdOrMemberEpoch: -1,
            memberId: '',
            topics: [{ name: 'orders', partitions: [position] }],
          });
          assert.equal(topics[0]!.partitions[0]!.errorCode, 0);
          acknowledged.offset = step;
          break;
        }
        case 'transaction':
          acknowledged.transactions.push(await transactions.commitOne());
          break;
        case 'topic': {
          const name = `made-${step}`;
          const { topics } = await client.send(createTopics, 7, {
            topics: [{ name, numPartitions: 2, replicationFactor: 1 }],
            timeoutMs: 1000,
          });
          assert.equal(topics[0]!.errorCode, 0);
          acknowledged.topics.push(name);
          break;
        }
        default:
          broker.control.compact('state', 0);
      }
    }
    disk.onOperation = undefined;
  }
  assert.ok(images.length > IMAGES / 2, `${images.length} images`);
  for (const { path, acknowledged: told } of images) {
    assert.ok(existsSync(path));
    rmSync(join(path, 'lock'), { force: true });
    await using broker = await startBroker({ dataDir: path });
    using client = await RawClient.connect(broker.bootstrapServers);
    for (const name of told.topics) assert.ok(broker.control.topic(name), `${path}: topic ${name}`);
    const orders = readValues((await fetchFrom(client, 'orders', 0, { maxWaitMs: 0 })).records);
    for (const [offset, value] of told.orders.entries()) {
      assert.deepEqual([orders[offset]?.offset, orders[offset]?.value], [offset, value], path);
    }
    const latest = new Map<string, number>();
    for (const { key, value } of readValues((await fetchFrom(client, 'state', 0, { maxWaitMs: 0 })).records)) {
      latest.set(key, Number(value));
    }
    for (const [key, number] of told.state) assert.ok((latest.get(key) ?? -1) >= number, `${path}: ${key}`);
    const offset = broker.control.group('g')?.offsets['orders']?.[0]?.offset ?? -1;
    assert.ok(offset >= told.offset, `${path}: offset ${offset}, not ${told.offset}`);
    // A transaction is there altogether or not at all.
    const committed = await committedIn(client, 0);
    assert.deepEqual(await committedIn(client, 1), committed, path);
    assert.deepEqual(committed.slice(0, told.transactions.length), told.transactions, path);
    // And it goes on from there.
    assert.equal((await produceTo(client, 'orders', batchOf(['next']))).errorCode, 0);
  }
});
