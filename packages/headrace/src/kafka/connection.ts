import { isIP, type NetConnectOpts, type Socket, connect as tcpConnect } from 'node:net';
import { type ConnectionOptions as TlsConnectOptions, connect as tlsConnect } from 'node:tls';
import { HeadraceError, toHeadraceError } from '../errors.ts';
import { authenticate } from './authentication.ts';
import type { ClusterConfiguration } from './contract.ts';
import { KafkaCode } from './protocol-errors.ts';
import { type ResponseBlock, responseMemory, sharedReceiveBuffer } from './receive-memory.ts';
import { type ApiVersions, apiVersions } from './session-requests.ts';
import { checkAuthority, isHandshakeError, tlsError, unusableTls } from './tls-errors.ts';
import { type KafkaRequest, WireReader, WireWriter } from './wire.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionOptions {
  readonly tls?: ClusterConfiguration['tls'];
  readonly sasl?: ClusterConfiguration['sasl'];
  readonly clientId: string;
  /** Shown by brokers in their metrics (KIP-511). */
  readonly clientVersion: string;
  /** For name resolution, TCP and TLS together. */
  readonly connectTimeoutMilliseconds: number;
  /** Of a request that names no other. */
  readonly requestTimeoutMilliseconds: number;
  /** Ends the attempt to open a connection; one that is open stays. */
  readonly signal?: AbortSignal;
}

/** The response of a request that is read where it lies. `block` must be released when nothing points into it any more. */
export interface RawResponse {
  readonly block: ResponseBlock;
  readonly reader: WireReader;
}

interface Pending {
  readonly request: KafkaRequest<unknown>;
  readonly correlation: number;
  readonly raw: boolean;
  readonly timer: NodeJS.Timeout | undefined;
  resolve(value: unknown): void;
  reject(error: HeadraceError): void;
}

/** A response beyond this is refused. Kafka's own limit of a batch is `message.max.bytes`, 1 MiB by default. */
const MAXIMUM_RESPONSE_BYTES = 256 << 20;
/** A body whose rest is at least this large is read straight into its own block. */
const DIRECT_READ_BYTES = 16 << 10;
/** The part of a session's lifetime after which it is authenticated anew. */
const REAUTHENTICATION_SHARE = 0.8;
/** A timer of more (24.8 days) ends at once: a token of two months would be renewed all the time. */
const LONGEST_TIMER_MILLISECONDS = 2 ** 31 - 1;

/** What an error of the network says. Of a name with several addresses each failure says something, all together nothing. */
export const reasonOf = (error: Error): string =>
  error instanceof AggregateError
    ? error.errors.map((each: unknown) => (each instanceof Error ? each.message : String(each))).join('; ')
    : error.message;

/**
 * One connection to one broker: frames, pipelining, time-outs, TLS and SASL. Requests are answered in order, so a long
 * poll holds up what is sent after it: use a connection for each kind of work.
 */
export class Connection {
  readonly address: Address;
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  /** Sent and not answered, oldest first. */
  #pending: Pending[] = [];
  #correlation = 0;
  #versions: ApiVersions['versions'] = new Map();
  #error: HeadraceError | undefined;
  #isReady = false;
  /** Requests that wait until a re-authentication is through. */
  #held: (() => void)[] | undefined;
  #reauthentication: NodeJS.Timeout | undefined;
  #onClose: ((error: HeadraceError) => void) | undefined;

  // The frame that is being received: four bytes of length, then the body.
  readonly #head = Buffer.allocUnsafe(4);
  #headFilled = 0;
  #body: Buffer | undefined;
  #bodyLength = 0;
  #bodyFilled = 0;
  #block: ResponseBlock | undefined;

