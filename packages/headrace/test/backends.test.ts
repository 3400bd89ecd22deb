import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { after, test } from 'node:test';
import { eventually, portOf } from '@headrace/testing';
import { Producer, stringSerializers } from '@platformatic/kafka';
import { startEngine } from '../src/engine.ts';

interface Seen {
  readonly headers: IncomingHttpHeaders;
  readonly event: { eventSource?: string; records?: Record<string, { offset: number; value: string }[]> };
}

test('a function named by --backend is one like any other: the API shows it, mappings invoke it and retry it', async () => {
  const seen: Seen[] = [];
  let failures = 1;
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const event = JSON.parse(Buffer.concat(pieces).toString());
      seen.push({ headers: request.headers, event });
      if (event.records !== undefined && failures-- > 0) response.writeHead(500);
      response.end('{"done":true}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const engine = await startEngine({
    port: 0,
    dataDirectory: ':memory:',
    region: 'us-east-1',
    backends: {
      elsewhere: `http://127.0.0.1:${portOf(server)}/in`,
      far: 'arn:aws:lambda:eu-west-1:123456789012:function:far',
    },
  });
  after(() => engine.stop());
  const call = async (method: string, path: string, body?: object): Promise<Record<string, never>> => {
    const response = await fetch(`${engine.endpoint}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`);
    return (await response.json()) as Record<string, never>;
  };
  const { Functions } = (await call('GET', '/2015-03-31/functions')) as unknown as {
    Functions: { FunctionName: string }[];
  };
  assert.deepEqual(
    Functions.map(({ FunctionName }) => FunctionName),
    ['elsewhere', 'far'],
  );
  const shown = await call('GET', '/2015-03-31/functions/elsewhere');
  assert.equal(shown['Configuration']!['FunctionName'], 'elsewhere');
  assert.deepEqual(await call('POST', '/2015-03-31/functions/elsewhere/invocations', { direct: 1 }), { done: true });
  assert.deepEqual(seen[0]!.event, { direct: 1 });

  const servers = engine.bootstrapServers;
  engine.ensureTopic('orders', 1);
  const mapping = await call('POST', '/2015-03-31/event-source-mappings', {
    FunctionName: 'elsewhere',
    Topics: ['orders'],
    StartingPosition: 'TRIM_HORIZON',
    SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: servers } },
  });
  const producer = new Producer({
    clientId: 'test',
    bootstrapBrokers: [...servers],
    serializers: stringSerializers,
  });
  await producer.send({ messages: [{ topic: 'orders', key: 'k', value: 'hello' }] });
  await producer.close();
  await eventually(() => seen.length >= 3, { timeoutMs: 30_000 });
  for (const { event, headers } of seen.slice(1, 3)) {
    assert.equal(event.eventSource, 'SelfManagedKafka');
    const [record] = event.records!['orders-0']!;
    assert.deepEqual([record!.offset, Buffer.from(record!.value, 'base64').toString()], [0, 'hello']);
    assert.match(String(headers['lambda-runtime-invoked-function-arn']), /:function:elsewhere$/);
  }
  assert.deepEqual(engine.mappings.snapshot(mapping['UUID']!)!.warnings, []);
});

test('a backend that is neither URL nor ARN is refused by name', async () => {
  await assert.rejects(
    startEngine({ port: 0, dataDirectory: ':memory:', backends: { wrong: 'ftp://x' } }),
    /--backend wrong: ftp:\/\/x is neither an http\(s\) URL nor a Lambda function ARN/,
  );
});
