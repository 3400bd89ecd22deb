import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, repositoryRoot } from '@headrace/testing';
import { call, role, zipOf } from '../api-world.ts';
import { journalingFunction } from './journaling-function.ts';

const launcher = join(repositoryRoot, 'packages', 'headrace', 'bin', 'headrace.js');

export interface EngineSettings {
  /** Kept over all lives. */
  readonly dataDirectory: string;
  readonly bootstrapServers: string;
  readonly arguments?: readonly string[];
}

export interface Deployment {
  readonly topic: string;
  readonly group: string;
  readonly journal: string;
  /** Of the function, in milliseconds. */
  readonly latency: number;
  readonly batchSize: number;
  /** So many batches are at work at once, if there are as many partitions. Default: as the engine scales. */
  readonly pollers?: number;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `headrace start` in a process of its own, one life after the other on one data directory. */
export class Engine implements AsyncDisposable {
  readonly #settings: EngineSettings;
  #child: ChildProcess | undefined;
  #ended: Promise<Ended> = Promise.resolve({ code: 0, signal: null });
  #output = '';
  #endpoint = '';

  constructor(settings: EngineSettings) {
    this.#settings = settings;
  }

  get processId(): number {
    return this.#child?.pid ?? 0;
  }

  /** Of the life that began last. */
  get ended(): Promise<Ended> {
    return this.#ended;
  }

  get output(): string {
    return this.#output;
  }

  /** Resolves when the engine says that it is ready, with the time of it (ms since 1970). */
  async start(): Promise<number> {
    const { dataDirectory, bootstrapServers } = this.#settings;
    const { CI: _ci, NODE_TEST_CONTEXT: _test, ...environment } = process.env;
    // The channel ends the engine when this process is gone, whatever ended it.
    const child = spawn(
      process.execPath,
      [
        ...['--disable-warning=ExperimentalWarning', launcher, 'start', '--json', '--port', '0'],
        ...['--bootstrap-servers', bootstrapServers, '--data-dir', dataDirectory],
        ...(this.#settings.arguments ?? []),
      ],
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: environment },
    );
    this.#child = child;
    this.#output = '';
    let readyAt = 0;
    let printed = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      this.#output += text;
      if (readyAt === 0 && printed.includes('"ready":true') && printed.includes('\n')) readyAt = Date.now();
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.#ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    await eventually(
      () => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the engine ended:\n${this.#output}`);
        return readyAt > 0;
      },
      { timeoutMs: 60_000, everyMs: 5, rethrow: true, what: () => `the engine is ready:\n${this.#output}` },
    );
    this.#endpoint = (JSON.parse(printed.split('\n')[0]!) as { endpoint: string }).endpoint;
    return readyAt;
  }

  /** Sends a signal; for one that ends the process at once waits for the end. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    this.#child?.kill(signal);
    if (signal === 'SIGKILL') await this.#ended;
  }

  /**
   * Kills the engine and, as when a machine dies, its functions with it: otherwise they finish what they have. Children
   * are found on Linux only; elsewhere the engine dies alone.
   */
  async crash(): Promise<void> {
    const children = childrenOf(this.processId);
    this.#child?.kill('SIGKILL');
    for (const child of children) {
      try {
        process.kill(child, 'SIGKILL');
      } catch {
        // It ended by itself meanwhile.
      }
    }
    await this.#ended;
  }

  call(method: string, path: string, body?: unknown): ReturnType<typeof call> {
    return call(this.#endpoint, method, path, body);
  }

  /** Makes the journaling function and a mapping for it; resolves with the mapping's UUID when it is enabled. */
  async deploy(deployment: Deployment): Promise<string> {
    const { topic, group, journal, latency, batchSize, pollers } = deployment;
    const FunctionName = `journal-${topic}`;
    const ZipFile = (await zipOf({ 'index.mjs': journalingFunction })).toString('base64');
    const made = await this.call('POST', '/2015-03-31/functions', {
      FunctionName,
      Role: role,
      Runtime: 'nodejs24.x',
      Handler: 'index.handler',
      Timeout: 60,
      Code: { ZipFile },
      Environment: { Variables: { JOURNAL: journal, LATENCY: String(latency) } },
    });
    if (made.status !== 201) throw new Error(`CreateFunction: ${JSON.stringify(made.body)}`);
    const mapped = await this.call('POST', '/2015-03-31/event-source-mappings', {
      FunctionName,
      Topics: [topic],
      BatchSize: batchSize,
      StartingPosition: 'TRIM_HORIZON',
      ...(pollers === undefined
        ? {}
        : { ProvisionedPollerConfig: { MinimumPollers: pollers, MaximumPollers: pollers } }),
      SelfManagedEventSource: {
        Endpoints: { KAFKA_BOOTSTRAP_SERVERS: this.#settings.bootstrapServers.split(',') },
      },
      SelfManagedKafkaEventSourceConfig: { ConsumerGroupId: group },
    });
    if (mapped.status !== 202) throw new Error(`CreateEventSourceMapping: ${JSON.stringify(mapped.body)}`);
    const uuid = String(mapped.body['UUID']);
    await this.#settled(uuid);
    return uuid;
  }

  /** Enables or disables a mapping: its member joins or leaves the group. Resolves when that is done. */
  async enable(uuid: string, enabled: boolean): Promise<void> {
    await this.#settled(uuid);
    const path = `/2015-03-31/event-source-mappings/${uuid}`;
    const changed = await this.call('PUT', path, { Enabled: enabled });
    if (changed.status !== 202) throw new Error(`UpdateEventSourceMapping: ${JSON.stringify(changed.body)}`);
    await this.#settled(uuid);
  }

  async #settled(uuid: string): Promise<void> {
    const path = `/2015-03-31/event-source-mappings/${uuid}`;
    await eventually(async () => /^(En|Dis)abled$/.test(String((await this.call('GET', path)).body['State'])), {
      timeoutMs: 60_000,
      what: `mapping ${uuid} is settled`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGCONT');
    child.kill('SIGKILL');
    await this.#ended;
  }
}

function childrenOf(processId: number): number[] {
  try {
    const list = readFileSync(`/proc/${processId}/task/${processId}/children`, 'utf8').trim();
    return list === '' ? [] : list.split(' ').map(Number);
  } catch {
    return [];
  }
}
