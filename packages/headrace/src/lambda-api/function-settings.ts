import type { CreateFunctionRequest, UpdateFunctionConfigurationRequest } from '@aws-sdk/client-lambda';
import type { Context } from './context.ts';
import type { LayerReference, LoggingDocument, VersionDocument } from './documents.ts';
import { invalidParameter } from './errors.ts';
import { layerReferences } from './layer-references.ts';
import { checkRuntime } from './runtimes.ts';

/** The members that CreateFunction and UpdateFunctionConfiguration share. */
type Settings = Pick<
  Partial<CreateFunctionRequest> & UpdateFunctionConfigurationRequest,
  | 'Runtime'
  | 'Role'
  | 'Handler'
  | 'Description'
  | 'Timeout'
  | 'MemorySize'
  | 'VpcConfig'
  | 'DeadLetterConfig'
  | 'Environment'
  | 'KMSKeyArn'
  | 'TracingConfig'
  | 'Layers'
  | 'FileSystemConfigs'
  | 'EphemeralStorage'
  | 'SnapStart'
  | 'LoggingConfig'
>;

type Configurable = Pick<
  VersionDocument,
  | 'Runtime'
  | 'Role'
  | 'Handler'
  | 'Description'
  | 'Timeout'
  | 'MemorySize'
  | 'TracingConfig'
  | 'EphemeralStorage'
  | 'SnapStart'
  | 'LoggingConfig'
  | 'Environment'
  | 'layers'
  | 'VpcConfig'
  | 'DeadLetterConfig'
  | 'KMSKeyArn'
  | 'FileSystemConfigs'
>;

/**
 * The configuration after a request: a member that is present replaces the whole former member, an absent one keeps
 * it (or has Lambda's default when there was none). Throws for what the service refuses.
 */
export function configured(
  context: Context,
  name: string,
  settings: Settings,
  before: Configurable | undefined,
): Configurable {
  if (settings.Runtime !== undefined) checkRuntime(settings.Runtime);
  checkEnvironment(settings.Environment?.Variables);
  const layers = settings.Layers === undefined ? before?.layers : chosenLayers(context, settings.Layers);
  const vpc = settings.VpcConfig === undefined ? before?.VpcConfig : vpcOf(settings.VpcConfig);
  const deadLetter =
    settings.DeadLetterConfig === undefined ? before?.DeadLetterConfig : deadLetterOf(settings.DeadLetterConfig);
  const environment =
    settings.Environment === undefined
      ? before?.Environment
      : { Variables: (settings.Environment.Variables ?? {}) as Record<string, string> };
  const key = settings.KMSKeyArn === undefined ? before?.KMSKeyArn : settings.KMSKeyArn || undefined;
  const fileSystems =
    settings.FileSystemConfigs === undefined
      ? before?.FileSystemConfigs
      : (settings.FileSystemConfigs as unknown as readonly Record<string, unknown>[]);
  return {
    Runtime: settings.Runtime ?? before?.Runtime ?? '',
    Role: settings.Role ?? before?.Role ?? '',
    Handler: settings.Handler ?? before?.Handler ?? '',
    Description: settings.Description ?? before?.Description ?? '',
    Timeout: settings.Timeout ?? before?.Timeout ?? 3,
    MemorySize: settings.MemorySize ?? before?.MemorySize ?? 128,
    TracingConfig: { Mode: settings.TracingConfig?.Mode ?? before?.TracingConfig.Mode ?? 'PassThrough' },
    EphemeralStorage: { Size: settings.EphemeralStorage?.Size ?? before?.EphemeralStorage.Size ?? 512 },
    SnapStart: { ApplyOn: settings.SnapStart?.ApplyOn ?? before?.SnapStart.ApplyOn ?? 'None' },
    LoggingConfig: loggingOf(name, settings.LoggingConfig, before?.LoggingConfig),
    ...(environment === undefined ? {} : { Environment: environment }),
    ...(layers === undefined || (layers.length === 0 && before?.layers === undefined) ? {} : { layers }),
    ...(vpc === undefined ? {} : { VpcConfig: vpc }),
    ...(deadLetter === undefined ? {} : { DeadLetterConfig: deadLetter }),
    ...(key === undefined ? {} : { KMSKeyArn: key }),
    ...(fileSystems === undefined || fileSystems.length === 0 ? {} : { FileSystemConfigs: fileSystems }),
  };
}

/** Keys that the execution environment sets itself (Lambda developer guide, "Reserved environment variables"). */
const reservedKeys = new Set(
  '_HANDLER _X_AMZN_TRACE_ID AWS_DEFAULT_REGION AWS_REGION AWS_EXECUTION_ENV AWS_LAMBDA_FUNCTION_NAME AWS_LAMBDA_FUNCTION_MEMORY_SIZE AWS_LAMBDA_FUNCTION_VERSION AWS_LAMBDA_INITIALIZATION_TYPE AWS_LAMBDA_LOG_GROUP_NAME AWS_LAMBDA_LOG_STREAM_NAME AWS_ACCESS_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_LAMBDA_RUNTIME_API LAMBDA_TASK_ROOT LAMBDA_RUNTIME_DIR'.split(
    ' ',
  ),
);
const maximumEnvironmentBytes = 4_096;

function checkEnvironment(variables: Readonly<Record<string, string>> | undefined): void {
  if (variables === undefined) return;
  const refused =
    'Lambda was unable to configure your environment variables because the environment variables you have provided';
  const reserved = Object.keys(variables).filter((key) => reservedKeys.has(key));
  if (reserved.length > 0) {
    throw invalidParameter(
      `${refused} contains reserved keys that are currently not supported for modification. Reserved keys used in this request: ${reserved.join(', ')}`,
    );
  }
  const measured = JSON.stringify(variables);
  if (Buffer.byteLength(measured) > maximumEnvironmentBytes) {
    throw invalidParameter(`${refused} exceeded the 4KB limit. String measured: ${measured}`);
  }
}

const chosenLayers = (context: Context, arns: readonly string[]): readonly LayerReference[] =>
  layerReferences(context, arns);

function vpcOf(vpc: NonNullable<Settings['VpcConfig']>): Record<string, unknown> {
  const { SubnetIds = [], SecurityGroupIds = [], Ipv6AllowedForDualStack = false } = vpc;
  return { SubnetIds, SecurityGroupIds, VpcId: SubnetIds.length > 0 ? 'vpc-local' : '', Ipv6AllowedForDualStack };
}

function deadLetterOf({ TargetArn }: { TargetArn?: string | undefined }): { TargetArn: string } | undefined {
  return TargetArn === undefined || TargetArn === '' ? undefined : { TargetArn };
}

function loggingOf(
  name: string,
  given: Settings['LoggingConfig'],
  before: LoggingDocument | undefined,
): LoggingDocument {
  const LogGroup = given?.LogGroup ?? before?.LogGroup ?? `/aws/lambda/${name}`;
  const LogFormat = given?.LogFormat ?? before?.LogFormat ?? 'Text';
  if (LogFormat !== 'JSON') return { LogFormat, LogGroup };
  return {
    LogFormat,
    ApplicationLogLevel: given?.ApplicationLogLevel ?? before?.ApplicationLogLevel ?? 'INFO',
    SystemLogLevel: given?.SystemLogLevel ?? before?.SystemLogLevel ?? 'INFO',
    LogGroup,
  };
}
