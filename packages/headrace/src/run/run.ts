import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { watch } from 'node:fs';
import { resolve } from 'node:path';
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  type EventSourceMappingConfiguration,
  LambdaClient,
  type Runtime,
  UpdateFunctionCodeCommand,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { clientError } from '../cli/client-flags.ts';
import type { Terminal } from '../cli/terminal.ts';
import type { EngineOptions } from '../engine.ts';
import { startEngine } from '../engine.ts';
import type { InvokeOutcome } from '../functions/outcome.ts';
import { localBucket } from '../lambda-api/local-code.ts';
import { functionLogChannel, mappingInvocationChannel, mappingStatusChannel } from '../telemetry/channels.ts';
import type { HandlerSource, parseStart } from './handler-source.ts';

export interface RunOptions {
  readonly source: HandlerSource;
  readonly topic: string;
  readonly group: string;
  readonly engine: EngineOptions;
  readonly start: ReturnType<typeof parseStart>;
  readonly batchSize: number | undefined;
  readonly windowSeconds: number | undefined;
  readonly filter: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number | undefined;
  readonly memoryMegabytes: number | undefined;
  readonly json: boolean;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** Nothing here assumes a role; CreateFunction wants one named. */
const role = 'arn:aws:iam::123456789012:role/headrace-run';
/** Edits that come within this time are one change: editors write a file several times. */
const settleMilliseconds = 150;
/** Files whose change means new code. Others are the function's own business: logs, data, this command's output. */
const codeFiles = /\.(mjs|cjs|js|mts|cts|ts|json|wasm|node|py)$/;
const foreignFolders = /(^|[\\/])(node_modules|\.git|\.headrace|__pycache__)[\\/]/;

/** Runs a handler on a topic until the signal aborts, then drains; prints the function's log and a line a batch. */
export async function runHandler(options: RunOptions): Promise<void> {
  const { terminal, topic, group } = options;
  const engine = await startEngine(options.engine);
  const lambda = new LambdaClient({
    endpoint: engine.endpoint,
    region: engine.region,
    credentials: engine.clientCredentials(),
  });
  const subscriptions: (() => void)[] = [];
  const listen = (channel: { readonly name: string | symbol }, listener: (message: unknown) => void): void => {
    subscribe(channel.name, listener);
    subscriptions.push(() => void unsubscribe(channel.name, listener));
  };
  try {
    if (options.engine.bootstrapServers === undefined) engine.ensureTopic(topic, 4);
    const refused = (error: unknown): never => {
      throw clientError(error, engine.endpoint);
    };
    await createFunction(options, lambda).catch(refused);
    const mapping = await createMapping(options, lambda, engine.bootstrapServers).catch(refused);
    const say = createLines(options, mapping.UUID ?? '', (uuid) =>
      (engine.mappings.snapshot(uuid)?.partitions ?? []).reduce((sum, partition) => sum + partition.lag, 0),
    );
    listen(functionLogChannel, say.log);
    listen(mappingInvocationChannel, say.invocation);
    listen(mappingStatusChannel, say.status);
    const watcher = watchCode(options, lambda);
    subscriptions.push(() => watcher.close());
    if (!options.json) printStart(options, engine.endpoint, engine.bootstrapServers);
    await aborted(options.signal);
    if (!options.json) terminal.warn('headrace: draining; Ctrl-C again ends at once');
  } finally {
    for (const end of subscriptions) end();
    lambda.destroy();
    const { committed, uncommitted } = await engine.stop();
    for (const { topic: name, partition, offset } of committed) {
      if (options.json) terminal.print(JSON.stringify({ event: 'committed', group, topic: name, partition, offset }));
      else terminal.print(`committed ${name}-${partition} offset ${offset} (group ${group})`);
    }
    for (const { topic: name, partition, offset } of uncommitted) {
      if (options.json) terminal.print(JSON.stringify({ event: 'uncommitted', group, topic: name, partition, offset }));
      else
        terminal.warn(
          `${name}-${partition} up to offset ${offset} could not be committed and comes again (group ${group})`,
        );
    }
    if (committed.length === 0 && !options.json) terminal.print('nothing was committed');
  }
}

/** The folder is used in place, so that imports from above it (node_modules, ../lib) work as they do for Node. */
const codeOf = ({ codeFolder }: HandlerSource) => ({ S3Bucket: localBucket, S3Key: resolve(codeFolder) });

async function createFunction(options: RunOptions, lambda: LambdaClient): Promise<void> {
  const { source } = options;
  await lambda.send(
    new CreateFunctionCommand({
      FunctionName: source.functionName,
      Code: codeOf(source),
      Runtime: source.runtime as Runtime,
      Handler: source.handler,
      Role: role,
      Description: 'headrace run',
      Timeout: options.timeoutSeconds ?? 60,
      MemorySize: options.memoryMegabytes ?? 512,
      Architectures: [process.arch === 'arm64' ? 'arm64' : 'x86_64'],
      Environment: { Variables: { ...options.environment } },
    }),
  );
}

async function createMapping(
  options: RunOptions,
  lambda: LambdaClient,
  bootstrapServers: readonly string[],
): Promise<EventSourceMappingConfiguration> {
  return await lambda.send(
    new CreateEventSourceMappingCommand({
      FunctionName: options.source.functionName,
      Topics: [options.topic],
      SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: [...bootstrapServers] } },
      SelfManagedKafkaEventSourceConfig: { ConsumerGroupId: options.group },
      ...options.start,
      ...(options.batchSize === undefined ? {} : { BatchSize: options.batchSize }),
      ...(options.windowSeconds === undefined ? {} : { MaximumBatchingWindowInSeconds: options.windowSeconds }),
      ...(options.filter === undefined ? {} : { FilterCriteria: { Filters: [{ Pattern: options.filter }] } }),
    }),
  );
}

