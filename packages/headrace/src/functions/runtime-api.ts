import { type AddressInfo, createServer, type Server } from 'node:net';
import type { Duplex } from 'node:stream';
import { responsePayloadLimit } from './error-payloads.ts';
import type { EventFile } from './event-file.ts';
import {
  type BodyReader,
  Exchange,
  type Headers,
  HttpConnection,
  type RequestHandler,
  utf8AsLatin1,
} from './http-connection.ts';
import type { Invocation } from './invocation.ts';

/** What the environment hears from its runtime, in the order of the Runtime API's states. */
export interface RuntimeDelegate {
  /** First `next`: init is over. Later ones: the invocation is complete. */
  runtimeNext(): void;
  runtimeResponse(body: Buffer): void;
  runtimeResponseTooLarge(): void;
  /** A streamed answer begins; pieces and then its end follow. */
  runtimeStream(head: { contentType: string }): StreamedResponse;
  runtimeError(errorType: string, body: Buffer): void;
  runtimeInitError(errorType: string, body: Buffer): void;
}

export interface StreamedResponse {
  data(piece: Buffer): Promise<void> | undefined;
  end(error: { errorType: string; body: Buffer } | undefined): void;
}

/** The paths of the port that are not the runtime's own. */
export interface OtherPaths {
  /** True when the request was one of them and is or will be answered. */
  request(exchange: Exchange, body: Buffer): boolean;
  closed(connection: HttpConnection): void;
}

type State = 'Started' | 'Ready' | 'Running' | 'ResponseSent' | 'ErrorSent' | 'InitError';
/** Connections that one environment may hold at a time: a runtime needs one or two, an extension two. */
const connectionLimit = 64;
const statusOk = '{"status":"OK"}';
const invocationPath = '/2018-06-01/runtime/invocation/';
const nextPath = `${invocationPath}next`;
/** What our runtimes write after an invocation, result and next request, around the request id, length and body. */
const resultBegin = Buffer.from(`POST ${invocationPath}`);
const resultMiddle = Buffer.from(
  '/response HTTP/1.1\r\nHost: runtime\r\nContent-Type: application/json\r\nContent-Length: ',
);
const nextRequest = Buffer.from(`GET ${nextPath} HTTP/1.1\r\nHost: runtime\r\n\r\n`);
const blankLine = Buffer.from('\r\n\r\n');
const accepted = `HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: ${statusOk.length}\r\n\r\n${statusOk}`;
/** In a request for the next event: the runtime reads descriptor 4. In the answer: so many bytes lie there. */
const eventFileHeader = 'Headrace-Event-File';
const eventFileKey = eventFileHeader.toLowerCase();
const noHeaders: Headers = Object.freeze({});

/**
 * Lambda's Runtime API for one execution environment: requests carry no identity, the port is it. Runtimes of ours talk
 * over a socket pair that only their process holds; once they do, the port refuses the runtime's own paths, so that no
 * other process of the machine can answer for them. Holds the state machine and nothing else: time, processes and
 * results are the environment's.
 */
export class RuntimeApi implements RequestHandler {
  readonly #delegate: RuntimeDelegate;
  readonly #others: OtherPaths;
  readonly #connections = new Set<HttpConnection>();
  #server: Server | undefined;
  #isClosed = false;
  #channel: HttpConnection | undefined;
  #channelUsed = false;
  #eventFile: EventFile | undefined;
  #readsEventFile = false;
  #state: State = 'Started';
  #next: Exchange | undefined;
  #invocation: Invocation | undefined;
  #deadline = 0;
  /** `host:port` for `AWS_LAMBDA_RUNTIME_API`. */
  address = '';

  constructor(delegate: RuntimeDelegate, others: OtherPaths) {
    this.#delegate = delegate;
    this.#others = others;
  }

