import type { ResponseStreamSink } from './definition.ts';
import { responsePayloadLimit, streamedPayloadLimit } from './error-payloads.ts';

/** A streamed answer on its way: handed on piece by piece where somebody takes it so, else collected. */
export class StreamedAnswer {
  readonly #sink: ResponseStreamSink | undefined;
  readonly #limit: number;
  readonly #pieces: Buffer[] = [];
  #length = 0;

  constructor(sink: ResponseStreamSink | undefined, contentType: string) {
    this.#sink = sink;
    this.#limit = sink === undefined ? responsePayloadLimit : streamedPayloadLimit;
    sink?.start({ contentType, headers: {} });
  }

  /** A promise: whoever takes the answer is behind. */
  add(piece: Buffer): Promise<void> | undefined {
    this.#length += piece.length;
    if (this.tooLarge) return undefined;
    if (this.#sink !== undefined) return this.#sink.write(piece);
    this.#pieces.push(piece);
    return undefined;
  }

  get tooLarge(): boolean {
    return this.#length > this.#limit;
  }

  /** What nobody has taken yet. */
  payload(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}
