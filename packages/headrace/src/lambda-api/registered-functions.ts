import type { FunctionCode } from '../functions/definition.ts';
import type { Context } from './context.ts';
import { type VersionDocument, versionId } from './documents.ts';
import { invalidParameter } from './errors.ts';
import { addFunction } from './functions.ts';
import { freshRevision } from './revisions.ts';

/** A function whose code lives elsewhere. No client can make one: only the operator says where events are sent. */
export interface RegisteredFunction {
  /** 1 to 64 letters, digits, hyphens and underscores. */
  readonly functionName: string;
  readonly code: Extract<FunctionCode, { kind: 'http' | 'aws' }>;
}

/** As long as a Kafka event source lets a function run. */
const timeoutSeconds = 840;

/** Makes the function or changes the one of that name. A registration without a change keeps the revision. */
export function registerFunction(context: Context, definition: RegisteredFunction): void {
  const { functionName: name, code } = definition;
  if (!/^[a-zA-Z0-9-_]{1,64}$/.test(name)) {
    throw invalidParameter(`functionName must be 1 to 64 letters, digits, hyphens and underscores, not '${name}'`);
  }
  const configuration = {
    code,
    Runtime: 'provided.al2023',
    Role: `arn:aws:iam::${context.accountId}:role/headrace`,
    Handler: 'bootstrap',
    Description: '',
    Timeout: timeoutSeconds,
    MemorySize: 128,
    Architectures: [process.arch === 'arm64' ? 'arm64' : 'x86_64'],
    EphemeralStorage: { Size: 512 },
    TracingConfig: { Mode: 'PassThrough' },
    LoggingConfig: { LogFormat: 'Text', LogGroup: `/aws/lambda/${name}` },
    SnapStart: { ApplyOn: 'None' },
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