  async listen(): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => {
      if (this.#connections.size >= connectionLimit) {
        socket.destroy();
        return;
      }
      this.#connections.add(new HttpConnection(socket, this, { headBytes: 32_768, bodyBytes: responsePayloadLimit }));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: '127.0.0.1', port: 0, backlog: 64 }, () => {
        server.removeListener('error', reject);
        resolve();
      });
    });
    if (this.#isClosed) {
      server.close();
      return;
    }
    // An accept that fails (too many files) must not end the engine; the client tries again.
    server.on('error', () => {});
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** A new process begins: what the last one left open is closed. `channel` is the engine's end of its socket pair. */
  reset(channel: Duplex | undefined, eventFile: EventFile | undefined): void {
    for (const connection of this.#connections) connection.destroy();
    this.#connections.clear();
    this.#state = 'Started';
    this.#next = undefined;
    this.#invocation = undefined;
    this.#channelUsed = false;
    this.#channel = undefined;
    this.#eventFile = eventFile;
    this.#readsEventFile = false;
    if (channel === undefined) return;
    this.#channel = new HttpConnection(channel, this, { headBytes: 32_768, bodyBytes: responsePayloadLimit }, true);
    this.#connections.add(this.#channel);
  }

  close(): void {
    this.#isClosed = true;
    this.#server?.close();
    this.#server = undefined;
    for (const connection of this.#connections) connection.destroy();
    this.#connections.clear();
    this.#next = undefined;
    this.#invocation = undefined;
  }

  /** Hands the event to the runtime, now or when it asks. `deadline` is in milliseconds of the Unix epoch. */
  deliver(invocation: Invocation, deadline: number): void {
    this.#invocation = invocation;
    this.#deadline = deadline;
    const next = this.#next;
    if (next === undefined) return;
    this.#next = undefined;
    this.#hand(next);
  }

  /** The invocation is over for the platform (time-out): what the runtime still posts for it is refused. */
  abandon(): void {
    this.#invocation = undefined;
  }

  #hand(exchange: Exchange): void {
    const invocation = this.#invocation!;
    this.#state = 'Running';
    let head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: ${invocation.requestId}\r\nLambda-Runtime-Deadline-Ms: ${this.#deadline}\r\nLambda-Runtime-Invoked-Function-Arn: ${invocation.invokedFunctionArn}\r\nLambda-Runtime-Trace-Id: ${invocation.traceHeader}\r\n`;
    if (invocation.clientContext !== undefined) {
      head += `Lambda-Runtime-Client-Context: ${utf8AsLatin1(invocation.clientContext)}\r\n`;
    }
    if (this.#readsEventFile && exchange.connection === this.#channel && this.#eventFile!.write(invocation.payload)) {
      exchange.send(`${head}${eventFileHeader}: ${invocation.payload.length}\r\nContent-Length: 0\r\n\r\n`, undefined);
      return;
    }
    // Given out once: a second write must not touch what the first may still be sending.
    const { headRoomBytes } = invocation;
    invocation.headRoomBytes = 0;
    exchange.send(`${head}Content-Length: ${invocation.payload.length}\r\n\r\n`, invocation.payload, headRoomBytes);
  }

  /**
   * The way of nearly every invocation: our runtimes write result and next request as one, so they are recognised as
   * one, without parsing. What looks in any way different takes the general way.
   */
  whole(connection: HttpConnection, chunk: Buffer): boolean {
    const invocation = this.#invocation;
    if (connection !== this.#channel || invocation === undefined || this.#state !== 'Running') return false;
    const body = resultOf(chunk, invocation.requestId);
    if (body === undefined || body.length > responsePayloadLimit) return false;
    const next = new Exchange(connection, 'GET', nextPath, noHeaders);
    connection.expect(next, accepted);
    this.#channelUsed = true;
    this.#invocation = undefined;
    this.#state = 'ResponseSent';
    this.#delegate.runtimeResponse(body);
    this.#state = 'Ready';
    this.#wait(next);
    this.#delegate.runtimeNext();
    return true;
  }

  request(exchange: Exchange, body: Buffer): void {
    const { path, method } = exchange;
    if (path.startsWith('/2018-06-01/')) {
      if (this.#channelUsed && exchange.connection !== this.#channel && path !== '/2018-06-01/ping') {
        refuse(exchange, 403, 'Forbidden', 'The runtime of this environment speaks over its own channel.');
      } else if (path.startsWith(invocationPath)) {
        this.#invocationRequest(exchange, path.slice(invocationPath.length), body);
      } else if (path === '/2018-06-01/runtime/init/error') {
        if (method === 'POST') this.#initError(exchange, body);
        else refuse(exchange, 405, 'MethodNotAllowed', 'The method is not allowed for this path.');
      } else if (path === '/2018-06-01/ping' && method === 'GET') {
        exchange.answer(200, '"pong"');
      } else {
        refuse(exchange, 404, 'NotFound', 'No such path.');
      }
      return;
    }
    if (!this.#others.request(exchange, body)) refuse(exchange, 404, 'NotFound', 'No such path.');
  }

  #invocationRequest(exchange: Exchange, rest: string, body: Buffer): void {
    if (rest === 'next') {
      if (exchange.method === 'GET') this.#nextRequest(exchange);
      else refuse(exchange, 405, 'MethodNotAllowed', 'The method is not allowed for this path.');
      return;
    }
    const slash = rest.indexOf('/');
    const operation = rest.slice(slash + 1);
    if (slash <= 0 || (operation !== 'response' && operation !== 'error')) {
      refuse(exchange, 404, 'NotFound', 'No such path.');
    } else if (exchange.method !== 'POST') {
      refuse(exchange, 405, 'MethodNotAllowed', 'The method is not allowed for this path.');
    } else if (this.#refused(exchange, rest.slice(0, slash), operation)) {
      // Answered.
    } else if (operation === 'response') {
      this.#state = 'ResponseSent';
      this.#invocation = undefined;
      exchange.answer(202, statusOk);
      this.#delegate.runtimeResponse(body);
    } else {
      this.#state = 'ErrorSent';
      this.#invocation = undefined;
      exchange.answer(202, statusOk);
      const posted = unpackError(exchange.headers, body);
      this.#delegate.runtimeError(posted.errorType, posted.body);
    }
  }

  /** Answers a result that may not be posted now. */
  #refused(exchange: Exchange, requestId: string, operation: string): boolean {
    if (this.#invocation !== undefined && this.#state === 'Running' && requestId === this.#invocation.requestId) {
      return false;
    }
    if (this.#state === 'Started' || this.#state === 'InitError') {
      this.#illegal(exchange, operation === 'response' ? 'InvocationResponse' : 'InvocationErrorResponse');
    } else {
      refuse(exchange, 400, 'InvalidRequestID', 'Invalid request ID');
    }
    return true;
  }

  #nextRequest(exchange: Exchange): void {
    if (this.#state === 'InitError') {
      this.#illegal(exchange, 'Ready');
      return;
    }
    if (exchange.connection === this.#channel) {
      this.#channelUsed = true;
      if (exchange.headers[eventFileKey] !== undefined) this.#readsEventFile = this.#eventFile !== undefined;
    }
    if (this.#state === 'Running') {
      // The runtime lost the answer and asks again: the same event (idempotent by Lambda's rule).
      if (this.#invocation !== undefined) this.#hand(exchange);
      else this.#wait(exchange);
      return;
    }
    const again = this.#state === 'Ready';
    this.#state = 'Ready';
    this.#wait(exchange);
    if (!again) this.#delegate.runtimeNext();
    else if (this.#invocation !== undefined) this.deliver(this.#invocation, this.#deadline);
  }

  /** Leaves `next` open. An older one that is still open is a connection the runtime gave up. */
  #wait(exchange: Exchange): void {
    const older = this.#next;
    this.#next = exchange;
    if (older !== undefined && older.connection !== exchange.connection) older.connection.destroy();
  }

  #initError(exchange: Exchange, body: Buffer): void {
    if (this.#state !== 'Started') {
      this.#illegal(exchange, 'InitError');
      return;
    }
    this.#state = 'InitError';
    exchange.answer(202, statusOk);
    const posted = unpackError(exchange.headers, body);
    this.#delegate.runtimeInitError(posted.errorType, posted.body);
  }

  #illegal(exchange: Exchange, to: string): void {
    refuse(
      exchange,
      403,
      'InvalidStateTransition',
      `State transition from ${this.#state} to ${to} failed for runtime. Error: State transition is not allowed`,
    );
  }

  bodyReader(exchange: Exchange): BodyReader | undefined {
    const mode = exchange.headers['lambda-runtime-function-response-mode'];
    if (mode === undefined || !exchange.path.startsWith(invocationPath)) return undefined;
    const [requestId, operation] = exchange.path.slice(invocationPath.length).split('/');
    if (operation !== 'response' || exchange.method !== 'POST') return undefined;
    if (this.#channelUsed && exchange.connection !== this.#channel) return undefined;
    const running = this.#invocation;
    if (running === undefined || this.#state !== 'Running' || requestId !== running.requestId) return undefined;
    this.#state = 'ResponseSent';
    this.#invocation = undefined;
    if (mode.toLowerCase() !== 'streaming') {
      const type = 'Runtime.InvalidResponseModeHeader';
      this.#delegate.runtimeError(
        type,
        Buffer.from(JSON.stringify({ errorMessage: `Invalid response mode ${JSON.stringify(mode)}`, errorType: type })),
      );
      return {
        data: () => undefined,
        end: () => refuse(exchange, 400, 'InvalidFunctionResponseMode', 'Invalid function response mode'),
        abort: () => {},
      };
    }
    const stream = this.#delegate.runtimeStream({
      contentType: exchange.headers['content-type'] ?? 'application/octet-stream',
    });
    return {
      data: (piece) => stream.data(piece),
      end: (trailers) => {
        const errorType = trailers['lambda-runtime-function-error-type'];
        exchange.answer(202, statusOk);
        const body = Buffer.from(trailers['lambda-runtime-function-error-body'] ?? '', 'base64');
        stream.end(errorType === undefined ? undefined : { errorType, body });
      },
      abort: () => {
        const type = 'Runtime.TruncatedResponse';
        const body = Buffer.from(JSON.stringify({ errorMessage: 'Response was truncated', errorType: type }));
        stream.end({ errorType: type, body });
      },
    };
  }

  bodyTooLarge(exchange: Exchange): void {
    const [requestId, operation] = exchange.path.startsWith(invocationPath)
      ? exchange.path.slice(invocationPath.length).split('/')
      : [];
    const mine = !this.#channelUsed || exchange.connection === this.#channel;
    if (mine && this.#state === 'Running' && requestId === this.#invocation?.requestId && operation !== undefined) {
      this.#state = operation === 'response' ? 'ResponseSent' : 'ErrorSent';
      this.#invocation = undefined;
      this.#delegate.runtimeResponseTooLarge();
    }
    refuse(
      exchange,
      413,
      'RequestEntityTooLarge',
      `Exceeded maximum allowed payload size (${responsePayloadLimit} bytes).`,
    );
  }

  closed(connection: HttpConnection): void {
    this.#connections.delete(connection);
    if (this.#next?.connection === connection) this.#next = undefined;
    this.#others.closed(connection);
  }
}

