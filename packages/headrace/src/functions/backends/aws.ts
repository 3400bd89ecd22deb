import type { InvokeCommandOutput, LambdaClient } from '@aws-sdk/client-lambda';
import { requestPayloadLimit } from '../error-payloads.ts';
import type { Invocation } from '../invocation.ts';
import type { InvokeOutcome, ThrottleReason } from '../outcome.ts';
import { type Backend, reasonOf, throttled, unavailable } from './backend.ts';

/** Longest synchronous invocation on AWS and a little: the function's own time-out is AWS's business. */
const answerMilliseconds = 905_000;

/**
 * A real Lambda function, by its ARN: the engine is then a bridge from a Kafka that AWS cannot reach to AWS. Credentials
 * and endpoint come the way of every AWS SDK. The SDK's own retries are off: who invokes decides about retries.
 */
export class AwsBackend implements Backend {
  readonly #clients = new Map<string, Promise<LambdaClient>>();

  async invoke(invocation: Invocation): Promise<InvokeOutcome> {
    const { version, requestId } = invocation;
    const arn = version.code.kind === 'aws' ? version.code.arn : '';
    const region = arn.split(':')[3] ?? '';
    const started = performance.now();
    try {
      const { InvokeCommand } = await import('@aws-sdk/client-lambda');
      const client = await this.#client(region);
      const output: InvokeCommandOutput = await client.send(
        new InvokeCommand({
          FunctionName: arn,
          Payload: invocation.payload,
          ...(invocation.logTail ? { LogType: 'Tail' as const } : {}),
          ...(invocation.clientContext === undefined
            ? {}
            : { ClientContext: Buffer.from(invocation.clientContext).toString('base64') }),
        }),
        { abortSignal: AbortSignal.timeout(answerMilliseconds) },
      );
      const payload = Buffer.from(output.Payload ?? []);
      const executed = {
        requestId: output.$metadata.requestId ?? requestId,
        executedVersion: output.ExecutedVersion ?? '$LATEST',
        payload,
        durationMilliseconds: performance.now() - started,
        ...(invocation.logTail ? { logTail: Buffer.from(output.LogResult ?? '', 'base64') } : {}),
      };
      if (output.FunctionError !== undefined) {
        return { kind: 'function-error', functionError: 'Unhandled', reason: reasonOf(payload), ...executed };
      }
      if (invocation.sink !== undefined) {
        invocation.sink.start({ contentType: 'application/json', headers: {} });
        invocation.sink.write(payload);
      }
      return { kind: 'success', ...executed };
    } catch (error) {
      return outcomeOf(error, arn);
    }
  }

  close(): void {
    for (const client of this.#clients.values()) void client.then((each) => each.destroy());
    this.#clients.clear();
  }

  #client(region: string): Promise<LambdaClient> {
    let client = this.#clients.get(region);
    if (client === undefined) {
      client = import('@aws-sdk/client-lambda').then((sdk) => new sdk.LambdaClient({ region, maxAttempts: 1 }));
      this.#clients.set(region, client);
    }
    return client;
  }
}

/** What the SDK throws, as an outcome. */
function outcomeOf(thrown: unknown, arn: string): InvokeOutcome {
  const error = thrown as Error & {
    Reason?: ThrottleReason;
    retryAfterSeconds?: string;
    $metadata?: { httpStatusCode?: number };
  };
  const status = error.$metadata?.httpStatusCode;
  if (error.name === 'TooManyRequestsException' || status === 429) {
    return throttled(error.Reason ?? 'ConcurrentInvocationLimitExceeded', error.retryAfterSeconds);
  }
  if (error.name === 'ResourceNotFoundException') return { kind: 'not-found', message: error.message };
  if (error.name === 'RequestTooLargeException' || status === 413) {
    return { kind: 'too-large', limitBytes: requestPayloadLimit };
  }
  if (status !== undefined) return unavailable(status, error.name, `${arn}: ${error.message}`);
  return unavailable(503, 'ServiceException', `${arn} cannot be invoked: ${error.message}`);
}
