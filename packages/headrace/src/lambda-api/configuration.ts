import { createHash } from 'node:crypto';
import type { VersionDocument } from './documents.ts';
import { functionArn, type Place } from './names.ts';

/** `2024-05-01T12:34:56.789+0000`, the form of string timestamps in this API. */
export const timestampText = (milliseconds: number): string =>
  new Date(milliseconds).toISOString().replace('Z', '+0000');

export const isSettling = (version: VersionDocument, now: number): boolean => now < version.settlesAt;

export const revisionOf = (version: VersionDocument, now: number): string =>
  isSettling(version, now) ? version.revisionId : version.settledRevisionId;

/** Base64 of the package's SHA-256; code that is no package has the digest of what names it. */
export function codeSha256(version: VersionDocument): string {
  const { code } = version;
  if (code.kind === 'zip') return Buffer.from(code.sha256, 'hex').toString('base64');
  return createHash('sha256').update(JSON.stringify(code)).digest('base64');
}

/** The members that every answer about a version has, lists included. */
export function listedConfiguration(
  place: Place,
  version: VersionDocument,
  now: number,
  options: { readonly qualifier?: string } = {},
): Record<string, unknown> {
  const { code } = version;
  return {
    FunctionName: version.functionName,
    FunctionArn: functionArn(place, version.functionName, options.qualifier),
    Runtime: version.Runtime,
    Role: version.Role,
    Handler: version.Handler,
    CodeSize: code.kind === 'zip' ? code.size : 0,
    Description: version.Description,
    Timeout: version.Timeout,
    MemorySize: version.MemorySize,
    LastModified: timestampText(version.lastModified),
    CodeSha256: codeSha256(version),
    Version: version.version,
    ...(version.VpcConfig === undefined ? {} : { VpcConfig: version.VpcConfig }),
    ...(version.DeadLetterConfig === undefined ? {} : { DeadLetterConfig: version.DeadLetterConfig }),
    ...(version.Environment === undefined ? {} : { Environment: version.Environment }),
    ...(version.KMSKeyArn === undefined ? {} : { KMSKeyArn: version.KMSKeyArn }),
    TracingConfig: version.TracingConfig,
    RevisionId: revisionOf(version, now),
    ...(version.layers === undefined
      ? {}
      : { Layers: version.layers.map(({ arn, size }) => ({ Arn: arn, CodeSize: size })) }),
    ...(version.FileSystemConfigs === undefined ? {} : { FileSystemConfigs: version.FileSystemConfigs }),
    PackageType: 'Zip',
    Architectures: version.Architectures,
    EphemeralStorage: version.EphemeralStorage,
    SnapStart: snapStart(version, now),
    LoggingConfig: version.LoggingConfig,
  };
}

/** The whole configuration, as single-function answers have it. */
export function configuration(
  place: Place,
  version: VersionDocument,
  now: number,
  options: { readonly qualifier?: string } = {},
): Record<string, unknown> {
  return {
    ...listedConfiguration(place, version, now, options),
    ...stateMembers(version, now),
    RuntimeVersionConfig: { RuntimeVersionArn: runtimeVersionArn(place, version.Runtime) },
  };
}

const settlingReason = 'The function is being created.';

function stateMembers(version: VersionDocument, now: number): Record<string, unknown> {
  if (!isSettling(version, now)) return { State: 'Active', LastUpdateStatus: 'Successful' };
  if (version.change === 'create') {
    return { State: 'Pending', StateReason: settlingReason, StateReasonCode: 'Creating' };
  }
  return {
    State: 'Active',
    LastUpdateStatus: 'InProgress',
    LastUpdateStatusReason: settlingReason,
    LastUpdateStatusReasonCode: 'Creating',
  };
}

function snapStart(version: VersionDocument, now: number): Record<string, string> {
  const isOn =
    version.SnapStart.ApplyOn === 'PublishedVersions' && version.version !== '$LATEST' && !isSettling(version, now);
  return { ApplyOn: version.SnapStart.ApplyOn, OptimizationStatus: isOn ? 'On' : 'Off' };
}

/** Stands for the runtime's patch level; the same runtime always has the same one here. */
function runtimeVersionArn({ region }: Place, runtime: string): string {
  return `arn:aws:lambda:${region}::runtime:${createHash('sha256').update(runtime).digest('hex')}`;
}
