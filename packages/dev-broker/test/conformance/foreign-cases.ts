import assert from 'node:assert/strict';
import { pythonEnvironment, runCommand } from '@headrace/testing';
import type { Case, Target } from './case.ts';
import { batchOf, connectTo, newTopic, produceTo } from './helpers.ts';

const TOOLS = 'org.apache.kafka.tools';

const tool = async (target: Target, name: string, ...args: string[]): Promise<string> => {
  const { stdout } = await target.javaTool!(`${TOOLS}.${name}`, [
    '--bootstrap-server',
    target.bootstrapServers,
    ...args,
  ]);
  return stdout;
};

const program = `
import sys
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, ConfigResource, ResourceType, OffsetSpec
servers, topic, protocol = sys.argv[1:4]
admin = AdminClient({'bootstrap.servers': servers})
admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(20)
producer = Producer({'bootstrap.servers': servers, 'enable.idempotence': True, 'compression.type': 'lz4'})
for n in range(200):
    producer.produce(topic, key=str(n), value='v%d' % n, headers=[('h', b'x')])
assert producer.flush(20) == 0
t = Producer({'bootstrap.servers': servers, 'transactional.id': topic + '-t'})
t.init_transactions(20)
for n, commit in ((0, False), (1, True)):
    t.begin_transaction()
    t.produce(topic, key='t', value='t%d' % n)
    t.flush(20)
    t.commit_transaction(20) if commit else t.abort_transaction(20)
conf = {'bootstrap.servers': servers, 'group.id': topic + '-' + protocol, 'auto.offset.reset': 'earliest',
        'group.protocol': protocol, 'isolation.level': 'read_committed', 'enable.auto.commit': False}
consumer = Consumer(conf)
consumer.subscribe([topic])
values = set()
import time
deadline = time.time() + 30
while len(values) < 201 and time.time() < deadline:
    message = consumer.poll(1)
    if message is not None and message.error() is None:
        values.add(message.value().decode())
consumer.commit(asynchronous=False)
offsets = consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=10)
consumer.close()
assert len(values) == 201 and 't1' in values and 't0' not in values, sorted(values)
groups = [g.group_id for g in admin.list_consumer_groups().result(10).valid]
assert topic + '-' + protocol in groups, groups
configs = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])
assert list(configs.values())[0].result(10)['cleanup.policy'].value == 'delete'
latest = admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.latest()})
assert list(latest.values())[0].result(10).offset > 0
admin.delete_consumer_groups([topic + '-' + protocol])
admin.delete_topics([topic])[topic].result(20)
print('read', len(values), 'committed', sum(o.offset for o in offsets) >= 201)
`;

const python = (protocol: 'classic' | 'consumer'): Case => ({
  name: `librdkafka (confluent-kafka) produces, commits transactions and consumes in a ${protocol} group`,
  needs: ['python'],
  run: async (target) => {
    const { python: interpreter } = await pythonEnvironment(['confluent-kafka==2.12.1']);
    const args = ['-c', program, target.bootstrapServers, target.name('librdkafka'), protocol];
    const { stdout } = await runCommand(interpreter, args, { timeout: 200_000 });
    assert.equal(stdout.trim(), 'read 201 committed True');
  },
});

export const foreignCases: Case[] = [
  {
    name: 'Java: kafka-topics creates, describes, alters and deletes',
    needs: ['java', 'maven'],
    run: async (target) => {
      const topic = target.name('java');
      await tool(target, 'TopicCommand', '--create', '--topic', topic, '--partitions', '2');
      assert.match(await tool(target, 'TopicCommand', '--describe', '--topic', topic), /PartitionCount: 2/);
      await tool(target, 'TopicCommand', '--alter', '--topic', topic, '--partitions', '3');
      await tool(target, 'TopicCommand', '--delete', '--topic', topic);
    },
  },
  {
    name: 'Java: verifiable producer and consumer, group offsets described and reset',
    needs: ['java', 'maven'],
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const group = target.name('java-group');
      const produced = await tool(target, 'VerifiableProducer', '--topic', topic, '--max-messages', '300');
      assert.match(produced, /"acked":300/);
      for (const protocol of ['classic', 'consumer']) {
        const args = [
          '--topic',
          topic,
          '--group-id',
          `${group}-${protocol}`,
          '--max-messages',
          '300',
          '--reset-policy',
          'earliest',
        ];
        const consumed = await tool(target, 'VerifiableConsumer', ...args, '--group-protocol', protocol);
        assert.match(consumed, /"name":"offsets_committed"/, protocol);
      }
      const described = await tool(
        target,
        'consumer.group.ConsumerGroupCommand',
        '--describe',
        '--group',
        `${group}-consumer`,
      );
      const line = described.split('\n').find((each) => each.includes(topic));
      // Current offset, end of the log, lag.
      assert.deepEqual(line?.trim().split(/\s+/).slice(3, 6), ['300', '300', '0'], described);
      const reset = ['--reset-offsets', '--to-earliest', '--topic', topic, '--execute', '--group', `${group}-classic`];
      assert.match(
        await tool(target, 'consumer.group.ConsumerGroupCommand', ...reset),
        new RegExp(`${topic}\\s+0\\s+0`),
      );
    },
  },
  {
    name: 'Java: performance tools write and read',
    needs: ['java', 'maven'],
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const common = ['--topic', topic, '--num-records', '5000'];
      const produced = await target.javaTool!(`${TOOLS}.ProducerPerformance`, [
        ...common,
        '--record-size',
        '100',
        '--throughput',
        '-1',
        '--producer-props',
        `bootstrap.servers=${target.bootstrapServers}`,
      ]);
      assert.match(produced.stdout, /5000 records sent/);
      const consumed = await tool(
        target,
        'ConsumerPerformance',
        '--topic',
        topic,
        '--messages',
        '5000',
        '--timeout',
        '60000',
      );
      assert.match(consumed, /5000/);
    },
  },
  {
    name: 'Java: a share consumer reads and acknowledges',
    needs: ['java', 'maven'],
    run: async (target) => {
      using client = await connectTo(target);
      const topic = await newTopic(client, target);
      const group = target.name('java-share');
      await produceTo(client, topic, batchOf(Array.from({ length: 100 }, (_, index) => `${index}`)));
      const args = [
        '--topic',
        topic,
        '--group-id',
        group,
        '--max-messages',
        '100',
        '--offset-reset-strategy',
        'earliest',
      ];
      const consumed = await tool(target, 'VerifiableShareConsumer', ...args);
      assert.match(consumed, /"name":"offsets_acknowledged"/);
    },
  },
  python('classic'),
  python('consumer'),
];