/** The body, when `chunk` is exactly the result of this request and a request for the next event. */
function resultOf(chunk: Buffer, requestId: string): Buffer | undefined {
  const idBegin = resultBegin.length;
  const headEnd = idBegin + requestId.length + resultMiddle.length;
  if (chunk.length < headEnd || !isAt(chunk, 0, resultBegin)) return undefined;
  for (let index = 0; index < requestId.length; index++) {
    if (chunk[idBegin + index] !== requestId.charCodeAt(index)) return undefined;
  }
  if (!isAt(chunk, idBegin + requestId.length, resultMiddle)) return undefined;
  let at = headEnd;
  let length = 0;
  for (const most = Math.min(at + 8, chunk.length); at < most; at++) {
    const digit = chunk[at]! - 0x30;
    if (!(digit >= 0 && digit <= 9)) break;
    length = length * 10 + digit;
  }
  if (at === headEnd || !isAt(chunk, at, blankLine)) return undefined;
  const start = at + blankLine.length;
  const end = start + length;
  if (chunk.length !== end + nextRequest.length || !isAt(chunk, end, nextRequest)) return undefined;
  return chunk.subarray(start, end);
}

/** Byte by byte: a few hundred cost less than the call that would compare them, or make a string of them. */
function isAt(chunk: Buffer, position: number, bytes: Buffer): boolean {
  if (position + bytes.length > chunk.length) return false;
  for (let index = 0; index < bytes.length; index++) {
    if (chunk[position + index] !== bytes[index]) return false;
  }
  return true;
}

function refuse(exchange: Exchange, status: number, errorType: string, errorMessage: string): void {
  exchange.answer(status, JSON.stringify({ errorMessage, errorType }));
}

/** The error type as Lambda keeps it for logs and metrics; the caller sees the body only. */
export function normalErrorType(type: string | undefined): string {
  if (type === undefined) return 'Runtime.Unknown';
  if (/^(?:Runtime|Function)\.[A-Z][A-Za-z]+$/.test(type)) return type;
  return type.startsWith('Function.') ? 'Function.Unknown' : 'Runtime.Unknown';
}

function unpackError(headers: Headers, body: Buffer): { errorType: string; body: Buffer } {
  const errorType = normalErrorType(headers['lambda-runtime-function-error-type']);
  if (headers['content-type'] !== 'application/vnd.aws.lambda.error.cause+json') return { errorType, body };
  try {
    const envelope: unknown = JSON.parse(body.toString());
    if (typeof envelope === 'object' && envelope !== null && 'error' in envelope) {
      return { errorType, body: Buffer.from(JSON.stringify(envelope.error)) };
    }
  } catch {
    // Not the envelope it claims to be: given on as it is.
  }
  return { errorType, body };
}
