import type { ApiRequest, ApiResponse } from '../gateway/route.ts';

/** AWS's query protocol: parameters in a form, answers in XML. STS and IAM speak it. */
export interface QueryService {
  /** `https://sts.amazonaws.com/doc/2011-06-15/`. */
  readonly namespace: string;
  /** The `Version` parameter of its requests. */
  readonly version: string;
}

/** A result: elements by name; lists become `<member>` elements, undefined is left out. */
export interface Tree {
  readonly [name: string]: string | number | boolean | Tree | readonly (string | Tree)[] | undefined;
}

/** An error of a service of this protocol. */
export class QueryError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** The request's parameters when it is one of this service, else undefined. */
export function queryParameters(service: QueryService, request: ApiRequest): URLSearchParams | undefined {
  const { method, path, query, headers, body } = request;
  if (path !== '/') return undefined;
  const isForm = headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true;
  const parameters = method === 'POST' && isForm ? new URLSearchParams(body.toString('utf8')) : query;
  return parameters.has('Action') && parameters.get('Version') === service.version ? parameters : undefined;
}

/** Runs an action and writes its answer, or that of the QueryError it throws. */
export function answerQuery(
  { namespace }: QueryService,
  { requestId }: ApiRequest,
  action: string,
  run: () => Tree | undefined,
): ApiResponse {
  const headers = { 'content-type': 'text/xml' };
  try {
    const result = run();
    const wrapped = result === undefined ? '' : `<${action}Result>${xml(result)}</${action}Result>`;
    const body = `<${action}Response xmlns="${namespace}">${wrapped}<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${action}Response>`;
    return { status: 200, headers, body };
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    const detail = xml({ Type: error.status >= 500 ? 'Receiver' : 'Sender', Code: error.code, Message: error.message });
    const body = `<ErrorResponse xmlns="${namespace}"><Error>${detail}</Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
    return { status: error.status, headers, body };
  }
}

export const notImplemented = (action: string): QueryError =>
  new QueryError('NotImplemented', `${action} is not implemented by Headrace.`, 501);

function xml(tree: Tree): string {
  return Object.entries(tree)
    .map(([name, value]) => (value === undefined ? '' : `<${name}>${content(value)}</${name}>`))
    .join('');
}

function content(value: NonNullable<Tree[string]>): string {
  if (Array.isArray(value)) {
    return (value as readonly (string | Tree)[]).map((item) => `<member>${content(item)}</member>`).join('');
  }
  return typeof value === 'object' ? xml(value as Tree) : escapeXml(String(value));
}

const escapeXml = (text: string): string => text.replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`);
