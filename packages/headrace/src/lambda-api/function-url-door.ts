import type { ApiRequest, ApiResponse } from '../gateway/route.ts';
import type { Context } from './context.ts';
import type { FunctionUrlDocument } from './documents.ts';
import { functionArn } from './names.ts';

const host = /^([a-z0-9]{32})\.lambda-url\.[a-z0-9-]+\.localhost(:\d+)?$/;

interface Target {
  readonly name: string;
  readonly qualifier: string;
  readonly url: FunctionUrlDocument;
}

type Head = Pick<ApiRequest, 'headers'>;

/** The function URL that a request was sent to: by its host, as on AWS. */
export function urlTarget(context: Context, { headers }: Head): Target | undefined {
  const id = host.exec(headers['host'] ?? '')?.[1];
  if (id === undefined) return undefined;
  for (const { name, urls } of context.documents.functions.values()) {
    for (const [qualifier, url] of Object.entries(urls)) if (url.id === id) return { name, qualifier, url };
  }
  return undefined;
}

export const isFunctionUrl = ({ headers }: Head): boolean => host.test(headers['host'] ?? '');

/** Serves a function URL: payload format 2.0. https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html */
export async function serveFunctionUrl(context: Context, request: ApiRequest): Promise<ApiResponse> {
  const target = urlTarget(context, request);
  if (target === undefined) return { status: 403, body: { Message: 'Forbidden' } };
  const cors = corsHeaders(target.url, request);
  if (request.method === 'OPTIONS' && target.url.cors !== undefined) return { status: 204, headers: cors };
  const { name, qualifier } = target;
  const event = Buffer.from(JSON.stringify(eventOf(context, target, request)));
  const ref = functionArn(context, name, qualifier === '$LATEST' ? undefined : qualifier);
  const outcome = await context.engine.invoke(ref, event, { requestId: request.requestId });
  if (outcome.kind === 'success') {
    const answer = answerOf(outcome.payload);
    return { ...answer, headers: { ...answer.headers, ...cors } };
  }
  if (outcome.kind === 'throttled') return { status: 429, headers: cors, body: { Reason: outcome.reason } };
  if (outcome.kind === 'too-large')
    return { status: 413, headers: cors, body: { Message: 'Request Entity Too Large' } };
  return { status: 502, headers: cors, body: { Message: 'Internal Server Error' } };
}

function eventOf(context: Context, { url }: Target, request: ApiRequest): Record<string, unknown> {
  const { cookie, ...headers } = request.headers;
  const now = context.now();
  const type = headers['content-type'] ?? '';
  const isText = /^(text\/|application\/(json|xml|javascript|x-www-form-urlencoded))/.test(type) || type === '';
  const domainName = (headers['host'] ?? '').replace(/:\d+$/, '');
  const parameters = [...new Set(request.query.keys())].map((key) => [key, request.query.getAll(key).join(',')]);
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: request.path,
    rawQueryString: request.query.toString(),
    ...(cookie === undefined ? {} : { cookies: cookie.split('; ') }),
    headers,
    ...(parameters.length === 0 ? {} : { queryStringParameters: Object.fromEntries(parameters) }),
    requestContext: {
      accountId: request.principal === undefined ? 'anonymous' : context.accountId,
      apiId: url.id,
      domainName,
      domainPrefix: url.id,
      http: {
        method: request.method,
        path: request.path,
        protocol: 'HTTP/1.1',
        sourceIp: '127.0.0.1',
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: request.requestId,
      routeKey: '$default',
      stage: '$default',
      time: commonLogTime(now),
      timeEpoch: now,
    },
    ...(request.body.length === 0 ? {} : { body: request.body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: request.body.length > 0 && !isText,
  };
}

/** `05/Jan/2026:10:11:12 +0000`. */
function commonLogTime(milliseconds: number): string {
  const [, day, month, year, time] = new Date(milliseconds).toUTCString().split(' ') as string[];
  return `${day}/${month}/${year}:${time} +0000`;
}

/** An object with a status code says everything itself; anything else is the body of a 200. */
function answerOf(payload: Buffer): ApiResponse {
  let result: unknown;
  try {
    result = JSON.parse(payload.toString('utf8'));
  } catch {
    return { status: 502, body: { Message: 'Internal Server Error' } };
  }
  if (typeof result !== 'object' || result === null || !('statusCode' in result)) {
    return { status: 200, headers: { 'content-type': 'application/json' }, body: payload };
  }
  const { statusCode, headers, body, isBase64Encoded } = result as Record<string, unknown>;
  if (typeof statusCode !== 'number' || !Number.isInteger(statusCode) || statusCode < 100 || statusCode > 599) {
    return { status: 502, body: { Message: 'Internal Server Error' } };
  }
  const own = Object.entries(typeof headers === 'object' && headers !== null ? headers : {})
    // A header that HTTP cannot carry must not end the server's answer.
    .filter(([name, value]) => /^[\w!#$%&'*+.^`|~-]+$/.test(name) && !/[^\t\x20-\x7e\x80-\xff]/.test(String(value)))
    .map(([name, value]) => [name.toLowerCase(), String(value)]);
  const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
  return {
    status: statusCode,
    headers: { 'content-type': 'application/json', ...Object.fromEntries(own) },
    body: Buffer.from(text, isBase64Encoded === true ? 'base64' : 'utf8'),
  };
}

function corsHeaders({ cors }: FunctionUrlDocument, { headers, method }: ApiRequest): Record<string, string> {
  const { origin } = headers;
  if (cors === undefined || origin === undefined) return {};
  const list = (name: string): string[] => (Array.isArray(cors[name]) ? (cors[name] as string[]) : []);
  const origins = list('AllowOrigins');
  if (!origins.includes('*') && !origins.includes(origin)) return {};
  const preflight: Record<string, string> =
    method === 'OPTIONS'
      ? {
          'access-control-allow-methods': list('AllowMethods').join(','),
          'access-control-allow-headers': list('AllowHeaders').join(','),
          'access-control-max-age': String(cors['MaxAge'] ?? 0),
        }
      : {};
  const exposed = list('ExposeHeaders');
  return {
    'access-control-allow-origin': cors['AllowCredentials'] === true ? origin : origins.includes('*') ? '*' : origin,
    vary: 'Origin',
    ...(cors['AllowCredentials'] === true ? { 'access-control-allow-credentials': 'true' } : {}),
    ...(exposed.length === 0 ? {} : { 'access-control-expose-headers': exposed.join(',') }),
    ...preflight,
  };
}
