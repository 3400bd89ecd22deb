import type { TemporaryKey } from '../gateway/credentials.ts';
import type { Api } from '../gateway/route.ts';
import {
  answerQuery,
  notImplemented,
  QueryError,
  type QueryService,
  queryParameters,
  type Tree,
} from './query-protocol.ts';

export interface StsOptions {
  readonly accountId: string;
  /** Makes keys for AssumeRole and GetSessionToken. */
  readonly issueKey: (name: string, expiresAt: number) => TemporaryKey;
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly now?: () => number;
}

const sts: QueryService = { namespace: 'https://sts.amazonaws.com/doc/2011-06-15/', version: '2011-06-15' };
const defaultDurationSeconds = 3_600;

/** The part of STS that clients and deploy tools call before anything else. */
export function createStsApi(options: StsOptions): Api {
  return {
    service: 'sts',
    async handle(request) {
      const parameters = queryParameters(sts, request);
      if (parameters === undefined) return undefined;
      const action = parameters.get('Action') ?? '';
      return answerQuery(sts, request, action, () => run(options, request.principal, action, parameters));
    },
  };
}

function run(options: StsOptions, principal: string | undefined, action: string, parameters: URLSearchParams): Tree {
  const { accountId } = options;
  switch (action) {
    case 'GetCallerIdentity':
      return { Arn: callerArn(accountId, principal), UserId: principal ?? accountId, Account: accountId };
    case 'GetSessionToken':
      return { Credentials: issue(options, 'session', parameters) };
    case 'AssumeRole': {
      const role = parameters.get('RoleArn') ?? '';
      const session = parameters.get('RoleSessionName') ?? '';
      if (!/^arn:aws[a-z-]*:iam::\d{12}:role\/.+$/.test(role))
        throw new QueryError('ValidationError', `${role} is invalid`);
      if (!/^[\w+=,.@-]{2,64}$/.test(session)) {
        throw new QueryError('ValidationError', 'RoleSessionName must be 2 to 64 letters, digits or +=,.@-_');
      }
      const name = role.slice(role.lastIndexOf('/') + 1);
      const Credentials = issue(options, `${name}/${session}`, parameters);
      const Arn = `arn:aws:sts::${accountId}:assumed-role/${name}/${session}`;
      const AssumedRoleId = `${Credentials.AccessKeyId}:${session}`;
      return { Credentials, AssumedRoleUser: { AssumedRoleId, Arn } };
    }
    default:
      throw notImplemented(action);
  }
}

function callerArn(accountId: string, principal: string | undefined): string {
  if (principal?.startsWith('function:')) {
    const name = principal.slice('function:'.length);
    return `arn:aws:sts::${accountId}:assumed-role/${name}/${name}`;
  }
  return principal === undefined ? `arn:aws:iam::${accountId}:root` : `arn:aws:iam::${accountId}:user/${principal}`;
}

function issue(
  options: StsOptions,
  name: string,
  parameters: URLSearchParams,
): { AccessKeyId: string; SecretAccessKey: string; SessionToken: string; Expiration: string } {
  const seconds = Number(parameters.get('DurationSeconds') ?? defaultDurationSeconds);
  if (!Number.isInteger(seconds) || seconds < 900 || seconds > 129_600) {
    throw new QueryError('ValidationError', 'DurationSeconds must be 900 to 129600');
  }
  const expiresAt = (options.now ?? Date.now)() + seconds * 1_000;
  const key = options.issueKey(name, expiresAt);
  return {
    AccessKeyId: key.accessKeyId,
    SecretAccessKey: key.secretAccessKey,
    SessionToken: key.sessionToken,
    Expiration: new Date(expiresAt).toISOString(),
  };
}
