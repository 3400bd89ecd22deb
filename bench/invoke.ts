// Invocations a second and CPU an invocation, against a bare node:http Runtime API and AWS's emulator.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FunctionEngine, FunctionVersion } from '../packages/headrace/src/functions/definition.ts';
import { createFunctionEngine } from '../packages/headrace/src/functions/engine.ts';
import {
  type BenchmarkOptions,
  type BenchmarkResult,
  type BenchmarkRow,
  describeMachine,
  median,
} from './benchmark.ts';
import { HttpLane } from './invoke/http-lane.ts';

export const description =
  'invocations: the mapping path, cold starts, CPU an invocation; against node:http and AWS’s emulator';

const rounds = 5;
const millisecondsPerRound = 500;
/** Of the REST path, which is longer than the mappings'. */
const warmUpMilliseconds = 3_000;
const restLanes = 4;
const bootstrap = fileURLToPath(new URL('../packages/headrace/src/functions/bootstrap/node/main.mjs', import.meta.url));
const sources: Record<string, string> = {
  'index.mjs': 'export const handler = async () => ({ ok: true });\n',
  'runtime.mjs': `import { Agent, request } from 'node:http';
import { handler } from './index.mjs';
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const call = (method, path, body) => new Promise((resolve, reject) => {
  const outgoing = request({ host, port, agent, method, path: '/2018-06-01/runtime/invocation/' + path }, (response) => {
    const pieces = [];
    response.on('data', (piece) => pieces.push(piece));
    response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(pieces) }));
  });
  outgoing.on('error', reject);
  outgoing.end(body);
});
for (;;) {
  const { headers, body } = await call('GET', 'next');
  const result = await handler(JSON.parse(body.toString()), {});
  await call('POST', headers['lambda-runtime-aws-request-id'] + '/response', JSON.stringify(result));
}
`,
  'app.py': 'def handler(event, context):\n    return {"ok": True}\n',
};

/** An event of about so many bytes, shaped like a batch of records. */
function eventOf(bytes: number): Buffer {
  const records: object[] = [];
  const record = {
    topic: 'orders',
    partition: 0,
    offset: 15,
    timestamp: 1545084650987,
    timestampType: 'CREATE_TIME',
    value: 'a'.repeat(100),
  };
  const event = { eventSource: 'SelfManagedKafka', records: { 'orders-0': records } };
  while (JSON.stringify(event).length + 230 < bytes) records.push(record);
  const missing = bytes - JSON.stringify({ ...event, pad: '' }).length;
  return Buffer.from(JSON.stringify({ ...event, pad: 'x'.repeat(Math.max(0, missing)) }));
}

interface Contestant {
  invoke(event: Buffer): Promise<unknown>;
}

interface Measured {
  readonly perSecond: number;
  /** CPU of the engine's process, microseconds an invocation. */
  readonly cpu: number;
}

async function measure(contestant: Contestant, event: Buffer): Promise<Measured> {
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  let count = 0;
  while (performance.now() - started < millisecondsPerRound) {
    for (let i = 0; i < 16; i++) await contestant.invoke(event);
    count += 16;
  }
  const seconds = (performance.now() - started) / 1_000;
  const cpu = process.cpuUsage(cpuBefore);
  return { perSecond: count / seconds, cpu: (cpu.user + cpu.system) / count };
}

