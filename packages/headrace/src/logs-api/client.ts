import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';

export interface LogsClientOptions {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
}

export interface FilteredEvent {
  readonly logStreamName: string;
  readonly timestamp: number;
  readonly message: string;
  readonly eventId: string;
}

export interface EventQuery {
  readonly logGroupName: string;
  readonly startTime?: number;
  readonly filterPattern?: string;
}

/** What the engine refused, by the name of CloudWatch Logs. */
export class LogsCallError extends Error {}

/** FilterLogEvents, page by page. One call of one operation is not worth a client of the SDK's size. */
export async function* filterLogEvents(options: LogsClientOptions, query: EventQuery): AsyncGenerator<FilteredEvent> {
  let nextToken: string | undefined;
  do {
    const result = await call(options, 'FilterLogEvents', {
      ...query,
      ...(nextToken === undefined ? {} : { nextToken }),
    });
    for (const event of result.events ?? []) yield event;
    nextToken = result.nextToken;
  } while (nextToken !== undefined);
}

async function call(
  options: LogsClientOptions,
  operation: string,
  input: object,
): Promise<{ events?: FilteredEvent[]; nextToken?: string }> {
  const url = new URL(options.endpoint);
  const body = JSON.stringify(input);
  const signer = new SignatureV4({
    service: 'logs',
    region: options.region,
    credentials: options.credentials,
    sha256: Sha256,
  });
  const signed = await signer.sign({
    method: 'POST',
    protocol: url.protocol,
    hostname: url.hostname,
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    path: '/',
    headers: {
      host: url.host,
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `Logs_20140328.${operation}`,
    },
    body,
  });
  const response = await fetch(new URL('/', url), { method: 'POST', headers: signed.headers, body }).catch((error) => {
    throw error instanceof Error && error.cause instanceof Error ? error.cause : error;
  });
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  let parsed: { __type?: string; message?: string; Message?: string } = {};
  try {
    parsed = JSON.parse(text);
  } catch {
    // Not the engine's words; the text is shown as it is.
  }
  const error = new LogsCallError(
    parsed.message ?? parsed.Message ?? (text.slice(0, 200) || `status ${response.status}`),
  );
  error.name = parsed.__type ?? `HTTP ${response.status}`;
  throw error;
}
