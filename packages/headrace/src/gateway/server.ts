import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { HeadraceError } from '../errors.ts';
import type { Credentials } from './credentials.ts';
import { isForeignOrigin, isKnownHost, isLoopbackAddress } from './origin.ts';
import {
  bodyTooLarge,
  foreignHost,
  foreignOrigin,
  internalError,
  malformed,
  missingSignature,
  unknownKey,
  unknownOperation,
  unknownService,
  wrongService,
  wrongSignature,
} from './refusals.ts';
import type { Api, ApiRequest, ApiResponse } from './route.ts';
import { refuteSignature, type SignatureClaim, signatureClaim } from './signature.ts';

export interface GatewayOptions {
  /** In the order in which they are asked when a request does not say whose it is. */
  readonly apis: readonly Api[];
  /** Default 127.0.0.1. Any address but a loopback one needs credentials. */
  readonly host?: string;
  /** Default 0, a free one. */
  readonly port?: number;
  /** Present: every request must be signed by one of these keys. */
  readonly credentials?: Credentials;
  /** Default 70,167,211, CreateFunction's limit. */
  readonly maximumBodyBytes?: number;
  /** A whole request must have come after this. Default 60,000. */
  readonly requestTimeoutMilliseconds?: number;
  /** A defect of an API; the caller gets the request id only. */
  readonly onError?: (error: unknown, request: { readonly requestId: string; readonly path: string }) => void;
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly now?: () => number;
}

export interface Gateway {
  /** `http://127.0.0.1:9000`, without a slash at the end. */
  readonly endpoint: string;
  readonly port: number;
  /** Takes no new requests; resolves when the running ones are answered, or ends them after the timeout. */
  close(timeoutMilliseconds?: number): Promise<void>;
}

const defaultMaximumBodyBytes = 70_167_211;
const defaultRequestTimeoutMilliseconds = 60_000;
/** Of a request without a known key so much is read before it is refused: enough that the refusal arrives, no more. */
const strangersBodyBytes = 1 << 20;

/** Listens when it resolves. Throws HeadraceError `PORT_IN_USE` or `CONFIGURATION`. */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { host = '127.0.0.1', port = 0 } = options;
  if (options.credentials === undefined && !isLoopbackAddress(host)) {
    throw new HeadraceError(
      'CONFIGURATION',
      `Listening on ${host} would let anybody who reaches it run code here: give --credentials FILE, or listen on 127.0.0.1.`,
    );
  }
  const door = new Door(options);
  const requestTimeout = options.requestTimeoutMilliseconds ?? defaultRequestTimeoutMilliseconds;
  const settings = {
    requestTimeout,
    headersTimeout: Math.min(10_000, requestTimeout),
    connectionsCheckingInterval: Math.min(1_000, requestTimeout),
    // The door refuses a missing name like a foreign one.
    requireHostHeader: false,
  };
  // The answer under way on a connection: nothing may be written into it.
  const answers = new WeakMap<Duplex, ServerResponse>();
  const server = createServer(settings, (request, response) => {
    const { socket } = request;
    answers.set(socket, response);
    response.on('close', () => {
      if (answers.get(socket) === response) answers.delete(socket);
    });
    void door.receive(request, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const isLate = answers.get(socket)?.headersSent === true || !socket.writable;
    if (isLate || error.code === 'ECONNRESET') socket.destroy();
    else socket.end(refusalOfBrokenRequest(error.code, randomUUID()));
  });
  // Longer than clients keep idle connections, so that they are the ones to close.
  server.keepAliveTimeout = 75_000;
  server.listen({ host, port });
  try {
    await once(server, 'listening');
  } catch (cause) {
    const isTaken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    const code = isTaken ? 'PORT_IN_USE' : 'CONFIGURATION';
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HeadraceError(code, `cannot listen on ${host}:${port}: ${reason}`, { cause, details: { host, port } });
  }
  const address = server.address() as AddressInfo;
  const shown = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
  return {
    endpoint: `http://${shown}:${address.port}`,
    port: address.port,
    async close(timeoutMilliseconds = 5_000) {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), timeoutMilliseconds);
      await closed;
      clearTimeout(timer);
    },
  };
}

