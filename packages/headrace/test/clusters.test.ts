import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type ClusterResolverOptions, chooseListener, createClusterResolver } from '../src/clusters.ts';
import { HeadraceError } from '../src/errors.ts';
import type { ClusterConfiguration } from '../src/kafka/contract.ts';
import type { MappingDefinition } from '../src/mappings/definition.ts';

const arn = 'arn:aws:kafka:eu-west-1:123456789012:cluster/orders/3b2c-1';

const definition = (source: Partial<MappingDefinition>): MappingDefinition => ({
  uuid: 'u',
  functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:f',
  enabled: true,
  topics: ['t'],
  consumerGroupId: 'g',
  batchSize: 100,
  startingPosition: 'LATEST',
  ...source,
});

const base: ClusterResolverOptions = {
  bootstrapServers: ['own:9092'],
  clusters: {},
  clustersFile: undefined,
  kafkaConfigFile: undefined,
  secretsFile: undefined,
  log: () => {},
};

async function serversOf(
  options: Partial<ClusterResolverOptions>,
  source: Partial<MappingDefinition>,
): Promise<string> {
  const cluster = await createClusterResolver({ ...base, ...options }).clusterOf(definition(source));
  await cluster.close();
  return (cluster.bootstrapServers ?? []).join(',');
}

const isConfiguration = (pattern: RegExp) => (error: unknown) =>
  HeadraceError.is(error) && error.code === 'CONFIGURATION' && pattern.test(error.message);

