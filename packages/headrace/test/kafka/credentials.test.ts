import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startBroker } from '@headrace/dev-broker';
import { generateCertificates, needs, runCommand, startKafka, temporaryFolder } from '@headrace/testing';
import type { HeadraceError } from '../../src/errors.ts';
import { resolveAccess } from '../../src/kafka/access-configuration.ts';
import { parseClientProperties, unsecuredToken } from '../../src/kafka/client-properties.ts';
import { Cluster } from '../../src/kafka/cluster.ts';
import type { ClusterConfiguration } from '../../src/kafka/contract.ts';
import { clientCredentialsToken } from '../../src/kafka/oauth-token.ts';

const PASSWORD = 'pa55-of-the-key';

/** The client's key as people have it, by `openssl pkcs8 -topk8`: AWS takes PBES1 alone, OpenSSL 3 writes PBES2. */
const keys: [name: string, cipher: string[]][] = [
  ['PBES1', ['-v1', 'PBE-SHA1-3DES']],
  ['PBES2', ['-v2', 'aes-256-cbc']],
  ['PBES2 with scrypt', ['-scrypt']],
];

/** Made for this test by `openssl pkcs8 -topk8 -v1 PBE-MD5-DES -provider legacy`, with the password `x`. */
const legacyKey = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGwMBsGCSqGSIb3DQEFAzAOBAjg2q8GV1MalQICCAAEgZAwZG7JPPg26qn/EQtE
zqi1eqlt6favbzaXmy5CRzeVhD1boko29pEVIxtfjpD7LDNUxkze48/NRg1609D7
kbVXLiZ4he2Q9zB7G7Vy1bT3bXQOiMTguvhio30OdjmXQLzGJwgoYd1tBbsNzEPU
mvvKogWYlbmqwGDwzbxpa7XEosxwc6NtTx9AEyLoEKMt8gI=
-----END ENCRYPTED PRIVATE KEY-----
`;

/**
 * Made for this test by Node (AES-256-CBC, 2,048 rounds). The empty password decrypts it to bytes whose padding is right
 * though they are no key: one random key in some 400 is so, and OpenSSL then says "unsupported", as of an old cipher.
 */
const keyWithLuckyPadding = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIH0MF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBBtPz0xL/4uQVKmigMw
BdWDAgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQrtUKtxO8Z+dL15Ya
6hmdOwSBkOaTQOo5CLk5YN9k2CO6VebuhoGAOBggjeE3+ftmaNQSIi8q3xovybY7
dDvTfqKnd6mG1a3I+QP+SbLELFlaLJBftNA37QQJ4506BAr9YA79GVqMf/gZ5jBy
0VNhglxFfZ7yHtcHxaAMI1J+TySGVqpHeODeFG9+9y+IFRquiibXH3PslzCZAINZ
QfZX5tV1zg==
-----END ENCRYPTED PRIVATE KEY-----
`;

interface Server {
  readonly tlsAddress: string;
  readonly saslAddress: string;
  readonly certificates: Awaited<ReturnType<typeof generateCertificates>>;
  stop(): Promise<void>;
}

const servers: [name: string, skip: string | false, start: () => Promise<Server>][] = [
  [
    'Apache Kafka',
    needs('java', 'maven', 'openssl'),
    async () => {
      const kafka = await startKafka({ tls: true, properties: { 'listener.name.ssl.ssl.client.auth': 'required' } });
      return {
        tlsAddress: kafka.listeners.ssl,
        saslAddress: kafka.listeners.saslPlaintext,
        certificates: kafka.certificates!,
        stop: () => kafka.stop(),
      };
    },
  ],
  [
    'the development broker',
    needs('openssl'),
    async () => {
      const folder = temporaryFolder('credentials');
      const certificates = await generateCertificates(folder);
      const { authority, server } = certificates;
      const [encrypted, asking] = await Promise.all([
        startBroker({ tls: { key: server.key, cert: server.certificate, ca: authority, clientAuth: 'required' } }),
        startBroker({ sasl: { checkToken: 'unsecured' } }),
      ]);
      return {
        tlsAddress: encrypted.bootstrapServers,
        saslAddress: asking.bootstrapServers,
        certificates,
        stop: async () => void (await Promise.all([encrypted.stop(), asking.stop()])),
      };
    },
  ],
];

