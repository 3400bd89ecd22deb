import { randomUUID } from 'node:crypto';
import type {
  AddLayerVersionPermissionRequest,
  DeleteLayerVersionRequest,
  GetLayerVersionByArnRequest,
  GetLayerVersionPolicyRequest,
  GetLayerVersionRequest,
  ListLayersRequest,
  ListLayerVersionsRequest,
  PublishLayerVersionRequest,
  RemoveLayerVersionPermissionRequest,
} from '@aws-sdk/client-lambda';
import { checkPackage } from './code-package.ts';
import { timestampText } from './configuration.ts';
import { type Context, operation, preconditionFailed } from './context.ts';
import { type LayerVersionDocument, type PolicyStatement, versionId } from './documents.ts';
import { conflict, invalidParameter, notFound, validationError } from './errors.ts';
import { layerArn } from './names.ts';
import { page } from './pagination.ts';
import { policyText, statementNotFound } from './permissions.ts';
import { knownRuntimes } from './runtimes.ts';
import { fetchFromS3 } from './s3-code.ts';

export const publishLayerVersion = operation<PublishLayerVersionRequest>(async (call, input) => {
  const { context } = call;
  const name = layerName(input.LayerName!);
  const content = input.Content ?? {};
  let bytes: Buffer;
  if (content.ZipFile !== undefined) bytes = content.ZipFile as Buffer;
  else if (content.S3Bucket !== undefined && content.S3Key !== undefined) {
    bytes = await fetchFromS3(context, content.S3Bucket, content.S3Key, content.S3ObjectVersion);
  } else throw invalidParameter('Please provide a source for layer content.');
  await checkPackage(bytes, content.ZipFile === undefined ? 's3' : 'request');
  const { sha256 } = context.store.code.put(bytes);
  return call.transaction(() => {
    const { layers, layerNumbers } = context.documents;
    const version = layerNumbers.get(name)?.next ?? 1;
    const document: LayerVersionDocument = {
      name,
      version,
      description: input.Description ?? '',
      sha256,
      size: bytes.length,
      ...(input.CompatibleRuntimes === undefined ? {} : { compatibleRuntimes: input.CompatibleRuntimes }),
      ...(input.CompatibleArchitectures === undefined
        ? {}
        : { compatibleArchitectures: input.CompatibleArchitectures }),
      ...(input.LicenseInfo === undefined ? {} : { licenseInfo: input.LicenseInfo }),
      created: context.now(),
      deleted: false,
      policy: [],
    };
    layerNumbers.put(name, { next: version + 1 });
    layers.put(versionId(name, String(version)), document);
    return withContent(context, document);
  });
});

export const getLayerVersion = operation<GetLayerVersionRequest>(({ context }, input) => {
  checkNumber(input.VersionNumber!);
  return withContent(context, existing(context, layerName(input.LayerName!), input.VersionNumber!));
});

export const getLayerVersionByArn = operation<GetLayerVersionByArnRequest>(({ context }, input) => {
  const parts = input.Arn!.split(':');
  return withContent(context, existing(context, parts[6]!, Number(parts[7])));
});

/** Deleting what is not there succeeds. */
export const deleteLayerVersion = operation<DeleteLayerVersionRequest>((call, input) =>
  call.transaction(() => {
    checkNumber(input.VersionNumber!);
    const { layers } = call.context.documents;
    const id = versionId(layerName(input.LayerName!), String(input.VersionNumber));
    const document = layers.get(id);
    if (document !== undefined) layers.put(id, { ...document, deleted: true });
    return undefined;
  }),
);

const itemsPerPage = 50;

export const listLayers = operation<ListLayersRequest>(({ context }, input) => {
  checkRuntimeName(input.CompatibleRuntime);
  const latest = new Map<string, LayerVersionDocument>();
  for (const document of context.documents.layers.values()) {
    if (document.deleted || !isCompatible(document, input)) continue;
    const other = latest.get(document.name);
    if (other === undefined || other.version < document.version) latest.set(document.name, document);
  }
  const sorted = [...latest.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const { items, nextMarker } = page(sorted, {
    keyOf: ({ name }) => name,
    limit: itemsPerPage,
    marker: input.Marker,
    maxItems: input.MaxItems,
  });
  return {
    Layers: items.map((document) => ({
      LayerName: document.name,
      LayerArn: layerArn(context, document.name),
      LatestMatchingVersion: listed(context, document),
    })),
    ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }),
  };
});

/** Newest first. */
export const listLayerVersions = operation<ListLayerVersionsRequest>(({ context }, input) => {
  checkRuntimeName(input.CompatibleRuntime);
  const wanted = layerName(input.LayerName!);
  const found = [...context.documents.layers.values()]
    .filter((document) => document.name === wanted && !document.deleted && isCompatible(document, input))
    .sort((a, b) => b.version - a.version);
  const { items, nextMarker } = page(found, {
    keyOf: ({ version }) => String(version),
    limit: itemsPerPage,
    marker: input.Marker,
    maxItems: input.MaxItems,
    compare: (a, b) => Number(b) - Number(a),
  });
  return {
    LayerVersions: items.map((document) => listed(context, document)),
    ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }),
  };
});