describe('which Kafka a mapping reads', () => {
  it('a name that the operator gave wins, then the engine’s own for an ARN, then what the mapping names', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'headrace-clusters-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const clustersFile = join(folder, 'clusters.json');
    writeFileSync(
      clustersFile,
      JSON.stringify({
        [arn]: 'file:9092',
        'inside:9092': { 'bootstrap.servers': 'outside:19092', 'security.protocol': 'PLAINTEXT' },
      }),
    );
    const lines: string[] = [];
    assert.equal(await serversOf({ log: (line: string) => lines.push(line) }, { eventSourceArn: arn }), 'own:9092');
    assert.match(lines.join(), /stands for own:9092/);
    assert.equal(await serversOf({ clusters: { [arn]: 'a:1,b:2' } }, { eventSourceArn: arn }), 'a:1,b:2');
    assert.equal(await serversOf({ clustersFile }, { eventSourceArn: arn }), 'file:9092');
    assert.equal(await serversOf({ clustersFile, clusters: { [arn]: 'flag:1' } }, { eventSourceArn: arn }), 'flag:1');
    assert.equal(await serversOf({ clustersFile }, { bootstrapServers: ['inside:9092'] }), 'outside:19092');
    assert.equal(await serversOf({}, { bootstrapServers: ['named:9092'] }), 'named:9092');
  });

  it('asks AWS only where it was told to, and takes the strongest listener', async () => {
    const brokers = {
      BootstrapBrokerString: 'plain:9092',
      BootstrapBrokerStringTls: 'tls:9094',
      BootstrapBrokerStringSaslScram: 'scram:9096',
      BootstrapBrokerStringSaslIam: 'iam:9098',
    };
    assert.deepEqual(chooseListener(brokers, []), { listener: 'iam', servers: 'iam:9098' });
    assert.deepEqual(chooseListener({ ...brokers, BootstrapBrokerStringSaslIam: undefined }, []), {
      listener: 'tls',
      servers: 'tls:9094',
    });
    assert.deepEqual(chooseListener({ BootstrapBrokerString: 'plain:9092' }, []), {
      listener: 'plaintext',
      servers: 'plain:9092',
    });
    assert.deepEqual(chooseListener(brokers, ['SASL_SCRAM_512_AUTH']), { listener: 'secret', servers: 'scram:9096' });
    assert.deepEqual(chooseListener(brokers, ['CLIENT_CERTIFICATE_TLS_AUTH']), {
      listener: 'secret',
      servers: 'tls:9094',
    });
    assert.equal(
      chooseListener({ BootstrapBrokerString: 'plain:9092' }, ['SASL_SCRAM_512_AUTH']),
      undefined,
      'never weaker than asked',
    );

    const asked: string[] = [];
    const resolve = createClusterResolver({
      ...base,
      clusters: { [arn]: 'aws' },
      bootstrapBrokers: async (name) => {
        asked.push(name);
        return { $metadata: {}, BootstrapBrokerString: 'plain:9092' };
      },
    });
    const cluster = await resolve.clusterOf(definition({ eventSourceArn: arn }));
    await cluster.close();
    assert.deepEqual(cluster.bootstrapServers, ['plain:9092']);
    assert.deepEqual(asked, [arn]);
  });

  it('asks the MSK API by the SDK of its own, in the region of the ARN', async (t) => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      const { authorization = '' } = request.headers;
      asked.push(
        `${request.method} ${decodeURIComponent(request.url!)} ${/Credential=\w+\/\d+\/([^,]+)/.exec(authorization)?.[1]}`,
      );
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ bootstrapBrokerString: 'b-1:9092,b-2:9092' }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const before = { ...process.env };
    t.after(() => {
      process.env = before;
      server.close();
    });
    Object.assign(process.env, {
      AWS_ENDPOINT_URL_KAFKA: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      AWS_ACCESS_KEY_ID: 'key',
      AWS_SECRET_ACCESS_KEY: 'secret',
    });
    assert.equal(await serversOf({ clusters: { [arn]: 'aws' } }, { eventSourceArn: arn }), 'b-1:9092,b-2:9092');
    assert.deepEqual(asked, [`GET /v1/clusters/${arn}/bootstrap-brokers eu-west-1/kafka/aws4_request`]);
    server.close();
    server.closeAllConnections();
    await assert.rejects(
      serversOf({ clusters: { [arn]: 'aws' } }, { eventSourceArn: arn }),
      (error) => HeadraceError.is(error) && error.code === 'KAFKA_UNREACHABLE' && error.message.includes(arn),
    );
  });

  it('reads an MSK cluster from the development broker whatever secrets the mapping names', async () => {
    const wanted = definition({
      eventSourceArn: arn,
      sourceAccessConfigurations: [{ Type: 'SASL_SCRAM_512_AUTH', URI: 'nowhere' }],
    });
    const { configurationOf } = createClusterResolver({ ...base, isDevelopmentBroker: true });
    assert.deepEqual(await configurationOf(wanted), { bootstrapServers: ['own:9092'] });
    // Any other cluster is asked as the mapping says, and the secret has to be there.
    await assert.rejects(createClusterResolver(base).configurationOf(wanted), { code: 'SECRET_UNAVAILABLE' });
  });

  it('never asks a listener that the access configurations do not go with', async () => {
    for (const Type of ['BASIC_AUTH', 'SASL_SCRAM_256_AUTH', 'SERVER_ROOT_CA_CERTIFICATE']) {
      for (const target of ['aws', 'a:1']) {
        const { configurationOf } = createClusterResolver({
          ...base,
          clusters: { [arn]: target },
          bootstrapBrokers: () => assert.fail('AWS is not asked'),
        });
        const wanted = definition({ eventSourceArn: arn, sourceAccessConfigurations: [{ Type, URI: 'secret' }] });
        await assert.rejects(configurationOf(wanted), isConfiguration(/does not go with Amazon MSK/));
      }
    }
  });

  it('the clusters file says how a cluster is reached; what it leaves open the mapping fills', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'headrace-clusters-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const clustersFile = join(folder, 'clusters.json');
    const secretsFile = join(folder, 'secrets.json');
    writeFileSync(
      secretsFile,
      JSON.stringify({
        user: { username: 'alice', password: 'pa55' },
        ca: { certificate: 'CA OF THE MAPPING' },
        client: { certificate: 'CHAIN', privateKey: 'KEY' },
      }),
    );
    const lines: string[] = [];
    const reached = async (
      file: object | string,
      access: readonly (readonly [string, string])[],
    ): Promise<ClusterConfiguration> => {
      writeFileSync(clustersFile, JSON.stringify({ 'named:1': file }));
      const log = (line: string): void => void lines.push(line);
      const { configurationOf } = createClusterResolver({ ...base, log, clustersFile, secretsFile });
      const sourceAccessConfigurations = access.map(([Type, URI]) => ({ Type, URI }));
      return await configurationOf(definition({ bootstrapServers: ['named:1'], sourceAccessConfigurations }));
    };
    const servers = { 'bootstrap.servers': 'real:9092' };
    const scram = ['SASL_SCRAM_512_AUTH', 'user'] as const;
    const passwordOf = ({ sasl }: ClusterConfiguration): unknown =>
      sasl !== undefined && 'password' in sasl && sasl.password;

    const plain = { ...servers, 'security.protocol': 'PLAINTEXT' };
    // The secret is not even there: nobody needs it.
    assert.deepEqual(await reached(plain, [['BASIC_AUTH', 'nowhere']]), { bootstrapServers: ['real:9092'] });

    const borrowed = { ...servers, 'security.protocol': 'SASL_PLAINTEXT', 'sasl.mechanism': 'SCRAM-SHA-256' };
    const inPlain = await reached(borrowed, [scram]);
    assert.deepEqual([inPlain.sasl?.mechanism, passwordOf(inPlain), inPlain.tls], ['SCRAM-SHA-256', 'pa55', undefined]);
    assert.doesNotMatch(JSON.stringify(inPlain), /pa55/);
    await assert.rejects(reached(borrowed, []), isConfiguration(/SCRAM-SHA-256 needs sasl\.jaas\.config/));

    const store = { 'ssl.truststore.type': 'PEM', 'ssl.truststore.certificates': 'CA OF THE FILE' };
    const encrypted = { ...servers, ...store, 'security.protocol': 'SSL' };
    const mutual = await reached(encrypted, [
      ['CLIENT_CERTIFICATE_TLS_AUTH', 'client'],
      ['SERVER_ROOT_CA_CERTIFICATE', 'nowhere'],
    ]);
    assert.deepEqual(
      [mutual.tls?.certificateAuthority, mutual.tls?.certificate, mutual.tls?.privateKey, mutual.sasl],
      ['CA OF THE FILE', 'CHAIN', 'KEY', undefined],
    );
    assert.doesNotMatch(JSON.stringify(mutual), /KEY/);

    // Without security.protocol the mapping says how; the file's authority is trusted all the same.
    for (const [file, authority] of [
      [{ ...servers, ...store }, 'CA OF THE FILE'],
      [servers, 'CA OF THE MAPPING'],
      ['real:9092', 'CA OF THE MAPPING'],
    ] as const) {
      const open = await reached(file, [scram, ['SERVER_ROOT_CA_CERTIFICATE', 'ca']]);
      assert.deepEqual(
        [open.sasl?.mechanism, passwordOf(open), open.tls?.certificateAuthority],
        ['SCRAM-SHA-512', 'pa55', authority],
      );
    }
    assert.deepEqual(lines, []);
    await reached({ ...plain, 'security.protcol': 'SSL' }, []);
    assert.match(lines.join(), /clusters\.json: named:1: security\.protcol mean nothing here/);
  });

  it('does not quote a clusters file that is not JSON: it may hold passwords', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'headrace-clusters-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const clustersFile = join(folder, 'clusters.json');
    writeFileSync(clustersFile, '{"named:1": {"sasl.jaas.config": pa55}}');
    assert.throws(
      () => createClusterResolver({ ...base, clustersFile }),
      (error) =>
        HeadraceError.is(error) &&
        error.code === 'INPUT_UNREADABLE' &&
        error.message.includes(clustersFile) &&
        !error.message.includes('pa55'),
    );
  });

  it('refuses what cannot be, by name', () => {
    assert.throws(
      () => createClusterResolver({ ...base, clusters: { 'a:9092': 'aws' } }),
      isConfiguration(/--cluster a:9092.*ARN/),
    );
    assert.throws(
      () => createClusterResolver({ ...base, clusters: { [arn]: 'nonsense' } }),
      isConfiguration(/nonsense/),
    );
    assert.throws(
      () => createClusterResolver({ ...base, clustersFile: '/nowhere/clusters.json' }),
      (error) =>
        HeadraceError.is(error) &&
        error.code === 'INPUT_UNREADABLE' &&
        error.message.includes('/nowhere/clusters.json'),
    );
  });
});
