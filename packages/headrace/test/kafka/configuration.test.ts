import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import type { HeadraceError } from '../../src/errors.ts';
import { resolveAccess, validateAccess } from '../../src/kafka/access-configuration.ts';
import { parseAddress } from '../../src/kafka/bootstrap.ts';
import { parseClientProperties } from '../../src/kafka/client-properties.ts';
import type { ClusterConfiguration } from '../../src/kafka/contract.ts';
import { mskIamToken, regionOfBroker } from '../../src/kafka/msk-iam.ts';
import { parseProperties } from '../../src/kafka/properties-file.ts';
import { describeCluster } from '../../src/kafka/redaction.ts';
import { authenticateScram } from '../../src/kafka/scram.ts';
import { environmentName, secretResolver } from '../../src/kafka/secrets.ts';

// Spec ESM 13.1, cell by cell.
const cells: [type: string, uri: string, msk: boolean, selfManaged: boolean][] = [
  ['SASL_SCRAM_512_AUTH', 'secret', true, true],
  ['SASL_SCRAM_256_AUTH', 'secret', false, true],
  ['BASIC_AUTH', 'secret', false, true],
  ['CLIENT_CERTIFICATE_TLS_AUTH', 'secret', true, true],
  ['SERVER_ROOT_CA_CERTIFICATE', 'secret', false, true],
  ['VPC_SUBNET', 'subnet:subnet-0abc', false, true],
  ['VPC_SECURITY_GROUP', 'security_group:sg-0abc', false, true],
  ['VIRTUAL_HOST', '/', false, false],
];

for (const [Type, URI, msk, selfManaged] of cells) {
  for (const [kind, isAllowed] of [
    ['MSK', msk],
    ['SELF_MANAGED', selfManaged],
  ] as const) {
    test(`${Type} is ${isAllowed ? 'taken' : 'refused'} for ${kind}`, () => {
      const validate = (): void => validateAccess(kind, [{ Type, URI }]);
      if (isAllowed) assert.doesNotThrow(validate);
      else
        assert.throws(validate, { code: 'CONFIGURATION', message: new RegExp(`\\[0\\]\\.Type: ${Type} does not go`) });
    });
  }
}

test('no access configuration at all is taken for both kinds: no authentication, or IAM by the cluster', async () => {
  const none = async (): Promise<string> => assert.fail('no secret is asked for');
  for (const kind of ['MSK', 'SELF_MANAGED'] as const) {
    assert.deepEqual(await resolveAccess(kind, ['b:1'], [], none), { bootstrapServers: ['b:1'] });
  }
});

test('every two mechanisms together are refused, and a root authority goes with each', () => {
  const mechanisms = ['SASL_SCRAM_512_AUTH', 'SASL_SCRAM_256_AUTH', 'BASIC_AUTH', 'CLIENT_CERTIFICATE_TLS_AUTH'];
  for (const one of mechanisms) {
    const authority = { Type: 'SERVER_ROOT_CA_CERTIFICATE', URI: 'ca' };
    assert.doesNotThrow(() => validateAccess('SELF_MANAGED', [{ Type: one, URI: 'a' }, authority]));
    for (const other of mechanisms.filter((type) => type !== one)) {
      const both = [
        { Type: one, URI: 'a' },
        { Type: other, URI: 'b' },
      ];
      assert.throws(() => validateAccess('SELF_MANAGED', both), {
        code: 'CONFIGURATION',
        message: /one authentication/,
      });
    }
  }
});

test('unknown types, two mechanisms, repetitions and bad URIs are refused by name', () => {
  const refuse = (configurations: { Type: string; URI: string }[], message: RegExp): void =>
    assert.throws(() => validateAccess('SELF_MANAGED', configurations), { code: 'CONFIGURATION', message });
  refuse([{ Type: 'KERBEROS', URI: 'x' }], /KERBEROS is none of/);
  refuse(
    [
      { Type: 'BASIC_AUTH', URI: 'x' },
      { Type: 'SASL_SCRAM_512_AUTH', URI: 'x' },
    ],
    /one authentication at most/,
  );
  refuse(
    [
      { Type: 'BASIC_AUTH', URI: 'x' },
      { Type: 'BASIC_AUTH', URI: 'y' },
    ],
    /\[1\].*twice/,
  );
  refuse([{ Type: 'BASIC_AUTH', URI: ' ' }], /\[0\]\.URI/);
  refuse([{ Type: 'VPC_SUBNET', URI: 'subnet-1' }], /subnet:subnet-/);
  validateAccess('SELF_MANAGED', [
    { Type: 'VPC_SUBNET', URI: 'subnet:subnet-1' },
    { Type: 'VPC_SUBNET', URI: 'subnet:subnet-2' },
    { Type: 'VPC_SECURITY_GROUP', URI: 'security_group:sg-1' },
    { Type: 'SERVER_ROOT_CA_CERTIFICATE', URI: 'ca' },
    { Type: 'SASL_SCRAM_256_AUTH', URI: 'user' },
  ]);
});