/** What is no whole request never gets to an API; its answer has a request id as any other. */
function refusalOfBrokenRequest(code: string | undefined, requestId: string): string {
  const status =
    {
      ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
      HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
      HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
    }[code ?? ''] ?? '400 Bad Request';
  return `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\nx-amzn-RequestId: ${requestId}\r\n\r\n`;
}

class Door {
  readonly #options: GatewayOptions;
  readonly #limit: number;
  readonly #now: () => number;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#limit = options.maximumBodyBytes ?? defaultMaximumBodyBytes;
    this.#now = options.now ?? Date.now;
  }

  async receive(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const requestId = randomUUID();
    // A caller that goes away is nobody's error.
    outgoing.on('error', () => {});
    let answer: ApiResponse;
    try {
      answer = await this.#answer(incoming, requestId);
    } catch (error) {
      // A caller that goes away before it said everything is no defect.
      const isCutOff = incoming.destroyed && !incoming.complete;
      if (!isCutOff) this.#options.onError?.(error, { requestId, path: incoming.url ?? '' });
      answer = internalError();
    }
    try {
      await send(outgoing, answer, requestId, incoming.complete);
    } catch (error) {
      // Headers are out: all that can be said is that the body ends here.
      this.#options.onError?.(error, { requestId, path: incoming.url ?? '' });
      outgoing.destroy();
    }
  }

  async #answer(incoming: IncomingMessage, requestId: string): Promise<ApiResponse> {
    const headers = plainHeaders(incoming);
    const url = incoming.url ?? '/';
    const mark = url.indexOf('?');
    const path = mark === -1 ? url : url.slice(0, mark);
    if (!path.startsWith('/')) return malformed('The request target must be a path.');
    const query = new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1));
    const method = incoming.method ?? 'GET';
    const claim = signatureClaim({ query, headers });
    const apis = this.#candidates(path, headers, claim);
    const isProven = apis.some((api) => api.carriesOwnProof?.({ method, path, query, headers }) === true);
    const refused = isProven ? undefined : this.#refuseForeign(headers);
    if (refused !== undefined) return refused;
    const caller = isProven ? undefined : this.#identify(claim);
    const isUnknown = caller !== undefined && 'status' in caller;
    const limit = isUnknown ? Math.min(this.#limit, strangersBodyBytes) : this.#limit;
    const length = Number(headers['content-length'] ?? 0);
    if (length > limit) return isUnknown ? caller : bodyTooLarge(limit);
    const body = await readBody(incoming, limit);
    if (isUnknown) return caller;
    if (body === undefined) return bodyTooLarge(limit);
    const request = { method, path, query, headers, body, requestId };
    const wrong = caller === undefined ? undefined : this.#refuteCaller(request, claim!, caller, apis);
    if (wrong !== undefined) return wrong;
    for (const api of apis) {
      const response = await api.handle({ ...request, principal: caller?.principal });
      if (response !== undefined) return response;
    }
    const isElsewhere = claim !== undefined && !this.#options.apis.some(({ service }) => service === claim.service);
    return isElsewhere ? unknownService(claim.service) : unknownOperation(method, path);
  }

  #refuseForeign(headers: Readonly<Record<string, string>>): ApiResponse | undefined {
    if (isForeignOrigin(headers)) return foreignOrigin();
    // Where every request must be signed the name does not matter: a page has no key to sign with.
    if (this.#options.credentials !== undefined || isKnownHost(headers['host'])) return undefined;
    return foreignHost(headers['host'] ?? '');
  }

  /** Whose request it is: by the signature's service, the target header, or else whoever knows the path. */
  #candidates(
    path: string,
    headers: Readonly<Record<string, string>>,
    claim: SignatureClaim | undefined,
  ): readonly Api[] {
    const { apis } = this.#options;
    if (path.startsWith('/headrace/') || path === '/metrics') return apis;
    const service = serviceOfTarget(headers['x-amz-target']) ?? claim?.service;
    const named = apis.filter((api) => api.service === service);
    return named.length > 0 ? named : apis;
  }

  /** Whose key it is, before anything is read; undefined where signatures are not checked. */
  #identify(claim: SignatureClaim | undefined): Caller | ApiResponse | undefined {
    const { credentials } = this.#options;
    if (credentials === undefined) return undefined;
    if (claim === undefined) return missingSignature();
    return credentials.find(claim.accessKeyId, claim.sessionToken) ?? unknownKey();
  }

  #refuteCaller(
    request: Omit<ApiRequest, 'principal'>,
    claim: SignatureClaim,
    { secretAccessKey }: Caller,
    apis: readonly Api[],
  ): ApiResponse | undefined {
    const reason = refuteSignature(request, claim, secretAccessKey, this.#now());
    if (reason !== undefined) return wrongSignature(reason);
    // A signature for one service must not be good for another.
    const isOurs = apis.some((api) => api.service === claim.service) || request.path.startsWith('/headrace/');
    if (isOurs || request.path === '/metrics') return undefined;
    return wrongService(
      claim.service,
      apis.map((api) => api.service),
    );
  }
}

