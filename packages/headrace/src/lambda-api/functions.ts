import { setTimeout as delay } from 'node:timers/promises';
import type {
  CreateFunctionRequest,
  DeleteFunctionRequest,
  GetFunctionConfigurationRequest,
  GetFunctionRequest,
  ListFunctionsRequest,
  UpdateFunctionCodeRequest,
  UpdateFunctionConfigurationRequest,
} from '@aws-sdk/client-lambda';
import { checkPackage } from './code-package.ts';
import { configuration, listedConfiguration } from './configuration.ts';
import { type Call, type Context, findFunction, operation, requireVersion } from './context.ts';
import { type FunctionDocument, type StoredCode, type VersionDocument, versionId } from './documents.ts';
import { conflict, invalidParameter } from './errors.ts';
import { configured } from './function-settings.ts';
import { localBucket, localCode } from './local-code.ts';
import { functionReference, isVersionNumber } from './names.ts';
import { page } from './pagination.ts';
import { checkUpdatable, freshRevision, versionsOf } from './revisions.ts';
import { fetchFromS3 } from './s3-code.ts';
import { checkTags } from './tags.ts';
import { publish } from './versions.ts';

type Code = Pick<
  NonNullable<CreateFunctionRequest['Code']>,
  'ZipFile' | 'S3Bucket' | 'S3Key' | 'S3ObjectVersion' | 'ImageUri'
>;

/** The longest bare name of a function; ARNs may be longer. */
const maximumName = 64;

export const createFunction = operation<CreateFunctionRequest>(async (call, input) => {
  const { context } = call;
  const { name } = functionReference(context, input.FunctionName!);
  if (name.length > maximumName) {
    throw invalidParameter(
      `1 validation error detected: Value '${name}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to ${maximumName}`,
    );
  }
  if (input.PackageType === 'Image' || input.Code?.ImageUri !== undefined) throw imagesNotOffered();
  if (input.Runtime === undefined || input.Handler === undefined) {
    throw invalidParameter(
      'Runtime and Handler are mandatory parameters for functions created with deployment packages.',
    );
  }
  checkTags(input.Tags);
  const settings = configured(context, name, input, undefined);
  if (context.documents.functions.has(name)) throw conflict(`Function already exist: ${name}`);
  const code = await receiveCode(context, input.Code ?? {});
  return call.transaction(() => {
    // Asked again: another request may have made it while the code was received.
    if (context.documents.functions.has(name)) throw conflict(`Function already exist: ${name}`);
    const version = addFunction(context, name, {
      ...settings,
      code,
      Architectures: [input.Architectures?.[0] ?? 'x86_64'],
      tags: input.Tags ?? {},
    });
    if (input.Publish !== true) return configuration(context, version, context.now());
    const published = publish(context, name, {});
    return { ...configuration(context, version, context.now()), Version: published.version };
  });
});

/** Puts a new function with its `$LATEST` into the documents. */
export function addFunction(
  context: Context,
  name: string,
  parts: Omit<
    VersionDocument,
    | 'functionName'
    | 'version'
    | 'lastModified'
    | 'runRevision'
    | 'revisionId'
    | 'settledRevisionId'
    | 'change'
    | 'settlesAt'
  > & { readonly tags: Readonly<Record<string, string>> },
): VersionDocument {
  const { tags, ...version } = parts;
  const { functions, versions } = context.documents;
  functions.put(name, {
    name,
    nextVersion: 1,
    aliases: {},
    policies: {},
    tags,
    provisionedConcurrency: {},
    eventInvokeConfigs: {},
    urls: {},
    runtimeManagement: {},
    recursiveLoop: 'Terminate',
  });
  const latest: VersionDocument = {
    ...version,
    functionName: name,
    version: '$LATEST',
    ...freshRevision(context, 'create'),
  };
  versions.put(versionId(name, '$LATEST'), latest);
  return latest;
}

