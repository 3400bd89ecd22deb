import type { Duplex } from 'node:stream';

/** Lower-case header names; no prototype, so that a hostile name is only a key. */
export type Headers = Readonly<Record<string, string>>;

/** Takes the body of one request piece by piece. Exactly one of `end` and `abort` is called, last. */
export interface BodyReader {
  /** A promise holds the rest back until it resolves. */
  data(piece: Buffer): Promise<void> | undefined;
  end(trailers: Headers): void;
  /** The connection ended, or the body was malformed, before its end. */
  abort(): void;
}

export interface RequestHandler {
  /** A request whose body is complete. Answer now or later with {@link Exchange.answer}. */
  request(exchange: Exchange, body: Buffer): void;
  /** Called with the head alone: a reader takes the body as it comes, undefined collects it for `request`. */
  bodyReader(exchange: Exchange): BodyReader | undefined;
  /** The body is longer than {@link HttpLimits.bodyBytes}. It has been read and thrown away. */
  bodyTooLarge(exchange: Exchange): void;
  /** The connection is gone; a pending exchange of it will never be answered. */
  closed(connection: HttpConnection): void;
  /**
   * Of a connection that holds answers: a chunk that came between two requests. True when it was taken as a whole, by
   * way of {@link HttpConnection.expect}; else it is parsed.
   */
  whole(connection: HttpConnection, chunk: Buffer): boolean;
}

export interface HttpLimits {
  /** Longest request line and headers together. Default 32,768. */
  readonly headBytes: number;
  /** Longest body that is collected. */
  readonly bodyBytes: number;
}

const headEnd = Buffer.from('\r\n\r\n');
const noBody = Buffer.alloc(0);
/** What a client may send ahead of an answer, and the longest body that is read only to be refused. */
const aheadBytes = 1 << 20;
const discardBytes = 256 * (1 << 20);
const statusTexts: Readonly<Record<number, string>> = {
  200: 'OK',
  202: 'Accepted',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Payload Too Large',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
};

/** The UTF-8 bytes of a text as a string of one character a byte, the form that heads are written in. */
export function utf8AsLatin1(text: string): string {
  return /[^\x00-\x7f]/.test(text) ? Buffer.from(text).toString('latin1') : text;
}

/** One request and the way to answer it. */
export class Exchange {
  readonly connection: HttpConnection;
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
  answered = false;

  constructor(connection: HttpConnection, method: string, path: string, headers: Headers) {
    this.connection = connection;
    this.method = method;
    this.path = path;
    this.headers = headers;
  }

  /** Answers with a JSON body. `extra` holds further header lines, each ended by CRLF. */
  answer(status: number, body: string, extra = ''): void {
    const bytes = utf8AsLatin1(body);
    this.send(
      `HTTP/1.1 ${status} ${statusTexts[status] ?? 'Unknown'}\r\nContent-Type: application/json\r\n${extra}Content-Length: ${bytes.length}\r\n\r\n${bytes}`,
      undefined,
    );
  }

  /**
   * Answers with a head that the caller wrote out, one character a byte ({@link utf8AsLatin1}), and a body; the pieces
   * leave in one write where possible. So many bytes before the body, in the same memory, are free for the head.
   */
  send(head: string, body: Uint8Array | undefined, freeBytes = 0): void {
    if (this.answered) return;
    this.answered = true;
    this.connection.answer(head, body, freeBytes);
  }
}

/**
 * One HTTP/1.1 connection of the Runtime API: requests in order, keep-alive, bodies with a length or in chunks. Own code
 * because `node:http` costs about half as much again on the path of every invocation; the clients are runtimes, so it
 * knows no more of HTTP than they use, and closes on anything malformed.
 */
export class HttpConnection {
  readonly #socket: Duplex;
  readonly #handler: RequestHandler;
  readonly #limits: HttpLimits;
  /** Answers to pipelined requests leave together with the answer of a long poll that follows in the same chunk. */
  readonly #holdsAnswers: boolean;

  #input: Buffer = noBody;
  #exchange: Exchange | undefined;
  #reader: BodyReader | undefined;
  #body: Buffer = noBody;
  #bodyFilled = 0;
  /** Bytes of the body still to come; -1: chunked. */
  #remaining = 0;
  #chunkRemaining = 0;
  #chunked: Buffer[] = [];
  #tooLarge = false;
  #discarded = 0;
  #waits = 0;
  #phase: 'head' | 'body' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailers' | 'answering' | 'closed' = 'head';
  #parsing = false;
  #out = '';
  #closeAfterAnswer = false;
  #reportedClosed = false;

