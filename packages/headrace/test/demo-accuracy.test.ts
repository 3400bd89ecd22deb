import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { portOf, repositoryRoot } from '@headrace/testing';
import { RequestLogGenerator } from '../src/demo/generator.ts';
import { evaluateLabels, type LabelEvaluation, type ScoredRecord } from '../src/demo/labels.ts';
import { createSageMakerRuntime } from '../src/sagemaker-api/index.ts';
import { parseTemplate } from '../src/templates/document.ts';
import { serveApi } from './sagemaker-server.ts';

const example = join(repositoryRoot, 'examples', 'log-anomaly');
const THRESHOLD = 3;
const BATCH = 100;

interface WrittenItem {
  id: { S: string };
  rcf_score?: { N: string };
}

/** Generator → the example's own handler, in batches as a mapping makes them → the endpoint's own forest. */
describe('what the demo finds at its defaults', () => {
  // These seeds were not looked at while the generator and the weights of the features were chosen.
  const seeds = Array.from({ length: Number(process.env['SEEDS'] ?? 5) }, (_, i) => 90_001 + i);
  /** A new one for each run: its forest knows nothing. */
  let runtime = createSageMakerRuntime({ dataDirectory: undefined });
  let written: WrittenItem[] = [];
  // Keeps what the handler writes; that the handler writes rightly is log-anomaly.test.ts's matter.
  const table = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { RequestItems } = JSON.parse(Buffer.concat(chunks).toString()) as {
      RequestItems: Record<string, { PutRequest: { Item: WrittenItem } }[]>;
    };
    for (const { PutRequest } of Object.values(RequestItems).flat()) written.push(PutRequest.Item);
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end('{"UnprocessedItems":{}}');
  });
  let model: Awaited<ReturnType<typeof serveApi>>;
  let handler: (event: object) => Promise<unknown>;
  const log = console.log;

  before(async () => {
    await new Promise<void>((resolve) => table.listen(0, '127.0.0.1', resolve));
    model = await serveApi({ service: 'sagemaker', handle: (request) => runtime.handle(request) });
    const template = parseTemplate(readFileSync(join(example, 'template.yaml'), 'utf8'), 'template.yaml');
    const parameter = (name: string): string => String((template.parameters[name] as { Default: unknown }).Default);
    Object.assign(process.env, {
      AWS_REGION: 'eu-west-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${portOf(table)}`,
      AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: model.endpoint,
      TABLE_NAME: 'ScoredLogs',
      ANOMALY_THRESHOLD: parameter('AnomalyThreshold'),
      ANOMALY_FEATURES: parameter('AnomalyFeatures'),
      ENDPOINT_NAME: 'held-out',
    });
    ({ handler } = await import(join(example, 'handler.mjs')));
    // The handler logs its alerts; here there would be hundreds.
    console.log = () => {};
  });
  after(async () => {
    console.log = log;
    table.close();
    table.closeAllConnections();
    await model.close();
  });

  async function evaluate(seed: number, records: number, partitions: number): Promise<LabelEvaluation> {
    const topic = `seed-${seed}-${records}`;
    runtime = createSageMakerRuntime({ dataDirectory: undefined });
    runtime.ensureStreamingEndpoint('held-out', { randomSeed: seed });
    written = [];
    const generator = new RequestLogGenerator({ records, seed });
    let batch: object[] = [];
    const invoke = async (): Promise<void> => {
      if (batch.length > 0)
        await handler({
          records: Object.groupBy(batch as { partition: number }[], ({ partition }) => `${topic}-${partition}`),
        });
      batch = [];
    };
    for (const { index, record } of generator) {
      const value = Buffer.from(JSON.stringify(record)).toString('base64');
      const partition = index % partitions;
      batch.push({
        topic,
        partition,
        offset: Math.floor(index / partitions),
        timestamp: Date.now(),
        value,
        headers: [],
      });
      if (batch.length === BATCH) await invoke();
    }
    await invoke();
    const scored = written.map(({ id, rcf_score }): ScoredRecord => {
      const [partition, offset] = id.S.split('-').slice(-2).map(Number) as [number, number];
      return { index: offset * partitions + partition, score: Number(rcf_score!.N) };
    });
    assert.equal(new Set(scored.map(({ index }) => index)).size, records);
    return evaluateLabels(generator.incidents, scored, THRESHOLD);
  }

  for (const [records, partitions] of [
    [5_000, 1],
    [20_000, 4],
  ] as const) {
    test(`${records} records in ${partitions} partitions: at least three of the four kinds, at most 5 false alarms in 1,000`, async (context) => {
      const totals = { runs: 0, incidents: 0, found: 0, falseAlarmsPer1000: 0, byKind: {} as Record<string, number[]> };
      for (const seed of records > 10_000 ? seeds.slice(0, Math.ceil(seeds.length / 2)) : seeds) {
        const evaluation = await evaluate(seed, records, partitions);
        totals.runs += 1;
        totals.incidents += evaluation.incidents;
        totals.found += evaluation.found;
        totals.falseAlarmsPer1000 = Math.max(totals.falseAlarmsPer1000, evaluation.falseAlarmsPer1000);
        for (const { kind, found, incidents } of evaluation.byKind) {
          const [before = 0, beforeIncidents = 0] = totals.byKind[kind] ?? [];
          totals.byKind[kind] = [before + found, beforeIncidents + incidents];
        }
        assert.equal(evaluation.kinds, 4);
        assert.ok(evaluation.kindsFound >= 3, `seed ${seed} found ${evaluation.kindsFound} kinds`);
        assert.ok(evaluation.falseAlarmsPer1000 <= 5, `seed ${seed}: ${evaluation.falseAlarmsPer1000} false alarms`);
      }
      context.diagnostic(`found of all, by kind, and the worst run's false alarms: ${JSON.stringify(totals)}`);
    });
  }
});
