import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import {
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
  ListTablesCommand,
  PutItemCommand,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';
import { eventually, temporaryFolder } from '@headrace/testing';
import { createDynamoDbApi } from '../src/dynamodb/api.ts';
import { createGateway } from '../src/gateway/server.ts';
import { accountId, call, region } from './api-world.ts';

const table = {
  TableName: 'orders',
  AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' as const }],
  KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' as const }],
  BillingMode: 'PAY_PER_REQUEST' as const,
};

test('the embedded DynamoDB keeps its tables over a restart', async (t) => {
  const dataDirectory = temporaryFolder('dynamodb');
  t.after(() => rmSync(dataDirectory, { recursive: true, force: true }));
  const session = async (work: (client: DynamoDBClient) => Promise<void>): Promise<void> => {
    const api = createDynamoDbApi({ dataDirectory, region, accountId });
    const gateway = await createGateway({ apis: [api] });
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
    const client = new DynamoDBClient({ region, endpoint: gateway.endpoint, credentials });
    try {
      await work(client);
    } finally {
      client.destroy();
      await gateway.close(0);
      await api.stop();
    }
  };
  await session(async (client) => {
    await client.send(new CreateTableCommand(table));
    await waitUntilTableExists({ client, minDelay: 1, maxWaitTime: 10 }, { TableName: 'orders' });
    await client.send(new PutItemCommand({ TableName: 'orders', Item: { id: { S: 'a' }, total: { N: '3' } } }));
  });
  await session(async (client) => {
    assert.deepEqual((await client.send(new ListTablesCommand({}))).TableNames, ['orders']);
    const { Item } = await client.send(new GetItemCommand({ TableName: 'orders', Key: { id: { S: 'a' } } }));
    assert.deepEqual(Item, { id: { S: 'a' }, total: { N: '3' } });
  });
});

test('its process starts again after it was killed, and a refused request reads like one of DynamoDB', async () => {
  const api = createDynamoDbApi({ region, accountId });
  const gateway = await createGateway({ apis: [api] });
  const list = (body: unknown): ReturnType<typeof call> =>
    call(gateway.endpoint, 'POST', '/', body, {
      'x-amz-target': 'DynamoDB_20120810.ListTables',
      'content-type': 'application/x-amz-json-1.0',
    });
  try {
    assert.deepEqual((await list({})).body, { TableNames: [] });
    const refused = await list({ Limit: 0 });
    assert.equal(refused.status, 400);
    assert.match(String(refused.body['__type']), /ValidationException/);
    process.kill(api.processId!, 'SIGKILL');
    await eventually(async () => (await list({})).status === 200);
  } finally {
    await gateway.close(0);
    await api.stop();
  }
});