  constructor(socket: Duplex, handler: RequestHandler, limits: HttpLimits, holdsAnswers = false) {
    this.#socket = socket;
    this.#handler = handler;
    this.#limits = limits;
    this.#holdsAnswers = holdsAnswers;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    if (holdsAnswers) passChunksOn(socket, (chunk) => this.#receive(chunk));
    // A reset is an end like any other: 'close' follows.
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('close', () => this.#closed());
  }

  get open(): boolean {
    return this.#phase !== 'closed';
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Takes a request that the handler read itself. `before` answers those that came with it. */
  expect(exchange: Exchange, before: string): void {
    this.#exchange = exchange;
    this.#phase = 'answering';
    this.#closeAfterAnswer = false;
    this.#out += before;
  }

  /** Called by {@link Exchange} only. */
  answer(head: string, body: Uint8Array | undefined, freeBytes: number): void {
    if (this.#phase === 'closed') return;
    const socket = this.#socket;
    if (body === undefined) {
      this.#out += head;
    } else if (this.#out.length + head.length <= freeBytes) {
      const text = this.#out + head;
      this.#out = '';
      const bytes = Buffer.from(body.buffer, body.byteOffset - text.length, text.length + body.length);
      bytes.write(text, 0, 'latin1');
      socket.write(bytes);
    } else if (body.length <= 16_384) {
      const text = this.#out + head;
      this.#out = '';
      const bytes = Buffer.allocUnsafe(text.length + body.length);
      bytes.write(text, 0, 'latin1');
      bytes.set(body, text.length);
      socket.write(bytes);
    } else {
      socket.cork();
      socket.write(this.#out + head, 'latin1');
      this.#out = '';
      socket.write(body);
      socket.uncork();
    }
    this.#exchange = undefined;
    if (this.#phase === 'answering') this.#phase = 'head';
    if (this.#closeAfterAnswer) {
      this.#flush();
      this.#phase = 'closed';
      socket.end();
      return;
    }
    if (this.#parsing) return;
    this.#flush();
    if (this.#input.length > 0) {
      const ahead = this.#input;
      this.#input = noBody;
      this.#receive(ahead);
    }
    if (socket.isPaused()) socket.resume();
  }

  #flush(): void {
    if (this.#out === '') return;
    this.#socket.write(this.#out, 'latin1');
    this.#out = '';
  }

  #receive(chunk: Buffer): void {
    if (this.#phase === 'closed') return;
    if (this.#holdsAnswers && this.#phase === 'head' && this.#input.length === 0 && this.#handler.whole(this, chunk))
      return;
    let input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    this.#input = noBody;
    this.#parsing = true;
    let position = 0;
    while (position < input.length && this.#open()) {
      if (this.#phase === 'answering') break;
      const before = position;
      position = this.#step(input, position);
      if (position === before) break;
    }
    this.#parsing = false;
    if (!this.#open()) return;
    if (position < input.length) {
      input = position === 0 ? input : input.subarray(position);
      this.#input = input;
      if (this.#phase === 'answering' && input.length > aheadBytes) this.#socket.pause();
    }
    if (!(this.#holdsAnswers && this.#phase === 'answering')) this.#flush();
  }

  #open(): boolean {
    return this.#phase !== 'closed';
  }

  /** Consumes what it can from `position`; the same position back means that more bytes are needed. */
  #step(input: Buffer, position: number): number {
    switch (this.#phase) {
      case 'head':
        return this.#head(input, position);
      case 'body':
        return this.#fixedBody(input, position);
      case 'chunk-size':
        return this.#chunkSize(input, position);
      case 'chunk-data': {
        const end = Math.min(input.length, position + this.#chunkRemaining);
        this.#piece(input.subarray(position, end));
        this.#chunkRemaining -= end - position;
        if (this.#chunkRemaining === 0) this.#phase = 'chunk-end';
        return end;
      }
      case 'chunk-end':
        if (input.length - position < 2) return position;
        if (input[position] !== 13 || input[position + 1] !== 10) return this.#malformed('chunk without end');
        this.#phase = 'chunk-size';
        return position + 2;
      case 'trailers':
        return this.#trailers(input, position);
      default:
        return position;
    }
  }

  #head(input: Buffer, position: number): number {
    // Empty lines before a request are to be ignored (RFC 9112, 2.2).
    while (input[position] === 13 && input[position + 1] === 10) position += 2;
    const end = input.indexOf(headEnd, position);
    if (end < 0 || end - position > this.#limits.headBytes) {
      if (input.length - position > this.#limits.headBytes) return this.#malformed('header too long', 431);
      return position;
    }
    const text = input.toString('latin1', position, end);
    const lineEnd = text.indexOf('\r\n');
    const line = lineEnd < 0 ? text : text.slice(0, lineEnd);
    const first = line.indexOf(' ');
    const last = line.lastIndexOf(' ');
    const version = line.slice(last + 1);
    if (first <= 0 || last <= first + 1 || (version !== 'HTTP/1.1' && version !== 'HTTP/1.0')) {
      return this.#malformed('request line');
    }
    const headers = parseHeaders(text, lineEnd < 0 ? text.length : lineEnd + 2);
    if (headers === undefined) return this.#malformed('header');
    const exchange = new Exchange(this, line.slice(0, first), line.slice(first + 1, last), headers);
    this.#exchange = exchange;
    const connection = headers['connection'];
    this.#closeAfterAnswer =
      connection === undefined ? version === 'HTTP/1.0' : connection.toLowerCase().includes('close');
    const body = end + 4;
    const transfer = headers['transfer-encoding'];
    const length = headers['content-length'];
    if (transfer !== undefined) {
      // Both lengths at once is how requests are smuggled past each other (RFC 9112, 6.3).
      if (length !== undefined || transfer.trim().toLowerCase() !== 'chunked') return this.#malformed('body length');
      this.#begin(exchange, -1);
      return body;
    }
    if (length === undefined || length === '0') {
      this.#finish(exchange, noBody);
      return body;
    }
    if (!/^\d{1,15}$/.test(length)) return this.#malformed('body length');
    const size = Number(length);
    const reader = this.#handler.bodyReader(exchange);
    if (reader === undefined && size <= input.length - body && size <= this.#limits.bodyBytes) {
      this.#finish(exchange, input.subarray(body, body + size));
      return body + size;
    }
    this.#begin(exchange, size, reader);
    return body;
  }

  #begin(exchange: Exchange, size: number, reader = this.#handler.bodyReader(exchange)): void {
    if (exchange.headers['expect']?.toLowerCase() === '100-continue') {
      this.#out += 'HTTP/1.1 100 Continue\r\n\r\n';
      this.#flush();
    }
    this.#reader = reader;
    this.#tooLarge = reader === undefined && size > this.#limits.bodyBytes;
    this.#discarded = 0;
    this.#bodyFilled = 0;
    if (size < 0) {
      this.#chunked = [];
      this.#phase = 'chunk-size';
    } else {
      this.#remaining = size;
      this.#body = reader === undefined && !this.#tooLarge ? Buffer.allocUnsafeSlow(size) : noBody;
      this.#phase = 'body';
    }
  }

  #fixedBody(input: Buffer, position: number): number {
    const end = Math.min(input.length, position + this.#remaining);
    this.#remaining -= end - position;
    if (this.#reader !== undefined || this.#tooLarge) {
      this.#piece(input.subarray(position, end));
    } else {
      input.copy(this.#body, this.#bodyFilled, position, end);
      this.#bodyFilled += end - position;
    }
    if (this.#remaining === 0 && this.#open()) this.#bodyEnd(this.#body, {});
    return end;
  }

  #chunkSize(input: Buffer, position: number): number {
    const end = input.indexOf('\r\n', position, 'latin1');
    if (end < 0) return input.length - position > 1_024 ? this.#malformed('chunk size') : position;
    const digits = /^([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?$/.exec(input.toString('latin1', position, end));
    if (digits === null) return this.#malformed('chunk size');
    this.#chunkRemaining = Number.parseInt(digits[1]!, 16);
    this.#phase = this.#chunkRemaining === 0 ? 'trailers' : 'chunk-data';
    return end + 2;
  }

  #trailers(input: Buffer, position: number): number {
    if (input[position] === 13 && input[position + 1] === 10) {
      this.#bodyEnd(this.#chunked.length === 1 ? this.#chunked[0]! : Buffer.concat(this.#chunked), {});
      return position + 2;
    }
    // A trailer may carry an error body in base64: as long as a body.
    const end = input.indexOf(headEnd, position);
    if (end < 0) return input.length - position > 2 * this.#limits.bodyBytes ? this.#malformed('trailers') : position;
    const trailers = parseHeaders(input.toString('latin1', position, end), 0);
    if (trailers === undefined) return this.#malformed('trailers');
    this.#bodyEnd(Buffer.concat(this.#chunked), trailers);
    return end + 4;
  }

  /** A piece of a body that has a reader, is too large, or comes in chunks. */
  #piece(piece: Buffer): void {
    if (this.#reader !== undefined) {
      const room = this.#reader.data(piece);
      if (room !== undefined) this.#waitFor(room);
      return;
    }
    if (!this.#tooLarge) {
      this.#bodyFilled += piece.length;
      if (this.#bodyFilled <= this.#limits.bodyBytes) {
        this.#chunked.push(piece);
        return;
      }
      this.#tooLarge = true;
      this.#chunked = [];
    }
    this.#discarded += piece.length;
    if (this.#discarded > discardBytes) this.#malformed('body too long', 413);
  }

  /** Whoever takes the body cannot take more now: the client waits, as on any full connection. */
  #waitFor(room: Promise<void>): void {
    this.#waits++;
    this.#socket.pause();
    void room.then(() => {
      if (--this.#waits === 0) this.#socket.resume();
    });
  }

  #bodyEnd(body: Buffer, trailers: Headers): void {
    const exchange = this.#exchange!;
    const reader = this.#reader;
    this.#reader = undefined;
    this.#body = noBody;
    this.#chunked = [];
    if (reader !== undefined) {
      this.#phase = 'answering';
      reader.end(trailers);
    } else if (this.#tooLarge) {
      this.#phase = 'answering';
      this.#handler.bodyTooLarge(exchange);
    } else {
      this.#finish(exchange, body);
    }
  }

  #finish(exchange: Exchange, body: Buffer): void {
    this.#phase = 'answering';
    this.#handler.request(exchange, body);
  }

  #malformed(what: string, status = 400): number {
    const body = JSON.stringify({ errorMessage: `malformed request: ${what}`, errorType: 'InvalidRequest' });
    this.#socket.end(
      `${this.#out}HTTP/1.1 ${status} ${statusTexts[status]}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    this.#closed();
    // What still comes is not read; the peer gets a moment to read the answer.
    this.#socket.resume();
    return Number.MAX_SAFE_INTEGER;
  }

  #closed(): void {
    this.#phase = 'closed';
    if (this.#reportedClosed) return;
    this.#reportedClosed = true;
    this.#input = noBody;
    this.#out = '';
    const reader = this.#reader;
    this.#reader = undefined;
    this.#exchange = undefined;
    reader?.abort();
    this.#handler.closed(this);
  }
}

/**
 * Hands what a socket reads to `receive` before it becomes an event: the stream's buffer and its ticks cost a twentieth of
 * a small invocation. While the stream is paused, or holds something, chunks go their usual way, to the same end.
 */
function passChunksOn(socket: Duplex, receive: (chunk: Buffer) => void): void {
  const push = socket.push;
  socket.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
    if (chunk === null || socket.readableFlowing !== true || socket.readableLength > 0)
      return push.call(socket, chunk, encoding);
    receive(chunk);
    return true;
  };
}

/** Header lines from `from` on; undefined when one is malformed. */
function parseHeaders(text: string, from: number): Headers | undefined {
  const headers: Record<string, string> = Object.create(null);
  let position = from;
  while (position < text.length) {
    let end = text.indexOf('\r\n', position);
    if (end < 0) end = text.length;
    const colon = text.indexOf(':', position);
    if (colon <= position || colon >= end) return undefined;
    const name = text.slice(position, colon).toLowerCase();
    // Blanks before the colon and folded lines are attacks or relics (RFC 9112, 5.1 and 5.2).
    if (/[^!#$%&'*+.^_`|~0-9a-z-]/.test(name)) return undefined;
    const value = text.slice(colon + 1, end).trim();
    if (name === 'content-length' && headers[name] !== undefined && headers[name] !== value) return undefined;
    headers[name] = value;
    position = end + 2;
  }
  return headers;
}
