import { PassThrough } from 'node:stream';
import type { InvokeOutcome } from '../functions/outcome.ts';
import { Answer, operation } from './context.ts';
import { eventStreamMessage } from './event-stream.ts';
import { settled } from './functions.ts';
import { answerOf, eventOf, type InvokeInput, requireTarget } from './invoke.ts';
import { functionArn, functionReference, isVersionNumber } from './names.ts';

/** The answer in chunks as the function writes them; a function that does not stream gives one. */
export const invokeWithResponseStream = operation<InvokeInput>(async (call, input) => {
  const { context, request } = call;
  const { name, qualifier } = functionReference(context, input.FunctionName, input.Qualifier);
  const payload = eventOf(input.Payload);
  requireTarget(context, name, qualifier);
  if (input.InvocationType === 'DryRun') return new Answer({ status: 204 });
  await settled(context, name, qualifier);
  const trace = request.headers['x-amzn-trace-id'];
  const stream = new PassThrough();
  let isStarted = false;
  const started = Promise.withResolvers<undefined>();
  const running = context.engine.invokeWithResponseStream(
    functionArn(context, name, qualifier),
    payload,
    {
      start() {
        isStarted = true;
        started.resolve(undefined);
      },
      write(bytes) {
        return stream.write(payloadChunk(bytes)) || stream.destroyed ? undefined : drained(stream);
      },
    },
    {
      requestId: request.requestId,
      logTail: input.LogType === 'Tail',
      ...(input.ClientContext === undefined ? {} : { clientContext: input.ClientContext }),
      ...(trace === undefined ? {} : { traceHeader: trace }),
    },
  );
  const outcome = await Promise.race([started.promise, running]);
  if (outcome !== undefined && !isExecuted(outcome)) return answerOf(outcome, name, qualifier, context);
  void running.then((ended) => {
    if (ended.kind === 'success' && !isStarted) stream.write(payloadChunk(ended.payload));
    stream.end(invokeComplete(ended));
  });
  const version = outcome?.executedVersion ?? (qualifier === undefined ? '$LATEST' : qualifier);
  const isKnown = outcome !== undefined || version === '$LATEST' || isVersionNumber(version);
  return new Answer({
    status: 200,
    headers: {
      'content-type': 'application/vnd.amazon.eventstream',
      ...(isKnown ? { 'x-amz-executed-version': version } : {}),
    },
    body: stream as AsyncIterable<Buffer>,
  });
});

/** Until the caller took what was written, or went away. */
function drained(stream: PassThrough): Promise<void> {
  return new Promise((resolve) => {
    const either = (): void => {
      stream.off('drain', either).off('close', either);
      resolve();
    };
    stream.on('drain', either).on('close', either);
  });
}

const isExecuted = (outcome: InvokeOutcome): outcome is Extract<InvokeOutcome, { executedVersion: string }> =>
  outcome.kind === 'success' || outcome.kind === 'function-error';

const event = (type: string, contentType: string): Record<string, string> => ({
  ':event-type': type,
  ':content-type': contentType,
  ':message-type': 'event',
});

const payloadChunk = (bytes: Buffer): Buffer =>
  eventStreamMessage(event('PayloadChunk', 'application/octet-stream'), bytes);

function invokeComplete(outcome: InvokeOutcome): Buffer {
  const log = 'logTail' in outcome && outcome.logTail !== undefined ? outcome.logTail.toString('base64') : undefined;
  const failure =
    outcome.kind === 'function-error'
      ? { ErrorCode: outcome.functionError, ErrorDetails: outcome.payload.toString('utf8') }
      : outcome.kind === 'success'
        ? {}
        : { ErrorCode: outcome.kind, ErrorDetails: 'message' in outcome ? outcome.message : outcome.kind };
  const result = { ...failure, ...(log === undefined ? {} : { LogResult: log }) };
  return eventStreamMessage(event('InvokeComplete', 'application/json'), Buffer.from(JSON.stringify(result)));
}
