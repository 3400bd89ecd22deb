import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Signature Version 4, as it is checked: where a request says who signed it, and whether that holds.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export interface SignedRequest {
  readonly method: string;
  /** Raw, percent-encoding kept. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface SignatureClaim {
  readonly accessKeyId: string;
  /** `20260105`. */
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** `20260105T101112Z`. */
  readonly timestamp: string;
  readonly sessionToken: string | undefined;
  /** Seconds that a presigned request is good for; undefined for a signature in the header. */
  readonly expires: number | undefined;
}

const algorithm = 'AWS4-HMAC-SHA256';

/** What the request claims; undefined when it carries no (readable) signature. */
export function signatureClaim(request: Pick<SignedRequest, 'query' | 'headers'>): SignatureClaim | undefined {
  const { authorization } = request.headers;
  if (authorization !== undefined) return headerClaim(authorization, request.headers);
  if (request.query.get('X-Amz-Algorithm') === algorithm) return queryClaim(request.query);
  return undefined;
}

function headerClaim(authorization: string, headers: Readonly<Record<string, string>>): SignatureClaim | undefined {
  const match = /^AWS4-HMAC-SHA256 Credential=([^, ]+), *SignedHeaders=([^, ]+), *Signature=([0-9a-f]{64})$/.exec(
    authorization.trim(),
  );
  if (match === null) return undefined;
  return claim(match[1]!, match[2]!, match[3]!, {
    timestamp: headers['x-amz-date'],
    sessionToken: headers['x-amz-security-token'],
    expires: undefined,
  });
}

function queryClaim(query: URLSearchParams): SignatureClaim | undefined {
  const expires = query.get('X-Amz-Expires') ?? '';
  if (!/^\d{1,6}$/.test(expires)) return undefined;
  const [credential, signedHeaders, signature] = ['X-Amz-Credential', 'X-Amz-SignedHeaders', 'X-Amz-Signature'].map(
    (name) => query.get(name) ?? '',
  ) as [string, string, string];
  return claim(credential, signedHeaders, signature, {
    timestamp: query.get('X-Amz-Date') ?? undefined,
    sessionToken: query.get('X-Amz-Security-Token') ?? undefined,
    expires: Number(expires),
  });
}

function claim(
  credential: string,
  signedHeaders: string,
  signature: string,
  rest: { timestamp: string | undefined; sessionToken: string | undefined; expires: number | undefined },
): SignatureClaim | undefined {
  const [accessKeyId, date, region, service, terminator, ...more] = credential.split('/') as string[];
  const { timestamp } = rest;
  if (more.length > 0 || terminator !== 'aws4_request' || timestamp === undefined) return undefined;
  if (!accessKeyId || !/^\d{8}$/.test(date!) || !/^\d{8}T\d{6}Z$/.test(timestamp) || !timestamp.startsWith(date!)) {
    return undefined;
  }
  const names = signedHeaders.split(';');
  return {
    accessKeyId,
    date: date!,
    region: region!,
    service: service!,
    signedHeaders: names,
    signature,
    ...rest,
    timestamp,
  };
}

/** Clocks may differ by so much. */
const allowedSkewMilliseconds = 300_000;
const longestExpirySeconds = 604_800;

/** Why the claim does not hold; undefined when it does. `now` in milliseconds. */
export function refuteSignature(
  request: SignedRequest,
  claim: SignatureClaim,
  secretAccessKey: string,
  now: number,
): 'expired' | 'mismatch' | 'payload' | undefined {
  const signed = Date.parse(claim.timestamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  const lifetime =
    claim.expires === undefined ? allowedSkewMilliseconds : Math.min(claim.expires, longestExpirySeconds) * 1_000;
  if (Number.isNaN(signed) || now > signed + lifetime || now < signed - allowedSkewMilliseconds) return 'expired';
  if (!claim.signedHeaders.includes('host')) return 'mismatch';
  const payloadHash = payloadHashOf(request, claim);
  if (payloadHash === undefined) return 'payload';
  const text = [
    algorithm,
    claim.timestamp,
    `${claim.date}/${claim.region}/${claim.service}/aws4_request`,
    sha256(canonicalRequest(request, claim, payloadHash)),
  ].join('\n');
  const key = ['aws4_request', claim.service, claim.region, claim.date].reduceRight<string | Buffer>(
    (secret, part) => hmac(secret, part),
    `AWS4${secretAccessKey}`,
  );
  const wanted = hmac(key, text);
  const given = Buffer.from(claim.signature, 'hex');
  return given.length === wanted.length && timingSafeEqual(given, wanted) ? undefined : 'mismatch';
}

/** The hash that was signed: that of the body, or "unsigned" where the signed headers say so. */
function payloadHashOf({ headers, query, body }: SignedRequest, claim: SignatureClaim): string | undefined {
  const actual = sha256(body);
  const declared = claim.expires === undefined ? headers['x-amz-content-sha256'] : query.get('X-Amz-Content-Sha256');
  if (declared === undefined || declared === null || declared === actual) return actual;
  return declared === 'UNSIGNED-PAYLOAD' ? declared : undefined;
}

function canonicalRequest(
  { method, path, query, headers }: SignedRequest,
  claim: SignatureClaim,
  hash: string,
): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(percentEncode(segment));
  }
  const trailing = segments.length > 0 && path.endsWith('/') ? '/' : '';
  const parameters = [...query]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`)
    .sort();
  const names = [...claim.signedHeaders].sort();
  return [
    method,
    `/${segments.join('/')}${trailing}`,
    parameters.join('&'),
    ...names.map((name) => `${name}:${(headers[name] ?? '').trim().replace(/\s+/g, ' ')}`),
    '',
    names.join(';'),
    hash,
  ].join('\n');
}

const percentEncode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
