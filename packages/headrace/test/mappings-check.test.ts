/** Why a mapping cannot read: the walk of `headrace check`, from the engine, with what the mapping names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBroker } from '@headrace/dev-broker';
import { eventually } from '@headrace/testing';
import { startEngine } from '../src/engine.ts';
import type { Hop } from '../src/kafka/index.ts';
import type { MappingDefinition } from '../src/mappings/definition.ts';
import { HeadraceProcess } from './demo/headrace-process.ts';
import { definition } from './support/simulated-engine.ts';

test('headrace mappings check walks to the cluster of a mapping, and says where and why it ends', async () => {
  await using guarded = await startBroker({
    topics: [{ name: 'orders', partitions: 1 }],
    sasl: { users: [{ name: 'alice', password: 'right' }] },
  });
  const previous = process.env['HEADRACE_SECRET_ALICE'];
  process.env['HEADRACE_SECRET_ALICE'] = JSON.stringify({ username: 'alice', password: 'wrong-secret' });
  const engine = await startEngine({
    port: 0,
    dataDirectory: ':memory:',
    clusters: { 'nowhere:9092': '127.0.0.1:1' },
  });
  const { accessKeyId, secretAccessKey, sessionToken = '' } = engine.clientCredentials();
  const environment = {
    AWS_ENDPOINT_URL: engine.endpoint,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  };
  const headrace = async (...words: string[]): Promise<{ code: number | null; stdout: string }> => {
    using running = new HeadraceProcess(['mappings', ...words], environment);
    const { code, stdout } = await running.ended;
    return { code, stdout };
  };
  const create = (change: Partial<MappingDefinition>): string => {
    const uuid = crypto.randomUUID();
    engine.mappings.create(definition({ uuid, consumerGroupId: uuid, ...change }));
    return uuid;
  };
  try {
    engine.ensureTopic('orders', 1);
    const well = create({ bootstrapServers: engine.bootstrapServers });
    const nowhere = create({ bootstrapServers: ['nowhere:9092'] });
    const missing = create({ bootstrapServers: engine.bootstrapServers, topics: ['absent'] });
    const access = { sourceAccessConfigurations: [{ Type: 'BASIC_AUTH', URI: 'alice' }] };
    const secretless = create({
      bootstrapServers: guarded.bootstrapServers.split(','),
      sourceAccessConfigurations: [{ Type: 'BASIC_AUTH', URI: 'bob' }],
    });
    const clear = create({ bootstrapServers: guarded.bootstrapServers.split(','), ...access });

    const good = await headrace('check', well, '--json');
    assert.equal(good.code, 0, good.stdout);
    const { hops } = JSON.parse(good.stdout) as { hops: Hop[] };
    assert.deepEqual(
      [hops[0]!.name, hops[0]!.found, hops.at(-1)!.name],
      ['configuration', `PLAINTEXT at ${engine.bootstrapServers}`, 'group'],
    );
    const ends: [string, RegExp][] = [
      [nowhere, /failed .*TCP of 127\.0\.0\.1:1: nothing listens .*\n +KAFKA_UNREACHABLE: .*\n +Check host/],
      [missing, /failed .*topic of absent.*\n +KAFKA_TOPIC_MISSING: .*\n +Create it/],
      [secretless, /^failed .*configuration of .*bob.*\n +SECRET_UNAVAILABLE: .*\n +Check the secrets file/],
      // BASIC_AUTH goes over TLS always; this listener speaks none.
      [clear, /^ok .*SASL_SSL PLAIN as alice at [\s\S]*failed .*TLS of .*\n +KAFKA_TLS: /],
    ];
    for (const [uuid, expected] of ends) {
      const { code, stdout } = await headrace('check', uuid);
      assert.equal(code, 1);
      assert.match(stdout, expected);
      assert.doesNotMatch(stdout, /wrong-secret/);
    }
    await eventually(async () => {
      const { stdout } = await headrace('list');
      return [nowhere, missing, secretless, clear].every((uuid) => stdout.includes(`headrace mappings check ${uuid}`));
    });
    assert.ok(!(await headrace('list')).stdout.includes(`check ${well}`));
  } finally {
    if (previous === undefined) delete process.env['HEADRACE_SECRET_ALICE'];
    else process.env['HEADRACE_SECRET_ALICE'] = previous;
    await engine.stop();
  }
});
