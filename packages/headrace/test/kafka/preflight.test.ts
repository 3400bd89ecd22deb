import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BrokerOptions, startBroker } from '@headrace/dev-broker';
import { eventually, generateCertificates, needs, runCommand, temporaryFolder } from '@headrace/testing';
import { reasonOf } from '../../src/kafka/connection.ts';
import type { ClusterConfiguration } from '../../src/kafka/contract.ts';
import { walkToCluster } from '../../src/kafka/preflight.ts';
import { HeadraceProcess } from '../demo/headrace-process.ts';
import { produce, Recorder } from './harness.ts';

/** Walks, and gives back the names of the hops that went well and the error that ended the walk. */
async function walk(configuration: ClusterConfiguration, topics: string[] = ['t'], groupId = 'g') {
  const { ok, hops } = await walkToCluster(configuration, { topics, groupId, timeoutMilliseconds: 2_000 });
  const last = hops.at(-1)!;
  assert.equal(ok, last.error === undefined);
  return { names: hops.map(({ name }) => name), last, hops };
}

async function withBroker(options: BrokerOptions, action: (servers: string[]) => Promise<void>): Promise<void> {
  await using broker = await startBroker({ topics: [{ name: 't', partitions: 2 }], ...options });
  await action([broker.bootstrapServers]);
}

test('the whole way is walked, to the lag of the group', async () => {
  await withBroker({}, async (bootstrapServers) => {
    await produce(
      bootstrapServers[0]!,
      Array.from({ length: 10 }, (_, index) => ({ topic: 't', partition: index % 2, value: 'v' })),
    );
    {
      await using reader = new Recorder({ bootstrapServers }, { topics: ['t'], groupId: 'g' }).start();
      reader.onRevoking = () =>
        reader.consumer.commit([{ topic: 't', partition: 1, offset: 2, leaderEpoch: -1, metadata: '' }]);
      await eventually(() => reader.count === 10);
    }
    const { names, last } = await walk({ bootstrapServers });
    assert.deepEqual(names, [
      'bootstrap servers',
      'name resolution',
      'TCP',
      'authentication',
      'protocol',
      'brokers',
      'advertised broker',
      'topic',
      'read',
      'group',
      'lag',
    ]);
    assert.equal(last.found, '3 records, most in t-1: 3');
  });
});

test('each hop that fails ends the walk with its own error and cure', async () => {
  const unresolved = await walk({ bootstrapServers: ['no-such-host.invalid:9092'] });
  assert.deepEqual([unresolved.last.name, unresolved.last.error?.code], ['name resolution', 'KAFKA_UNREACHABLE']);
  const closed = await walk({ bootstrapServers: ['127.0.0.1:1'] });
  assert.deepEqual([closed.last.name, closed.last.found], ['TCP', 'nothing listens at 127.0.0.1:1']);
  await withBroker({}, async (bootstrapServers) => {
    const missing = await walk({ bootstrapServers }, ['other']);
    assert.deepEqual([missing.last.name, missing.last.error?.code], ['topic', 'KAFKA_TOPIC_MISSING']);
    assert.ok(missing.last.error!.cure.length > 10);
    const tls = await walk({ bootstrapServers, tls: {} });
    assert.deepEqual([tls.last.name, tls.last.error?.code], ['TLS', 'KAFKA_TLS']);
  });
});