async function receiveCode(context: Context, code: Code): Promise<StoredCode> {
  let bytes: Buffer;
  if (code.ZipFile !== undefined) bytes = code.ZipFile as Buffer;
  else if (code.S3Bucket === localBucket && code.S3Key !== undefined) {
    return localCode(context, code.S3Key, code.S3ObjectVersion);
  } else if (code.S3Bucket !== undefined && code.S3Key !== undefined) {
    bytes = await fetchFromS3(context, code.S3Bucket, code.S3Key, code.S3ObjectVersion);
  } else {
    throw invalidParameter('Please provide a source for function code.');
  }
  await checkPackage(bytes, code.ZipFile === undefined ? 's3' : 'request');
  return { kind: 'zip', sha256: context.store.code.put(bytes).sha256, size: bytes.length };
}

const imagesNotOffered = (): Error =>
  invalidParameter('Container images are not offered here: create the function with a zip package.');

export const getFunction = operation<GetFunctionRequest>(async ({ context }, input) => {
  const { reference } = findFunction(context, input.FunctionName!, input.Qualifier);
  await settled(context, reference.name, reference.qualifier);
  const { document } = findFunction(context, input.FunctionName!, input.Qualifier);
  const version = requireVersion(context, document, reference.qualifier);
  const { tags, reservedConcurrency } = document;
  return {
    Configuration: configuration(context, version, context.now(), reference),
    Code: codeLocation(context, version),
    ...(Object.keys(tags).length > 0 ? { Tags: tags } : {}),
    ...(reservedConcurrency === undefined
      ? {}
      : { Concurrency: { ReservedConcurrentExecutions: reservedConcurrency } }),
  };
});

function codeLocation(context: Context, { code }: VersionDocument): Record<string, unknown> {
  if (code.kind === 'zip') {
    return { RepositoryType: 'S3', Location: context.signDownload(`/headrace/v1/code/${code.sha256}.zip`) };
  }
  if (code.kind === 'folder') return { RepositoryType: 'Folder', Location: `file://${code.path}` };
  return { RepositoryType: 'Backend', Location: code.kind === 'http' ? code.url : code.arn };
}

export const getFunctionConfiguration = operation<GetFunctionConfigurationRequest>(async ({ context }, input) => {
  const { reference } = findFunction(context, input.FunctionName!, input.Qualifier);
  await settled(context, reference.name, reference.qualifier);
  const { document } = findFunction(context, input.FunctionName!, input.Qualifier);
  const version = requireVersion(context, document, reference.qualifier);
  return configuration(context, version, context.now(), reference);
});

/**
 * Waits until a change has settled, which is milliseconds away: whoever polls is spared the pause between two polls,
 * a second in most clients.
 */
export async function settled(context: Context, name: string, qualifier = '$LATEST'): Promise<void> {
  const number = context.documents.functions.get(name)?.aliases[qualifier]?.functionVersion ?? qualifier;
  const version = context.documents.versions.get(versionId(name, number));
  if (version === undefined) return;
  const remaining = version.settlesAt - context.now();
  // A timer may be a millisecond early by the wall clock.
  if (remaining > 0) await delay(Math.min(remaining, context.settleMilliseconds) + 1);
}

/** The function whose `$LATEST` a request is to change: nothing else of it changes. */
function findUnpublished(context: Context, text: string): FunctionDocument {
  const { reference, document } = findFunction(context, text);
  if (reference.qualifier === undefined || reference.qualifier === '$LATEST') return document;
  throw invalidParameter(
    'Current operation does not support versions other than $LATEST. Please set the version to $LATEST or do not set a version in your request.',
  );
}

