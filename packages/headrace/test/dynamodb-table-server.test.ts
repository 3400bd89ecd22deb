import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { eventually } from '@headrace/testing';
import { startTableServer, type TableServer } from '../src/dynamodb/index.ts';

async function call(server: TableServer, operation: string, body: object): Promise<{ status: number; body: unknown }> {
  const response = await server.handle({
    method: 'POST',
    path: '/',
    query: new URLSearchParams(),
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `DynamoDB_20120810.${operation}`,
      'x-amz-date': '20260101T000000Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
    },
    body: Buffer.from(JSON.stringify(body)),
    requestId: 'r',
    principal: undefined,
  });
  assert.ok(response);
  const text = Buffer.isBuffer(response.body) ? response.body.toString('utf8') : JSON.stringify(response.body);
  return { status: response.status, body: JSON.parse(text) };
}

const table = {
  TableName: 'Scores',
  AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
  KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
  BillingMode: 'PAY_PER_REQUEST',
};

it('tables survive a stop, and a kill of the process that holds them', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-tables-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  let server = await startTableServer({ dataDirectory: folder });
  try {
    assert.equal((await call(server, 'CreateTable', table)).status, 200);
    // A table is ACTIVE a moment after its making, also with no delay asked for.
    await eventually(async () => {
      const put = await call(server, 'PutItem', { TableName: 'Scores', Item: { id: { S: 'a' }, score: { N: '1.5' } } });
      assert.equal(put.status, 200, JSON.stringify(put.body));
      return true;
    });
    await server.close();
    assert.equal((await call(server, 'ListTables', {})).status, 503);

    server = await startTableServer({ dataDirectory: folder });
    const first = server.processId;
    assert.ok(first);
    const got = { TableName: 'Scores', Key: { id: { S: 'a' } } };
    assert.deepEqual((await call(server, 'GetItem', got)).body, { Item: { id: { S: 'a' }, score: { N: '1.5' } } });

    process.kill(first, 'SIGKILL');
    await eventually(async () => (await call(server, 'GetItem', got)).status === 200);
    assert.notEqual(server.processId, first);
    assert.deepEqual((await call(server, 'GetItem', got)).body, { Item: { id: { S: 'a' }, score: { N: '1.5' } } });
  } finally {
    await server.close();
  }
});
