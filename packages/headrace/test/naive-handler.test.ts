import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needs, portOf, pythonEnvironment, repositoryRoot, runCommand } from '@headrace/testing';

const page = readFileSync(join(repositoryRoot, 'docs', 'naive-handler.md'), 'utf8');

/** The code block of the page that begins with this comment. */
function block(name: string): string {
  const code = new RegExp(`\`\`\`python\n# ${name}\n([^]*?)\`\`\``).exec(page)?.[1];
  assert.ok(code, `the page has a block ${name}`);
  return code;
}

describe('the page on the naive handler', { skip: needs('python') }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-naive-'));
  const written: Record<string, Record<string, unknown>>[] = [];
  const bodies: string[] = [];
  let python: string;
  /** Answers as SageMaker and DynamoDB do to what the corrected handler sends. */
  const services = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as unknown;
    response.setHeader('content-type', 'application/json');
    if (request.url?.startsWith('/endpoints/')) {
      bodies.push(JSON.stringify(body));
      const { instances } = body as { instances: unknown[] };
      response.end(JSON.stringify({ scores: instances.map((_, i) => ({ score: i + 2.5 })) }));
    } else {
      const { RequestItems } = body as { RequestItems: { ScoredLogs: { PutRequest: { Item: never } }[] } };
      written.push(...RequestItems.ScoredLogs.map(({ PutRequest }) => PutRequest.Item));
      response.end('{"UnprocessedItems":{}}');
    }
  });
  const value = (responseTimeMs: number): string =>
    Buffer.from(JSON.stringify({ requestId: 'r', responseTimeMs, status: 200, bytes: 5 })).toString('base64');
  const record = (partition: number, offset: number, text: string | null) => ({
    topic: 'app-logs',
    partition,
    offset,
    timestamp: 1_772_409_600_000,
    timestampType: 'CREATE_TIME',
    value: text,
    headers: [],
  });
  const event = {
    eventSource: 'aws:kafka',
    records: {
      'app-logs-0': [record(0, 7, value(12)), record(0, 8, null)],
      'app-logs-1': [record(1, 3, value(900))],
    },
  };

  before(async () => {
    ({ python } = await pythonEnvironment(['boto3==1.42.0']));
    await new Promise<void>((resolve) => services.listen(0, '127.0.0.1', resolve));
    for (const name of ['naive', 'corrected']) writeFileSync(join(folder, `${name}.py`), block(name));
  });
  after(() => {
    services.close();
    services.closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  });

  const invoke = async (name: string): Promise<unknown> => {
    const script = `import json, sys; sys.path.insert(0, ${JSON.stringify(folder)}); import ${name}
print(json.dumps(${name}.handler(json.loads(sys.argv[1]), None)))`;
    const env = {
      PATH: process.env['PATH'],
      AWS_DEFAULT_REGION: 'eu-west-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL: `http://127.0.0.1:${portOf(services)}`,
    };
    const { stdout } = await runCommand(python, ['-B', '-c', script, JSON.stringify(event)], { env });
    return JSON.parse(stdout);
  };

  test('is right that the naive one fails at its first line and answers as if nothing were wrong', async () => {
    assert.deepEqual(await invoke('naive'), { statusCode: 500, body: '0' });
    assert.deepEqual([bodies, written], [[], []]);
  });

  test('has a corrected one that scores the batch in one request and stores each record under its identity', async () => {
    assert.equal(await invoke('corrected'), null);
    assert.deepEqual(bodies, ['{"instances":[{"features":[12,200,5]},{"features":[900,200,5]}]}']);
    assert.deepEqual(
      written.map((item) => [item['id'], item['rcf_score'], item['anomalous']]),
      [
        [{ S: 'app-logs-0-7' }, { N: '2.5' }, { BOOL: false }],
        [{ S: 'app-logs-1-3' }, { N: '3.5' }, { BOOL: true }],
      ],
    );
  });
});
