import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { HeadraceError } from '../errors.ts';
import { type ClientConfiguration, unreachable } from './client-flags.ts';

/** Asks a running engine under `/headrace/v1/`; signed, so it works with and without `--credentials`. */
export function operatorGet<T>(client: ClientConfiguration, path: string): Promise<T> {
  return send(client, 'GET', path, undefined);
}

/** Has a running engine do something under `/headrace/v1/`. */
export function operatorPost<T>(client: ClientConfiguration, path: string, document: object): Promise<T> {
  return send(client, 'POST', path, JSON.stringify(document));
}

async function send<T>(
  client: ClientConfiguration,
  method: 'GET' | 'POST',
  path: string,
  body: string | undefined,
): Promise<T> {
  const url = new URL(`${client.endpoint.replace(/\/$/, '')}/headrace/v1/${path}`);
  const signer = new SignatureV4({
    credentials: client.credentials,
    region: client.region,
    service: 'headrace',
    sha256: Sha256,
  });
  const signed = await signer.sign({
    method,
    protocol: url.protocol,
    hostname: url.hostname,
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    headers: { host: url.host, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body }),
  });
  const { host: _host, ...headers } = signed.headers;
  let response: Response;
  try {
    response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
  } catch (error) {
    // `fetch failed` says nothing; its cause does.
    throw unreachable((error as Error).cause ?? error, client.endpoint);
  }
  const text = await response.text();
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new HeadraceError(
      'ENGINE_UNREACHABLE',
      `what answers at ${client.endpoint} is no engine (${response.status}: ${text.replace(/\s+/g, ' ').slice(0, 200)})`,
    );
  }
  if (response.ok) return answer as T;
  const message = (answer as { message?: string } | null)?.message ?? text;
  throw new HeadraceError('ENGINE_REFUSED', `${response.status}: ${message}`);
}