async function connects(configuration: ClusterConfiguration): Promise<void> {
  const cluster = new Cluster(configuration, { connectTimeoutMilliseconds: 5000 });
  try {
    await cluster.refresh([]);
  } finally {
    cluster.close();
  }
}

for (const [name, skip, start] of servers) {
  describe(`credentials on ${name}`, { skip }, () => {
    let server: Server;
    before(async () => {
      server = await start();
    });
    after(() => server.stop());

    const access = (secret: object): Promise<ClusterConfiguration> => {
      const documents: Record<string, object> = {
        client: secret,
        authority: { certificate: server.certificates.authority },
      };
      return resolveAccess(
        'SELF_MANAGED',
        [server.tlsAddress],
        [
          { Type: 'CLIENT_CERTIFICATE_TLS_AUTH', URI: 'client' },
          { Type: 'SERVER_ROOT_CA_CERTIFICATE', URI: 'authority' },
        ],
        async (uri) => JSON.stringify(documents[uri]),
      );
    };
    const refuses = (secret: object, code: string, message: RegExp): Promise<void> =>
      assert.rejects(
        async () => connects(await access(secret)),
        (error: HeadraceError) => {
          assert.equal(error.code, code, error.message);
          assert.match(error.message, message);
          assert.doesNotMatch(`${error.message} ${JSON.stringify(error)}`, /pa55|PRIVATE KEY/);
          return true;
        },
      );

    test('a client key that is not encrypted is taken from the secret', async () => {
      const { certificate, key } = server.certificates.client;
      await connects(await access({ certificate, privateKey: key }));
      await connects(await access({ certificate, privateKey: key, privateKeyPassword: '' }));
    });

    for (const [kind, cipher] of keys) {
      test(`a client key under ${kind} is taken with its password, and told without or with another`, async () => {
        const { certificate } = server.certificates.client;
        const input = ['pkcs8', '-topk8', '-in', join(server.certificates.folder, 'client.key')];
        const { stdout: privateKey } = await runCommand('openssl', [
          ...input,
          ...cipher,
          '-passout',
          `pass:${PASSWORD}`,
        ]);
        assert.match(privateKey, /BEGIN ENCRYPTED PRIVATE KEY/);
        await connects(await access({ certificate, privateKey, privateKeyPassword: PASSWORD }));
        await refuses({ certificate, privateKey }, 'KAFKA_TLS', /encrypted, and no password is given/);
        const privateKeyPassword = 'pa55-of-another';
        await refuses({ certificate, privateKey, privateKeyPassword }, 'KAFKA_TLS', /does not open the private key/);
      });
    }

    test('a client key as OpenSSL wrote them before PKCS#8 is taken with its password, and told without or with another', async () => {
      const { certificate } = server.certificates.client;
      const input = ['ec', '-in', join(server.certificates.folder, 'client.key'), '-aes256'];
      const { stdout: privateKey } = await runCommand('openssl', [...input, '-passout', `pass:${PASSWORD}`]);
      assert.match(privateKey, /BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED/);
      await connects(await access({ certificate, privateKey, privateKeyPassword: PASSWORD }));
      await refuses({ certificate, privateKey }, 'KAFKA_TLS', /encrypted, and no password is given/);
      const privateKeyPassword = 'pa55-of-another';
      await refuses({ certificate, privateKey, privateKeyPassword }, 'KAFKA_TLS', /does not open the private key/);
    });

    test('a client key under a cipher that OpenSSL no longer reads is told as that', async () => {
      const { certificate } = server.certificates.client;
      const secret = { certificate, privateKey: legacyKey, privateKeyPassword: 'x' };
      await refuses(secret, 'KAFKA_TLS', /cipher that OpenSSL 3 does not read; PBE-SHA1-3DES and PBES2/);
    });

    test('a key that a wrong password seems to open is told as locked, not as one under an old cipher', async () => {
      assert.throws(() => createPrivateKey({ key: keyWithLuckyPadding, passphrase: '' }), {
        code: 'ERR_OSSL_UNSUPPORTED',
      });
      const { certificate } = server.certificates.client;
      const secret = { certificate, privateKey: keyWithLuckyPadding };
      await refuses(secret, 'KAFKA_TLS', /encrypted, and no password is given/);
    });

    test('a key that belongs to another certificate, no key at all, and a password that is no text, are told', async () => {
      const { client, server: other } = server.certificates;
      await refuses(
        { certificate: client.certificate, privateKey: other.key },
        'KAFKA_TLS',
        /belongs to another certificate/,
      );
      await refuses({ certificate: client.certificate, privateKey: 'pa55' }, 'KAFKA_TLS', /private key is no PEM/);
      await refuses({ certificate: 'none', privateKey: client.key }, 'KAFKA_TLS', /certificate .* is no PEM/);
      await refuses({ certificate: client.certificate }, 'SECRET_UNAVAILABLE', /"privateKey"/);
      const secret = { certificate: client.certificate, privateKey: client.key, privateKeyPassword: 7 };
      await refuses(secret, 'SECRET_UNAVAILABLE', /"privateKeyPassword"/);
    });

    test('an authority that is no certificate is told as that, not as one that did not sign', async () => {
      const { authority } = server.certificates;
      for (const certificateAuthority of ['none', authority.replaceAll('\n', ' '), authority.slice(0, 200)]) {
        const configuration = { bootstrapServers: [server.tlsAddress], tls: { certificateAuthority } };
        await assert.rejects(connects(configuration), { code: 'KAFKA_TLS', message: /authority is no PEM/ });
      }
    });

    test('OAUTHBEARER logs in with a token from the endpoint that client.properties names', async () => {
      await using endpoint = await TokenEndpoint.start();
      const { configuration } = parseClientProperties(
        `
        security.protocol=SASL_PLAINTEXT
        sasl.mechanism=OAUTHBEARER
        sasl.oauthbearer.token.endpoint.url=${endpoint.url}
        sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \\
          clientId="head race" clientSecret="pa55:+%" scope="kafka read";
        `,
        [server.saslAddress],
      );
      await connects(configuration);
      await connects(configuration);
      assert.deepEqual(endpoint.requests, [
        {
          method: 'POST',
          // Each part is encoded as in a form before it is joined (RFC 6749, 2.3.1).
          client: 'head+race:pa55%3A%2B%25',
          form: { grant_type: 'client_credentials', scope: 'kafka read' },
        },
      ]);
      endpoint.answer = (_, response) => response.writeHead(401).end('{"error":"invalid_client"}');
      const { configuration: denied } = parseClientProperties(
        `
        security.protocol=SASL_PLAINTEXT
        sasl.mechanism=OAUTHBEARER
        sasl.oauthbearer.token.endpoint.url=${endpoint.url}
        sasl.oauthbearer.client.credentials.client.id=other
        sasl.oauthbearer.client.credentials.client.secret=pa55
        `,
        [server.saslAddress],
      );
      await assert.rejects(connects(denied), { code: 'KAFKA_AUTHENTICATION', message: /endpoint .* answered 401/ });
    });
  });
}

