import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cached, cacheFolder, needs, pythonEnvironment, runCommand } from '@headrace/testing';
import { Workbench, writeFiles } from './support.ts';

// AWS's own runtime clients, unmodified, against this Runtime API.

test("AWS's Python runtime client runs as a custom runtime", { skip: needs('python') }, async () => {
  const python = await pythonEnvironment(['awslambdaric==4.0.1']);
  const bench = await Workbench.start();
  const files = {
    bootstrap: `#!/bin/sh\nexec ${python.python} -m awslambdaric "$_HANDLER"\n`,
    'app.py': `
def handler(event, context):
    if event == "fail":
        raise ValueError("bad")
    return {"event": event, "id": context.aws_request_id, "custom": context.client_context.custom if context.client_context else None}
`,
  };
  await bench.add('ric', files, { runtime: 'provided.al2023', handler: 'app.handler', timeoutSeconds: 30 });
  const clientContext = Buffer.from('{"custom":{"k":"v"}}').toString('base64');
  const requestId = '11111111-2222-4333-8444-555555555555';
  const result = await bench.result('ric', { ü: [1] }, { clientContext, requestId });
  assert.deepEqual(result, { event: { ü: [1] }, id: requestId, custom: { k: 'v' } });
  const failure = await bench.failure('ric', 'fail');
  assert.deepEqual([failure.errorType, failure.errorMessage, failure.reason], ['ValueError', 'bad', 'error']);
  assert.equal(((await bench.result('ric', 'x'.repeat(1_000_000))) as { event: string }).event.length, 1_000_000);
  await bench.add(
    'broken',
    { ...files, 'app.py': 'import nothing_there' },
    { runtime: 'provided.al2023', handler: 'app.handler', timeoutSeconds: 30 },
  );
  const init = await bench.failure('broken');
  assert.deepEqual([init.errorType, init.reason, init.requestId], ['Runtime.ImportModuleError', 'init', '']);
});

// Its native part takes minutes to compile, so it is made in the long form and run wherever it has been made.
const nodeClient = 'aws-lambda-ric-4.0.2';
const nodeClientMissing = !existsSync(join(cacheFolder(), nodeClient)) && process.env['HEADRACE_SOAK'] !== '1';
const skipNodeClient = nodeClientMissing
  ? 'aws-lambda-ric is not built yet: HEADRACE_SOAK=1 npm test -- functions/runtime-clients'
  : false;

test("AWS's Node runtime client runs as a custom runtime", { skip: skipNodeClient, timeout: 300_000 }, async () => {
  const folder = await cached(nodeClient, async (building) => {
    await writeFiles(building, { 'package.json': '{"private":true}' });
    await runCommand('npm', ['install', '--no-audit', '--no-fund', 'aws-lambda-ric@4.0.2'], {
      cwd: building,
      timeout: 240_000,
    });
  });
  const client = join(folder, 'node_modules/aws-lambda-ric');
  const bench = await Workbench.start();
  await bench.add(
    'ric',
    {
      bootstrap: `#!/bin/sh\nexec ${process.execPath} ${join(client, 'index.mjs')} "$_HANDLER"\n`,
      'index.js': `exports.handler = async (event, context) => { if (event === 'fail') throw new TypeError('bad'); return [event, context.awsRequestId]; };`,
    },
    { runtime: 'provided.al2023', environment: { AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' } },
  );
  const requestId = '11111111-2222-4333-8444-555555555555';
  assert.deepEqual(await bench.result('ric', { a: 1 }, { requestId }), [{ a: 1 }, requestId]);
  const failure = await bench.failure('ric', 'fail');
  assert.deepEqual([failure.errorType, failure.errorMessage], ['TypeError', 'bad']);
});

test("a bootstrap built with AWS's aws-lambda-go runs", {
  skip: needs('go'),
  timeout: 300_000,
}, async () => {
  const built = await cached('aws-lambda-go-1.49.0', async (building) => {
    await writeFiles(building, {
      'go.mod': 'module bootstrap\n\ngo 1.18\n\nrequire github.com/aws/aws-lambda-go v1.49.0\n',
      'main.go': `package main

import (
	"context"
	"errors"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type Event struct{ Name string }

func handle(ctx context.Context, event Event) (map[string]string, error) {
	if event.Name == "fail" {
		return nil, errors.New("bad")
	}
	if event.Name == "panic" {
		panic("lost")
	}
	lc, _ := lambdacontext.FromContext(ctx)
	return map[string]string{"name": event.Name, "id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn}, nil
}

func main() { lambda.Start(handle) }
`,
    });
    const environment = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' };
    await runCommand('go', ['build', '-o', 'bootstrap', '.'], { cwd: building, env: environment, timeout: 240_000 });
  });
  const bench = await Workbench.start();
  const version = await bench.add(
    'go',
    {},
    { code: { kind: 'folder', path: built }, runtime: 'provided.al2023', handler: 'bootstrap' },
  );
  const requestId = '11111111-2222-4333-8444-555555555555';
  assert.deepEqual(await bench.result('go', { Name: 'n' }, { requestId }), {
    name: 'n',
    id: requestId,
    arn: version.functionArn,
  });
  const failure = await bench.failure('go', { Name: 'fail' });
  assert.deepEqual([failure.errorType, failure.errorMessage, failure.reason], ['errorString', 'bad', 'error']);
  const panic = await bench.failure('go', { Name: 'panic' });
  assert.deepEqual([panic.errorType, panic.errorMessage], ['string', 'lost']);
  assert.equal(typeof panic.stackTrace?.[0], 'object');
  assert.deepEqual(await bench.result('go', { Name: 'again' }, { requestId }), {
    name: 'again',
    id: requestId,
    arn: version.functionArn,
  });
});
