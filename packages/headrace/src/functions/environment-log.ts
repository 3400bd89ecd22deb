import type { FunctionVersion } from './definition.ts';
import type { Invocation } from './invocation.ts';
import { type LogSink, LogStream } from './log-stream.ts';
import { type EndStatus, type LogDetails, type ReportFigures, type SystemLog, systemLog } from './system-log.ts';

/**
 * The log of one environment, the function's output and the platform's lines in the right order. What the function wrote
 * before it answered may still be in the pipe when the answer has been read: the loop reads both in the same turn. So END
 * and REPORT are written one turn later, and what comes after them waits behind them.
 */
export class EnvironmentLog {
  readonly #stream: LogStream;
  readonly #system: SystemLog;
  #pendingLines: string[] = [];
  #pendingTail: ((tail: Buffer) => void) | undefined;
  #scheduled = false;

  constructor(version: FunctionVersion, details: LogDetails, sink: LogSink | undefined) {
    const { functionName, logging } = version;
    const day = new Date().toISOString().slice(0, 10).replaceAll('-', '/');
    const own = logging.logGroup === `/aws/lambda/${functionName}`;
    const name = `${day}/${own ? '' : functionName}[${version.version}]${details.environmentId}`;
    this.#stream = new LogStream(functionName, logging.logGroup, name, logging.format === 'JSON', sink);
    this.#system = systemLog(version, details);
  }

  /** Of the log stream. */
  get name(): string {
    return this.#stream.name;
  }

  readonly output = (chunk: Buffer): void => this.#stream.output(chunk);

  initStart(phase: 'init' | 'invoke'): void {
    this.#line(this.#system.initStart(phase));
  }

  initEnd(phase: 'init' | 'invoke', end: EndStatus, durationMilliseconds: number): void {
    for (const line of this.#system.initEnd(phase, end, durationMilliseconds)) this.#line(line);
  }

  start({ requestId, invokedFunctionArn, logTail }: Invocation): void {
    if (logTail) {
      this.#flush();
      this.#stream.startTail();
    }
    this.#line(this.#system.start(requestId, invokedFunctionArn));
  }

  /** END and REPORT; `tail` gets the end of the log once they are written. */
  end(figures: ReportFigures, tail: ((tail: Buffer) => void) | undefined): void {
    for (const line of this.#system.end(figures)) this.#pendingLines.push(line);
    if (tail !== undefined) this.#pendingTail = tail;
    if (this.#scheduled || (this.#pendingLines.length === 0 && tail === undefined)) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  close(): void {
    this.#flush();
    this.#stream.end();
  }

  #line(line: string | undefined): void {
    if (line === undefined) return;
    if (this.#pendingLines.length > 0) this.#pendingLines.push(line);
    else this.#stream.system(line);
  }

  #flush(): void {
    const lines = this.#pendingLines;
    if (lines.length > 0) {
      this.#pendingLines = [];
      for (const line of lines) this.#stream.system(line);
    }
    const tail = this.#pendingTail;
    this.#pendingTail = undefined;
    tail?.(this.#stream.takeTail() ?? Buffer.alloc(0));
  }
}
