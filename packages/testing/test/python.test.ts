import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs, pythonEnvironment, runCommand, startMoto } from '../src/index.ts';

const skip = needs('python');

test('a Python environment has the packages at the versions asked for', { skip }, async () => {
  const { python } = await pythonEnvironment(['six==1.17.0']);
  const { stdout } = await runCommand(python, ['-c', 'import six; print(six.__version__)']);
  assert.equal(stdout.trim(), '1.17.0');
  await assert.rejects(pythonEnvironment(['six']), /exact version/);
});

test('moto answers as SQS and forgets when told to', { skip }, async () => {
  await using moto = await startMoto();
  const call = async (target: string, body: object): Promise<Record<string, unknown>> => {
    const authorization =
      'AWS4-HMAC-SHA256 Credential=key/20260101/eu-west-1/sqs/aws4_request, SignedHeaders=host, Signature=0';
    const response = await fetch(moto.endpoint, {
      method: 'POST',
      headers: { 'x-amz-target': `AmazonSQS.${target}`, 'content-type': 'application/x-amz-json-1.0', authorization },
      body: JSON.stringify(body),
    });
    return (await response.json()) as Record<string, unknown>;
  };
  await call('CreateQueue', { QueueName: 'failures' });
  assert.equal(((await call('ListQueues', {}))['QueueUrls'] as string[]).length, 1);
  await moto.reset();
  assert.equal((await call('ListQueues', {}))['QueueUrls'], undefined);
});