test('access configurations become a cluster configuration; its secrets are used and never shown', async () => {
  const documents: Record<string, string> = {
    user: JSON.stringify({ username: 'alice', password: 'pa55word' }),
    ca: JSON.stringify({ certificate: 'CA PEM' }),
    client: JSON.stringify({ certificate: 'CHAIN', privateKey: 'KEY-pa55word', privateKeyPassword: 'pa55word' }),
  };
  const secrets = async (uri: string): Promise<string> => documents[uri]!;
  const servers = ['b:9094'];
  const scram = await resolveAccess(
    'SELF_MANAGED',
    servers,
    [
      { Type: 'SASL_SCRAM_512_AUTH', URI: 'user' },
      { Type: 'SERVER_ROOT_CA_CERTIFICATE', URI: 'ca' },
    ],
    secrets,
  );
  assert.ok(scram.sasl !== undefined && 'password' in scram.sasl);
  assert.deepEqual(
    [scram.sasl.mechanism, scram.sasl.username, scram.sasl.password],
    ['SCRAM-SHA-512', 'alice', 'pa55word'],
  );
  assert.equal(scram.tls?.certificateAuthority, 'CA PEM');
  const mutual = await resolveAccess('MSK', servers, [{ Type: 'CLIENT_CERTIFICATE_TLS_AUTH', URI: 'client' }], secrets);
  assert.equal(mutual.tls?.privateKeyPassword, 'pa55word');
  for (const shown of [scram, mutual]) {
    const everything = [
      JSON.stringify(shown),
      inspect(shown, { depth: 9 }),
      JSON.stringify(describeCluster(shown)),
    ].join();
    assert.doesNotMatch(everything, /pa55word/);
  }
  // Passwords go over TLS always, as on AWS.
  assert.ok((await resolveAccess('SELF_MANAGED', servers, [{ Type: 'BASIC_AUTH', URI: 'user' }], secrets)).tls);
  assert.deepEqual(await resolveAccess('SELF_MANAGED', servers, [], secrets), { bootstrapServers: servers });
});

test('a secret that cannot be used is told without being quoted', async () => {
  const resolve = (text: string) =>
    resolveAccess('SELF_MANAGED', ['b:1'], [{ Type: 'BASIC_AUTH', URI: 'user' }], async () => text);
  for (const [text, message] of [
    ['{"username":"alice","passw', /is not JSON/],
    ['["alice"]', /no JSON object/],
    ['{"username":"alice"}', /no member "password"/],
  ] as const) {
    await assert.rejects(resolve(text), (error: Error) => {
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /alice/);
      return true;
    });
  }
});

