import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand, DeleteQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { startBroker } from '@headrace/dev-broker';
import { eventually, type Moto, needs, startKafka, startMoto } from '@headrace/testing';
import { Consumer } from '@platformatic/kafka';
import { createResultDelivery, type EventRules } from '../src/asynchronous/index.ts';
import { resultOf } from '../src/asynchronous/result.ts';
import { batchDocument } from '../src/destinations/document.ts';
import { AwsClients, createDestinations, parseDestination } from '../src/destinations/index.ts';
import { HeadraceError } from '../src/errors.ts';
import type { InvokeOutcome } from '../src/functions/outcome.ts';
import type { MappingDefinition } from '../src/mappings/definition.ts';
import type { FailedBatch } from '../src/mappings/destinations.ts';
import { createTopics } from './kafka/harness.ts';

const region = 'us-east-1';
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
const arn = 'arn:aws:kafka:us-east-1:123456789012:cluster/orders/1';

const definition: MappingDefinition = {
  uuid: '6f6c9a0e-0000-4000-8000-000000000001',
  functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f',
  enabled: true,
  eventSourceArn: arn,
  topics: ['orders'],
  consumerGroupId: 'g',
  batchSize: 100,
  startingPosition: 'LATEST',
};

const record = (offset: number, headers: object[] = []) => ({
  topic: 'orders',
  partition: 0,
  offset,
  timestamp: 1_573_694_284_835 + offset,
  timestampType: 'CREATE_TIME',
  key: Buffer.from(`k${offset}`).toString('base64'),
  value: Buffer.from(`v${offset}`).toString('base64'),
  headers,
});
const payload = Buffer.from(
  JSON.stringify({
    eventSource: 'aws:kafka',
    eventSourceArn: arn,
    bootstrapServers: 'b-1:9092',
    records: { 'orders-0': [record(7), record(8, [{ trace: [1, -2] }])] },
  }),
);

const batch = (destination: string, changes: Partial<FailedBatch> = {}): FailedBatch => ({
  mapping: definition,
  destination,
  condition: 'RetryAttemptsExhausted',
  requestId: '316aa6d0-8154-4b2a-9b1e-0d2a6a4b1c11',
  approximateInvokeCount: 3,
  responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
  timestamp: Date.UTC(2019, 10, 14, 0, 38, 6, 21),
  bootstrapServers: ['b-1:9092'],
  batchSize: 2,
  payload,
  partitions: [
    {
      name: 'orders-0',
      topic: 'orders',
      partition: 0,
      records: [7, 8].map((offset) => ({
        offset,
        timestamp: 1_573_694_284_835 + offset,
        key: Buffer.from(`k${offset}`),
      })),
    },
  ],
  ...changes,
});

/** The document of spec ESM 10.1, members in its order. */
const document = {
  requestContext: {
    requestId: '316aa6d0-8154-4b2a-9b1e-0d2a6a4b1c11',
    functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f',
    condition: 'RetryAttemptsExhausted',
    approximateInvokeCount: 3,
  },
  responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
  version: '1.0',
  timestamp: '2019-11-14T00:38:06.021Z',
  KafkaBatchInfo: {
    batchSize: 2,
    eventSourceArn: arn,
    bootstrapServers: 'b-1:9092',
    payloadSize: payload.length,
    recordsInfo: {
      'orders-0': {
        firstRecordOffset: '7',
        lastRecordOffset: '8',
        firstRecordTimestamp: '2019-11-14T01:18:04.842Z',
        lastRecordTimestamp: '2019-11-14T01:18:04.843Z',
      },
    },
  },
};