export const addLayerVersionPermission = operation<AddLayerVersionPermissionRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const document = withPolicy(context, input.LayerName!, input.VersionNumber!);
    checkRevision(document, input.RevisionId);
    if (document.policy.some(({ Sid }) => Sid === input.StatementId)) {
      throw conflict(
        `The statement id (${input.StatementId}) provided already exists. Please provide a new statement id, or remove the existing statement.`,
      );
    }
    const principal = input.Principal!;
    const statement: PolicyStatement = {
      Sid: input.StatementId!,
      Effect: 'Allow',
      Principal: /^\d{12}$/.test(principal) ? { AWS: `arn:aws:iam::${principal}:root` } : asPrincipal(principal),
      Action: input.Action!,
      Resource: versionArn(context, document),
      ...(input.OrganizationId === undefined
        ? {}
        : { Condition: { StringEquals: { 'aws:PrincipalOrgID': input.OrganizationId } } }),
    };
    const revisionId = putPolicy(context, document, [...document.policy, statement]);
    return { Statement: JSON.stringify(statement), RevisionId: revisionId };
  }),
);

export const getLayerVersionPolicy = operation<GetLayerVersionPolicyRequest>(({ context }, input) => {
  const document = withPolicy(context, input.LayerName!, input.VersionNumber!);
  if (document.policy.length === 0) throw notFound('No policy is associated with the given resource.');
  return { Policy: policyText(document.policy), RevisionId: document.policyRevisionId };
});

export const removeLayerVersionPermission = operation<RemoveLayerVersionPermissionRequest>((call, input) =>
  call.transaction(() => {
    const document = withPolicy(call.context, input.LayerName!, input.VersionNumber!);
    checkRevision(document, input.RevisionId);
    const after = document.policy.filter(({ Sid }) => Sid !== input.StatementId);
    if (after.length === document.policy.length) throw statementNotFound(input.StatementId!);
    putPolicy(call.context, document, after);
    return undefined;
  }),
);

const asPrincipal = (principal: string): PolicyStatement['Principal'] => (principal === '*' ? '*' : { AWS: principal });

/** The name in `LayerName`, which may also be the layer's ARN. */
const layerName = (text: string): string => (text.startsWith('arn:') ? text.split(':')[6]! : text);

function checkNumber(version: number): void {
  if (version < 1) throw invalidParameter('Layer Version Cannot be less than 1');
}

function existing(context: Context, name: string, version: number): LayerVersionDocument {
  const document = context.documents.layers.get(versionId(name, String(version)));
  if (document === undefined || document.deleted) throw notFound('The resource you requested does not exist.');
  return document;
}

function withPolicy(context: Context, text: string, version: number): LayerVersionDocument {
  const name = layerName(text);
  const document = context.documents.layers.get(versionId(name, String(version)));
  if (document === undefined || document.deleted) {
    throw notFound(`Layer version ${layerArn(context, name)}:${version} does not exist.`);
  }
  return document;
}

function checkRevision(document: LayerVersionDocument, revisionId: string | undefined): void {
  if (revisionId !== undefined && revisionId !== document.policyRevisionId) throw preconditionFailed('GetLayerPolicy');
}

function putPolicy(context: Context, document: LayerVersionDocument, policy: readonly PolicyStatement[]): string {
  const policyRevisionId = randomUUID();
  const id = versionId(document.name, String(document.version));
  context.documents.layers.put(id, { ...document, policy, policyRevisionId });
  return policyRevisionId;
}

function checkRuntimeName(runtime: string | undefined): void {
  if (runtime === undefined || knownRuntimes.includes(runtime)) return;
  throw validationError([
    `Value '${runtime}' at 'compatibleRuntime' failed to satisfy constraint: Member must satisfy enum value set: [${knownRuntimes.join(', ')}]`,
  ]);
}

function isCompatible(
  document: LayerVersionDocument,
  wanted: { CompatibleRuntime?: string | undefined; CompatibleArchitecture?: string | undefined },
): boolean {
  const { CompatibleRuntime: runtime, CompatibleArchitecture: architecture } = wanted;
  return (
    (runtime === undefined || document.compatibleRuntimes?.includes(runtime) === true) &&
    (architecture === undefined || document.compatibleArchitectures?.includes(architecture) === true)
  );
}

const versionArn = (context: Context, { name, version }: LayerVersionDocument): string =>
  `${layerArn(context, name)}:${version}`;

function listed(context: Context, document: LayerVersionDocument): Record<string, unknown> {
  const { compatibleRuntimes, compatibleArchitectures, licenseInfo } = document;
  return {
    LayerVersionArn: versionArn(context, document),
    Version: document.version,
    Description: document.description,
    CreatedDate: timestampText(document.created),
    ...(compatibleRuntimes === undefined ? {} : { CompatibleRuntimes: compatibleRuntimes }),
    ...(compatibleArchitectures === undefined ? {} : { CompatibleArchitectures: compatibleArchitectures }),
    ...(licenseInfo === undefined ? {} : { LicenseInfo: licenseInfo }),
  };
}

function withContent(context: Context, document: LayerVersionDocument): Record<string, unknown> {
  return {
    Content: {
      Location: context.signDownload(`/headrace/v1/code/${document.sha256}.zip`),
      CodeSha256: Buffer.from(document.sha256, 'hex').toString('base64'),
      CodeSize: document.size,
    },
    LayerArn: layerArn(context, document.name),
    ...listed(context, document),
  };
}
