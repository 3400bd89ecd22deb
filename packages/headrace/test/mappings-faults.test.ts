/** What can go wrong with a source, on Apache Kafka: the mapping says so, others go on, and it comes back by itself. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ChaosProxy, eventually, type Kafka, needs, startKafka } from '@headrace/testing';
import { Admin } from '@platformatic/kafka';
import { systemClock } from '../src/clock.ts';
import type { ClusterConfiguration } from '../src/kafka/contract.ts';
import { createKafkaCluster } from '../src/kafka/index.ts';
import type { MappingDefinition, StoredMapping } from '../src/mappings/definition.ts';
import { createMappingSupervisor } from '../src/mappings/supervisor.ts';
import { createTopics, produce } from './kafka/harness.ts';
import { definition, succeed } from './support/simulated-engine.ts';

const CONNECTION_ERROR = /^PROBLEM: Connection error\. Please check your event source connection configuration\./;

describe('a source in trouble, on Apache Kafka', { skip: needs('java', 'maven') }, () => {
  let kafka: Kafka;
  let proxy: ChaosProxy;
  let supervisor: ReturnType<typeof createMappingSupervisor>;
  let admin: Admin;
  /** Of mappings with a user. */
  let password = 'wrong-secret';
  /** Values that functions got, by topic. */
  const values = new Map<string, string[]>();

  before(async () => {
    proxy = await ChaosProxy.start();
    kafka = await startKafka({
      proxyPort: proxy.port,
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
      },
    });
    proxy.target = kafka.listeners.proxied;
    admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] });
    const store = new Map<string, StoredMapping>();
    supervisor = createMappingSupervisor({
      store: {
        all: () => [...store.values()],
        put: (mapping) => {
          store.set(mapping.definition.uuid, mapping);
        },
        remove: (uuid) => {
          store.delete(uuid);
        },
      },
      clusters: async ({ bootstrapServers }) => {
        const servers = bootstrapServers!;
        const sasl: ClusterConfiguration['sasl'] = { mechanism: 'SCRAM-SHA-512', username: 'alice', password };
        const asks = servers[0] === kafka.listeners.saslPlaintext;
        return createKafkaCluster({ bootstrapServers: servers, ...(asks ? { sasl } : {}) });
      },
      invoke: async (_function, payload) => {
        const { records } = JSON.parse(Buffer.from(payload).toString()) as {
          records: Record<string, { topic: string; value: string }[]>;
        };
        for (const { topic, value } of Object.values(records).flat())
          values.set(topic, [...(values.get(topic) ?? []), Buffer.from(value, 'base64').toString()]);
        return succeed();
      },
      clock: systemClock,
      random: Math.random,
    });
  });
  after(async () => {
    await supervisor?.stop();
    await admin?.close();
    await proxy?.stop();
    await kafka?.stop();
  });

  const create = (topic: string, change: Partial<MappingDefinition> = {}): string => {
    const uuid = crypto.randomUUID();
    const bootstrapServers = [kafka.bootstrapServers];
    supervisor.create(definition({ uuid, topics: [topic], consumerGroupId: uuid, bootstrapServers, ...change }));
    return uuid;
  };
  const status = (uuid: string): StoredMapping['status'] => supervisor.get(uuid)!.status;
  const says = (uuid: string, result: RegExp, reason: string): Promise<unknown> =>
    eventually(() => result.test(status(uuid).lastProcessingResult) && status(uuid).stateTransitionReason === reason, {
      timeoutMs: 45_000,
      what: () => `${result}, ${reason}: ${JSON.stringify(status(uuid))}`,
    });
  const gets = (topic: string, expected: readonly string[]): Promise<unknown> =>
    eventually(() => expected.every((value) => values.get(topic)?.includes(value)), {
      timeoutMs: 45_000,
      what: () => `${topic}: ${values.get(topic)} instead of ${expected}`,
    });
  const send = (topic: string, value: string, partition = 0): Promise<unknown> =>
    produce(kafka.bootstrapServers, [{ topic, value, partition }]);

  test('a topic that is missing, deleted, made anew and widened: told while it lasts, and nothing else stops', async () => {
    await createTopics(kafka.bootstrapServers, ['steady'], 1);
    const steady = create('steady');
    const uuid = create('fleeting');
    await says(uuid, CONNECTION_ERROR, 'USER_INITIATED');
    assert.match(supervisor.snapshot(uuid)!.warnings.join('\n'), /fleeting/);

    await createTopics(kafka.bootstrapServers, ['fleeting'], 1);
    await send('fleeting', 'first');
    await gets('fleeting', ['first']);
    await says(uuid, /^OK$/, 'USER_INITIATED');

    await admin.createPartitions({ topics: [{ name: 'fleeting', count: 3, assignments: null }] });
    await send('fleeting', 'wider', 2);
    await gets('fleeting', ['wider']);

    await admin.deleteTopics({ topics: ['fleeting'] });
    await says(uuid, CONNECTION_ERROR, 'USER_INITIATED');
    await send('steady', 'meanwhile');
    await gets('steady', ['meanwhile']);
    await createTopics(kafka.bootstrapServers, ['fleeting'], 1);
    await send('fleeting', 'anew');
    await send('fleeting', 'anew too');
    await gets('fleeting', ['anew', 'anew too']);
    await says(uuid, /^OK$/, 'USER_INITIATED');
    assert.equal(status(uuid).state, 'Enabled');
    assert.equal(status(steady).lastProcessingResult, 'OK');
  });

  test('records that cannot be decoded stop their partition, are not covered up by the others, and come when they can be', async () => {
    await createTopics(kafka.bootstrapServers, ['spoiled'], 2);
    proxy.behaviour.spoil = 'poison';
    await send('spoiled', 'poison');
    await send('spoiled', 'behind it');
    const uuid = create('spoiled', { bootstrapServers: [proxy.address] });
    await says(uuid, CONNECTION_ERROR, 'USER_INITIATED');
    for (const value of ['one', 'two', 'three']) {
      await send('spoiled', value, 1);
      await gets('spoiled', [value]);
      assert.match(status(uuid).lastProcessingResult, CONNECTION_ERROR);
    }
    assert.deepEqual(values.get('spoiled'), ['one', 'two', 'three']);
    await eventually(() => supervisor.snapshot(uuid)!.partitions.some(({ committedOffset }) => committedOffset === 3));
    // However often it is tried again, the age of what waits grows.
    await eventually(() => supervisor.snapshot(uuid)!.partitions.some(({ lagSeconds }) => lagSeconds > 1.5));
    const { warnings, partitions, counts } = supervisor.snapshot(uuid)!;
    assert.match(warnings.join('\n'), /spoiled-0 at offset 0: checksum/);
    assert.deepEqual(
      partitions.map(({ partition, committedOffset, lag }) => [partition, committedOffset, lag > 0]).sort(),
      [
        [0, 0, true],
        [1, 3, false],
      ],
    );
    assert.ok(counts.pollingErrors > 0);
    proxy.behaviour.spoil = undefined;
    await gets('spoiled', ['poison', 'behind it']);
    await says(uuid, /^OK$/, 'USER_INITIATED');
    assert.deepEqual(supervisor.snapshot(uuid)!.warnings, []);
  });

  test('credentials that are wrong, unauthorised, right and rotated: each by its reason, and read anew', async () => {
    await createTopics(kafka.bootstrapServers, ['guarded'], 1);
    await send('guarded', 'one');
    const uuid = create('guarded', { bootstrapServers: [kafka.listeners.saslPlaintext], consumerGroupId: 'guarded' });
    await createTopics(kafka.bootstrapServers, ['guarded-quiet'], 1);
    const quiet = create('guarded-quiet', {
      bootstrapServers: [kafka.listeners.saslPlaintext],
      consumerGroupId: 'guarded-quiet',
      startingPosition: 'LATEST',
    });
    await says(uuid, /^PROBLEM: SASL authentication failed\.$/, 'EVENT_SOURCE_AUTHN_ERROR');
    await says(quiet, /^PROBLEM: SASL authentication failed\.$/, 'EVENT_SOURCE_AUTHN_ERROR');
    assert.doesNotMatch(JSON.stringify(supervisor.snapshot(uuid)), /wrong-secret/);

    password = 'secret';
    await says(uuid, /^PROBLEM: Cluster failed to authorize Lambda\.$/, 'EVENT_SOURCE_AUTHZ_ERROR');
    const allow = (...resource: string[]): Promise<unknown> =>
      kafka.javaTool('org.apache.kafka.tools.AclCommand', [
        ...['--bootstrap-server', kafka.bootstrapServers, '--add', '--allow-principal', 'User:alice'],
        ...['--operation', 'Read', '--operation', 'Describe', ...resource],
      ]);
    const denied = (what: RegExp): Promise<unknown> =>
      eventually(() => what.test(supervisor.snapshot(uuid)!.warnings.join()), {
        timeoutMs: 20_000,
        what: () => `${what}: ${supervisor.snapshot(uuid)!.warnings}`,
      });
    await denied(/topic guarded: TOPIC_AUTHORIZATION_FAILED/);
    await allow('--topic', 'guarded', '--resource-pattern-type', 'prefixed');
    await denied(/GROUP_AUTHORIZATION_FAILED/);
    assert.equal(status(uuid).stateTransitionReason, 'EVENT_SOURCE_AUTHZ_ERROR');
    await allow('--group', 'guarded', '--resource-pattern-type', 'prefixed');
    // Nothing has to come for it to be well again: the topic of a mapping may be quiet.
    await says(quiet, /^OK$/, 'USER_INITIATED');
    await gets('guarded', ['one']);
    await says(uuid, /^OK$/, 'USER_INITIATED');

    await kafka.javaTool('kafka.admin.ConfigCommand', [
      ...['--bootstrap-server', kafka.bootstrapServers, '--alter', '--entity-type', 'users', '--entity-name', 'alice'],
      ...['--add-config', 'SCRAM-SHA-512=[password=rotated]'],
    ]);
    // Connections that are authenticated stay; a broker that comes back asks anew.
    await kafka.restart();
    await says(uuid, /^PROBLEM: SASL authentication failed\.$/, 'EVENT_SOURCE_AUTHN_ERROR');
    await send('guarded', 'two');
    password = 'rotated';
    await gets('guarded', ['two']);
    await says(uuid, /^OK$/, 'USER_INITIATED');
    assert.equal(status(uuid).state, 'Enabled');
    const succeeded = (): number => supervisor.snapshot(uuid)!.counts.succeeded;
    await eventually(() => succeeded() === 2, { what: () => `the counts outlive the memberships: ${succeeded()}` });
  });
});
