import { HeadraceError } from '../errors.ts';

const REQUEST_TIMEOUT_MILLISECONDS = 10_000;
/** A token is asked for anew when it has less than this left. */
const LEAST_LEFT_MILLISECONDS = 60_000;

export interface ClientCredentials {
  readonly endpoint: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope?: string;
}

/**
 * Tokens by the client credentials grant (RFC 6749, 4.4), as Kafka's own OAUTHBEARER login fetches them. A token is kept
 * until shortly before it expires; connections that need one at the same time wait for one request.
 */
export function clientCredentialsToken(
  credentials: ClientCredentials,
  timeoutMilliseconds = REQUEST_TIMEOUT_MILLISECONDS,
): () => Promise<string> {
  let known: Token | undefined;
  let asked: Promise<Token> | undefined;
  return async () => {
    if (known !== undefined && known.until - Date.now() > LEAST_LEFT_MILLISECONDS) return known.value;
    asked ??= request(credentials, timeoutMilliseconds).finally(() => {
      asked = undefined;
    });
    known = await asked;
    return known.value;
  };
}

interface Token {
  readonly value: string;
  readonly until: number;
}

/** @throws HeadraceError KAFKA_AUTHENTICATION; what the endpoint answered is never quoted, since it may hold a token */
async function request(
  { endpoint, clientId, clientSecret, scope }: ClientCredentials,
  timeoutMilliseconds: number,
): Promise<Token> {
  const failed = (what: string, cause?: unknown): HeadraceError => {
    const isLate = cause instanceof Error && cause.name === 'TimeoutError';
    const how = isLate ? `did not answer within ${timeoutMilliseconds} ms` : what;
    return new HeadraceError('KAFKA_AUTHENTICATION', `the token endpoint ${endpoint} ${how}`, { cause });
  };
  const encode = (text: string): string => encodeURIComponent(text).replaceAll('%20', '+');
  const started = Date.now();
  let response: Response;
  try {
    response = await fetch(endpoint, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${encode(clientId)}:${encode(clientSecret)}`).toString('base64')}`,
        accept: 'application/json',
      },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) }),
      signal: AbortSignal.timeout(timeoutMilliseconds),
    });
  } catch (error) {
    throw failed('cannot be reached', error);
  }
  if (!response.ok) {
    await response.body?.cancel();
    throw failed(`answered ${response.status}`);
  }
  let body: { access_token?: unknown; expires_in?: unknown } | null;
  try {
    body = (await response.json()) as typeof body;
  } catch (error) {
    // The parser's message would quote the answer.
    const isParsing = error instanceof SyntaxError;
    throw failed('did not answer with JSON', isParsing ? undefined : error);
  }
  const value = body?.access_token;
  if (typeof value !== 'string' || value === '') throw failed('gave no access_token');
  const seconds = Number(body?.expires_in);
  return { value, until: started + (Number.isFinite(seconds) ? seconds : 0) * 1000 };
}
