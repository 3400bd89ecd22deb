import { randomUUID } from 'node:crypto';
import type { AddPermissionRequest, GetPolicyRequest, RemovePermissionRequest } from '@aws-sdk/client-lambda';
import { revisionOf } from './configuration.ts';
import { type Call, type Context, operation, preconditionFailed, requireQualifiedFunction } from './context.ts';
import { type FunctionDocument, type PolicyStatement, versionId } from './documents.ts';
import { conflict, invalidParameter, notFound } from './errors.ts';
import { functionArn, functionReference } from './names.ts';

export const addPermission = operation<AddPermissionRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { name, qualifier } = functionReference(context, input.FunctionName!, input.Qualifier);
    if (qualifier === '$LATEST') throw invalidParameter('We currently do not support adding policies for $LATEST.');
    const document = requireQualifiedFunction(context, name, qualifier);
    const before = statementsOf(document, qualifier);
    const statement = policyStatement(functionArn(context, name, qualifier), input);
    if (before.some(({ Sid }) => Sid === statement.Sid)) {
      throw conflict(
        `The statement id (${statement.Sid}) provided already exists. Please provide a new statement id, or remove the existing statement.`,
      );
    }
    checkRevision(context, document, qualifier, input.RevisionId);
    putStatements(context, document, qualifier, [...before, statement]);
    return { Statement: JSON.stringify(statement) };
  }),
);

export const getPolicy = operation<GetPolicyRequest>(({ context }, input) => {
  const { name, qualifier } = functionReference(context, input.FunctionName!, input.Qualifier);
  const document = context.documents.functions.get(name);
  const statements = document === undefined ? [] : statementsOf(document, qualifier);
  if (document === undefined || statements.length === 0) {
    throw notFound('The resource you requested does not exist.');
  }
  return { Policy: policyText(statements), RevisionId: revision(context, document, qualifier) };
});

export const removePermission = operation<RemovePermissionRequest>((call: Call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { name, qualifier } = functionReference(context, input.FunctionName!, input.Qualifier);
    if (!context.documents.functions.has(name)) throw notFound(`No policy found for: ${functionArn(context, name)}`);
    const document = requireQualifiedFunction(context, name, qualifier);
    const before = statementsOf(document, qualifier);
    if (before.length === 0) throw notFound('No policy is associated with the given resource.');
    const after = before.filter(({ Sid }) => Sid !== input.StatementId);
    if (after.length === before.length) throw statementNotFound(input.StatementId!);
    checkRevision(context, document, qualifier, input.RevisionId);
    putStatements(context, document, qualifier, after);
    return undefined;
  }),
);

export const statementNotFound = (sid: string): Error => notFound(`Statement ${sid} is not found in resource policy.`);

export const policyText = (statements: readonly PolicyStatement[]): string =>
  JSON.stringify({ Version: '2012-10-17', Id: 'default', Statement: statements });

const statementsOf = (document: FunctionDocument, qualifier = '$LATEST'): readonly PolicyStatement[] =>
  document.policies[qualifier] ?? [];

function checkRevision(
  context: Context,
  document: FunctionDocument,
  qualifier: string | undefined,
  revisionId: string | undefined,
): void {
  if (revisionId !== undefined && revisionId !== revision(context, document, qualifier)) {
    throw preconditionFailed('GetPolicy');
  }
}

function revision(context: Context, document: FunctionDocument, qualifier = '$LATEST'): string {
  const alias = document.aliases[qualifier];
  if (alias !== undefined) return alias.revisionId;
  return revisionOf(context.documents.versions.get(versionId(document.name, qualifier))!, context.now());
}

/** Writes the statements and moves the revision of what they belong to. */
function putStatements(
  context: Context,
  document: FunctionDocument,
  qualifier: string | undefined,
  statements: readonly PolicyStatement[],
): void {
  const key = qualifier ?? '$LATEST';
  const { functions, versions } = context.documents;
  const alias = document.aliases[key];
  functions.put(document.name, {
    ...document,
    policies: { ...document.policies, [key]: statements },
    ...(alias === undefined ? {} : { aliases: { ...document.aliases, [key]: { ...alias, revisionId: randomUUID() } } }),
  });
  const id = versionId(document.name, key);
  const version = versions.get(id);
  if (version !== undefined) {
    versions.put(id, { ...version, revisionId: randomUUID(), settledRevisionId: randomUUID() });
  }
}

/** A statement as AddPermission writes it. Throws for a principal that cannot be one. */
function policyStatement(resource: string, input: AddPermissionRequest): PolicyStatement {
  const equal = {
    ...(input.SourceAccount === undefined ? {} : { 'AWS:SourceAccount': input.SourceAccount }),
    ...(input.EventSourceToken === undefined ? {} : { 'lambda:EventSourceToken': input.EventSourceToken }),
    ...(input.FunctionUrlAuthType === undefined ? {} : { 'lambda:FunctionUrlAuthType': input.FunctionUrlAuthType }),
    ...(input.PrincipalOrgID === undefined ? {} : { 'aws:PrincipalOrgID': input.PrincipalOrgID }),
  };
  const condition = {
    ...(Object.keys(equal).length === 0 ? {} : { StringEquals: equal }),
    ...(input.SourceArn === undefined ? {} : { ArnLike: { 'AWS:SourceArn': input.SourceArn } }),
    ...(input.InvokedViaFunctionUrl === undefined
      ? {}
      : { Bool: { 'lambda:InvokedViaFunctionUrl': String(input.InvokedViaFunctionUrl) } }),
  };
  return {
    Sid: input.StatementId!,
    Effect: 'Allow',
    Principal: principalOf(input.Principal!),
    Action: input.Action!,
    Resource: resource,
    ...(Object.keys(condition).length === 0 ? {} : { Condition: condition }),
  };
}

function principalOf(principal: string): PolicyStatement['Principal'] {
  if (principal === '*') return principal;
  if (/^\d{12}$/.test(principal)) return { AWS: `arn:aws:iam::${principal}:root` };
  if (/^arn:aws[a-z-]*:(iam|sts)::\d{12}:.+$/.test(principal)) return { AWS: principal };
  if (/^[a-z0-9.-]+\.(amazonaws\.com(\.cn)?|amazon\.com|aws\.internal)$/.test(principal)) return { Service: principal };
  throw invalidParameter('The provided principal was invalid. Please check the principal and try again.');
}