type Caller = NonNullable<ReturnType<Credentials['find']>>;

/** `DynamoDB_20120810.PutItem`: services of the JSON protocols name themselves there. */
const targets: readonly (readonly [string, string])[] = [
  ['DynamoDB', 'dynamodb'],
  ['SageMaker', 'sagemaker'],
  ['Logs_', 'logs'],
];

function serviceOfTarget(target: string | undefined): string | undefined {
  return target === undefined ? undefined : targets.find(([prefix]) => target.startsWith(prefix))?.[1];
}

function plainHeaders(incoming: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}

/** Undefined when it is longer than the limit; what is beyond is not read. By events: an iterator costs several times as much. */
function readBody(incoming: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      if (length <= limit) {
        chunks.push(chunk);
        return;
      }
      incoming.off('data', take).pause();
      resolve(undefined);
    };
    incoming.on('data', take);
    incoming.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)));
    incoming.on('error', reject);
    // A caller that goes away: the answer is nobody's any more.
    incoming.on('close', () => {
      if (!incoming.complete) reject(new Error('the request was cut off'));
    });
  });
}

const empty = Buffer.alloc(0);

async function send(
  outgoing: ServerResponse,
  { status, headers, body }: ApiResponse,
  requestId: string,
  isComplete: boolean,
): Promise<void> {
  outgoing.statusCode = status;
  outgoing.setHeader('x-amzn-RequestId', requestId);
  for (const [name, value] of Object.entries(headers ?? {})) outgoing.setHeader(name, value);
  // A request that was not read to its end leaves its rest on the connection.
  if (!isComplete) outgoing.setHeader('connection', 'close');
  if (isStream(body)) {
    for await (const chunk of body) {
      // Of a caller who has gone there is nothing to wait for: 'close' has been.
      if (!outgoing.destroyed && !outgoing.write(chunk)) await drained(outgoing);
      if (outgoing.destroyed) return;
    }
    outgoing.end();
    return;
  }
  if (status === 204 || body === undefined) {
    if (status !== 204) outgoing.setHeader('content-length', 0);
    outgoing.end(empty);
    return;
  }
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  if (!outgoing.hasHeader('content-type')) outgoing.setHeader('content-type', 'application/json');
  outgoing.setHeader('content-length', bytes.length);
  // Head and a short body in one write.
  if (bytes.length <= 16_384) outgoing.end(bytes.toString('latin1'), 'latin1');
  else outgoing.end(bytes);
}

/** Until the caller took what was written, or went away; leaves no listener behind. */
async function drained(outgoing: ServerResponse): Promise<void> {
  const either = new AbortController();
  try {
    await Promise.race([
      once(outgoing, 'drain', { signal: either.signal }),
      once(outgoing, 'close', { signal: either.signal }),
    ]);
  } finally {
    either.abort();
  }
}

const isStream = (body: ApiResponse['body']): body is AsyncIterable<Buffer> =>
  typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