test('TLS is looked at by chain, name and expiry', { skip: needs('openssl') }, async (t) => {
  const folder = temporaryFolder('preflight');
  t.after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  await runCommand('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '7'],
    ...['-subj', '/CN=short-lived', '-addext', 'subjectAltName=IP:127.0.0.1'],
  ]);
  const [privateKey, certificate] = [readFileSync(key, 'utf8'), readFileSync(cert, 'utf8')];
  await withBroker({ tls: { key: privateKey, cert: certificate } }, async ([server]) => {
    const bootstrapServers = [`127.0.0.1:${server!.split(':').at(-1)}`];
    const fails = async (tls: ClusterConfiguration['tls'], message: RegExp): Promise<void> => {
      const { last } = await walk({ bootstrapServers, tls });
      assert.deepEqual([last.name, last.error?.code], ['TLS', 'KAFKA_TLS']);
      assert.match(last.error!.message, message);
    };
    await fails({}, /signed by an authority that is not trusted/);
    await fails({ certificateAuthority: certificate, serverName: 'kafka.example' }, /made out to another name/);
    const { hops, last } = await walk({ bootstrapServers, tls: { certificateAuthority: certificate } });
    assert.equal(last.error, undefined);
    const seen = hops.find(({ name }) => name === 'TLS')!;
    assert.equal(seen.result, 'warning');
    assert.match(seen.found, /^TLSv1\.3, certificate of short-lived by short-lived, valid for [67] days$/);
    // Without TLS: Node's listener closes without a word, Java's says what it is.
    const plain = await walk({ bootstrapServers });
    assert.match(plain.last.error!.message, /closed the connection at ApiVersions: .* does it want TLS/);
  });
});

test('what several addresses of a name said is told of each', () => {
  assert.equal(reasonOf(new AggregateError([new Error('one away'), new Error('two away')])), 'one away; two away');
  assert.equal(reasonOf(new Error('away')), 'away');
});

test('a certificate that has expired, or is for another use, is told as that', {
  skip: needs('openssl'),
}, async (t) => {
  const folder = temporaryFolder('preflight');
  t.after(() => rmSync(folder, { recursive: true }));
  const openssl = (...args: string[]): Promise<unknown> => runCommand('openssl', args, { cwd: folder });
  await openssl(...['req', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'key', '-out', 'csr', '-subj', '/CN=s']);
  for (const [days, extension, message] of [
    ['-1', '', /the certificate has expired/],
    ['7', 'extendedKeyUsage=clientAuth\n', /not made out for this use/],
  ] as const) {
    writeFileSync(join(folder, 'ext'), `subjectAltName=IP:127.0.0.1\n${extension}`);
    await openssl(
      ...['x509', '-req', '-in', 'csr', '-signkey', 'key', '-out', 'cert', '-days', days, '-extfile', 'ext'],
    );
    const [key, cert] = ['key', 'cert'].map((name) => readFileSync(join(folder, name), 'utf8'));
    await withBroker({ tls: { key: key!, cert: cert! } }, async (bootstrapServers) => {
      const { last } = await walk({ bootstrapServers, tls: { certificateAuthority: cert! } });
      assert.deepEqual([last.name, last.error?.code], ['TLS', 'KAFKA_TLS'], last.found);
      assert.match(last.found, message);
    });
  }
});

test('headrace check takes a client certificate whose key is encrypted', { skip: needs('openssl') }, async (t) => {
  const folder = temporaryFolder('preflight');
  t.after(() => rmSync(folder, { recursive: true }));
  const { authority, server, client } = await generateCertificates(folder);
  const [ca, cert, key, password] = ['ca', 'cert', 'key', 'password'].map((name) => join(folder, `check-${name}`));
  writeFileSync(ca!, authority);
  writeFileSync(cert!, client.certificate);
  writeFileSync(password!, 'pa55\n');
  const plain = join(folder, 'check-plain-key');
  writeFileSync(plain, client.key);
  await runCommand('openssl', ['pkcs8', '-topk8', '-in', plain, '-out', key!, '-passout', 'pass:pa55']);
  const tls = { key: server.key, cert: server.certificate, ca: authority, clientAuth: 'required' } as const;
  await withBroker({ tls }, async ([bootstrapServers]) => {
    const words = [
      'check',
      '--bootstrap-servers',
      bootstrapServers!,
      '--tls-ca',
      ca!,
      '--tls-cert',
      cert!,
      '--tls-key',
      key!,
    ];
    using good = new HeadraceProcess([...words, '--tls-key-password-file', password!]);
    const ended = await good.ended;
    assert.equal(ended.code, 0, ended.stdout);
    using bad = new HeadraceProcess(words);
    const { code, stdout } = await bad.ended;
    assert.equal(code, 1);
    assert.match(stdout, /the private key is encrypted, and no password is given/);
  });
});