it('a time that no date holds is the last there is, not an error that would block the partition for good', () => {
  const records = [1e18, -1e18].map((timestamp, offset) => ({ offset, timestamp, key: null }));
  const { KafkaBatchInfo } = batchDocument(
    batch('arn:aws:sqs:us-east-1:0:q', { partitions: [{ name: 'orders-0', topic: 'orders', partition: 0, records }] }),
  );
  assert.deepEqual((KafkaBatchInfo as { recordsInfo: unknown }).recordsInfo, {
    'orders-0': {
      firstRecordOffset: '0',
      lastRecordOffset: '1',
      firstRecordTimestamp: '+275760-09-13T00:00:00.000Z',
      lastRecordTimestamp: '-271821-04-20T00:00:00.000Z',
    },
  });
});

const none = createDestinations({
  aws: new AwsClients(),
  clusterConfiguration: async () => {
    throw new Error('not asked for');
  },
});

describe('destinations on an AWS-compatible server', { skip: needs('python'), timeout: 180_000 }, () => {
  let moto: Moto;
  let sqs: SQSClient;
  const names = ['AWS_ENDPOINT_URL', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_REGION'] as const;
  const saved = names.map((name) => process.env[name]);
  before(async () => {
    moto = await startMoto();
    process.env['AWS_ENDPOINT_URL'] = moto.endpoint;
    process.env['AWS_ACCESS_KEY_ID'] = 'test';
    process.env['AWS_SECRET_ACCESS_KEY'] = 'test';
    process.env['AWS_REGION'] = region;
    sqs = new SQSClient({ region, credentials, endpoint: moto.endpoint });
  });
  after(async () => {
    names.forEach((name, index) => {
      if (saved[index] === undefined) delete process.env[name];
      else process.env[name] = saved[index];
    });
    sqs.destroy();
    await none.close();
    await moto.stop();
  });

  const receive = async (queueUrl: string): Promise<string> => {
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: queueUrl, WaitTimeSeconds: 5 }));
    assert.equal(Messages?.length, 1);
    return Messages[0]?.Body ?? '';
  };

  it('SQS gets the document without the records; a queue that is gone makes the delivery fail', async () => {
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'failed' }));
    const destination = 'arn:aws:sqs:us-east-1:123456789012:failed';
    await none.deliver(batch(destination));
    assert.equal(await receive(QueueUrl!), JSON.stringify(document));

    const expired = batch(destination, { condition: 'RecordAgeExceeded' });
    await none.deliver({ ...expired, responseContext: undefined } as FailedBatch);
    assert.ok(!('responseContext' in JSON.parse(await receive(QueueUrl!))));
    await none.deliver(batch(destination, { condition: 'MaximumPayloadSizeExceeded', responseContext: null }));
    assert.equal(JSON.parse(await receive(QueueUrl!)).responseContext, null);

    await sqs.send(new DeleteQueueCommand({ QueueUrl: QueueUrl! }));
    await assert.rejects(none.deliver(batch(destination)), (error) => {
      return (
        HeadraceError.is(error) &&
        error.code === 'DESTINATION' &&
        error.retryable &&
        error.message.includes('SQS queue failed')
      );
    });
  });

  it('an asynchronous invocation that is given up is in its dead-letter queue, byte for byte, with its three attributes', async () => {
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'dead' }));
    const aws = new AwsClients();
    const sent: [string, string][] = [];
    const delivery = createResultDelivery(aws, (functionArn, record) => sent.push([functionArn, record.toString()]));
    const functionArn = 'arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST';
    const event = {
      requestId: '316aa6d0-8154-4b2a-9b1e-0d2a6a4b1c11',
      functionName: 'f',
      qualifier: '$LATEST',
      payload: Buffer.from('{ "a":1,  "ü": "\\u00fc" }'),
      acceptedAt: 0,
      attempts: 3,
      delays: 0,
      dueAt: 0,
      result: undefined,
    };
    const rules: EventRules = {
      functionArn,
      maximumRetryAttempts: 2,
      maximumEventAgeMilliseconds: 21_600_000,
      onSuccess: undefined,
      onFailure: 'arn:aws:lambda:us-east-1:123456789012:function:next',
      deadLetterTarget: 'arn:aws:sqs:us-east-1:123456789012:dead',
      isDisabled: false,
    };
    const failure: InvokeOutcome = {
      kind: 'function-error',
      functionError: 'Unhandled',
      reason: 'error',
      payload: Buffer.from('{"errorMessage":"no such order","errorType":"TypeError"}'),
      requestId: event.requestId,
      executedVersion: '$LATEST',
      durationMilliseconds: 1,
    };
    const result = resultOf(event, 'RetriesExhausted', failure, 3, rules, Date.UTC(2019, 10, 14, 18, 16, 5, 568));
    await delivery.toDeadLetter(result.deadLetterTarget!, event, result);
    await delivery.toDestination(result.destinations[0]!, event, result);
    aws.close();
    const { Messages } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: QueueUrl!, WaitTimeSeconds: 5, MessageAttributeNames: ['All'] }),
    );
    assert.equal(Messages![0]!.Body, event.payload.toString());
    const attributes = Object.entries(Messages![0]!.MessageAttributes ?? {}).map(
      ([name, { DataType, StringValue }]) => [name, DataType, StringValue],
    );
    assert.deepEqual(attributes.sort(), [
      ['ErrorCode', 'Number', '200'],
      ['ErrorMessage', 'String', 'no such order'],
      ['RequestID', 'String', event.requestId],
    ]);
    // The record as recorded on Lambda (DG invocation-async-retain-records), members in its order.
    assert.deepEqual(sent, [
      [
        rules.onFailure,
        `{"version":"1.0","timestamp":"2019-11-14T18:16:05.568Z","requestContext":{"requestId":"${event.requestId}",` +
          `"functionArn":"${functionArn}","condition":"RetriesExhausted","approximateInvokeCount":3},` +
          '"requestPayload":{"a":1,"ü":"ü"},' +
          '"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},' +
          '"responsePayload":{"errorMessage":"no such order","errorType":"TypeError"}}',
      ],
    ]);
  });

  it('SNS gets the same document', async () => {
    const sns = new SNSClient({ region, credentials, endpoint: moto.endpoint });
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'failed' }));
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'subscriber' }));
    await sns.send(
      new SubscribeCommand({
        TopicArn,
        Protocol: 'sqs',
        Endpoint: 'arn:aws:sqs:us-east-1:123456789012:subscriber',
        Attributes: { RawMessageDelivery: 'true' },
      }),
    );
    await none.deliver(batch(TopicArn!));
    assert.equal(await receive(QueueUrl!), JSON.stringify(document));
    sns.destroy();
  });

  it('S3 gets the document and the whole event, under a key of mapping, partition and time', async () => {
    const s3 = new S3Client({ region, credentials, endpoint: moto.endpoint, forcePathStyle: true });
    await s3.send(new CreateBucketCommand({ Bucket: 'failed' }));
    await none.deliver(batch('arn:aws:s3:::failed'));
    const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket: 'failed' }));
    const key = Contents?.[0]?.Key ?? '';
    assert.match(
      key,
      /^aws\/lambda\/6f6c9a0e-0000-4000-8000-000000000001\/orders-0\/2019\/11\/14\/2019-11-14T00\.38\.06-[0-9a-f-]{36}$/,
    );
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'failed', Key: key }));
    const text = (await Body?.transformToString()) ?? '';
    assert.equal(text, JSON.stringify({ ...document, payload: payload.toString('utf8') }));
    s3.destroy();
  });
});

