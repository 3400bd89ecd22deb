import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { generateCertificates, ManualClock, needs } from '@headrace/testing';
import { Admin, type AdminOptions } from '@platformatic/kafka';
import { Kafka, logLevel } from 'kafkajs';
import { type Broker, startBroker } from '../src/index.ts';
import { apiVersions } from '../src/protocol/messages/api-versions.ts';
import { heartbeat } from '../src/protocol/messages/heartbeat.ts';
import { leaveGroup } from '../src/protocol/messages/leave-group.ts';
import { metadata } from '../src/protocol/messages/metadata.ts';
import { saslAuthenticate } from '../src/protocol/messages/sasl-authenticate.ts';
import { saslHandshake } from '../src/protocol/messages/sasl-handshake.ts';
import { syncGroup } from '../src/protocol/messages/sync-group.ts';
import { ClosedError, RawClient } from './raw-client.ts';

const users = [{ name: 'alice', password: 'secret' }];

const listTopics = async (broker: Broker, options: Partial<AdminOptions>): Promise<string[]> => {
  const admin = new Admin({ clientId: 'a', bootstrapBrokers: [broker.bootstrapServers], retries: 0, ...options });
  try {
    return await admin.listTopics();
  } finally {
    await admin.close();
  }
};

const token = (claims: Record<string, unknown>): string =>
  `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`;

test('PLAIN and SCRAM let the right password in, and no other', async () => {
  await using broker = await startBroker({ sasl: { users }, topics: [{ name: 'orders' }] });
  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
    assert.deepEqual(await listTopics(broker, { sasl: { mechanism, username: 'alice', password: 'secret' } }), [
      'orders',
    ]);
    await assert.rejects(listTopics(broker, { sasl: { mechanism, username: 'alice', password: 'wrong' } }), mechanism);
    await assert.rejects(
      listTopics(broker, { sasl: { mechanism, username: 'mallory', password: 'secret' } }),
      mechanism,
    );
  }
  await assert.rejects(listTopics(broker, {}));
  const admin = new Kafka({
    brokers: [broker.bootstrapServers],
    logLevel: logLevel.NOTHING,
    sasl: { mechanism: 'scram-sha-512', username: 'alice', password: 'secret' },
  }).admin();
  await admin.connect();
  assert.deepEqual(await admin.listTopics(), ['orders']);
  await admin.disconnect();
});

test('OAUTHBEARER: tokens are checked, also for their time', async () => {
  await using broker = await startBroker({ sasl: { checkToken: 'unsecured' }, topics: [{ name: 'orders' }] });
  const inAnHour = Math.floor(Date.now() / 1000) + 3600;
  const good = token({ sub: 'alice', exp: inAnHour });
  assert.deepEqual(await listTopics(broker, { sasl: { mechanism: 'OAUTHBEARER', token: good } }), ['orders']);
  const old = token({ sub: 'alice', exp: 1000 });
  await assert.rejects(listTopics(broker, { sasl: { mechanism: 'OAUTHBEARER', token: old } }));
});

test('before authentication nothing is answered but ApiVersions, and frames stay small', async () => {
  await using broker = await startBroker({ sasl: { users } });
  using client = await RawClient.connect(broker.bootstrapServers);
  assert.equal((await client.send(apiVersions, 4, {})).errorCode, 0);
  assert.equal((await client.send(saslHandshake, 1, { mechanism: 'GSSAPI' })).errorCode, 33);
  assert.equal((await client.send(saslAuthenticate, 2, { authBytes: Buffer.from('x') })).errorCode, 34);
  await assert.rejects(client.send(metadata, 12, { topics: [] }), ClosedError);
  using large = await RawClient.connect(broker.bootstrapServers);
  await assert.rejects(large.exchange(Buffer.from('00100000', 'hex')), ClosedError);
});

test('a session ends when it is not renewed in time, and renewing keeps it', async () => {
  const clock = new ManualClock(Date.now());
  await using broker = await startBroker({ clock, sasl: { users }, configs: { 'connections.max.reauth.ms': 60_000 } });
  using client = await RawClient.connect(broker.bootstrapServers);
  const authenticate = async (user = 'alice') => {
    await client.send(saslHandshake, 1, { mechanism: 'PLAIN' });
    return client.send(saslAuthenticate, 2, { authBytes: Buffer.from(`\0${user}\0secret`) });
  };
  assert.equal((await authenticate()).sessionLifetimeMs, 60_000);
  await clock.advance(50_000);
  assert.equal((await authenticate()).errorCode, 0);
  await clock.advance(50_000);
  await client.send(metadata, 12, { topics: [] });
  await clock.advance(20_000);
  await assert.rejects(client.send(metadata, 12, { topics: [] }), ClosedError);
});

test('the authorize hook sees who asks for what', async () => {
  const asked: string[] = [];
  await using broker = await startBroker({
    sasl: { users },
    topics: [{ name: 'orders' }, { name: 'secrets' }],
    authorize: (principal, operation, { type, name }) => {
      asked.push(`${principal} ${operation} ${type} ${name}`);
      return name !== 'secrets';
    },
  });
  const sasl = { mechanism: 'PLAIN', username: 'alice', password: 'secret' } as const;
  assert.deepEqual(await listTopics(broker, { sasl }), ['orders']);
  assert.ok(asked.includes('User:alice DESCRIBE TOPIC secrets'));
});

test('who may not read a group is refused every request of a member', async () => {
  await using broker = await startBroker({
    authorize: (_, operation, { type }) => !(type === 'GROUP' && operation === 'READ'),
  });
  using client = await RawClient.connect(broker.bootstrapServers);
  const member = { groupId: 'g', generationId: 1, memberId: 'm', groupInstanceId: null };
  const synced = await client.send(syncGroup, 4, {
    ...member,
    protocolType: null,
    protocolName: null,
    assignments: [],
  });
  const beaten = await client.send(heartbeat, 4, member);
  const left = await client.send(leaveGroup, 4, { groupId: 'g', memberId: 'm', members: [] });
  assert.deepEqual([synced.errorCode, beaten.errorCode, left.errorCode], [30, 30, 30]);
});

test('TLS, and clients that must show a certificate', { skip: needs('openssl') }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'dev-broker-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const { authority, server, client } = await generateCertificates(folder);
  const principals: string[] = [];
  const authorize = (principal: string): boolean => {
    principals.push(principal);
    return true;
  };
  const tls = { key: server.key, cert: server.certificate, ca: authority };
  {
    await using broker = await startBroker({ tls, topics: [{ name: 'orders' }] });
    assert.deepEqual(await listTopics(broker, { tls: { ca: authority } }), ['orders']);
    await assert.rejects(listTopics(broker, { connectTimeout: 500 }));
  }
  await using broker = await startBroker({
    tls: { ...tls, clientAuth: 'required' },
    authorize,
    topics: [{ name: 'orders' }],
  });
  const withCertificate = { ca: authority, key: client.key, cert: client.certificate };
  assert.deepEqual(await listTopics(broker, { tls: withCertificate }), ['orders']);
  assert.deepEqual(new Set(principals), new Set(['User:CN=client']));
  await assert.rejects(listTopics(broker, { tls: { ca: authority }, connectTimeout: 1000 }));
});
