// console.* as on Lambda: a line with time, request id and level in Text format, an object in JSON format.
import { writeSync } from 'node:fs';
import { format } from 'node:util';

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

export function installConsole(environment) {
  const json = environment.AWS_LAMBDA_LOG_FORMAT === 'JSON';
  const log = { requestId: undefined, json, write: json ? writeJson : writeText };
  const least = levels.indexOf((environment.AWS_LAMBDA_LOG_LEVEL ?? 'TRACE').toLowerCase());
  for (const [index, level] of levels.entries()) {
    const name = level.toUpperCase();
    console[level] = index < least ? () => {} : (...values) => log.write(log, name, values);
  }
  console.log = least > levels.indexOf('info') ? () => {} : (...values) => log.write(log, 'INFO', values);
  return log;
}

/** A handler's or the process's error, before it is posted. */
export function logError(log, what, error, plain) {
  if (log.json) writeJson(log, 'ERROR', [error instanceof Error ? error : plain]);
  else writeText(log, 'ERROR', [`${what} `, JSON.stringify(plain, replacer())], '\t');
}

function writeText(log, level, values, separator) {
  const text = separator === undefined ? format(...values) : values.join(separator);
  // A line end inside of one event travels as a carriage return: the platform reads lines.
  writeLine(
    `${new Date().toISOString()}\t${log.requestId}\t${level}\t${text.includes('\n') ? text.replaceAll('\n', '\r') : text}`,
  );
}

function writeJson(log, level, values) {
  const record = { timestamp: new Date().toISOString(), level, requestId: log.requestId };
  if (values.length === 1) {
    record.message = values[0] instanceof Error ? plainError(values[0]) : values[0];
  } else {
    record.message = format(...values);
    const error = values.find((value) => value instanceof Error);
    if (error !== undefined) {
      record.errorType = error.name;
      record.errorMessage = error.message;
      record.stackTrace = String(error.stack ?? '').split('\n');
    }
  }
  let line;
  try {
    line = JSON.stringify(record, replacer());
  } catch {
    line = JSON.stringify({ ...record, message: format(...values) });
  }
  writeLine(line);
}

function plainError(error) {
  return {
    errorType: error.name,
    errorMessage: error.message,
    stackTrace: String(error.stack ?? '').split('\n'),
    ...Object.fromEntries(Object.entries(error).filter(([key]) => key !== 'name')),
  };
}

/** Cycles, BigInt and errors below the top must not lose the line. */
function replacer() {
  const path = [];
  return function (_key, value) {
    if (typeof value === 'bigint') return value.toString();
    if (value instanceof Error) value = plainError(value);
    if (typeof value !== 'object' || value === null) return value;
    while (path.length > 0 && path.at(-1) !== this) path.pop();
    if (path.includes(value)) return '[Circular]';
    path.push(value);
    return value;
  };
}

/** Synchronous, so that a line is out before the result is. A closed or full pipe is no reason to fail. */
function writeLine(line) {
  const bytes = Buffer.from(`${line}\n`);
  for (let position = 0; position < bytes.length; ) {
    try {
      position += writeSync(1, bytes, position);
    } catch (error) {
      if (error.code !== 'EAGAIN') return;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));