describe('a Kafka topic as destination', () => {
  const getsOneMessageARecord = async (bootstrapServers: string): Promise<void> => {
    const destinations = createDestinations({
      aws: new AwsClients(),
      clusterConfiguration: async () => ({ bootstrapServers: [bootstrapServers] }),
    });
    const consumer = new Consumer<Buffer, Buffer, Buffer, Buffer>({
      clientId: 't',
      groupId: 't',
      bootstrapBrokers: [bootstrapServers],
    });
    try {
      await destinations.deliver(batch('kafka://failed'));
      const stream = await consumer.consume({ topics: ['failed'], mode: 'earliest' });
      const messages: { key: string; value: string; headers: [string, number[]][] }[] = [];
      stream.on('data', ({ key, value, headers }) =>
        messages.push({
          key: String(key),
          value: String(value),
          headers: [...headers].map(([name, bytes]) => [String(name), [...bytes]]),
        }),
      );
      await eventually(() => messages.length === 2);
      await stream.close();
      assert.deepEqual(
        messages.map(({ key }) => key),
        ['k7', 'k8'],
      );
      assert.deepEqual(messages[1]?.headers, [['trace', [1, 254]]]);
      const single = JSON.parse(messages[1]?.value ?? '');
      assert.deepEqual(single.requestContext, {
        ...document.requestContext,
        functionArn: `${document.requestContext.functionArn}:$LATEST`,
        condition: 'RetriesExhausted',
      });
      assert.deepEqual(single.payload.records, { 'orders-0': [record(8, [{ trace: [1, -2] }])] });
      assert.deepEqual(single.KafkaBatchInfo, {
        batchSize: 1,
        eventSourceArn: arn,
        bootstrapServers: 'b-1:9092',
        payloadSize: Buffer.byteLength(JSON.stringify(single.payload)),
        recordInfo: { offset: '8', timestamp: '2019-11-14T01:18:04.843Z' },
      });
      assert.deepEqual(Object.keys(single), [
        'requestContext',
        'responseContext',
        'version',
        'timestamp',
        'KafkaBatchInfo',
        'payload',
      ]);
      await assert.rejects(destinations.deliver(batch('kafka://orders')), /is the topic that the mapping reads/);
    } finally {
      await consumer.close(true);
      await destinations.close();
    }
  };

  it('gets one message a record, under its own key and headers; the source topic is refused', async () => {
    await using broker = await startBroker({ topics: [{ name: 'failed', partitions: 1 }] });
    await getsOneMessageARecord(broker.bootstrapServers);
  });

  it('gets the same on Apache Kafka', { skip: needs('java', 'maven') }, async () => {
    const kafka = await startKafka();
    try {
      await createTopics(kafka.bootstrapServers, ['failed'], 1);
      await getsOneMessageARecord(kafka.bootstrapServers);
    } finally {
      await kafka.stop();
    }
  });

  it('rejects while the broker is down, and writes again once it is back', async () => {
    let broker = await startBroker({ topics: [{ name: 'failed', partitions: 1 }] });
    const port = Number(broker.bootstrapServers.split(':')[1]);
    const destinations = createDestinations({
      aws: new AwsClients(),
      clusterConfiguration: async () => ({ bootstrapServers: [`127.0.0.1:${port}`] }),
    });
    try {
      await destinations.deliver(batch('kafka://failed'));
      await broker.stop();
      await assert.rejects(
        destinations.deliver(batch('kafka://failed')),
        (error) => HeadraceError.is(error) && error.retryable,
      );
      broker = await startBroker({ port, topics: [{ name: 'failed', partitions: 1 }] });
      await eventually(async () => {
        await destinations.deliver(batch('kafka://failed'));
        return true;
      });
    } finally {
      await destinations.close();
      await broker.stop();
    }
  });
});

it('destinations that Lambda does not write to are refused by name', () => {
  for (const text of [
    'arn:aws:sqs:us-east-1:123456789012:q.fifo',
    'arn:aws:sns:us-east-1:123456789012:t.fifo',
    'arn:aws:lambda:x:y:z',
    'kafka://',
    'q',
    '',
  ])
    assert.throws(
      () => parseDestination(text),
      (error) => HeadraceError.is(error) && error.code === 'CONFIGURATION',
      text,
    );
});