export const updateFunctionCode = operation<UpdateFunctionCodeRequest>(async (call, input) => {
  const { context } = call;
  const { name } = findUnpublished(context, input.FunctionName!);
  if (input.ImageUri !== undefined) {
    throw invalidParameter("Please don't provide ImageUri when updating a function with packageType Zip.");
  }
  checkUpdatable(context, name, input.RevisionId);
  const code = await receiveCode(context, input);
  return call.transaction(() => {
    const latest = checkUpdatable(context, name, input.RevisionId);
    const changed: VersionDocument = {
      ...latest,
      code,
      Architectures: input.Architectures?.[0] === undefined ? latest.Architectures : [input.Architectures[0]],
      ...freshRevision(context, 'update'),
    };
    if (input.DryRun === true) return configuration(context, { ...changed, settlesAt: 0 }, context.now());
    context.documents.versions.put(versionId(name, '$LATEST'), changed);
    context.engine.refresh(name);
    if (input.Publish !== true) return configuration(context, changed, context.now());
    const published = publish(context, name, {});
    return configuration(context, published, context.now(), { qualifier: published.version });
  });
});

export const updateFunctionConfiguration = operation<UpdateFunctionConfigurationRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { name } = findUnpublished(context, input.FunctionName!);
    const latest = checkUpdatable(context, name, input.RevisionId);
    const {
      layers: _layers,
      Environment: _environment,
      VpcConfig: _vpc,
      DeadLetterConfig: _deadLetter,
      KMSKeyArn: _key,
      FileSystemConfigs: _fileSystems,
      ...kept
    } = latest;
    const changed: VersionDocument = {
      ...kept,
      ...configured(context, name, input, latest),
      ...freshRevision(context, 'update'),
    };
    context.documents.versions.put(versionId(name, '$LATEST'), changed);
    context.engine.refresh(name);
    return configuration(context, changed, context.now());
  }),
);

export const deleteFunction = operation<DeleteFunctionRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { reference, document } = findFunction(context, input.FunctionName!, input.Qualifier);
    if (reference.qualifier !== undefined) deleteVersion(context, document, reference.qualifier);
    else removeFunction(context, document);
    return undefined;
  }),
);

function deleteVersion(context: Context, document: FunctionDocument, qualifier: string): void {
  if (qualifier === '$LATEST') {
    throw invalidParameter('$LATEST version cannot be deleted without deleting the function.');
  }
  if (!isVersionNumber(qualifier)) throw invalidParameter('Deletion of aliases is not currently supported.');
  const users = Object.values(document.aliases).filter(
    ({ functionVersion, routing }) => functionVersion === qualifier || routing[qualifier] !== undefined,
  );
  if (users.length > 0) {
    const names = users.map((alias) => alias.name).join(', ');
    throw conflict(`Version ${qualifier} is referenced by aliases [${names}]`);
  }
  context.documents.versions.delete(versionId(document.name, qualifier));
}

/** Takes a function away with all that belongs to it; mappings stay, as they do on AWS. */
function removeFunction(context: Context, { name }: FunctionDocument): void {
  const { functions, versions } = context.documents;
  for (const version of versionsOf(context, name)) versions.delete(versionId(name, version.version));
  functions.delete(name);
  context.engine.remove(name);
}

const functionsPerPage = 50;

export const listFunctions = operation<ListFunctionsRequest>(({ context }: Call, input) => {
  const names = context.documents.functions.sortedIds();
  const settings = { limit: functionsPerPage, marker: input.Marker, maxItems: input.MaxItems };
  const now = context.now();
  const all = input.FunctionVersion === 'ALL';
  const { items, nextMarker } = all
    ? page(
        names.flatMap((name) => versionsOf(context, name)),
        { ...settings, keyOf: listKey },
      )
    : page(names, { ...settings, keyOf: (name) => name });
  const { versions } = context.documents;
  const listed = items.map((item) => (typeof item === 'string' ? versions.get(versionId(item, '$LATEST'))! : item));
  return {
    Functions: listed.map((version) =>
      listedConfiguration(context, version, now, all ? { qualifier: version.version } : {}),
    ),
    ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }),
  };
});

/** Orders by name, `$LATEST` before the numbers: a line break stands before whatever a name may hold. */
const listKey = ({ functionName, version }: VersionDocument): string =>
  `${functionName}\n${version === '$LATEST' ? '' : version.padStart(12, '0')}`;
