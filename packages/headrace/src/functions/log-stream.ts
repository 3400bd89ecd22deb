import { functionLogChannel } from '../telemetry/channels.ts';

/** Keeps the lines of functions' logs; the files in the data directory implement it. */
export interface LogSink {
  open(logGroup: string, logStream: string): LogWriter;
}

export interface LogWriter {
  /** `timestamp`: milliseconds of the Unix epoch. The line may hold line ends. */
  append(timestamp: number, line: string): void;
  /** Nothing more will come. */
  end(): void;
}

/** `X-Amz-Log-Result` holds the last 4 KB. */
const tailBytes = 4_096;
/** Longest log event (CloudWatch Logs: 1 MB); a longer line is cut into several. */
const lineBytes = 1_048_576;
/**
 * What one environment may log in a second. More is read and thrown away, and counted: the engine's loop must not be
 * spent on one function's flood, and the function must not block on a full pipe.
 */
const bytesPerSecond = 8 * 1_048_576;

/** The log of one execution environment: its output cut into lines, with the platform's own lines between them. */
export class LogStream {
  readonly name: string;
  readonly #functionName: string;
  readonly #writer: LogWriter | undefined;
  readonly #json: boolean;
  #partial = '';
  #decoder = new TextDecoder();
  #tail: string[] | undefined;
  #tailLength = 0;
  #second = 0;
  #spent = 0;
  #dropped = 0;

  constructor(functionName: string, logGroup: string, name: string, json: boolean, sink: LogSink | undefined) {
    this.#functionName = functionName;
    this.#json = json;
    this.#writer = sink?.open(logGroup, name);
    this.name = name;
  }

  /** Bytes from standard output or error. */
  output(chunk: Buffer): void {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#spent = 0;
      this.#reportDropped();
    }
    if (this.#spent > bytesPerSecond) {
      this.#dropped += chunk.length;
      return;
    }
    this.#spent += chunk.length;
    const text = this.#partial + this.#decoder.decode(chunk, { stream: true });
    let position = 0;
    for (;;) {
      const end = text.indexOf('\n', position);
      if (end < 0) break;
      this.#line(text.slice(position, end));
      position = end + 1;
    }
    this.#partial = text.slice(position);
    while (this.#partial.length > lineBytes) {
      this.#line(this.#partial.slice(0, lineBytes));
      this.#partial = this.#partial.slice(lineBytes);
    }
  }

  /** A line of the platform. What the function left without a line end comes before it. */
  system(line: string): void {
    if (this.#partial !== '') {
      const partial = this.#partial;
      this.#partial = '';
      this.#line(partial);
    }
    this.#emit(line);
  }

  end(): void {
    if (this.#partial !== '') this.#line(this.#partial);
    this.#partial = '';
    this.#writer?.end();
  }

  startTail(): void {
    this.#tail = [];
    this.#tailLength = 0;
  }

  /** The last 4 KB since {@link startTail}. */
  takeTail(): Buffer | undefined {
    const lines = this.#tail;
    if (lines === undefined) return undefined;
    this.#tail = undefined;
    const bytes = Buffer.from(lines.join(''));
    return bytes.length > tailBytes ? bytes.subarray(bytes.length - tailBytes) : bytes;
  }

  #reportDropped(): void {
    if (this.#dropped === 0) return;
    const bytes = this.#dropped;
    this.#dropped = 0;
    const reason = 'the function logs faster than 8 MiB a second';
    this.#emit(
      this.#json
        ? JSON.stringify({
            time: new Date().toISOString(),
            type: 'platform.logsDropped',
            record: { droppedBytes: bytes, reason },
          })
        : `LOGS_DROPPED ${bytes} bytes: ${reason}`,
    );
  }

  /** Runtimes write line ends inside of one event as carriage returns. */
  #line(text: string): void {
    this.#emit(text.includes('\r') ? text.replaceAll('\r', '\n').trimEnd() : text);
  }

  #emit(line: string): void {
    const timestamp = Date.now();
    if (this.#tail !== undefined) {
      this.#tail.push(line, '\n');
      this.#tailLength += line.length + 1;
      while (this.#tailLength > 2 * tailBytes && this.#tail.length > 2) {
        this.#tailLength -= this.#tail[0]!.length + 1;
        this.#tail.splice(0, 2);
      }
    }
    this.#writer?.append(timestamp, line);
    if (functionLogChannel.hasSubscribers) {
      functionLogChannel.publish({ functionName: this.#functionName, logStream: this.name, line, timestamp });
    }
  }
}
