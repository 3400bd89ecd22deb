import { readFileSync } from 'node:fs';
import { HeadraceError } from '../errors.ts';

/** Finds the text of a secret by the URI that a mapping names (an ARN of Secrets Manager, or a plain name). */
export type SecretResolver = (uri: string) => Promise<string>;

export interface SecretSources {
  /** A JSON file: `{ "<ARN or name>": { "username": "…", "password": "…" } or "text" }`. Read anew each time. */
  readonly file?: string;
  /** Default `process.env`: `HEADRACE_SECRET_<NAME>` with every character but letters and digits as `_`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Asks AWS; default: Secrets Manager by the SDK, region by the ARN. Only asked for ARNs of Secrets Manager. */
  readonly secretsManager?: (arn: string) => Promise<string>;
}

/** Secrets Manager's limit of a secret. */
const MAXIMUM_SECRET_BYTES = 65_536;
const ARN = /^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:(.+)$/;

/** The name inside an ARN, without the six random characters at its end; a plain name may end like them: it stays. */
const nameOf = (uri: string): string => ARN.exec(uri)?.[2]?.replace(/-[A-Za-z0-9]{6}$/, '') ?? uri;

/** The environment variable that may hold a secret. */
export const environmentName = (uri: string): string =>
  `HEADRACE_SECRET_${nameOf(uri)
    .replace(/[^A-Za-z0-9]/g, '_')
    .toUpperCase()}`;

/**
 * Looks into the secrets file, then the environment, then Secrets Manager. Messages name the secret, never its content.
 *
 * @throws HeadraceError SECRET_UNAVAILABLE
 */
export function secretResolver(sources: SecretSources = {}): SecretResolver {
  const environment = sources.environment ?? process.env;
  const secretsManager = sources.secretsManager ?? askSecretsManager;
  return async (uri) => {
    const text = fromFile(sources.file, uri) ?? environment[environmentName(uri)] ?? (await fromAws(uri));
    if (Buffer.byteLength(text) > MAXIMUM_SECRET_BYTES) {
      throw new HeadraceError('SECRET_UNAVAILABLE', `secret ${uri} is larger than ${MAXIMUM_SECRET_BYTES} bytes`);
    }
    return text;
  };

  async function fromAws(uri: string): Promise<string> {
    if (!ARN.test(uri)) {
      const place = sources.file === undefined ? 'the environment' : `${sources.file} or the environment`;
      throw new HeadraceError('SECRET_UNAVAILABLE', `secret ${uri} is not in ${place} (as ${environmentName(uri)})`);
    }
    try {
      return await secretsManager(uri);
    } catch (error) {
      if (HeadraceError.is(error)) throw error;
      const reason = error instanceof Error ? error.name : 'unknown failure';
      throw new HeadraceError('SECRET_UNAVAILABLE', `secret ${uri}: Secrets Manager: ${reason}`, { cause: error });
    }
  }
}

function fromFile(path: string | undefined, uri: string): string | undefined {
  if (path === undefined) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    // The parser's message would quote the file, which holds nothing but secrets.
    throw new HeadraceError('SECRET_UNAVAILABLE', `the secrets file ${path} cannot be read as JSON`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new HeadraceError('SECRET_UNAVAILABLE', `the secrets file ${path} must hold one JSON object`);
  }
  const secrets = parsed as Record<string, unknown>;
  const key = [uri, nameOf(uri)].find((name) => Object.hasOwn(secrets, name));
  if (key === undefined) return undefined;
  const secret = secrets[key];
  return typeof secret === 'string' ? secret : JSON.stringify(secret);
}

async function askSecretsManager(arn: string): Promise<string> {
  // Loaded only where it is used: the SDK takes a tenth of a second to load.
  const { SecretsManagerClient, GetSecretValueCommand } = await import('@aws-sdk/client-secrets-manager');
  const region = ARN.exec(arn)?.[1];
  const client = new SecretsManagerClient(region === undefined ? {} : { region });
  try {
    const answer = await client.send(new GetSecretValueCommand({ SecretId: arn }));
    if (answer.SecretString !== undefined) return answer.SecretString;
    if (answer.SecretBinary !== undefined) return Buffer.from(answer.SecretBinary).toString('utf8');
    throw new HeadraceError('SECRET_UNAVAILABLE', `secret ${arn} is empty`);
  } finally {
    client.destroy();
  }
}
