import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import {
  requestPayloadLimit,
  responsePayloadLimit,
  responseTooLargePayload,
  timeoutPayload,
} from '../error-payloads.ts';
import type { Invocation } from '../invocation.ts';
import type { InvokeOutcome } from '../outcome.ts';
import { type Backend, reasonOf, throttled, unavailable } from './backend.ts';

/**
 * An HTTP(S) endpoint that takes the event as the body of a POST and answers with the result.
 *
 * - 2xx: success, the body is the result (an empty one is `null`); with the header `X-Amz-Function-Error` a function error
 * - 408, 425, 429: throttled, `Retry-After` in seconds is honoured
 * - 413: the event is too large
 * - 502, 503, 504, no connection, a broken one: unavailable; not run, or unknown whether
 * - no answer within the function's time-out: a time-out
 * - everything else (400, 404, 500, a redirect…): a function error, as a handler that threw
 *
 * The request carries Lambda's names for id, deadline, ARN, trace and client context.
 */
export class HttpBackend implements Backend {
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https = new HttpsAgent({ keepAlive: true });

  invoke(invocation: Invocation): Promise<InvokeOutcome> {
    return new Promise((resolve) => this.#send(invocation, resolve));
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #send(invocation: Invocation, resolve: (outcome: InvokeOutcome) => void): void {
    const { version, requestId } = invocation;
    const started = performance.now();
    const executed = (payload: Buffer) => ({
      requestId,
      executedVersion: version.version,
      payload,
      durationMilliseconds: performance.now() - started,
      ...(invocation.logTail ? { logTail: Buffer.alloc(0) } : {}),
    });
    const failed = (reason: 'error' | 'timeout' | 'exit' | 'response-too-large', payload: Buffer): InvokeOutcome => ({
      kind: 'function-error',
      functionError: 'Unhandled',
      reason,
      ...executed(payload),
    });
    let url: URL;
    try {
      url = new URL(version.code.kind === 'http' ? version.code.url : '');
    } catch {
      resolve(unavailable(500, 'ServiceException', `the backend of ${version.functionName} is no URL`));
      return;
    }
    const secure = url.protocol === 'https:';
    const headers: Record<string, string> = {
      'Content-Type': 'application/json',
      'Content-Length': String(invocation.payload.length),
      'Lambda-Runtime-Aws-Request-Id': requestId,
      'Lambda-Runtime-Deadline-Ms': String(Date.now() + version.timeoutSeconds * 1_000),
      'Lambda-Runtime-Invoked-Function-Arn': invocation.invokedFunctionArn,
      'Lambda-Runtime-Trace-Id': invocation.traceHeader,
      'X-Amzn-Trace-Id': invocation.traceHeader,
    };
    if (invocation.clientContext !== undefined) {
      headers['X-Amz-Client-Context'] = Buffer.from(invocation.clientContext).toString('base64');
    }
    const outgoing = (secure ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      agent: secure ? this.#https : this.#http,
      headers,
    });
    const timer = setTimeout(() => {
      finish(failed('timeout', timeoutPayload(requestId, version.timeoutSeconds)));
      outgoing.destroy();
    }, version.timeoutSeconds * 1_000);
    const finish = (outcome: InvokeOutcome): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    const broken = (error: Error): void => {
      finish(unavailable(503, 'ServiceException', `${url.origin} cannot be reached: ${error.message}`));
    };
    outgoing.on('error', broken);
    outgoing.on('response', (response) => {
      collect(response, invocation).then((body) => {
        if (body === undefined) {
          outgoing.destroy();
          finish(failed('response-too-large', responseTooLargePayload()));
          return;
        }
        finish(judge(response, body));
      }, broken);
    });
    const judge = (response: IncomingMessage, body: Buffer): InvokeOutcome => {
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) {
        if (response.headers['x-amz-function-error'] !== undefined) return failed(reasonOf(body), body);
        return { kind: 'success', ...executed(body.length === 0 ? Buffer.from('null') : body) };
      }
      if (status === 408 || status === 425 || status === 429) {
        return throttled('ReservedFunctionInvocationRateLimitExceeded', response.headers['retry-after']);
      }
      if (status === 413) return { kind: 'too-large', limitBytes: requestPayloadLimit };
      if (status >= 502 && status <= 504) {
        return unavailable(status, 'ServiceException', `${url.origin} answered ${status}`);
      }
      const errorMessage = `${url.origin} answered ${status}: ${body.toString('utf8', 0, 1_024)}`;
      return failed('error', Buffer.from(JSON.stringify({ errorType: 'Backend.HttpStatus', errorMessage })));
    };
    outgoing.end(invocation.payload);
  }
}

/** The body, given on as it comes where somebody takes a stream; undefined when it is over the limit. */
async function collect(response: IncomingMessage, invocation: Invocation): Promise<Buffer | undefined> {
  const { sink } = invocation;
  const succeeds = (response.statusCode ?? 0) < 300 && response.headers['x-amz-function-error'] === undefined;
  if (sink !== undefined && succeeds) {
    sink.start({ contentType: response.headers['content-type'] ?? 'application/octet-stream', headers: {} });
    for await (const piece of response) await sink.write(piece as Buffer);
    return Buffer.alloc(0);
  }
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of response) {
    length += (piece as Buffer).length;
    if (length > responsePayloadLimit) return undefined;
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces);
}
