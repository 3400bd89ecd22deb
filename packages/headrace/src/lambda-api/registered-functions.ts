import type { FunctionCode } from '../functions/definition.ts';
import type { Context } from './context.ts';
import { type VersionDocument, versionId } from './documents.ts';
import { invalidParameter } from './errors.ts';
import { checkEnvironment } from './function-settings.ts';
import { addFunction } from './functions.ts';
import { freshRevision } from './revisions.ts';
import { checkRuntime } from './runtimes.ts';

/** A function whose code was not uploaded. */
export interface RegisteredFunction {
  readonly functionName: string;
  readonly code: Exclude<FunctionCode, { kind: 'zip' }>;
  /** Needed for a folder; ignored for code that lives elsewhere. */
  readonly runtime?: string;
  readonly handler?: string;
  /** 1 to 900; default 3. */
  readonly timeoutSeconds?: number;
  /** 128 to 10,240; default 128. */
  readonly memorySizeMegabytes?: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly description?: string;
}

/** Makes the function or changes the one of that name. A registration without a change keeps the revision. */
export function registerFunction(context: Context, definition: RegisteredFunction): void {
  const { functionName: name, code, environment, timeoutSeconds = 3, memorySizeMegabytes = 128 } = definition;
  if (!/^[a-zA-Z0-9-_]{1,64}$/.test(name)) {
    throw invalidParameter(`functionName must be 1 to 64 letters, digits, hyphens and underscores, not '${name}'`);
  }
  if (!(timeoutSeconds >= 1 && timeoutSeconds <= 900)) throw invalidParameter('timeoutSeconds must be 1 to 900');
  if (!(memorySizeMegabytes >= 128 && memorySizeMegabytes <= 10_240)) {
    throw invalidParameter('memorySizeMegabytes must be 128 to 10240');
  }
  if (code.kind === 'folder') {
    if (definition.runtime === undefined || definition.handler === undefined) {
      throw invalidParameter('runtime and handler are needed for code in a folder');
    }
    checkRuntime(definition.runtime);
  }
  checkEnvironment(environment);
  const configuration = {
    code,
    Runtime: definition.runtime ?? 'provided.al2023',
    Role: `arn:aws:iam::${context.accountId}:role/headrace`,
    Handler: definition.handler ?? 'bootstrap',
    Description: definition.description ?? '',
    Timeout: timeoutSeconds,
    MemorySize: memorySizeMegabytes,
    Architectures: [process.arch === 'arm64' ? 'arm64' : 'x86_64'],
    EphemeralStorage: { Size: 512 },
    TracingConfig: { Mode: 'PassThrough' },
    LoggingConfig: { LogFormat: 'Text', LogGroup: `/aws/lambda/${name}` },
    SnapStart: { ApplyOn: 'None' },
    ...(environment === undefined ? {} : { Environment: { Variables: environment } }),
  } as const;
  const { documents, engine, store } = context;
  const latest = documents.versions.get(versionId(name, '$LATEST'));
  store.transaction(
    () => {
      if (latest === undefined) {
        addFunction(context, name, { ...configuration, tags: {} });
        return;
      }
      if (isSame(latest, configuration)) return;
      const changed: VersionDocument = {
        functionName: name,
        version: '$LATEST',
        ...configuration,
        ...freshRevision(context, 'update'),
      };
      documents.versions.put(versionId(name, '$LATEST'), changed);
      engine.refresh(name);
    },
    { principal: 'local', operation: 'headrace:RegisterFunction', requestId: '' },
  );
}

const isSame = (document: VersionDocument, configuration: object): boolean =>
  Object.entries(configuration).every(
    ([key, value]) => JSON.stringify(document[key as keyof VersionDocument]) === JSON.stringify(value),
  );
