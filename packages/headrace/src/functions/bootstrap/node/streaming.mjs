// Response streaming: awslambda.streamifyResponse and awslambda.HttpResponseStream.
import { Writable } from 'node:stream';

const marker = Symbol.for('aws.lambda.runtime.handler.streaming');
const highWaterMark = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

export const isStreaming = (handler) => handler[marker] === 'response';

export function installStreaming() {
  globalThis.awslambda = {
    ...globalThis.awslambda,
    streamifyResponse(handler, options) {
      handler[marker] = 'response';
      if (options?.highWaterMark !== undefined) handler[highWaterMark] = Number.parseInt(options.highWaterMark, 10);
      return handler;
    },
    HttpResponseStream: {
      from(stream, prelude) {
        stream.setContentType('application/vnd.awslambda.http-integration-response');
        // The prelude goes out with the first bytes, or alone when the stream ends empty.
        stream.prelude(`${JSON.stringify(prelude)}\0\0\0\0\0\0\0\0`);
        return stream;
      },
    },
  };
}

/** What a streaming handler writes its answer to; every piece is sent as it comes, as fast as the platform takes it. */
export class ResponseStream extends Writable {
  #channel;
  #id;
  #contentType = 'application/octet-stream';
  #prelude;
  #done;
  #resolve;
  started = false;

  constructor(channel, id, mark) {
    super(mark === undefined ? {} : { highWaterMark: mark });
    this.#channel = channel;
    this.#id = id;
    this.#done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Resolves once the last byte is handed to the platform. */
  get finished() {
    return this.#done;
  }

  setContentType(contentType) {
    if (this.started) throw new Error('Cannot set content-type, too late.');
    this.#contentType = String(contentType).replace(/[^\x20-\x7e]/g, '');
  }

  prelude(text) {
    this.#prelude = Buffer.from(text);
  }

  _write(chunk, encoding, callback) {
    this.#start();
    this.#channel.streamData(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk, callback);
  }

  _final(callback) {
    this.#start();
    this.#channel.streamEnd(undefined, () => {
      callback();
      this.#resolve();
    });
  }

  /** Ends the answer by an error in its trailers. */
  abandon(type, body) {
    if (this.writableFinished) return;
    this.#channel.streamEnd({ type, body }, () => {});
  }

  #start() {
    if (this.started) return;
    this.started = true;
    this.#channel.streamStart(this.#id, this.#contentType);
    if (this.#prelude !== undefined) this.#channel.streamData(this.#prelude, () => {});
  }
}