test('wrong credentials end the walk at authentication', async () => {
  await withBroker({ sasl: { users: [{ name: 'alice', password: 'secret' }] } }, async (bootstrapServers) => {
    const sasl = { mechanism: 'SCRAM-SHA-256', username: 'alice', password: 'wrong-secret' } as const;
    const { last, hops } = await walk({ bootstrapServers, sasl });
    assert.deepEqual([last.name, last.error?.code], ['authentication', 'KAFKA_AUTHENTICATION']);
    assert.doesNotMatch(JSON.stringify(hops), /wrong-secret/);
    assert.equal((await walk({ bootstrapServers, sasl: { ...sasl, password: 'secret' } })).last.error, undefined);
  });
});

test('what may not be read, and a group that may not be used, are told apart', async () => {
  await withBroker(
    { authorize: (_, operation, { type }) => !(type === 'TOPIC' && operation === 'READ') },
    async (servers) => {
      const { last } = await walk({ bootstrapServers: servers });
      assert.deepEqual([last.name, last.error?.code], ['read', 'KAFKA_AUTHORIZATION']);
    },
  );
  await withBroker({ authorize: (_, __, { type }) => type !== 'GROUP' }, async (servers) => {
    const { last } = await walk({ bootstrapServers: servers });
    assert.deepEqual([last.name, last.error?.code], ['group', 'KAFKA_AUTHORIZATION']);
  });
  // Who may only look at a group cannot join it.
  await withBroker(
    { authorize: (_, operation, { type }) => !(type === 'GROUP' && operation === 'READ') },
    async (servers) => {
      const { last } = await walk({ bootstrapServers: servers });
      assert.deepEqual([last.name, last.error?.code], ['group', 'KAFKA_AUTHORIZATION']);
      assert.match(last.found, /READ of group g/);
    },
  );
});

test('a cluster that has to make room for offsets first is given the time', async () => {
  await using broker = await startBroker({ topics: [{ name: 't' }] });
  const fault = broker.faults.add({ api: 'FindCoordinator', error: 'COORDINATOR_NOT_AVAILABLE', times: 3 });
  const { last } = await walk({ bootstrapServers: [broker.bootstrapServers] });
  assert.deepEqual([last.name, last.result, fault.hits], ['group', 'ok', 3]);
  broker.faults.add({ api: 'FindCoordinator', error: 'COORDINATOR_NOT_AVAILABLE' });
  const { last: absent } = await walk({ bootstrapServers: [broker.bootstrapServers] });
  assert.match(absent.error!.message, /COORDINATOR_NOT_AVAILABLE/);
});

test('nothing is said of the offsets of a group while no topic is named', async () => {
  await withBroker({}, async (bootstrapServers) => {
    const { last } = await walk({ bootstrapServers }, []);
    assert.deepEqual([last.name, last.found], ['group', 'coordinated by broker 1; no topic named to see offsets of']);
  });
});

test('an advertised address that cannot be used from here is told as that', async () => {
  await withBroker({ advertisedHost: 'no-such-host.invalid' }, async (bootstrapServers) => {
    const port = bootstrapServers[0]!.split(':').at(-1);
    const { last } = await walk({ bootstrapServers: [`127.0.0.1:${port}`] });
    assert.equal(last.name, 'advertised broker');
    assert.match(last.error!.message, /advertised\.listeners/);
  });
});

test('a dead host in the list is a warning when another answers', async () => {
  await withBroker({}, async (bootstrapServers) => {
    const dead = '127.0.0.1:1';
    const { hops } = await walk({ bootstrapServers: [dead, ...bootstrapServers] });
    assert.deepEqual(
      hops.filter(({ name }) => name === 'TCP').map(({ result }) => result),
      ['warning', 'ok'],
    );
    // What is printed as it goes says the same.
    using running = new HeadraceProcess(['check', '--bootstrap-servers', `${dead},${bootstrapServers}`]);
    const { code, stdout } = await running.ended;
    assert.equal(code, 0);
    assert.match(stdout, /^warning .*TCP of 127/m);
    assert.doesNotMatch(stdout, /^failed/m);
  });
});

