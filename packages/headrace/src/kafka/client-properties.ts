import { readFileSync } from 'node:fs';
import { HeadraceError } from '../errors.ts';
import type { ClusterConfiguration, IsolationLevel } from './contract.ts';
import { clientCredentialsToken } from './oauth-token.ts';
import { parseProperties } from './properties-file.ts';
import { hideMembers } from './redaction.ts';

export interface ClientProperties {
  readonly configuration: ClusterConfiguration;
  /** `group.id` of the file, if it has one. */
  readonly groupId: string | undefined;
  /** Keys that mean nothing here, in order: worth a line to the user. */
  readonly ignored: readonly string[];
}

type Tls = NonNullable<ClusterConfiguration['tls']>;
type Sasl = NonNullable<ClusterConfiguration['sasl']>;

const refused = (message: string): HeadraceError => new HeadraceError('CONFIGURATION', message);

/**
 * Reads the file that Kafka's own tools take with `--command-config`: security.protocol, sasl.*, ssl.* with PEM stores.
 * `bootstrapServers` wins over the file's.
 *
 * @throws HeadraceError CONFIGURATION (naming the key), INPUT_UNREADABLE
 */
export function readClientProperties(path: string, bootstrapServers?: readonly string[]): ClientProperties {
  return parseClientProperties(readText(path, 'client properties'), bootstrapServers);
}

/** As `readClientProperties`, of the file's text. */
export function parseClientProperties(text: string, bootstrapServers?: readonly string[]): ClientProperties {
  const reader = new Keys(parseProperties(text));
  const named = reader.take('bootstrap.servers');
  const servers = bootstrapServers ?? named?.split(',').map((server) => server.trim());
  if (servers === undefined || servers.length === 0)
    throw refused('bootstrap.servers: give one in the file or by flag');

  const protocol = (reader.take('security.protocol') ?? 'PLAINTEXT').toUpperCase();
  if (!['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'].includes(protocol)) {
    throw refused(`security.protocol: ${protocol} is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL`);
  }
  // Read in any case, so that keys of the other protocol are not called unknown.
  const tls = readTls(reader);
  const isSasl = protocol.startsWith('SASL');
  const sasl = isSasl ? readSasl(reader) : undefined;
  for (const key of ['sasl.mechanism', 'sasl.jaas.config']) reader.take(key);
  const groupId = reader.take('group.id');
  const rackId = reader.take('client.rack');
  const isolationLevel = readIsolationLevel(reader);
  return {
    configuration: {
      bootstrapServers: servers,
      ...(rackId ? { rackId } : {}),
      ...(isolationLevel === undefined ? {} : { isolationLevel }),
      ...(protocol.endsWith('SSL') ? { tls } : {}),
      ...(sasl === undefined ? {} : { sasl }),
    },
    groupId,
    ignored: reader.rest(),
  };
}

function readIsolationLevel(reader: Keys): IsolationLevel | undefined {
  const level = reader.take('isolation.level')?.toLowerCase();
  if (level === undefined) return undefined;
  if (level === 'read_committed') return 'READ_COMMITTED';
  if (level === 'read_uncommitted') return 'READ_UNCOMMITTED';
  throw refused(`isolation.level: ${level} is none of read_committed, read_uncommitted`);
}

function readTls(reader: Keys): Tls {
  const authority = readStore(reader, 'truststore', 'ssl.truststore.certificates');
  const store = readStore(reader, 'keystore', undefined);
  // Taken apart, so that the key is not shown where the certificate is.
  const chain = reader.take('ssl.keystore.certificate.chain') ?? blocksOf(store, 'CERTIFICATE');
  const key = reader.take('ssl.keystore.key') ?? blocksOf(store, 'PRIVATE KEY');
  const password = reader.take('ssl.key.password');
  const algorithm = reader.take('ssl.endpoint.identification.algorithm');
  return hideMembers(
    {
      ...(authority === undefined ? {} : { certificateAuthority: authority }),
      ...(chain === undefined ? {} : { certificate: chain }),
      ...(key === undefined ? {} : { privateKey: key }),
      ...(password === undefined ? {} : { privateKeyPassword: password }),
      ...(algorithm === '' ? { verifyServerName: false } : {}),
    } as Tls,
    'privateKey',
    'privateKeyPassword',
  );
}

/** The blocks of a key store whose names end so. */
function blocksOf(store: string | undefined, label: string): string | undefined {
  if (store === undefined) return undefined;
  const blocks = [...store.matchAll(/-----BEGIN ([^-\n]+)-----.+?-----END \1-----/gs)];
  const found = blocks.flatMap(([block, name]) => (name!.endsWith(label) ? [block] : []));
  if (found.length === 0) throw refused(`ssl.keystore.location: the file holds no ${label} as PEM`);
  return `${found.join('\n')}\n`;
}

