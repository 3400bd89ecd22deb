import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { HeadraceError } from '../errors.ts';
import type { Api, ApiRequest, ApiResponse } from '../gateway/route.ts';
import { siblingModule } from '../sibling-module.ts';

/** DynamoDB's API as the gateway mounts it, and the process behind it. */
export interface TableServer extends Api {
  /** Of dynalite; changes when it is started anew. Undefined while it is down. */
  readonly processId: number | undefined;
  /** Writes what is open and ends the process. */
  close(): Promise<void>;
}

export interface TableServerOptions {
  /** Tables are kept below it; undefined keeps them in memory, for as long as the process lives. */
  readonly dataDirectory: string | undefined;
}

const startMilliseconds = 10_000;
const closeMilliseconds = 5_000;
/** Headers that belong to one hop, or that the other side makes itself. */
const hopHeaders = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date', 'server', 'content-length']);

/**
 * Starts dynalite in a process of its own and hands requests on to it. When that process dies it is started anew for the
 * next request; requests of the meantime get a 503, which the SDKs repeat. It dies with this process, whatever ends it.
 */
export async function startTableServer(options: TableServerOptions): Promise<TableServer> {
  const path = options.dataDirectory === undefined ? undefined : join(options.dataDirectory, 'dynamodb');
  if (path !== undefined) mkdirSync(path, { recursive: true });
  const server = new ForwardingTableServer(path);
  await server.start();
  return server;
}

class ForwardingTableServer implements TableServer {
  readonly service = 'dynamodb';
  readonly #path: string | undefined;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32, scheduling: 'fifo' });
  /** Written by `start` and by the end of the process it stands for. */
  #child: ChildProcess | undefined;
  #port = 0;
  #starting: Promise<void> | undefined;
  #closed = false;

  constructor(path: string | undefined) {
    this.#path = path;
  }

  get processId(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    this.#starting ??= this.#launch().finally(() => {
      this.#starting = undefined;
    });
    await this.#starting;
  }

  async handle(request: ApiRequest): Promise<ApiResponse | undefined> {
    if (this.#closed) return unavailable('The table server is stopping.');
    if (this.#child === undefined) {
      try {
        await this.start();
      } catch (error) {
        return unavailable((error as Error).message);
      }
    }
    return await this.#forward(request);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const child = this.#child;
    if (child !== undefined) {
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      const timer = setTimeout(() => child.kill('SIGKILL'), closeMilliseconds);
      this.#agent.destroy();
      if (child.connected) child.send('close', () => {});
      else child.kill('SIGKILL');
      await ended;
      clearTimeout(timer);
    }
    this.#agent.destroy();
  }

  async #launch(): Promise<void> {
    const child = fork(siblingModule(import.meta.url, './server'), this.#path === undefined ? [] : [this.#path], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const complaint: Buffer[] = [];
    child.stderr?.on('data', (chunk: Buffer) => {
      if (complaint.length < 16) complaint.push(chunk);
    });
    const failed = (what: string): HeadraceError =>
      new HeadraceError(
        'STORE',
        `the embedded DynamoDB ${what}${complaint.length > 0 ? `: ${Buffer.concat(complaint).toString('utf8').trim().slice(-500)}` : ''}`,
      );
    this.#port = await new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        reject(failed(`did not start within ${startMilliseconds} ms`));
      }, startMilliseconds);
      child.once('error', (error) => reject(failed(`cannot be started (${error.message})`)));
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        if (this.#child === child) this.#child = undefined;
        reject(failed(`ended with ${signal ?? code}`));
      });
      child.once('message', (message) => {
        clearTimeout(timer);
        const { port, error } = message as { port?: number; error?: string };
        if (port === undefined) reject(failed(`cannot listen (${error})`));
        else resolve(port);
      });
    });
    this.#child = child;
    // Neither the process nor its channel keeps ours alive.
    child.unref();
    child.channel?.unref();
    (child.stderr as unknown as { unref?: () => void } | null)?.unref?.();
  }

  #forward(request: ApiRequest): Promise<ApiResponse> {
    return new Promise((resolve) => {
      const query = request.query.toString();
      const outgoing = httpRequest(
        {
          host: '127.0.0.1',
          port: this.#port,
          method: request.method,
          path: query === '' ? request.path : `${request.path}?${query}`,
          headers: { ...forwarded(request.headers), 'content-length': request.body.length },
          agent: this.#agent,
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('error', (error) => resolve(unavailable(error.message)));
          incoming.on('end', () =>
            resolve({
              status: incoming.statusCode ?? 502,
              headers: forwarded(incoming.headers),
              body: Buffer.concat(chunks),
            }),
          );
        },
      );
      outgoing.on('error', (error) => resolve(unavailable(`The table server does not answer: ${error.message}`)));
      outgoing.end(request.body);
    });
  }
}

function forwarded(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string' && !hopHeaders.has(name)) result[name] = value;
  }
  return result;
}

/** DynamoDB's own form of a server fault (its error page: ServiceUnavailable, 503); the SDKs try again. */
function unavailable(message: string): ApiResponse {
  return {
    status: 503,
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-errortype': 'ServiceUnavailable' },
    body: { __type: 'com.amazonaws.dynamodb.v20120810#ServiceUnavailable', message },
  };
}