interface MappingInvocation {
  readonly uuid: string;
  readonly outcome: InvokeOutcome;
  readonly records: number;
  readonly durationMilliseconds: number;
}

function createLines(options: RunOptions, uuid: string, lag: (uuid: string) => number) {
  const { terminal, json } = options;
  const out = (value: object, text: string): void => terminal.print(json ? JSON.stringify(value) : text);
  const batchLine = ({ outcome, records, durationMilliseconds }: MappingInvocation, behind: number): void => {
    const ok = outcome.kind === 'success';
    const mark = ok ? terminal.style('green', 'batch') : terminal.style('red', 'batch');
    const result = ok ? '' : `  ${describeFailure(outcome)}`;
    out(
      { event: 'batch', records, durationMs: durationMilliseconds, outcome: outcome.kind, lag: behind },
      `${mark}  ${records} records in ${durationMilliseconds.toFixed(1)} ms, lag ${behind}${result}`,
    );
  };
  return {
    log(message: unknown): void {
      const { line, functionName } = message as { line: string; functionName: string };
      if (functionName !== options.source.functionName || /^(START|END|REPORT|INIT_START) /.test(line)) return;
      out({ event: 'log', line }, line);
    },
    invocation(message: unknown): void {
      const invocation = message as MappingInvocation;
      if (invocation.uuid !== uuid) return;
      // The lag counts this batch until it is settled, which happens right after this call.
      setImmediate(() => batchLine(invocation, lag(uuid)));
    },
    status(message: unknown): void {
      const {
        uuid: of,
        status,
        error,
      } = message as {
        uuid: string;
        status: { result: string };
        error?: { message: string; code?: string };
      };
      if (of !== uuid || error === undefined) return;
      out(
        { event: 'problem', code: error.code, message: error.message, result: status.result },
        `${terminal.style('yellow', 'problem')}  ${error.message}`,
      );
    },
  };
}

function describeFailure(outcome: InvokeOutcome): string {
  switch (outcome.kind) {
    case 'function-error': {
      try {
        const { errorType, errorMessage } = JSON.parse(outcome.payload.toString('utf8')) as Record<string, unknown>;
        return `${String(errorType)}: ${String(errorMessage)}; it will be tried again`;
      } catch {
        return `${outcome.reason}; it will be tried again`;
      }
    }
    case 'throttled':
      return `throttled: ${outcome.reason}`;
    case 'too-large':
      return `the event is over ${outcome.limitBytes} bytes`;
    case 'not-found':
    case 'unavailable':
      return outcome.message;
    case 'success':
      return '';
  }
}

/** Takes the code anew when a file in the folder changes; its environments are started before the old ones end. */
function watchCode(options: RunOptions, lambda: LambdaClient): { close(): void } {
  const { terminal, source } = options;
  let timer: NodeJS.Timeout | undefined;
  let last = Promise.resolve();
  const update = async (): Promise<void> => {
    try {
      await lambda.send(new UpdateFunctionCodeCommand({ FunctionName: source.functionName, ...codeOf(source) }));
      await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 30 }, { FunctionName: source.functionName });
      if (options.json) terminal.print(JSON.stringify({ event: 'code' }));
      else terminal.print(`${terminal.style('cyan', 'code')}  changed, new environments take over`);
    } catch (error) {
      if (options.signal.aborted) return; // the engine is ending, and the edit is the next run's
      terminal.warn(`headrace: the new code cannot be taken: ${(error as Error).message}`);
    }
  };
  const watcher = watch(source.codeFolder, { recursive: true }, (_event, file) => {
    if (file === null || !codeFiles.test(file) || foreignFolders.test(file)) return;
    clearTimeout(timer);
    // One after the other: an update is refused while another settles.
    timer = setTimeout(() => void (last = last.then(update)), settleMilliseconds);
  });
  watcher.on('error', (error) => terminal.warn(`headrace: edits are not followed any more: ${error.message}`));
  return {
    close() {
      clearTimeout(timer);
      watcher.close();
    },
  };
}

function printStart(options: RunOptions, endpoint: string, servers: readonly string[]): void {
  const { terminal, source, topic, group } = options;
  terminal.print(
    `${terminal.style('bold', source.handler)} (${source.runtime}) on topic ${topic} of ${servers.join(',')}`,
  );
  terminal.print(`group ${group}, endpoint ${endpoint}`);
  if (options.engine.bootstrapServers === undefined) {
    terminal.print('This is the development broker. Send it a record:');
    terminal.print(`  echo '{"hello":"world"}' | kcat -P -b ${servers[0]} -t ${topic}`);
    terminal.print(
      `  echo '{"hello":"world"}' | kafka-console-producer.sh --bootstrap-server ${servers[0]} --topic ${topic}`,
    );
  }
  terminal.print('Edits are picked up. Ctrl-C drains and ends.');
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