export async function run(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-bench-invoke-'));
  for (const [name, text] of Object.entries(sources)) writeFileSync(join(folder, name), text);
  const rows: BenchmarkRow[] = [];
  const notes: string[] = [];
  const engine = createFunctionEngine({
    resolve: (reference) => {
      const version = versionOf(reference, folder);
      return { kind: 'found', version, invokedFunctionArn: version.functionArn };
    },
    region: 'eu-central-1',
    accountId: '123456789012',
    baseEnvironment: () => ({}),
  });
  await engine.start();
  const bare = new BareRuntimeApi(folder, [join(folder, 'runtime.mjs')]);
  const pipelined = new BareRuntimeApi(folder, [bootstrap, 'over a connection']);
  const rest = new RestDoor(folder);
  const emulatorPath = process.env['RIE'];
  const emulator = emulatorPath === undefined ? undefined : new Emulator(emulatorPath, folder);
  if (emulator === undefined) notes.push('emulator: left out; name a binary of aws-lambda-rie with RIE=PATH');
  try {
    await bare.start();
    await pipelined.start();
    await rest.start();
    await emulator?.start();
    for (const runtime of ['node', 'python'] as const) {
      for (const [size, bytes] of [
        ['200 B', 200],
        ['6 KB', 6_144],
        ['1 MB', 1_048_576],
      ] as const) {
        options.progress(`${runtime}, ${size}`);
        const event = eventOf(bytes);
        const contestants: Record<string, Contestant> = { ours: { invoke: (each) => succeed(engine, runtime, each) } };
        if (runtime === 'node') {
          contestants['node:http'] = bare;
          contestants['node:http, our runtime'] = pipelined;
          if (emulator !== undefined) contestants['emulator'] = emulator;
        }
        const measured: Record<string, Measured[]> = {};
        for (const [name, contestant] of Object.entries(contestants)) {
          measured[name] = [];
          await measure(contestant, event);
        }
        for (let round = 0; round < rounds; round++) {
          for (const [name, contestant] of Object.entries(contestants)) {
            measured[name]!.push(await measure(contestant, event));
          }
        }
        rows.push(row(`mapping, ${runtime}, ${size}`, measured, 'invocations/s', (each) => each.perSecond, true));
        rows.push(
          row(`mapping, ${runtime}, ${size}: engine CPU`, measured, 'µs/invocation', (each) => each.cpu, false),
        );
      }
    }
    for (const [size, bytes] of [
      ['200 B', 200],
      ['6 KB', 6_144],
    ] as const) {
      options.progress(`rest, node, ${size}`);
      const measured = { ours: await rest.measure(eventOf(bytes)) };
      rows.push(row(`rest, node, ${size}`, measured, 'invocations/s', (each) => each.perSecond, true));
      rows.push(row(`rest, node, ${size}: engine CPU`, measured, 'µs/invocation', (each) => each.cpu, false));
    }
    for (const runtime of ['node', 'python'] as const) {
      options.progress(`cold start, ${runtime}`);
      const times: number[] = [];
      for (let i = 0; i < 15; i++) {
        const started = performance.now();
        await succeed(engine, `${runtime}-cold-${i}`, eventOf(200));
        times.push(performance.now() - started);
      }
      rows.push({ case: `cold start, ${runtime}`, ours: median(times), peers: {}, ratio: {}, unit: 'ms' });
    }
  } finally {
    bare.stop();
    pipelined.stop();
    await rest.stop();
    emulator?.stop();
    await engine.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    benchmark: 'invoke',
    machine: describeMachine(),
    versions: { node: process.versions.node },
    rows,
    notes,
  };
}

function row(
  name: string,
  measured: Record<string, Measured[]>,
  unit: string,
  figure: (each: Measured) => number,
  moreIsBetter: boolean,
): BenchmarkRow {
  const ours = median(measured['ours']!.map(figure));
  const peers: Record<string, number> = {};
  const ratio: Record<string, number> = {};
  for (const [peer, values] of Object.entries(measured)) {
    if (peer === 'ours') continue;
    const value = median(values.map(figure));
    peers[peer] = value;
    ratio[peer] = moreIsBetter ? ours / value : value / ours;
  }
  return { case: name, ours, peers, ratio, unit };
}

async function succeed(engine: FunctionEngine, name: string, event: Buffer): Promise<void> {
  const outcome = await engine.invoke(name, event);
  if (outcome.kind !== 'success') throw new Error(`${name}: ${JSON.stringify(outcome)}`);
}

const versions = new Map<string, FunctionVersion>();
function versionOf(name: string, path: string): FunctionVersion {
  let version = versions.get(name);
  if (version === undefined) {
    const python = name.startsWith('python');
    version = {
      functionName: name,
      functionArn: `arn:aws:lambda:eu-central-1:123456789012:function:${name}`,
      version: '$LATEST',
      revisionId: '1',
      runtime: python ? 'python3.12' : 'nodejs24.x',
      handler: python ? 'app.handler' : 'index.handler',
      memorySizeMegabytes: 512,
      timeoutSeconds: 30,
      environment: {},
      code: { kind: 'folder', path },
      layers: [],
      architecture: 'x86_64',
      ephemeralStorageMegabytes: 512,
      logging: { format: 'Text', logGroup: `/aws/lambda/${name}` },
      tracingMode: 'PassThrough',
    };
    versions.set(name, version);
  }
  return version;
}

/**
 * A session of its own, as the engine starts functions: on a busy Linux the scheduler shares the processors out by
 * session (autogroup), and two processes of one session hand over to each other several times as fast.
 */
const likeOurs = { detached: true };

const runtimeEnvironment = (folder: string): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  LAMBDA_TASK_ROOT: folder,
  _HANDLER: 'index.handler',
  AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
});

/**
 * What one would write first: a Runtime API on `node:http`, no log, no limits, no states. It serves a runtime on
 * `node:http` (get an event, post its result, as AWS's clients do), and as a peer of its own the engine's runtime, so that
 * the share of the server shows.
 */
class BareRuntimeApi implements Contestant {
  readonly #folder: string;
  readonly #command: readonly string[];
  readonly #server: Server;
  #runtime: ChildProcess | undefined;
  #next: ServerResponse | undefined;
  #ready: (() => void) | undefined;
  #done: ((body: Buffer) => void) | undefined;