test('a session of months is not renewed all the time', async () => {
  let tokens = 0;
  await using broker = await startBroker({
    sasl: { checkToken: () => ({ name: 'alice', expiresAt: Date.now() + 60 * 86_400_000 }) },
  });
  const token = async (): Promise<string> => `token-${++tokens}`;
  const cluster = new Cluster({
    bootstrapServers: [broker.bootstrapServers],
    sasl: { mechanism: 'OAUTHBEARER', token },
  });
  try {
    for (let round = 0; round < 200; round++) await cluster.refresh([]);
    assert.equal(tokens, 1);
  } finally {
    cluster.close();
  }
});

/** An OAuth 2.0 token endpoint for one client. */
class TokenEndpoint implements AsyncDisposable {
  readonly requests: { method: string; client: string; form: Record<string, string> }[] = [];
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) =>
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ access_token: unsecuredToken('alice'), token_type: 'Bearer', expires_in: 3600 }));
  readonly #server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const [scheme, value = ''] = (request.headers.authorization ?? '').split(' ');
    assert.equal(scheme, 'Basic');
    this.requests.push({
      method: request.method!,
      client: Buffer.from(value, 'base64').toString(),
      form: Object.fromEntries(new URLSearchParams(body)),
    });
    this.answer(request, response);
  });

  static async start(): Promise<TokenEndpoint> {
    const endpoint = new TokenEndpoint();
    await new Promise<void>((resolve) => endpoint.#server.listen(0, '127.0.0.1', resolve));
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/token`;
  }

  provider(): () => Promise<string> {
    return clientCredentialsToken({ endpoint: this.url, clientId: 'id', clientSecret: 'pa55' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

test('a token is kept while it has a minute left, and asked for once by all who need it at the same time', async () => {
  await using endpoint = await TokenEndpoint.start();
  let seconds: number | undefined = 3600;
  let issued = 0;
  endpoint.answer = (_, response) =>
    response.end(JSON.stringify({ access_token: `token-${++issued}`, expires_in: seconds }));
  const kept = endpoint.provider();
  assert.deepEqual(await Promise.all([kept(), kept(), kept()]), ['token-1', 'token-1', 'token-1']);
  assert.equal(await kept(), 'token-1');
  seconds = 59;
  const short = endpoint.provider();
  assert.deepEqual([await short(), await short()], ['token-2', 'token-3']);
  seconds = undefined;
  const unknown = endpoint.provider();
  assert.deepEqual([await unknown(), await unknown()], ['token-4', 'token-5']);
});

test('a token endpoint that hangs is waited for so long and no longer, whether it began to answer or not', async () => {
  await using endpoint = await TokenEndpoint.start();
  const provider = clientCredentialsToken({ endpoint: endpoint.url, clientId: 'id', clientSecret: 'pa55' }, 200);
  for (const answer of [
    () => {},
    (response: ServerResponse) => void response.writeHead(200).write('{"access_token":'),
  ]) {
    endpoint.answer = (_, response) => answer(response);
    await assert.rejects(provider(), { code: 'KAFKA_AUTHENTICATION', message: /did not answer within 200 ms/ });
  }
});

test('a token endpoint that fails is told with its address and never quoted, and asked again the next time', async () => {
  await using endpoint = await TokenEndpoint.start();
  const provider = endpoint.provider();
  for (const [answer, message] of [
    [(response: ServerResponse) => response.writeHead(503).end('pa55'), /answered 503/],
    [(response: ServerResponse) => response.end('pa55'), /did not answer with JSON/],
    [(response: ServerResponse) => response.end('null'), /gave no access_token/],
    [(response: ServerResponse) => response.end('{"access_token":5}'), /gave no access_token/],
    [(response: ServerResponse) => response.destroy(), /cannot be reached/],
  ] as const) {
    endpoint.answer = (_, response) => answer(response);
    await assert.rejects(provider(), (error: HeadraceError) => {
      assert.equal(error.code, 'KAFKA_AUTHENTICATION');
      assert.match(error.message, message);
      assert.ok(error.message.includes(endpoint.url));
      assert.doesNotMatch(error.message, /pa55/);
      return true;
    });
  }
  endpoint.answer = (_, response) => response.end('{"access_token":"late","expires_in":"3600"}');
  assert.equal(await provider(), 'late');
  assert.equal(await provider(), 'late');
  assert.equal(endpoint.requests.length, 6);
});
