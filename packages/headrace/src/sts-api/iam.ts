import { randomBytes } from 'node:crypto';
import type { Api } from '../gateway/route.ts';
import type { Collection } from '../store/collection.ts';
import type { Store } from '../store/store.ts';
import {
  answerQuery,
  notImplemented,
  QueryError,
  type QueryService,
  queryParameters,
  type Tree,
} from './query-protocol.ts';

const iam: QueryService = { namespace: 'https://iam.amazonaws.com/doc/2010-05-08/', version: '2010-05-08' };

interface RoleDocument {
  readonly name: string;
  readonly path: string;
  readonly id: string;
  readonly trust: string;
  readonly description?: string;
  readonly maximumSessionSeconds: number;
  /** ISO 8601. */
  readonly created: string;
  /** Inline policies by name. */
  readonly policies: Readonly<Record<string, string>>;
  /** ARNs of managed ones. */
  readonly attached: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
}

interface PolicyDocument {
  readonly name: string;
  readonly path: string;
  readonly id: string;
  readonly document: string;
  /** ISO 8601. */
  readonly created: string;
}

export interface IamOptions {
  readonly store: Store;
  readonly accountId: string;
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Roles and policies as deploy tools make and read them. They are kept and answered, and grant or refuse nothing here:
 * a function may do what the keys of its environment may.
 */
export function createIamApi(options: IamOptions): Api {
  const { store } = options;
  const state: State = {
    accountId: options.accountId,
    roles: store.collection<RoleDocument>('iam-role'),
    policies: store.collection<PolicyDocument>('iam-policy'),
    now: options.now ?? Date.now,
  };
  return {
    service: 'iam',
    async handle(request) {
      const parameters = queryParameters(iam, request);
      if (parameters === undefined) return undefined;
      const action = parameters.get('Action') ?? '';
      const context = {
        principal: request.principal ?? 'anonymous',
        operation: `iam:${action}`,
        requestId: request.requestId,
      };
      const answer = answerQuery(iam, request, action, () => {
        const run = actions[action];
        if (run === undefined) throw notImplemented(action);
        return store.groupedTransaction(() => run(state, parameters), context);
      });
      await store.flushed();
      return answer;
    },
  };
}

interface State {
  readonly accountId: string;
  readonly roles: Collection<RoleDocument>;
  readonly policies: Collection<PolicyDocument>;
  readonly now: () => number;
}

type Action = (state: State, parameters: URLSearchParams) => Tree | undefined;

const actions: Readonly<Record<string, Action>> = {
  CreateRole(state, parameters) {
    const name = required(parameters, 'RoleName');
    if (!/^[\w+=,.@-]{1,64}$/.test(name)) {
      throw new QueryError('ValidationError', 'RoleName must be 1 to 64 letters, digits or +=,.@-_');
    }
    if (state.roles.has(name))
      throw new QueryError('EntityAlreadyExists', `Role with name ${name} already exists.`, 409);
    const description = parameters.get('Description');
    const role: RoleDocument = {
      name,
      path: parameters.get('Path') ?? '/',
      id: newId('AROA'),
      trust: jsonText(parameters, 'AssumeRolePolicyDocument'),
      ...(description === null ? {} : { description }),
      maximumSessionSeconds: Number(parameters.get('MaxSessionDuration') ?? 3_600),
      created: new Date(state.now()).toISOString(),
      policies: {},
      attached: [],
      tags: tagsOf(parameters),
    };
    state.roles.put(name, role);
    return { Role: roleTree(state, role) };
  },
  GetRole: (state, parameters) => ({ Role: roleTree(state, roleOf(state, parameters)) }),
  ListRoles: (state) => ({
    IsTruncated: false,
    Roles: [...state.roles.values()].sort(byName).map((role) => roleTree(state, role)),
  }),
  DeleteRole(state, parameters) {
    const role = roleOf(state, parameters);
    if (role.attached.length > 0 || Object.keys(role.policies).length > 0) {
      throw new QueryError('DeleteConflict', 'Cannot delete entity, must detach all policies first.', 409);
    }
    state.roles.delete(role.name);
    return undefined;
  },
  UpdateAssumeRolePolicy(state, parameters) {
    const trust = jsonText(parameters, 'PolicyDocument');
    state.roles.put(roleOf(state, parameters).name, { ...roleOf(state, parameters), trust });
    return undefined;
  },
  PutRolePolicy(state, parameters) {
    const role = roleOf(state, parameters);
    const policy = { [required(parameters, 'PolicyName')]: jsonText(parameters, 'PolicyDocument') };
    state.roles.put(role.name, { ...role, policies: { ...role.policies, ...policy } });
    return undefined;
  },
  GetRolePolicy(state, parameters) {
    const role = roleOf(state, parameters);
    const name = required(parameters, 'PolicyName');
    const document = role.policies[name];
    if (document === undefined) throw noSuch(`The role policy with name ${name} cannot be found.`);
    return { RoleName: role.name, PolicyName: name, PolicyDocument: encodeURIComponent(document) };
  },
  DeleteRolePolicy(state, parameters) {
    const role = roleOf(state, parameters);
    const { [required(parameters, 'PolicyName')]: _removed, ...policies } = role.policies;
    state.roles.put(role.name, { ...role, policies });
    return undefined;
  },
  ListRolePolicies: (state, parameters) => ({
    PolicyNames: Object.keys(roleOf(state, parameters).policies).sort(),
    IsTruncated: false,
  }),
  AttachRolePolicy(state, parameters) {
    const role = roleOf(state, parameters);
    const arn = required(parameters, 'PolicyArn');
    state.roles.put(role.name, { ...role, attached: [...new Set([...role.attached, arn])] });
    return undefined;
  },
  DetachRolePolicy(state, parameters) {
    const role = roleOf(state, parameters);
    const arn = required(parameters, 'PolicyArn');
    state.roles.put(role.name, { ...role, attached: role.attached.filter((other) => other !== arn) });
    return undefined;
  },
  ListAttachedRolePolicies: (state, parameters) => ({
    AttachedPolicies: roleOf(state, parameters).attached.map((arn) => ({
      PolicyName: arn.slice(arn.lastIndexOf('/') + 1),
      PolicyArn: arn,
    })),
    IsTruncated: false,
  }),
  ListInstanceProfilesForRole(state, parameters) {
    roleOf(state, parameters);
    return { InstanceProfiles: [], IsTruncated: false };
  },
  TagRole(state, parameters) {
    const role = roleOf(state, parameters);
    state.roles.put(role.name, { ...role, tags: { ...role.tags, ...tagsOf(parameters) } });
    return undefined;
  },
  ListRoleTags: (state, parameters) => ({ Tags: tagTrees(roleOf(state, parameters).tags), IsTruncated: false }),
  CreatePolicy(state, parameters) {
    const name = required(parameters, 'PolicyName');
    const policy: PolicyDocument = {
      name,
      path: parameters.get('Path') ?? '/',
      id: newId('ANPA'),
      document: jsonText(parameters, 'PolicyDocument'),
      created: new Date(state.now()).toISOString(),
    };
    const arn = policyArn(state, policy);
    if (state.policies.has(arn)) {
      throw new QueryError(
        'EntityAlreadyExists',
        `A policy called ${name} already exists. Duplicate names are not allowed.`,
        409,
      );
    }
    state.policies.put(arn, policy);
    return { Policy: policyTree(state, policy) };
  },
  GetPolicy: (state, parameters) => ({ Policy: policyTree(state, policyOf(state, parameters)) }),
  GetPolicyVersion(state, parameters) {
    const { document, created } = policyOf(state, parameters);
    const version = { VersionId: 'v1', IsDefaultVersion: true, CreateDate: created };
    return { PolicyVersion: { Document: encodeURIComponent(document), ...version } };
  },
  ListPolicyVersions(state, parameters) {
    const { created } = policyOf(state, parameters);
    return { Versions: [{ VersionId: 'v1', IsDefaultVersion: true, CreateDate: created }], IsTruncated: false };
  },
  DeletePolicy(state, parameters) {
    state.policies.delete(policyArn(state, policyOf(state, parameters)));
    return undefined;
  },
};

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
const noSuch = (message: string): QueryError => new QueryError('NoSuchEntity', message, 404);

/** 21 characters, as ids of IAM have. */
function newId(prefix: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return prefix + Array.from(randomBytes(17), (byte) => letters[byte & 31]).join('');
}

function required(parameters: URLSearchParams, name: string): string {
  const value = parameters.get(name);
  if (!value)
    throw new QueryError(
      'ValidationError',
      `Value null at '${name}' failed to satisfy constraint: Member must not be null`,
    );
  return value;
}

function jsonText(parameters: URLSearchParams, name: string): string {
  const text = required(parameters, name);
  try {
    JSON.parse(text);
  } catch {
    throw new QueryError('MalformedPolicyDocument', 'This policy contains invalid Json');
  }
  return text;
}

function roleOf(state: State, parameters: URLSearchParams): RoleDocument {
  const name = required(parameters, 'RoleName');
  const role = state.roles.get(name);
  if (role === undefined) throw noSuch(`The role with name ${name} cannot be found.`);
  return role;
}

function policyOf(state: State, parameters: URLSearchParams): PolicyDocument {
  const arn = required(parameters, 'PolicyArn');
  const policy = state.policies.get(arn);
  if (policy === undefined) throw noSuch(`Policy ${arn} was not found.`);
  return policy;
}

/** `Tags.member.1.Key` and `Tags.member.1.Value`, and so on. */
function tagsOf(parameters: URLSearchParams): Record<string, string> {
  const tags: [string, string][] = [];
  for (let index = 1; parameters.has(`Tags.member.${index}.Key`); index += 1) {
    tags.push([parameters.get(`Tags.member.${index}.Key`)!, parameters.get(`Tags.member.${index}.Value`) ?? '']);
  }
  return Object.fromEntries(tags);
}

const tagTrees = (tags: Readonly<Record<string, string>>): Tree[] =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

function roleTree({ accountId }: State, role: RoleDocument): Tree {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: `arn:aws:iam::${accountId}:role${role.path}${role.name}`,
    CreateDate: role.created,
    AssumeRolePolicyDocument: encodeURIComponent(role.trust),
    Description: role.description,
    MaxSessionDuration: role.maximumSessionSeconds,
    Tags: tagTrees(role.tags),
  };
}

const policyArn = ({ accountId }: State, { path, name }: PolicyDocument): string =>
  `arn:aws:iam::${accountId}:policy${path}${name}`;

function policyTree(state: State, policy: PolicyDocument): Tree {
  return {
    PolicyName: policy.name,
    PolicyId: policy.id,
    Arn: policyArn(state, policy),
    Path: policy.path,
    DefaultVersionId: 'v1',
    AttachmentCount: 0,
    IsAttachable: true,
    CreateDate: policy.created,
    UpdateDate: policy.created,
  };
}