  /**
   * Connects, asks for the broker's versions, authenticates.
   *
   * @throws HeadraceError KAFKA_UNREACHABLE, KAFKA_TLS, KAFKA_AUTHENTICATION, KAFKA_TIMEOUT, KAFKA_UNSUPPORTED
   */
  static async open(address: Address, options: ConnectionOptions): Promise<Connection> {
    if (options.signal?.aborted === true) throw new HeadraceError('KAFKA_DISCONNECTED', 'the cluster was closed');
    const connection = new Connection(address, options);
    const abort = (): void => connection.close();
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      await connection.#established();
      await connection.#handshake();
      return connection;
    } catch (error) {
      const failure = toHeadraceError(error, 'KAFKA_DISCONNECTED');
      connection.close(failure);
      throw failure;
    } finally {
      options.signal?.removeEventListener('abort', abort);
    }
  }

  private constructor(address: Address, options: ConnectionOptions) {
    this.address = address;
    this.#options = options;
    const onread = { buffer: () => this.#receiveBuffer(), callback: (count: number) => this.#received(count) };
    const { host, port } = address;
    const { tls } = options;
    if (tls === undefined) {
      this.#socket = tcpConnect({ host, port, noDelay: true, onread } as NetConnectOpts);
    } else {
      const serverName = tls.serverName ?? host;
      try {
        checkAuthority(tls);
        this.#socket = tlsConnect({
          host,
          port,
          // An address is no server name (RFC 6066), but its certificate is checked against it all the same.
          ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
          ca: tls.certificateAuthority,
          cert: tls.certificate,
          key: tls.privateKey,
          passphrase: tls.privateKeyPassword,
          rejectUnauthorized: tls.rejectUnauthorized ?? true,
          ...(tls.verifyServerName === false ? { checkServerIdentity: () => undefined } : {}),
          onread,
        } as TlsConnectOptions);
      } catch (error) {
        throw unusableTls(address, tls, error as Error);
      }
      this.#socket.setNoDelay(true);
    }
    this.#socket.on('error', (error) => this.#fail(this.#socketError(error)));
    this.#socket.on('close', () => this.#fail(this.#closedError()));
    this.#socket.on('end', () => this.#socket.destroy());
  }

  get isClosed(): boolean {
    return this.#error !== undefined;
  }

  /** Called once when the connection ends, for whatever reason. */
  onClose(listener: (error: HeadraceError) => void): void {
    if (this.#error !== undefined) listener(this.#error);
    else this.#onClose = listener;
  }

  /** Versions of a request that the broker takes; undefined where it does not know it. */
  versionsOf(key: number): { readonly min: number; readonly max: number } | undefined {
    return this.#versions.get(key);
  }

  /**
   * The highest of our versions that the broker takes too.
   *
   * @throws HeadraceError KAFKA_UNSUPPORTED
   */
  bestVersion(key: number, name: string, min: number, max: number): number {
    const offered = this.#versions.get(key);
    const best = offered === undefined ? -1 : Math.min(offered.max, max);
    if (offered === undefined || best < min || best < offered.min) {
      const offer = offered === undefined ? 'not at all' : `in versions ${offered.min} to ${offered.max}`;
      throw new HeadraceError(
        'KAFKA_UNSUPPORTED',
        `${this.#name()} offers ${name} ${offer}; versions ${min} to ${max} are spoken here`,
      );
    }
    return best;
  }

  /** Sends a request; resolves with what its response says. A time-out ends the connection: answers come in order. */
  send<T>(request: KafkaRequest<T>, timeoutMilliseconds?: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const go = (): void =>
        this.#send(request, false, timeoutMilliseconds, resolve as (value: unknown) => void, reject);
      if (this.#held !== undefined) this.#held.push(go);
      else go();
    });
  }

  /** As `send`, for responses that are read where they lie. */
  sendRaw(request: KafkaRequest<unknown>, timeoutMilliseconds?: number): Promise<RawResponse> {
    return new Promise<RawResponse>((resolve, reject) => {
      const go = (): void =>
        this.#send(request, true, timeoutMilliseconds, resolve as (value: unknown) => void, reject);
      if (this.#held !== undefined) this.#held.push(go);
      else go();
    });
  }

  /** Ends the connection; requests without an answer fail with the error. */
  close(error?: HeadraceError): void {
    this.#fail(error ?? new HeadraceError('KAFKA_DISCONNECTED', `the connection to ${this.#name()} was closed`));
  }

  #name(): string {
    return `${this.address.host}:${this.address.port}`;
  }

  #established(): Promise<void> {
    return new Promise((resolve, reject) => {
      const milliseconds = this.#options.connectTimeoutMilliseconds;
      const timer = setTimeout(() => {
        this.close(new HeadraceError('KAFKA_UNREACHABLE', `${this.#name()} did not answer within ${milliseconds} ms`));
      }, milliseconds);
      this.#onClose = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      this.#socket.once(this.#options.tls === undefined ? 'connect' : 'secureConnect', () => {
        clearTimeout(timer);
        this.#onClose = undefined;
        resolve();
      });
    });
  }

  async #handshake(): Promise<void> {
    const urgent = this.#urgent;
    const { clientVersion } = this.#options;
    let answer = await urgent(apiVersions(3, clientVersion));
    if (answer.error === KafkaCode.UNSUPPORTED_VERSION) answer = await urgent(apiVersions(0, clientVersion));
    if (answer.error !== 0) {
      throw new HeadraceError('KAFKA_UNSUPPORTED', `${this.#name()} does not tell its versions: error ${answer.error}`);
    }
    this.#versions = answer.versions;
    await this.#authenticate();
    this.#isReady = true;
  }

  /** Sends ahead of requests that are held. */
  readonly #urgent = <T>(request: KafkaRequest<T>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      this.#send(request, false, undefined, resolve as (value: unknown) => void, reject);
    });

  async #authenticate(): Promise<void> {
    const { sasl } = this.#options;
    if (sasl === undefined) return;
    const lifetime = await authenticate(sasl, this.address.host, this.#urgent);
    if (lifetime <= 0) return;
    const pause = Math.min(lifetime * REAUTHENTICATION_SHARE, LONGEST_TIMER_MILLISECONDS);
    this.#reauthentication = setTimeout(() => void this.#reauthenticate(), pause);
    this.#reauthentication.unref();
  }

  /** KIP-368: on the same connection, with nothing else in between. */
  async #reauthenticate(): Promise<void> {
    if (this.isClosed) return;
    const held: (() => void)[] = [];
    this.#held = held;
    try {
      await this.#authenticate();
    } catch (error) {
      this.close(toHeadraceError(error, 'KAFKA_AUTHENTICATION'));
    }
    this.#held = undefined;
    for (const go of held) go();
  }

  #send(
    request: KafkaRequest<unknown>,
    raw: boolean,
    timeoutMilliseconds: number | undefined,
    resolve: (value: unknown) => void,
    reject: (error: HeadraceError) => void,
  ): void {
    if (this.#error !== undefined) {
      reject(this.#error);
      return;
    }
    const correlation = this.#correlation;
    this.#correlation = (correlation + 1) & 0x7fff_ffff;
    const writer = new WireWriter(false);
    writer.int32(0).int16(request.key).int16(request.version).int32(correlation).string(this.#options.clientId);
    writer.flexible = request.flexible;
    writer.tags();
    request.write(writer);
    writer.patchInt32(0, writer.length - 4);

    const limit = timeoutMilliseconds ?? this.#options.requestTimeoutMilliseconds;
    const timer = setTimeout(() => {
      this.close(
        new HeadraceError('KAFKA_TIMEOUT', `${this.#name()} did not answer ${request.name} within ${limit} ms`),
      );
    }, limit);
    this.#pending.push({ request, correlation, raw, timer, resolve, reject });
    this.#socket.write(writer.written);
  }

  #receiveBuffer(): Buffer {
    const body = this.#body;
    if (body !== undefined && this.#bodyLength - this.#bodyFilled >= DIRECT_READ_BYTES) {
      return body.subarray(this.#bodyFilled, this.#bodyLength);
    }
    return sharedReceiveBuffer;
  }

  /** `count` bytes lie in the buffer that `#receiveBuffer` last gave. */
  #received(count: number): boolean {
    const body = this.#body;
    if (body !== undefined && this.#bodyLength - this.#bodyFilled >= DIRECT_READ_BYTES) {
      this.#bodyFilled += count;
      if (this.#bodyFilled === this.#bodyLength) this.#frame();
    } else {
      for (let position = 0; position < count && this.#error === undefined; ) position = this.#consume(position, count);
    }
    return true;
  }

  /** Takes what it can of the shared buffer from `position` on; returns the position after it. */
  #consume(position: number, count: number): number {
    if (this.#body === undefined) {
      const part = Math.min(4 - this.#headFilled, count - position);
      sharedReceiveBuffer.copy(this.#head, this.#headFilled, position, position + part);
      this.#headFilled += part;
      if (this.#headFilled === 4) this.#begin(this.#head.readInt32BE(0));
      return position + part;
    }
    const part = Math.min(this.#bodyLength - this.#bodyFilled, count - position);
    sharedReceiveBuffer.copy(this.#body, this.#bodyFilled, position, position + part);
    this.#bodyFilled += part;
    if (this.#bodyFilled === this.#bodyLength) this.#frame();
    return position + part;
  }

  #begin(length: number): void {
    const head = this.#pending[0];
    if (length < 4 || length > MAXIMUM_RESPONSE_BYTES || head === undefined) {
      this.#fail(this.#frameError(length));
      return;
    }
    this.#bodyLength = length;
    this.#bodyFilled = 0;
    if (head.raw) {
      this.#block = responseMemory.take(length);
      this.#body = this.#block.bytes;
    } else this.#body = Buffer.allocUnsafe(length);
  }

  /** A whole response is there. */
  #frame(): void {
    const body = this.#body!;
    const block = this.#block;
    this.#body = undefined;
    this.#block = undefined;
    this.#headFilled = 0;
    const pending = this.#pending.shift()!;
    clearTimeout(pending.timer);
    const { request } = pending;
    if (body.readInt32BE(0) !== pending.correlation) {
      block?.release();
      const error = new HeadraceError('KAFKA_PROTOCOL', `${this.#name()} answers out of order`);
      pending.reject(error);
      this.#fail(error);
      return;
    }
    try {
      const reader = new WireReader(body, 4, this.#bodyLength, request.flexible);
      // The one exception: the header of an ApiVersions response never has tagged fields (KIP-511).
      if (request.key !== 18) reader.tags();
      pending.resolve(block === undefined ? request.read(reader) : { block, reader });
    } catch (error) {
      block?.release();
      const failure = toHeadraceError(error, 'KAFKA_PROTOCOL');
      pending.reject(failure);
      this.#fail(failure);
    }
  }

  #fail(error: HeadraceError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    clearTimeout(this.#reauthentication);
    this.#socket.destroy();
    this.#block?.release();
    this.#block = undefined;
    this.#body = undefined;
    const pending = this.#pending;
    this.#pending = [];
    for (const each of pending) {
      clearTimeout(each.timer);
      each.reject(error);
    }
    const onClose = this.#onClose;
    this.#onClose = undefined;
    onClose?.(error);
  }

  #frameError(length: number): HeadraceError {
    // A TLS alert begins with 0x15 0x03, HTTP's answer with "HTTP".
    if (length >>> 16 === 0x1503) {
      return new HeadraceError('KAFKA_TLS', `${this.#name()} speaks TLS, and the connection was made without`);
    }
    if (length === 0x48545450) {
      return new HeadraceError('KAFKA_PROTOCOL', `${this.#name()} speaks HTTP, not Kafka's protocol`);
    }
    return new HeadraceError('KAFKA_PROTOCOL', `${this.#name()} sent a frame of ${length} bytes: not Kafka's protocol`);
  }

  #socketError(error: NodeJS.ErrnoException): HeadraceError {
    const isTls = this.#options.tls !== undefined;
    const code = error.code ?? '';
    if (isTls && !this.#isReady && isHandshakeError(error)) return tlsError(this.address, error);
    if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
      return new HeadraceError('KAFKA_UNREACHABLE', `the name ${this.address.host} cannot be resolved`, {
        cause: error,
      });
    }
    if (code === 'ECONNREFUSED') {
      return new HeadraceError('KAFKA_UNREACHABLE', `nothing listens at ${this.#name()}`, { cause: error });
    }
    if (this.#isReady || code === 'ECONNRESET' || code === 'EPIPE') return this.#closedError(error);
    return new HeadraceError('KAFKA_UNREACHABLE', `${this.#name()}: ${reasonOf(error)}`, { cause: error });
  }

  #closedError(cause?: Error): HeadraceError {
    if (!this.#isReady && this.#pending.length > 0) {
      const request = this.#pending[0]!.request.name;
      return new HeadraceError(
        'KAFKA_UNREACHABLE',
        `${this.#name()} closed the connection at ${request}: is it a Kafka listener, and does it want TLS?`,
        { cause },
      );
    }
    return new HeadraceError('KAFKA_DISCONNECTED', `the connection to ${this.#name()} ended`, {
      cause,
      details: { withoutSasl: this.#options.sasl === undefined },
    });
  }
}
