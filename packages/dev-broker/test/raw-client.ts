import { connect, type Socket } from 'node:net';
import { BatchView, completeBatchSize, openBatch, RecordCursor } from '@headrace/kafka-records';
import { Reader } from '../src/protocol/reader.ts';
import type { Api, Records } from '../src/protocol/schema.ts';
import { Writer } from '../src/protocol/writer.ts';

/** Makes every field optional: what a test does not name gets its default. */
export type Partially<T> = T extends Buffer | null
  ? T
  : T extends readonly (infer Item)[]
    ? Partially<Item>[]
    : T extends object
      ? { [Key in keyof T]?: Partially<T[Key]> }
      : T;

export class ClosedError extends Error {
  override readonly name = 'ClosedError';
}

/** A client that sends what it is told, in any version, and hides no error. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  readonly #waiting: ((frame: Buffer | undefined) => void)[] = [];
  #received = Buffer.alloc(0);
  #correlationId = 0;
  isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      while (this.#received.length >= 4) {
        const end = 4 + this.#received.readInt32BE(0);
        if (this.#received.length < end) break;
        this.#waiting.shift()?.(this.#received.subarray(4, end));
        this.#received = this.#received.subarray(end);
      }
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
      for (const resolve of this.#waiting.splice(0)) resolve(undefined);
    });
  }

  static async connect(bootstrapServers: string): Promise<RawClient> {
    const [host, port] = bootstrapServers.split(',')[0]!.split(':') as [string, string];
    const socket = connect({ host, port: Number(port), noDelay: true });
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new RawClient(socket);
  }

  /** @throws ClosedError when the broker hangs up instead of answering */
  async send<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    request: Partially<Request>,
  ): Promise<Response> {
    const frame = await this.exchange(encodeRequest(api, version, request as Request, ++this.#correlationId));
    const reader = new Reader(frame);
    reader.int32();
    if (api.isFlexible(version) && api.name !== 'ApiVersions') reader.unsignedVarint();
    return api.readResponse(reader, version);
  }

  /** Sends without waiting for an answer. */
  tell<Request, Response>(api: Api<Request, Response>, version: number, request: Partially<Request>): void {
    this.socket.write(encodeRequest(api, version, request as Request, ++this.#correlationId));
  }

  /** Sends bytes and takes the next frame. */
  async exchange(bytes: Buffer): Promise<Buffer> {
    if (this.isClosed) throw new ClosedError();
    const answer = new Promise<Buffer | undefined>((resolve) => this.#waiting.push(resolve));
    this.socket.write(bytes);
    const frame = await answer;
    if (!frame) throw new ClosedError('the broker closed the connection');
    return frame;
  }

  /** Resolves when the broker has hung up. */
  async closed(): Promise<void> {
    if (!this.isClosed) await new Promise((resolve) => this.socket.once('close', resolve));
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

export function encodeRequest<Request>(
  api: Api<Request, unknown>,
  version: number,
  request: Request,
  correlationId: number,
  clientId = 'raw',
): Buffer {
  const writer = new Writer();
  writer.int32(0);
  writer.int16(api.key);
  writer.int16(version);
  writer.int32(correlationId);
  writer.string(clientId, false);
  if (api.isFlexible(version)) writer.unsignedVarint(0);
  api.writeRequest(writer, version, request);
  const bytes = writer.toBuffer();
  bytes.writeInt32BE(bytes.length - 4, 0);
  return bytes;
}

/** Values of the records in fetched bytes, with their offsets; a cut last batch is left out. */
export function readValues(
  records: Records | undefined,
): { offset: number; key: string; value: string; timestamp: number }[] {
  const bytes = (records ?? Buffer.alloc(0)) as Buffer;
  const found: ReturnType<typeof readValues> = [];
  const cursor = new RecordCursor();
  for (let start = 0, size = 0; (size = completeBatchSize(bytes, start, bytes.length)) > 0; start += size) {
    const batch = new BatchView(bytes, start);
    batch.validate(bytes.length);
    if (batch.isControl) continue;
    const chunk = openBatch(batch);
    for (cursor.reset(chunk); cursor.next(); ) {
      const value = chunk.bytes.toString('utf8', cursor.valueStart, cursor.valueEnd);
      const key = cursor.keyStart < 0 ? '' : chunk.bytes.toString('utf8', cursor.keyStart, cursor.keyEnd);
      found.push({ offset: cursor.offset, key, value, timestamp: cursor.timestamp });
    }
  }
  return found;
}
