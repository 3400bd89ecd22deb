import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  type AttributeValue,
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  ScanCommand,
  waitUntilTableNotExists,
} from '@aws-sdk/client-dynamodb';
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import {
  eventually,
  needs,
  needsData,
  portOf,
  pythonEnvironment,
  repositoryRoot,
  sharedData,
  startMoto,
} from '@headrace/testing';

// The package has no types; a name that is not a literal keeps the compiler from looking for them.
const { default: dynalite } = (await import('dynalite' as string)) as {
  default: (options: { createTableMs: number; deleteTableMs: number }) => Server;
};

const BOTO3 = 'boto3==1.42.0';
const example = join(repositoryRoot, 'examples', 'log-anomaly');
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };

interface KafkaRecord {
  topic: string;
  partition: number;
  offset: number;
  timestamp: number;
  timestampType: string;
  value?: string | null;
  headers: unknown[];
}

interface LogFields {
  [name: string]: unknown;
}

/** A record as it stands in an event: the value in base64. */
function record(
  offset: number,
  log: LogFields | string | Buffer | null,
  partition = 0,
  topic = 'app-logs',
): KafkaRecord {
  const bytes = log === null ? null : typeof log === 'string' || Buffer.isBuffer(log) ? log : JSON.stringify(log);
  const value = bytes === null ? null : Buffer.from(bytes as string).toString('base64');
  return {
    topic,
    partition,
    offset,
    timestamp: 1_772_409_600_000 + offset,
    timestampType: 'CREATE_TIME',
    value,
    headers: [],
  };
}

/** An event as Lambda's event source mapping for Amazon MSK sends it. */
function event(...records: KafkaRecord[]) {
  const byPartition = Object.groupBy(records, ({ topic, partition }) => `${topic}-${partition}`);
  return {
    eventSource: 'aws:kafka',
    eventSourceArn: 'arn:aws:kafka:eu-west-1:123456789012:cluster/logs/5b1b2c3d-0000-4000-8000-000000000000-1',
    bootstrapServers: 'b-1.logs.kafka.eu-west-1.amazonaws.com:9098',
    records: byPartition,
  };
}

const log = (responseTimeMs: number, more: LogFields = {}): LogFields => ({
  responseTimeMs,
  status: 200,
  bytes: 512,
  ...more,
});

const runners = {
  JavaScript: `import { createInterface } from 'node:readline';
    const { handler } = await import(process.argv[1]);
    for await (const line of createInterface({ input: process.stdin })) {
      const answer = await handler(JSON.parse(line)).then((value) => ({ value }), (error) => ({ error: String(error) }));
      console.log('ANSWER ' + JSON.stringify(answer));
    }`,
  Python: `import json, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from handler import handler
for line in sys.stdin:
    try:
        answer = {"value": handler(json.loads(line), None)}
    except Exception as error:
        answer = {"error": repr(error)}
    print("ANSWER " + json.dumps(answer), flush=True)`,
};

/** A function in its own process, called as Lambda calls it: one event after the other in one environment. */
class FunctionProcess {
  /** Lines on standard output. */
  readonly log: string[] = [];
  readonly #printed: string[] = [];
  readonly #child: ChildProcess;
  readonly #answers: ((answer: { value?: Record<string, number>; error?: string }) => void)[] = [];

