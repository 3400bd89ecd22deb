import { realpathSync, statSync } from 'node:fs';
import { HeadraceError } from './errors.ts';

/** What can be set of an engine; all optional. {@link compileEngineOptions} fills in the rest. */
export interface EngineOptions {
  /** Address to listen on. Default 127.0.0.1; another one needs `credentialsFile`. */
  readonly host?: string | undefined;
  /** Default 9400; 0 takes a free one. */
  readonly port?: number | undefined;
  /** Default './.headrace'; ':memory:' keeps nothing. */
  readonly dataDirectory?: string | undefined;
  /** The Kafka that MSK ARNs stand for unless `clusters` says otherwise; absent: the development broker is started. */
  readonly bootstrapServers?: readonly string[] | undefined;
  /**
   * Where the development broker keeps its records and offsets. Default: `broker` in the data directory; with ':memory:'
   * they end with the process.
   */
  readonly brokerDirectory?: string | undefined;
  /** Port of the development broker. Default: the one it had in this directory before, else a free one. */
  readonly brokerPort?: number | undefined;
  /** Cluster ARN, or `host:port` of a template, to `host:port[,…]` or `aws`. */
  readonly clusters?: Readonly<Record<string, string>> | undefined;
  readonly clustersFile?: string | undefined;
  /** How `bootstrapServers` are reached: a client.properties as Kafka's own tools take it. */
  readonly kafkaConfigFile?: string | undefined;
  readonly secretsFile?: string | undefined;
  readonly credentialsFile?: string | undefined;
  /** AWS profile whose keys functions get; default: keys that only this engine accepts. */
  readonly functionCredentials?: string | undefined;
  /** Function name to URL or ARN: code that lives elsewhere. */
  readonly backends?: Readonly<Record<string, string>> | undefined;
  /** Folders below which functions may use code in place (`S3Bucket: hot-reload`); must exist. Default: none. */
  readonly codeFolders?: readonly string[] | undefined;
  /** Functions run in namespaces of their own (Linux with bubblewrap). Default false. */
  readonly sandbox?: boolean | undefined;
  /** Default `AWS_REGION`, `AWS_DEFAULT_REGION`, else us-east-1. */
  readonly region?: string | undefined;
  /** Default 123456789012. */
  readonly accountId?: string | undefined;
  /** How long a stop waits for invocations in flight. Default 30,000. */
  readonly drainTimeoutMilliseconds?: number | undefined;
  /** Lines for the operator: where clusters resolve to, warnings. Default: none. */
  readonly log?: ((line: string) => void) | undefined;
}

/** The same with nothing left open. */
export interface EngineConfiguration {
  readonly host: string;
  readonly port: number;
  readonly dataDirectory: string;
  readonly bootstrapServers: readonly string[] | undefined;
  readonly brokerDirectory: string | undefined;
  readonly brokerPort: number | undefined;
  readonly clusters: Readonly<Record<string, string>>;
  readonly clustersFile: string | undefined;
  readonly kafkaConfigFile: string | undefined;
  readonly secretsFile: string | undefined;
  readonly credentialsFile: string | undefined;
  readonly functionCredentials: string | undefined;
  readonly backends: Readonly<Record<string, string>>;
  /** Real paths, links followed. */
  readonly codeFolders: readonly string[];
  readonly sandbox: boolean;
  readonly region: string;
  readonly accountId: string;
  readonly drainTimeoutMilliseconds: number;
  readonly log: (line: string) => void;
}

const defaultPort = 9400;

/** Fills in defaults and refuses what cannot be, naming the field. */
export function compileEngineOptions(options: EngineOptions): EngineConfiguration {
  const region = options.region ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'] ?? 'us-east-1';
  if (!/^[a-z]{2,4}(-[a-z]+)+-\d$/.test(region))
    throw new HeadraceError('CONFIGURATION', `region (AWS_REGION) must look like us-east-1; it is "${region}"`);
  const accountId = options.accountId ?? '123456789012';
  if (!/^\d{12}$/.test(accountId))
    throw new HeadraceError('CONFIGURATION', `the account id must be 12 digits; it is "${accountId}"`);
  for (const [name, target] of Object.entries(options.backends ?? {})) {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(name))
      throw new HeadraceError(
        'CONFIGURATION',
        `--backend ${name}: a name has 1 to 64 letters, digits, dashes or underscores`,
      );
    if (!/^https?:\/\/[^\s]+$/.test(target) && !/^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:\S+$/.test(target))
      throw new HeadraceError(
        'CONFIGURATION',
        `--backend ${name}: ${target} is neither an http(s) URL nor a Lambda function ARN`,
      );
  }
  return {
    host: options.host ?? '127.0.0.1',
    port: options.port ?? defaultPort,
    dataDirectory: options.dataDirectory ?? './.headrace',
    bootstrapServers: options.bootstrapServers,
    brokerDirectory: options.brokerDirectory,
    brokerPort: options.brokerPort,
    clusters: options.clusters ?? {},
    clustersFile: options.clustersFile,
    kafkaConfigFile: options.kafkaConfigFile,
    secretsFile: options.secretsFile,
    credentialsFile: options.credentialsFile,
    functionCredentials: options.functionCredentials,
    backends: options.backends ?? {},
    codeFolders: (options.codeFolders ?? []).map(realFolder),
    sandbox: options.sandbox ?? false,
    region,
    accountId,
    drainTimeoutMilliseconds: options.drainTimeoutMilliseconds ?? 30_000,
    log: options.log ?? (() => {}),
  };
}

function realFolder(path: string): string {
  try {
    const real = realpathSync(path);
    if (statSync(real).isDirectory()) return real;
  } catch {
    // Answered below: for the operator a missing folder and one that cannot be read are the same mistake.
  }
  throw new HeadraceError('CONFIGURATION', `--code-folder ${path} is not a folder that can be read`);
}
