import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { HeadraceError, toHeadraceError } from '../errors.ts';
import type { Api, ApiRequest, ApiResponse } from '../gateway/route.ts';
import { siblingModule } from '../sibling-module.ts';

export interface DynamoDbOptions {
  /** Folder of its tables; absent: they are in memory and end with this process. */
  readonly dataDirectory?: string;
  readonly region: string;
  readonly accountId: string;
}

export interface DynamoDbApi extends Api {
  /** Starts the server now, instead of at the first request. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Of the server; undefined while there is none. */
  readonly processId: number | undefined;
}

const startTimeoutMilliseconds = 20_000;

/**
 * The embedded DynamoDB: dynalite, in a process of its own so that its work never delays the engine's. Requests are
 * streamed to it as they are.
 */
export function createDynamoDbApi(options: DynamoDbOptions): DynamoDbApi {
  const server = new DynamoDbServer(options);
  return {
    service: 'dynamodb',
    async start() {
      await server.port();
    },
    stop: () => server.stop(),
    get processId() {
      return server.processId;
    },
    handle: async (request) => (isDynamoDb(request) ? await server.forward(request) : undefined),
  };
}

/** All operations are one path; the target header says which. */
const isDynamoDb = ({ headers, path }: ApiRequest): boolean =>
  path === '/' && (headers['x-amz-target']?.startsWith('DynamoDB') ?? false);

class DynamoDbServer {
  readonly #options: DynamoDbOptions;
  readonly #agent = new Agent({ keepAlive: true });
  #child: ChildProcess | undefined;
  #port: Promise<number> | undefined;
  #stopped = false;

  constructor(options: DynamoDbOptions) {
    this.#options = options;
  }

  get processId(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the process when it is not there; also after it died. */
  port(): Promise<number> {
    this.#port ??= this.#start();
    return this.#port;
  }

  async forward(request: ApiRequest): Promise<ApiResponse> {
    try {
      return answerOf(await this.#send(request, await this.port()));
    } catch (error) {
      const { message } = toHeadraceError(error);
      const type = 'com.amazonaws.dynamodb.v20120810#InternalServerError';
      return { status: 500, headers: { 'x-amzn-errortype': 'InternalServerError' }, body: { __type: type, message } };
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    this.#agent.destroy();
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
    });
    child.disconnect();
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(timer);
  }

  #start(): Promise<number> {
    if (this.#stopped) return Promise.reject(new HeadraceError('INTERNAL', 'the embedded DynamoDB was stopped'));
    const { dataDirectory, region, accountId } = this.#options;
    if (dataDirectory !== undefined) mkdirSync(dataDirectory, { recursive: true });
    const child = fork(siblingModule(import.meta.url, './server-process'), dataDirectory ? [dataDirectory] : [], {
      env: { ...process.env, AWS_REGION: region, AWS_ACCOUNT_ID: accountId },
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    let printed = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      printed = (printed + chunk.toString('utf8')).slice(-4_000);
    });
    return new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), startTimeoutMilliseconds);
      child.once('message', (message) => {
        clearTimeout(timer);
        // From here on it must not keep this process alive.
        child.unref();
        child.channel?.unref();
        (child.stderr as unknown as { unref?(): void } | null)?.unref?.();
        resolve((message as { port: number }).port);
      });
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        this.#port = undefined;
        reject(new HeadraceError('INTERNAL', `the embedded DynamoDB ended (${signal ?? code}): ${printed.trim()}`));
      });
      child.once('error', reject);
    });
  }

  #send(request: ApiRequest, port: number): Promise<IncomingMessage> {
    const { method, path, headers, body } = request;
    // The body was read whole, so it has a length whatever the caller's framing was.
    const { 'transfer-encoding': _framing, connection: _connection, expect: _expect, ...kept } = headers;
    return new Promise((resolve, reject) => {
      const forwarded = httpRequest(
        {
          host: '127.0.0.1',
          port,
          method,
          path,
          agent: this.#agent,
          headers: { ...kept, ...authorization(headers), 'content-length': body.length },
        },
        resolve,
      );
      forwarded.on('error', reject);
      forwarded.end(body);
    });
  }
}

/** dynalite wants some signature; whether it is right was decided at the gateway. */
function authorization(headers: Readonly<Record<string, string>>): Record<string, string> {
  if (headers['authorization'] !== undefined) return {};
  return {
    authorization:
      'AWS4-HMAC-SHA256 Credential=anonymous/20200101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
    'x-amz-date': '20200101T000000Z',
  };
}

function answerOf(response: IncomingMessage): ApiResponse {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (typeof value === 'string' && name !== 'connection' && name !== 'keep-alive') headers[name] = value;
  }
  // Its request id would hide the gateway's, which the logs carry.
  delete headers['x-amzn-requestid'];
  return { status: response.statusCode ?? 500, headers, body: response as AsyncIterable<Buffer> };
}