/** PEM text of a trust or key store. */
function readStore(reader: Keys, store: 'truststore' | 'keystore', inline: string | undefined): string | undefined {
  const given = inline === undefined ? undefined : reader.take(inline);
  const location = reader.take(`ssl.${store}.location`);
  const type = reader.take(`ssl.${store}.type`)?.toUpperCase();
  reader.take(`ssl.${store}.password`);
  if (given !== undefined) return given;
  if (location === undefined) return undefined;
  const isPem = type === 'PEM' || (type === undefined && /\.(pem|crt|cer|key)$/i.test(location));
  if (!isPem) {
    throw refused(
      `ssl.${store}.type: ${type ?? 'JKS'} is not read; convert the store to PEM (keytool -exportcert -rfc, or openssl pkcs12) and set ssl.${store}.type=PEM`,
    );
  }
  return readText(location, `ssl.${store}.location`);
}

function readSasl(reader: Keys): Sasl {
  const mechanism = (reader.take('sasl.mechanism') ?? 'GSSAPI').toUpperCase();
  const jaas = parseJaas(reader.take('sasl.jaas.config') ?? '');
  switch (mechanism) {
    case 'PLAIN':
    case 'SCRAM-SHA-256':
    case 'SCRAM-SHA-512': {
      const username = jaas.get('username');
      const password = jaas.get('password');
      if (username === undefined || password === undefined) {
        throw refused(`sasl.jaas.config: username="…" and password="…" are needed for ${mechanism}`);
      }
      return hideMembers({ mechanism, username, password } as Sasl & { password: string }, 'password');
    }
    case 'AWS_MSK_IAM': {
      reader.take('sasl.client.callback.handler.class');
      const profile = jaas.get('awsProfileName');
      return { mechanism, ...(profile === undefined ? {} : { profile }) };
    }
    case 'OAUTHBEARER':
      return readBearer(reader, jaas);
    default:
      throw refused(
        `sasl.mechanism: ${mechanism} is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM`,
      );
  }
}

function readBearer(reader: Keys, jaas: ReadonlyMap<string, string>): Sasl {
  const endpoint = reader.take('sasl.oauthbearer.token.endpoint.url');
  reader.take('sasl.login.callback.handler.class');
  const subject = jaas.get('unsecuredLoginStringClaim_sub');
  if (endpoint !== undefined) {
    checkTokenEndpoint(endpoint);
    const clientId = jaas.get('clientId') ?? reader.take('sasl.oauthbearer.client.credentials.client.id');
    const clientSecret = jaas.get('clientSecret') ?? reader.take('sasl.oauthbearer.client.credentials.client.secret');
    if (clientId === undefined || clientSecret === undefined) {
      throw refused('sasl.jaas.config: clientId="…" and clientSecret="…" are needed for the token endpoint');
    }
    const scope = jaas.get('scope');
    const token = clientCredentialsToken({
      endpoint,
      clientId,
      clientSecret,
      ...(scope === undefined ? {} : { scope }),
    });
    return { mechanism: 'OAUTHBEARER', token };
  }
  if (subject === undefined) {
    throw refused('sasl.oauthbearer.token.endpoint.url: needed for OAUTHBEARER');
  }
  return { mechanism: 'OAUTHBEARER', token: () => Promise.resolve(unsecuredToken(subject)) };
}

/** What is wrong is said without the URL: a password may be in it. */
function checkTokenEndpoint(endpoint: string): void {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw refused('sasl.oauthbearer.token.endpoint.url: is no http or https URL');
  if (url.username !== '' || url.password !== '')
    throw refused(
      'sasl.oauthbearer.token.endpoint.url: client and secret belong into sasl.jaas.config, not before the host',
    );
}

/** A token without a signature (RFC 7515, appendix A.5): only brokers for development take it. */
export function unsecuredToken(subject: string, now = Date.now()): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const seconds = Math.floor(now / 1000);
  return `${part({ alg: 'none' })}.${part({ sub: subject, iat: seconds, exp: seconds + 3600 })}.`;
}

/** The options of a login module: `Module required a="b" c='d' e=f;`. */
function parseJaas(text: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const match of text.matchAll(/([A-Za-z_.]\w*)\s*=\s*(?:"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|([^\s;]+))/gu)) {
    const value = match[2] ?? match[3] ?? match[4] ?? '';
    options.set(match[1]!, value.replace(/\\(.)/gu, '$1'));
  }
  return options;
}

class Keys {
  readonly #properties: Map<string, string>;

  constructor(properties: Map<string, string>) {
    this.#properties = new Map(properties);
  }

  take(key: string): string | undefined {
    const value = this.#properties.get(key);
    this.#properties.delete(key);
    return value?.trim();
  }

  rest(): string[] {
    return [...this.#properties.keys()];
  }
}

function readText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new HeadraceError('INPUT_UNREADABLE', `${what}: ${path} cannot be read`, { cause: error });
  }
}
