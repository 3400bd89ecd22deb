import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { LambdaClient } from '@aws-sdk/client-lambda';
import type { Terminal } from '../cli/terminal.ts';
import { type Engine, startEngine } from '../engine.ts';
import { deployPlan } from '../templates/deploy.ts';
import { parseTemplate } from '../templates/document.ts';
import { planTemplate } from '../templates/plan.ts';
import { exampleFolder } from './example-folder.ts';
import { type DemoInput, openDemoInput } from './input.ts';
import { Observer } from './observer.ts';
import { ProducedTimes } from './produced-times.ts';
import { requirePython } from './python-check.ts';
import { type DemoSummary, printSummary, summarise } from './summary.ts';
import { scanScores } from './table.ts';
import { createView } from './view.ts';
import { receiveWebhooks } from './webhook.ts';

export interface DemoOptions {
  readonly records: number | undefined;
  readonly rate: number | undefined;
  readonly partitions: number;
  readonly seed: number;
  readonly input: string | undefined;
  readonly columns: readonly string[] | undefined;
  readonly runtime: 'node' | 'python';
  readonly threshold: number;
  readonly batchSize: number | undefined;
  readonly windowSeconds: number | undefined;
  /** Absent: the development broker. */
  readonly bootstrapServers: readonly string[] | undefined;
  readonly port: number;
  readonly keepRunning: boolean;
  readonly json: boolean;
  readonly terminal: Terminal;
  /** Ends producing; what was produced is drained and summed up. */
  readonly signal: AbortSignal;
}

/** The nearest Python that the machine has stands in for it. */
const pythonRuntime = 'python3.13';
const endpointName = 'rcf-anomaly-endpoint';
/** The demo gives up when nothing was stored for this long, and says what is missing. */
const stallMilliseconds = 60_000;
const tickMilliseconds = 100;

/** Runs the whole pipeline and takes it down again; resolves to what `--json` prints. */
export async function runDemo(options: DemoOptions): Promise<DemoSummary> {
  const { terminal } = options;
  if (options.runtime === 'python') await requirePython(pythonRuntime);
  const input = await openDemoInput(options);
  const folder = await mkdtemp(join(tmpdir(), 'headrace-demo-'));
  const cleanups: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    return await withParts(options, input, folder, cleanups);
  } finally {
    for (const cleanup of cleanups.reverse()) {
      try {
        await cleanup();
      } catch (error) {
        terminal.warn(`headrace: cleaning up: ${(error as Error).message}`);
      }
    }
  }
}

async function withParts(
  options: DemoOptions,
  input: DemoInput,
  folder: string,
  cleanups: (() => Promise<void>)[],
): Promise<DemoSummary> {
  const { terminal, partitions } = options;
  const view = createView(terminal, options.json);
  cleanups.push(async () => view.close());
  const name = `headrace-demo-${Date.now().toString(36)}`;
  const topic = options.bootstrapServers === undefined ? 'app-logs' : name;
  if (options.bootstrapServers !== undefined) {
    const servers = options.bootstrapServers;
    const { createTopic, removeTopicAndGroup } = await import('./topic.ts');
    await createTopic(servers, topic, partitions);
    cleanups.push(() => removeTopicAndGroup(servers, topic, name));
  }
  const engine = await startEngine({
    port: options.port,
    dataDirectory: folder,
    bootstrapServers: options.bootstrapServers,
    log: () => {},
  });
  cleanups.push(async () => void (await engine.stop()));
  engine.ensureTopic(topic, partitions);
  // The Kafka client takes half a second to load; the table's process starts meanwhile.
  const { produce } = await import('./producer.ts');
  await engine.ensureStreamingEndpoint(endpointName);

  let alerts = 0;
  const webhook = await receiveWebhooks((alert) => {
    alerts += 1;
    view.line(`${terminal.style('red', 'alert')}  ${describeAlert(alert)}`);
  });
  cleanups.push(() => webhook.close());

  const deployed = await deployExample(options, engine, { topic, group: name, webhookUrl: webhook.url, input });
  view.line(`${terminal.style('bold', 'Headrace')} ${engine.endpoint}, Kafka ${engine.bootstrapServers.join(',')}`);
  view.line(`input      ${input.description}`);
  view.line(
    `pipeline   producer → Kafka topic ${topic} (${partitions} partitions) → event source mapping → ${options.runtime} function`,
  );
  view.line(
    `           → InvokeEndpoint ${endpointName} → DynamoDB table ${deployed.table} → alerts over ${options.threshold}`,
  );

  const times = new ProducedTimes();
  const observer = new Observer(times);
  cleanups.push(async () => observer.close());
  /** Index of the input's record, by partition and offset: the labels are counted against what the table holds. */
  const indexOf = new Map<number, number[]>();
  let produced = 0;
  let assigned = 0;
  const scores: number[] = [];
  const startedAt = performance.now();
  const state = () => ({
    produced,
    total: input.count ?? 0,
    scored: observer.stored,
    recordsPerSecond: (observer.stored / Math.max(1, performance.now() - startedAt)) * 1000,
    lag: produced - observer.stored,
    invocations: observer.invocations,
    alerts,
    scores,
    threshold: options.threshold,
  });
  const ticker = setInterval(() => {
    scores.push(observer.takeHighestScore());
    if (scores.length > 512) scores.splice(0, 256);
    view.update(state());
  }, tickMilliseconds);
  try {
    await produce({
      bootstrapServers: engine.bootstrapServers,
      topic,
      records: input.outgoing(partitions),
      rate: options.rate,
      times,
      signal: options.signal,
      onProduced: (count) => {
        produced += count;
      },
      onAcknowledged: (records, offsets) => {
        const next = new Map(offsets);
        for (const record of records) {
          const offset = next.get(record.partition) ?? 0;
          next.set(record.partition, offset + 1);
          let list = indexOf.get(record.partition);
          if (list === undefined) {
            list = [];
            indexOf.set(record.partition, list);
          }
          list[offset] = assigned;
          assigned += 1;
        }
      },
    });
    await untilStored(observer, () => produced);
  } finally {
    clearInterval(ticker);
  }
  view.update(state());
  view.close();

  const scored: { readonly index: number; readonly score: number }[] = [];
  const distinct = new Set<string>();
  const items = await scanScores(deployed.dynamodb, deployed.table, (item) => {
    if (item.topic !== topic) return;
    distinct.add(`${item.partition}:${item.offset}`);
    const index = indexOf.get(item.partition)?.[item.offset];
    if (index !== undefined) scored.push({ index, score: item.score });
  });
  const summary = summarise({
    input,
    options,
    produced,
    stored: distinct.size,
    items,
    delivered: observer.delivered,
    invocations: observer.invocations,
    failedInvocations: observer.failedInvocations,
    alerts,
    firstScoredMilliseconds: observer.firstScoredAt,
    activeMilliseconds: observer.lastStoredAt - startedAt,
    latencies: observer.latencies(),
    modelSeconds: engine.modelSeconds(),
    scored,
  });
  deployed.close();
  if (options.json) terminal.print(JSON.stringify(summary, null, 2));
  else printSummary(terminal, summary);
  if (options.keepRunning && !options.signal.aborted) await keepRunning(options, engine, topic, deployed.table);
  return summary;
}