  constructor(command: string, args: string[], environment: Record<string, string>) {
    this.#child = spawn(command, args, {
      stdio: 'pipe',
      env: { PATH: process.env['PATH'], ...environment },
    });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      if (line.startsWith('ANSWER ')) this.#answers.shift()?.(JSON.parse(line.slice(7)));
      else this.log.push(line);
    });
    createInterface({ input: this.#child.stderr! }).on('line', (line) => this.#printed.push(line));
    this.#child.on('close', () => {
      for (const answer of this.#answers.splice(0))
        answer({ error: `the function ended: ${this.#printed.join('\n')}` });
    });
    this.#child.stdin!.on('error', () => {});
  }

  async invoke(input: object): Promise<Record<string, number>> {
    const answer = await new Promise<{ value?: Record<string, number>; error?: string }>((resolve) => {
      this.#answers.push(resolve);
      this.#child.stdin!.write(`${JSON.stringify(input)}\n`);
    });
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value!;
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

interface Seen {
  path: string;
  headers: Record<string, unknown>;
  body: string;
}

/** A local HTTP server that keeps what it was sent and answers as told. */
async function listen(answer: (seen: Seen) => Promise<{ status: number; body: string }>): Promise<Server> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const { status, body: text } = await answer({ path: request.url ?? '', headers: request.headers, body });
    response.setHeader('content-type', 'application/json');
    if (status >= 500) response.setHeader('x-amzn-errortype', 'ServiceUnavailable');
    response.writeHead(status);
    response.end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

for (const language of ['JavaScript', 'Python'] as const) {
  describe(`the ${language} handler of the example`, { skip: language === 'Python' && needs('python') }, () => {
    let table: Server;
    let tableDoor: Server;
    let model: Server;
    let webhook: Server;
    let dynamodb: DynamoDBClient;
    let python = '';
    let running: FunctionProcess[] = [];
    /** What the endpoint was asked, and how it answers; what the webhook got; how often the table gives items back. */
    const requests: Seen[] = [];
    const alerts: Record<string, unknown>[] = [];
    let modelIsDown = false;
    let webhookStatus = 200;
    let unprocessed = 0;
    let tableIsDown = false;

    before(async () => {
      if (language === 'Python') ({ python } = await pythonEnvironment([BOTO3]));
      table = dynalite({ createTableMs: 0, deleteTableMs: 0 });
      await new Promise<void>((resolve) => table.listen(0, '127.0.0.1', resolve));
      // In front of the table: DynamoDB may give back a part of a batch, and may be down.
      tableDoor = await listen(async ({ headers, body }) => {
        if (tableIsDown) return { status: 503, body: '{}' };
        const isBatch = String(headers['x-amz-target']).endsWith('BatchWriteItem');
        const sent = JSON.parse(body) as { RequestItems: Record<string, unknown[]> };
        const [name, items] = isBatch ? Object.entries(sent.RequestItems)[0]! : ['', []];
        const kept = unprocessed > 0 ? items.slice(0, items.length >> 1) : items;
        const left = items.slice(kept.length);
        unprocessed -= 1;
        const response = await fetch(`http://127.0.0.1:${portOf(table)}/`, {
          method: 'POST',
          headers: Object.fromEntries(
            ['x-amz-target', 'content-type', 'authorization', 'x-amz-date'].map((header) => [
              header,
              String(headers[header]),
            ]),
          ),
          body: isBatch ? JSON.stringify({ RequestItems: { [name]: kept } }) : body,
        });
        const text = await response.text();
        if (!response.ok || left.length === 0) return { status: response.status, body: text };
        return { status: 200, body: JSON.stringify({ UnprocessedItems: { [name]: left } }) };
      });
      model = await listen(async (seen) => {
        requests.push(seen);
        if (modelIsDown) return { status: 503, body: '{}' };
        const { instances } = JSON.parse(seen.body) as { instances: { features: number[] }[] };
        // A stand-in for the forest: long responses score high. The tests below are about the handler.
        const scores = instances.map(({ features }) => ({
          score: features[0]! > 1_000 ? features[0]! / 1_000 : 0.7231471806,
        }));
        return { status: 200, body: JSON.stringify({ scores }) };
      });
      webhook = await listen(async ({ body }) => {
        if (webhookStatus === 200) alerts.push(JSON.parse(body) as Record<string, unknown>);
        return { status: webhookStatus, body: '{}' };
      });
      dynamodb = new DynamoDBClient({
        endpoint: `http://127.0.0.1:${portOf(table)}`,
        region: 'eu-west-1',
        credentials,
      });
    });

    beforeEach(async () => {
      for (const each of running) each.stop();
      running = [];
      requests.length = alerts.length = unprocessed = 0;
      modelIsDown = tableIsDown = false;
      webhookStatus = 200;
      for (const TableName of ['ScoredLogs', 'AlertGroups']) {
        await dynamodb.send(new DeleteTableCommand({ TableName })).catch(() => {});
        await waitUntilTableNotExists(
          { client: dynamodb, maxWaitTime: 5, minDelay: 0.01, maxDelay: 0.05 },
          { TableName },
        );
        await dynamodb.send(
          new CreateTableCommand({
            TableName,
            BillingMode: 'PAY_PER_REQUEST',
            AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
            KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
          }),
        );
      }
    });

    after(() => {
      for (const each of running) each.stop();
      dynamodb?.destroy();
      for (const server of [table, tableDoor, model, webhook]) {
        server?.close();
        server?.closeAllConnections();
      }
    });

    const start = (environment: Record<string, string> = {}): FunctionProcess => {
      const [command, args] =
        language === 'Python'
          ? [python, ['-c', runners.Python, example]]
          : [process.execPath, ['--input-type=module', '-e', runners.JavaScript, join(example, 'handler.mjs')]];
      const instance = new FunctionProcess(command, args, {
        AWS_REGION: 'eu-west-1',
        AWS_DEFAULT_REGION: 'eu-west-1',
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
        AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${portOf(tableDoor)}`,
        AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: `http://127.0.0.1:${portOf(model)}`,
        TABLE_NAME: 'ScoredLogs',
        ...environment,
      });
      running.push(instance);
      return instance;
    };

    const items = async (): Promise<Record<string, AttributeValue>[]> => {
      const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'ScoredLogs', ConsistentRead: true }));
      return Items.sort((a, b) => a['id']!.S!.localeCompare(b['id']!.S!, 'en', { numeric: true }));
    };

    test('stores each record with its score as a number under its topic, partition and offset', async () => {
      const source = { source: 'web-1', timestamp: '2026-03-02T08:15:42.118Z' };
      const answer = await start().invoke(
        event(record(7, log(120, source)), record(8, log(4_200.5, source)), record(3, log(90), 1)),
      );
      assert.deepEqual(answer, { records: 3, scored: 3, anomalous: 1, highestScore: 4.2005 });
      const stored = await items();
      const [first] = stored;
      assert.ok(Number(first!['stored_at']!.N) > 1_700_000_000_000);
      delete first!['stored_at'];
      assert.deepEqual(first, {
        id: { S: 'app-logs-0-7' },
        topic: { S: 'app-logs' },
        partition: { N: '0' },
        offset: { N: '7' },
        timestamp: { N: '1772409600007' },
        source: { S: 'web-1' },
        rcf_score: { N: '0.7231471806' },
        anomalous: { BOOL: false },
        record: { S: JSON.stringify(log(120, source)) },
      });
      const brief = stored.map((item) => [
        item['id']!.S,
        item['rcf_score']!.N,
        item['anomalous']!.BOOL,
        item['source']!.S,
      ]);
      assert.deepEqual(brief.slice(1), [
        ['app-logs-0-8', '4.2005', true, 'web-1'],
        ['app-logs-1-3', '0.7231471806', false, 'app-logs'],
      ]);
    });

    test("scores a batch in one request of SageMaker's form, and tells the endpoint each row's identity", async () => {
      const offsets = [100, 101, 102, 105, 160, 161];
      const batch = event(
        ...offsets.map((offset) => record(offset, log(offset))),
        record(77, log(1), 2),
        record(79, log(2), 2),
      );
      await start({ ANOMALY_FEATURES: 'responseTimeMs, bytes*0.5' }).invoke(batch);
      assert.equal(requests.length, 1);
      const [request] = requests;
      assert.equal(request!.path, '/endpoints/rcf-anomaly-endpoint/invocations');
      assert.equal(request!.headers['content-type'], 'application/json');
      const identity = 'topic=app-logs;offsets=0:100-102,105,160-161,2:77,79';
      assert.equal(request!.headers['x-amzn-sagemaker-custom-attributes'], identity);
      const rows = [...offsets, 1, 2].map((ms) => ({ features: [ms, 256] }));
      assert.deepEqual(JSON.parse(request!.body), { instances: rows });
    });

    test('splits a batch whose list of offsets is longer than a header may be', async () => {
      const offsets = Array.from({ length: 300 }, (_, i) => 1_000_000 + 2 * i);
      await start().invoke(event(...offsets.map((offset) => record(offset, log(offset % 1_000)))));
      assert.ok(requests.length > 1);
      const named = requests.flatMap(({ headers }) => {
        const attributes = String(headers['x-amzn-sagemaker-custom-attributes']);
        assert.ok(attributes.length <= 1_024);
        return attributes.split('offsets=0:')[1]!.split(',').map(Number);
      });
      assert.deepEqual(named, offsets);
      assert.equal((await items()).length, 300);
    });

    test('stores what it cannot score, with the reason', async () => {
      const values = [
        null,
        'plain text',
        Buffer.from([0xff, 0xfe]),
        '[1,2,3]',
        log(1, { status: '200' }),
        log(1, { status: true }),
        { responseTimeMs: 1, status: 200 },
        '{"responseTimeMs":1e31,"status":200,"bytes":1}',
        '{"responseTimeMs":NaN,"status":200,"bytes":1}',
        log(5),
      ];
      const answer = await start().invoke(event(...values.map((value, offset) => record(offset, value))));
      assert.deepEqual([answer['records'], answer['scored']], [10, 1]);
      const problems = (await items()).map((item) => item['problem']?.S ?? `score ${item['rcf_score']!.N}`);
      assert.deepEqual(problems, [
        'the record has no value',
        'the value is not JSON',
        'the value is not UTF-8',
        'the value is not a JSON object',
        'status is not a number',
        'status is not a number',
        'bytes is not a number',
        'responseTimeMs is out of range',
        'the value is not JSON',
        'score 0.7231471806',
      ]);
    });

    test('takes half a character in a name for one that it does not know', async () => {
      const source = '{"source":"a\\ud800b","responseTimeMs":5000,"status":200,"bytes":1}';
      await start({ ALERT_TABLE: 'AlertGroups' }).invoke(event(record(1, source)));
      const [item] = await items();
      assert.deepEqual([item!['source']!.S, item!['record']!.S], ['a\ufffdb', source]);
    });

    test('cuts a record that is larger than an item may be, and stores the rest of the batch', async () => {
      await start().invoke(event(record(1, log(1, { text: 'x'.repeat(900_000) })), record(2, log(2))));
      const [large, small] = await items();
      assert.deepEqual([large!['record']!.B!.length, large!['truncated']!.BOOL], [300 * 1024, true]);
      assert.equal(small!['rcf_score']!.N, '0.7231471806');
    });

    test('a record that comes again overwrites itself', async () => {
      const instance = start();
      await instance.invoke(event(record(1, log(10)), record(2, log(20))));
      await instance.invoke(event(record(1, log(10)), record(2, log(20)), record(3, log(30))));
      assert.equal((await items()).length, 3);
    });

    test('items that the table gives back are written again', async () => {
      unprocessed = 3;
      await start().invoke(event(...Array.from({ length: 60 }, (_, offset) => record(offset, log(offset)))));
      assert.equal((await items()).length, 60);
    });

    test('fails while the model or the table is down, so that the batch comes again', async () => {
      const instance = start();
      modelIsDown = true;
      await assert.rejects(instance.invoke(event(record(1, log(10)))));
      assert.equal((await items()).length, 0);
      modelIsDown = false;
      tableIsDown = true;
      await assert.rejects(instance.invoke(event(record(1, log(10)))));
      tableIsDown = false;
      await instance.invoke(event(record(1, log(10))));
      assert.equal((await items()).length, 1);
    });

    const at = (minute: number): string => new Date(Date.UTC(2026, 2, 2, 8, minute)).toISOString();
    const webhookUrl = (): Record<string, string> => ({ ALERT_WEBHOOK_URL: `http://127.0.0.1:${portOf(webhook)}/` });

    test('neighbouring anomalies make one alert, also across batches; later ones make another', async () => {
      const instance = start(webhookUrl());
      await instance.invoke(
        event(record(1, log(4_000, { timestamp: at(0) })), record(2, log(5_000, { timestamp: at(1) }))),
      );
      await instance.invoke(event(record(30, log(9_000, { timestamp: at(10) }))));
      await instance.invoke(event(record(60, log(10, { timestamp: at(20) }))));
      await instance.invoke(event(record(90, log(6_000, { timestamp: at(50) }), 3)));
      assert.deepEqual(
        alerts.map(({ id, score, anomalies, time }) => [id, score, anomalies, time]),
        [
          ['app-logs-0-1', 5, 2, at(1)],
          ['app-logs-3-90', 6, 1, at(50)],
        ],
      );
      const summary = 'Anomaly 5.00 in app-logs (app-logs): responseTimeMs=5000, status=200, bytes=512';
      assert.equal(alerts[0]!['summary'], summary);
      await eventually(() => instance.log.filter((line) => JSON.parse(line).message === 'anomaly').length === 2);
    });

    test('environments that share the table of groups make one alert of an incident, also at the same time', async () => {
      const environments = [0, 1, 2].map(() => start({ ...webhookUrl(), ALERT_TABLE: 'AlertGroups' }));
      const invokeAll = (minute: number): Promise<unknown> =>
        Promise.all(
          environments.map((instance, partition) =>
            instance.invoke(event(record(minute, log(4_000, { timestamp: at(minute) }), partition))),
          ),
        );
      for (const minute of [0, 12, 24, 36]) await invokeAll(minute);
      assert.equal(alerts.length, 1, 'steps of 12 minutes are one group');
      await invokeAll(59);
      // A partition that lags behind still finds the group of the first incident.
      await environments[1]!.invoke(event(record(70, log(4_000, { timestamp: at(20) }), 1)));
      assert.equal(alerts.length, 2);
    });

    test('a batch that comes again alerts again, under the same id', async () => {
      const again = event(record(1, log(4_000)), record(2, log(5_000)));
      for (let i = 0; i < 2; i += 1) await start({ ...webhookUrl(), ALERT_TABLE: 'AlertGroups' }).invoke(again);
      assert.deepEqual(
        alerts.map(({ id }) => id),
        ['app-logs-0-1', 'app-logs-0-1'],
      );
    });

    test('without its table of groups it still alerts, and says what is wrong', async () => {
      const instance = start({ ...webhookUrl(), ALERT_TABLE: 'Missing' });
      await instance.invoke(event(record(1, log(4_000))));
      await instance.invoke(event(record(2, log(4_000))));
      assert.equal(alerts.length, 1);
      await eventually(() => instance.log.some((line) => JSON.parse(line).message.startsWith('the alert table: ')));
    });

    test('PagerDuty gets an event of its version 2', async () => {
      await start({ ...webhookUrl(), ALERT_FORMAT: 'pagerduty', PAGERDUTY_ROUTING_KEY: 'key' }).invoke(
        event(record(1, log(4_000))),
      );
      const [{ payload, ...rest }] = alerts as [{ payload: Record<string, unknown> }];
      assert.deepEqual(rest, {
        routing_key: 'key',
        event_action: 'trigger',
        dedup_key: 'app-logs-0-1',
      });
      assert.deepEqual(
        [payload['severity'], payload['source'], payload['component'], payload['timestamp']],
        ['warning', 'app-logs', 'app-logs', '2026-03-02T00:00:00.001Z'],
      );
      assert.match(String(payload['summary']), /^Anomaly 4\.00 in app-logs/);
    });

    test('SNS gets the alert, with a subject', { skip: needs('python') }, async () => {
      await using moto = await startMoto();
      const settings = { endpoint: moto.endpoint, region: 'eu-west-1', credentials };
      const [sns, sqs] = [new SNSClient(settings), new SQSClient(settings)];
      const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'alerts' }));
      const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'alerts' }));
      const Endpoint = 'arn:aws:sqs:eu-west-1:123456789012:alerts';
      await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint }));
      const environment = { ALERT_TOPIC_ARN: TopicArn!, AWS_ENDPOINT_URL_SNS: moto.endpoint };
      await start(environment).invoke(event(record(1, log(4_000, { source: 'wéb-1' }))));
      const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 5 }));
      const notification = JSON.parse(Messages[0]!.Body!) as { Subject: string; Message: string };
      assert.match(notification.Subject, /^Anomaly 4\.00 in app-logs \(w\?b-1\): responseTimeMs=4000/);
      const alert = JSON.parse(notification.Message) as Record<string, unknown>;
      assert.deepEqual([alert['id'], alert['source'], alert['score']], ['app-logs-0-1', 'wéb-1', 4]);
      sns.destroy();
      sqs.destroy();
    });

    test('an alert channel that is down holds up no record; its alert is logged and sent later', async () => {
      webhookStatus = 500;
      const instance = start({ ...webhookUrl(), ALERT_RETRY_SECONDS: '0' });
      await instance.invoke(event(record(1, log(4_000))));
      assert.equal((await items()).length, 1);
      await eventually(() => instance.log.some((line) => /the webhook did not take the alert app-logs-0-1/.test(line)));
      webhookStatus = 200;
      await instance.invoke(event(record(2, log(10))));
      assert.deepEqual(
        alerts.map(({ id }) => id),
        ['app-logs-0-1'],
      );
    });

    test('refuses to start with a setting that makes no sense', async () => {
      const settings: [string, string][] = [
        ['ANOMALY_THRESHOLD', 'three'],
        ['ANOMALY_FEATURES', 'status*'],
        ['ALERT_FORMAT', 'xml'],
        ['ALERT_GROUP_SECONDS', '-1'],
        ['TABLE_NAME', ''],
      ];
      for (const [name, value] of settings) {
        await assert.rejects(
          start({ [name]: value }).invoke(event()),
          new RegExp(`the function ended: [^]*${name} must`),
        );
      }
    });

    const captured = ['msk-2023.json', 'msk-serverless-2025.json'].map((name) => join('captured-events', name));
    for (const name of captured) {
      test(`takes an event as functions on AWS printed it: ${name}`, { skip: needsData(name) }, async () => {
        const printed = JSON.parse(readFileSync(sharedData(name), 'utf8')) as {
          records: Record<string, KafkaRecord[]>;
        };
        const records = Object.values(printed.records).flat();
        const answer = await start({ ANOMALY_FEATURES: 'age' }).invoke(printed);
        assert.equal(answer['records'], records.length);
        const keys = records.map(({ topic, partition, offset }) => `${topic}-${partition}-${offset}`);
        assert.deepEqual(
          (await items()).map((item) => item['id']!.S),
          keys,
        );
      });
    }
  });
}