  constructor(folder: string, runtime: readonly string[]) {
    this.#folder = folder;
    this.#command = runtime;
    this.#server = createServer((incoming, response) => {
      if (incoming.url === '/2018-06-01/runtime/invocation/next') {
        this.#next = response;
        this.#ready?.();
        this.#ready = undefined;
        return;
      }
      const pieces: Buffer[] = [];
      incoming.on('data', (piece: Buffer) => pieces.push(piece));
      incoming.on('end', () => {
        response.writeHead(202, { 'Content-Type': 'application/json', 'Content-Length': 15 }).end('{"status":"OK"}');
        this.#done?.(Buffer.concat(pieces));
      });
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    this.#runtime = spawn(process.execPath, this.#command, {
      env: { ...runtimeEnvironment(this.#folder), AWS_LAMBDA_RUNTIME_API: address },
      stdio: ['ignore', 'ignore', 'inherit'],
      ...likeOurs,
    });
    await new Promise<void>((resolve) => (this.#ready = resolve));
  }

  async invoke(event: Buffer): Promise<Buffer> {
    if (this.#next === undefined) await new Promise<void>((resolve) => (this.#ready = resolve));
    const next = this.#next!;
    this.#next = undefined;
    next.writeHead(200, {
      'Content-Type': 'application/json',
      'Content-Length': event.length,
      'Lambda-Runtime-Aws-Request-Id': randomUUID(),
      'Lambda-Runtime-Deadline-Ms': Date.now() + 30_000,
      'Lambda-Runtime-Invoked-Function-Arn': 'arn:aws:lambda:eu-central-1:123456789012:function:node',
    });
    next.end(event);
    return new Promise((resolve) => (this.#done = resolve));
  }

  stop(): void {
    this.#runtime?.kill('SIGKILL');
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** The REST API's Invoke of an engine in a process of its own, at concurrency 4. */
class RestDoor {
  readonly #folder: string;
  #engine: ChildProcess | undefined;
  #endpoint = '';

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(): Promise<void> {
    const script = fileURLToPath(new URL('invoke/engine.ts', import.meta.url));
    const engine = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, this.#folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#engine = engine;
    const [line] = (await once(engine.stdout!, 'data')) as [Buffer];
    this.#endpoint = line.toString().trim();
  }

  async measure(event: Buffer): Promise<Measured[]> {
    const measured: Measured[] = [];
    const path = '/2015-03-31/functions/rest/invocations';
    const open = (): Promise<HttpLane> => HttpLane.open(this.#endpoint, path, event);
    const lanes = await Promise.all(Array.from({ length: restLanes }, open));
    for (let round = 0; round <= rounds; round++) {
      const started = performance.now();
      const cpuBefore = this.#cpuMicroseconds();
      let count = 0;
      const work = async (lane: HttpLane): Promise<void> => {
        while (performance.now() - started < (round === 0 ? warmUpMilliseconds : millisecondsPerRound)) {
          await lane.send();
          count++;
        }
      };
      await Promise.all(lanes.map(work));
      // The first round starts environments, and lasts until V8 has compiled what it finds hot.
      if (round === 0) continue;
      const perSecond = (count / (performance.now() - started)) * 1_000;
      measured.push({ perSecond, cpu: (this.#cpuMicroseconds() - cpuBefore) / count });
    }
    for (const lane of lanes) lane.close();
    return measured;
  }

  /** Used by the engine's process so far; Linux tells it in hundredths of a second, others not at all. */
  #cpuMicroseconds(): number {
    try {
      const fields = readFileSync(`/proc/${this.#engine?.pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
      return (Number(fields[11]) + Number(fields[12])) * 10_000;
    } catch {
      return Number.NaN;
    }
  }

  async stop(): Promise<void> {
    if (this.#engine === undefined || this.#engine.exitCode !== null) return;
    this.#engine.kill('SIGTERM');
    await once(this.#engine, 'exit');
  }
}

/** AWS's runtime interface emulator with the same runtime, called over HTTP as its users do. */
class Emulator implements Contestant {
  readonly #path: string;
  readonly #folder: string;
  readonly #agent = new Agent({ keepAlive: true });
  #process: ChildProcess | undefined;
  #port = 0;

  constructor(path: string, folder: string) {
    this.#path = path;
    this.#folder = folder;
  }

  async start(): Promise<void> {
    const [port, runtimePort] = await freePorts();
    this.#port = port;
    const addresses = [
      '--runtime-interface-emulator-address',
      `127.0.0.1:${port}`,
      '--runtime-api-address',
      `127.0.0.1:${runtimePort}`,
    ];
    this.#process = spawn(this.#path, [...addresses, process.execPath, bootstrap, 'over a connection'], {
      env: runtimeEnvironment(this.#folder),
      stdio: 'ignore',
      ...likeOurs,
    });
    const deadline = performance.now() + 10_000;
    for (;;) {
      try {
        await this.invoke(Buffer.from('{}'));
        return;
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  invoke(event: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: this.#port,
          method: 'POST',
          path: '/2015-03-31/functions/function/invocations',
          agent: this.#agent,
          headers: { 'Content-Length': event.length },
        },
        (response) => {
          const pieces: Buffer[] = [];
          response.on('data', (piece: Buffer) => pieces.push(piece));
          response.on('end', () => resolve(Buffer.concat(pieces)));
        },
      );
      outgoing.on('error', reject);
      outgoing.end(event);
    });
  }

  stop(): void {
    this.#agent.destroy();
    this.#process?.kill('SIGKILL');
  }
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) =>
          server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
        ),
    ),
  );
  for (const server of servers) server.close();
  return ports as [number, number];
}
