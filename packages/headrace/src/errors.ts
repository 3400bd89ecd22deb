/**
 * The catalogue of errors. Every failure that a person or a program can meet has one entry here: a stable code, what it
 * means, how to cure it, and whether trying again can help. `docs/errors.md` is checked against this list by a test.
 */

export interface ErrorEntry {
  /** What it means, in one sentence. */
  readonly cause: string;
  /** What the reader can do about it. */
  readonly cure: string;
  /** True when the same call can succeed later without anybody changing anything. */
  readonly retryable: boolean;
}

export const errorCatalogue = {
  // Command line
  USAGE: { cause: 'The command line cannot be understood.', cure: 'See the command with --help.', retryable: false },
  NOT_BUILT_YET: {
    cause: 'This command is not built yet.',
    cure: 'See README.md for what works today.',
    retryable: false,
  },
  /** Told by bin/headrace.js, which runs on that old Node and cannot read this file. */
  NODE_TOO_OLD: {
    cause: 'The Node that runs this is older than 24.6.',
    cure: 'Install with optional dependencies, or install Node 24.',
    retryable: false,
  },
  INPUT_UNREADABLE: {
    cause: 'An input file cannot be read or holds nothing usable.',
    cure: 'Check the path and the format that the message names.',
    retryable: false,
  },
  OUTPUT_UNWRITABLE: {
    cause: 'An output file cannot be written.',
    cure: 'Check the path that the message names, its permissions and the free space.',
    retryable: false,
  },
  PORT_IN_USE: {
    cause: 'Another process listens on the port.',
    cure: 'Name another port, or 0 for a free one.',
    retryable: false,
  },
  DATA_DIRECTORY: {
    cause: 'The data directory cannot be used.',
    cure: 'Name a writable one with --data-dir, or stop the process that holds it.',
    retryable: false,
  },
  PYTHON_MISSING: {
    cause: 'Python 3.9 or newer, or a Python package, is missing.',
    cure: 'Install it with the command in the message.',
    retryable: false,
  },

  ENGINE_UNREACHABLE: {
    cause: 'No engine answers where this command looked for one.',
    cure: 'Start one with headrace start, or name it with --endpoint-url or AWS_ENDPOINT_URL.',
    retryable: true,
  },
  ENGINE_REFUSED: {
    cause: 'The engine refused a call of this command.',
    cure: "The message is the engine's own, as any AWS client would get it.",
    retryable: false,
  },

  // Kafka
  KAFKA_UNREACHABLE: {
    cause: 'No broker answers at the addresses given.',
    cure: 'Check host, port, network and that the listener is up.',
    retryable: true,
  },
  KAFKA_TIMEOUT: {
    cause: 'A broker did not answer in time.',
    cure: 'Check the load and the network of the cluster.',
    retryable: true,
  },
  KAFKA_DISCONNECTED: {
    cause: 'The connection to a broker ended.',
    cure: 'Nothing to do: it is made anew.',
    retryable: true,
  },
  KAFKA_TLS: {
    cause: 'TLS could not be established.',
    cure: 'Check the listener, the certificate authority, the host name and the dates.',
    retryable: false,
  },
  KAFKA_AUTHENTICATION: {
    cause: 'The broker refused the credentials.',
    cure: 'Check mechanism, user and password or token.',
    retryable: false,
  },
  KAFKA_AUTHORIZATION: {
    cause: 'The principal may not do this on the topic, group or cluster.',
    cure: 'Grant the permission that the message names.',
    retryable: false,
  },
  KAFKA_TOPIC_MISSING: { cause: 'The topic does not exist.', cure: 'Create it or mend its name.', retryable: true },
  KAFKA_OFFSET_OUT_OF_RANGE: {
    cause: 'The wanted offset is not in the log any more, or not yet.',
    cure: 'The starting policy decides; see what was skipped in the report.',
    retryable: false,
  },
  KAFKA_CORRUPT_BATCH: {
    cause: 'A record batch is corrupt.',
    cure: 'The message names topic, partition and offset: inspect the log there.',
    retryable: true,
  },
  KAFKA_UNSUPPORTED: {
    cause: 'The broker lacks a protocol version that is needed.',
    cure: 'Use Apache Kafka 2.4 or newer.',
    retryable: false,
  },
  KAFKA_PROTOCOL: {
    cause: 'The broker answered with an error or with bytes that make no sense.',
    cure: 'See the code in the message.',
    retryable: true,
  },
  KAFKA_FENCED: {
    cause: "Another member took this one's place in the group.",
    cure: 'Check that no two processes share an instance id or data directory.',
    retryable: false,
  },
  SECRET_UNAVAILABLE: {
    cause: 'A secret that a mapping names cannot be read.',
    cure: 'Check the secrets file, the environment or Secrets Manager.',
    retryable: true,
  },
  CONFIGURATION: {
    cause: 'A configuration value is missing, unknown or out of range.',
    cure: 'The message names the field and the legal range.',
    retryable: false,
  },

  DESTINATION: {
    cause: 'An on-failure destination does not take what it is given.',
    cure: 'Check that it exists, the permissions and AWS_ENDPOINT_URL_…; the records wait, none is lost.',
    retryable: true,
  },

  // Functions
  FUNCTION_UNAVAILABLE: {
    cause: 'No execution environment could be had for the function.',
    cure: "See the function's log for its init error.",
    retryable: true,
  },
  FUNCTION_CODE: {
    cause: 'The code package cannot be used.',
    cure: 'The message names the entry and the limit.',
    retryable: false,
  },
  RUNTIME_MISSING: {
    cause: 'The runtime of the function is not on this machine.',
    cure: 'Install it with the command in the message.',
    retryable: false,
  },

  // Store, templates, everything else
  STORE: {
    cause: 'The store cannot be read or written.',
    cure: 'Check the disk and the data directory.',
    retryable: true,
  },
  TEMPLATE: {
    cause: 'The template cannot be deployed as it is.',
    cure: 'The message names the resource and property.',
    retryable: false,
  },
  INTERNAL: {
    cause: 'A defect of Headrace.',
    cure: 'Please report it with the message and the log.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorCatalogue;

const brand = Symbol.for('headrace.error');

/** An error of the catalogue. `message` says what happened here; `code` finds cause and cure. */
export class HeadraceError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  /** Facts for machines: names of topics, ports, fields. Never secrets. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Record<string, unknown>; retryable?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HeadraceError';
    this.code = code;
    this.retryable = options.retryable ?? errorCatalogue[code].retryable;
    this.details = options.details ?? {};
    Object.defineProperty(this, brand, { value: true });
  }

  /** How to cure it, from the catalogue. */
  get cure(): string {
    return errorCatalogue[this.code].cure;
  }

  /** True for errors of the catalogue, also those of another copy of this module. */
  static is(value: unknown): value is HeadraceError {
    return typeof value === 'object' && value !== null && brand in value;
  }
}

/** Any thrown value as an error of the catalogue; total, never throws. */
export function toHeadraceError(value: unknown, fallback: ErrorCode = 'INTERNAL'): HeadraceError {
  if (HeadraceError.is(value)) return value;
  return new HeadraceError(fallback, messageOf(value), { cause: value });
}

/** The message of anything thrown; total. An object without a prototype cannot even be turned into text. */
function messageOf(value: unknown): string {
  if (value instanceof Error) return value.message;
  try {
    return String(value);
  } catch {
    return `a thrown ${typeof value}`;
  }
}
