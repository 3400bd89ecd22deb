// The Runtime API's client. A result and the request for the next event leave in one write (HTTP pipelining), and the
// answer to the first is not waited for: one way there and one back an invocation.
import { fstatSync, readSync } from 'node:fs';
import { connect, Socket } from 'node:net';

const headEnd = Buffer.from('\r\n\r\n');
const empty = Buffer.alloc(0);
const nextRequest = 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n';
/** The engine may lay events there instead of sending them. */
const eventFile = 4;
const base = '/2018-06-01/runtime/';

export class Channel {
  #socket;
  #input = empty;
  /** Headers of an event whose body is not complete, the body and how much of it has come. */
  #head;
  #body;
  #filled = 0;
  #onEvent;
  #hasEventFile = false;
  #event = empty;

  /** Without an address: the socket pair at descriptor 3. */
  constructor(address) {
    if (address === undefined) {
      this.#socket = new Socket({ fd: 3, readable: true, writable: true });
      this.#hasEventFile = isFile(eventFile);
    } else {
      const colon = address.lastIndexOf(':');
      this.#socket = connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)), noDelay: true });
    }
    this.#socket.on('data', (chunk) => this.#receive(chunk));
    // The platform is gone: so is the reason to live.
    this.#socket.on('error', () => process.exit(0));
    this.#socket.on('close', () => process.exit(0));
    this.#socket.unref();
  }

  start(onEvent) {
    this.#onEvent = onEvent;
    this.ref();
    this.#socket.write(
      this.#hasEventFile ? nextRequest.replace('\r\n\r\n', '\r\nHeadrace-Event-File: 4\r\n\r\n') : nextRequest,
    );
  }

  ref() {
    this.#socket.ref();
  }

  unref() {
    this.#socket.unref();
  }

  next() {
    this.#socket.write(nextRequest, 'latin1');
  }

  /** Posts a result, a JSON text, and asks for the next event. */
  respond(id, body) {
    const length = Buffer.byteLength(body);
    const head = `POST ${base}invocation/${id}/response HTTP/1.1\r\nHost: runtime\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
    if (length === body.length && length < 65_536) {
      this.#socket.write(head + body + nextRequest, 'latin1');
      return;
    }
    this.#socket.cork();
    this.#socket.write(head, 'latin1');
    this.#socket.write(body);
    this.#socket.write(nextRequest, 'latin1');
    this.#socket.uncork();
  }

  errorThenNext(id, errorType, body) {
    this.#socket.write(errorRequest(`invocation/${id}/error`, errorType, body) + nextRequest);
  }

  error(id, errorType, body, done) {
    this.#socket.write(errorRequest(`invocation/${id}/error`, errorType, body), done);
  }

  initError(errorType, body, done) {
    this.#socket.write(errorRequest('init/error', errorType, body), done);
  }

  /** Opens a streamed response; pieces, then `streamEnd`. */
  streamStart(id, contentType) {
    this.#socket.write(
      `POST ${base}invocation/${id}/response HTTP/1.1\r\nHost: runtime\r\nContent-Type: ${contentType}\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n`,
      'latin1',
    );
  }

  streamData(piece, done) {
    if (piece.length === 0) {
      done();
      return;
    }
    this.#socket.cork();
    this.#socket.write(`${piece.length.toString(16)}\r\n`, 'latin1');
    this.#socket.write(piece);
    this.#socket.write('\r\n', 'latin1', done);
    this.#socket.uncork();
  }

  streamEnd(error, done) {
    const trailers =
      error === undefined
        ? ''
        : `Lambda-Runtime-Function-Error-Type: ${headerValue(error.type)}\r\nLambda-Runtime-Function-Error-Body: ${Buffer.from(error.body).toString('base64')}\r\n`;
    this.#socket.write(`0\r\n${trailers}\r\n`, 'latin1', done);
  }

  #receive(chunk) {
    if (this.#head !== undefined) {
      const end = Math.min(chunk.length, this.#body.length - this.#filled);
      chunk.copy(this.#body, this.#filled, 0, end);
      this.#filled += end;
      if (this.#filled < this.#body.length) return;
      const head = this.#head;
      const body = this.#body;
      this.#head = undefined;
      this.#body = undefined;
      this.#input = chunk.subarray(end);
      this.#onEvent(head, body.utf8Slice(0, body.length));
      if (this.#input.length > 0) this.#parse();
      return;
    }
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    this.#parse();
  }

  #readEvent(length) {
    if (this.#event.length < length) this.#event = Buffer.allocUnsafeSlow(length);
    const read = readSync(eventFile, this.#event, 0, length, 0);
    if (read !== length) throw new Error(`read ${read} of ${length} bytes of the event`);
    return this.#event.utf8Slice(0, length);
  }

  #parse() {
    let input = this.#input;
    for (;;) {
      const end = input.indexOf(headEnd);
      if (end < 0) break;
      const text = input.latin1Slice(0, end);
      const status = text.slice(9, 12);
      const head = parseHead(text);
      const start = end + 4;
      if (head['transfer-encoding'] !== undefined) {
        // Not the platform, which always gives a length, but a proxy that a wrapper put in between.
        const chunked = decodeChunks(input, start);
        if (chunked === undefined) break;
        input = input.subarray(chunked.end);
        this.#input = input;
        if (status === '200') this.#onEvent(head, chunked.body.utf8Slice(0, chunked.body.length));
        if (this.#input !== input) return;
        continue;
      }
      const length = Number(head['content-length'] ?? 0);
      if (status === '200' && input.length - start < length) {
        this.#head = head;
        this.#body = Buffer.allocUnsafeSlow(length);
        input.copy(this.#body, 0, start);
        this.#filled = input.length - start;
        input = empty;
        break;
      }
      if (input.length - start < length) break;
      const rest = input.subarray(start + length);
      if (status === '200') {
        this.#input = rest;
        const laid = head['headrace-event-file'];
        this.#onEvent(
          head,
          laid === undefined ? input.utf8Slice(start, start + length) : this.#readEvent(Number(laid)),
        );
        if (this.#input !== rest) return;
      }
      // 202 is news to nobody; what the platform refused (a late or too large result), it has dealt with.
      input = rest;
      if (input.length === 0) break;
    }
    this.#input = input;
  }
}

const isFile = (descriptor) => {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false;
  }
};

function parseHead(text) {
  const head = {};
  let position = text.indexOf('\r\n') + 2;
  while (position > 1 && position < text.length) {
    let end = text.indexOf('\r\n', position);
    if (end < 0) end = text.length;
    const colon = text.indexOf(': ', position);
    head[text.slice(position, colon).toLowerCase()] = text.slice(colon + 2, end);
    position = end + 2;
  }
  return head;
}

/** A body in chunks from `position` on, and where it ends; undefined while it is not complete. */
function decodeChunks(input, position) {
  const pieces = [];
  for (;;) {
    const lineEnd = input.indexOf('\r\n', position);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(input.latin1Slice(position, lineEnd), 16);
    const start = lineEnd + 2;
    if (input.length < start + size + 2) return undefined;
    if (size === 0) return { body: Buffer.concat(pieces), end: start + 2 };
    pieces.push(input.subarray(start, start + size));
    position = start + size + 2;
  }
}

const headerValue = (text) => String(text).replace(/[^\x20-\x7e]/g, '?');

function errorRequest(path, errorType, body) {
  return `POST ${base}${path} HTTP/1.1\r\nHost: runtime\r\nContent-Type: application/json\r\nLambda-Runtime-Function-Error-Type: ${headerValue(errorType)}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