/** Creates table, function and mapping from the example's template, as any client would. */
async function deployExample(
  options: DemoOptions,
  engine: Engine,
  what: { readonly topic: string; readonly group: string; readonly webhookUrl: string; readonly input: DemoInput },
): Promise<{ readonly table: string; readonly dynamodb: DynamoDBClient; close(): void }> {
  const templateFile = join(exampleFolder('log-anomaly'), 'template.yaml');
  const plan = planTemplate(parseTemplate(await readFile(templateFile, 'utf8'), 'template.yaml'), {
    templateFile,
    parameters: {
      Runtime: options.runtime === 'python' ? pythonRuntime : 'nodejs24.x',
      ClusterArn: `arn:aws:kafka:${engine.region}:${engine.accountId}:cluster/headrace-demo/00000000-0000-0000-0000-000000000000-1`,
      Topic: what.topic,
      ConsumerGroupId: what.group,
      AnomalyThreshold: String(options.threshold),
      AlertWebhookUrl: what.webhookUrl,
      ...what.input.templateParameters,
    },
    region: engine.region,
    accountId: engine.accountId,
    stackName: 'demo',
  });
  const configuration = {
    endpoint: engine.endpoint,
    region: engine.region,
    credentials: engine.clientCredentials(),
  };
  const lambda = new LambdaClient(configuration);
  const dynamodb = new DynamoDBClient(configuration);
  const things = await deployPlan(
    {
      ...plan,
      steps: plan.steps.map((step) =>
        step.kind !== 'mapping'
          ? step
          : {
              ...step,
              input: {
                ...step.input,
                ...(options.batchSize === undefined ? {} : { BatchSize: options.batchSize }),
                ...(options.windowSeconds === undefined
                  ? {}
                  : { MaximumBatchingWindowInSeconds: options.windowSeconds }),
              },
            },
      ),
    },
    { lambda, dynamodb },
  );
  lambda.destroy();
  const table = things.find((thing) => thing.kind === 'table')?.physicalId;
  if (table === undefined) throw new Error('the example template makes no table');
  return { table, dynamodb, close: () => dynamodb.destroy() };
}

/** Resolves when everything produced was stored, or when nothing was stored for a minute. */
async function untilStored(observer: Observer, produced: () => number): Promise<void> {
  let last = observer.stored;
  let since = performance.now();
  while (observer.stored < produced()) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (observer.stored !== last) {
      last = observer.stored;
      since = performance.now();
    } else if (performance.now() - since > stallMilliseconds) return;
  }
}

async function keepRunning(options: DemoOptions, engine: Engine, topic: string, table: string): Promise<void> {
  const say = options.json ? options.terminal.warn : options.terminal.print;
  const aws = `AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test aws --region ${engine.region} --endpoint-url ${engine.endpoint}`;
  const [server] = engine.bootstrapServers;
  for (const line of [
    '',
    'Everything is still running. Try next:',
    `  ${aws} lambda list-event-source-mappings`,
    `  ${aws} lambda list-functions`,
    `  ${aws} dynamodb scan --table-name ${table} --max-items 3`,
    "Send a record of your own (Kafka's console producer):",
    `  echo '{"responseTimeMs":9000,"status":200,"bytes":100}' | kafka-console-producer.sh --bootstrap-server ${server} --topic ${topic}`,
    'Ctrl-C ends it.',
  ])
    say(line);
  await new Promise<void>((resolve) => {
    if (options.signal.aborted) resolve();
    else options.signal.addEventListener('abort', () => resolve());
  });
}

function describeAlert(alert: unknown): string {
  if (typeof alert !== 'object' || alert === null) return String(alert);
  const summary: unknown = Reflect.get(alert, 'summary') ?? Reflect.get(alert, 'message');
  return typeof summary === 'string' ? summary : JSON.stringify(alert).slice(0, 200);
}
