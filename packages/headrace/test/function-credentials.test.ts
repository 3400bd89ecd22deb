import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CreateFunctionCommand, InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { eventually, temporaryFolder } from '@headrace/testing';
import { type Engine, startEngine } from '../src/engine.ts';
import { ProfileCredentials, type ProfileKeys } from '../src/gateway/profile-credentials.ts';
import { region, role, zipOf } from './api-world.ts';

let folder: string;
/** Stands for a service of AWS: keeps who signed. */
const signers: string[] = [];
const service = createServer((request, response) => {
  signers.push(/Credential=([^/]+)/.exec(request.headers.authorization ?? '')?.[1] ?? 'nobody');
  request.resume();
  response.end();
});

before(async () => {
  folder = temporaryFolder('function-credentials');
  service.listen(0, '127.0.0.1');
  await once(service, 'listening');
  const issuer = join(folder, 'issuer.mjs');
  // Keys that live a second and a half, another each time.
  writeFileSync(
    issuer,
    `console.log(JSON.stringify({ Version: 1, AccessKeyId: 'ASIAREAL' + Date.now(), SecretAccessKey: 's3cret/' + Date.now(),
      SessionToken: 'token' + Date.now(), Expiration: new Date(Date.now() + 1500).toISOString() }));`,
  );
  writeFileSync(
    join(folder, 'config'),
    `[profile static]\naws_access_key_id = AKIAREAL\naws_secret_access_key = real/secret+of=aws\n
[profile short]\ncredential_process = ${process.execPath} ${issuer}\n[profile empty]\nregion = us-east-1\n`,
  );
  writeFileSync(join(folder, 'callers'), '[me]\naws_access_key_id = AKIAME\naws_secret_access_key = mine\n');
  Object.assign(process.env, {
    AWS_CONFIG_FILE: join(folder, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: join(folder, 'none'),
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${(service.address() as AddressInfo).port}`,
  });
});

after(() => {
  service.close();
  service.closeAllConnections();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** Asks a service here and one elsewhere, and says what it finds in its environment. */
const caller = `
import { S3Client, PutObjectCommand } from '@aws-sdk/client-s3';
import { STSClient, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
export const handler = async () => {
  const { Arn } = await new STSClient({}).send(new GetCallerIdentityCommand({}));
  await new S3Client({ forcePathStyle: true }).send(new PutObjectCommand({ Bucket: 'b', Key: 'k', Body: 'x' }));
  const { AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 } = process.env;
  return { Arn, AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 };
};
`;

async function withEngine(
  functionCredentials: string | undefined,
  work: (invoke: () => Promise<Record<string, string>>, engine: Engine) => Promise<void>,
): Promise<void> {
  const engine = await startEngine({
    port: 0,
    dataDirectory: ':memory:',
    bootstrapServers: ['127.0.0.1:1'],
    credentialsFile: join(folder, 'callers'),
    functionCredentials,
  });
  const credentials = { accessKeyId: 'AKIAME', secretAccessKey: 'mine' };
  const client = new LambdaClient({ region, endpoint: engine.endpoint, credentials });
  try {
    const code = { ZipFile: await zipOf({ 'index.mjs': caller }) };
    const settings = { Role: role, Runtime: 'nodejs22.x' as const, Handler: 'index.handler', Timeout: 30 };
    await client.send(new CreateFunctionCommand({ FunctionName: 'caller', ...settings, Code: code }));
    await work(async () => {
      const { Payload, FunctionError } = await client.send(new InvokeCommand({ FunctionName: 'caller' }));
      const answer = JSON.parse(Buffer.from(Payload!).toString());
      assert.equal(FunctionError, undefined, JSON.stringify(answer));
      return answer;
    }, engine);
  } finally {
    client.destroy();
    await engine.stop();
  }
}

test('without a profile a function signs with keys that are good here only, elsewhere too', async () => {
  await withEngine(undefined, async (invoke) => {
    signers.length = 0;
    const answer = await invoke();
    assert.equal(answer['Arn'], 'arn:aws:sts::123456789012:assumed-role/caller/caller');
    assert.match(answer['AWS_ACCESS_KEY_ID']!, /^ASIA[0-9A-F]{16}$/);
    assert.match(answer['AWS_ENDPOINT_URL']!, /^http:\/\/127/);
    assert.deepEqual(signers, [answer['AWS_ACCESS_KEY_ID']]);
  });
});

test("with a profile its keys sign for services elsewhere, and are accepted here; others are AWS's own", async () => {
  await withEngine('static', async (invoke) => {
    signers.length = 0;
    const answer = await invoke();
    assert.equal(answer['Arn'], 'arn:aws:iam::123456789012:user/profile:static');
    assert.deepEqual([answer['AWS_ACCESS_KEY_ID'], answer['AWS_SESSION_TOKEN']], ['AKIAREAL', undefined]);
    assert.equal(answer['AWS_ENDPOINT_URL'], undefined);
    assert.deepEqual(signers, ['AKIAREAL']);
  });
});

test('keys that expire are renewed in time, in environments that are warm too', async () => {
  await withEngine('short', async (invoke, { endpoint }) => {
    const seen = new Set<string>();
    await eventually(
      async () => {
        seen.add((await invoke())['AWS_ACCESS_KEY_ID']!);
        return seen.size >= 3;
      },
      { timeoutMs: 60_000, what: () => `${seen.size} keys seen of ${endpoint}` },
    );
    for (const key of seen) assert.match(key, /^ASIAREAL\d+$/);
  });
});

test('former keys are accepted until they expire, wrong ones never; a renewal that fails is tried again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 });
  let made = 0;
  let isBroken = false;
  const log: string[] = [];
  let renewals = 0;
  const read = async (): Promise<ProfileKeys> => {
    if (isBroken) throw new Error('the token of the session has expired');
    made += 1;
    const expiration = new Date(Date.now() + 3_600_000);
    return { accessKeyId: `key${made}`, secretAccessKey: 's', sessionToken: `token${made}`, expiration };
  };
  const onRenewed = (): void => {
    renewals += 1;
  };
  const credentials = await ProfileCredentials.load({ profile: 'p', onRenewed, log: (line) => log.push(line), read });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const isKnown = (number: number): boolean => credentials.find(`key${number}`, `token${number}`) !== undefined;
  assert.equal(credentials.find('key1', 'token2'), undefined);
  assert.equal(credentials.find('key1', undefined), undefined);
  t.mock.timers.tick(2_990_000);
  await turn();
  assert.deepEqual([renewals, isKnown(1), isKnown(2)], [0, true, false]);
  t.mock.timers.tick(20_000);
  await turn();
  assert.deepEqual([renewals, credentials.keys.accessKeyId, isKnown(1), isKnown(2)], [1, 'key2', true, true]);
  t.mock.timers.tick(600_000);
  await turn();
  assert.deepEqual([isKnown(1), isKnown(2)], [false, true]);
  isBroken = true;
  t.mock.timers.tick(2_500_000);
  await turn();
  assert.match(log.join('\n'), /profile p cannot be renewed, they expire at .*: the token of the session has expired/);
  isBroken = false;
  t.mock.timers.tick(20_000);
  await turn();
  assert.deepEqual([renewals, credentials.keys.accessKeyId], [2, 'key3']);
  credentials.close();
});

test('a profile that is not there or holds no keys is refused by name', async () => {
  const start = (functionCredentials: string): Promise<Engine> =>
    startEngine({ port: 0, dataDirectory: ':memory:', bootstrapServers: ['127.0.0.1:1'], functionCredentials });
  for (const profile of ['nowhere', 'empty']) {
    await assert.rejects(start(profile), {
      code: 'CONFIGURATION',
      message: new RegExp(`--function-credentials ${profile} gives no keys: `),
    });
  }
});
