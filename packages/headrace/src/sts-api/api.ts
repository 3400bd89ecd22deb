import type { TemporaryKey } from '../gateway/credentials.ts';
import type { Api, ApiRequest, ApiResponse } from '../gateway/route.ts';

export interface StsOptions {
  readonly accountId: string;
  /** Makes keys for AssumeRole and GetSessionToken. */
  readonly issueKey: (name: string) => TemporaryKey;
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly now?: () => number;
}

const namespace = 'https://sts.amazonaws.com/doc/2011-06-15/';
const defaultDurationSeconds = 3_600;

/** The part of STS that clients and deploy tools call before anything else. Query protocol, XML answers. */
export function createStsApi(options: StsOptions): Api {
  return {
    service: 'sts',
    async handle(request) {
      const parameters = parametersOf(request);
      const action = parameters.get('Action');
      if (action === null || parameters.get('Version') !== '2011-06-15') return undefined;
      return answer(options, request, action, parameters);
    },
  };
}

function parametersOf({ method, path, query, headers, body }: ApiRequest): URLSearchParams {
  if (path !== '/') return new URLSearchParams();
  const isForm = headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true;
  return method === 'POST' && isForm ? new URLSearchParams(body.toString('utf8')) : query;
}

function answer(options: StsOptions, request: ApiRequest, action: string, parameters: URLSearchParams): ApiResponse {
  const { accountId } = options;
  switch (action) {
    case 'GetCallerIdentity':
      return success(request, action, {
        Arn: callerArn(accountId, request.principal),
        UserId: request.principal ?? accountId,
        Account: accountId,
      });
    case 'GetSessionToken':
      return success(request, action, { Credentials: issue(options, 'session', parameters) });
    case 'AssumeRole': {
      const role = parameters.get('RoleArn') ?? '';
      const session = parameters.get('RoleSessionName') ?? '';
      if (!/^arn:aws[a-z-]*:iam::\d{12}:role\/.+$/.test(role))
        return failure(request, 'ValidationError', `${role} is invalid`);
      if (!/^[\w+=,.@-]{2,64}$/.test(session)) {
        return failure(request, 'ValidationError', 'RoleSessionName must be 2 to 64 letters, digits or +=,.@-_');
      }
      const name = role.slice(role.lastIndexOf('/') + 1);
      const Arn = `arn:aws:sts::${accountId}:assumed-role/${name}/${session}`;
      const Credentials = issue(options, `${name}/${session}`, parameters);
      return success(request, action, {
        Credentials,
        AssumedRoleUser: { AssumedRoleId: `${Credentials['AccessKeyId']}:${session}`, Arn },
      });
    }
    default:
      return failure(request, 'NotImplemented', `${action} is not implemented by Headrace.`, 501);
  }
}

function callerArn(accountId: string, principal: string | undefined): string {
  if (principal?.startsWith('function:')) {
    const name = principal.slice('function:'.length);
    return `arn:aws:sts::${accountId}:assumed-role/${name}/${name}`;
  }
  return principal === undefined ? `arn:aws:iam::${accountId}:root` : `arn:aws:iam::${accountId}:user/${principal}`;
}

function issue(options: StsOptions, name: string, parameters: URLSearchParams): Record<string, string> {
  const key = options.issueKey(name);
  const seconds = Number(parameters.get('DurationSeconds') ?? defaultDurationSeconds);
  return {
    AccessKeyId: key.accessKeyId,
    SecretAccessKey: key.secretAccessKey,
    SessionToken: key.sessionToken,
    Expiration: new Date((options.now ?? Date.now)() + seconds * 1_000).toISOString(),
  };
}

type Tree = { readonly [name: string]: string | Tree };

function success({ requestId }: ApiRequest, action: string, result: Tree): ApiResponse {
  const body = `<${action}Response xmlns="${namespace}"><${action}Result>${xml(result)}</${action}Result><ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${action}Response>`;
  return { status: 200, headers: { 'content-type': 'text/xml' }, body };
}

function failure({ requestId }: ApiRequest, code: string, message: string, status = 400): ApiResponse {
  const body = `<ErrorResponse xmlns="${namespace}"><Error>${xml({ Type: 'Sender', Code: code, Message: message })}</Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
  return { status, headers: { 'content-type': 'text/xml' }, body };
}

function xml(tree: Tree): string {
  return Object.entries(tree)
    .map(([name, value]) => `<${name}>${typeof value === 'string' ? escapeXml(value) : xml(value)}</${name}>`)
    .join('');
}

const escapeXml = (text: string): string => text.replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`);
