import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type AttributeValue, DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { ChaosProxy, eventually, repositoryRoot, temporaryFolder } from '@headrace/testing';
import { Producer } from '@platformatic/kafka';
import { RequestLogGenerator } from '../../src/demo/generator.ts';
import { startEngine } from '../../src/engine.ts';
import { deployPlan } from '../../src/templates/deploy.ts';
import { parseTemplate } from '../../src/templates/document.ts';
import { planTemplate } from '../../src/templates/plan.ts';

const RECORDS = 3_000;
const PARTITIONS = 4;
const OUTAGE_MS = 10_000;
const TOPIC = 'app-logs';

test('the model and then the table are down for 10 s each in the middle: every record is stored once at the end', async () => {
  const folder = temporaryFolder('outage');
  const engine = await startEngine({ port: 0, dataDirectory: folder });
  try {
    const door = new URL(engine.endpoint).host;
    await using model = await ChaosProxy.start({ target: door });
    await using table = await ChaosProxy.start({ target: door });
    engine.ensureTopic(TOPIC, PARTITIONS);
    engine.ensureStreamingEndpoint('rcf-anomaly-endpoint');
    const client = { endpoint: engine.endpoint, region: engine.region, credentials: engine.clientCredentials() };
    const [lambda, dynamodb] = [new LambdaClient(client), new DynamoDBClient(client)];
    const templateFile = join(repositoryRoot, 'examples', 'log-anomaly', 'template.yaml');
    const { steps, ...plan } = planTemplate(parseTemplate(readFileSync(templateFile, 'utf8'), templateFile), {
      templateFile,
      parameters: { ClusterArn: `arn:aws:kafka:${engine.region}:${engine.accountId}:cluster/own/1`, Topic: TOPIC },
      region: engine.region,
      accountId: engine.accountId,
      stackName: 'outage',
    });
    // The function reaches model and table through the proxies, which can be shut.
    const reach = {
      AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: `http://${model.address}`,
      AWS_ENDPOINT_URL_DYNAMODB: `http://${table.address}`,
    };
    const throughProxies = steps.map((step) =>
      step.kind === 'function'
        ? {
            ...step,
            input: { ...step.input, Environment: { Variables: { ...step.input.Environment?.Variables, ...reach } } },
          }
        : step,
    );
    await deployPlan({ ...plan, steps: throughProxies }, { lambda, dynamodb });

    const items = async (): Promise<Record<string, AttributeValue>[]> => {
      const all: Record<string, AttributeValue>[] = [];
      let from: Record<string, AttributeValue> | undefined;
      do {
        const page = await dynamodb.send(
          new ScanCommand({ TableName: 'ScoredLogs', ProjectionExpression: 'id, rcf_score', ExclusiveStartKey: from }),
        );
        all.push(...(page.Items ?? []));
        from = page.LastEvaluatedKey;
      } while (from);
      return all;
    };
    const stored = async (): Promise<number> => (await items()).length;
    const storedMore = async (than: number): Promise<number> =>
      eventually(async () => ((await stored()) > than ? await stored() : undefined), {
        timeoutMs: 60_000,
        everyMs: 200,
      });

    const producing = produce(engine.bootstrapServers);
    let count = await storedMore(0);
    for (const proxy of [model, table]) {
      proxy.behaviour.refuse = true;
      proxy.cutAll();
      // What was on its way comes to its end.
      let before = -1;
      await eventually(async () => before === (before = await stored()), { everyMs: 1_500 });
      await delay(OUTAGE_MS);
      const accepted = proxy.accepted;
      assert.ok((await stored()) <= before, 'nothing is stored while a part is down');
      assert.ok(before < RECORDS, 'the outage came in the middle');
      proxy.behaviour.refuse = false;
      count = await storedMore(before);
      assert.ok(proxy.accepted > accepted);
    }
    await producing;
    await eventually(async () => (await stored()) >= RECORDS, { timeoutMs: 60_000, everyMs: 200 });
    assert.ok(count > 0);

    const all = await items();
    const expected = Array.from(
      { length: RECORDS },
      (_, i) => `${TOPIC}-${i % PARTITIONS}-${Math.floor(i / PARTITIONS)}`,
    );
    assert.deepEqual(all.map((item) => item['id']!.S).sort(), expected.sort());
    assert.ok(all.every((item) => item['rcf_score']?.N !== undefined));
    lambda.destroy();
    dynamodb.destroy();
  } finally {
    await engine.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Sends the log at such a rate that it lasts through both outages. */
async function produce(bootstrapServers: readonly string[]): Promise<void> {
  const producer = new Producer({ clientId: 'test', bootstrapBrokers: [...bootstrapServers] });
  const perSecond = RECORDS / ((2 * OUTAGE_MS) / 1_000 + 4);
  const started = performance.now();
  let batch: { topic: string; partition: number; value: Buffer }[] = [];
  for (const { index, record } of new RequestLogGenerator({ records: RECORDS, seed: 1 })) {
    batch.push({ topic: TOPIC, partition: index % PARTITIONS, value: Buffer.from(JSON.stringify(record)) });
    if (batch.length < 25 && index < RECORDS - 1) continue;
    await producer.send({ messages: batch, acks: -1 });
    batch = [];
    const early = (index / perSecond) * 1_000 - (performance.now() - started);
    if (early > 0) await delay(early);
  }
  await producer.close();
}
