import type { FunctionVersion, ResolveFunction } from '../functions/definition.ts';
import type { Store } from '../store/store.ts';
import { type Documents, type VersionDocument, versionId } from './documents.ts';
import { functionArn, type Place, takeApart } from './names.ts';

/**
 * Finds the version that a reference stands for, for whoever invokes. An alias with a second version picks one of the
 * two by weight at each call; `random` gives numbers in [0, 1).
 */
export function createResolver(
  place: Place,
  store: Store,
  { functions, versions }: Documents,
  random: () => number = Math.random,
): ResolveFunction {
  // One object a version document: documents are values, so the object is right as long as it is found.
  const made = new WeakMap<VersionDocument, FunctionVersion>();
  return (functionRef) => {
    const parts = takeApart(functionRef);
    const name = parts?.name ?? functionRef;
    const qualifier = parts?.qualifier;
    const document = functions.get(name);
    let number = qualifier ?? '$LATEST';
    const alias = document?.aliases[number];
    if (alias !== undefined) {
      const [other] = Object.entries(alias.routing);
      number = other !== undefined && random() < other[1] ? other[0] : alias.functionVersion;
    }
    const version = versions.get(versionId(name, number));
    if (document === undefined || version === undefined) {
      const arn = functionArn(place, name, qualifier ?? '$LATEST');
      return { kind: 'not-found', message: `Function not found: ${arn}` };
    }
    let found = made.get(version);
    if (found === undefined) {
      found = functionVersion(place, store, version);
      made.set(version, found);
    }
    return { kind: 'found', version: found, invokedFunctionArn: functionArn(place, name, qualifier) };
  };
}

function functionVersion(place: Place, store: Store, document: VersionDocument): FunctionVersion {
  const { code, LoggingConfig: logging } = document;
  return {
    functionName: document.functionName,
    functionArn: functionArn(place, document.functionName),
    version: document.version,
    revisionId: document.runRevision,
    runtime: document.Runtime,
    handler: document.Handler,
    memorySizeMegabytes: document.MemorySize,
    timeoutSeconds: document.Timeout,
    environment: document.Environment?.Variables ?? {},
    code: code.kind === 'zip' ? { kind: 'zip', zipFile: store.code.path(code.sha256), sha256: code.sha256 } : code,
    layers: (document.layers ?? []).map(({ sha256 }) => ({ zipFile: store.code.path(sha256) })),
    architecture: document.Architectures[0] ?? 'x86_64',
    ephemeralStorageMegabytes: document.EphemeralStorage.Size,
    logging: {
      format: logging.LogFormat,
      logGroup: logging.LogGroup,
      ...(logging.ApplicationLogLevel === undefined ? {} : { applicationLevel: logging.ApplicationLogLevel as 'INFO' }),
      ...(logging.SystemLogLevel === undefined ? {} : { systemLevel: logging.SystemLogLevel as 'INFO' }),
    },
    tracingMode: document.TracingConfig.Mode,
  };
}
