import { HeadraceError } from '../errors.ts';

const REQUEST_TIMEOUT_MILLISECONDS = 10_000;
/** A token is asked for anew when it has less than this left. */
const LEAST_LEFT_MILLISECONDS = 60_000;

/**
 * Tokens by the client credentials grant (RFC 6749, 4.4), as Kafka's own OAUTHBEARER login fetches them. A token is kept
 * until shortly before it expires.
 */
export function clientCredentialsToken(options: {
  readonly endpoint: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope?: string;
}): () => Promise<string> {
  let known: { token: string; until: number } | undefined;
  return async () => {
    if (known !== undefined && known.until - Date.now() > LEAST_LEFT_MILLISECONDS) return known.token;
    const { endpoint, clientId, clientSecret, scope } = options;
    const encode = (text: string): string => encodeURIComponent(text).replaceAll('%20', '+');
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${encode(clientId)}:${encode(clientSecret)}`).toString('base64')}`,
        accept: 'application/json',
      },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MILLISECONDS),
    });
    if (!response.ok) {
      throw new HeadraceError('KAFKA_AUTHENTICATION', `the token endpoint ${endpoint} answered ${response.status}`);
    }
    const body = (await response.json()) as { access_token?: unknown; expires_in?: unknown };
    if (typeof body.access_token !== 'string') {
      throw new HeadraceError('KAFKA_AUTHENTICATION', `the token endpoint ${endpoint} gave no access_token`);
    }
    const seconds = typeof body.expires_in === 'number' ? body.expires_in : 0;
    known = { token: body.access_token, until: Date.now() + seconds * 1000 };
    return known.token;
  };
}
