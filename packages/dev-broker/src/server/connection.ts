import type { Socket } from 'node:net';
import type { Node } from '../cluster/cluster.ts';
import { ProtocolError, Reader } from '../protocol/reader.ts';
import { Writer } from '../protocol/writer.ts';
import { FrameReader, recycle } from './frames.ts';

/** Requests that may wait behind the one being answered before reading from the socket stops. */
const MAXIMUM_QUEUED = 32;
const MAXIMUM_QUEUED_BYTES = 4 << 20;

/** Header of a request, and where its body begins. */
export interface RequestHeader {
  readonly apiKey: number;
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string;
}

/**
 * What a request's answer is: its frame's parts, `null` for no answer at all, the end of the connection, or its end after
 * these bytes.
 */
export type Answer = Buffer[] | null | 'close' | { readonly cutAfter: Buffer[] };

/** Answers one request. */
export type Respond = (frame: Buffer, connection: Connection) => Answer | Promise<Answer>;

let lastConnectionId = 0;

/**
 * One client's connection. Requests are answered one at a time, in order, as Apache Kafka does it: a fetch that waits
 * holds up what follows. A client that does not read its answers is not read from either.
 */
export class Connection {
  readonly id = ++lastConnectionId;
  readonly socket: Socket;
  readonly node: Node;
  /** True on a listener with TLS. */
  readonly isSecure: boolean;
  /** Who is on the other side; set by authentication alone. */
  principal = 'User:ANONYMOUS';
  /** The client id of the latest request. */
  clientId = '';
  /** Name and version that the client told in ApiVersions. */
  software = '';
  /** State of the SASL exchange, owned by `security/`. */
  authentication: unknown;
  /** Aborted when the connection ends, so that waiting requests stop waiting. */
  readonly closed = new AbortController();
  readonly frames: FrameReader;
  readonly #respond: Respond;
  readonly #onError: (error: unknown, connection: Connection) => void;
  readonly #queue: Buffer[] = [];
  #queuedBytes = 0;
  #isBusy = false;
  /** Bytes sent, for faults that cut a connection. */
  bytesSent = 0;

  constructor(
    socket: Socket,
    node: Node,
    isSecure: boolean,
    largestFrame: number,
    respond: Respond,
    onError: (error: unknown, connection: Connection) => void,
  ) {
    this.socket = socket;
    this.node = node;
    this.isSecure = isSecure;
    this.frames = new FrameReader(largestFrame);
    this.#respond = respond;
    this.#onError = onError;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#data(chunk));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(undefined));
  }

  get remoteHost(): string {
    return this.socket.remoteAddress ?? '';
  }

  destroy(): void {
    this.socket.destroy();
  }

  #end(error: Error | undefined): void {
    if (!this.closed.signal.aborted) this.closed.abort();
    this.#queue.length = 0;
    // A client that goes away without a goodbye is everyday life; anything else is told.
    const code = (error as NodeJS.ErrnoException | undefined)?.code;
    if (error && code !== 'ECONNRESET' && code !== 'EPIPE') this.#onError(error, this);
  }

  #data(chunk: Buffer): void {
    try {
      this.frames.push(chunk, (frame) => {
        this.#queue.push(frame);
        this.#queuedBytes += frame.length;
      });
    } catch (error) {
      this.#onError(error, this);
      this.destroy();
      return;
    }
    if (this.#queue.length > MAXIMUM_QUEUED || this.#queuedBytes > MAXIMUM_QUEUED_BYTES) this.socket.pause();
    this.#next();
  }

  #next(): void {
    while (!this.#isBusy && !this.closed.signal.aborted) {
      const frame = this.#queue.shift();
      if (frame === undefined) {
        if (this.socket.isPaused()) this.socket.resume();
        return;
      }
      this.#queuedBytes -= frame.length;
      this.#isBusy = true;
      let answer: Answer | Promise<Answer>;
      try {
        answer = this.#respond(frame, this);
      } catch (error) {
        this.#fail(error);
        return;
      }
      if (answer instanceof Promise) {
        answer
          .then((value) => {
            recycle(frame);
            this.#answer(value);
            this.#next();
          })
          .catch((error: unknown) => this.#fail(error));
        return;
      }
      recycle(frame);
      this.#answer(answer);
    }
  }

  #fail(error: unknown): void {
    this.#onError(error, this);
    this.destroy();
  }

  #answer(answer: Answer): void {
    this.#isBusy = false;
    if (this.closed.signal.aborted || answer === null) return;
    if (answer === 'close') {
      this.destroy();
      return;
    }
    if (!Array.isArray(answer)) {
      for (const part of answer.cutAfter) this.socket.write(part);
      this.socket.destroySoon();
      return;
    }
    this.#isBusy = !this.send(answer);
    if (this.#isBusy) {
      this.socket.once('drain', () => {
        this.#isBusy = false;
        this.#next();
      });
    }
  }

  /** @returns false while the client should read first */
  send(parts: readonly Buffer[]): boolean {
    const { socket } = this;
    for (const part of parts) this.bytesSent += part.length;
    if (parts.length === 1) return socket.write(parts[0]!);
    socket.cork();
    let isDrained = true;
    for (const part of parts) isDrained = socket.write(part);
    socket.uncork();
    return isDrained || socket.writableLength === 0;
  }
}

/** Reads the fixed part of a request's header; tagged fields of flexible versions follow it. */
export function readHeader(reader: Reader): RequestHeader {
  const apiKey = reader.int16();
  const version = reader.int16();
  const correlationId = reader.int32();
  const clientId = reader.string(false) ?? '';
  return { apiKey, version, correlationId, clientId };
}

export function skipTags(reader: Reader): void {
  for (let count = reader.unsignedVarint(); count > 0; count--) {
    reader.unsignedVarint();
    reader.skip(reader.unsignedVarint());
  }
}

/** Frames an answer: length, correlation id, tags where the version has them, then the body. */
export function frameAnswer(correlationId: number, hasTags: boolean, writeBody: (writer: Writer) => void): Buffer[] {
  const writer = new Writer();
  writer.int32(0);
  writer.int32(correlationId);
  if (hasTags) writer.unsignedVarint(0);
  writeBody(writer);
  const size = writer.length - 4;
  const parts = writer.parts();
  parts[0]!.writeInt32BE(size, 0);
  return parts;
}

export { ProtocolError, Reader };
