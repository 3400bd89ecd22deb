import assert from 'node:assert/strict';
import { pbkdf2Sync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { ManualClock } from '@headrace/testing';
import { Admin } from '@platformatic/kafka';
import { type BrokerOptions, startBroker } from '../src/index.ts';
import { alterUserScramCredentials } from '../src/protocol/messages/alter-user-scram-credentials.ts';
import { incrementalAlterConfigs } from '../src/protocol/messages/incremental-alter-configs.ts';
import { metadata } from '../src/protocol/messages/metadata.ts';
import { offsetCommit } from '../src/protocol/messages/offset-commit.ts';
import { saslAuthenticate } from '../src/protocol/messages/sasl-authenticate.ts';
import { saslHandshake } from '../src/protocol/messages/sasl-handshake.ts';
import { startChildBroker } from './child-broker.ts';
import { batchOf, produceTo } from './conformance/helpers.ts';
import { ClassicMember, Member, until } from './conformance/members.ts';
import { ShareMember } from './conformance/share-member.ts';
import { RawClient } from './raw-client.ts';

const folderOf = (context: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'dev-broker-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

/** Does one thing with a broker that is then killed, and another with the next one on the same folder. */
async function acrossKill<T>(
  options: BrokerOptions & { dataDir: string },
  before: (client: RawClient, bootstrapServers: string) => Promise<T>,
  after: (client: RawClient, bootstrapServers: string, kept: T) => Promise<void>,
): Promise<void> {
  let kept: T;
  {
    await using broker = await startChildBroker(options);
    using client = await RawClient.connect(broker.bootstrapServers);
    kept = await before(client, broker.bootstrapServers);
  }
  await using broker = await startBroker(options);
  using client = await RawClient.connect(broker.bootstrapServers);
  await after(client, broker.bootstrapServers, kept);
}

const idOf = async (client: RawClient, topic: string): Promise<string> =>
  (await client.send(metadata, 12, { topics: [{ name: topic }] })).topics[0]!.topicId!;

/** The same member on another connection. */
const moved = <M extends { readonly client: RawClient }>(member: M, client: RawClient): M =>
  Object.assign(Object.create(Object.getPrototypeOf(member)) as M, member, { client });

test('members of a classic group stay members across kill -9, without a rebalance', async (context) => {
  const options = { dataDir: folderOf(context), topics: [{ name: 'orders', partitions: 2 }] };
  await acrossKill(
    options,
    async (client) => {
      const member = new ClassicMember(client, 'readers', 'orders');
      await member.join();
      await member.sync([0, 1]);
      return member;
    },
    async (client, _servers, kept) => {
      const member = moved(kept, client);
      assert.equal(await member.beat(), 0);
      assert.equal(await member.commit(7), 0);
      // Another one changes the generation, as it would have before.
      const generation = member.generation;
      const other = new ClassicMember(client, 'readers', 'orders');
      using second = await RawClient.connect(`127.0.0.1:${client.socket.remotePort}`);
      const joining = moved(other, second).join();
      await until(async () => (await member.beat()) !== 0);
      await member.join();
      assert.equal(member.generation, generation + 1);
      await joining;
    },
  );
});

test('members of a KIP-848 group stay members across kill -9, and keep their partitions', async (context) => {
  const options = { dataDir: folderOf(context), topics: [{ name: 'orders', partitions: 4 }] };
  await acrossKill(
    options,
    async (client) => {
      const topicId = await idOf(client, 'orders');
      const members = [1, 2].map(() => new Member(client, 'readers', 'orders', topicId));
      const [first, second] = members as [Member, Member];
      await until(async () => {
        const { assignment } = await first.send();
        if (assignment) first.owned = assignment.topicPartitions.flatMap(({ partitions }) => partitions);
        await first.follow();
        await second.follow();
        return first.owned.length === 2 && second.owned.length === 2;
      });
      return members;
    },
    async (client, _servers, kept) => {
      const [first, second] = kept.map((member) => moved(member, client)) as [Member, Member];
      for (const member of [first, second]) {
        const answer = await member.send();
        assert.deepEqual([answer.errorCode, answer.memberEpoch, answer.assignment], [0, member.epoch, null]);
      }
      await second.send({ memberEpoch: -1 });
      await until(async () => (await first.follow()).length === 4);
    },
  );
});

test('a group of both protocols stays one across kill -9', async (context) => {
  const options = { dataDir: folderOf(context), topics: [{ name: 'orders', partitions: 4 }] };
  await acrossKill(
    options,
    async (client) => {
      const modern = new Member(client, 'readers', 'orders', await idOf(client, 'orders'));
      const classic = new ClassicMember(client, 'readers', 'orders');
      await until(async () => (await modern.follow()).length === 4);
      await classic.join();
      await classic.sync();
      await until(async () => (await modern.follow()).length === 2);
      await modern.follow();
      await until(async () => (await classic.beat()) !== 0);
      await classic.join();
      assert.equal((await classic.sync()).length, 2);
      return { modern, classic };
    },
    async (client, _servers, kept) => {
      const [modern, classic] = [moved(kept.modern, client), moved(kept.classic, client)];
      assert.deepEqual([(await modern.send()).errorCode, await classic.beat(), await classic.commit(1)], [0, 0, 0]);
      assert.deepEqual([...(await classic.sync()), ...modern.owned].sort(), [0, 1, 2, 3]);
      assert.equal(await classic.leave(), 0);
      await until(async () => (await modern.follow()).length === 4);
    },
  );
});

test('a share group keeps what is settled and how often records were delivered across kill -9', async (context) => {
  const options = { dataDir: folderOf(context), topics: [{ name: 'orders' }] };
  const [ACCEPT, RELEASE] = [1, 2];
  await acrossKill(
    options,
    async (client) => {
      await client.send(incrementalAlterConfigs, 1, {
        resources: [
          {
            resourceType: 32,
            resourceName: 'workers',
            configs: [{ name: 'share.auto.offset.reset', configOperation: 0, value: 'earliest' }],
          },
        ],
      });
      await produceTo(client, 'orders', batchOf(['a', 'b', 'c', 'd', 'e']));
      const member = new ShareMember(client, 'workers', 'orders', await idOf(client, 'orders'));
      await member.joined();
      const { acquired } = await member.fetchSome();
      assert.deepEqual(acquired, [[0, 4, 1]]);
      assert.equal(await member.acknowledge(0, 0, [ACCEPT]), 0);
      assert.equal(await member.acknowledge(2, 3, [ACCEPT, RELEASE]), 0);
      return member;
    },
    async (client, _servers, kept) => {
      const member = moved(kept, client);
      assert.equal((await member.beat()).errorCode, 0);
      // Sessions are not kept; the client begins a new one.
      assert.equal((await member.fetch()).errorCode, 122);
      member.sessionEpoch = 0;
      const { acquired } = await member.fetchSome();
      // 0 and 2 are settled. 1 and 4 were never given back: nobody knows of their delivery, as with Apache Kafka.
      assert.deepEqual(acquired, [
        [1, 1, 1],
        [3, 3, 2],
        [4, 4, 1],
      ]);
    },
  );
});

test('SCRAM users that a client sets or deletes are the same after kill -9', async (context) => {
  const options = {
    dataDir: folderOf(context),
    sasl: {
      users: [
        { name: 'admin', password: 'admin' },
        { name: 'leaver', password: 'secret' },
      ],
    },
  };
  const login = async (bootstrapServers: string, username: string, password: string): Promise<boolean> => {
    const admin = new Admin({
      clientId: 'a',
      bootstrapBrokers: [bootstrapServers],
      retries: 0,
      sasl: { mechanism: 'SCRAM-SHA-256', username, password },
    });
    try {
      await admin.listTopics();
      return true;
    } catch {
      return false;
    } finally {
      await admin.close();
    }
  };
  const check = async (bootstrapServers: string): Promise<void> => {
    assert.equal(await login(bootstrapServers, 'joiner', 'new'), true);
    assert.equal(await login(bootstrapServers, 'joiner', 'old'), false);
    assert.equal(await login(bootstrapServers, 'leaver', 'secret'), false);
  };
  // The administrator's own connection is without SASL: a broker without it writes the same folder.
  const { sasl: _sasl, ...open } = options;
  await acrossKill(
    open,
    async (client) => {
      const salt = Buffer.from('some salt of some length');
      const { results } = await client.send(alterUserScramCredentials, 0, {
        upsertions: [
          {
            name: 'joiner',
            mechanism: 1,
            iterations: 4096,
            salt,
            saltedPassword: pbkdf2Sync('new', salt, 4096, 32, 'sha256'),
          },
        ],
        deletions: [],
      });
      assert.equal(results[0]!.errorCode, 0);
    },
    async () => undefined,
  );
  {
    await using broker = await startBroker(options);
    using client = await RawClient.connect(broker.bootstrapServers);
    await client.send(saslHandshake, 1, { mechanism: 'PLAIN' });
    await client.send(saslAuthenticate, 2, { authBytes: Buffer.from('\0admin\0admin') });
    const deletions = [{ name: 'leaver', mechanism: 1 }];
    const { results } = await client.send(alterUserScramCredentials, 0, { deletions, upsertions: [] });
    assert.equal(results[0]!.errorCode, 0);
    await check(broker.bootstrapServers);
  }
  await using broker = await startBroker(options);
  await check(broker.bootstrapServers);
});

test('offsets of a group without members expire, those of a group with members stay', async () => {
  const clock = new ManualClock(Date.now());
  const minute = 60_000;
  await using broker = await startBroker({
    clock,
    topics: [{ name: 'orders' }, { name: 'others' }],
    configs: {
      'offsets.retention.minutes': 60,
      'offsets.retention.check.interval.ms': minute,
      'group.max.session.timeout.ms': 2_000_000_000,
    },
  });
  using client = await RawClient.connect(broker.bootstrapServers);
  const commit = async (groupId: string, name: string, retentionTimeMs?: number): Promise<void> => {
    const position = { partitionIndex: 0, committedOffset: 3, committedLeaderEpoch: -1, committedMetadata: 'm' };
    const { topics } = await client.send(offsetCommit, retentionTimeMs === undefined ? 8 : 2, {
      groupId,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      retentionTimeMs: retentionTimeMs ?? -1,
      topics: [{ name, partitions: [position] }],
    });
    assert.equal(topics[0]!.partitions[0]!.errorCode, 0);
  };
  const offsets = (group: string) => Object.keys(broker.control.group(group)?.offsets ?? {});
  await commit('empty', 'orders');
  await commit('hasty', 'orders', 10 * minute);
  // A member that beats, and once read another topic.
  await commit('busy', 'others');
  const busy = new ClassicMember(client, 'busy', 'orders');
  await busy.join();
  await busy.sync([0]);
  assert.equal(await busy.commit(5), 0);
  const pass = async (minutes: number): Promise<void> => {
    for (let passed = 0; passed < minutes * 60; passed += 5) {
      await clock.advance(5000);
      assert.equal(await busy.beat(), 0);
    }
  };
  await pass(9);
  assert.deepEqual(offsets('hasty'), ['orders']);
  await pass(2);
  assert.deepEqual(offsets('hasty'), []);
  await pass(48);
  assert.deepEqual(offsets('empty'), ['orders']);
  assert.deepEqual(offsets('busy').sort(), ['orders', 'others']);
  await commit('empty', 'others');
  await pass(2);
  assert.deepEqual(offsets('empty'), ['others']);
  assert.deepEqual(offsets('busy'), ['orders']);
  // A member that leaves starts the time anew.
  assert.equal(await busy.leave(), 0);
  await clock.advance(59 * minute);
  assert.deepEqual(offsets('busy'), ['orders']);
  await clock.advance(2 * minute);
  assert.equal(broker.control.group('busy'), undefined);
  assert.equal(broker.control.group('empty'), undefined);
});
