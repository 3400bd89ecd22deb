import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { kafkaConsumer, SchemaType } from '@aws-lambda-powertools/kafka';
import type { ConsumerRecords } from '@aws-lambda-powertools/kafka/types';
import { needs, pythonEnvironment } from '@headrace/testing';
import { EventWriter, eventHead } from '../src/mappings/event-writer.ts';
import { laneOf, sliceOf } from './support/slices.ts';

const sources = {
  MSK: { eventSourceArn: 'arn:aws:kafka:eu-west-1:123456789012:cluster/demo/a-1', bootstrapServers: ['b-1:9098'] },
  'self-managed': { bootstrapServers: ['one:9092', 'two:9092'] },
};

/** Every shape of a record that differs on the wire: with and without key, value and headers, binary header bytes. */
function writeEvent(source: { eventSourceArn?: string; bootstrapServers: string[] }): Buffer {
  const writer = new EventWriter();
  writer.begin(eventHead(source), Number.MAX_SAFE_INTEGER, 0);
  const headers = [
    { key: 'trace', value: Buffer.from('grün') },
    { key: 'trace', value: Buffer.from('again') },
    { key: 'none', value: null },
  ];
  const slices = [
    sliceOf(laneOf('orders', 0), {
      baseOffset: 41,
      records: [
        { timestamp: 1_750_000_000_001, key: '"k1"', value: '{"id":1}', headers },
        { timestamp: 1_750_000_000_002, key: null, value: '{"id":2}' },
      ],
    }),
    sliceOf(laneOf('orders', 7), { records: [{ timestamp: 1_750_000_000_003, key: '""', value: '{"id":3}' }] }),
  ];
  for (const slice of slices) writer.append(slice, slice.count);
  return writer.finish();
}

for (const [name, source] of Object.entries(sources)) {
  test(`Powertools for TypeScript reads a ${name} event`, async () => {
    const seen: unknown[] = [];
    const read = async (event: ConsumerRecords<unknown, { id: number }>): Promise<void> => {
      for (const { topic, partition, offset, timestamp, key, value, headers } of event.records)
        seen.push([topic, partition, offset, timestamp, key, value, headers]);
    };
    const json = { type: SchemaType.JSON };
    // Its types lean on a package of Lambda types that is not here; what runs is what counts.
    const handler = kafkaConsumer(read as never, { key: json, value: json }) as (
      event: unknown,
      context: object,
    ) => unknown;
    await handler(JSON.parse(writeEvent(source).toString()), {});
    assert.deepEqual(seen, [
      ['orders', 0, 41, 1_750_000_000_001, 'k1', { id: 1 }, [{ trace: 'grün' }, { trace: 'again' }, { none: '' }]],
      ['orders', 0, 42, 1_750_000_000_002, undefined, { id: 2 }, []],
      ['orders', 7, 0, 1_750_000_000_003, '', { id: 3 }, []],
    ]);
  });
}

const script = `
import json, sys
from aws_lambda_powertools.utilities.kafka import ConsumerRecords, SchemaConfig, kafka_consumer
from aws_lambda_powertools.utilities.data_classes import KafkaEvent

seen = []

@kafka_consumer(schema_config=SchemaConfig(value_schema_type="JSON"))
def handler(event: ConsumerRecords, context):
    for record in event.records:
        seen.append([record.topic, record.partition, record.offset, record.timestamp, record.value])

event = json.load(sys.stdin)
handler(event, None)
plain = []
for record in KafkaEvent(event).records:
    headers = [{name: bytes(byte % 256 for byte in value).decode() for name, value in header.items()} for header in record["headers"]]
    assert len(record.decoded_headers) <= len(headers)
    plain.append([record.key is not None, headers])
print(json.dumps([seen, plain, KafkaEvent(event).decoded_bootstrap_servers]))
`;

for (const [name, source] of Object.entries(sources)) {
  test(`Powertools for Python reads a ${name} event`, { skip: needs('python'), timeout: 170_000 }, async () => {
    const { python } = await pythonEnvironment(['aws-lambda-powertools==3.37.0']);
    const { status, stdout, stderr } = spawnSync(python, ['-c', script], {
      input: writeEvent(source),
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), [
      [
        ['orders', 0, 41, 1_750_000_000_001, { id: 1 }],
        ['orders', 0, 42, 1_750_000_000_002, { id: 2 }],
        ['orders', 7, 0, 1_750_000_000_003, { id: 3 }],
      ],
      [
        [true, [{ trace: 'grün' }, { trace: 'again' }, { none: '' }]],
        [false, []],
        [true, []],
      ],
      source.bootstrapServers,
    ]);
  });
}
