import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import {
  eventually,
  pythonEnvironment,
  repositoryRoot,
  runCommand,
  startMoto,
  temporaryFolder,
} from '@headrace/testing';
import { ZipFile } from 'yazl';
import {
  type BenchmarkOptions,
  type BenchmarkResult,
  type BenchmarkRow,
  describeMachine,
  median,
} from './benchmark.ts';

export const description = "the REST API beside moto's server, and how long large deployments take";

const role = 'arn:aws:iam::123456789012:role/bench';
const functionsPerRound = 200;
const rounds = 3;
const lanes = 8;
const large = 1_000;

/** One server and what it is called. */
interface Server {
  readonly name: string;
  readonly endpoint: string;
}

/** Requests of one kind, by their number. */
interface Case {
  readonly name: string;
  readonly make: (index: number, round: number) => { method: string; path: string; body?: string; status: number };
}

export async function run({ progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const folder = temporaryFolder('bench-api');
  const zip = await smallZip();
  try {
    let engine = await startEngine(join(folder, 'data'));
    await using moto = await startMoto();
    await makeRole(moto.endpoint);
    const servers: Server[] = [
      { name: 'headrace', endpoint: engine.endpoint },
      { name: 'moto', endpoint: moto.endpoint },
    ];
    const rows: BenchmarkRow[] = [];
    const rates = new Map<string, number[]>();
    // Ours and the peer take turns, each case of each round.
    for (let round = 0; round < rounds; round += 1) {
      for (const each of cases(zip.toString('base64'))) {
        for (const server of servers) {
          const rate = await measure(server, each, round);
          const key = `${each.name}\n${server.name}`;
          rates.set(key, [...(rates.get(key) ?? []), rate]);
          progress(`round ${round + 1}: ${each.name}: ${server.name} ${Math.round(rate)} calls/s`);
        }
      }
    }
    for (const { name } of cases('')) {
      const ours = median(rates.get(`${name}\nheadrace`)!);
      const peer = median(rates.get(`${name}\nmoto`)!);
      rows.push({ case: name, ours, peers: { moto: peer }, ratio: { moto: ours / peer }, unit: 'calls/s' });
    }
    const seconds = await deployMuch(engine.endpoint);
    for (const [name, value] of Object.entries(seconds)) {
      rows.push({ case: name, ours: value, peers: {}, ratio: {}, unit: 's' });
      progress(`${name}: ${value.toFixed(2)} s`);
    }
    await engine.stop();
    const begin = performance.now();
    engine = await startEngine(join(folder, 'data'));
    const start = (performance.now() - begin) / 1_000;
    rows.push({ case: `start with ${large} functions and mappings`, ours: start, peers: {}, ratio: {}, unit: 's' });
    await engine.stop();
    return {
      benchmark: 'api',
      machine: describeMachine(),
      versions: { node: process.version, moto: '5.2.5', boto3: '1.44.5' },
      rows,
      notes: [
        `${lanes} connections; each write of ours is on disk before it is answered, moto keeps everything in memory`,
        'seconds are those of a boto3 script that deploys one after another and waits for each function',
      ],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function cases(ZipFile: string): Case[] {
  const name = (index: number, round: number): string => `bench-${round}-${index}`;
  const path = '/2015-03-31/functions';
  return [
    {
      name: 'CreateFunction',
      make: (index, round) => ({
        method: 'POST',
        path,
        status: 201,
        body: JSON.stringify({
          FunctionName: name(index, round),
          Role: role,
          Runtime: 'nodejs22.x',
          Handler: 'index.handler',
          Code: { ZipFile },
        }),
      }),
    },
    {
      name: 'GetFunctionConfiguration',
      make: (index, round) => ({ method: 'GET', path: `${path}/${name(index, round)}/configuration`, status: 200 }),
    },
    { name: 'ListFunctions, 50 a page', make: () => ({ method: 'GET', path: `${path}?MaxItems=50`, status: 200 }) },
    {
      name: 'UpdateFunctionConfiguration',
      make: (index, round) => ({
        method: 'PUT',
        path: `${path}/${name(index, round)}/configuration`,
        status: 200,
        body: JSON.stringify({ Timeout: 10 + round }),
      }),
    },
    {
      name: 'DeleteFunction',
      make: (index, round) => ({ method: 'DELETE', path: `${path}/${name(index, round)}`, status: 204 }),
    },
  ];
}

async function measure({ endpoint }: Server, each: Case, round: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: lanes });
  const begin = performance.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < functionsPerRound) {
      const { method, path, body, status } = each.make(next++, round);
      const answered = await send(agent, endpoint, method, path, body);
      if (answered !== status) throw new Error(`${each.name}: ${endpoint}${path} answered ${answered}, not ${status}`);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  agent.destroy();
  return functionsPerRound / ((performance.now() - begin) / 1_000);
}

/** moto tells services apart by the credential scope; neither checks the signature. */
const scope = (service: string): string =>
  `AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`;

function send(agent: Agent, endpoint: string, method: string, path: string, body: string | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: scope('lambda'), 'x-amz-date': '20260101T000000Z' };
    const outgoing = request(`${endpoint}${path}`, { method, agent, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** moto wants the role to be there. */
async function makeRole(endpoint: string): Promise<void> {
  const statement = { Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' };
  const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  const body = new URLSearchParams({
    Action: 'CreateRole',
    Version: '2010-05-08',
    RoleName: 'bench',
    AssumeRolePolicyDocument: policy,
  });
  const response = await fetch(endpoint, { method: 'POST', body, headers: { authorization: scope('iam') } });
  if (!response.ok) throw new Error(`moto refused the role: ${await response.text()}`);
}

const script = `
import base64, json, sys, time
import boto3
client = boto3.client('lambda')
zip = base64.b64decode(sys.argv[1])
count = int(sys.argv[2])
times = {}
begin = time.monotonic()
for i in range(count):
    name = 'large-%04d' % i
    client.create_function(FunctionName=name, Role=sys.argv[3], Runtime='nodejs22.x', Handler='index.handler', Code={'ZipFile': zip})
    client.get_waiter('function_active_v2').wait(FunctionName=name)
times['%d functions deployed' % count] = time.monotonic() - begin
begin = time.monotonic()
for i in range(count):
    client.create_event_source_mapping(FunctionName='large-%04d' % i, Topics=['large-topic'], Enabled=False,
        SelfManagedEventSource={'Endpoints': {'KAFKA_BOOTSTRAP_SERVERS': ['127.0.0.1:9092']}})
times['%d mappings created' % count] = time.monotonic() - begin
begin = time.monotonic()
found = sum(len(page['EventSourceMappings']) for page in client.get_paginator('list_event_source_mappings').paginate())
times['%d mappings listed' % count] = time.monotonic() - begin
assert found == count, found
print(json.dumps(times))
`;

async function deployMuch(endpoint: string): Promise<Record<string, number>> {
  const { python } = await pythonEnvironment(['awscli==1.46.3', 'boto3==1.44.5']);
  const zip = (await smallZip()).toString('base64');
  const { stdout } = await runCommand(python, ['-c', script, zip, String(large), role], {
    env: {
      ...process.env,
      AWS_ENDPOINT_URL: endpoint,
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    },
  });
  return JSON.parse(stdout);
}

async function startEngine(dataDirectory: string): Promise<{ endpoint: string; stop(): Promise<void> }> {
  const launcher = join(repositoryRoot, 'packages', 'headrace', 'bin', 'headrace.js');
  const words = [launcher, 'start', '--port', '0', '--data-dir', dataDirectory, '--json'];
  const child: ChildProcess = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'ignore'] });
  let printed = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  await eventually(() => printed.includes('\n'), { timeoutMs: 60_000, everyMs: 5, what: 'the engine is ready' });
  return {
    endpoint: JSON.parse(printed).endpoint,
    async stop() {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

async function smallZip(): Promise<Buffer> {
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from('export const handler = async () => 1;'), 'index.mjs', { mtime: new Date(0) });
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks);
}