test('a host that speaks something else, or hangs up, is a warning when another answers; a wrong password is not', async () => {
  const closing = createServer((socket) => void socket.destroy());
  const speaking = createServer((socket) => void socket.on('error', () => {}).end('SSH-2.0-no-broker\r\n'));
  const listen = (server: Server): Promise<string> =>
    new Promise((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve(`127.0.0.1:${(server.address() as AddressInfo).port}`)),
    );
  const others = [await listen(closing), await listen(speaking)];
  try {
    await withBroker({ sasl: { users: [{ name: 'alice', password: 'secret' }] } }, async (bootstrapServers) => {
      const sasl = { mechanism: 'PLAIN', username: 'alice', password: 'secret' } as const;
      const { hops, last } = await walk({ bootstrapServers: [...others, ...bootstrapServers], sasl });
      assert.deepEqual(
        hops.filter(({ name }) => name === 'authentication').map(({ result }) => result),
        ['warning', 'warning', 'ok'],
      );
      assert.equal(last.name, 'group');
      const alone = await walk({ bootstrapServers: others, sasl });
      assert.deepEqual([alone.last.name, alone.last.result], ['authentication', 'failed']);
      const wrong = { ...sasl, password: 'other' };
      const refused = await walk({ bootstrapServers: [...bootstrapServers, ...others], sasl: wrong });
      assert.equal(refused.last.error?.code, 'KAFKA_AUTHENTICATION');
      assert.equal(refused.hops.filter(({ name }) => name === 'authentication').length, 1);
    });
  } finally {
    closing.close();
    speaking.close();
  }
});

test('headrace check refuses flags that would not count, and names keys of the file that mean nothing', async (t) => {
  const folder = temporaryFolder('preflight');
  t.after(() => rmSync(folder, { recursive: true }));
  const [file, password] = ['client.properties', 'password'].map((name) => join(folder, name));
  writeFileSync(file!, 'security.protcol=SSL\nssl.keystore.key=-----BEGIN PRIVATE KEY-----\nMIIEpa55\n');
  writeFileSync(password!, 'pa55');
  const ends = async (...words: string[]): Promise<string> => {
    using running = new HeadraceProcess(['check', ...words]);
    const { code, stderr } = await running.ended;
    return `${code} ${stderr}`;
  };
  await withBroker({}, async ([servers]) => {
    const at = ['--bootstrap-servers', servers!];
    assert.match(await ends(...at, '--kafka-config', file!, '--sasl', 'PLAIN'), /^2 .*--sasl does not go with/);
    assert.match(await ends(...at, '--kafka-config', file!, '--tls'), /^2 .*--tls does not go with/);
    assert.match(await ends(...at, '--username', 'alice'), /^2 .*--username goes with --sasl PLAIN/);
    assert.match(await ends(...at, '--sasl', 'AWS_MSK_IAM', '--password-file', password!), /^2 .*--password-file goes/);
    assert.match(await ends(...at, '--tls-key-password-file', password!), /^2 .*goes with --tls-key/);
    const told = await ends(...at, '--kafka-config', file!);
    assert.match(told, /^0 .*client\.properties: security\.protcol mean nothing here/);
    assert.doesNotMatch(told, /pa55/);
  });
});

test('headrace check prints the hops, and exits 1 where one fails', async () => {
  await withBroker({}, async ([bootstrapServers]) => {
    using good = new HeadraceProcess(['check', '--bootstrap-servers', bootstrapServers!, '--topic', 't', '--json']);
    const { code, stdout } = await good.ended;
    assert.equal(code, 0);
    const document = JSON.parse(stdout) as { ok: boolean; hops: { name: string; milliseconds: number }[] };
    assert.equal(document.ok, true);
    assert.ok(document.hops.every(({ milliseconds }) => milliseconds >= 0));
    using bad = new HeadraceProcess(['check', '--bootstrap-servers', bootstrapServers!, '--topic', 'other']);
    const ended = await bad.ended;
    assert.equal(ended.code, 1);
    assert.match(ended.stdout, /failed .*topic of other.*\n.*KAFKA_TOPIC_MISSING/);
    using unclear = new HeadraceProcess(['check']);
    assert.equal((await unclear.ended).code, 2);
  });
});
