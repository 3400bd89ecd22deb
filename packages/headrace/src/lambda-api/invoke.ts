import type { InvokeOutcome } from '../functions/outcome.ts';
import { Answer, type Call, type Context, operation } from './context.ts';
import { LambdaError, notFound } from './errors.ts';
import { settled } from './functions.ts';
import { functionArn, functionReference } from './names.ts';
import { checkJson } from './payload.ts';

/** Invoke's request; the SDK's own type has the payload as a stream. */
export interface InvokeInput {
  readonly FunctionName: string;
  readonly Qualifier?: string;
  readonly InvocationType?: 'RequestResponse' | 'Event' | 'DryRun';
  readonly LogType?: 'None' | 'Tail';
  readonly ClientContext?: string;
  readonly Payload: Buffer;
}

/** 6 MB, for synchronous requests; events may have 1 MB. */
const maximumPayloadBytes = 6_291_456;
const maximumEventBytes = 1_048_576;
const emptyEvent = Buffer.from('{}');

export const invoke = operation<InvokeInput>(async (call, input) => {
  const { context, request } = call;
  const { name, qualifier } = functionReference(context, input.FunctionName, input.Qualifier);
  const type = input.InvocationType ?? 'RequestResponse';
  const limit = type === 'Event' ? maximumEventBytes : maximumPayloadBytes;
  const payload = eventOf(input.Payload, limit);
  requireTarget(context, name, qualifier);
  if (type === 'DryRun') return new Answer({ status: 204 });
  if (type === 'Event') return await submit(call, name, qualifier ?? '$LATEST', payload);
  await settled(context, name, qualifier);
  const trace = request.headers['x-amzn-trace-id'];
  const outcome = await context.engine.invoke(functionArn(context, name, qualifier), payload, {
    requestId: request.requestId,
    logTail: input.LogType === 'Tail',
    ...(input.ClientContext === undefined ? {} : { clientContext: input.ClientContext }),
    ...(trace === undefined ? {} : { traceHeader: trace }),
  });
  return answerOf(outcome, name, qualifier, context);
});

export const invokeAsync = operation<{ FunctionName: string; InvokeArgs: Buffer }>(async (call, input) => {
  const { name, qualifier } = functionReference(call.context, input.FunctionName);
  const payload = eventOf(input.InvokeArgs, maximumEventBytes);
  requireTarget(call.context, name, qualifier);
  return await submit(call, name, qualifier ?? '$LATEST', payload);
});

/** The event of a body; nothing stands for an empty object. Throws for what is too long or no JSON. */
export function eventOf(body: Buffer, limit: number = maximumPayloadBytes): Buffer {
  if (body.length > limit) throw tooLarge(limit);
  const payload = body.length === 0 ? emptyEvent : body;
  checkJson(payload);
  return payload;
}

async function submit(call: Call, functionName: string, qualifier: string, payload: Buffer): Promise<Answer> {
  const { submitEvent } = call.context;
  if (submitEvent === undefined) {
    throw new LambdaError(
      'NotImplementedException',
      'Invoke with InvocationType Event is not implemented by Headrace: invoke with RequestResponse.',
    );
  }
  await submitEvent({ requestId: call.request.requestId, functionName, qualifier, payload });
  return new Answer({ status: 202 });
}

/** 404 in the words of Invoke, which names `$LATEST` where no qualifier was given. */
export function requireTarget(context: Context, name: string, qualifier = '$LATEST'): void {
  const document = context.documents.functions.get(name);
  const version = document?.aliases[qualifier]?.functionVersion ?? qualifier;
  if (document === undefined || !context.documents.versions.has(`${name}:${version}`)) {
    throw notFound(`Function not found: ${functionArn(context, name, qualifier)}`);
  }
}

function tooLarge(limit: number): LambdaError {
  const message = `Request must be smaller than ${limit} bytes for the InvokeFunction operation`;
  return new LambdaError('RequestEntityTooLargeException', message);
}

/** The REST answer of an outcome. */
export function answerOf(
  outcome: InvokeOutcome,
  name: string,
  qualifier: string | undefined,
  context: Context,
): Answer {
  switch (outcome.kind) {
    case 'success':
    case 'function-error':
      return new Answer({
        status: 200,
        headers: {
          'content-type': 'application/json',
          'x-amz-executed-version': outcome.executedVersion,
          ...(outcome.kind === 'function-error' ? { 'x-amz-function-error': outcome.functionError } : {}),
          ...(outcome.logTail === undefined ? {} : { 'x-amz-log-result': outcome.logTail.toString('base64') }),
        },
        body: outcome.payload,
      });
    case 'throttled':
      throw new LambdaError('TooManyRequestsException', 'Rate Exceeded.', {
        members: { Reason: outcome.reason },
        headers: { 'retry-after': String(Math.max(1, Math.ceil((outcome.retryAfterMilliseconds ?? 1_000) / 1_000))) },
      });
    case 'too-large':
      throw tooLarge(outcome.limitBytes);
    case 'not-found':
      throw notFound(`Function not found: ${functionArn(context, name, qualifier ?? '$LATEST')}`);
    case 'unavailable':
      return new Answer({
        status: outcome.status,
        headers: { 'x-amzn-errortype': outcome.type },
        body: { Type: outcome.status >= 500 ? 'Service' : 'User', Message: outcome.message },
      });
  }
}
