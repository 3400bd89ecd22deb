import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, type Kafka, needs, startKafka } from '@headrace/testing';
import type { ErrorCode, HeadraceError } from '../../src/errors.ts';
import { unsecuredToken } from '../../src/kafka/client-properties.ts';
import { Cluster } from '../../src/kafka/cluster.ts';
import type { ClusterConfiguration } from '../../src/kafka/contract.ts';
import { sourceProblem } from '../../src/mappings/status.ts';
import { createTopics, produce, Recorder } from './harness.ts';

const alice = (password = 'secret') => ({ username: 'alice', password });
const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;

describe('authentication on Apache Kafka', { skip: needs('java', 'maven', 'openssl') }, () => {
  let kafka: Kafka;
  before(async () => {
    kafka = await startKafka({
      tls: true,
      properties: {
        'listener.name.ssl.ssl.client.auth': 'required',
        'listener.name.sasl_plaintext.connections.max.reauth.ms': 1500,
      },
    });
    await createTopics(kafka.bootstrapServers, ['t'], 1);
    await produce(kafka.bootstrapServers, [{ topic: 't', value: 'v' }]);
  });
  after(() => kafka.stop());

  const at = (
    listener: 'plaintext' | 'saslPlaintext' | 'saslSsl' | 'ssl',
    rest: object = {},
  ): ClusterConfiguration => ({
    bootstrapServers: [kafka.listeners[listener]],
    ...rest,
  });
  const ca = () => ({ certificateAuthority: kafka.certificates!.authority });
  const clientCertificate = () => {
    const { key, certificate } = kafka.certificates!.client;
    return { ...ca(), certificate, privateKey: key };
  };

  const reads = async (configuration: ClusterConfiguration): Promise<void> => {
    await using reader = new Recorder(configuration, { topics: ['t'] }, { groupProtocol: 'classic' }).start();
    await eventually(() => reader.count === 1, { what: () => `no record: ${reader.status?.message}` });
  };
  const refuses = async (
    configuration: ClusterConfiguration,
    code: ErrorCode,
    message: RegExp,
    result?: RegExp,
  ): Promise<void> => {
    const cluster = new Cluster(configuration, { connectTimeoutMilliseconds: 3000 });
    try {
      await assert.rejects(cluster.refresh(['t']), (error: HeadraceError) => {
        assert.equal(error.code, code, error.message);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /wrong-secret/);
        if (result !== undefined) assert.match(sourceProblem(error).result, result);
        return true;
      });
    } finally {
      cluster.close();
    }
  };

  for (const mechanism of mechanisms) {
    test(`${mechanism} is let in with the right password, with TLS and without`, async () => {
      await reads(at('saslPlaintext', { sasl: { mechanism, ...alice() } }));
      await reads(at('saslSsl', { sasl: { mechanism, ...alice() }, tls: ca() }));
    });

    test(`${mechanism} with a wrong password is told apart as an authentication error`, async () => {
      const sasl = { mechanism, ...alice('wrong-secret') };
      await refuses(at('saslPlaintext', { sasl }), 'KAFKA_AUTHENTICATION', /SASL_AUTHENTICATION_FAILED/, /SASL/);
      await refuses(at('saslSsl', { sasl, tls: ca() }), 'KAFKA_AUTHENTICATION', /SASL_AUTHENTICATION_FAILED/);
    });
  }

  test('OAUTHBEARER is let in with a token, refused with a bad one, and a token that cannot be had is told', async () => {
    const sasl = (token: () => Promise<string>) => ({ mechanism: 'OAUTHBEARER', token });
    await reads(at('saslPlaintext', { sasl: sasl(async () => unsecuredToken('alice')) }));
    await refuses(
      at('saslPlaintext', { sasl: sasl(async () => unsecuredToken('alice', Date.now() - 7_200_000)) }),
      'KAFKA_AUTHENTICATION',
      /refused the token/,
    );
    const none = sasl(() => Promise.reject(new Error('endpoint down')));
    await refuses(at('saslPlaintext', { sasl: none }), 'KAFKA_AUTHENTICATION', /no token could be had: endpoint down/);
  });

  test('mutual TLS is let in with a certificate that the broker trusts, and not without', async () => {
    await reads(at('ssl', { tls: clientCertificate() }));
    const cluster = new Cluster(at('ssl', { tls: ca() }), { connectTimeoutMilliseconds: 3000 });
    await assert.rejects(cluster.refresh(['t']), (error: HeadraceError) => {
      assert.match(error.message, /client certificate/);
      assert.deepEqual(sourceProblem(error), {
        result: 'PROBLEM: Server failed to authenticate Lambda',
        reason: 'EVENT_SOURCE_AUTHN_ERROR',
      });
      return error.code === 'KAFKA_TLS';
    });
    cluster.close();
  });

  test('an unknown authority is refused, and so is a key that cannot be used', async () => {
    const sasl = { mechanism: 'PLAIN', ...alice() };
    await refuses(at('saslSsl', { sasl, tls: {} }), 'KAFKA_TLS', /not trusted/, /Lambda failed to authenticate server/);
    const tls = { ...clientCertificate(), privateKey: 'no key' };
    await refuses(at('ssl', { tls }), 'KAFKA_TLS', /TLS with/, /Provided certificate or private key is invalid/);
  });

  test('a certificate for another name is refused, unless names are not looked at', async () => {
    const sasl = { mechanism: 'PLAIN', ...alice() };
    const tls = { ...ca(), serverName: 'elsewhere.example' };
    await refuses(at('saslSsl', { sasl, tls }), 'KAFKA_TLS', /another name/);
    await reads(at('saslSsl', { sasl, tls: { ...tls, verifyServerName: false } }));
  });

  test('TLS where there is none, and none where there is TLS, are each told by name', async () => {
    await refuses(at('plaintext', { tls: ca() }), 'KAFKA_TLS', /does not speak TLS/);
    await refuses(at('saslSsl'), 'KAFKA_TLS', /speaks TLS/);
  });

  test('credentials where none are taken, and none where they are, are each told by name', async () => {
    const sasl = { mechanism: 'PLAIN', ...alice() };
    await refuses(at('plaintext', { sasl }), 'KAFKA_AUTHENTICATION', /does not take SASL/);
    await refuses(at('saslPlaintext'), 'KAFKA_AUTHENTICATION', /asks for SASL/);
  });

  test('nobody there and no such name are told apart from the rest', async () => {
    await refuses({ bootstrapServers: ['127.0.0.1:1'] }, 'KAFKA_UNREACHABLE', /nothing listens/);
    await refuses({ bootstrapServers: ['no-such-host.invalid:9092'] }, 'KAFKA_UNREACHABLE', /cannot be resolved/);
  });

  test('dead hosts in the bootstrap list do not matter', async () => {
    await reads({ bootstrapServers: ['127.0.0.1:1', 'no-such-host.invalid:9092', kafka.listeners.plaintext] });
  });

  test('a session is authenticated anew before it ends, without a break', async () => {
    let tokens = 0;
    const token = async (): Promise<string> => {
      tokens++;
      return unsecuredToken('alice');
    };
    const cluster = new Cluster(at('saslPlaintext', { sasl: { mechanism: 'OAUTHBEARER', token } }));
    try {
      const connection = await cluster.control();
      await eventually(async () => {
        await cluster.refresh(['t']);
        return tokens >= 4;
      });
      assert.equal(await cluster.control(), connection, 'the connection was made anew');
    } finally {
      cluster.close();
    }
  });

  test('reading goes on over many sessions', async () => {
    const sasl = { mechanism: 'SCRAM-SHA-256', ...alice() } as const;
    await using reader = new Recorder(at('saslPlaintext', { sasl }), { topics: ['t'] }, { groupProtocol: 'classic' });
    reader.start();
    await eventually(() => reader.count >= 1);
    const deadline = performance.now() + 4000;
    let sent = 1;
    while (performance.now() < deadline) {
      await produce(kafka.bootstrapServers, [{ topic: 't', value: 'v' }]);
      sent++;
      await eventually(() => reader.count === sent);
    }
    assert.deepEqual(reader.lost, []);
  });
});
