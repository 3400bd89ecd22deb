import { HeadraceError } from '../errors.ts';
import type { OptionSpecification, Options } from './command.ts';

/** Flags of commands that talk to a running engine. */
export const clientFlags = {
  'endpoint-url': {
    type: 'string',
    value: 'URL',
    description: 'the engine (default: AWS_ENDPOINT_URL, else http://127.0.0.1:9400)',
  },
  region: { type: 'string', value: 'R', description: 'region in names (default: AWS_REGION, else us-east-1)' },
} as const satisfies Record<string, OptionSpecification>;

export interface ClientConfiguration {
  readonly endpoint: string;
  readonly region: string;
  /** Standard variables where they are set; else keys that an engine without `--credentials` takes. */
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
}

/** Where the engine is and how to sign, by flags and the standard AWS environment variables. */
export function readClientFlags(options: Options): ClientConfiguration {
  const environment = process.env;
  const endpoint = options.string('endpoint-url') ?? environment['AWS_ENDPOINT_URL'] ?? 'http://127.0.0.1:9400';
  if (!/^https?:\/\/[^\s/]+(\/\S*)?$/.test(endpoint) || !URL.canParse(endpoint)) {
    const name = options.string('endpoint-url') === undefined ? 'AWS_ENDPOINT_URL' : '--endpoint-url';
    throw new HeadraceError(
      'USAGE',
      `${name} must be an http or https URL with a port of 1 to 65535; it is "${endpoint}"`,
    );
  }
  const sessionToken = environment['AWS_SESSION_TOKEN'];
  return {
    endpoint,
    region: options.string('region') ?? environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION'] ?? 'us-east-1',
    credentials: {
      accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? 'headrace',
      secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? 'headrace',
      ...(sessionToken === undefined ? {} : { sessionToken }),
    },
  };
}

/** The network's failure to reach an engine at `endpoint`, by its code where it has one (`ECONNREFUSED`, `EPROTO`…). */
export function unreachable(error: unknown, endpoint: string): HeadraceError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new HeadraceError('ENGINE_UNREACHABLE', `no engine answers at ${endpoint} (${code ?? message})`);
}

/** An AWS client's failure as an error of the catalogue: the network's errors carry a code, the engine's answers do not. */
export function clientError(error: unknown, endpoint: string): HeadraceError {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return unreachable(error, endpoint);
  const name = error instanceof Error ? error.name : 'Error';
  const message = error instanceof Error ? error.message : String(error);
  return new HeadraceError('ENGINE_REFUSED', `${name}: ${message}`, { cause: error });
}
