/** What comes from AWS by the SDK's own credential chain: tokens of MSK's IAM access control, secrets. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { startBroker } from '@headrace/dev-broker';
import { eventually } from '@headrace/testing';
import { resolveAccess } from '../../src/kafka/access-configuration.ts';
import { Cluster } from '../../src/kafka/cluster.ts';
import type { ClusterConfiguration } from '../../src/kafka/contract.ts';
import { secretResolver } from '../../src/kafka/secrets.ts';

let before: NodeJS.ProcessEnv;
beforeEach(() => {
  before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'pa55-of-aws',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/nowhere/config',
    AWS_SHARED_CREDENTIALS_FILE: '/nowhere/credentials',
  });
});
afterEach(() => {
  process.env = before;
});

test('AWS_MSK_IAM logs in with a token of its own region, and with a fresh one before it expires', async () => {
  const tokens: string[] = [];
  await using broker = await startBroker({
    sasl: {
      checkToken: (token) => {
        const url = new URL(Buffer.from(token, 'base64url').toString());
        tokens.push(token);
        assert.equal(url.host, 'kafka.eu-west-1.amazonaws.com');
        assert.equal(url.searchParams.get('Action'), 'kafka-cluster:Connect');
        assert.match(url.searchParams.get('X-Amz-Credential')!, /^AKIDEXAMPLE\//);
        assert.match(url.searchParams.get('X-Amz-Signature')!, /^[0-9a-f]{64}$/);
        return { name: 'role', expiresAt: Date.now() + 1500 };
      },
    },
  });
  const configuration: ClusterConfiguration = {
    bootstrapServers: broker.bootstrapServers.split(','),
    sasl: { mechanism: 'AWS_MSK_IAM', region: 'eu-west-1' },
  };
  const cluster = new Cluster(configuration);
  try {
    const connection = await cluster.control();
    await eventually(async () => {
      await cluster.refresh([]);
      return tokens.length >= 3;
    });
    assert.equal(await cluster.control(), connection, 'the connection was made anew');
    assert.ok(new Set(tokens).size >= 2, 'a token is not signed once and for all');
  } finally {
    cluster.close();
  }

  delete process.env['AWS_ACCESS_KEY_ID'];
  const without = new Cluster(configuration);
  await assert.rejects(without.refresh([]), { code: 'KAFKA_AUTHENTICATION', message: /no token could be had/ });
  without.close();
});

test('a secret comes from Secrets Manager by the SDK, in the region of its ARN, and is never quoted', async (t) => {
  const asked: unknown[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const scope = /Credential=\w+\/\d+\/([^,]+)/.exec(request.headers.authorization ?? '')?.[1];
    const { SecretId } = JSON.parse(body) as { SecretId: string };
    asked.push([request.headers['x-amz-target'], scope, SecretId]);
    response.setHeader('content-type', 'application/x-amz-json-1.1');
    if (SecretId.includes('absent'))
      response.writeHead(400).end(JSON.stringify({ __type: 'ResourceNotFoundException', message: 'pa55' }));
    else if (SecretId.includes('binary'))
      response.end(
        JSON.stringify({ SecretBinary: Buffer.from('{"username":"b","password":"pa55"}').toString('base64') }),
      );
    else response.end(JSON.stringify({ SecretString: '{"username":"alice","password":"pa55"}' }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  process.env['AWS_ENDPOINT_URL_SECRETS_MANAGER'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const arnOf = (name: string): string => `arn:aws:secretsmanager:ap-south-1:123456789012:secret:${name}-AbCdEf`;
  const userOf = async (name: string): Promise<string | undefined> => {
    const access = [{ Type: 'BASIC_AUTH', URI: arnOf(name) }];
    const { sasl } = await resolveAccess('SELF_MANAGED', ['b:1'], access, secretResolver({ environment: {} }));
    return sasl !== undefined && 'username' in sasl ? sasl.username : undefined;
  };
  assert.equal(await userOf('kafka'), 'alice');
  assert.equal(await userOf('binary'), 'b');
  assert.deepEqual(asked[0], [
    'secretsmanager.GetSecretValue',
    'ap-south-1/secretsmanager/aws4_request',
    arnOf('kafka'),
  ]);
  await assert.rejects(userOf('absent'), (error: Error) => {
    assert.match(error.message, /secret:absent-AbCdEf: Secrets Manager: ResourceNotFoundException$/);
    return true;
  });
});
