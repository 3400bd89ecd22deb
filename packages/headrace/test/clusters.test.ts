import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type ClusterResolverOptions, chooseListener, createClusterResolver } from '../src/clusters.ts';
import { HeadraceError } from '../src/errors.ts';
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