test('secrets come from the file, then the environment, then Secrets Manager', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'secrets-'));
  try {
    const arn = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:team/kafka-AbCdEf';
    assert.equal(environmentName(arn), 'HEADRACE_SECRET_TEAM_KAFKA');
    assert.deepEqual(['kafka-secret', 'kafka-client'].map(environmentName), [
      'HEADRACE_SECRET_KAFKA_SECRET',
      'HEADRACE_SECRET_KAFKA_CLIENT',
    ]);
    const file = join(folder, 'secrets.json');
    writeFileSync(file, JSON.stringify({ 'team/kafka': { username: 'file' } }));
    const environment = { HEADRACE_SECRET_TEAM_KAFKA: 'environment' };
    const asked: string[] = [];
    const secretsManager = async (uri: string): Promise<string> => {
      asked.push(uri);
      return 'aws';
    };
    assert.equal(await secretResolver({ file, environment, secretsManager })(arn), '{"username":"file"}');
    assert.equal(await secretResolver({ environment, secretsManager })(arn), 'environment');
    assert.equal(await secretResolver({ environment: {}, secretsManager })(arn), 'aws');
    assert.deepEqual(asked, [arn]);
    await assert.rejects(secretResolver({ environment: {}, secretsManager })('plain-name'), {
      code: 'SECRET_UNAVAILABLE',
      message: /HEADRACE_SECRET_PLAIN_NAME/,
    });
    writeFileSync(file, '{"team/kafka": "hush');
    await assert.rejects(secretResolver({ file, environment: {} })(arn), (error: Error) => !/hush/.test(error.message));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('properties files are read as Java reads them', () => {
  const text = '# c\n! c\na=1\nb : 2\nc 3\n  d\\ e = f\\\n    g\nh=\\u00e9\\t\\\\\na=4\nempty=\nurl=http://x:1/y=z\n';
  assert.deepEqual(Object.fromEntries(parseProperties(text)), {
    a: '4',
    b: '2',
    c: '3',
    'd e': 'fg',
    h: 'é\t\\',
    empty: '',
    url: 'http://x:1/y=z',
  });
});

test("client.properties of Kafka's own tools become a cluster configuration", () => {
  const { configuration, groupId, ignored } = parseClientProperties(`
    bootstrap.servers=a:9092, b:9093
    security.protocol=SASL_SSL
    sasl.mechanism=SCRAM-SHA-512
    sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\
      username="alice" password="se\\\\"cret;";
    ssl.truststore.type=PEM
    ssl.truststore.certificates=PEM TEXT
    ssl.endpoint.identification.algorithm=
    group.id=g
    client.rack=eu-west-1a
    isolation.level=read_committed
    auto.offset.reset=earliest
  `);
  assert.deepEqual(configuration.bootstrapServers, ['a:9092', 'b:9093']);
  assert.ok(configuration.sasl && 'password' in configuration.sasl);
  assert.deepEqual(
    [configuration.sasl.mechanism, configuration.sasl.username, configuration.sasl.password],
    ['SCRAM-SHA-512', 'alice', 'se"cret;'],
  );
  assert.equal(configuration.tls?.certificateAuthority, 'PEM TEXT');
  assert.equal(configuration.tls?.verifyServerName, false);
  assert.equal(groupId, 'g');
  assert.equal(configuration.rackId, 'eu-west-1a');
  assert.equal(configuration.isolationLevel, 'READ_COMMITTED');
  for (const [url, message] of [
    ['https://me:pa55@tokens.example/', /belong into sasl.jaas.config/],
    ['me:pa55@tokens.example', /is no http or https URL/],
  ] as const) {
    const text = `security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=${url}`;
    assert.throws(
      () => parseClientProperties(text, ['b:1']),
      (error: HeadraceError) =>
        error.code === 'CONFIGURATION' && message.test(error.message) && !/pa55/.test(error.message),
    );
  }
  const refused = { code: 'CONFIGURATION', message: /isolation.level: serial is none of read_committed/ };
  assert.throws(() => parseClientProperties('isolation.level=serial', ['b:1']), refused);
  assert.deepEqual(ignored, ['auto.offset.reset']);
  assert.doesNotMatch(inspect(configuration, { depth: 9 }), /se"cret/);
});

test('a key store is taken apart: its key is used and never shown', () => {
  const folder = mkdtempSync(join(tmpdir(), 'store-'));
  try {
    const location = join(folder, 'store.pem');
    const read = (text: string): ClusterConfiguration['tls'] => {
      writeFileSync(location, text);
      return parseClientProperties(`security.protocol=SSL\nssl.keystore.location=${location}`, ['b:1']).configuration
        .tls;
    };
    const block = (name: string, content: string): string =>
      `-----BEGIN ${name}-----\n${content}\n-----END ${name}-----`;
    const [key, first, second] = [
      block('RSA PRIVATE KEY', 'pa55'),
      block('CERTIFICATE', 'A'),
      block('CERTIFICATE', 'B'),
    ];
    const tls = read(`Bag Attributes\n${first}\n${key}\r\n${second}`)!;
    assert.deepEqual([tls.certificate, tls.privateKey], [`${first}\n${second}\n`, `${key}\n`]);
    assert.doesNotMatch(`${JSON.stringify(tls)} ${inspect(tls)}`, /pa55/);
    assert.throws(() => read(key), { code: 'CONFIGURATION', message: /ssl\.keystore\.location: .* no CERTIFICATE/ });
    assert.throws(() => read(first), { code: 'CONFIGURATION', message: /ssl\.keystore\.location: .* no PRIVATE KEY/ });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('client.properties that cannot be used are refused by key', () => {
  const refuse = (text: string, message: RegExp): void =>
    assert.throws(() => parseClientProperties(text, ['b:1']), { code: 'CONFIGURATION', message });
  refuse('security.protocol=KERBEROS', /security\.protocol/);
  refuse('security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI', /sasl\.mechanism: GSSAPI/);
  refuse('security.protocol=SASL_SSL\nsasl.mechanism=PLAIN', /sasl\.jaas\.config/);
  refuse('security.protocol=SSL\nssl.truststore.location=/x/trust.jks', /ssl\.truststore\.type.*PEM/);
  assert.throws(() => parseClientProperties(''), { code: 'CONFIGURATION', message: /bootstrap\.servers/ });
});

test('addresses are read with and without port, also IPv6', () => {
  assert.deepEqual(parseAddress('host'), { host: 'host', port: 9092 });
  assert.deepEqual(parseAddress('PLAINTEXT://host:1'), { host: 'host', port: 1 });
  assert.deepEqual(parseAddress('[::1]:9094'), { host: '::1', port: 9094 });
  for (const bad of ['', 'a:b', 'a:0', 'a:70000', 'a b:1']) {
    assert.throws(() => parseAddress(bad), { code: 'CONFIGURATION' }, bad);
  }
});

test('SCRAM computes what RFC 7677 shows, and refuses a broker that does not know the password', async () => {
  const answers = [
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  ];
  const run = async (last: string): Promise<string[]> => {
    const sent: string[] = [];
    const exchange = async (message: Buffer): Promise<Buffer> => {
      sent.push(message.toString());
      return Buffer.from(sent.length === 1 ? answers[0]! : last);
    };
    await authenticateScram('sha256', 'user', 'pencil', exchange, 'rOprNGfwEbeRWgbNEkqO');
    return sent;
  };
  assert.deepEqual(await run(answers[1]!), [
    'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  ]);
  await assert.rejects(run('v=AAAA'), { code: 'KAFKA_AUTHENTICATION', message: /did not prove/ });
});

test('the region of MSK is in the broker name', () => {
  assert.equal(regionOfBroker('b-1.demo.a1b2c3.c2.kafka.eu-central-1.amazonaws.com'), 'eu-central-1');
  assert.equal(regionOfBroker('boot-x.c1.kafka-serverless.us-east-1.amazonaws.com'), 'us-east-1');
  assert.equal(regionOfBroker('b-1.demo.a1.c2.kafka.cn-north-1.amazonaws.com.cn'), 'cn-north-1');
  assert.equal(regionOfBroker('kafka.example.com'), undefined);
});

test('an MSK IAM token is a presigned URL whose signature can be computed from the secret key', async () => {
  const before = { ...process.env };
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG' });
  delete process.env['AWS_SESSION_TOKEN'];
  delete process.env['AWS_PROFILE'];
  let token: string;
  try {
    token = await mskIamToken('b-1.demo.a1.c2.kafka.eu-west-1.amazonaws.com', {});
  } finally {
    process.env = before;
  }
  const url = new URL(Buffer.from(token, 'base64url').toString('utf8'));
  assert.equal(url.host, 'kafka.eu-west-1.amazonaws.com');
  const query = url.searchParams;
  assert.equal(query.get('Action'), 'kafka-cluster:Connect');
  assert.equal(query.get('X-Amz-Expires'), '900');
  const [, date, region, service] = query.get('X-Amz-Credential')!.split('/');
  assert.deepEqual([region, service], ['eu-west-1', 'kafka-cluster']);

  // Signature Version 4, written out (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
  const encode = (text: string): string =>
    encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
  const canonicalQuery = [...query]
    .filter(([name]) => name !== 'X-Amz-Signature' && name !== 'User-Agent')
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  const request = ['GET', '/', canonicalQuery, `host:${url.host}`, '', 'host', sha256('')].join('\n');
  const scope = `${date}/${region}/${service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', query.get('X-Amz-Date'), scope, sha256(request)].join('\n');
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const key = hmac(hmac(hmac(hmac('AWS4wJalrXUtnFEMI/K7MDENG', date!), region!), service!), 'aws4_request');
  assert.equal(query.get('X-Amz-Signature'), createHmac('sha256', key).update(toSign).digest('hex'));
});
