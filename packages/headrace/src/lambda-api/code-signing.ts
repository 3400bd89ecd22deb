import { randomInt } from 'node:crypto';
import type {
  CreateCodeSigningConfigRequest,
  DeleteCodeSigningConfigRequest,
  DeleteFunctionCodeSigningConfigRequest,
  GetCodeSigningConfigRequest,
  GetFunctionCodeSigningConfigRequest,
  ListCodeSigningConfigsRequest,
  ListFunctionsByCodeSigningConfigRequest,
  PutFunctionCodeSigningConfigRequest,
  UpdateCodeSigningConfigRequest,
} from '@aws-sdk/client-lambda';
import { timestampText } from './configuration.ts';
import { type Context, findFunction, operation } from './context.ts';
import type { CodeSigningDocument } from './documents.ts';
import { conflict, LambdaError, notFound } from './errors.ts';
import { functionArn } from './names.ts';
import { page } from './pagination.ts';
import { checkTags } from './tags.ts';

/*
 * Configurations are kept and answered, so that templates deploy; packages are not checked against them, because
 * signatures are made by a service of AWS.
 */

export const createCodeSigningConfig = operation<CreateCodeSigningConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    checkTags(input.Tags);
    const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
    const id = `csc-${Array.from({ length: 17 }, () => letters[randomInt(letters.length)]).join('')}`;
    const arn = `arn:aws:lambda:${context.region}:${context.accountId}:code-signing-config:${id}`;
    const document: CodeSigningDocument = {
      arn,
      id,
      ...(input.Description === undefined ? {} : { description: input.Description }),
      publishers: input.AllowedPublishers?.SigningProfileVersionArns ?? [],
      untrustedArtifactOnDeployment: input.CodeSigningPolicies?.UntrustedArtifactOnDeployment ?? 'Warn',
      lastModified: context.now(),
    };
    context.documents.codeSigning.put(arn, document);
    if (input.Tags !== undefined && Object.keys(input.Tags).length > 0) context.documents.tags.put(arn, input.Tags);
    return { CodeSigningConfig: render(document) };
  }),
);

export const getCodeSigningConfig = operation<GetCodeSigningConfigRequest>(({ context }, input) => ({
  CodeSigningConfig: render(existing(context, input.CodeSigningConfigArn!)),
}));

export const updateCodeSigningConfig = operation<UpdateCodeSigningConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const before = existing(context, input.CodeSigningConfigArn!);
    const document: CodeSigningDocument = {
      ...before,
      ...(input.Description === undefined ? {} : { description: input.Description }),
      publishers: input.AllowedPublishers?.SigningProfileVersionArns ?? before.publishers,
      untrustedArtifactOnDeployment:
        input.CodeSigningPolicies?.UntrustedArtifactOnDeployment ?? before.untrustedArtifactOnDeployment,
      lastModified: context.now(),
    };
    context.documents.codeSigning.put(before.arn, document);
    return { CodeSigningConfig: render(document) };
  }),
);

export const deleteCodeSigningConfig = operation<DeleteCodeSigningConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { arn } = existing(context, input.CodeSigningConfigArn!);
    if (users(context, arn).length > 0) {
      throw conflict(
        'CodeSigningConfig is being used by functions. Remove it from all functions before you delete it.',
      );
    }
    context.documents.codeSigning.delete(arn);
    context.documents.tags.delete(arn);
    return undefined;
  }),
);

const configsPerPage = 50;

export const listCodeSigningConfigs = operation<ListCodeSigningConfigsRequest>(({ context }, input) => {
  const all = [...context.documents.codeSigning.values()].sort((a, b) => (a.arn < b.arn ? -1 : 1));
  const { items, nextMarker } = page(all, {
    keyOf: ({ arn }) => arn,
    limit: configsPerPage,
    marker: input.Marker,
    maxItems: input.MaxItems,
  });
  return { CodeSigningConfigs: items.map(render), ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }) };
});

export const listFunctionsByCodeSigningConfig = operation<ListFunctionsByCodeSigningConfigRequest>(
  ({ context }, input) => {
    const { arn } = existing(context, input.CodeSigningConfigArn!);
    const { items, nextMarker } = page(users(context, arn), {
      keyOf: (name) => name,
      limit: configsPerPage,
      marker: input.Marker,
      maxItems: input.MaxItems,
    });
    return {
      FunctionArns: items.map((name) => functionArn(context, name)),
      ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }),
    };
  },
);

export const putFunctionCodeSigningConfig = operation<PutFunctionCodeSigningConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { document } = findFunction(context, input.FunctionName!);
    const arn = input.CodeSigningConfigArn!;
    if (!context.documents.codeSigning.has(arn)) {
      throw new LambdaError(
        'CodeSigningConfigNotFoundException',
        `The code signing configuration cannot be found. Check that the provided configuration is not deleted: ${arn}.`,
        { withoutType: true },
      );
    }
    context.documents.functions.put(document.name, { ...document, codeSigningConfigArn: arn });
    return { CodeSigningConfigArn: arn, FunctionName: document.name };
  }),
);

export const getFunctionCodeSigningConfig = operation<GetFunctionCodeSigningConfigRequest>(({ context }, input) => {
  const { document } = findFunction(context, input.FunctionName!);
  const { codeSigningConfigArn } = document;
  return codeSigningConfigArn === undefined
    ? {}
    : { CodeSigningConfigArn: codeSigningConfigArn, FunctionName: document.name };
});

export const deleteFunctionCodeSigningConfig = operation<DeleteFunctionCodeSigningConfigRequest>((call, input) =>
  call.transaction(() => {
    const { document } = findFunction(call.context, input.FunctionName!);
    const { codeSigningConfigArn: _removed, ...rest } = document;
    call.context.documents.functions.put(document.name, rest);
    return undefined;
  }),
);

/** Names of the functions that name a configuration, sorted. */
function users(context: Context, arn: string): string[] {
  return [...context.documents.functions.values()]
    .filter(({ codeSigningConfigArn }) => codeSigningConfigArn === arn)
    .map(({ name }) => name)
    .sort();
}

function existing(context: Context, arn: string): CodeSigningDocument {
  const document = context.documents.codeSigning.get(arn);
  if (document === undefined) throw notFound(`The Lambda code signing configuration ${arn} can not be found.`);
  return document;
}

function render(document: CodeSigningDocument): Record<string, unknown> {
  return {
    CodeSigningConfigId: document.id,
    CodeSigningConfigArn: document.arn,
    ...(document.description === undefined ? {} : { Description: document.description }),
    AllowedPublishers: { SigningProfileVersionArns: document.publishers },
    CodeSigningPolicies: { UntrustedArtifactOnDeployment: document.untrustedArtifactOnDeployment },
    LastModified: timestampText(document.lastModified),
  };
}
